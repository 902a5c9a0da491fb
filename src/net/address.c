/* SPDX-License-Identifier: MIT */
#include "net/address.h"

#include <arpa/inet.h>

#define V4_AT   12 /* where the bytes of IPv4 begin */
#define V4_BITS 96 /* of ::ffff:0:0 */
#define BITS    128

static const unsigned char v4_prefix[V4_AT] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* An address alone. */
static bool parse_plain(vly_str text, vly_address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    vly_address a;

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(a.bytes, v4_prefix, sizeof(v4_prefix));
    if (inet_pton(AF_INET, copy, a.bytes + V4_AT) != 1 && inet_pton(AF_INET6, copy, a.bytes) != 1)
        return false;
    *ret = a;
    return true;
}

static bool is_port(vly_str text)
{
    uint64_t port;
    return vly_str_to_u64(text, &port) && port <= UINT16_MAX;
}

/* What follows the address, or nothing. */
static bool is_port_behind_colon(vly_str text)
{
    return text.len == 0 || (text.ptr[0] == ':' && is_port((vly_str){text.ptr + 1, text.len - 1}));
}

bool vly_address_parse(vly_str text, vly_address *ret)
{
    const char *end = NULL;
    vly_str inner = text;

    if (text.len > 0 && text.ptr[0] == '[')
        end = memchr(text.ptr, ']', text.len);
    if (end != NULL) {
        inner = (vly_str){text.ptr + 1, (size_t)(end - text.ptr) - 1};
        const vly_str rest = {end + 1, text.len - inner.len - 2};
        return is_port_behind_colon(rest) && memchr(inner.ptr, ':', inner.len) != NULL &&
               parse_plain(inner, ret);
    }
    if (parse_plain(text, ret))
        return true;
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    if (colon == NULL)
        return false;
    inner.len = (size_t)(colon - text.ptr);
    const vly_str rest = {colon, text.len - inner.len};
    return rest.len > 1 && is_port_behind_colon(rest) && parse_plain(inner, ret);
}

const char *vly_address_format(const vly_address *a, char text[VLY_ADDRESS_TEXT_MAX])
{
    bool is_v4 = vly_address_is_v4(a);

    _Static_assert(VLY_ADDRESS_TEXT_MAX >= INET6_ADDRSTRLEN, "an address fits");
    return inet_ntop(is_v4 ? AF_INET : AF_INET6, a->bytes + (is_v4 ? V4_AT : 0), text,
                     VLY_ADDRESS_TEXT_MAX);
}

bool vly_address_is_v4(const vly_address *a)
{
    return memcmp(a->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool vly_address_is_loopback(const vly_address *a)
{
    static const vly_address v6 = {{[VLY_ADDRESS_BYTES - 1] = 1}};

    return vly_address_is_v4(a) ? a->bytes[V4_AT] == 127
                                : memcmp(a->bytes, v6.bytes, sizeof(v6.bytes)) == 0;
}

/* ---- ranges ---- */

static bool parse_range(vly_str text, vly_address_range *ret)
{
    vly_str bits = text;
    vly_str address = vly_str_split(&bits, '/');
    vly_address_range r = {.n_bits = BITS};
    uint64_t n = 0;

    if (!parse_plain(address, &r.address))
        return false;
    if (bits.ptr != NULL) {
        uint64_t before = vly_address_is_v4(&r.address) ? V4_BITS : 0;
        if (!vly_str_to_u64(bits, &n) || n > BITS - before)
            return false;
        r.n_bits = (unsigned)(before + n);
    }
    *ret = r;
    return true;
}

vly_status vly_address_ranges_parse(const char *list, vly_address_ranges *ret, vly_err *err)
{
    vly_str rest = vly_str_trim(vly_str_from(list));
    vly_address_ranges r = {.n = 0};

    while (rest.len > 0) {
        vly_str one = vly_str_trim(vly_str_split(&rest, ','));
        if (r.n == VLY_ADDRESS_RANGES_MAX)
            return vly_fail(err, VLY_ELIMIT, "more than %d ranges of addresses",
                            VLY_ADDRESS_RANGES_MAX);
        if (!parse_range(one, &r.items[r.n]))
            return vly_fail(err, VLY_EINVAL,
                            "expected an address or a range as 10.0.0.0/8, got '%.*s'",
                            VLY_STR_ARG(one));
        r.n++;
    }
    *ret = r;
    return VLY_OK;
}

static bool agree(const unsigned char *a, const unsigned char *b, unsigned n_bits)
{
    unsigned n = n_bits / 8, rest = n_bits % 8;

    return memcmp(a, b, n) == 0 && (rest == 0 || ((a[n] ^ b[n]) >> (8 - rest)) == 0);
}

bool vly_address_is_in(const vly_address *a, const vly_address_ranges *ranges)
{
    for (size_t i = 0; i < ranges->n; i++)
        if (agree(a->bytes, ranges->items[i].address.bytes, ranges->items[i].n_bits))
            return true;
    return false;
}

/* ---- behind proxies ---- */

/* The last item of the list, which is cut off it; the rest has ptr NULL when that was all. */
static vly_str cut_last(vly_str *list)
{
    const char *comma = memrchr(list->ptr, ',', list->len);
    vly_str last = *list;

    if (comma == NULL) {
        *list = (vly_str){NULL, 0};
        return vly_str_trim(last);
    }
    last.ptr = comma + 1;
    last.len -= (size_t)(last.ptr - list->ptr);
    list->len = (size_t)(comma - list->ptr);
    return vly_str_trim(last);
}

/* Goes back through one header as long as who wrote it is trusted. False: the search is over. */
static bool go_back(vly_str list, const vly_address_ranges *trusted, vly_address *at)
{
    while (list.ptr != NULL) {
        if (!vly_address_is_in(at, trusted) || !vly_address_parse(cut_last(&list), at))
            return false;
    }
    return true;
}

vly_address vly_address_of_client(const vly_http_msg *msg, const vly_address *peer,
                                  const vly_address_ranges *trusted)
{
    vly_address at = *peer;

    for (size_t i = msg->n_headers; i-- > 0;)
        if (vly_str_eq_nocase(msg->headers[i].name, VLY_STR("X-Forwarded-For")) &&
            !go_back(msg->headers[i].value, trusted, &at))
            break;
    return at;
}

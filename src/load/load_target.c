/* SPDX-License-Identifier: MIT */
#include "load/load_target.h"

#include "base/assert.h"

#define HOST_MAX 255

typedef struct scheme {
    vly_str prefix;
    const char *transport;
    bool is_tls;
} scheme;

static const scheme schemes[] = {
    {{"http://", 7}, "http1", false},   {{"https://", 8}, "http1", true},
    {{"grpc://", 7}, "grpc", false},    {{"grpcs://", 8}, "grpc", true},
    {{"ws://", 5}, "websocket", false}, {{"wss://", 6}, "websocket", true},
};

static const scheme *find_scheme(vly_str url)
{
    for (size_t i = 0; i < VLY_COUNT(schemes); i++)
        if (url.len >= schemes[i].prefix.len &&
            vly_str_eq_nocase((vly_str){url.ptr, schemes[i].prefix.len}, schemes[i].prefix))
            return &schemes[i];
    return NULL;
}

/* Blanks and control bytes would end a request line; bytes above ASCII want percent signs. */
static vly_status check_bytes(vly_str url, vly_err *err)
{
    if (url.len > VLY_LOAD_URL_MAX)
        return vly_fail(err, VLY_EINVAL, "url: %zu bytes are more than %d", url.len,
                        VLY_LOAD_URL_MAX);
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c <= ' ' || c > '~')
            return vly_fail(err, VLY_EINVAL,
                            "url: byte %zu, 0x%02x, may not stand in a URL; write %%%02X", i + 1, c,
                            c);
    }
    return VLY_OK;
}

/* Digits, letters, dots and dashes; of an address in brackets, its own. */
static bool is_host(vly_str host, bool is_bracketed)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '.' && c != (is_bracketed ? ':' : '-') &&
            (is_bracketed ? c != '%' : c != '_'))
            return false;
    }
    return host.len > 0 && host.len <= HOST_MAX;
}

static vly_status split_authority(vly_load_target *t, vly_err *err)
{
    vly_str a = t->authority, port = {NULL, 0};
    bool is_bracketed = a.len > 0 && a.ptr[0] == '[';
    const char *end = a.len > 0 ? memchr(a.ptr, is_bracketed ? ']' : ':', a.len) : NULL;
    uint64_t number = 0;

    if (a.len > 0 && memchr(a.ptr, '@', a.len) != NULL)
        return vly_fail(err, VLY_EINVAL,
                        "url: a user or password has no place in it; give a header");
    if (is_bracketed && end == NULL)
        return vly_fail(err, VLY_EINVAL, "url: '[' without ']' in '%.*s'", VLY_STR_ARG(a));
    t->host = (vly_str){a.ptr + is_bracketed,
                        (end != NULL ? (size_t)(end - a.ptr) : a.len) - is_bracketed};
    if (!is_host(t->host, is_bracketed))
        return vly_fail(err, VLY_EINVAL, "url: expected a host, got '%.*s'", VLY_STR_ARG(a));
    if (end == NULL || end + is_bracketed == a.ptr + a.len)
        return VLY_OK;
    end += is_bracketed;
    port = (vly_str){end + 1, (size_t)(a.ptr + a.len - end - 1)};
    if (*end != ':' || !vly_str_to_u64(port, &number) || number < 1 || number > UINT16_MAX)
        return vly_fail(err, VLY_EINVAL, "url: expected a port from 1 to 65535, got '%.*s'",
                        VLY_STR_ARG(port));
    t->port = (uint16_t)number;
    return VLY_OK;
}

vly_status vly_load_target_parse(vly_str url, vly_load_target *ret, vly_err *err)
{
    const scheme *s = find_scheme(url);
    size_t n = 0;

    if (s == NULL)
        return vly_fail(err, VLY_EINVAL,
                        "url: expected http, https, grpc, grpcs, ws or wss before '://', got "
                        "'%.*s'",
                        VLY_STR_ARG(url));
    vly_status st = check_bytes(url, err);
    if (st != VLY_OK)
        return st;
    if (memchr(url.ptr, '#', url.len) != NULL)
        return vly_fail(err, VLY_EINVAL, "url: what is behind '#' never reaches a server");
    vly_str rest = {url.ptr + s->prefix.len, url.len - s->prefix.len};
    while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
        n++;
    vly_load_target t = {.transport = s->transport,
                         .authority = {rest.ptr, n},
                         .port = s->is_tls ? 443 : 80,
                         .path = {rest.ptr + n, rest.len - n},
                         .is_tls = s->is_tls};
    st = split_authority(&t, err);
    if (st != VLY_OK)
        return st;
    if (t.path.len > 0 && t.path.ptr[0] == '?')
        return vly_fail(err, VLY_EINVAL, "url: expected '/' before '?'");
    if (t.path.len <= 1)
        t.path = VLY_STR("/");
    *ret = t;
    return VLY_OK;
}

bool vly_load_target_has(const vly_load_target *t, vly_str name)
{
    for (size_t i = 0; i < t->n_headers; i++) {
        vly_str rest = t->headers[i];
        if (vly_str_eq_nocase(vly_str_trim(vly_str_split(&rest, ':')), name))
            return true;
    }
    return false;
}

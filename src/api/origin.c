/* SPDX-License-Identifier: MIT */
#include "api/origin.h"

/* Host and port, without the port that goes without saying. */
static vly_str without_default(vly_str authority, vly_str port)
{
    if (vly_str_ends(authority, port))
        authority.len -= port.len;
    return authority;
}

/* RFC 6454 6.2: "scheme://host[:port]". A "null" names nobody, and is no scheme. */
static bool is_host(vly_str origin, vly_str host)
{
    static const struct {
        vly_str scheme, port;
    } rows[] = {{{"http://", 7}, {":80", 3}}, {{"https://", 8}, {":443", 4}}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vly_str scheme = rows[i].scheme, port = rows[i].port;
        if (!vly_str_starts(origin, scheme))
            continue;
        const vly_str page = {origin.ptr + scheme.len, origin.len - scheme.len};
        return page.len > 0 &&
               vly_str_eq_nocase(without_default(page, port), without_default(host, port));
    }
    return false;
}

bool vly_origin_is_listed(vly_str origin, const char *list)
{
    vly_str rest = vly_str_from(list);

    while (rest.ptr != NULL) {
        vly_str one = vly_str_trim(vly_str_split(&rest, ','));
        if (vly_str_is(one, "*") || (one.len > 0 && vly_str_eq_nocase(one, origin)))
            return true;
    }
    return false;
}

bool vly_origin_is_allowed(const vly_http_msg *msg, const char *list)
{
    vly_str origin = vly_http_msg_header(msg, "origin");

    return origin.ptr == NULL || is_host(origin, vly_http_msg_header(msg, "host")) ||
           vly_origin_is_listed(origin, list);
}

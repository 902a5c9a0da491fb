/* SPDX-License-Identifier: MIT */
#include "net/mqtt.h"

#include "sys/url.h"

#include <string.h>

#define HOST_MAX 255
#define PORT     1883
#define TLS_PORT 8883

static vly_status bad_url(vly_str url, vly_err *err)
{
    vly_str user;

    if (vly_url_find_user(url, &user))
        return vly_fail(err, VLY_EINVAL, "a user belongs into mqtt.user, not into the URL");
    return vly_fail(err, VLY_EINVAL,
                    "expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT], got '%.*s'",
                    VLY_STR_ARG(url));
}

/* Cuts "host" or "[::1]" off rest. */
static bool take_host(vly_str *rest, vly_str *ret)
{
    bool is_bracketed = rest->len > 0 && rest->ptr[0] == '[';

    if (is_bracketed)
        *rest = (vly_str){rest->ptr + 1, rest->len - 1};
    const char *end = memchr(rest->ptr, is_bracketed ? ']' : ':', rest->len);
    if (is_bracketed && end == NULL)
        return false;
    size_t n = end != NULL ? (size_t)(end - rest->ptr) : rest->len;
    *ret = (vly_str){rest->ptr, n};
    n += is_bracketed;
    *rest = (vly_str){rest->ptr + n, rest->len - n};
    return ret->len > 0 && ret->len <= HOST_MAX &&
           (is_bracketed || memchr(ret->ptr, '/', ret->len) == NULL) &&
           memchr(ret->ptr, '@', ret->len) == NULL;
}

vly_status vly_mqtt_parse_url(vly_str url, char host[HOST_MAX + 1], int *ret_port, bool *ret_is_tls,
                              vly_err *err)
{
    bool is_tls = vly_str_starts(url, VLY_STR("mqtts://"));
    size_t scheme = is_tls ? 8 : 7;
    uint64_t port = is_tls ? TLS_PORT : PORT;
    vly_str name;

    if (!is_tls && !vly_str_starts(url, VLY_STR("mqtt://")))
        return bad_url(url, err);
    vly_str rest = {url.ptr + scheme, url.len - scheme};
    if (!take_host(&rest, &name))
        return bad_url(url, err);
    if (rest.len > 0 &&
        (rest.ptr[0] != ':' || !vly_str_to_u64((vly_str){rest.ptr + 1, rest.len - 1}, &port) ||
         port == 0 || port > 65535))
        return bad_url(url, err);
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    *ret_port = (int)port;
    *ret_is_tls = is_tls;
    return VLY_OK;
}

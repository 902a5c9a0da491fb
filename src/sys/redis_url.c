/* SPDX-License-Identifier: MIT */
#include "sys/redis_url.h"

#include "base/assert.h"

#define PORT   6379
#define DB_MAX 65535

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes text, %XX and all, with a NUL. False: too long, a stray %, or a NUL in it. */
static bool decode(vly_str text, char *out, size_t max_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0' || n + 1 >= max_bytes)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

/* Cuts "USER:PASSWORD@" off rest; before the first slash only, for a path may hold an @. */
static bool take_login(vly_str *rest, vly_redis_url *u)
{
    const char *slash = rest->len > 0 ? memchr(rest->ptr, '/', rest->len) : NULL;
    size_t n = slash != NULL ? (size_t)(slash - rest->ptr) : rest->len;
    const char *at = n > 0 ? memrchr(rest->ptr, '@', n) : NULL;

    if (at == NULL)
        return true;
    vly_str login = {rest->ptr, (size_t)(at - rest->ptr)};
    *rest = (vly_str){at + 1, rest->len - login.len - 1};
    vly_str user = vly_str_split(&login, ':');
    return login.len > 0 && decode(user, u->user, sizeof(u->user)) &&
           decode(login, u->password, sizeof(u->password));
}

static bool take_number(vly_str text, uint64_t min, uint64_t max, int *ret)
{
    uint64_t n;

    if (!vly_str_to_u64(text, &n) || n < min || n > max)
        return false;
    *ret = (int)n;
    return true;
}

/* "host:port" or "[::1]:port" */
static bool take_host(vly_str text, vly_redis_url *u)
{
    bool is_bracketed = text.len > 0 && text.ptr[0] == '[';
    vly_str host;

    if (is_bracketed) {
        text = (vly_str){text.ptr + 1, text.len - 1};
        if (memchr(text.ptr, ']', text.len) == NULL)
            return false;
        host = vly_str_split(&text, ']');
        if (text.len > 0 && text.ptr[0] != ':')
            return false;
        text = text.len > 0 ? (vly_str){text.ptr + 1, text.len - 1} : (vly_str){NULL, 0};
    } else {
        host = vly_str_split(&text, ':');
    }
    return host.len > 0 && decode(host, u->host, sizeof(u->host)) &&
           (text.ptr == NULL || take_number(text, 1, 65535, &u->port));
}

static bool parse_tcp(vly_str rest, vly_redis_url *u)
{
    if (!take_login(&rest, u))
        return false;
    vly_str host = vly_str_split(&rest, '/');
    return take_host(host, u) && (rest.len == 0 || take_number(rest, 0, DB_MAX, &u->db));
}

static bool parse_unix(vly_str rest, vly_redis_url *u)
{
    if (vly_str_starts(rest, VLY_STR("//"))) {
        rest = (vly_str){rest.ptr + 2, rest.len - 2};
        if (!take_login(&rest, u))
            return false;
    }
    vly_str path = vly_str_split(&rest, '?');
    if (path.len == 0 || !decode(path, u->path, sizeof(u->path)))
        return false;
    if (rest.ptr == NULL)
        return true;
    return vly_str_starts(rest, VLY_STR("db=")) &&
           take_number((vly_str){rest.ptr + 3, rest.len - 3}, 0, DB_MAX, &u->db);
}

vly_status vly_redis_parse_url(vly_str url, vly_redis_url *ret, vly_err *err)
{
    vly_redis_url u = {.port = PORT};
    bool is_good = false;

    if (vly_str_starts(url, VLY_STR("rediss://")))
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "rediss:// (TLS) is not supported; expected redis://");
    if (vly_str_starts(url, VLY_STR("redis://")))
        is_good = parse_tcp((vly_str){url.ptr + 8, url.len - 8}, &u);
    else if (vly_str_starts(url, VLY_STR("unix:")))
        is_good = parse_unix((vly_str){url.ptr + 5, url.len - 5}, &u);
    if (!is_good)
        return vly_fail(err, VLY_EINVAL,
                        "expected redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:PATH[?db=DB]");
    *ret = u;
    return VLY_OK;
}

/* SPDX-License-Identifier: MIT */
#include "sys/url.h"

#include <stdio.h>

bool vly_url_find_user(vly_str url, vly_str *ret)
{
    const char *scheme = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;

    if (scheme == NULL)
        return false;
    const char *user = scheme + 3, *end = url.ptr + url.len;
    const char *slash = memchr(user, '/', (size_t)(end - user));
    if (slash != NULL)
        end = slash;
    const char *at = memrchr(user, '@', (size_t)(end - user));
    if (at == NULL)
        return false;
    *ret = (vly_str){user, (size_t)(at - user)};
    return true;
}

const char *vly_url_public(const char *url, char *text, size_t n)
{
    vly_str user;

    if (vly_url_find_user(vly_str_from(url), &user))
        snprintf(text, n, "%.*s***%s", (int)(user.ptr - url), url, user.ptr + user.len);
    else
        snprintf(text, n, "%s", url);
    return text;
}

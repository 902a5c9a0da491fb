/* SPDX-License-Identifier: MIT */
#include "sys/url.h"

#include <stdio.h>

static const char *behind_scheme(vly_str url)
{
    const char *scheme = url.len > 0 ? memmem(url.ptr, url.len, "://", 3) : NULL;

    return scheme != NULL ? scheme + 3 : NULL;
}

bool vly_url_find_user(vly_str url, vly_str *ret)
{
    const char *user = behind_scheme(url);
    const char *at = user != NULL ? memrchr(user, '@', (size_t)(url.ptr + url.len - user)) : NULL;

    if (at == NULL)
        return false;
    *ret = (vly_str){user, (size_t)(at - user)};
    return true;
}

vly_url_shown vly_url_show(vly_str url)
{
    vly_url_shown s = {.begin = url, .middle = VLY_STR("")};
    const char *middle = behind_scheme(url), *end = url.ptr + url.len;
    vly_str user;

    if (middle == NULL)
        return s;
    s.begin.len = (size_t)(middle - url.ptr);
    s.hides_user = vly_url_find_user(url, &user);
    if (s.hides_user)
        middle = user.ptr + user.len;
    const char *query = memchr(middle, '?', (size_t)(end - middle));
    s.hides_query = query != NULL && query + 1 < end;
    s.middle = (vly_str){middle, (size_t)((s.hides_query ? query + 1 : end) - middle)};
    return s;
}

const char *vly_url_public(const char *url, char *text, size_t n)
{
    const vly_url_shown s = vly_url_show(vly_str_from(url));

    snprintf(text, n, "%.*s%s%.*s%s", VLY_STR_ARG(s.begin), s.hides_user ? "***" : "",
             VLY_STR_ARG(s.middle), s.hides_query ? "***" : "");
    return text;
}

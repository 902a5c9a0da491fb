/* SPDX-License-Identifier: MIT */
/* URLs of settings, as others may see them. Thread: any. */
#ifndef VLY_SYS_URL_H
#define VLY_SYS_URL_H

#include "base/str.h"

#include <stdbool.h>

/* Where "user:password" of "scheme://user:password@host/path" is. What stands before the last @ is
 * taken for it, wherever that is: a password may hold what ends a host. False: there is none. */
bool vly_url_find_user(vly_str url, vly_str *ret);

/* What others may see: begin, *** for a user, middle, *** for what follows its ?, which may be a
 * key. What is no URL is all begin. */
typedef struct vly_url_shown {
    vly_str begin, middle;
    bool hides_user, hides_query;
} vly_url_shown;

vly_url_shown vly_url_show(vly_str url);

/* The same as text, cut to its n bytes; returns text. */
const char *vly_url_public(const char *url, char *text, size_t n);

#endif

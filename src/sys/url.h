/* SPDX-License-Identifier: MIT */
/* URLs of settings, as others may see them. Thread: any. */
#ifndef VLY_SYS_URL_H
#define VLY_SYS_URL_H

#include "base/str.h"

#include <stdbool.h>

/* Where "user:password" of "scheme://user:password@host/path" is. False: there is none. */
bool vly_url_find_user(vly_str url, vly_str *ret);

/* The URL with *** for the user and the password, cut to the n bytes of text; returns text. */
const char *vly_url_public(const char *url, char *text, size_t n);

#endif

/* SPDX-License-Identifier: MIT */
/* Which pages may open a stream here: a browser lets any page connect, and says which one it is. */
#ifndef VLY_API_ORIGIN_H
#define VLY_API_ORIGIN_H

#include "net/http_msg.h"

#include <stdbool.h>

/* origin is one of list, "https://a.example, http://b:3000", or "*" is in it. Thread: any. */
bool vly_origin_is_listed(vly_str origin, const char *list);
/* The request says no Origin, so it comes from no page; or one of the host and port that its Host
 * names; or one of list, "https://a.example, http://b:3000", where "*" is all. Thread: any. */
bool vly_origin_is_allowed(const vly_http_msg *msg, const char *list);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Where Redis is:
 *
 *     redis://[[USER]:PASSWORD@]HOST[:6379][/DB]      [::1] for IPv6
 *     unix:PATH  or  unix://[[USER]:PASSWORD@]/PATH,  both with ?db=DB
 *
 * %XX stands for a byte in user, password and path. rediss:// (TLS) is refused.
 */
#ifndef VLY_SYS_REDIS_URL_H
#define VLY_SYS_REDIS_URL_H

#include "base/status.h"
#include "base/str.h"

#define VLY_REDIS_TEXT_MAX 255

typedef struct vly_redis_url {
    char host[VLY_REDIS_TEXT_MAX + 1]; /* empty: path */
    char path[108];                    /* as long as a socket's may be */
    int port;
    int db;
    char user[VLY_REDIS_TEXT_MAX + 1];
    char password[VLY_REDIS_TEXT_MAX + 1]; /* empty: none */
} vly_redis_url;

/* EINVAL; the message never holds the password. */
vly_status vly_redis_parse_url(vly_str url, vly_redis_url *ret, vly_err *err) VLY_MUST_CHECK;

#endif

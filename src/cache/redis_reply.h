/* SPDX-License-Identifier: MIT */
/*
 * Replies of Redis as hiredis' reader makes them for us: flat, and no larger than we can expect. An
 * array of more than VLY_REDIS_ITEMS_MAX items, or within another, is an error of the reader (it
 * says out of memory); hiredis' own functions allocate whatever the server announces.
 */
#ifndef VLY_CACHE_REDIS_REPLY_H
#define VLY_CACHE_REDIS_REPLY_H

#include "base/str.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

#define VLY_REDIS_ITEMS_MAX 8

typedef struct vly_redis_reply vly_redis_reply;
struct vly_redis_reply {
    int type; /* REDIS_REPLY_STRING, ... */
    long long integer;
    size_t n_items; /* of an array; each set, none an array */
    vly_redis_reply *items[VLY_REDIS_ITEMS_MAX];
    size_t len; /* of bytes: of strings, states, errors */
    char bytes[];
};

/* To be kept as long as the reader that is given it. */
redisReplyObjectFunctions vly_redis_reply_functions(void);
void vly_redis_reply_free(void *reply); /* accepts NULL */

static inline vly_str vly_redis_reply_str(const vly_redis_reply *r)
{
    return (vly_str){r->bytes, r->len};
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A value as it lies in Redis: a header, then the bytes.
 *
 *      0  "VLYC"     magic
 *      4  u8         version of the format, 1
 *      5  u8         number of tags
 *      6  u16        0
 *      8  u32        meta: the caller's, its class
 *     12  u32        0
 *     16  u64        when it was stored, ms since 1970: for people; the time to live is Redis' own,
 *                    so that clocks of servers need not agree
 *     24  u64        XXH3-64 of all that follows and of bytes 0..23, seeded with the key
 *     32  n * 16     tags: id, token
 *         ...        the bytes
 *
 * Little-endian. Every bit is covered by the checksum, and so is the key under which it lies: what
 * somebody else wrote, what was cut or moved is recognised. It is no signature.
 */
#ifndef VLY_CACHE_REDIS_VALUE_H
#define VLY_CACHE_REDIS_VALUE_H

#include "base/str.h"
#include "cache/redis_tier.h"

#include <stdbool.h>

#define VLY_REDIS_HEADER_BYTES 32
#define VLY_REDIS_HEADER_MAX   (VLY_REDIS_HEADER_BYTES + 16 * (VLY_REDIS_TAGS_MAX + 1))

typedef struct vly_redis_value {
    vly_redis_tags tags;
    uint32_t meta;
    uint64_t stored_ms;
    vly_str bytes;
} vly_redis_value;

/* Writes v to out, which has room for VLY_REDIS_HEADER_MAX + v->bytes.len; returns the length. */
size_t vly_redis_value_write(const vly_redis_value *v, vly_cache_key key, char *out);
/* False: it is none, and *ret is untouched. ret->bytes is borrowed from raw. */
bool vly_redis_value_read(vly_str raw, vly_cache_key key, vly_redis_value *ret);

#endif

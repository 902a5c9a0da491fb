/* SPDX-License-Identifier: MIT */
/*
 * Value of the cache: immutable bytes with a reference count, as they are kept in memory, perhaps
 * compressed, and as they travel to a tier that others share.
 *
 * What comes back from a shared tier is outside data: its checksum says that it was once written by
 * a server, not that this one can read it. Thread: any.
 */
#ifndef VLY_CACHE_CACHE_VALUE_H
#define VLY_CACHE_CACHE_VALUE_H

#include "base/buf.h"
#include "base/clock.h"
#include "cache/cache_key.h"

#include <stdatomic.h>

typedef enum vly_cache_packing {
    VLY_CACHE_PACKING_OFF,
    VLY_CACHE_PACKING_LZ4,
    VLY_CACHE_PACKING_ZSTD,
} vly_cache_packing;

/* As the setting spells it; EINVAL. */
vly_status vly_cache_packing_parse(vly_str text, vly_cache_packing *ret,
                                   vly_err *err) VLY_MUST_CHECK;

typedef struct vly_cache_value {
    _Atomic uint32_t n_refs;
    vly_cache_packing packing; /* of bytes */
    uint64_t made_unix_ms;     /* when it was computed */
    size_t plain_len;          /* without packing */
    size_t len;
    char bytes[]; /* 16-byte aligned */
} vly_cache_value;

/* plain_len == len, OFF; the bytes are the caller's to fill. NULL: no memory. */
vly_cache_value *vly_cache_value_new(size_t len, uint64_t made_unix_ms);
vly_cache_value *vly_cache_value_ref(vly_cache_value *v);
void vly_cache_value_unref(vly_cache_value *v); /* accepts NULL */

/* A new value with the bytes compressed; NULL when that saves less than a quarter. */
vly_cache_value *vly_cache_value_pack(const vly_cache_value *v, vly_cache_packing how);
/* A new reference to v itself, or the plain bytes as a new value; NULL: no memory, or v is not what
 * pack has made. */
vly_cache_value *vly_cache_value_unpack(vly_cache_value *v);

/* Appends v as shared tiers keep it, but for its packing, which goes with it as their meta. */
void vly_cache_value_write(const vly_cache_value *v, vly_buf *out);
/* What write has made, still packed. NULL: it is not, or larger than max_bytes when unpacked, or
 * there is no memory. Accepts any bytes. */
vly_cache_value *vly_cache_value_read(vly_str bytes, uint32_t packing, size_t max_bytes);

#endif

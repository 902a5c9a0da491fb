/* SPDX-License-Identifier: MIT */
#include "cache/redis_value.h"

#include "base/assert.h"

#include <xxhash.h>

static const char magic[4] = {'V', 'L', 'Y', 'C'};

enum {
    VERSION = 1,
    AT_VERSION = 4,
    AT_N_TAGS = 5,
    AT_ZERO16 = 6,
    AT_META = 8,
    AT_ZERO32 = 12,
    AT_STORED = 16,
    AT_CHECK = 24,
    TAG_BYTES = 16
};

static uint64_t checksum(const char *raw, size_t len, vly_cache_key key)
{
    uint64_t seed = key.lo ^ (key.hi << 32 | key.hi >> 32) ^ XXH3_64bits(raw, AT_CHECK);

    return XXH3_64bits_withSeed(raw + VLY_REDIS_HEADER_BYTES, len - VLY_REDIS_HEADER_BYTES, seed);
}

size_t vly_redis_value_write(const vly_redis_value *v, vly_cache_key key, char *out)
{
    char *p = out + VLY_REDIS_HEADER_BYTES;

    VLY_ASSERT(v->tags.n <= VLY_COUNT(v->tags.ids));
    memset(out, 0, VLY_REDIS_HEADER_BYTES);
    memcpy(out, magic, sizeof(magic));
    out[AT_VERSION] = VERSION;
    out[AT_N_TAGS] = (char)v->tags.n;
    memcpy(out + AT_META, &v->meta, sizeof(v->meta));
    memcpy(out + AT_STORED, &v->stored_ms, sizeof(v->stored_ms));
    for (size_t i = 0; i < v->tags.n; i++, p += TAG_BYTES) {
        memcpy(p, &v->tags.ids[i], 8);
        memcpy(p + 8, &v->tags.tokens[i], 8);
    }
    if (v->bytes.len > 0)
        memcpy(p, v->bytes.ptr, v->bytes.len);
    size_t len = (size_t)(p - out) + v->bytes.len;
    uint64_t check = checksum(out, len, key);
    memcpy(out + AT_CHECK, &check, sizeof(check));
    return len;
}

bool vly_redis_value_read(vly_str raw, vly_cache_key key, vly_redis_value *ret)
{
    vly_redis_value v = {.meta = 0};
    uint16_t zero16;
    uint32_t zero32;
    uint64_t check;

    if (raw.len < VLY_REDIS_HEADER_BYTES || memcmp(raw.ptr, magic, sizeof(magic)) != 0 ||
        raw.ptr[AT_VERSION] != VERSION)
        return false;
    v.tags.n = (unsigned char)raw.ptr[AT_N_TAGS];
    if (v.tags.n > VLY_COUNT(v.tags.ids) || raw.len - VLY_REDIS_HEADER_BYTES < v.tags.n * TAG_BYTES)
        return false;
    memcpy(&zero16, raw.ptr + AT_ZERO16, sizeof(zero16));
    memcpy(&zero32, raw.ptr + AT_ZERO32, sizeof(zero32));
    memcpy(&check, raw.ptr + AT_CHECK, sizeof(check));
    if (zero16 != 0 || zero32 != 0 || check != checksum(raw.ptr, raw.len, key))
        return false;
    memcpy(&v.meta, raw.ptr + AT_META, sizeof(v.meta));
    memcpy(&v.stored_ms, raw.ptr + AT_STORED, sizeof(v.stored_ms));
    const char *p = raw.ptr + VLY_REDIS_HEADER_BYTES;
    for (size_t i = 0; i < v.tags.n; i++, p += TAG_BYTES) {
        memcpy(&v.tags.ids[i], p, 8);
        memcpy(&v.tags.tokens[i], p + 8, 8);
    }
    v.bytes = (vly_str){p, raw.len - (size_t)(p - raw.ptr)};
    *ret = v;
    return true;
}

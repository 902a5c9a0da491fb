/* SPDX-License-Identifier: MIT */
/* Values of Redis: what is accepted, and only that, is what the writer would have written. The same
 * bytes as a URL must not crash. */
#include "base/assert.h"
#include "base/mem.h"
#include "cache/redis_value.h"
#include "sys/redis_url.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static const vly_cache_key key = {.lo = 1, .hi = 2};

static void check_value(const vly_redis_value *v, const char *raw, size_t n)
{
    char *out = vly_alloc(VLY_MEM_CACHE, VLY_REDIS_HEADER_MAX + v->bytes.len);

    VLY_ASSERT(out != NULL);
    VLY_ASSERT(v->bytes.ptr + v->bytes.len == raw + n);
    VLY_ASSERT(vly_redis_value_write(v, key, out) == n && memcmp(out, raw, n) == 0);
    vly_free(out);
}

/* The checksum of a mutated value is hardly ever right: so its parts are also taken as a value. */
static void write_and_read(const unsigned char *bytes, size_t n)
{
    vly_redis_value v = {.tags = {.n = bytes[0] % (VLY_REDIS_TAGS_MAX + 2)}, .meta = bytes[1]};
    vly_redis_value again;

    v.bytes = (vly_str){(const char *)bytes + 2, n - 2};
    for (size_t i = 0; i < v.tags.n; i++)
        v.tags.ids[i] = v.tags.tokens[i] = bytes[(i * 7 + 2) % n];
    char *out = vly_alloc(VLY_MEM_CACHE, VLY_REDIS_HEADER_MAX + n);
    VLY_ASSERT(out != NULL);
    size_t len = vly_redis_value_write(&v, key, out);
    VLY_ASSERT(vly_redis_value_read((vly_str){out, len}, key, &again));
    check_value(&again, out, len);
    VLY_ASSERT(!vly_redis_value_read((vly_str){out, len - 1}, key, &again));
    vly_free(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_redis_value v;
    vly_redis_url url;
    vly_str text = {(const char *)bytes, n};

    if (vly_redis_value_read(text, key, &v))
        check_value(&v, text.ptr, n);
    if (n >= 3)
        write_and_read(bytes, n);
    if (vly_redis_parse_url(text, &url, NULL) == VLY_OK)
        VLY_ASSERT((url.host[0] != '\0') != (url.path[0] != '\0'));
    return 0;
}

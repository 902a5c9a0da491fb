/* SPDX-License-Identifier: MIT */
#include "cache/cache_value.h"

#include "base/assert.h"
#include "base/bits.h"

#include <lz4.h>
#include <zstd.h>

#define ZSTD_LEVEL 1
#define HEAD_BYTES 16 /* in a shared tier: made_unix_ms, plain_len */

vly_status vly_cache_packing_parse(vly_str text, vly_cache_packing *ret, vly_err *err)
{
    static const char *const names[] = {
        [VLY_CACHE_PACKING_OFF] = "off",
        [VLY_CACHE_PACKING_LZ4] = "lz4",
        [VLY_CACHE_PACKING_ZSTD] = "zstd",
    };

    for (size_t i = 0; i < VLY_COUNT(names); i++) {
        if (vly_str_is(text, names[i])) {
            *ret = (vly_cache_packing)i;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL, "expected lz4, zstd or off, got '%.*s'", VLY_STR_ARG(text));
}

vly_cache_value *vly_cache_value_new(size_t len, uint64_t made_unix_ms)
{
    size_t bytes;

    _Static_assert(offsetof(vly_cache_value, bytes) % 16 == 0, "bytes are aligned");
    if (!vly_size_add(sizeof(vly_cache_value), len, &bytes))
        return NULL;
    vly_cache_value *v = vly_alloc(VLY_MEM_CACHE, bytes);
    if (v == NULL)
        return NULL;
    *v = (vly_cache_value){.made_unix_ms = made_unix_ms, .plain_len = len, .len = len};
    atomic_init(&v->n_refs, 1);
    return v;
}

vly_cache_value *vly_cache_value_ref(vly_cache_value *v)
{
    atomic_fetch_add_explicit(&v->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return v;
}

void vly_cache_value_unref(vly_cache_value *v)
{
    /* acq_rel: the last owner must see that the others have read */
    if (v != NULL && atomic_fetch_sub_explicit(&v->n_refs, 1, memory_order_acq_rel) == 1)
        vly_free(v);
}

/* ---- compression ---- */

/* Bytes written; 0: they do not fit. */
static size_t compress(vly_cache_packing how, const vly_cache_value *v, char *to, size_t max)
{
    if (how == VLY_CACHE_PACKING_LZ4) {
        if (v->len > LZ4_MAX_INPUT_SIZE)
            return 0;
        int n = LZ4_compress_default(v->bytes, to, (int)v->len, (int)max);
        return n > 0 ? (size_t)n : 0;
    }
    size_t n = ZSTD_compress(to, max, v->bytes, v->len, ZSTD_LEVEL);
    return ZSTD_isError(n) ? 0 : n;
}

vly_cache_value *vly_cache_value_pack(const vly_cache_value *v, vly_cache_packing how)
{
    size_t max = v->len - v->len / 4;

    if (how == VLY_CACHE_PACKING_OFF || v->packing != VLY_CACHE_PACKING_OFF || max == 0)
        return NULL;
    vly_cache_value *packed = vly_cache_value_new(max, v->made_unix_ms);
    if (packed == NULL)
        return NULL;
    size_t n = compress(how, v, packed->bytes, max);
    if (n == 0) {
        vly_cache_value_unref(packed);
        return NULL;
    }
    vly_cache_value *fit = vly_realloc(VLY_MEM_CACHE, packed, sizeof(*packed) + n);
    packed = fit != NULL ? fit : packed;
    packed->packing = how;
    packed->plain_len = v->len;
    packed->len = n;
    return packed;
}

static bool decompress(const vly_cache_value *v, char *to, size_t len)
{
    if (v->packing == VLY_CACHE_PACKING_LZ4)
        return v->len <= INT32_MAX && len <= INT32_MAX &&
               LZ4_decompress_safe(v->bytes, to, (int)v->len, (int)len) == (int)len;
    return ZSTD_decompress(to, len, v->bytes, v->len) == len;
}

vly_cache_value *vly_cache_value_unpack(vly_cache_value *v)
{
    if (v->packing == VLY_CACHE_PACKING_OFF)
        return vly_cache_value_ref(v);
    vly_cache_value *plain = vly_cache_value_new(v->plain_len, v->made_unix_ms);
    if (plain != NULL && !decompress(v, plain->bytes, plain->len)) {
        vly_cache_value_unref(plain);
        return NULL;
    }
    return plain;
}

/* ---- in a shared tier ---- */

void vly_cache_value_write(const vly_cache_value *v, vly_buf *out)
{
    char head[HEAD_BYTES];

    vly_store_le64(head, v->made_unix_ms);
    vly_store_le64(head + 8, v->plain_len);
    vly_buf_add(out, head, sizeof(head));
    vly_buf_add(out, v->bytes, v->len);
}

vly_cache_value *vly_cache_value_read(vly_str bytes, uint32_t packing, size_t max_bytes)
{
    if (bytes.len < HEAD_BYTES || packing > VLY_CACHE_PACKING_ZSTD)
        return NULL;
    size_t len = bytes.len - HEAD_BYTES;
    uint64_t plain_len = vly_load_le64(bytes.ptr + 8);
    if (plain_len > max_bytes || len > max_bytes ||
        (packing == VLY_CACHE_PACKING_OFF && plain_len != len))
        return NULL;
    vly_cache_value *v = vly_cache_value_new(len, vly_load_le64(bytes.ptr));
    if (v == NULL)
        return NULL;
    v->packing = (vly_cache_packing)packing;
    v->plain_len = (size_t)plain_len;
    memcpy(v->bytes, bytes.ptr + HEAD_BYTES, len);
    return v;
}

/* SPDX-License-Identifier: MIT */
/*
 * Checked size arithmetic, alignment, little-endian loads and stores. Every size that depends on
 * outside bytes is computed with these: they return false on overflow and leave *ret untouched.
 */
#ifndef VLY_BASE_BITS_H
#define VLY_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline bool vly_size_add(size_t a, size_t b, size_t *ret)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

static inline bool vly_size_mul(size_t a, size_t b, size_t *ret)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}

/* Rounds n up to a multiple of align, a power of two. The caller keeps n below SIZE_MAX - align. */
static inline size_t vly_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* Every supported CPU is little-endian: see meson.build. */
static inline uint16_t vly_load_le16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint32_t vly_load_le32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t vly_load_le64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline float vly_load_lef32(const void *p)
{
    float v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void vly_store_le16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void vly_store_le32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void vly_store_le64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void vly_store_lef32(void *p, float v)
{
    memcpy(p, &v, sizeof(v));
}

static inline uint32_t vly_load_be32(const void *p)
{
    return __builtin_bswap32(vly_load_le32(p));
}

#endif

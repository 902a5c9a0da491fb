/* SPDX-License-Identifier: MIT */
/*
 * FNV-1a with 64 bits: a sum that finds damage and tells things apart by accident, not by intent.
 * Begin with VLY_FNV1A; the sum of two pieces is that of the second, begun with that of the first.
 */
#ifndef VLY_BASE_FNV1A_H
#define VLY_BASE_FNV1A_H

#include <stddef.h>
#include <stdint.h>

#define VLY_FNV1A UINT64_C(0xcbf29ce484222325)

static inline uint64_t vly_fnv1a(uint64_t sum, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        sum = (sum ^ p[i]) * UINT64_C(0x100000001b3);
    return sum;
}

#endif

/* SPDX-License-Identifier: MIT */
/* bfloat16: the upper half of a float. */
#ifndef VLY_BASE_BF16_H
#define VLY_BASE_BF16_H

#include <stdint.h>
#include <string.h>

static inline float vly_bf16_to_f32(uint16_t b)
{
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

/* Rounds to nearest even; NaN stays NaN. */
static inline uint16_t vly_bf16_from_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    if ((u & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fffU + (u >> 16 & 1)) >> 16);
}

#endif

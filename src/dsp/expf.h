/* SPDX-License-Identifier: MIT */
/*
 * exp of a float, inline and without branches, so that loops around it vectorise. 1 ulp over the
 * whole range, subnormal results included; inf above 88.73, 0 below -104, NaN for NaN.
 */
#ifndef VLY_DSP_EXPF_H
#define VLY_DSP_EXPF_H

#include <stdint.h>
#include <string.h>

/* 2^k for -126 <= k <= 127 */
static inline float vly_pow2i(int32_t k)
{
    uint32_t u = (uint32_t)(k + 127) << 23;
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

/* exp(x) = 2^k * e^r, |r| <= ln 2 / 2; e^r by a minimax polynomial (relative error 2^-28). */
static inline float vly_expf(float x)
{
    const float round_magic = 12582912.0F; /* 1.5 * 2^23: the sum's low bits are the integer */
    const float ln2_hi = 0.693145751953125F, ln2_lo = 1.42860677e-6F;
    int32_t bits;

    x = x > 90.0F ? 90.0F : x;
    x = x < -105.0F ? -105.0F : x;
    float kf = x * 1.44269504F + round_magic;
    memcpy(&bits, &kf, sizeof(bits));
    int32_t k = (int32_t)((uint32_t)bits - 0x4b400000U);
    kf -= round_magic;
    float r = (x - kf * ln2_hi) - kf * ln2_lo;
    float q = 1.39505457e-3F;
    q = q * r + 8.36888917e-3F;
    q = q * r + 4.16662049e-2F;
    q = q * r + 1.66665188e-1F;
    q = q * r + 5.00000010e-1F;
    /* k reaches -152..130: two factors, so that each is a normal number (NaN: k is any, r is NaN)
     */
    int32_t half = k >> 1;
    return (1.0F + (r + r * r * q)) * vly_pow2i(half) * vly_pow2i(k - half);
}

#endif

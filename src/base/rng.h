/* SPDX-License-Identifier: MIT */
/*
 * Random numbers, the same again: PCG32 (O'Neill), 2^63 streams. The same seed and stream give the
 * same numbers on every machine, but for the last bit of vly_rng_normal, which log and cos of the C
 * library decide; work that is spread over threads takes a stream of its own for
 * each piece, so that its numbers do not depend on who does it, and when.
 */
#ifndef VLY_BASE_RNG_H
#define VLY_BASE_RNG_H

#include <stdint.h>

typedef struct vly_rng {
    uint64_t state, increment;
} vly_rng;

void vly_rng_init(vly_rng *r, uint64_t seed, uint64_t stream);
uint32_t vly_rng_next(vly_rng *r);
uint32_t vly_rng_below(vly_rng *r, uint32_t n); /* 0 .. n-1, all alike; n >= 1 */
float vly_rng_uniform(vly_rng *r);              /* [0, 1), 24 bits */
float vly_rng_normal(vly_rng *r);               /* mean 0, deviation 1 */
/* As normal, roughly and fast: the sum of four bytes, never past 3.5. For noise on signals. */
float vly_rng_noise(vly_rng *r);
/* One number of several: a seed for each of them. */
uint64_t vly_rng_mix(uint64_t a, uint64_t b);

#endif

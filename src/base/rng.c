/* SPDX-License-Identifier: MIT */
#include "base/rng.h"

#include "base/assert.h"

#include <math.h>

void vly_rng_init(vly_rng *r, uint64_t seed, uint64_t stream)
{
    *r = (vly_rng){.increment = stream << 1 | 1};
    vly_rng_next(r);
    r->state += seed;
    vly_rng_next(r);
}

uint32_t vly_rng_next(vly_rng *r)
{
    uint64_t old = r->state;
    uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27), turn = (uint32_t)(old >> 59);

    r->state = old * 6364136223846793005U + r->increment;
    return shifted >> turn | shifted << (-turn & 31);
}

/* The last, incomplete run of n among 2^32 numbers is drawn again. */
uint32_t vly_rng_below(vly_rng *r, uint32_t n)
{
    VLY_ASSERT(n >= 1);
    uint32_t least = -n % n, x = vly_rng_next(r);

    while (x < least)
        x = vly_rng_next(r);
    return x % n;
}

float vly_rng_uniform(vly_rng *r)
{
    return (float)(vly_rng_next(r) >> 8) * 0x1p-24F;
}

/* Box and Muller; the second number of the pair is left. */
float vly_rng_normal(vly_rng *r)
{
    double u = ((double)vly_rng_next(r) + 0.5) * 0x1p-32;
    double angle = (double)vly_rng_next(r) * 0x1p-32 * 2 * M_PI;

    return (float)(sqrt(-2 * log(u)) * cos(angle));
}

float vly_rng_noise(vly_rng *r)
{
    uint32_t x = vly_rng_next(r), pairs = (x & 0x00ff00ffU) + (x >> 8 & 0x00ff00ffU);
    uint32_t sum = (pairs & 0xffffU) + (pairs >> 16);

    return ((float)sum - 510) * (1 / 147.8F); /* mean and deviation of the sum */
}

/* The finish of splitmix64 over both. */
uint64_t vly_rng_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a * 0x9e3779b97f4a7c15U + b + 0x9e3779b97f4a7c15U;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
}

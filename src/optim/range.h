/* SPDX-License-Identifier: MIT */
/*
 * From the values a tensor takes to the range its 8 bits should cover.
 *
 * A tally counts values in equal bins between the least and the greatest seen. The ways to choose:
 *   MINMAX      all of it
 *   PERCENTILE  without the outermost values on each side
 *   ENTROPY     the symmetric limit whose 256 levels tell most about the distribution (least
 *               Kullback-Leibler divergence)
 *   MSE         the limits with the least expected square of the error, rounding and clipping
 * Every range holds 0, which quantises exactly.
 */
#ifndef VLY_OPTIM_RANGE_H
#define VLY_OPTIM_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_TALLY_BINS 4096

typedef enum vly_range_method {
    VLY_RANGE_MINMAX,
    VLY_RANGE_PERCENTILE,
    VLY_RANGE_ENTROPY,
    VLY_RANGE_MSE,
    VLY_RANGE_METHODS,
} vly_range_method;

/* "min-max", "percentile", "entropy", "mse"; NULL for others. */
const char *vly_range_method_name(vly_range_method m);

typedef struct vly_tally {
    float lo, hi; /* lo <= 0 <= hi */
    uint64_t n, n_zeros;
    uint64_t bins[VLY_TALLY_BINS];
} vly_tally;

typedef struct vly_range {
    float lo, hi; /* lo <= 0 <= hi */
} vly_range;

/* Widens *r to hold x[0..n); false, and nothing changed: a value is not finite. */
bool vly_range_widen(vly_range *r, const float *x, size_t n);
/* Counts x[0..n); s->lo and s->hi are set and hold them all (others count in the outermost bins).
 */
void vly_tally_add(vly_tally *s, const float *x, size_t n);
/* percentile: 50..100, the share of values inside on each side (PERCENTILE only). */
vly_range vly_tally_range(const vly_tally *s, vly_range_method method, double percentile);

/* x = (q - zero) * scale over 0..255. A range of nothing but 0 has scale 1. */
typedef struct vly_affine {
    float scale;
    uint8_t zero;
} vly_affine;

vly_affine vly_affine_of(vly_range r);

#endif

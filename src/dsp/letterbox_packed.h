/* SPDX-License-Identifier: MIT */
/*
 * What the levels of dsp/letterbox.h share: packed taps begin with a copy of the taps, which the C
 * reference reads and the vector levels fall back on for the columns that do not fill a vector.
 *
 *   header | taps [n] | groups of columns, 64-byte aligned
 */
#ifndef VLY_DSP_LETTERBOX_PACKED_H
#define VLY_DSP_LETTERBOX_PACKED_H

#include "base/bits.h"
#include "dsp/letterbox.h"

#include <stdbool.h>

#define VLY_LETTERBOX_GROUP_BYTES 24 /* per column, the most that a level needs */

typedef struct vly_letterbox_header {
    size_t n;
    size_t n_grouped; /* columns 0..n_grouped-1 are in groups */
    bool is_wide;     /* groups span more than one load */
} vly_letterbox_header;

static inline const vly_letterbox_tap *vly_letterbox_taps(const vly_letterbox_header *h)
{
    return (const vly_letterbox_tap *)(const void *)(h + 1);
}

static inline size_t vly_letterbox_groups_at(size_t n)
{
    return vly_align_up(sizeof(vly_letterbox_header) + n * sizeof(vly_letterbox_tap), 64);
}

static inline const void *vly_letterbox_groups(const vly_letterbox_header *h)
{
    return (const char *)h + vly_letterbox_groups_at(h->n);
}

/* Header without groups, and taps. */
void vly_letterbox_pack_c(void *packed, const vly_letterbox_tap *taps, size_t n, size_t src_bytes);
/* Columns begin..n-1. */
void vly_letterbox_across_from(int16_t *dst, size_t plane, const uint8_t *src,
                               const vly_letterbox_header *h, size_t begin);

/* A tap as one offset: both pixels are at left and left + 3. */
typedef struct vly_letterbox_pair {
    uint32_t left;
    int16_t w0, w1;
} vly_letterbox_pair;

/* The same tap with a right neighbour where it has none: the weights move. Rows of one pixel: not
 * possible. */
static inline vly_letterbox_pair vly_letterbox_pair_of(const vly_letterbox_tap *t, size_t src_bytes)
{
    int16_t w1 = (int16_t)t->weight, w0 = (int16_t)(VLY_LETTERBOX_ONE - t->weight);

    if (t->left != t->right)
        return (vly_letterbox_pair){t->left, w0, w1};
    if (t->left + 6 <= src_bytes)
        return (vly_letterbox_pair){t->left, VLY_LETTERBOX_ONE, 0};
    return (vly_letterbox_pair){t->left - 3, 0, VLY_LETTERBOX_ONE};
}

#endif

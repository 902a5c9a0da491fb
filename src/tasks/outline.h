/* SPDX-License-Identifier: MIT */
/*
 * Outlines of the regions in a bitmap, as polygons along the pixels' edges.
 *
 * A region is 4-connected. Only outer outlines are kept (holes go clockwise the other way round,
 * and are dropped), and of those the ones around at least VLY_OUTLINE_AREA_MIN pixels. Corners
 * closer than VLY_OUTLINE_TOLERANCE to the simplified line are left out, by one pass along the
 * outline (the cone of directions that pass all corners since the last point): linear in the
 * outline's length, where Douglas-Peucker is quadratic at worst, which a hostile mask would find.
 */
#ifndef VLY_TASKS_OUTLINE_H
#define VLY_TASKS_OUTLINE_H

#include "base/arena.h"
#include "base/status.h"
#include "tasks/observation.h"

#include <stdbool.h>
#include <stdint.h>

#define VLY_OUTLINE_TOLERANCE 1.0 /* pixels: removes the stairs of a straight edge */
#define VLY_OUTLINE_AREA_MIN  4
#define VLY_OUTLINE_COUNT_MAX 64

/* Bits in columns: pixel (x, y) is bit y % 64 of words[x * column_words + y / 64]. */
typedef struct vly_bitmap {
    uint64_t *words;
    uint32_t width;
    uint32_t height;
    uint32_t column_words;
} vly_bitmap;

static inline bool vly_bitmap_get(const vly_bitmap *b, uint32_t x, uint32_t y)
{
    return (b->words[(size_t)x * b->column_words + y / 64] >> (y % 64) & 1) != 0;
}

/* The outlines, moved by (x0, y0), in order of their leftmost top corner; at most
 * VLY_OUTLINE_COUNT_MAX. seen: a scratch bitmap of the same size, zeroed by the caller. ELIMIT: the
 * arena is full. */
vly_status vly_outlines(const vly_bitmap *b, vly_bitmap *seen, uint32_t x0, uint32_t y0,
                        vly_arena *arena, const vly_polygon **ret, uint32_t *ret_count,
                        vly_err *err) VLY_MUST_CHECK;

#endif

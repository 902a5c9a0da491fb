/* SPDX-License-Identifier: MIT */
/*
 * EXIF orientation names where the stored row 0 and column 0 belong:
 *
 *   1 top, left      3 bottom, right     5 left, top       7 right, bottom
 *   2 top, right     4 bottom, left      6 right, top      8 left, bottom
 *
 * 2 to 4 are done in place. 5 to 8 exchange rows and columns; the copy goes by tiles, because a
 * plain loop touches a new cache line for each pixel of a column.
 */
#include "base/assert.h"
#include "codec/picture_codec.h"

#include <string.h>

#define TILE 32

static void swap_bytes(uint8_t *a, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

static void mirror(vly_picture *p)
{
    for (uint32_t y = 0; y < p->height; y++) {
        uint8_t *left = p->pixels + y * p->stride;
        uint8_t *right = left + (size_t)3 * (p->width - 1);
        for (; left < right; left += 3, right -= 3)
            swap_bytes(left, right, 3);
    }
}

static void flip(vly_picture *p)
{
    for (uint32_t y = 0; y < p->height / 2; y++)
        swap_bytes(p->pixels + y * p->stride, p->pixels + (p->height - 1 - y) * p->stride,
                   (size_t)3 * p->width);
}

/* Column x of src becomes row x of dst, or row width-1-x when is_flipped; a column's top pixel goes
 * to the left, or to the right when is_mirrored. */
static void transpose_tile(vly_picture *dst, const vly_picture *src, uint32_t x0, uint32_t y0,
                           bool is_mirrored, bool is_flipped)
{
    uint32_t x1 = src->width - x0 < TILE ? src->width : x0 + TILE;
    uint32_t y1 = src->height - y0 < TILE ? src->height : y0 + TILE;

    for (uint32_t x = x0; x < x1; x++) {
        uint8_t *row = dst->pixels + (is_flipped ? src->width - 1 - x : x) * dst->stride;
        for (uint32_t y = y0; y < y1; y++)
            memcpy(row + (size_t)3 * (is_mirrored ? src->height - 1 - y : y),
                   src->pixels + y * src->stride + (size_t)3 * x, 3);
    }
}

static vly_status transpose(vly_picture *p, bool is_mirrored, bool is_flipped, vly_err *err)
{
    vly_picture turned;
    vly_status st = vly_picture_new(p->height, p->width, &turned, err);
    if (st != VLY_OK)
        return st;

    for (uint32_t y = 0; y < p->height; y += TILE)
        for (uint32_t x = 0; x < p->width; x += TILE)
            transpose_tile(&turned, p, x, y, is_mirrored, is_flipped);
    vly_picture_release(p);
    *p = turned;
    return VLY_OK;
}

vly_status vly_picture__upright(vly_picture *p, int orientation, vly_err *err)
{
    VLY_ASSERT(orientation >= 1 && orientation <= 8);
    if (orientation >= 5)
        return transpose(p, orientation == 6 || orientation == 7,
                         orientation == 7 || orientation == 8, err);
    if (orientation == 2 || orientation == 3)
        mirror(p);
    if (orientation == 3 || orientation == 4)
        flip(p);
    return VLY_OK;
}

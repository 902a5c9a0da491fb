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

#include <stddef.h>
#include <string.h>

#define TILE 32

static void mirror(vly_picture *p)
{
    uint8_t t[3];

    for (uint32_t y = 0; y < p->height; y++) {
        uint8_t *left = p->pixels + y * p->stride;
        uint8_t *right = left + (size_t)3 * (p->width - 1);
        for (; left < right; left += 3, right -= 3) {
            memcpy(t, left, 3);
            memcpy(left, right, 3);
            memcpy(right, t, 3);
        }
    }
}

static void flip(vly_picture *p)
{
    uint8_t t[1024];
    size_t n = (size_t)3 * p->width;

    for (uint32_t y = 0; y < p->height / 2; y++) {
        uint8_t *top = p->pixels + y * p->stride;
        uint8_t *bottom = p->pixels + (p->height - 1 - y) * p->stride;
        for (size_t i = 0; i < n; i += sizeof(t)) {
            size_t part = n - i < sizeof(t) ? n - i : sizeof(t);
            memcpy(t, top + i, part);
            memcpy(top + i, bottom + i, part);
            memcpy(bottom + i, t, part);
        }
    }
}

/* Pixel (x, y) of src goes to origin + x * x_step + y * y_step, for one tile. */
static void copy_tile(const vly_picture *src, uint32_t x0, uint32_t y0, uint8_t *origin,
                      ptrdiff_t x_step, ptrdiff_t y_step)
{
    uint32_t x1 = src->width - x0 < TILE ? src->width : x0 + TILE;
    uint32_t y1 = src->height - y0 < TILE ? src->height : y0 + TILE;

    for (uint32_t y = y0; y < y1; y++) {
        const uint8_t *from = src->pixels + y * src->stride;
        uint8_t *to = origin + (ptrdiff_t)y * y_step;
        for (uint32_t x = x0; x < x1; x++)
            memcpy(to + (ptrdiff_t)x * x_step, from + (size_t)3 * x, 3);
    }
}

/* Column x of p becomes row x, or is counted from below when is_flipped; its top pixel goes to the
 * left, or to the right when is_mirrored. */
static vly_status transpose(vly_picture *p, bool is_mirrored, bool is_flipped, vly_err *err)
{
    vly_picture turned;
    vly_status st = vly_picture_new(p->height, p->width, &turned, err);
    if (st != VLY_OK)
        return st;

    uint8_t *origin = turned.pixels;
    ptrdiff_t x_step = (ptrdiff_t)turned.stride, y_step = 3;
    if (is_flipped) {
        origin += (turned.height - 1) * turned.stride;
        x_step = -x_step;
    }
    if (is_mirrored) {
        origin += (size_t)3 * (turned.width - 1);
        y_step = -y_step;
    }
    for (uint32_t y = 0; y < p->height; y += TILE)
        for (uint32_t x = 0; x < p->width; x += TILE)
            copy_tile(p, x, y, origin, x_step, y_step);
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

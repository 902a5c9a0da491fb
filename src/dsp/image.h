/* SPDX-License-Identifier: MIT */
/*
 * Images, the form of activations inside fused plans: channels last, with a border.
 *
 *   element (n, y, x, c) is at  data[n * picture + y * row + x * pixel + c]
 *
 * in units of elements, for 0 <= c < `c`, y from -border_h to h + border_h - 1 and x likewise: the
 * border around each picture is part of the buffer and holds zero (VLY_ELEM_U8: the zero point), so
 * that windows reach over the edge without a branch. `pixel` may be larger than `c`: the image is
 * then a slice of the channels of a wider one, which is how Concat and Split cost nothing.
 *
 * A signal [n, c, length] is an image with h = 1; a matrix [rows, c] one with n = h = 1, w = rows.
 *
 * VLY_ELEM_U8 stands for the real value (q - zero) * scale.
 *
 * A view: owns nothing. Buffers are 64-byte aligned and have VLY_IMAGE_SLACK readable bytes behind
 * their last element. Thread: any.
 */
#ifndef VLY_DSP_IMAGE_H
#define VLY_DSP_IMAGE_H

#include "base/bf16.h"
#include <math.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_IMAGE_SLACK 64

typedef enum vly_elem {
    VLY_ELEM_F32,
    VLY_ELEM_BF16, /* uint16_t: the upper half of a float, rounded to nearest even */
    VLY_ELEM_U8,
} vly_elem;

typedef struct vly_image {
    void *data; /* element (0, 0, 0, 0) */
    vly_elem elem;
    int n, h, w, c;
    int border_h, border_w;      /* rows above and below, columns left and right */
    int64_t pixel, row, picture; /* distances, in elements */
    float scale;                 /* VLY_ELEM_U8 */
    int32_t zero;                /* VLY_ELEM_U8: 0..255 */
} vly_image;

static inline size_t vly_elem_size(vly_elem e)
{
    return e == VLY_ELEM_F32 ? 4 : e == VLY_ELEM_BF16 ? 2 : 1;
}

/* Address of element (n, y, x, 0). */
static inline void *vly_image_at(const vly_image *im, int64_t n, int64_t y, int64_t x)
{
    int64_t i = n * im->picture + y * im->row + x * im->pixel;
    return (unsigned char *)im->data + i * (int64_t)vly_elem_size(im->elem);
}

/* Are the pixels of all pictures one contiguous array of [n * h * w] pixels? */
static inline bool vly_image_is_flat(const vly_image *im)
{
    return im->border_h == 0 && im->border_w == 0 && (im->h == 1 || im->row == im->w * im->pixel) &&
           (im->n == 1 || im->picture == im->h * im->w * im->pixel);
}

/* Writes the border of the rows y0..y1-1 of picture n (and with y0 == 0 or y1 == h the rows above
 * or below): zeros, or the zero point. */
void vly_image_fill_border(const vly_image *im, int n, int y0, int y1);

/* The real value of element c of the pixel at `at`. */
static inline float vly_image_get(const vly_image *im, const void *at, int c)
{
    if (im->elem == VLY_ELEM_F32)
        return ((const float *)at)[c];
    if (im->elem == VLY_ELEM_BF16)
        return vly_bf16_to_f32(((const uint16_t *)at)[c]);
    return (float)(((const uint8_t *)at)[c] - im->zero) * im->scale;
}

/* v as im's U8: rounded half to even, saturated; NaN gives 0. */
static inline uint8_t vly_image_quantise(const vly_image *im, float v)
{
    float q = rintf(v / im->scale) + (float)im->zero;
    return (uint8_t)(q > 0.0f ? q < 255.0f ? q : 255.0f : 0.0f);
}

/* Writes v to element c of the pixel at `at`. */
static inline void vly_image_put(const vly_image *im, void *at, int c, float v)
{
    if (im->elem == VLY_ELEM_F32)
        ((float *)at)[c] = v;
    else if (im->elem == VLY_ELEM_BF16)
        ((uint16_t *)at)[c] = vly_bf16_from_f32(v);
    else
        ((uint8_t *)at)[c] = vly_image_quantise(im, v);
}

#endif

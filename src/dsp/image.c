/* SPDX-License-Identifier: MIT */
#include "dsp/image.h"

#include <string.h>

/* n pixels from (y, x) on. Bits of zero are 0.0 in both float elements. */
static void fill_pixels(const vly_image *im, int n, int y, int x, int count)
{
    unsigned char *at = vly_image_at(im, n, y, x);
    size_t elem = vly_elem_size(im->elem), bytes = (size_t)im->c * elem;
    int byte = im->elem == VLY_ELEM_U8 ? im->zero : 0;

    if (im->pixel == im->c) {
        memset(at, byte, bytes * (size_t)count);
        return;
    }
    for (int i = 0; i < count; i++, at += (size_t)im->pixel * elem)
        memset(at, byte, bytes);
}

void vly_image_fill_border(const vly_image *im, int n, int y0, int y1)
{
    int h = im->border_h, w = im->border_w;

    for (int y = y0 == 0 ? -h : y0; y < (y1 == im->h ? im->h + h : y1); y++) {
        if (y < 0 || y >= im->h) {
            fill_pixels(im, n, y, -w, im->w + 2 * w);
        } else if (w > 0) {
            fill_pixels(im, n, y, -w, w);
            fill_pixels(im, n, y, im->w, w);
        }
    }
}

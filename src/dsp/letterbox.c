/* SPDX-License-Identifier: MIT */
#include "dsp/letterbox.h"

/* The gather over taps keeps this scalar; three planes out of it let `down` run on whole vectors.
 */
static void across_c(int16_t *dst, size_t plane, const uint8_t *src, const vly_letterbox_tap *taps,
                     size_t n)
{
    int16_t *restrict r = dst, *restrict g = dst + plane, *restrict b = dst + 2 * plane;

    for (size_t x = 0; x < n; x++) {
        const uint8_t *left = src + taps[x].left, *right = src + taps[x].right;
        int w1 = taps[x].weight, w0 = VLY_LETTERBOX_ONE - w1;
        r[x] = (int16_t)((left[0] * w0 + right[0] * w1) >> 4);
        g[x] = (int16_t)((left[1] * w0 + right[1] * w1) >> 4);
        b[x] = (int16_t)((left[2] * w0 + right[2] * w1) >> 4);
    }
}

static void down_c(float *restrict dst, const int16_t *row0, const int16_t *row1, int weight,
                   float scale, float bias, size_t n)
{
    int w1 = weight, w0 = VLY_LETTERBOX_ONE - weight;

    for (size_t x = 0; x < n; x++) {
        int u8 = ((row0[x] * w0 >> 16) + (row1[x] * w1 >> 16) + 2) >> 2;
        dst[x] = (float)u8 * scale + bias;
    }
}

void vly_letterbox_dsp_init(vly_letterbox_dsp *dsp, unsigned cpu_flags)
{
    (void)cpu_flags; /* C is the only level yet */
    dsp->across = across_c;
    dsp->down = down_c;
}

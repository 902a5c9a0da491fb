/* SPDX-License-Identifier: MIT */
#include "dsp/letterbox.h"

#include "dsp/letterbox_packed.h"
#if defined(__x86_64__)
#include "dsp/x86/letterbox_x86.h"
#endif

#include <string.h>

size_t vly_letterbox_packed_bytes(size_t n)
{
    return vly_letterbox_groups_at(n) + n * VLY_LETTERBOX_GROUP_BYTES;
}

void vly_letterbox_pack_c(void *packed, const vly_letterbox_tap *taps, size_t n, size_t src_bytes)
{
    vly_letterbox_header *h = packed;

    (void)src_bytes;
    *h = (vly_letterbox_header){.n = n};
    memcpy(h + 1, taps, n * sizeof(*taps));
}

/* The walk over taps keeps this scalar; three planes out of it let `down` run on whole vectors. */
void vly_letterbox_across_from(int16_t *dst, size_t plane, const uint8_t *src,
                               const vly_letterbox_header *h, size_t begin)
{
    int16_t *restrict r = dst, *restrict g = dst + plane, *restrict b = dst + 2 * plane;
    const vly_letterbox_tap *taps = vly_letterbox_taps(h);

    for (size_t x = begin; x < h->n; x++) {
        const uint8_t *left = src + taps[x].left, *right = src + taps[x].right;
        int w1 = taps[x].weight, w0 = VLY_LETTERBOX_ONE - w1;
        r[x] = (int16_t)((left[0] * w0 + right[0] * w1) >> 4);
        g[x] = (int16_t)((left[1] * w0 + right[1] * w1) >> 4);
        b[x] = (int16_t)((left[2] * w0 + right[2] * w1) >> 4);
    }
}

static void across_c(int16_t *dst, size_t plane, const uint8_t *src, const void *packed)
{
    vly_letterbox_across_from(dst, plane, src, packed, 0);
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

static void fill_c(float *dst, float value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = value;
}

void vly_letterbox_dsp_init(vly_letterbox_dsp *dsp, unsigned cpu_flags)
{
    *dsp = (vly_letterbox_dsp){vly_letterbox_pack_c, across_c, down_c, fill_c};
#if defined(__x86_64__)
    vly_letterbox_dsp_init_x86(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}

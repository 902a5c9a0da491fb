/* SPDX-License-Identifier: MIT */
/*
 * Kernels of the fused resize: one source row across, then two of those rows down, to float.
 *
 * Fixed point as in OpenCV's 8-bit INTER_LINEAR: weights have 11 bits (their sum is 2048), a row
 * between the passes keeps 7 fractional bits, so 0..255 becomes 0..32640 and fits an int16_t:
 *
 *   across  row[x] = (s[i]*(2048-w) + s[i+1]*w) >> 4
 *   down    u8     = ((row0*(2048-v) >> 16) + (row1*v >> 16) + 2) >> 2
 *
 * Integer results are exact: every level gives the same bytes. The last step is one multiply and
 * one add per sample in float32.
 *
 * Thread: any.
 */
#ifndef VLY_DSP_LETTERBOX_H
#define VLY_DSP_LETTERBOX_H

#include <stddef.h>
#include <stdint.h>

#define VLY_LETTERBOX_ONE 2048 /* weight 1.0 */

/* One output column: the byte offset of its left and right source pixels, which are neighbours or
 * the same, and the right one's weight, 0..VLY_LETTERBOX_ONE. */
typedef struct vly_letterbox_tap {
    uint32_t left;
    uint32_t right;
    int32_t weight;
} vly_letterbox_tap;

typedef struct vly_letterbox_dsp {
    /* Brings the taps of n columns, left to right, into the form that this level's `across` reads.
     * packed: [vly_letterbox_packed_bytes(n)], 64-byte aligned. src_bytes: of a source row. */
    void (*pack)(void *packed, const vly_letterbox_tap *taps, size_t n, size_t src_bytes);
    /* src: interleaved RGB row. dst: three planes of n samples, plane c at dst + c * plane. */
    void (*across)(int16_t *dst, size_t plane, const uint8_t *src, const void *packed);
    /* dst[i] = u8(row0[i], row1[i], weight) * scale + bias, i in 0..n-1; weight belongs to row1. */
    void (*down)(float *dst, const int16_t *row0, const int16_t *row1, int weight, float scale,
                 float bias, size_t n);
    void (*fill)(float *dst, float value, size_t n);
} vly_letterbox_dsp;

size_t vly_letterbox_packed_bytes(size_t n); /* n <= 2^24; enough for every level */

/* Picks the best kernels that cpu_flags (vly_cpu_flags()) allow. */
void vly_letterbox_dsp_init(vly_letterbox_dsp *dsp, unsigned cpu_flags);

#endif

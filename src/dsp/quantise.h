/* SPDX-License-Identifier: MIT */
/*
 * Affine quantisation of rows: q = saturate(round(x / scale) + zero), x = (q - zero) * scale, with
 * ties rounded to even. NaN quantises to the lowest value.
 *
 * A format is the range of q and how it lies in memory; 4-bit values are one to a byte here, sign
 * extended (dsp packs nothing).
 */
#ifndef VLY_DSP_QUANTISE_H
#define VLY_DSP_QUANTISE_H

#include <stdint.h>

typedef enum vly_quant_type {
    VLY_QUANT_U8,
    VLY_QUANT_I8,
    VLY_QUANT_U16,
    VLY_QUANT_I16,
    VLY_QUANT_U4,  /* in a uint8_t */
    VLY_QUANT_I4,  /* in an int8_t */
    VLY_QUANT_I32, /* dequantise only */
} vly_quant_type;

/* y[i] = saturate(round(x[i] / scale) + zero). */
void vly_quantise_f32(const float *x, int64_t n, float scale, int32_t zero, vly_quant_type type,
                      void *y);
/* y[i] = saturate(round(x[i] * factor) + zero): int32 sums of a quantised product. */
void vly_requantise_s32(const int32_t *x, int64_t n, float factor, int32_t zero,
                        vly_quant_type type, void *y);
/* y[i] = (x[i] - zero) * scale. */
void vly_dequantise_f32(const void *x, int64_t n, float scale, int32_t zero, vly_quant_type type,
                        float *y);

#endif

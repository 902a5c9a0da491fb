/* SPDX-License-Identifier: MIT */
#include "dsp/quantise.h"

#include <stddef.h>

typedef struct range {
    int32_t lo, hi;
} range;

static range range_of(vly_quant_type type)
{
    static const range ranges[] = {
        [VLY_QUANT_U8] = {0, UINT8_MAX},
        [VLY_QUANT_I8] = {INT8_MIN, INT8_MAX},
        [VLY_QUANT_U16] = {0, UINT16_MAX},
        [VLY_QUANT_I16] = {INT16_MIN, INT16_MAX},
        [VLY_QUANT_U4] = {0, 15},
        [VLY_QUANT_I4] = {-8, 7},
        [VLY_QUANT_I32] = {INT32_MIN, INT32_MAX},
    };
    return ranges[type];
}

/* Clamped first, which leaves less than 2^22 in magnitude; then adding and taking away 1.5 * 2^23
 * rounds to even, and unlike rintf() vectorises on every CPU. lo and hi are integers, so clamping
 * before rounding is the same as after. */
static inline int32_t round_within(float v, float lo, float hi)
{
    const float magic = 12582912.0f;
    v = v > lo ? v : lo; /* NaN becomes lo */
    v = v < hi ? v : hi;
    return (int32_t)((v + magic) - magic);
}

#define STORE_ROWS(out_type, value)                                                                \
    do {                                                                                           \
        out_type *out = y;                                                                         \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = (out_type)(round_within((value), lo, hi) + zero);                             \
    } while (0)

#define STORE_AS(type, value)                                                                      \
    do {                                                                                           \
        range r = range_of(type);                                                                  \
        float lo = (float)(r.lo - zero), hi = (float)(r.hi - zero);                                \
        if (type == VLY_QUANT_U8 || type == VLY_QUANT_U4)                                          \
            STORE_ROWS(uint8_t, value);                                                            \
        else if (type == VLY_QUANT_I8 || type == VLY_QUANT_I4)                                     \
            STORE_ROWS(int8_t, value);                                                             \
        else if (type == VLY_QUANT_U16)                                                            \
            STORE_ROWS(uint16_t, value);                                                           \
        else                                                                                       \
            STORE_ROWS(int16_t, value);                                                            \
    } while (0)

void vly_quantise_f32(const float *x, int64_t n, float scale, int32_t zero, vly_quant_type type,
                      void *y)
{
    STORE_AS(type, x[i] / scale);
}

void vly_requantise_s32(const int32_t *x, int64_t n, float factor, int32_t zero,
                        vly_quant_type type, void *y)
{
    STORE_AS(type, (float)x[i] * factor);
}

#define LOAD_ROWS(in_type)                                                                         \
    do {                                                                                           \
        const in_type *in = x;                                                                     \
        for (int64_t i = 0; i < n; i++)                                                            \
            y[i] = (float)(in[i] - zero) * scale;                                                  \
    } while (0)

void vly_dequantise_f32(const void *x, int64_t n, float scale, int32_t zero, vly_quant_type type,
                        float *y)
{
    switch (type) {
    case VLY_QUANT_U8:
    case VLY_QUANT_U4:
        LOAD_ROWS(uint8_t);
        break;
    case VLY_QUANT_I8:
    case VLY_QUANT_I4:
        LOAD_ROWS(int8_t);
        break;
    case VLY_QUANT_U16:
        LOAD_ROWS(uint16_t);
        break;
    case VLY_QUANT_I16:
        LOAD_ROWS(int16_t);
        break;
    case VLY_QUANT_I32:
        for (int64_t i = 0; i < n; i++) /* the difference may need 33 bits */
            y[i] = (float)((int64_t)((const int32_t *)x)[i] - zero) * scale;
        break;
    }
}

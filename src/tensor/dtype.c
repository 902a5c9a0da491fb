/* SPDX-License-Identifier: MIT */
#include "tensor/dtype.h"

#include "base/assert.h"
#include "base/bits.h"

typedef struct dtype_row {
    const char *name;
    const char *kserve;
    unsigned bits;
} dtype_row;

static const dtype_row rows[VLY_DTYPE_N] = {
#define DTYPE_ROW(name, id, bits, onnx, kserve) [VLY_DTYPE_##name] = {onnx, kserve, bits},
    VLY_DTYPE_MAP(DTYPE_ROW)
#undef DTYPE_ROW
};

bool vly_dtype_valid(int64_t onnx_id)
{
    return onnx_id > VLY_DTYPE_UNDEFINED && onnx_id < VLY_DTYPE_N;
}

unsigned vly_dtype_bits(vly_dtype t)
{
    VLY_ASSERT(t < VLY_DTYPE_N);
    return rows[t].bits;
}

const char *vly_dtype_name(vly_dtype t)
{
    VLY_ASSERT(t < VLY_DTYPE_N);
    return rows[t].name;
}

const char *vly_dtype_kserve(vly_dtype t)
{
    VLY_ASSERT(t < VLY_DTYPE_N);
    return rows[t].kserve;
}

bool vly_dtype_from_kserve(vly_str name, vly_dtype *ret)
{
    for (int i = 1; i < VLY_DTYPE_N; i++) {
        if (name.len > 0 && vly_str_is(name, rows[i].kserve)) {
            *ret = (vly_dtype)i;
            return true;
        }
    }
    return false;
}

bool vly_dtype_is_float(vly_dtype t)
{
    return t == VLY_DTYPE_F32 || t == VLY_DTYPE_F64 || t == VLY_DTYPE_F16 || t == VLY_DTYPE_BF16;
}

bool vly_dtype_is_signed(vly_dtype t)
{
    return vly_dtype_is_float(t) || t == VLY_DTYPE_I8 || t == VLY_DTYPE_I16 || t == VLY_DTYPE_I32 ||
           t == VLY_DTYPE_I64 || t == VLY_DTYPE_I4;
}

bool vly_dtype_is_int(vly_dtype t)
{
    return (t >= VLY_DTYPE_U8 && t <= VLY_DTYPE_I64) || t == VLY_DTYPE_U32 || t == VLY_DTYPE_U64;
}

bool vly_dtype_size(vly_dtype t, uint64_t n, size_t *ret)
{
    uint64_t bits;
    if (__builtin_mul_overflow(n, (uint64_t)vly_dtype_bits(t), &bits) || bits > UINT64_MAX - 7)
        return false;
    *ret = (size_t)((bits + 7) / 8);
    return true;
}

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    return u;
}

static float bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof(f));
    return f;
}

float vly_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = (h >> 10) & 0x1f;
    uint32_t mantissa = h & 0x3ff;

    if (exponent == 0x1f) /* infinity, NaN */
        return bits_float(sign | 0x7f800000 | mantissa << 13);
    if (exponent == 0) { /* zero and subnormal: mantissa * 2^-24 is exact in float */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign != 0 ? -magnitude : magnitude;
    }
    return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t vly_f32_to_f16(float f)
{
    uint32_t u = float_bits(f);
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    u &= 0x7fffffff;

    if (u > 0x7f800000) /* NaN stays a quiet NaN */
        return sign | 0x7e00;
    if (u >= 0x477ff000) /* rounds to 65520 or more: infinity */
        return sign | 0x7c00;
    if (u < 0x38800000) /* subnormal half: adding 0.5 leaves round(f * 2^24) in the low bits */
        return (uint16_t)(sign | (float_bits(bits_float(u) + 0.5f) - 0x3f000000));
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | ((u - 0x38000000) >> 13));
}

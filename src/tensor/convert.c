/* SPDX-License-Identifier: MIT */
/*
 * Types that C has convert pairwise in plain loops. The small ones (16-bit, 8-bit and 4-bit floats,
 * 4-bit integers) go through chunks of double, which holds each of them exactly.
 */
#include "tensor/convert.h"

#include "base/assert.h"

#include <math.h>

enum { CHUNK = 256 };

/* X(dtype, C type) of what C computes with; integers have their range too. */
#define NATIVE_FLOATS(X, ...) X(F32, float, __VA_ARGS__) X(F64, double, __VA_ARGS__)
#define NATIVE_INTS(X, ...)                                                                        \
    X(U8, uint8_t, __VA_ARGS__)                                                                    \
    X(I8, int8_t, __VA_ARGS__)                                                                     \
    X(U16, uint16_t, __VA_ARGS__)                                                                  \
    X(I16, int16_t, __VA_ARGS__)                                                                   \
    X(U32, uint32_t, __VA_ARGS__)                                                                  \
    X(I32, int32_t, __VA_ARGS__)                                                                   \
    X(U64, uint64_t, __VA_ARGS__)                                                                  \
    X(I64, int64_t, __VA_ARGS__)                                                                   \
    X(BOOL, uint8_t, __VA_ARGS__)

bool vly_dtype_is_real(vly_dtype t)
{
    return t != VLY_DTYPE_UNDEFINED && t < VLY_DTYPE_N && t != VLY_DTYPE_STRING &&
           t != VLY_DTYPE_C64 && t != VLY_DTYPE_C128;
}

static bool is_native(vly_dtype t)
{
    return t == VLY_DTYPE_F32 || t == VLY_DTYPE_F64 || t == VLY_DTYPE_BOOL || vly_dtype_is_int(t);
}

/* ---- native to native --------------------------------------------------------------------- */

/* Truncates; the bounds compare right even where they are rounded up to a power of two. */
#define SATURATED(v, T, lo, hi)                                                                    \
    ((v) >= (__typeof__(v))(hi) ? (T)(hi) : (v) > (lo) ? (T)(v) : (v) == (v) ? (T)(lo) : 0)

#define LOOP_FROM(dtype, T, CONVERT)                                                               \
    case VLY_DTYPE_##dtype: {                                                                      \
        const T *s = src;                                                                          \
        for (size_t i = 0; i < n; i++)                                                             \
            d[i] = CONVERT(s[i]);                                                                  \
        break;                                                                                     \
    }

/* One function per destination: FROM_REAL and FROM_INT say how an element becomes a T. */
#define NATIVE_TO(name, T, FROM_REAL, FROM_INT)                                                    \
    static void to_##name(vly_dtype from, const void *src, T *d, size_t n)                         \
    {                                                                                              \
        switch ((int)from) {                                                                       \
            NATIVE_FLOATS(LOOP_FROM, FROM_REAL)                                                    \
            NATIVE_INTS(LOOP_FROM, FROM_INT)                                                       \
        default:                                                                                   \
            VLY_ASSERT(!"a native type");                                                          \
        }                                                                                          \
    }

#define AS_F32(v)  (float)(v)
#define AS_F64(v)  (double)(v)
#define AS_BOOL(v) ((v) != 0)
#define AS_U8(v)   (uint8_t)(v)
#define AS_I8(v)   (int8_t)(v)
#define AS_U16(v)  (uint16_t)(v)
#define AS_I16(v)  (int16_t)(v)
#define AS_U32(v)  (uint32_t)(v)
#define AS_I32(v)  (int32_t)(v)
#define AS_U64(v)  (uint64_t)(v)
#define AS_I64(v)  (int64_t)(v)
#define SAT_U8(v)  SATURATED(v, uint8_t, 0, UINT8_MAX)
#define SAT_I8(v)  SATURATED(v, int8_t, INT8_MIN, INT8_MAX)
#define SAT_U16(v) SATURATED(v, uint16_t, 0, UINT16_MAX)
#define SAT_I16(v) SATURATED(v, int16_t, INT16_MIN, INT16_MAX)
#define SAT_U32(v) SATURATED(v, uint32_t, 0, UINT32_MAX)
#define SAT_I32(v) SATURATED(v, int32_t, INT32_MIN, INT32_MAX)
#define SAT_U64(v) SATURATED(v, uint64_t, 0, UINT64_MAX)
#define SAT_I64(v) SATURATED(v, int64_t, INT64_MIN, INT64_MAX)

NATIVE_TO(F32, float, AS_F32, AS_F32)
NATIVE_TO(F64, double, AS_F64, AS_F64)
NATIVE_TO(BOOL, uint8_t, AS_BOOL, AS_BOOL)
NATIVE_TO(U8, uint8_t, SAT_U8, AS_U8)
NATIVE_TO(I8, int8_t, SAT_I8, AS_I8)
NATIVE_TO(U16, uint16_t, SAT_U16, AS_U16)
NATIVE_TO(I16, int16_t, SAT_I16, AS_I16)
NATIVE_TO(U32, uint32_t, SAT_U32, AS_U32)
NATIVE_TO(I32, int32_t, SAT_I32, AS_I32)
NATIVE_TO(U64, uint64_t, SAT_U64, AS_U64)
NATIVE_TO(I64, int64_t, SAT_I64, AS_I64)

static void native_to_native(vly_dtype from, const void *src, vly_dtype to, void *dst, size_t n)
{
    switch ((int)to) {
#define DISPATCH(dtype, T, unused)                                                                 \
    case VLY_DTYPE_##dtype:                                                                        \
        to_##dtype(from, src, dst, n);                                                             \
        break;
        NATIVE_FLOATS(DISPATCH, )
        NATIVE_INTS(DISPATCH, )
#undef DISPATCH
    default:
        VLY_ASSERT(!"a native type");
    }
}

/* ---- small floats ------------------------------------------------------------------------- */

/* A float of 4 or 8 bits: sign, exponent, mantissa. Codes are without the sign bit. */
typedef struct minifloat {
    int mantissa_bits, bias, sign_shift;
    int max_code; /* largest finite value */
    int inf_code; /* -1: none */
    int nan_code; /* -1: none of its own */
    bool is_uz;   /* the code of minus zero is NaN */
} minifloat;

static const minifloat *minifloat_of(vly_dtype t)
{
    static const minifloat e4m3fn = {3, 7, 7, 0x7e, -1, 0x7f, false};
    static const minifloat e4m3fnuz = {3, 8, 7, 0x7f, -1, -1, true};
    static const minifloat e5m2 = {2, 15, 7, 0x7b, 0x7c, 0x7e, false};
    static const minifloat e5m2fnuz = {2, 16, 7, 0x7f, -1, -1, true};
    static const minifloat e2m1 = {1, 1, 3, 0x7, -1, -1, false};

    switch ((int)t) {
    case VLY_DTYPE_F8E4M3FN:
        return &e4m3fn;
    case VLY_DTYPE_F8E4M3FNUZ:
        return &e4m3fnuz;
    case VLY_DTYPE_F8E5M2:
        return &e5m2;
    case VLY_DTYPE_F8E5M2FNUZ:
        return &e5m2fnuz;
    case VLY_DTYPE_F4E2M1:
        return &e2m1;
    default:
        return NULL;
    }
}

static double minifloat_decode(const minifloat *f, unsigned bits)
{
    bool is_negative = (bits >> f->sign_shift & 1) != 0;
    int code = (int)(bits & ((1u << f->sign_shift) - 1));
    int mantissa = code & ((1 << f->mantissa_bits) - 1);
    int exponent = code >> f->mantissa_bits;
    double v;

    if (f->is_uz && is_negative && code == 0)
        return (double)NAN;
    if (code == f->inf_code)
        v = HUGE_VAL;
    else if (code > f->max_code)
        v = (double)NAN;
    else if (exponent == 0)
        v = ldexp(mantissa, 1 - f->bias - f->mantissa_bits);
    else
        v = ldexp(mantissa + (1 << f->mantissa_bits), exponent - f->bias - f->mantissa_bits);
    return is_negative ? -v : v;
}

/* Code of the magnitude a (>= 0, finite), rounded to nearest even; may lie above max_code. */
static int minifloat_round(const minifloat *f, double a)
{
    int exponent = a > 0.0 ? ilogb(a) : 1 - f->bias;

    if (exponent < 1 - f->bias)
        exponent = 1 - f->bias;
    if (exponent > 64)
        return f->max_code + 1;
    /* units of the last place; a carry into the next power of two fits the same formula */
    int units = (int)rint(ldexp(a, f->mantissa_bits - exponent));
    if (exponent == 1 - f->bias && units < 1 << f->mantissa_bits)
        return units; /* subnormal */
    return ((exponent + f->bias) << f->mantissa_bits) + units - (1 << f->mantissa_bits);
}

/* A format without NaN gets minus zero, as in ml_dtypes. */
static unsigned minifloat_nan(const minifloat *f, unsigned sign)
{
    return f->nan_code >= 0 ? sign | (unsigned)f->nan_code : 1u << f->sign_shift;
}

static unsigned minifloat_encode(const minifloat *f, double v, bool saturate)
{
    unsigned sign = signbit(v) ? 1u << f->sign_shift : 0;
    bool can_overflow = f->inf_code >= 0 || f->nan_code >= 0 || f->is_uz;

    if (isnan(v))
        return minifloat_nan(f, sign);
    int code = isinf(v) ? f->max_code + 1 : minifloat_round(f, fabs(v));
    if (code > f->max_code) {
        if (can_overflow && !saturate)
            return f->inf_code >= 0 ? sign | (unsigned)f->inf_code : minifloat_nan(f, sign);
        code = f->max_code;
    }
    return code == 0 && f->is_uz ? 0 : sign | (unsigned)code;
}

/* Rounds to odd: a later rounding to fewer bits then gives what one rounding would have. */
static float f64_to_f32_odd(double v)
{
    float f = (float)v;
    uint32_t u;

    if ((double)f == v || isnan(v) || isinf(f))
        return f;
    memcpy(&u, &f, sizeof(u));
    if ((u & 1) == 0)
        u = fabs((double)f) > fabs(v) ? u - 1 : u + 1;
    memcpy(&f, &u, sizeof(f));
    return f;
}

/* ---- small types to and from double -------------------------------------------------------- */

static unsigned get_nibble(const uint8_t *p, size_t i)
{
    return (i & 1) == 0 ? p[i / 2] & 15u : p[i / 2] >> 4;
}

static void set_nibble(uint8_t *p, size_t i, unsigned v)
{
    p[i / 2] = (uint8_t)((i & 1) == 0 ? v : p[i / 2] | v << 4);
}

static double small_get(vly_dtype t, const void *src, size_t i)
{
    unsigned nibble;

    switch ((int)t) {
    case VLY_DTYPE_F16:
        return (double)vly_f16_to_f32(((const uint16_t *)src)[i]);
    case VLY_DTYPE_BF16:
        return (double)vly_bf16_to_f32(((const uint16_t *)src)[i]);
    case VLY_DTYPE_U4:
        return get_nibble(src, i);
    case VLY_DTYPE_I4:
        nibble = get_nibble(src, i);
        return nibble < 8 ? (double)nibble : (double)nibble - 16.0;
    case VLY_DTYPE_F4E2M1:
        return minifloat_decode(minifloat_of(t), get_nibble(src, i));
    default:
        return minifloat_decode(minifloat_of(t), ((const uint8_t *)src)[i]);
    }
}

static void small_set(vly_dtype t, void *dst, size_t i, double v, bool saturate)
{
    switch ((int)t) {
    case VLY_DTYPE_F16:
        ((uint16_t *)dst)[i] = vly_f32_to_f16(f64_to_f32_odd(v));
        break;
    case VLY_DTYPE_BF16:
        ((uint16_t *)dst)[i] = vly_bf16_from_f32(f64_to_f32_odd(v));
        break;
    case VLY_DTYPE_U4:
    case VLY_DTYPE_I4:
        set_nibble(dst, i, (unsigned)(int)v & 15u);
        break;
    case VLY_DTYPE_F4E2M1:
        set_nibble(dst, i, minifloat_encode(minifloat_of(t), v, saturate));
        break;
    default:
        ((uint8_t *)dst)[i] = (uint8_t)minifloat_encode(minifloat_of(t), v, saturate);
        break;
    }
}

static bool is_nibble_int(vly_dtype t)
{
    return t == VLY_DTYPE_U4 || t == VLY_DTYPE_I4;
}

/* Chunk of src as doubles; for a 4-bit integer destination already truncated to a byte. */
static void load_chunk(vly_dtype from, const void *src, vly_dtype to, double *chunk, size_t n)
{
    int64_t whole[CHUNK];
    uint8_t low[CHUNK];

    if (is_native(from))
        native_to_native(from, src, VLY_DTYPE_F64, chunk, n);
    else
        for (size_t i = 0; i < n; i++)
            chunk[i] = small_get(from, src, i);
    if (!is_nibble_int(to) || is_nibble_int(from))
        return;
    if (vly_dtype_is_int(from)) {
        native_to_native(from, src, VLY_DTYPE_U8, low, n);
    } else {
        native_to_native(VLY_DTYPE_F64, chunk, VLY_DTYPE_I64, whole, n);
        native_to_native(VLY_DTYPE_I64, whole, VLY_DTYPE_U8, low, n);
    }
    native_to_native(VLY_DTYPE_U8, low, VLY_DTYPE_F64, chunk, n);
}

static void store_chunk(const double *chunk, vly_dtype to, void *dst, size_t n, bool saturate)
{
    if (is_native(to))
        native_to_native(VLY_DTYPE_F64, chunk, to, dst, n);
    else
        for (size_t i = 0; i < n; i++)
            small_set(to, dst, i, chunk[i], saturate);
}

/* The pairs that computing with half types needs, without the way through double. */
static bool convert_half(vly_dtype from, const void *src, vly_dtype to, void *dst, size_t n)
{
    const uint16_t *h = src;
    const float *f = src;

    if (from == VLY_DTYPE_F16 && to == VLY_DTYPE_F32)
        for (size_t i = 0; i < n; i++)
            ((float *)dst)[i] = vly_f16_to_f32(h[i]);
    else if (from == VLY_DTYPE_BF16 && to == VLY_DTYPE_F32)
        for (size_t i = 0; i < n; i++)
            ((float *)dst)[i] = vly_bf16_to_f32(h[i]);
    else if (from == VLY_DTYPE_F32 && to == VLY_DTYPE_F16)
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = vly_f32_to_f16(f[i]);
    else if (from == VLY_DTYPE_F32 && to == VLY_DTYPE_BF16)
        for (size_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = vly_bf16_from_f32(f[i]);
    else
        return false;
    return true;
}

void vly_convert(vly_dtype from, const void *src, vly_dtype to, void *dst, size_t n, bool saturate)
{
    unsigned from_bits = vly_dtype_bits(from), to_bits = vly_dtype_bits(to);
    double chunk[CHUNK];

    VLY_ASSERT(vly_dtype_is_real(from) && vly_dtype_is_real(to));
    if (from == to) {
        if (dst != src && n > 0)
            memcpy(dst, src, (n * from_bits + 7) / 8);
        return;
    }
    if (is_native(from) && is_native(to)) {
        native_to_native(from, src, to, dst, n);
        return;
    }
    if (convert_half(from, src, to, dst, n))
        return;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        load_chunk(from, (const unsigned char *)src + at * from_bits / 8, to, chunk, m);
        store_chunk(chunk, to, (unsigned char *)dst + at * to_bits / 8, m, saturate);
    }
}

/* SPDX-License-Identifier: MIT */
/* Expected codes: numpy and ml_dtypes (plain), onnx.numpy_helper.saturate_cast (saturated). */
#include "tensor/convert.h"

#include "unit.h"

#include <math.h>

enum { N = 33 };

static const double values[N] = {
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.30000001192092896,
    1.0625,
    1.1875,
    3.5,
    17.0,
    19.0,
    240.0,
    248.0,
    250.0,
    448.0,
    464.0,
    465.0,
    -500.0,
    57344.0,
    61439.0,
    61440.0,
    65504.0,
    65519.0,
    65520.0,
    1.0000000150474662e+30,
    HUGE_VAL,
    -HUGE_VAL,
    (double)NAN,
    0x1p-10,
    0x3p-11,
    0x1p-17,
    0x3p-18,
    0x1p-25,
    0x3p-26,
};

static const struct {
    vly_dtype dtype;
    bool saturates;
    uint16_t codes[N];
} rows[] = {
    {VLY_DTYPE_F16, false, {0x0,    0x8000, 0x3c00, 0xbc00, 0x34cd, 0x3c40, 0x3cc0, 0x4300, 0x4c40,
                            0x4cc0, 0x5b80, 0x5bc0, 0x5bd0, 0x5f00, 0x5f40, 0x5f44, 0xdfd0, 0x7b00,
                            0x7b80, 0x7b80, 0x7bff, 0x7bff, 0x7c00, 0x7c00, 0x7c00, 0xfc00, 0x7e00,
                            0x1400, 0x1600, 0x80,   0xc0,   0x0,    0x1}},
    {VLY_DTYPE_BF16, false, {0x0,    0x8000, 0x3f80, 0xbf80, 0x3e9a, 0x3f88, 0x3f98, 0x4060, 0x4188,
                             0x4198, 0x4370, 0x4378, 0x437a, 0x43e0, 0x43e8, 0x43e8, 0xc3fa, 0x4760,
                             0x4770, 0x4770, 0x4780, 0x4780, 0x4780, 0x714a, 0x7f80, 0xff80, 0x7fc0,
                             0x3a80, 0x3ac0, 0x3700, 0x3740, 0x3300, 0x3340}},
    {VLY_DTYPE_F8E4M3FN, false, {0x0,  0x80, 0x38, 0xb8, 0x2a, 0x38, 0x3a, 0x46, 0x58, 0x5a, 0x77,
                                 0x78, 0x78, 0x7e, 0x7e, 0x7f, 0xff, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
                                 0x7f, 0x7f, 0x7f, 0xff, 0x7f, 0x0,  0x1,  0x0,  0x0,  0x0,  0x0}},
    {VLY_DTYPE_F8E4M3FN, true, {0x0,  0x80, 0x38, 0xb8, 0x2a, 0x38, 0x3a, 0x46, 0x58, 0x5a, 0x77,
                                0x78, 0x78, 0x7e, 0x7e, 0x7e, 0xfe, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e,
                                0x7e, 0x7e, 0x7e, 0xfe, 0x7f, 0x0,  0x1,  0x0,  0x0,  0x0,  0x0}},
    {VLY_DTYPE_F8E4M3FNUZ, false, {0x0,  0x0,  0x40, 0xc0, 0x32, 0x40, 0x42, 0x4e, 0x60,
                                   0x62, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                   0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                   0x1,  0x2,  0x0,  0x0,  0x0,  0x0}},
    {VLY_DTYPE_F8E4M3FNUZ, true, {0x0,  0x0,  0x40, 0xc0, 0x32, 0x40, 0x42, 0x4e, 0x60, 0x62, 0x7f,
                                  0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0xff, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
                                  0x7f, 0x7f, 0x7f, 0xff, 0x80, 0x1,  0x2,  0x0,  0x0,  0x0,  0x0}},
    {VLY_DTYPE_F8E5M2, false, {0x0,  0x80, 0x3c, 0xbc, 0x35, 0x3c, 0x3d, 0x43, 0x4c, 0x4d, 0x5c,
                               0x5c, 0x5c, 0x5f, 0x5f, 0x5f, 0xe0, 0x7b, 0x7b, 0x7c, 0x7c, 0x7c,
                               0x7c, 0x7c, 0x7c, 0xfc, 0x7e, 0x14, 0x16, 0x0,  0x1,  0x0,  0x0}},
    {VLY_DTYPE_F8E5M2, true, {0x0,  0x80, 0x3c, 0xbc, 0x35, 0x3c, 0x3d, 0x43, 0x4c, 0x4d, 0x5c,
                              0x5c, 0x5c, 0x5f, 0x5f, 0x5f, 0xe0, 0x7b, 0x7b, 0x7b, 0x7b, 0x7b,
                              0x7b, 0x7b, 0x7b, 0xfb, 0x7e, 0x14, 0x16, 0x0,  0x1,  0x0,  0x0}},
    {VLY_DTYPE_F8E5M2FNUZ, false, {0x0,  0x0,  0x40, 0xc0, 0x39, 0x40, 0x41, 0x47, 0x50,
                                   0x51, 0x60, 0x60, 0x60, 0x63, 0x63, 0x63, 0xe4, 0x7f,
                                   0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                   0x18, 0x1a, 0x1,  0x2,  0x0,  0x0}},
    {VLY_DTYPE_F8E5M2FNUZ, true, {0x0,  0x0,  0x40, 0xc0, 0x39, 0x40, 0x41, 0x47, 0x50, 0x51, 0x60,
                                  0x60, 0x60, 0x63, 0x63, 0x63, 0xe4, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
                                  0x7f, 0x7f, 0x7f, 0xff, 0x80, 0x18, 0x1a, 0x1,  0x2,  0x0,  0x0}},
    {VLY_DTYPE_F4E2M1, true, {0x0, 0x8, 0x2, 0xa, 0x1, 0x2, 0x2, 0x6, 0x7, 0x7, 0x7,
                              0x7, 0x7, 0x7, 0x7, 0x7, 0xf, 0x7, 0x7, 0x7, 0x7, 0x7,
                              0x7, 0x7, 0x7, 0xf, 0x8, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0}},
};

static unsigned code_at(vly_dtype t, const void *p, size_t i)
{
    if (vly_dtype_bits(t) == 16)
        return ((const uint16_t *)p)[i];
    unsigned byte = ((const uint8_t *)p)[vly_dtype_bits(t) == 8 ? i : i / 2];
    if (vly_dtype_bits(t) == 8)
        return byte;
    return i % 2 == 0 ? byte & 15 : byte >> 4;
}

static void reals_to_small_floats(void **state)
{
    float floats[N];
    uint16_t out[N];

    (void)state;
    vly_convert(VLY_DTYPE_F64, values, VLY_DTYPE_F32, floats, N, false);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        vly_convert(VLY_DTYPE_F32, floats, rows[r].dtype, out, N, rows[r].saturates);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(code_at(rows[r].dtype, out, i), rows[r].codes[i]);
        vly_convert(VLY_DTYPE_F64, values, rows[r].dtype, out, N, rows[r].saturates);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(code_at(rows[r].dtype, out, i), rows[r].codes[i]);
    }
}

/* numpy: 1 + 2^-11 + 2^-40 lies above the middle of two halves; its float does not. */
static void double_to_half_rounds_once(void **state)
{
    const double v = 1.0 + 0x1p-11 + 0x1p-40;
    uint16_t h;

    (void)state;
    vly_convert(VLY_DTYPE_F64, &v, VLY_DTYPE_F16, &h, 1, false);
    assert_int_equal(h, 0x3c01);
}

/* Every code that is not NaN survives the way to double and back. */
static void small_floats_survive_a_round_trip(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        vly_dtype t = rows[r].dtype;
        for (unsigned code = 0; code < 1u << vly_dtype_bits(t); code++) {
            uint16_t in = (uint16_t)code, out = 0;
            double v;
            vly_convert(t, &in, VLY_DTYPE_F64, &v, 1, false);
            vly_convert(VLY_DTYPE_F64, &v, t, &out, 1, false);
            if (!isnan(v))
                assert_int_equal(out, in);
        }
    }
}

static void integers(void **state)
{
    const double d[8] = {1.9, -1.9, 300, -300, 1e30, -1e30, (double)NAN, 4294967295.5};
    const int64_t wide[4] = {-1, 257, INT64_MIN, 0x123456789};
    uint8_t u8[8];
    int32_t i32[8];
    uint64_t u64[8];
    int8_t i8[4];

    (void)state;
    vly_convert(VLY_DTYPE_F64, d, VLY_DTYPE_U8, u8, 8, false);
    assert_memory_equal(u8, ((uint8_t[]){1, 0, 255, 0, 255, 0, 0, 255}), 8);
    vly_convert(VLY_DTYPE_F64, d, VLY_DTYPE_I32, i32, 8, false);
    assert_memory_equal(i32, ((int32_t[]){1, -1, 300, -300, INT32_MAX, INT32_MIN, 0, INT32_MAX}),
                        sizeof(i32));
    vly_convert(VLY_DTYPE_F64, d, VLY_DTYPE_U64, u64, 8, false);
    assert_memory_equal(u64, ((uint64_t[]){1, 0, 300, 0, UINT64_MAX, 0, 0, 4294967295}),
                        sizeof(u64));
    vly_convert(VLY_DTYPE_I64, wide, VLY_DTYPE_I8, i8, 4, false); /* wraps */
    assert_memory_equal(i8, ((int8_t[]){-1, 1, 0, 0x89 - 256}), 4);
    vly_convert(VLY_DTYPE_I64, wide, VLY_DTYPE_BOOL, u8, 4, false);
    assert_memory_equal(u8, ((uint8_t[]){1, 1, 1, 1}), 4);
    vly_convert(VLY_DTYPE_F64, (double[]){0.25, -0.0, 0.0, (double)NAN}, VLY_DTYPE_BOOL, u8, 4,
                false);
    assert_memory_equal(u8, ((uint8_t[]){1, 0, 0, 1}), 4);
}

/* Two to a byte, low nibble first; integers and truncated reals keep their low bits. */
static void nibbles(void **state)
{
    const float f[5] = {-9, 7.9F, -8, 16, 3};
    const int64_t wide[3] = {INT64_MAX, -2, 9};
    uint8_t packed[3];
    float back[5];

    (void)state;
    vly_convert(VLY_DTYPE_F32, f, VLY_DTYPE_I4, packed, 5, false);
    assert_memory_equal(packed, ((uint8_t[]){0x77, 0x08, 0x03}), 3);
    vly_convert(VLY_DTYPE_I4, packed, VLY_DTYPE_F32, back, 5, false);
    assert_memory_equal(back, ((float[]){7, 7, -8, 0, 3}), sizeof(back));
    vly_convert(VLY_DTYPE_I64, wide, VLY_DTYPE_U4, packed, 3, false);
    assert_memory_equal(packed, ((uint8_t[]){0xef, 0x09}), 2);
}

/* Chunks join without a seam. */
static void long_arrays(void **state)
{
    enum { LONG = 1001 };
    static uint16_t h[LONG];
    static int16_t i16[LONG], back[LONG];

    (void)state;
    for (int i = 0; i < LONG; i++)
        i16[i] = (int16_t)(i - 500);
    vly_convert(VLY_DTYPE_I16, i16, VLY_DTYPE_F16, h, LONG, false);
    vly_convert(VLY_DTYPE_F16, h, VLY_DTYPE_I16, back, LONG, false);
    assert_memory_equal(back, i16, sizeof(i16));
}

UNIT_TESTS(cmocka_unit_test(reals_to_small_floats), cmocka_unit_test(double_to_half_rounds_once),
           cmocka_unit_test(small_floats_survive_a_round_trip), cmocka_unit_test(integers),
           cmocka_unit_test(nibbles), cmocka_unit_test(long_arrays))

/* SPDX-License-Identifier: MIT */
/* Ties, ends of the range, NaN, and the way back. Expected values by hand. */
#include "dsp/quantise.h"
#include "unit.h"

#include <math.h>

static void ties_go_to_even(void **state)
{
    const float x[8] = {0.25f, 0.75f, 1.25f, -0.25f, -0.75f, 0.0f, 63.75f, 64.25f};
    uint8_t y[8];

    (void)state;
    vly_quantise_f32(x, 8, 0.5f, 128, VLY_QUANT_U8, y); /* x / scale: .5 1.5 2.5 -.5 -1.5 ... */
    assert_memory_equal(y, ((uint8_t[]){128, 130, 130, 128, 126, 128, 255, 255}), 8);
}

static void ends_of_the_range(void **state)
{
    const float x[6] = {1e30f, -1e30f, INFINITY, -INFINITY, NAN, 0.0f};
    uint8_t u8[6];
    int8_t i8[6], i4[6];
    uint16_t u16[6];
    int16_t i16[6];

    (void)state;
    vly_quantise_f32(x, 6, 1.0f, 3, VLY_QUANT_U8, u8);
    assert_memory_equal(u8, ((uint8_t[]){255, 0, 255, 0, 0, 3}), sizeof(u8));
    vly_quantise_f32(x, 6, 1.0f, -3, VLY_QUANT_I8, i8);
    assert_memory_equal(i8, ((int8_t[]){127, -128, 127, -128, -128, -3}), sizeof(i8));
    vly_quantise_f32(x, 6, 1.0f, 7, VLY_QUANT_I4, i4);
    assert_memory_equal(i4, ((int8_t[]){7, -8, 7, -8, -8, 7}), sizeof(i4));
    vly_quantise_f32(x, 6, 1.0f, 65535, VLY_QUANT_U16, u16);
    assert_memory_equal(u16, ((uint16_t[]){65535, 0, 65535, 0, 0, 65535}), sizeof(u16));
    vly_quantise_f32(x, 6, 1.0f, -32768, VLY_QUANT_I16, i16);
    assert_memory_equal(i16, ((int16_t[]){32767, -32768, 32767, -32768, -32768, -32768}),
                        sizeof(i16));
}

static void sums_are_scaled_back(void **state)
{
    const int32_t x[5] = {0, 1000, -1000, INT32_MAX, INT32_MIN};
    uint8_t y[5];

    (void)state;
    vly_requantise_s32(x, 5, 0.0625f, 100, VLY_QUANT_U8, y); /* 62.5 goes to 62 */
    assert_memory_equal(y, ((uint8_t[]){100, 162, 38, 255, 0}), 5);
}

static void and_back(void **state)
{
    const uint8_t u8[3] = {0, 128, 255};
    const int16_t i16[2] = {-32768, 32767};
    const int32_t i32[2] = {INT32_MIN, 6};
    float y[3];

    (void)state;
    vly_dequantise_f32(u8, 3, 0.5f, 128, VLY_QUANT_U8, y);
    assert_true(y[0] == -64.0f && y[1] == 0.0f && y[2] == 63.5f);
    vly_dequantise_f32(i16, 2, 2.0f, 32767, VLY_QUANT_I16, y);
    assert_true(y[0] == -131070.0f && y[1] == 0.0f);
    vly_dequantise_f32(i32, 2, 1.0f, 1, VLY_QUANT_I32, y);
    assert_true(y[0] == -2147483648.0f && y[1] == 5.0f);
}

UNIT_TESTS(cmocka_unit_test(ties_go_to_even), cmocka_unit_test(ends_of_the_range),
           cmocka_unit_test(sums_are_scaled_back), cmocka_unit_test(and_back))

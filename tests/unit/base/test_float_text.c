/* SPDX-License-Identifier: MIT */
/* The oracle is the C library: the shortest %g that strtof reads back. */
#include "base/float_text.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_same(float v)
{
    char want[VLY_F32_TEXT_MAX], got[VLY_F32_TEXT_MAX];
    int digits = 6;

    do
        snprintf(want, sizeof(want), "%.*g", digits, (double)v);
    while (strtof(want, NULL) != v && ++digits <= 9);
    size_t n = vly_f32_text(v, got);
    if (strcmp(got, want) != 0 || n != strlen(want))
        fail_msg("expected '%s', got '%s' of %zu bytes", want, got, n);
}

static float of_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void known_values(void **state)
{
    (void)state;
    static const struct {
        float v;
        const char *text;
    } rows[] = {
        {0.0f, "0"},
        {-0.0f, "-0"},
        {1.0f, "1"},
        {-1.5f, "-1.5"},
        {0.1f, "0.1"},
        {0.33333334f, "0.33333334"},
        {100000.0f, "100000"},
        {1000000.0f, "1e+06"},
        {123456.0f, "123456"},
        {1234567.0f, "1234567"},
        {0.0001f, "0.0001"},
        {0.00001f, "1e-05"},
        {16777216.0f, "16777216"},
        {3.4028235e38f, "3.4028235e+38"},
        {999999.5f, "999999.5"},
        {9999999.0f, "9999999"},
        {1e-45f, "1.4013e-45"},
        {1.17549435e-38f, "1.1754944e-38"},
    };
    char text[VLY_F32_TEXT_MAX];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(vly_f32_text(rows[i].v, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
    }
}

/* Every exponent with mantissas spread over all bits, both signs. */
static void all_exponents(void **state)
{
    (void)state;
    uint32_t mantissa = 1;

    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        for (int i = 0; i < 1000; i++) {
            mantissa = mantissa * 1664525 + 1013904223;
            assert_same(of_bits(exponent << 23 | mantissa >> 9 | (uint32_t)(i & 1) << 31));
        }
        assert_same(of_bits(exponent << 23));
        assert_same(of_bits(exponent << 23 | 0x7fffff));
    }
}

/* Short decimals and their neighbours, where digits change their number. */
static void near_short_decimals(void **state)
{
    (void)state;
    for (int exponent = -12; exponent <= 20; exponent++) {
        for (int n = 1; n < 2000; n++) {
            float v = (float)(n * pow(10, exponent));
            assert_same(v);
            assert_same(nextafterf(v, 0));
            assert_same(nextafterf(v, INFINITY));
        }
    }
}

UNIT_TESTS(cmocka_unit_test(known_values), cmocka_unit_test(all_exponents),
           cmocka_unit_test(near_short_decimals))

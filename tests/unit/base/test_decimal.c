/* SPDX-License-Identifier: MIT */
/* The oracle for doubles is strtod. */
#include "base/decimal.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static void check(const char *text, uint64_t digits, int exp10, bool is_negative, bool is_cut)
{
    vly_decimal d;

    if (!vly_decimal_parse(vly_str_from(text), false, &d))
        fail_msg("'%s'", text);
    if (d.digits != digits || d.exp10 != exp10 || d.is_negative != is_negative ||
        d.is_cut != is_cut)
        fail_msg("'%s': %llu e %d, %d, %d", text, (unsigned long long)d.digits, d.exp10,
                 d.is_negative, d.is_cut);
}

static void parses(void **state)
{
    (void)state;
    check("0", 0, 0, false, false);
    check("-12.50", 1250, -2, true, false);
    check("+.5e3", 5, 2, false, false);
    check("5.", 5, 0, false, false);
    check("-2.563750022E-3", 2563750022, -12, true, false);
    check("0000000000000000000000012", 12, 0, false, false);
    check("1699999999123456789", 1699999999123456789, 0, false, false);
    check("12345678901234567890123", 1234567890123456789, 4, false, true);
    check("0.1234567890123456789012", 1234567890123456789, -19, false, true);
    check("100000000000000000000", 1000000000000000000, 2, false, false);
    check("1e99999999999", 1, 20000, false, false);
    check("1e-99999999999", 1, -20000, false, false);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "-",     ".",    "e5",  "1e",  "1e+", "1 ",    " 1",
                                        "--1", "1.2.3", "0x10", "nan", "inf", "1,5", "1e5.5", "1-"};
    vly_decimal d;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (vly_decimal_parse(vly_str_from(texts[i]), false, &d))
            fail_msg("'%s'", texts[i]);
    assert_false(vly_decimal_parse((vly_str){NULL, 0}, false, &d));
    assert_false(vly_decimal_parse(VLY_STR("1,5,2"), true, &d));
    assert_false(vly_decimal_parse(VLY_STR("1.000,5"), true, &d));
    assert_true(vly_decimal_parse(VLY_STR("1,5"), true, &d));
    assert_int_equal(d.digits, 15);
    assert_int_equal(d.exp10, -1);
}

static void gives_the_double_of_strtod(void **state)
{
    (void)state;
    uint64_t seed = 1;
    char text[64];
    size_t n_exact = 0;

    for (int i = 0; i < 200000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        unsigned n_digits = 1 + (unsigned)(seed >> 60);
        int exponent = (int)((seed >> 20) % 50) - 25;
        double v = (double)(seed >> 11) / 9007199254740992.0;
        snprintf(text, sizeof(text), "%s%.*fe%d", (seed & 1) != 0 ? "-" : "", (int)n_digits, v,
                 exponent);
        vly_decimal d;
        double got;
        assert_true(vly_decimal_parse(vly_str_from(text), false, &d));
        if (!vly_decimal_to_f64(&d, &got))
            continue;
        n_exact++;
        if (got != strtod(text, NULL))
            fail_msg("'%s': %a, not %a", text, got, strtod(text, NULL));
    }
    assert_true(n_exact > 60000);
}

static int64_t to_i64(const char *text, int shift)
{
    vly_decimal d;
    int64_t v = INT64_MIN;

    assert_true(vly_decimal_parse(vly_str_from(text), false, &d));
    return vly_decimal_to_i64(&d, shift, &v) ? v : INT64_MIN;
}

static void gives_integers(void **state)
{
    (void)state;
    assert_int_equal(to_i64("1.5", 6), 1500000);
    assert_int_equal(to_i64("1699999999123456789", -3), 1699999999123457);
    assert_int_equal(to_i64("1699999999123456499", -3), 1699999999123456);
    assert_int_equal(to_i64("1700000000.0125", 6), 1700000000012500);
    assert_int_equal(to_i64("0.0000005", 6), 1);
    assert_int_equal(to_i64("-0.0000005", 6), -1);
    assert_int_equal(to_i64("0.00000049", 6), 0);
    assert_int_equal(to_i64("2.5", 0), 3);
    assert_int_equal(to_i64("-2.5", 0), -3);
    assert_int_equal(to_i64("9", -1), 1);
    assert_int_equal(to_i64("4", -1), 0);
    assert_int_equal(to_i64("9", -2), 0);
    assert_int_equal(to_i64("5e-20000", 6), 0);
    assert_int_equal(to_i64("0e20000", 6), 0);
    assert_int_equal(to_i64("9223372036854775807", 0), INT64_MAX);
    assert_int_equal(to_i64("-9223372036854775807", 0), -INT64_MAX);
    assert_int_equal(to_i64("9223372036854775808", 0), INT64_MIN); /* refused */
    assert_int_equal(to_i64("1e19", 0), INT64_MIN);
    assert_int_equal(to_i64("1e13", 6), INT64_MIN);
    assert_int_equal(to_i64("9999999999999999999", -19), 1);
}

UNIT_TESTS(cmocka_unit_test(parses), cmocka_unit_test(refuses),
           cmocka_unit_test(gives_the_double_of_strtod), cmocka_unit_test(gives_integers))

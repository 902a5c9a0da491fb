/* SPDX-License-Identifier: MIT */
#include "base/assert.h"
#include "base/str.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

static void compares(void **state)
{
    (void)state;
    assert_true(vly_str_is(VLY_STR("abc"), "abc"));
    assert_false(vly_str_is(VLY_STR("abc"), "ab"));
    assert_true(vly_str_eq((vly_str){NULL, 0}, VLY_STR("")));
    assert_true(vly_str_is(vly_str_from(NULL), ""));
    assert_true(vly_str_eq_nocase(VLY_STR("Content-TYPE"), VLY_STR("content-type")));
    assert_false(vly_str_eq_nocase(VLY_STR("@["), VLY_STR("`{"))); /* the neighbours of A-Z */
    assert_false(vly_str_eq_nocase(VLY_STR("a"), VLY_STR("ab")));
    assert_true(vly_str_starts(VLY_STR("abc"), VLY_STR("ab")));
    assert_true(vly_str_starts(VLY_STR("abc"), VLY_STR("")));
    assert_false(vly_str_starts(VLY_STR("ab"), VLY_STR("abc")));
    assert_true(vly_str_ends(VLY_STR("abc"), VLY_STR("bc")));
    assert_false(vly_str_ends(VLY_STR("abc"), VLY_STR("ab")));
    assert_false(vly_str_ends(VLY_STR("c"), VLY_STR("bc")));
}

static void trims(void **state)
{
    (void)state;
    assert_true(vly_str_is(vly_str_trim(VLY_STR(" \t\r\na b\n ")), "a b"));
    assert_int_equal(vly_str_trim(VLY_STR(" \t ")).len, 0);
    assert_int_equal(vly_str_trim((vly_str){NULL, 0}).len, 0);
}

static void splits_each_part(void **state)
{
    (void)state;
    static const char *const want[] = {"a", "", "bc", ""};
    vly_str s = VLY_STR("a,,bc,");
    size_t n = 0;
    while (s.ptr != NULL) {
        assert_true(n < VLY_COUNT(want));
        assert_true(vly_str_is(vly_str_split(&s, ','), want[n]));
        n++;
    }
    assert_int_equal(n, VLY_COUNT(want));
}

static void integers(void **state)
{
    (void)state;
    int64_t i = 99;
    uint64_t u = 99;
    assert_true(vly_str_to_i64(VLY_STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(vly_str_to_i64(VLY_STR("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(vly_str_to_i64(VLY_STR("+007"), &i));
    assert_true(i == 7);
    assert_true(vly_str_to_u64(VLY_STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);

    static const char *const bad[] = {
        "",
        "-",
        "+",
        "+-1",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "1e3",
        "18446744073709551616",
        "99999999999999999999999",
    };
    for (size_t k = 0; k < VLY_COUNT(bad); k++) {
        i = 5;
        u = 5;
        assert_false(vly_str_to_i64(vly_str_from(bad[k]), &i));
        assert_false(vly_str_to_u64(vly_str_from(bad[k]), &u));
        assert_true(i == 5 && u == 5); /* untouched */
    }
    assert_false(vly_str_to_i64(VLY_STR("9223372036854775808"), &i));
    assert_false(vly_str_to_i64(VLY_STR("-9223372036854775809"), &i));
    assert_false(vly_str_to_u64(VLY_STR("-1"), &u));
    assert_false(vly_str_to_u64(VLY_STR("1\0002"), &u));
}

static void floats(void **state)
{
    (void)state;
    double d = 99;
    assert_true(vly_str_to_f64((vly_str){"2.5xyz", 3}, &d));
    assert_true(d == 2.5);
    assert_true(vly_str_to_f64(VLY_STR("-1e-3"), &d));
    assert_true(d == -1e-3);
    assert_true(vly_str_to_f64(VLY_STR("inf"), &d) && isinf(d));
    assert_true(vly_str_to_f64(VLY_STR("nan"), &d) && isnan(d));
    assert_true(vly_str_to_f64(VLY_STR("1e-400"), &d) && d == 0); /* underflow is rounding */

    static const char *const bad[] = {"",      " 1",     "1 ",   "1.5x",   "abc",
                                      "1e999", "-1e999", "0x10", "nan(1)", "."};
    for (size_t k = 0; k < VLY_COUNT(bad); k++) {
        d = 5;
        assert_false(vly_str_to_f64(vly_str_from(bad[k]), &d));
        assert_true(d == 5);
    }
    assert_false(vly_str_to_f64(VLY_STR("1\0"), &d));
}

/* RFC 3629: the shortest and longest of each length, and what is just outside. */
static void knows_utf8(void **state)
{
    static const char *const good[] = {"", "a\x7f", "\xc2\x80\xdf\xbf",
                                       "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80",
                                      "ok\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(vly_str_is_utf8(vly_str_from(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(vly_str_is_utf8(vly_str_from(bad[i])));
    for (int before = 0; before < 20; before++) { /* text is looked at by eights */
        char text[32];
        int n = snprintf(text, sizeof(text), "%.*s\xe2\x82", before, "01234567890123456789");
        assert_false(vly_str_is_utf8((vly_str){text, (size_t)n}));
        text[n++] = '\xac';
        assert_true(vly_str_is_utf8((vly_str){text, (size_t)n}));
    }
    assert_int_equal(vly_utf8_len(VLY_STR("\xe2\x82\xac!")), 3);
    assert_int_equal(vly_utf8_len(VLY_STR("")), 0);
}

UNIT_TESTS(cmocka_unit_test(knows_utf8), cmocka_unit_test(compares), cmocka_unit_test(trims),
           cmocka_unit_test(splits_each_part), cmocka_unit_test(integers), cmocka_unit_test(floats))

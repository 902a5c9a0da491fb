/* SPDX-License-Identifier: MIT */
/* The header traceparent; the first is the example of the W3C's recommendation. */
#include "base/assert.h"
#include "codec/traceparent.h"
#include "unit.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void what_is_one(void **state)
{
    static const unsigned char trace[] = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
                                          0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c};
    static const unsigned char parent[] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
    static const char *const cases[] = {"00-" TRACE "-" PARENT "-01", "cc-" TRACE "-" PARENT "-01",
                                        "cc-" TRACE "-" PARENT "-01-later"};
    char text[VLY_TRACEPARENT_BYTES + 1];
    vly_traceparent t;

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        assert_true(vly_traceparent_parse(vly_str_from(cases[i]), &t));
        assert_memory_equal(t.trace, trace, sizeof(trace));
        assert_memory_equal(t.parent, parent, sizeof(parent));
        assert_int_equal(t.flags, VLY_TRACEPARENT_SAMPLED);
        vly_traceparent_format(&t, text);
        assert_string_equal(text, cases[0]);
    }
    assert_true(vly_traceparent_parse(VLY_STR("00-" TRACE "-" PARENT "-fe"), &t));
    assert_int_equal(t.flags, 0xfe);
}

static void what_is_none(void **state)
{
    static const char *const cases[] = {
        "",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-01-",
        "cc-" TRACE "-" PARENT "-01.later",
        "ff-" TRACE "-" PARENT "-01",
        "0g-" TRACE "-" PARENT "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        "00-" TRACE "-" PARENT "-0x",
        " 00-" TRACE "-" PARENT "-01",
    };
    vly_traceparent t = {.flags = 77};

    (void)state;
    for (size_t i = 0; i < VLY_COUNT(cases); i++)
        if (vly_traceparent_parse(vly_str_from(cases[i]), &t))
            fail_msg("'%s' was taken", cases[i]);
    assert_int_equal(t.flags, 77);
}

UNIT_TESTS(cmocka_unit_test(what_is_one), cmocka_unit_test(what_is_none))

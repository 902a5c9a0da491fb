/* SPDX-License-Identifier: MIT */
/* Traces in OTLP, byte by byte as the protobuf encoding of the .proto files has them; the whole is
 * read by OpenTelemetry's own classes in tests/e2e/traces.py. */
#include "base/assert.h"
#include "codec/otlp.h"
#include "codec/pbwire.h"
#include "unit.h"

#include <string.h>

static vly_buf b;

static int setup(void **state)
{
    (void)state;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 16);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_buf_release(&b);
    return 0;
}

static void expect(const void *want, size_t n)
{
    assert_int_equal(b.len, n);
    assert_memory_equal(b.ptr, want, n);
}

#define TRACE "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
#define SPAN  "\x11\x12\x13\x14\x15\x16\x17\x18"

static void a_span(void **state)
{
    static const char want[] =
        "\x12\x4a"                                 /* ScopeSpans.spans = 2, 74 bytes */
        "\x0a\x10" TRACE                           /* trace_id = 1 */
        "\x12\x08" SPAN                            /* span_id = 2 */
        "\x22\x08\x21\x22\x23\x24\x25\x26\x27\x28" /* parent_span_id = 4 */
        "\x2a\x01q"                                /* name = 5 */
        "\x30\x02"                                 /* kind = 6: SERVER */
        "\x39\x08\x07\x06\x05\x04\x03\x02\x01"     /* start_time_unix_nano = 7, fixed64 */
        "\x41\x09\x07\x06\x05\x04\x03\x02\x01"     /* end_time_unix_nano = 8 */
        "\x85\x01\x01\x03\x00\x00"                 /* flags = 16, fixed32: sampled, remote */
        "\x7a\x05\x12\x01!\x18\x02";               /* status = 15: message, code ERROR */
    const vly_otlp_span span = {
        .trace = (const unsigned char *)TRACE,
        .id = (const unsigned char *)SPAN,
        .parent = (const unsigned char *)"\x21\x22\x23\x24\x25\x26\x27\x28",
        .is_parent_remote = true,
        .name = VLY_STR("q"),
        .kind = VLY_OTLP_SERVER,
        .begin_unix_ns = UINT64_C(0x0102030405060708),
        .end_unix_ns = UINT64_C(0x0102030405060709),
        .is_error = true,
        .message = VLY_STR("!"),
    };

    (void)state;
    size_t mark = vly_otlp_open_span(&b, &span);
    vly_otlp_close_span(&b, mark);
    expect(want, sizeof(want) - 1);
}

static void attributes(void **state)
{
    (void)state;
    vly_otlp_put_text(&b, VLY_OTLP_OF_SPAN, "k", VLY_STR("v"));
    vly_otlp_put_int(&b, VLY_OTLP_OF_SPAN, "n", 300);
    vly_otlp_put_bool(&b, VLY_OTLP_OF_RESOURCE, "b", true);
    static const char want[] = "\x4a\x08\x0a\x01k\x12\x03\x0a\x01v"    /* 9: string_value = 1 */
                               "\x4a\x08\x0a\x01n\x12\x03\x18\xac\x02" /* 9: int_value = 3 */
                               "\x0a\x07\x0a\x01"
                               "b\x12\x02\x10\x01"; /* 1: bool_value = 2 */
    expect(want, sizeof(want) - 1);
}

/* What stands in the attribute's text. */
static vly_str text_of(vly_str value)
{
    vly_pb_field f;

    vly_buf_clear(&b);
    vly_otlp_put_text(&b, VLY_OTLP_OF_SPAN, "k", value);
    vly_str at = vly_buf_str(&b);
    for (int depth = 0; depth < 3; depth++) {
        vly_pb c = vly_pb_begin(at);
        while (vly_pb_next(&c, &f))
            at = f.bytes; /* the last field: the value within the pair, the text within that */
        assert_false(c.bad);
    }
    return at;
}

static void text_is_mended(void **state)
{
    char wide[VLY_OTLP_TEXT_MAX + 2];

    (void)state;
    assert_true(vly_str_is(text_of(VLY_STR("gr\xc3\xbc\xc3\x9f")), "gr\xc3\xbc\xc3\x9f"));
    assert_true(vly_str_is(text_of(VLY_STR("a\xff"
                                           "b\xc3")),
                           "a?b?"));
    memset(wide, 'x', sizeof(wide));
    assert_int_equal(text_of((vly_str){wide, sizeof(wide)}).len, VLY_OTLP_TEXT_MAX);
    memcpy(wide + VLY_OTLP_TEXT_MAX - 1, "\xc3\xbc", 2); /* would be cut in two */
    assert_int_equal(text_of((vly_str){wide, sizeof(wide)}).len, VLY_OTLP_TEXT_MAX - 1);
    assert_int_equal(text_of(VLY_STR("")).len, 0);
}

static void answers_of_collectors(void **state)
{
    uint64_t n = 9;
    vly_str why = VLY_STR("before");
    vly_err err;

    (void)state;
    assert_int_equal(vly_otlp_read_response(VLY_STR(""), &n, &why, &err), VLY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(why.len, 0);
    assert_int_equal(vly_otlp_read_response(VLY_STR("\x0a\x07\x08\x05\x12\x03why"), &n, &why, &err),
                     VLY_OK);
    assert_int_equal(n, 5);
    assert_true(vly_str_is(why, "why"));
    assert_int_equal(vly_otlp_read_response(VLY_STR("\x0a\x07\x08"), &n, &why, &err), VLY_EFORMAT);
    assert_int_equal(vly_otlp_read_response(VLY_STR("\x0a\x02\x08\x80"), &n, &why, &err),
                     VLY_EFORMAT);
    assert_int_equal(vly_otlp_read_response(VLY_STR("<html>"), &n, &why, &err), VLY_EFORMAT);
    assert_int_equal(n, 5);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(a_span), TEST(attributes), TEST(text_is_mended), TEST(answers_of_collectors))

/* SPDX-License-Identifier: MIT */
/* Expected bytes: the examples of the protobuf encoding guide, and hand computation. */
#include "codec/pbwire.h"

#include "unit.h"

#define BYTES(...)                                                                                 \
    (vly_str)                                                                                      \
    {                                                                                              \
        (const char *)(const unsigned char[]){__VA_ARGS__},                                        \
            sizeof((const unsigned char[]){__VA_ARGS__})                                           \
    }

static void reads_each_wire_type(void **state)
{
    (void)state;
    vly_pb c = vly_pb_begin(BYTES(0x08, 0x96, 0x01,                     /* 1: 150 */
                                  0x12, 0x03, 'a', 'b', 'c',            /* 2: "abc" */
                                  0x1d, 0x00, 0x00, 0xc0, 0x3f,         /* 3: 1.5f */
                                  0x21, 0, 0, 0, 0, 0, 0, 0x04, 0xc0,   /* 4: -2.5 */
                                  0xfa, 0xff, 0xff, 0xff, 0x0f, 0x00)); /* max: "" */
    vly_pb_field f;

    assert_true(vly_pb_next(&c, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.wire, VLY_PB_VARINT);
    assert_int_equal(f.value, 150);
    assert_true(vly_pb_next(&c, &f));
    assert_int_equal(f.number, 2);
    assert_true(vly_str_is(f.bytes, "abc"));
    assert_true(vly_pb_next(&c, &f));
    assert_int_equal(f.wire, VLY_PB_FIXED32);
    assert_true(vly_pb_float(f.value) == 1.5f);
    assert_true(vly_pb_next(&c, &f));
    assert_int_equal(f.wire, VLY_PB_FIXED64);
    assert_true(vly_pb_double(f.value) == -2.5);
    assert_true(vly_pb_next(&c, &f));
    assert_int_equal(f.number, (1 << 29) - 1);
    assert_int_equal(f.bytes.len, 0);
    assert_false(vly_pb_next(&c, &f));
    assert_false(c.bad);
}

static void rejects_malformed(void **state)
{
    (void)state;
    const vly_str cases[] = {
        BYTES(0x80),                               /* tag cut */
        BYTES(0x08),                               /* value missing */
        BYTES(0x08, 0x80),                         /* value cut */
        BYTES(0x00, 0x00),                         /* field number 0 */
        BYTES(0x80, 0x80, 0x80, 0x80, 0x10, 0x00), /* field number 2^29 */
        BYTES(0x12, 0x01),                         /* one byte announced, none there */
        BYTES(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), /* 2^64-1 */
        BYTES(0x1d, 0, 0, 0),                                                    /* fixed32 cut */
        BYTES(0x21, 0, 0, 0, 0, 0, 0, 0),                                        /* fixed64 cut */
        BYTES(0x0b, 0x0c),                                                       /* group */
        BYTES(0x0e),                                                             /* wire type 6 */
        BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02), /* 65 bits */
        BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_pb c = vly_pb_begin(cases[i]);
        vly_pb_field f;
        assert_false(vly_pb_next(&c, &f));
        assert_true(c.bad);
        assert_false(vly_pb_next(&c, &f)); /* stays bad */
    }
}

static void reads_empty(void **state)
{
    (void)state;
    vly_pb c = vly_pb_begin((vly_str){NULL, 0});
    vly_pb_field f;

    assert_false(vly_pb_next(&c, &f));
    assert_false(c.bad);
}

static void reads_packed(void **state)
{
    (void)state;
    const vly_str packed = BYTES(0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05);
    const uint64_t want[] = {3, 270, 86942};
    vly_pb c = vly_pb_begin(packed);
    uint64_t v;

    assert_int_equal(vly_pb_count_varints(packed), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_true(vly_pb_take_varint(&c, &v));
        assert_int_equal(v, want[i]);
    }
    assert_false(vly_pb_take_varint(&c, &v));
    assert_false(c.bad);
    c = vly_pb_begin(BYTES(0x03, 0x8e));
    assert_true(vly_pb_take_varint(&c, &v));
    assert_false(vly_pb_take_varint(&c, &v));
    assert_true(c.bad);
}

static void writes(void **state)
{
    (void)state;
    const unsigned char want[] = {0x08, 0x96, 0x01, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0x01, 0x1a, 0x03, 'a',  'b',  'c',  0x25, 0x00, 0x00,
                                  0xc0, 0x3f, 0x29, 0,    0,    0,    0,    0,    0,    0x04, 0xc0};
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, 1024);
    vly_pb_put_varint(&b, 1, 150);
    vly_pb_put_varint(&b, 2, (uint64_t)-1);
    vly_pb_put_bytes(&b, 3, VLY_STR("abc"));
    vly_pb_put_float(&b, 4, 1.5f);
    vly_pb_put_double(&b, 5, -2.5);
    assert_false(b.failed);
    assert_int_equal(b.len, sizeof(want));
    assert_memory_equal(b.ptr, want, sizeof(want));
    vly_buf_release(&b);
}

/* Lengths around the places where the length field grows by a byte. */
static void writes_nested(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 70000};
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        vly_buf_clear(&b);
        size_t outer = vly_pb_open(&b, 1);
        size_t inner = vly_pb_open(&b, 2);
        for (size_t n = 0; n < sizes[i]; n++)
            vly_buf_putc(&b, (char)n);
        vly_pb_close(&b, inner);
        vly_pb_put_varint(&b, 3, 7);
        vly_pb_close(&b, outer);
        assert_false(b.failed);

        vly_pb c = vly_pb_begin(vly_buf_str(&b));
        vly_pb_field f;
        assert_true(vly_pb_next(&c, &f));
        assert_true(c.at == c.end);
        c = vly_pb_begin(f.bytes);
        assert_true(vly_pb_next(&c, &f));
        assert_int_equal(f.number, 2);
        assert_int_equal(f.bytes.len, sizes[i]);
        for (size_t n = 0; n < sizes[i]; n++)
            assert_int_equal((unsigned char)f.bytes.ptr[n], n & 0xff);
        assert_true(vly_pb_next(&c, &f));
        assert_int_equal(f.value, 7);
        assert_false(vly_pb_next(&c, &f));
    }
    vly_buf_release(&b);
}

static void writer_keeps_its_limit(void **state)
{
    (void)state;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, 130); /* content fits, the second length byte does not */
    size_t mark = vly_pb_open(&b, 1);
    for (int i = 0; i < 128; i++)
        vly_buf_putc(&b, 'x');
    assert_false(b.failed);
    vly_pb_close(&b, mark);
    assert_true(b.failed);
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test(reads_each_wire_type), cmocka_unit_test(rejects_malformed),
           cmocka_unit_test(reads_empty), cmocka_unit_test(reads_packed), cmocka_unit_test(writes),
           cmocka_unit_test(writes_nested), cmocka_unit_test(writer_keeps_its_limit))

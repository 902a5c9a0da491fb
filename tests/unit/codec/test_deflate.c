/* SPDX-License-Identifier: MIT */
/* What is compressed comes back by codec/inflate.h, whose vectors are from other programs; the e2e
 * tests have Python and curl read it. Qualities as in RFC 9110 12.5.3. */
#include "codec/deflate.h"

#include "base/assert.h"
#include "base/mem.h"
#include "unit.h"

static vly_buf packed, plain;
static vly_err err;

static int begin(void **state)
{
    (void)state;
    vly_buf_init(&packed, VLY_MEM_CODEC, (size_t)8 << 20);
    vly_buf_init(&plain, VLY_MEM_CODEC, (size_t)8 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    vly_buf_release(&packed);
    vly_buf_release(&plain);
    return 0;
}

/* Larger than the buffers that the code works with, and not all alike. */
static vly_buf long_text(void)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, (size_t)4 << 20);
    for (uint32_t i = 0, x = 1; i < 500000; i++) {
        x = x * 1664525u + 1013904223u;
        vly_buf_putc(&b, (char)(x >> 30));
    }
    return b;
}

static void comes_back(void **state)
{
    (void)state;
    vly_buf text = long_text();
    const vly_str parts[] = {VLY_STR("{}"), VLY_STR(""), vly_buf_str(&text)};

    for (int e = 0; e < VLY_ENCODING_LZ4; e++) {
        vly_buf_clear(&packed);
        vly_buf_clear(&plain);
        assert_int_equal(vly_deflate((vly_encoding)e, parts, 3, &packed, &err), VLY_OK);
        assert_true(e == VLY_ENCODING_IDENTITY || packed.len < text.len / 2);
        assert_int_equal(vly_inflate((vly_encoding)e, vly_buf_str(&packed), &plain, &err), VLY_OK);
        assert_int_equal(plain.len, text.len + 2);
        assert_memory_equal(plain.ptr, "{}", 2);
        assert_memory_equal(plain.ptr + 2, text.ptr, text.len);
    }
    vly_buf_release(&text);
}

static void nothing_comes_back_too(void **state)
{
    (void)state;
    for (int e = 0; e < VLY_ENCODING_LZ4; e++) {
        vly_buf_clear(&packed);
        vly_buf_clear(&plain);
        assert_int_equal(vly_deflate((vly_encoding)e, NULL, 0, &packed, &err), VLY_OK);
        assert_int_equal(vly_inflate((vly_encoding)e, vly_buf_str(&packed), &plain, &err), VLY_OK);
        assert_int_equal(plain.len, 0);
    }
}

static void output_is_bounded(void **state)
{
    (void)state;
    vly_buf text = long_text();
    const vly_str part = vly_buf_str(&text);

    for (int e = 0; e < VLY_ENCODING_LZ4; e++) {
        vly_buf_release(&packed);
        vly_buf_init(&packed, VLY_MEM_CODEC, 1000);
        assert_int_equal(vly_deflate((vly_encoding)e, &part, 1, &packed, &err), VLY_ELIMIT);
        assert_true(packed.len <= 1000);
    }
    vly_buf_release(&text);
}

/* Out of a small body comes no more than VLY_INFLATE_FREE_BYTES. */
static void bombs_are_refused(void **state)
{
    (void)state;
    static const char zeros[1 << 20];
    vly_str parts[17];

    for (size_t i = 0; i < VLY_COUNT(parts); i++)
        parts[i] = (vly_str){zeros, sizeof(zeros)};
    for (int e = VLY_ENCODING_GZIP; e < VLY_ENCODING_LZ4; e++) {
        vly_buf_release(&plain);
        vly_buf_init(&plain, VLY_MEM_CODEC, (size_t)64 << 20);
        vly_buf_clear(&packed);
        assert_int_equal(vly_deflate((vly_encoding)e, parts, VLY_COUNT(parts), &packed, &err),
                         VLY_OK);
        assert_true(packed.len * VLY_INFLATE_RATIO_MAX < VLY_COUNT(parts) * sizeof(zeros));
        assert_int_equal(vly_inflate((vly_encoding)e, vly_buf_str(&packed), &plain, &err),
                         VLY_ELIMIT);
        assert_non_null(strstr(err.msg, "times its size"));
        assert_true(plain.len <= (size_t)17 << 20);

        vly_buf_clear(&packed); /* within the free bytes the ratio does not count */
        vly_buf_clear(&plain);
        assert_int_equal(vly_deflate((vly_encoding)e, parts, 4, &packed, &err), VLY_OK);
        assert_int_equal(vly_inflate((vly_encoding)e, vly_buf_str(&packed), &plain, &err), VLY_OK);
        assert_int_equal(plain.len, 4 * sizeof(zeros));
    }
}

static void chooses(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        vly_encoding encoding;
    } rows[] = {
        {NULL, VLY_ENCODING_IDENTITY},
        {"", VLY_ENCODING_IDENTITY},
        {"identity", VLY_ENCODING_IDENTITY},
        {"gzip", VLY_ENCODING_GZIP},
        {"X-GZIP", VLY_ENCODING_GZIP},
        {"deflate", VLY_ENCODING_DEFLATE},
        {"zstd", VLY_ENCODING_ZSTD},
        {"br", VLY_ENCODING_IDENTITY},
        {"gzip, deflate, br, zstd", VLY_ENCODING_ZSTD},
        {"gzip,deflate", VLY_ENCODING_GZIP},
        {"gzip;q=0.5, deflate;q=0.8", VLY_ENCODING_DEFLATE},
        {"zstd;q=0, gzip ; q=0.001", VLY_ENCODING_GZIP},
        {"gzip;q=0.5, identity", VLY_ENCODING_IDENTITY},
        {"*", VLY_ENCODING_ZSTD},
        {"*;q=0, gzip", VLY_ENCODING_GZIP},
        {"zstd;q=0, *", VLY_ENCODING_GZIP},
        {"gzip;q=2", VLY_ENCODING_IDENTITY},
        {"gzip;q=x, deflate", VLY_ENCODING_DEFLATE},
        {"gzip;q=nan", VLY_ENCODING_IDENTITY},
        {",,gzip,,", VLY_ENCODING_GZIP},
        {"*;q=0", VLY_ENCODING_IDENTITY},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        if (vly_encoding_choose(vly_str_from(rows[i].accept)) != rows[i].encoding)
            fail_msg("'%s'", rows[i].accept);
}

static void takes(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool is_taken; /* gzip */
    } rows[] = {
        {NULL, false},
        {"", false},
        {"br", false},
        {"gzip, deflate, br, zstd", true},
        {"zstd, gzip;q=0", false},
        {"zstd, *;q=0.1", true},
        {"gzip;q=0, *", false},
        {"gzip;q=2", false},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        if (vly_encoding_takes(vly_str_from(rows[i].accept), VLY_ENCODING_GZIP) != rows[i].is_taken)
            fail_msg("'%s'", rows[i].accept);
}

static void survives_without_memory(void **state)
{
    (void)state;
    const vly_str part = VLY_STR("hello hello hello");
    vly_status st = VLY_ENOMEM;
    int n = 0;

    for (; st != VLY_OK && n < 20; n++) {
        vly_buf_release(&packed);
        vly_mem_fail_after(n);
        vly_buf_clear(&packed);
        st = vly_deflate(VLY_ENCODING_GZIP, &part, 1, &packed, &err);
        vly_mem_fail_after(-1);
        if (st != VLY_OK)
            assert_int_equal(st, VLY_ENOMEM);
    }
    assert_true(n > 1 && n < 20);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(comes_back, begin, end),
           cmocka_unit_test_setup_teardown(nothing_comes_back_too, begin, end),
           cmocka_unit_test_setup_teardown(output_is_bounded, begin, end),
           cmocka_unit_test_setup_teardown(bombs_are_refused, begin, end),
           cmocka_unit_test(chooses), cmocka_unit_test(takes),
           cmocka_unit_test_setup_teardown(survives_without_memory, begin, end))

/* SPDX-License-Identifier: MIT */
/* Bodies that are made distinct. What a PNG's checksum must be is tested end to end, by Python. */
#include "load/load_body.h"
#include "support/file_bytes.h"
#include "unit.h"

#include "codec/picture.h"

#include <stdlib.h>

static vly_arena arena;
static vly_err err;

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CLI, 4096, (size_t)1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static void a_jpeg_gets_a_comment(void **state)
{
    (void)state;
    static const char jpeg[] = "\xFF\xD8\xFF\xE0rest";
    static const char wanted[] = "\xFF\xD8"
                                 "\xFF\xFE\x00\x12"
                                 "00000000000000ff"
                                 "\xFF\xE0rest";
    vly_load_body b;
    char copy[64];

    assert_int_equal(vly_load_body_picture((vly_str){jpeg, sizeof(jpeg) - 1}, &arena, &b, &err),
                     VLY_OK);
    assert_int_equal(b.bytes.len, sizeof(wanted) - 1);
    memcpy(copy, b.bytes.ptr, b.bytes.len);
    (void)vly_load_body_mark(&b, 255, copy + b.at);
    assert_memory_equal(copy, wanted, sizeof(wanted) - 1);
}

/* What a decoder makes of it stays the same. */
static void a_webp_gets_a_chunk(void **state)
{
    (void)state;
    const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;
    vly_picture before = {0}, after = {0};
    vly_load_body b;
    size_t n;
    uint8_t *file = file_bytes(unit_source("tests/fuzz/corpus/picture/lossy.webp"), &n);

    assert_int_equal(vly_load_body_picture((vly_str){(const char *)file, n}, &arena, &b, &err),
                     VLY_OK);
    assert_int_equal(b.bytes.len, n + 24);
    const uint8_t *bytes = (const uint8_t *)b.bytes.ptr;
    assert_int_equal(bytes[4] | bytes[5] << 8 | bytes[6] << 16, n + 24 - 8);
    assert_memory_equal(bytes + n, "vlyn\x10\0\0\0", 8);
    assert_int_equal(b.at, n + 8);
    assert_int_equal(vly_picture_decode(file, n, &limits, &before, &err), VLY_OK);
    assert_int_equal(vly_picture_decode(bytes, b.bytes.len, &limits, &after, &err), VLY_OK);
    assert_int_equal(after.width, before.width);
    assert_int_equal(after.height, before.height);
    for (uint32_t y = 0; y < before.height; y++)
        assert_memory_equal(after.pixels + y * after.stride, before.pixels + y * before.stride,
                            (size_t)before.width * 3);
    vly_picture_release(&before);
    vly_picture_release(&after);
    free(file);
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char png_only[] = "\x89PNG\r\n\x1a\n"; /* no header chunk behind it */
    vly_load_body b;

    assert_int_equal(vly_load_body_picture(VLY_STR("RIFF....WEBP"), &arena, &b, &err),
                     VLY_EUNSUPPORTED);
    assert_int_equal(vly_load_body_picture(VLY_STR("RIFF\x04\0\0\0WAVE"), &arena, &b, &err),
                     VLY_EUNSUPPORTED);
    assert_int_equal(vly_load_body_picture((vly_str){png_only, 8}, &arena, &b, &err),
                     VLY_EUNSUPPORTED);
    assert_int_equal(vly_load_body_picture((vly_str){0}, &arena, &b, &err), VLY_EUNSUPPORTED);
}

static void numbers_are_distinct(void **state)
{
    (void)state;
    const vly_load_body f = {.mark = VLY_LOAD_MARK_FLOAT, .at = 4};
    const vly_load_body d = {.mark = VLY_LOAD_MARK_DECIMAL, .at = 2};
    char bytes[32] = "0.5000000000000000]";
    float value, last = 0;

    (void)vly_load_body_mark(&d, 1234, bytes + d.at);
    assert_string_equal(bytes, "0.0000000000001234]");
    for (uint64_t i = 0; i < 1000; i++) {
        (void)vly_load_body_mark(&f, i, bytes + f.at);
        memcpy(&value, bytes + 4, sizeof(value));
        assert_true(value >= 0.5F && value < 1 && value > last);
        last = value;
    }
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(a_jpeg_gets_a_comment, set_up, tear_down),
           cmocka_unit_test_setup_teardown(a_webp_gets_a_chunk, set_up, tear_down),
           cmocka_unit_test_setup_teardown(others_are_refused, set_up, tear_down),
           cmocka_unit_test(numbers_are_distinct))

/* SPDX-License-Identifier: MIT */
/*
 * Probe, limits, damage and memory of the picture decoders, on the small files that
 * tools/make_picture_samples.py has made. What their pixels should be: test_picture_files.c.
 */
#include "codec/picture.h"

#include "base/mem.h"
#include "codec/picture_codec.h"
#include "support/file_bytes.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

static uint8_t *sample(const char *name, size_t *ret_n)
{
    char rel[512];
    snprintf(rel, sizeof(rel), "tests/fuzz/corpus/picture/%s", name);
    return file_bytes(unit_source(rel), ret_n);
}

static vly_status decode_sample(const char *name, const vly_picture_limits *l, vly_picture *ret,
                                vly_err *err)
{
    size_t n;
    uint8_t *bytes = sample(name, &n);
    vly_status st = vly_picture_decode(bytes, n, l, ret, err);
    free(bytes);
    return st;
}

static void probe_reads_the_header(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *format;
        uint32_t width, height;
        int orientation;
    } cases[] = {
        {"baseline_420.jpg", "jpeg", 34, 22, 1}, {"progressive.jpg", "jpeg", 34, 22, 1},
        {"exif_3.jpg", "jpeg", 17, 11, 3},       {"exif_6.jpg", "jpeg", 11, 17, 6},
        {"interlaced.png", "png", 34, 22, 1},    {"exif_8.png", "png", 11, 17, 8},
        {"lossy.webp", "webp", 34, 22, 1},       {"animated.webp", "webp", 34, 22, 1},
        {"exif_5.webp", "webp", 11, 17, 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n;
        uint8_t *bytes = sample(cases[i].name, &n);
        vly_picture_info info;
        uint64_t n_allocs = vly_mem_count_all();
        assert_int_equal(vly_picture_probe(bytes, n, &limits, &info, NULL), VLY_OK);
        assert_int_equal(vly_mem_count_all(), n_allocs);
        assert_string_equal(info.format, cases[i].format);
        assert_int_equal(info.width, cases[i].width);
        assert_int_equal(info.height, cases[i].height);
        assert_int_equal(info.orientation, cases[i].orientation);
        free(bytes);
    }
}

static void expect_refusal(const char *name, const vly_picture_limits *l, vly_status expected,
                           const char *text)
{
    vly_err err = VLY_ERR_INIT;
    vly_picture p = {.width = 77};
    vly_status st = decode_sample(name, l, &p, &err);

    if (st != expected || strstr(err.msg, text) == NULL)
        fail_msg("%s: expected %s '%s', got %s '%s'", name, vly_status_name(expected), text,
                 vly_status_name(st), err.msg);
    assert_int_equal(err.status, expected);
    assert_int_equal(p.width, 77); /* untouched */
    assert_null(p.pixels);
}

static void refuses_foreign_formats_by_name(void **state)
{
    (void)state;
    expect_refusal("foreign.gif", &limits, VLY_EMEDIA, "expected jpeg, png or webp, got gif");
    expect_refusal("foreign.bmp", &limits, VLY_EMEDIA, "got bmp");
    expect_refusal("foreign.tiff", &limits, VLY_EMEDIA, "got tiff");
    expect_refusal("foreign.ppm", &limits, VLY_EMEDIA, "got ppm");
    expect_refusal("foreign.ico", &limits, VLY_EMEDIA, "got ico");
    expect_refusal("text.jpg", &limits, VLY_EMEDIA, "got html");

    vly_err err = VLY_ERR_INIT;
    vly_picture p;
    assert_int_equal(vly_picture_decode("", 0, &limits, &p, &err), VLY_EINVAL);
    assert_int_equal(vly_picture_decode("\1\2", 2, &limits, &p, &err), VLY_EMEDIA);
    assert_string_equal(
        err.msg, "picture: expected jpeg, png or webp, got 2 bytes that begin with 01 02 00 00");
}

static void refuses_damage_and_says_what(void **state)
{
    (void)state;
    expect_refusal("no_eoi.jpg", &limits, VLY_EFORMAT, "jpeg picture: truncated at");
    expect_refusal("sof_zero.jpg", &limits, VLY_EFORMAT, "at least one pixel, got 0 x 0");
    expect_refusal("sof_12bit.jpg", &limits, VLY_EMEDIA, "precision 12");
    expect_refusal("sof_lossless.jpg", &limits, VLY_EMEDIA, "SOF type 0xc3");
    expect_refusal("bad_crc.png", &limits, VLY_EFORMAT, "png picture: IDAT: CRC error");
    expect_refusal("bad_adler.png", &limits, VLY_EFORMAT, "png picture: IDAT");
}

static void checks_limits_before_it_allocates(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        vly_picture_limits limits;
        const char *text;
    } cases[] = {
        {"lossy.webp", {10, 1000, 1000, 1 << 30}, "bytes exceed the limit of 10"},
        {"rgb8.png", {1 << 20, 747, 1000, 1 << 30}, "34 x 22 pixels exceed the limit of 747"},
        {"exif_6.jpg", {1 << 20, 1000, 16, 1 << 30}, "17 x 11 exceeds the limit of 16"},
        {"progressive.jpg", {1 << 20, 1000, 1000, 3 * 748 + 9}, "the limit is 2253"},
        {"sof_65535.jpg", VLY_PICTURE_LIMITS_INIT, "65535 x 65535 exceeds"},
        {"bomb_header.png", VLY_PICTURE_LIMITS_INIT, "2147483647 x 1 exceeds"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t n_allocs = vly_mem_count_all();
        expect_refusal(cases[i].name, &cases[i].limits, VLY_ELIMIT, cases[i].text);
        assert_int_equal(vly_mem_count_all(), n_allocs);
    }
}

/* The estimate grows with what the decoder keeps: progressive over baseline, lossless over lossy.
 */
static void estimates_decoder_memory(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"progressive.jpg", "baseline_420.jpg"},
                                           {"lossless.webp", "lossy.webp"},
                                           {"lossy_alpha.webp", "lossy.webp"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        size_t decoder_bytes[2];
        for (int k = 0; k < 2; k++) {
            size_t n;
            uint8_t *bytes = sample(pairs[i][k], &n);
            vly_picture_info info;
            assert_int_equal(vly_picture_probe(bytes, n, &limits, &info, NULL), VLY_OK);
            decoder_bytes[k] = info.decoder_bytes;
            free(bytes);
        }
        assert_true(decoder_bytes[0] > decoder_bytes[1]);
    }
}

/* A JPEG needs its end marker, a WebP its last byte; a PNG may lose what is behind its last row:
 * the end chunk and the checksum before it. */
static void refuses_every_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t tail;
    } cases[] = {{"baseline_420.jpg", 0}, {"progressive.jpg", 0}, {"cmyk.jpg", 0},
                 {"rgb8.png", 16},        {"interlaced.png", 16}, {"animated.png", 400},
                 {"lossy.webp", 0},       {"lossless.webp", 0},   {"lossy_alpha.webp", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n;
        uint8_t *bytes = sample(cases[i].name, &n);
        for (size_t cut = 0; cut < n; cut++) {
            vly_picture p = {0};
            vly_status st = vly_picture_decode(bytes, cut, &limits, &p, NULL);
            if (cut + cases[i].tail < n && st != VLY_EFORMAT && st != VLY_EMEDIA &&
                st != VLY_EINVAL)
                fail_msg("%s cut to %zu bytes: %s", cases[i].name, cut, vly_status_name(st));
            vly_picture_release(&p);
        }
        free(bytes);
    }
}

/* A progressive JPEG whose last scan is repeated: each repetition costs a pass over the picture. */
static void limits_the_scans(void **state)
{
    (void)state;
    size_t n, n_copies = 600;
    uint8_t *bytes = sample("progressive.jpg", &n);
    size_t scan = n - 4;
    while (bytes[scan] != 0xff || bytes[scan + 1] != 0xda)
        scan--;
    size_t scan_n = n - 2 - scan;
    uint8_t *bomb = malloc(n + n_copies * scan_n);
    assert_non_null(bomb);
    memcpy(bomb, bytes, n - 2);
    for (size_t i = 0; i < n_copies; i++)
        memcpy(bomb + n - 2 + i * scan_n, bytes + scan, scan_n);

    vly_err err = VLY_ERR_INIT;
    vly_picture p;
    assert_int_equal(vly_picture_decode(bomb, n - 2 + n_copies * scan_n, &limits, &p, &err),
                     VLY_ELIMIT);
    assert_string_equal(err.msg, "jpeg picture: more than 500 scans");
    free(bomb);
    free(bytes);
}

/* Each allocation through vly_alloc fails in turn. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    static const char *const names[] = {"exif_6.jpg", "cmyk.jpg",      "palette8_trns.png",
                                        "exif_5.png", "animated.webp", "exif_7.webp"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        vly_picture p = {0};
        vly_status st = VLY_ENOMEM;
        int n_allowed = 0;
        for (; st == VLY_ENOMEM; n_allowed++) {
            vly_err err = VLY_ERR_INIT;
            vly_mem_fail_after(n_allowed);
            st = decode_sample(names[i], &limits, &p, &err);
            vly_mem_fail_after(-1);
            assert_true(st == VLY_OK || (p.pixels == NULL && err.msg[0] != '\0'));
        }
        assert_int_equal(st, VLY_OK);
        assert_true(n_allowed >= 2);
        vly_picture_release(&p);
    }
}

/* EXIF 2.32, tag 0x0112: where the stored row 0 and column 0 belong. */
static void turns_every_orientation_upright(void **state)
{
    (void)state;
    enum { W = 70, H = 45 }; /* more than a tile, and not a multiple of it */
    for (int orientation = 1; orientation <= 8; orientation++) {
        bool is_turned = orientation >= 5;
        uint32_t w = is_turned ? H : W, h = is_turned ? W : H; /* upright */
        vly_picture p;
        assert_int_equal(vly_picture_new(W, H, &p, NULL), VLY_OK);
        for (uint32_t y = 0; y < H; y++)
            for (uint32_t x = 0; x < W; x++)
                memcpy(p.pixels + y * p.stride + (size_t)3 * x,
                       (uint8_t[]){(uint8_t)x, (uint8_t)y, 9}, 3);
        assert_int_equal(vly_picture__upright(&p, orientation, NULL), VLY_OK);
        assert_int_equal(p.width, w);
        assert_int_equal(p.height, h);
        for (uint32_t y = 0; y < h; y++)
            for (uint32_t x = 0; x < w; x++) {
                uint32_t right = w - 1 - x, bottom = h - 1 - y; /* distance from those sides */
                const uint32_t row_of[] = {0, y, y, bottom, bottom, x, right, right, x};
                const uint32_t column_of[] = {0, x, right, right, x, y, y, bottom, bottom};
                const uint8_t *px = p.pixels + y * p.stride + (size_t)3 * x;
                assert_int_equal(px[0], column_of[orientation]);
                assert_int_equal(px[1], row_of[orientation]);
                assert_int_equal(px[2], 9);
            }
        vly_picture_release(&p);
    }
}

/* The chunks that are skipped hold 100 kB of text in 150 bytes. */
static void skips_text_of_png(void **state)
{
    (void)state;
    vly_picture p;
    assert_int_equal(decode_sample("ztxt.png", &limits, &p, NULL), VLY_OK);
    assert_memory_equal(p.pixels, "abc", 3);
    vly_picture_release(&p);
}

UNIT_TESTS(cmocka_unit_test(probe_reads_the_header),
           cmocka_unit_test(refuses_foreign_formats_by_name),
           cmocka_unit_test(refuses_damage_and_says_what),
           cmocka_unit_test(checks_limits_before_it_allocates),
           cmocka_unit_test(estimates_decoder_memory), cmocka_unit_test(refuses_every_prefix),
           cmocka_unit_test(limits_the_scans), cmocka_unit_test(survives_failing_allocations),
           cmocka_unit_test(turns_every_orientation_upright), cmocka_unit_test(skips_text_of_png))

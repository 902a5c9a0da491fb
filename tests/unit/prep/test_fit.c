/* SPDX-License-Identifier: MIT */
/* Letterbox and its siblings against OpenCV and Ultralytics: fit_truth.py prints the expected
 * values. Before normalisation the samples must be equal, so a checksum per case tells all. */
#include "prep/image/letterbox.h"

#include "base/assert.h"
#include "base/mem.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static vly_picture source(uint32_t w, uint32_t h)
{
    vly_picture p;
    assert_int_equal(vly_picture_new(w, h, &p, NULL), VLY_OK);
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++)
            for (uint32_t c = 0; c < 3; c++)
                p.pixels[y * p.stride + (size_t)3 * x + c] =
                    (uint8_t)(x * 37 + y * 59 + c * 83 + x * y * 5);
    return p;
}

/* Polynomial of zlib.crc32, one byte per sample. */
static uint32_t crc_of(const float *samples, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint8_t)samples[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static float *new_tensor(uint32_t w, uint32_t h)
{
    float *t = malloc(sizeof(float) * 3 * w * h);
    assert_non_null(t);
    return t;
}

static const vly_letterbox_opts raw = {.pad = 114, .std = {1.0f, 1.0f, 1.0f}};

static void samples_equal_opencv(void **state)
{
    (void)state;
    static const struct {
        uint32_t w, h;
        vly_fit fit;
        uint32_t to_w, to_h;
        int left, top, new_w, new_h;
        uint32_t crc;
    } cases[] = {
        {5, 3, VLY_FIT_LETTERBOX, 8, 8, 0, 1, 8, 5, 0xaa424746},
        {1, 1, VLY_FIT_LETTERBOX, 4, 3, 0, 0, 3, 3, 0x14c8d77f},
        {640, 640, VLY_FIT_LETTERBOX, 640, 640, 0, 0, 640, 640, 0x2286d87d},
        {1280, 720, VLY_FIT_LETTERBOX, 640, 640, 0, 140, 640, 360, 0x88968251},
        {810, 1080, VLY_FIT_LETTERBOX, 640, 640, 80, 0, 480, 640, 0x4e0b0f34},
        {333, 777, VLY_FIT_LETTERBOX, 416, 320, 139, 0, 137, 320, 0x6ad25081},
        {100, 75, VLY_FIT_LETTERBOX, 640, 640, 0, 80, 640, 480, 0xa44e7344},
        {2000, 3, VLY_FIT_LETTERBOX, 320, 320, 0, 159, 320, 1, 0x0310b61b},
        {501, 375, VLY_FIT_TOP_LEFT, 416, 416, 0, 0, 416, 311, 0xa0afd49c},
        {64, 1000, VLY_FIT_TOP_LEFT, 640, 640, 0, 0, 40, 640, 0xa48b4cd1},
        {1920, 1080, VLY_FIT_STRETCH, 224, 224, 0, 0, 224, 224, 0x79e788cc},
        {7, 9, VLY_FIT_STRETCH, 64, 31, 0, 0, 64, 31, 0xb588f9f0},
        {448, 448, VLY_FIT_STRETCH, 224, 224, 0, 0, 224, 224, 0x0146dda1},
        {500, 375, VLY_FIT_COVER, 224, 224, -38, 0, 299, 224, 0x09a7dea8},
        {30, 90, VLY_FIT_COVER, 224, 200, 0, -236, 224, 672, 0xe1c38a3b},
    };
    vly_letterbox lb;
    vly_letterbox_init(&lb);
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        vly_picture p = source(cases[i].w, cases[i].h);
        float *t = new_tensor(cases[i].to_w, cases[i].to_h);
        vly_letterbox_opts opts = raw;
        vly_letterbox_map map, same;
        opts.fit = cases[i].fit;
        assert_int_equal(
            vly_letterbox_run(&lb, &p, &opts, cases[i].to_w, cases[i].to_h, t, &map, NULL), VLY_OK);
        assert_int_equal(crc_of(t, (size_t)3 * cases[i].to_w * cases[i].to_h), cases[i].crc);
        same = vly_letterbox_map_of(p.width, p.height, opts.fit, cases[i].to_w, cases[i].to_h);
        assert_memory_equal(&map, &same, sizeof(map));
        assert_true(map.pad_x == (float)cases[i].left && map.pad_y == (float)cases[i].top);
        assert_true(fabsf(map.scale_x * (float)p.width - (float)cases[i].new_w) < 1e-3f);
        assert_true(fabsf(map.scale_y * (float)p.height - (float)cases[i].new_h) < 1e-3f);
        free(t);
        vly_picture_release(&p);
    }
    vly_letterbox_release(&lb);
}

/* One case in plain sight: 5 x 3 into 8 x 8, red channel. */
static void a_small_one_in_numbers(void **state)
{
    (void)state;
    static const uint8_t red[64] = {
        114, 114, 114, 114, 114, 114, 114, 114, 0,   16,  39,  62,  85,  109, 132, 148,
        24,  40,  65,  89,  114, 138, 162, 180, 59,  77,  104, 130, 156, 182, 209, 227,
        94,  114, 142, 170, 150, 82,  101, 121, 118, 138, 168, 197, 147, 16,  29,  50,
        114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114, 114,
    };
    float t[3 * 64];
    vly_picture p = source(5, 3);
    vly_letterbox lb;
    vly_letterbox_init(&lb);
    assert_int_equal(vly_letterbox_run(&lb, &p, &raw, 8, 8, t, NULL, NULL), VLY_OK);
    for (int i = 0; i < 64; i++)
        assert_true(t[i] == (float)red[i]);
    vly_letterbox_release(&lb);
    vly_picture_release(&p);
}

/* Same size, so each sample is known: (v / 255 - mean) / std by channel, in the order asked for. */
static void normalises_and_orders_channels(void **state)
{
    (void)state;
    vly_picture p = source(6, 4);
    float t[3 * 6 * 5];
    vly_letterbox_opts opts = {.fit = VLY_FIT_TOP_LEFT,
                               .is_bgr = true,
                               .unit = true,
                               .pad = 100,
                               .mean = {0.1f, 0.2f, 0.3f},
                               .std = {0.5f, 0.25f, 2.0f}};
    vly_letterbox lb;
    vly_letterbox_init(&lb);
    assert_int_equal(vly_letterbox_run(&lb, &p, &opts, 6, 5, t, NULL, NULL), VLY_OK);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 30; i++) {
            int x = i % 6, y = i / 6;
            int v = y < 4 ? p.pixels[y * 18 + 3 * x + 2 - c] : 100;
            double expected = (v / 255.0 - (double)opts.mean[c]) / (double)opts.std[c];
            assert_true(fabs((double)t[c * 30 + i] - expected) < 5e-7);
        }
    vly_letterbox_release(&lb);
    vly_picture_release(&p);
}

static void refuses_a_zero_std(void **state)
{
    (void)state;
    vly_picture p = source(2, 2);
    float t[3] = {5, 5, 5};
    vly_letterbox_opts opts = VLY_LETTERBOX_OPTS_INIT;
    vly_err err = VLY_ERR_INIT;
    vly_letterbox lb;
    vly_letterbox_init(&lb);
    opts.std[1] = 0.0f;
    assert_int_equal(vly_letterbox_run(&lb, &p, &opts, 1, 1, t, NULL, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "letterbox: expected std > 0, got 0 for channel 1");
    assert_true(t[0] == 5.0f);
    vly_letterbox_release(&lb);
    vly_picture_release(&p);
}

static void reuses_its_work_area(void **state)
{
    (void)state;
    vly_picture p = source(100, 80);
    float *t = new_tensor(64, 64);
    vly_letterbox_opts opts = VLY_LETTERBOX_OPTS_INIT;
    vly_err err = VLY_ERR_INIT;
    vly_letterbox lb;
    vly_letterbox_init(&lb);
    vly_mem_fail_after(0);
    assert_int_equal(vly_letterbox_run(&lb, &p, &opts, 64, 64, t, NULL, &err), VLY_ENOMEM);
    vly_mem_fail_after(-1);
    assert_int_equal(vly_letterbox_run(&lb, &p, &opts, 64, 64, t, NULL, &err), VLY_OK);
    uint64_t n_allocs = vly_mem_count_all();
    for (uint32_t side = 1; side <= 64; side += 9)
        assert_int_equal(vly_letterbox_run(&lb, &p, &opts, side, 64, t, NULL, &err), VLY_OK);
    assert_int_equal(vly_mem_count_all(), n_allocs);
    free(t);
    vly_letterbox_release(&lb);
    vly_picture_release(&p);
}

/* Corner pixels of a mark in the picture, seen at their place in the tensor, come back. */
static void maps_back_to_the_picture(void **state)
{
    (void)state;
    vly_letterbox_map map = vly_letterbox_map_of(1280, 720, VLY_FIT_LETTERBOX, 640, 640);
    float inside[4] = {50, 190, 100, 240}, outside[4] = {-10, 100, 700, 600}, x = 0, y = 140;

    vly_letterbox_unmap_box(&map, inside); /* scale 0.5, padding 0 and 140 */
    const float expected[4] = {100, 100, 200, 200}, clipped[4] = {0, 0, 1280, 720};
    assert_memory_equal(inside, expected, sizeof(inside));
    vly_letterbox_unmap_box(&map, outside);
    assert_memory_equal(outside, clipped, sizeof(outside));
    vly_letterbox_unmap_point(&map, &x, &y);
    assert_true(x == 0.0f && y == 0.0f);
    y = 0.0f;
    vly_letterbox_unmap_point(&map, &x, &y); /* a point is not clipped */
    assert_true(y == -280.0f);
    float nan_box[4] = {NAN, NAN, NAN, NAN};
    vly_letterbox_unmap_box(&map, nan_box);
    assert_true(nan_box[0] >= 0.0f && nan_box[3] <= 720.0f);
}

UNIT_TESTS(cmocka_unit_test(samples_equal_opencv), cmocka_unit_test(a_small_one_in_numbers),
           cmocka_unit_test(normalises_and_orders_channels), cmocka_unit_test(refuses_a_zero_std),
           cmocka_unit_test(reuses_its_work_area), cmocka_unit_test(maps_back_to_the_picture))

/* SPDX-License-Identifier: MIT */
#include "codec/picture.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

enum { W = 33, H = 18, STRIDE = 3 * W + 5 };

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

/* A view with bytes between its rows that must not get into the file. */
static vly_picture view(uint8_t pixels[H * STRIDE])
{
    memset(pixels, 0xee, (size_t)H * STRIDE);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                pixels[y * STRIDE + 3 * x + c] = (uint8_t)(c == 0 ? 7 * x : c == 1 ? 12 * y : 99);
    return (vly_picture){pixels, STRIDE, W, H};
}

/* Largest difference between the view and what the file decodes to. */
static int error_of(const vly_picture *p, const char *file, size_t n)
{
    vly_picture q;
    int worst = 0;

    assert_int_equal(vly_picture_decode(file, n, &limits, &q, NULL), VLY_OK);
    assert_int_equal(q.width, W);
    assert_int_equal(q.height, H);
    for (int y = 0; y < H; y++)
        for (int i = 0; i < 3 * W; i++) {
            int d = abs(p->pixels[y * STRIDE + i] - q.pixels[(size_t)y * q.stride + (size_t)i]);
            worst = d > worst ? d : worst;
        }
    vly_picture_release(&q);
    return worst;
}

static void png_is_exact(void **state)
{
    (void)state;
    uint8_t pixels[H * STRIDE];
    vly_picture p = view(pixels);
    vly_buf out;
    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 16);
    vly_buf_puts(&out, "head"); /* a file is appended */
    assert_int_equal(vly_picture_encode_png(&p, &out, NULL), VLY_OK);
    assert_memory_equal(out.ptr, "head\x89PNG", 8);
    assert_int_equal(error_of(&p, out.ptr + 4, out.len - 4), 0);
    vly_buf_release(&out);
}

static void jpeg_is_close_and_obeys_quality(void **state)
{
    (void)state;
    uint8_t pixels[H * STRIDE];
    vly_picture p = view(pixels);
    size_t sizes[3];
    static const int qualities[3] = {10, 75, 95};
    for (int i = 0; i < 3; i++) {
        vly_buf out;
        vly_buf_init(&out, VLY_MEM_CODEC, 1 << 16);
        assert_int_equal(vly_picture_encode_jpeg(&p, qualities[i], &out, NULL), VLY_OK);
        sizes[i] = out.len;
        if (qualities[i] == 95)
            assert_true(error_of(&p, out.ptr, out.len) <= 6);
        vly_buf_release(&out);
    }
    assert_true(sizes[0] < sizes[1] && sizes[1] < sizes[2]);
}

static void a_full_buffer_is_an_error(void **state)
{
    (void)state;
    uint8_t pixels[H * STRIDE];
    vly_picture p = view(pixels);
    vly_err err = VLY_ERR_INIT;
    vly_buf out;
    vly_buf_init(&out, VLY_MEM_CODEC, 100);
    assert_int_equal(vly_picture_encode_jpeg(&p, 75, &out, &err), VLY_ELIMIT);
    assert_int_equal(out.len, 0);
    vly_buf_clear(&out);
    assert_int_equal(vly_picture_encode_png(&p, &out, &err), VLY_ELIMIT);
    assert_int_equal(out.len, 0);
    vly_buf_release(&out);
}

static void too_wide_for_jpeg(void **state)
{
    (void)state;
    static uint8_t row[3 * 70000];
    vly_picture p = {row, sizeof(row), 70000, 1};
    vly_buf out;
    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 24);
    assert_int_equal(vly_picture_encode_jpeg(&p, 75, &out, NULL), VLY_ELIMIT);
    assert_int_equal(vly_picture_encode_png(&p, &out, NULL), VLY_OK);
    vly_buf_release(&out);
}

UNIT_TESTS(cmocka_unit_test(png_is_exact), cmocka_unit_test(jpeg_is_close_and_obeys_quality),
           cmocka_unit_test(a_full_buffer_is_an_error), cmocka_unit_test(too_wide_for_jpeg))

/* SPDX-License-Identifier: MIT */
/* Convolutions by way of the matrix, its transpose and the depthwise form, against plain sums. */
#include "dsp/im2col.h"
#include "dsp/windows.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 3, PLANE_MAX = 32 * 32 * 32, ROWS_MAX = CHANNELS * 64 };

static float image[CHANNELS * PLANE_MAX], other[CHANNELS * PLANE_MAX];
static float panels[ROWS_MAX * VLY_GEMM_NC_MAX];

static void fill(float *x, int64_t n, uint32_t *seed)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float(seed);
}

/* The whole matrix, packed block by block with panels of width nr, is what window_source says. */
static void check_matrix(const vly_window *w, const float *x, int nr)
{
    vly_im2col m = vly_im2col_f32(w, x);
    int64_t taps = vly_window_kernel_size(w), rows = CHANNELS * taps, n = vly_window_out_size(w);

    for (int64_t n0 = 0; n0 < n; n0 += VLY_GEMM_NC_MAX) {
        int64_t nn = n - n0 < VLY_GEMM_NC_MAX ? n - n0 : VLY_GEMM_NC_MAX;
        m.base.pack(&m.base, panels, 0, rows, n0, nn, nr);
        for (int64_t j = 0; j < (nn + nr - 1) / nr * nr; j++) {
            for (int64_t k = 0; k < rows; k++) {
                int64_t in;
                float want = 0.0f;
                if (j < nn && window_source(w, n0 + j, k % taps, &in))
                    want = x[k / taps * vly_window_in_size(w) + in];
                float got = panels[(j / nr * rows + k) * nr + j % nr];
                if (got != want)
                    fail_msg("row %d, column %d: %g, expected %g", (int)k, (int)(n0 + j),
                             (double)got, (double)want);
            }
        }
    }
}

static void matrix_of_any_window(void **state)
{
    uint32_t seed = 7;

    (void)state;
    fill(image, (int64_t)CHANNELS * PLANE_MAX, &seed);
    for (int i = 0; i < 200; i++) {
        vly_window w = random_window(&seed);
        check_matrix(&w, image, i % 3 == 0 ? 1 : i % 3 == 1 ? 8 : 32);
    }
}

/* Bytes come out less their zero point; off the image the difference is 0. */
static void matrix_of_bytes(void **state)
{
    static const uint8_t bytes[4] = {0, 100, 200, 255};
    vly_window w = VLY_WINDOW_INIT;
    int16_t out[8];

    (void)state;
    w.in[2] = 4;
    w.pad[2] = 1;
    w.out[2] = 6;
    vly_im2col m = vly_im2col_q8(&w, bytes, false, 100);
    m.base.pack(&m.base, out, 0, 1, 0, 6, 8);
    assert_memory_equal(out, ((int16_t[]){0, -100, 0, 100, 155, 0, 0, 0}), sizeof(out));
    m = vly_im2col_q8(&w, bytes, true, -1);
    m.base.pack(&m.base, out, 0, 1, 0, 6, 8);
    assert_memory_equal(out, ((int16_t[]){0, 1, 101, -55, 0, 0, 0, 0}), sizeof(out));
}

/* col2im is the transpose: the scalar products <im2col(x), c> and <x, col2im(c)> are equal. */
static void col2im_is_the_transpose(void **state)
{
    static float cols[ROWS_MAX * 1024], back[CHANNELS * PLANE_MAX];
    uint32_t seed = 11;

    (void)state;
    for (int i = 0; i < 100; i++) {
        vly_window w = random_window(&seed);
        int64_t taps = vly_window_kernel_size(&w), n = vly_window_out_size(&w);
        int64_t in_size = vly_window_in_size(&w);
        double left = 0.0, right = 0.0;
        if (CHANNELS * taps * n > (int64_t)ROWS_MAX * 1024)
            continue;
        fill(image, CHANNELS * in_size, &seed);
        fill(cols, CHANNELS * taps * n, &seed);
        memset(back, 0, (size_t)(CHANNELS * in_size) * sizeof(*back));
        vly_col2im_f32(&w, CHANNELS, cols, back);
        for (int64_t k = 0; k < CHANNELS * taps; k++) {
            for (int64_t o = 0; o < n; o++) {
                int64_t in;
                if (window_source(&w, o, k % taps, &in))
                    left += (double)image[k / taps * in_size + in] * (double)cols[k * n + o];
            }
        }
        for (int64_t k = 0; k < CHANNELS * in_size; k++)
            right += (double)image[k] * (double)back[k];
        assert_true(fabs(left - right) < 1e-3);
    }
}

static void depthwise_of_any_window(void **state)
{
    float weight[64];
    uint32_t seed = 13;

    (void)state;
    for (int i = 0; i < 200; i++) {
        vly_window w = random_window(&seed);
        int64_t taps = vly_window_kernel_size(&w);
        fill(image, vly_window_in_size(&w), &seed);
        fill(weight, taps, &seed);
        vly_depthwise_f32(&w, image, weight, 0.5f, other);
        for (int64_t o = 0; o < vly_window_out_size(&w); o++) {
            double want = 0.5;
            for (int64_t k = 0; k < taps; k++) {
                int64_t in;
                if (window_source(&w, o, k, &in))
                    want += (double)weight[k] * (double)image[in];
            }
            assert_true(fabs((double)other[o] - want) < 1e-4);
        }
    }
}

UNIT_TESTS(cmocka_unit_test(matrix_of_any_window), cmocka_unit_test(matrix_of_bytes),
           cmocka_unit_test(col2im_is_the_transpose), cmocka_unit_test(depthwise_of_any_window))

/* SPDX-License-Identifier: MIT */
/* The kernels alone, of every level: by hand, at their bounds, against the formula, and with guard
 * values around what they may write. Whole pictures against OpenCV: prep/test_fit.c. */
#include "dsp/letterbox.h"

#include "base/cpu.h"
#include "base/mem.h"
#include "unit.h"

#include <string.h>

enum { LEVELS = 3, GUARD = 77 };
static const unsigned levels[LEVELS] = {0, VLY_CPU_AVX2,
                                        VLY_CPU_AVX2 | VLY_CPU_AVX512 | VLY_CPU_AVX512_VBMI};

static vly_letterbox_dsp dsp_of(int level)
{
    vly_letterbox_dsp d;
    vly_letterbox_dsp_init(&d, levels[level] & vly_cpu_flags());
    return d;
}

static void *take(size_t bytes)
{
    void *p = vly_alloc_aligned(VLY_MEM_BASE, bytes);
    assert_non_null(p);
    return p;
}

static void run_across(const vly_letterbox_dsp *dsp, int16_t *dst, size_t plane, const uint8_t *src,
                       size_t src_bytes, const vly_letterbox_tap *taps, size_t n)
{
    void *packed = take(vly_letterbox_packed_bytes(n));

    dsp->pack(packed, taps, n, src_bytes);
    dsp->across(dst, plane, src, packed);
    vly_free(packed);
}

static void across_blends_and_splits_planes(void **state)
{
    (void)state;
    const uint8_t src[] = {0, 10, 255, 100, 20, 255, 255, 30, 0};
    const vly_letterbox_tap taps[] = {{0, 0, 0}, {0, 3, 1024}, {3, 6, 512}, {6, 6, 2048}};
    int16_t dst[3 * 6];
    /* 7 fractional bits: 128 * (100 * 3 + 255) / 4 = 17760 */
    const int16_t expected[] = {0,    6400, 17760, 32640, 77,    77,    1280, 1920, 2880,
                                3840, 77,   77,    32640, 32640, 24480, 0,    77,   77};

    for (int level = 0; level < LEVELS; level++) {
        vly_letterbox_dsp dsp = dsp_of(level);
        for (int i = 0; i < 18; i++)
            dst[i] = GUARD;
        run_across(&dsp, dst, 6, src, sizeof(src), taps, 4);
        assert_memory_equal(dst, expected, sizeof(expected));
    }
}

/* n columns spread over `width` pixels, from `first` on; those over the edges clamp as prep does.
 */
static void set_taps(vly_letterbox_tap *taps, size_t n, int width, double first, double step)
{
    for (size_t i = 0; i < n; i++) {
        double at = first + (double)i * step;
        int left = (int)at - (at < (int)at);
        int l = left < 0 ? 0 : left >= width ? width - 1 : left;
        int r = left + 1 < 0 ? 0 : left + 1 >= width ? width - 1 : left + 1;
        taps[i] = (vly_letterbox_tap){(uint32_t)(3 * l), (uint32_t)(3 * r),
                                      (int32_t)((at - left) * VLY_LETTERBOX_ONE)};
    }
}

static void check_across(const vly_letterbox_dsp *dsp, size_t n, int width, double first,
                         double step)
{
    size_t src_bytes = (size_t)width * 3, plane = n + 5;
    uint8_t *src =
        take(src_bytes); /* no byte behind it: address checkers see a load over the end */
    int16_t *dst = take(3 * plane * sizeof(*dst));
    vly_letterbox_tap *taps = take(n * sizeof(*taps));

    for (size_t i = 0; i < src_bytes; i++)
        src[i] = (uint8_t)(i * i * 31 + i * 7);
    for (size_t i = 0; i < 3 * plane; i++)
        dst[i] = GUARD;
    set_taps(taps, n, width, first, step);
    run_across(dsp, dst, plane, src, src_bytes, taps, n);
    for (size_t i = 0; i < 3 * plane; i++) {
        size_t c = i / plane, x = i % plane;
        int want = GUARD;
        if (x < n)
            want = (src[taps[x].left + c] * (VLY_LETTERBOX_ONE - taps[x].weight) +
                    src[taps[x].right + c] * taps[x].weight) >>
                   4;
        if (dst[i] != want)
            fail_msg("%zu columns of %d pixels, step %g: plane %zu, column %zu: %d, expected %d", n,
                     width, step, c, x, dst[i], want);
    }
    vly_free(src);
    vly_free(dst);
    vly_free(taps);
}

/* Enlarged, same size, shrunk by up to 6 and by more; rows shorter than any vector. */
static void across_matches_the_formula(void **state)
{
    (void)state;
    static const double steps[] = {0.07, 0.5, 1.0, 1.7, 2.25, 3.0, 5.9, 6.0, 6.5, 11.0, 40.0};
    static const int widths[] = {1, 2, 3, 7, 20, 21, 22, 23, 43, 64, 100, 333};

    for (int level = 0; level < LEVELS; level++) {
        vly_letterbox_dsp dsp = dsp_of(level);
        for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
            for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
                double step = steps[s];
                size_t n = (size_t)(widths[w] / step) + 1;
                check_across(&dsp, n, widths[w], step / 2 - 0.5, step);
                check_across(&dsp, 16, widths[w], -1.0, widths[w] / 15.0);
                check_across(&dsp, 9, widths[w], widths[w] / 3.0, step / 2); /* cut off */
            }
    }
}

/* Every weight, and the greatest values. */
static void across_is_exact_at_every_weight(void **state)
{
    (void)state;
    uint8_t src[96];
    int16_t dst[3 * 16];
    vly_letterbox_tap taps[16];

    for (size_t i = 0; i < sizeof(src); i++)
        src[i] = i / 3 % 2 == 0 ? 255 : 254;
    for (int level = 0; level < LEVELS; level++) {
        vly_letterbox_dsp dsp = dsp_of(level);
        for (int w = 0; w <= VLY_LETTERBOX_ONE; w++) {
            for (uint32_t i = 0; i < 16; i++)
                taps[i] = (vly_letterbox_tap){6 * i, 6 * i < 93 ? 6 * i + 3 : 6 * i, w};
            run_across(&dsp, dst, 16, src, sizeof(src), taps, 16);
            for (int i = 0; i < 48; i++)
                assert_int_equal(dst[i], (255 * (VLY_LETTERBOX_ONE - w) + 254 * w) >> 4);
        }
    }
}

static void down_keeps_every_level_at_every_weight(void **state)
{
    (void)state;
    int16_t row[256];
    float dst[258];
    for (int v = 0; v < 256; v++)
        row[v] = (int16_t)(v * 128);
    for (int i = 0; i < LEVELS * (VLY_LETTERBOX_ONE + 1); i++) {
        int weight = i / LEVELS;
        dst[0] = dst[257] = -5.0f;
        dsp_of(i % LEVELS).down(dst + 1, row, row, weight, 1.0f, 0.0f, 256);
        for (int v = 0; v < 256; v++)
            if (dst[1 + v] != (float)v)
                fail_msg("level %d at weight %d became %g", v, weight, (double)dst[1 + v]);
        assert_true(dst[0] == -5.0f && dst[257] == -5.0f);
    }
}

static void check_down(const vly_letterbox_dsp *dsp, size_t n)
{
    int16_t row0[40], row1[40];
    float dst[42];

    for (int i = 0; i < 42; i++)
        dst[i] = -5.0f;
    for (int i = 0; i < 40; i++) {
        row0[i] = (int16_t)(i * 128);
        row1[i] = (int16_t)((i + 100) * 128);
    }
    dsp->down(dst + 1, row0, row1, 512, 2.0f, -3.0f, n); /* v + 25, then 2v - 3 */
    for (size_t i = 0; i < n; i++)
        assert_true(dst[1 + i] == (float)(2 * (i + 25)) - 3.0f);
    assert_true(dst[0] == -5.0f && dst[1 + n] == -5.0f);
    dsp->fill(dst + 1, 4.5f, n);
    for (size_t i = 0; i < n; i++)
        assert_true(dst[1 + i] == 4.5f);
    assert_true(dst[0] == -5.0f && dst[1 + n] == -5.0f);
}

static void down_and_fill_write_n(void **state)
{
    (void)state;
    for (int level = 0; level < LEVELS; level++) {
        vly_letterbox_dsp dsp = dsp_of(level);
        for (size_t n = 0; n <= 40; n++)
            check_down(&dsp, n);
    }
}

/* The floors of the two products, scale and bias: the same bits at every level. */
static void down_is_the_same_at_every_level(void **state)
{
    (void)state;
    int16_t row0[100], row1[100];
    float want[100], got[100];

    for (int i = 0; i < 100; i++) {
        row0[i] = (int16_t)(i * 9973 % 32641);
        row1[i] = (int16_t)(i * 7919 % 32641);
    }
    for (int weight = 0; weight <= VLY_LETTERBOX_ONE; weight += 3) {
        for (int i = 0; i < 100; i++) {
            int a = row0[i] * (VLY_LETTERBOX_ONE - weight) / 65536, b = row1[i] * weight / 65536;
            int u8 = (a + b + 2) / 4;
            volatile float product = (float)u8 * (1.0f / 255.0f / 0.229f);
            want[i] = product + -2.1179f;
        }
        for (int level = 0; level < LEVELS; level++) {
            dsp_of(level).down(got, row0, row1, weight, 1.0f / 255.0f / 0.229f, -2.1179f, 100);
            assert_memory_equal(got, want, sizeof(want));
        }
    }
}

UNIT_TESTS(cmocka_unit_test(across_blends_and_splits_planes),
           cmocka_unit_test(across_matches_the_formula),
           cmocka_unit_test(across_is_exact_at_every_weight),
           cmocka_unit_test(down_keeps_every_level_at_every_weight),
           cmocka_unit_test(down_and_fill_write_n),
           cmocka_unit_test(down_is_the_same_at_every_level))

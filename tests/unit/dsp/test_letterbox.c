/* SPDX-License-Identifier: MIT */
/* The two kernels alone: by hand, at their bounds, and with guard values around what they may
 * write. Whole pictures against OpenCV: prep/test_fit.c. */
#include "dsp/letterbox.h"

#include "base/cpu.h"
#include "unit.h"

#include <string.h>

static vly_letterbox_dsp dsp(void)
{
    vly_letterbox_dsp d;
    vly_letterbox_dsp_init(&d, vly_cpu_flags());
    return d;
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
    for (int i = 0; i < 18; i++)
        dst[i] = 77;
    dsp().across(dst, 6, src, taps, 4);
    assert_memory_equal(dst, expected, sizeof(expected));
}

/* A flat picture stays flat: the floors of the two products may lose one quarter, never a level. */
static void down_keeps_every_level_at_every_weight(void **state)
{
    (void)state;
    int16_t row[256];
    float dst[258];
    for (int v = 0; v < 256; v++)
        row[v] = (int16_t)(v * 128);
    for (int weight = 0; weight <= VLY_LETTERBOX_ONE; weight++) {
        dst[0] = dst[257] = -5.0f;
        dsp().down(dst + 1, row, row, weight, 1.0f, 0.0f, 256);
        for (int v = 0; v < 256; v++)
            if (dst[1 + v] != (float)v)
                fail_msg("level %d at weight %d became %g", v, weight, (double)dst[1 + v]);
        assert_true(dst[0] == -5.0f && dst[257] == -5.0f);
    }
}

static void down_blends_scales_and_writes_n(void **state)
{
    (void)state;
    int16_t row0[40], row1[40];
    float dst[42];
    for (size_t n = 0; n <= 40; n++) {
        for (int i = 0; i < 42; i++)
            dst[i] = -5.0f;
        for (int i = 0; i < 40; i++) {
            row0[i] = (int16_t)(i * 128);
            row1[i] = (int16_t)((i + 100) * 128);
        }
        dsp().down(dst + 1, row0, row1, 512, 2.0f, -3.0f, n); /* v + 25, then 2v - 3 */
        for (size_t i = 0; i < n; i++)
            assert_true(dst[1 + i] == (float)(2 * (i + 25)) - 3.0f);
        assert_true(dst[0] == -5.0f && dst[1 + n] == -5.0f);
    }
}

UNIT_TESTS(cmocka_unit_test(across_blends_and_splits_planes),
           cmocka_unit_test(down_keeps_every_level_at_every_weight),
           cmocka_unit_test(down_blends_scales_and_writes_n))

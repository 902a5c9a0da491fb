/* SPDX-License-Identifier: MIT */
/* Tables and results of resampling that can be worked out by hand. */
#include "dsp/resample.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { OUT_MAX = 16, TAPS_MAX = 16 };

static int32_t index_room[OUT_MAX * TAPS_MAX];
static float weight_room[OUT_MAX * TAPS_MAX];

static vly_resample_axis axis_of(const vly_resample_rule *rule, int64_t n_in, int64_t n_out)
{
    vly_resample_axis a = {.n_in = n_in,
                           .n_out = n_out,
                           .scale = (double)n_out / (double)n_in,
                           .roi_end = 1.0,
                           .index = index_room,
                           .weight = weight_room};
    a.taps = vly_resample_taps(rule, a.scale);
    vly_resample_table(rule, &a);
    return a;
}

static void nearest_modes(void **state)
{
    static const struct {
        vly_nearest_mode mode;
        int32_t want[6];
    } cases[] = {
        /* 4 -> 6 by asymmetric: 0, 2/3, 4/3, 2, 8/3, 10/3 */
        {VLY_NEAREST_FLOOR, {0, 0, 1, 2, 2, 3}},
        {VLY_NEAREST_CEIL, {0, 1, 2, 2, 3, 3}},
        {VLY_NEAREST_ROUND_PREFER_FLOOR, {0, 1, 1, 2, 3, 3}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_resample_rule rule = {.coord = VLY_COORD_ASYMMETRIC, .nearest = cases[i].mode};
        vly_resample_axis a = axis_of(&rule, 4, 6);
        assert_memory_equal(a.index, cases[i].want, sizeof(cases[i].want));
    }
    /* 4 -> 2 by half_pixel hits 0.5 and 2.5: the two roundings part here */
    vly_resample_rule tie = {.nearest = VLY_NEAREST_ROUND_PREFER_FLOOR};
    vly_resample_axis a = axis_of(&tie, 4, 2);
    assert_true(a.index[0] == 0 && a.index[1] == 2);
    tie.nearest = VLY_NEAREST_ROUND_PREFER_CEIL;
    a = axis_of(&tie, 4, 2);
    assert_true(a.index[0] == 1 && a.index[1] == 3);
}

static void linear_up_and_down(void **state)
{
    const float x[2] = {0, 4}, wide[4] = {0, 1, 2, 7};
    const vly_resample_rule linear = {.mode = VLY_RESAMPLE_LINEAR};
    const vly_resample_rule smooth = {.mode = VLY_RESAMPLE_LINEAR, .antialias = true};
    float y[4];

    (void)state;
    vly_resample_axis a = axis_of(&linear, 2, 4);
    vly_resample_f32(&a, 1, 0.0f, x, y);
    assert_memory_equal(y, ((float[]){0, 1, 3, 4}), sizeof(y));
    a = axis_of(&linear, 4, 2);
    vly_resample_f32(&a, 1, 0.0f, wide, y);
    assert_true(y[0] == 0.5f && y[1] == 4.5f);
    /* the triangle of twice the width around 0.5: weights 1 3 3 1 over -1..2, edges repeated */
    a = axis_of(&smooth, 4, 2);
    vly_resample_f32(&a, 1, 0.0f, wide, y);
    assert_true(fabsf(y[0] - (0 * 1 + 0 * 3 + 1 * 3 + 2 * 1) / 8.0f) < 1e-6f);
}

/* A cubic filter reproduces a straight line away from the edges, and rows come out like columns. */
static void cubic_keeps_a_line(void **state)
{
    const vly_resample_rule cubic = {.mode = VLY_RESAMPLE_CUBIC, .cubic_a = -0.5f};
    float x[8], two[16], y[16], z[32];

    (void)state;
    for (size_t i = 0; i < 8; i++)
        x[i] = two[2 * i] = (float)i, two[2 * i + 1] = -(float)i;
    vly_resample_axis a = axis_of(&cubic, 8, 16);
    vly_resample_f32(&a, 1, 0.0f, x, y);
    vly_resample_f32(&a, 2, 0.0f, two, z);
    for (size_t o = 0; o < 16; o++) {
        if (o >= 4 && o < 12)
            assert_true(fabsf(y[o] - ((float)o / 2.0f - 0.25f)) < 1e-5f);
        assert_true(fabsf(z[2 * o] - y[o]) < 1e-5f && fabsf(z[2 * o + 1] + y[o]) < 1e-5f);
    }
}

static void crop_extrapolates(void **state)
{
    const vly_resample_rule rule = {.mode = VLY_RESAMPLE_LINEAR,
                                    .coord = VLY_COORD_TF_CROP_AND_RESIZE};
    const float x[3] = {1, 2, 3};
    vly_resample_axis a = {.n_in = 3,
                           .n_out = 3,
                           .scale = 1.0,
                           .roi_begin = 0.5,
                           .roi_end = 1.5,
                           .taps = 2,
                           .index = index_room,
                           .weight = weight_room};
    float y[3];

    (void)state;
    vly_resample_table(&rule, &a);
    vly_resample_f32(&a, 1, -7.0f, x, y);
    assert_memory_equal(y, ((float[]){2, 3, -7}), sizeof(y));
}

static void copies_any_element(void **state)
{
    const vly_resample_rule rule = {.coord = VLY_COORD_ASYMMETRIC, .nearest = VLY_NEAREST_FLOOR};
    const uint8_t bytes[4] = {1, 2, 3, 4};
    const uint64_t words[2] = {5, 6};
    uint8_t y[8];
    uint64_t z[4];

    (void)state;
    vly_resample_axis a = axis_of(&rule, 2, 4);
    vly_resample_copy(&a, 2, 1, bytes, bytes, y);
    assert_memory_equal(y, ((uint8_t[]){1, 2, 1, 2, 3, 4, 3, 4}), sizeof(y));
    vly_resample_copy(&a, 1, sizeof(uint64_t), words, words, z);
    assert_memory_equal(z, ((uint64_t[]){5, 5, 6, 6}), sizeof(z));
}

static void absurd_scale_is_refused(void **state)
{
    const vly_resample_rule rule = {.mode = VLY_RESAMPLE_CUBIC, .antialias = true};

    (void)state;
    assert_int_equal(vly_resample_taps(&rule, 1e-300), -1);
    assert_int_equal(vly_resample_taps(&rule, 0.5), 8);
}

UNIT_TESTS(cmocka_unit_test(nearest_modes), cmocka_unit_test(linear_up_and_down),
           cmocka_unit_test(cubic_keeps_a_line), cmocka_unit_test(crop_extrapolates),
           cmocka_unit_test(copies_any_element), cmocka_unit_test(absurd_scale_is_refused))

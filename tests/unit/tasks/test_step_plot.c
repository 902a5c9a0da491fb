/* SPDX-License-Identifier: MIT */
/* Pictures of recordings: what shows when, at any length. */
#include "base/mem.h"
#include "tasks/steps/step_plot.h"
#include "unit.h"

#include <stdlib.h>

/* n seconds at 80 Hz with a step in each from 10 s on, found where it is, but for every fourth. */
static void draw(size_t n_seconds, bool has_truth, vly_buf *to)
{
    size_t n = n_seconds * 80, n_events = 0, n_steps = 0;
    vly_imu_reading *r = calloc(n, sizeof(*r));
    vly_step_event *events = calloc(2 * n_seconds, sizeof(*events));
    vly_step_interval *steps = calloc(n_seconds, sizeof(*steps));
    vly_err err;

    for (size_t i = 0; i < n; i++)
        r[i] = (vly_imu_reading){.t_us = 1000000 + (int64_t)i * 12500, .acc = {0, 0, 9.81F}};
    for (size_t s = 10; s + 1 < n_seconds; s++) {
        int64_t t = 1000000 + (int64_t)s * 1000000, late = s % 4 == 0 ? 150000 : 20000;
        steps[n_steps++] = (vly_step_interval){t, t + 987500};
        events[n_events++] = (vly_step_event){
            .type = VLY_STEP_START, .t_us = t + late, .activity = VLY_ACTIVITY_STAIRS_UP};
        events[n_events++] = (vly_step_event){
            .type = VLY_STEP_END, .t_us = t + 990000, .activity = VLY_ACTIVITY_STAIRS_UP};
    }
    const vly_step_truth truth = {.steps = steps, .n_steps = n_steps};
    vly_buf_init(to, VLY_MEM_CODEC, VLY_STEP_PLOT_BYTES_MAX);
    assert_int_equal(vly_step_plot_svg(&(vly_step_plot){.title = "t",
                                                        .readings = r,
                                                        .n_readings = n,
                                                        .events = events,
                                                        .n_events = n_events,
                                                        .truth = has_truth ? &truth : NULL},
                                       to, &err),
                     VLY_OK);
    free(steps);
    free(events);
    free(r);
}

static size_t count(const vly_buf *b, const char *text)
{
    size_t n = 0;

    for (const char *p = b->ptr; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

/* 40 s: one panel below the cadence, with all 29 steps. Red: the seven that are late. */
static void short_ones_are_whole(void **state)
{
    vly_buf b;

    (void)state;
    draw(40, true, &b);
    assert_int_equal(count(&b, "<clipPath"), 2);
    assert_int_equal(count(&b, "h8l-4,7z"), 29 + 2);  /* and two in the legend */
    assert_int_equal(count(&b, "h8l-4,-7z"), 29 + 1); /* no end is late */
    assert_non_null(strstr(b.ptr, ">29 steps found, 29 true<"));
    assert_null(strstr(b.ptr, "Where most is wrong"));
    vly_buf_release(&b);
}

static void long_ones_are_excerpts(void **state)
{
    vly_buf b;

    (void)state;
    draw(600, true, &b);
    assert_int_equal(count(&b, "<clipPath"), 4);
    assert_int_equal(count(&b, "Where most is wrong"), 1);
    assert_true(b.len < 100000);
    vly_buf_release(&b);
    draw(600, false, &b);
    assert_int_equal(count(&b, "In the middle"), 1);
    assert_int_equal(count(&b, "not within 100 ms"), 0);
    assert_non_null(strstr(b.ptr, ">589 steps found<"));
    vly_buf_release(&b);
}

/* Each allocation in turn fails: an error or a whole picture, never half of one called whole. */
static void survives_lack_of_memory(void **state)
{
    static const vly_imu_reading readings[2] = {{.t_us = 0}, {.t_us = 1000000}};
    static const vly_step_event events[2] = {{.type = VLY_STEP_START},
                                             {.type = VLY_STEP_END, .t_us = 500000}};
    const vly_step_plot plot = {
        .title = "t", .readings = readings, .n_readings = 2, .events = events, .n_events = 2};
    vly_status st = VLY_ENOMEM;
    int64_t n = 0;

    (void)state;
    for (; st != VLY_OK && n < 1000; n++) {
        vly_buf b;
        vly_buf_init(&b, VLY_MEM_CODEC, VLY_STEP_PLOT_BYTES_MAX);
        vly_mem_fail_after(n);
        st = vly_step_plot_svg(&plot, &b, NULL);
        vly_mem_fail_after(-1);
        assert_true(st == VLY_OK || st == VLY_ENOMEM || st == VLY_ELIMIT);
        assert_true(st != VLY_OK || vly_str_ends(vly_buf_str(&b), VLY_STR("</svg>\n")));
        vly_buf_release(&b);
    }
    assert_in_range(n, 2, 999);
}

/* A clock that goes back and forth: lines and marks are of ascending times all the same. */
static void draws_by_time_whatever_the_order(void **state)
{
    enum { N = 100000, STEPS = 20 };
    vly_imu_reading *r = calloc(N, sizeof(*r));
    vly_step_event events[2 * STEPS];
    vly_buf b;
    vly_err err;

    (void)state;
    assert_non_null(r);
    for (int64_t i = 0; i < N; i++)
        r[i] = (vly_imu_reading){.t_us = i * 100 + i % 2 * 20000000, .acc = {0, 0, 9}};
    for (int64_t i = 0; i < STEPS; i++) { /* one every second, the later half first */
        int64_t t_us = (i + STEPS / 2) % STEPS * 1000000;
        events[2 * i] = (vly_step_event){.type = VLY_STEP_START, .t_us = t_us};
        events[2 * i + 1] = (vly_step_event){.type = VLY_STEP_END, .t_us = t_us + 500000};
    }
    vly_buf_init(&b, VLY_MEM_CODEC, VLY_STEP_PLOT_BYTES_MAX);
    const vly_step_plot plot = {.title = "t",
                                .readings = r,
                                .n_readings = N,
                                .events = events,
                                .n_events = (size_t)2 * STEPS};
    assert_int_equal(vly_step_plot_svg(&plot, &b, &err), VLY_OK);
    assert_true(b.len < 100000);
    assert_int_equal(count(&b, "h8l-4,7z"), STEPS + 1);
    assert_non_null(strstr(b.ptr, ">20 steps found<"));
    vly_buf_release(&b);
    free(r);
}

static void needs_readings(void **state)
{
    static const vly_imu_reading one = {.t_us = INT64_MAX};
    vly_buf b;
    vly_err err;

    (void)state;
    vly_buf_init(&b, VLY_MEM_CODEC, VLY_STEP_PLOT_BYTES_MAX);
    assert_int_equal(vly_step_plot_svg(&(vly_step_plot){.title = "t"}, &b, &err), VLY_EINVAL);
    assert_int_equal(
        vly_step_plot_svg(&(vly_step_plot){.title = "t", .readings = &one, .n_readings = 1}, &b,
                          &err),
        VLY_OK);
    vly_buf_release(&b);
}

UNIT_TESTS(cmocka_unit_test(short_ones_are_whole), cmocka_unit_test(long_ones_are_excerpts),
           cmocka_unit_test(draws_by_time_whatever_the_order), cmocka_unit_test(needs_readings),
           cmocka_unit_test(survives_lack_of_memory))

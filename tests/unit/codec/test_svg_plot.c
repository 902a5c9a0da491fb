/* SPDX-License-Identifier: MIT */
/* Plots: round ticks, peaks that survive, text that cannot break out, sizes that stay bounded. */
#include "codec/svg_plot.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

static vly_buf out;

static int setup(void **state)
{
    (void)state;
    vly_buf_init(&out, VLY_MEM_CODEC, (size_t)8 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_buf_release(&out);
    return 0;
}

static void expect_ticks(double min, double max, unsigned n, bool is_time, double first,
                         double step)
{
    double got_first, got_step;

    vly_plot_ticks(min, max, n, is_time, &got_first, &got_step);
    assert_float_equal(got_first, first, 1e-9);
    assert_float_equal(got_step, step, 1e-9);
}

static void ticks_are_round(void **state)
{
    (void)state;
    expect_ticks(0, 10, 5, false, 0, 2);
    expect_ticks(-3.2, 17, 5, false, 0, 5);
    expect_ticks(0.13, 0.87, 4, false, 0.2, 0.2);
    expect_ticks(0, 1e6, 5, false, 0, 2e5);
    expect_ticks(0, 438, 8, true, 0, 60);
    expect_ticks(61, 75, 8, true, 62, 2);
    expect_ticks(0, 0.9, 5, true, 0, 0.2);
    expect_ticks(0, 100, 5, false, 0, 20);
    expect_ticks(0, 100, 5, true, 0, 30);
    expect_ticks(0, 86400, 6, true, 0, 18000);
}

static void draw(const vly_plot *plot)
{
    vly_err err;

    vly_buf_clear(&out);
    assert_int_equal(vly_plot_svg(plot, &out, &err), VLY_OK);
    assert_true(vly_str_starts(vly_buf_str(&out), VLY_STR("<svg ")));
    assert_true(vly_str_ends(vly_buf_str(&out), VLY_STR("</svg>\n")));
}

static size_t count(const char *text)
{
    size_t n = 0;

    for (const char *p = out.ptr; (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

/* Width 1000 leaves 918 px of axes from 64 on; height 160 below a head of 36 px. */
static void lines_lie_where_they_belong(void **state)
{
    static const float y[] = {0, 10, 5};
    const vly_plot_line line = {.y = y, .n = 3, .x_step = 1};
    const vly_plot_panel panel = {.lines = &line, .n_lines = 1, .y_min = 0, .y_max = 10};
    const vly_plot plot = {.panels = &panel, .n_panels = 1};

    (void)state;
    draw(&plot);
    assert_non_null(strstr(out.ptr, "d=\"M64.0,196.0L523.0,36.0L982.0,116.0\""));
}

/* A million points with one peak: few points are left, the peak among them. */
static void peaks_survive(void **state)
{
    enum { N = 1000000 };
    float *y = calloc(N, sizeof(*y));
    const vly_plot_line line = {.y = y, .n = N, .x_step = 1e-6};
    const vly_plot_panel panel = {.lines = &line, .n_lines = 1, .y_min = -10, .y_max = 10};
    const vly_plot plot = {.panels = &panel, .n_panels = 1};

    (void)state;
    assert_non_null(y);
    for (size_t i = 0; i < N; i++)
        y[i] = (i & 1) != 0 ? 1 : -1;
    y[123457] = 9;
    y[700001] = -9;
    draw(&plot);
    assert_true(out.len < 100000);
    /* 9 of -10 .. 10 on 160 px below 36: 36 + 160 / 20 = 44; -9: 36 + 19 * 8 = 188 */
    assert_int_equal(count(",44.0"), 1);
    assert_int_equal(count(",188.0"), 1);
    free(y);
}

static void holes_interrupt_lines(void **state)
{
    static const float y[] = {1, 2, NAN, 3, 4, INFINITY, 1};
    const vly_plot_line line = {.y = y, .n = 7, .x_step = 1};
    const vly_plot_panel panel = {.lines = &line, .n_lines = 1};
    const vly_plot plot = {.panels = &panel, .n_panels = 1};

    (void)state;
    draw(&plot);
    const char *path = strstr(out.ptr, "<path class=\"l l0\" d=\"M");
    assert_non_null(path);
    size_t n_begun = 0, n_lines = 0;
    for (path = strchr(path, 'M'); *path != '"'; path++) {
        n_begun += *path == 'M';
        n_lines += *path == 'L';
    }
    assert_int_equal(n_begun, 3);
    assert_int_equal(n_lines, 2);
    assert_null(strstr(out.ptr, "nan"));
    assert_null(strstr(out.ptr, "inf"));
}

static void text_is_escaped(void **state)
{
    static const float y[] = {1, 2};
    const vly_plot_line line = {.label = "a<b>\"&'\x01\xff", .y = y, .n = 2, .x_step = 1};
    const vly_plot_panel panel = {
        .title = "]]>", .y_label = "<script>", .lines = &line, .n_lines = 1};
    const vly_plot plot = {
        .title = "x</title><script>", .subtitle = "\xef\xbf\xbf", .panels = &panel, .n_panels = 1};

    (void)state;
    draw(&plot);
    assert_int_equal(count("<script"), 0);
    assert_int_equal(count("</title>"), 1);
    assert_non_null(strstr(out.ptr, ">a&lt;b&gt;\"&amp;' \xEF\xBF\xBD</text>"));
    assert_non_null(strstr(out.ptr, ">\xEF\xBF\xBD</text>"));
}

/* Ten thousand marks and stretches on 918 px are drawn at most twice per pixel. */
static void series_are_bounded(void **state)
{
    enum { N = 10000 };
    static double x[N];
    static vly_plot_stretch list[N];
    const vly_plot_marks marks = {.label = "m", .shape = VLY_PLOT_DOWN, .x = x, .n = N};
    const vly_plot_stretches stretches = {.label = "s", .list = list, .n = N};
    const vly_plot_panel panel = {.marks = &marks,
                                  .n_marks = 1,
                                  .stretches = &stretches,
                                  .n_stretches = 1,
                                  .x_min = 0,
                                  .x_max = N};
    const vly_plot plot = {.panels = &panel, .n_panels = 1};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        x[i] = (double)i;
        list[i] = (vly_plot_stretch){(double)i, (double)i + 0.5};
    }
    draw(&plot);
    assert_true(count("h8l-4,7z") <= 2 * 918 + 2);
    assert_true(count("h8l-4,7z") > 900);
    assert_true(count("z") < 5000);
    assert_true(out.len < 200000);
}

static void refuses_what_is_too_much(void **state)
{
    static const vly_plot_panel panels[VLY_PLOT_PANELS_MAX + 1];
    const vly_plot none = {.panels = panels},
                   many = {.panels = panels, .n_panels = VLY_PLOT_PANELS_MAX + 1};
    const vly_plot wide = {.panels = panels, .n_panels = 1, .width = VLY_PLOT_WIDTH_MAX + 1};
    const vly_plot empty = {.panels = panels, .n_panels = 1};
    vly_buf small;
    vly_err err;

    (void)state;
    assert_int_equal(vly_plot_svg(&none, &out, &err), VLY_EINVAL);
    assert_int_equal(vly_plot_svg(&many, &out, &err), VLY_EINVAL);
    assert_int_equal(vly_plot_svg(&wide, &out, &err), VLY_EINVAL);
    draw(&empty);
    vly_buf_init(&small, VLY_MEM_CODEC, 1000);
    assert_int_equal(vly_plot_svg(&empty, &small, &err), VLY_ELIMIT);
    vly_buf_release(&small);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(ticks_are_round), TEST(lines_lie_where_they_belong), TEST(peaks_survive),
           TEST(holes_interrupt_lines), TEST(text_is_escaped), TEST(series_are_bounded),
           TEST(refuses_what_is_too_much))

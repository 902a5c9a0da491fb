/* SPDX-License-Identifier: MIT */
/* Drawing: whole pixels where they are promised, and nothing outside the picture, whatever comes.
 */
#include "prep/image/canvas.h"

#include "base/mem.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { W = 40, H = 30, STRIDE = 3 * W + 7, GUARD = 64 };

static const vly_color red = {255, 0, 0};

/* A black picture inside bytes of 0xaa that must survive. */
typedef struct sheet {
    uint8_t bytes[GUARD + H * STRIDE + GUARD];
    vly_picture p;
} sheet;

static uint8_t *pixel(const sheet *s, int x, int y)
{
    return &s->p.pixels[y * STRIDE + 3 * x];
}

static void clear(sheet *s)
{
    memset(s->bytes, 0xaa, sizeof(s->bytes));
    s->p = (vly_picture){s->bytes + GUARD, STRIDE, W, H};
    for (int y = 0; y < H; y++)
        memset(pixel(s, 0, y), 0, (size_t)3 * W);
}

static bool is_drawn(const sheet *s, int x, int y)
{
    static const uint8_t black[3];
    return memcmp(pixel(s, x, y), black, 3) != 0;
}

static int count(const sheet *s)
{
    int n = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            n += is_drawn(s, x, y);
    return n;
}

static void check_guards(const sheet *s)
{
    for (int i = 0; i < (int)sizeof(s->bytes); i++) {
        int at = i - GUARD;
        if (at < 0 || at >= H * STRIDE || at % STRIDE >= 3 * W)
            assert_int_equal(s->bytes[i], 0xaa);
    }
}

static void fills_whole_pixels(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_fill_rect(&s.p, (float[]){2, 3, 7, 5}, red);
    assert_int_equal(count(&s), 5 * 2);
    assert_true(is_drawn(&s, 2, 3) && is_drawn(&s, 6, 4) && !is_drawn(&s, 7, 4));
    clear(&s);
    vly_canvas_fill_rect(&s.p, (float[]){7, 5, 2, 3}, red);
    assert_int_equal(count(&s), 0);
}

static void outlines_a_box(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_rect(&s.p, (float[]){10, 8, 30, 20}, 2, red); /* edges cover 9..10 and 29..30 */
    assert_int_equal(count(&s), 22 * 14 - 18 * 10);
    assert_true(is_drawn(&s, 9, 7) && is_drawn(&s, 30, 20) && !is_drawn(&s, 31, 20));
    assert_true(is_drawn(&s, 10, 12) && !is_drawn(&s, 11, 12));
    clear(&s);
    vly_canvas_rect(&s.p, (float[]){-5, -5, 100, 100}, 2, red); /* around the picture */
    assert_int_equal(count(&s), 0);
    check_guards(&s);
}

static void draws_lines_of_a_thickness(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_line(&s.p, (vly_point){10, 15}, (vly_point){30, 15}, 4, red);
    for (int y = 0; y < H; y++) /* rows 13..16 are covered wholly, no other is touched */
        assert_int_equal(is_drawn(&s, 20, y), y >= 13 && y <= 16);
    assert_int_equal(*pixel(&s, 20, 14), 255);
    assert_false(is_drawn(&s, 7, 15));
    clear(&s);
    vly_canvas_line(&s.p, (vly_point){0, 0}, (vly_point){30, 30}, 1, red);
    for (int i = 0; i < 30; i++)
        assert_true(is_drawn(&s, i, i) && !is_drawn(&s, i, (i + 2) % H));
    check_guards(&s);
}

static void draws_discs_of_their_area(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_disc(&s.p, (vly_point){20, 15}, 10.0f, red);
    double area = 0.0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            area += *pixel(&s, x, y) / 255.0;
    assert_true(fabs(area - 314.16) < 3.0);
}

static void blends_the_inside_of_a_polygon(void **state)
{
    (void)state;
    sheet s;
    const vly_point square[] = {{5, 5}, {15, 5}, {15, 12}, {5, 12}};
    const vly_point star[] = {{20, 1}, {28, 28}, {3, 10}, {37, 10}, {12, 28}}; /* crosses itself */
    clear(&s);
    memset(pixel(&s, 5, 5), 100, 3);
    assert_int_equal(vly_canvas_blend_polygon(&s.p, square, 4, (vly_color){200, 50, 0}, 128, NULL),
                     VLY_OK);
    assert_int_equal(count(&s), 10 * 7);
    const uint8_t over_black[] = {100, 25, 0}, over_grey[] = {150, 75, 50}; /* by hand, rounded */
    assert_memory_equal(pixel(&s, 6, 6), over_black, 3);
    assert_memory_equal(pixel(&s, 5, 5), over_grey, 3);
    clear(&s);
    assert_int_equal(vly_canvas_blend_polygon(&s.p, star, 5, red, 255, NULL), VLY_OK);
    assert_true(is_drawn(&s, 20, 5) && is_drawn(&s, 7, 11) && !is_drawn(&s, 20, 15));
    clear(&s);
    assert_int_equal(vly_canvas_blend_polygon(&s.p, square, 2, red, 255, NULL), VLY_OK);
    assert_int_equal(count(&s), 0);
}

static void polygon_reports_lack_of_memory(void **state)
{
    (void)state;
    sheet s;
    vly_err err = VLY_ERR_INIT;
    const vly_point points[] = {{5, 5}, {15, 5}, {15, 12}};
    clear(&s);
    vly_mem_fail_after(0);
    vly_status st = vly_canvas_blend_polygon(&s.p, points, 3, red, 255, &err);
    vly_mem_fail_after(-1);
    assert_int_equal(st, VLY_ENOMEM);
    assert_int_equal(count(&s), 0);
}

/* Every coordinate may be anything. */
static void survives_any_coordinate(void **state)
{
    (void)state;
    static const float odd[] = {-1e30f, -1e9f, -3.0f, 0.0f, 0.5f,
                                39.9f,  1e9f,  1e30f, NAN,  INFINITY};
    enum { N = sizeof(odd) / sizeof(odd[0]) };
    sheet s;
    clear(&s);
    for (int i = 0; i < N * N * N * N; i++) {
        float v[4] = {odd[i % N], odd[i / N % N], odd[i / N / N % N], odd[i / N / N / N]};
        vly_point a = {v[0], v[1]}, b = {v[2], v[3]};
        const vly_point points[] = {a, b, {3, 7}};
        vly_canvas_rect(&s.p, v, 3, red);
        vly_canvas_fill_rect(&s.p, v, red);
        vly_canvas_line(&s.p, a, b, 3, red);
        vly_canvas_disc(&s.p, a, v[2], red);
        vly_canvas_label(&s.p, v, 1, red, VLY_STR("x"));
        assert_int_equal(vly_canvas_blend_polygon(&s.p, points, 3, red, 9, NULL), VLY_OK);
    }
    check_guards(&s);
}

static void every_character_has_its_own_shape(void **state)
{
    (void)state;
    bool seen[96][VLY_FONT_HEIGHT * VLY_FONT_WIDTH] = {0};
    for (int c = 0; c < 96; c++) {
        int n = 0;
        for (int i = 0; i < VLY_FONT_HEIGHT * VLY_FONT_WIDTH; i++) {
            seen[c][i] = vly_font_ink((uint8_t)(' ' + c), i % VLY_FONT_WIDTH, i / VLY_FONT_WIDTH);
            n += seen[c][i];
            if (i % VLY_FONT_WIDTH == VLY_FONT_WIDTH - 1) /* the gap between letters */
                assert_false(seen[c][i]);
        }
        assert_int_equal(n == 0, c == 0); /* only the blank is empty */
        for (int k = 0; k < c; k++)
            assert_memory_not_equal(seen[c], seen[k], sizeof(seen[c]));
    }
    for (int i = 0; i < VLY_FONT_HEIGHT * VLY_FONT_WIDTH; i++) /* other bytes: one box for all */
        assert_int_equal(vly_font_ink(200, i % VLY_FONT_WIDTH, i / VLY_FONT_WIDTH), seen[95][i]);
}

static void text_scales_and_is_clipped(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_text(&s.p, 4, 6, 1, red, VLY_STR("A"));
    int n = count(&s);
    clear(&s);
    vly_canvas_text(&s.p, 4, 6, 2, red, VLY_STR("A"));
    assert_int_equal(count(&s), 4 * n);
    clear(&s);
    for (int y = -20; y < H + 20; y += 7)
        vly_canvas_text(&s.p, -13, y, 3, red, VLY_STR("clipped on each side"));
    check_guards(&s);
}

/* Above the box, or inside when there is no room; never off the picture sideways. */
static void labels_find_their_place(void **state)
{
    (void)state;
    sheet s;
    clear(&s);
    vly_canvas_label(&s.p, (float[]){10, 20, 30, 29}, 1, red, VLY_STR("a"));
    assert_true(is_drawn(&s, 10, 17) && !is_drawn(&s, 10, 21) && !is_drawn(&s, 10, 4));
    clear(&s);
    vly_canvas_label(&s.p, (float[]){10, 4, 30, 29}, 1, red, VLY_STR("a"));
    assert_true(is_drawn(&s, 10, 4) && !is_drawn(&s, 10, 3));
    clear(&s);
    vly_canvas_label(&s.p, (float[]){38, 20, 50, 29}, 1, red, VLY_STR("abc"));
    assert_true(is_drawn(&s, W - 26, 12) && is_drawn(&s, W - 1, 12));
    clear(&s);
    vly_canvas_label(&s.p, (float[]){38, 20, 50, 29}, 2, red,
                     VLY_STR("much longer than this picture"));
    assert_true(is_drawn(&s, 0, 21)); /* no room above at this scale */
    check_guards(&s);
}

static void suits_size_and_background(void **state)
{
    (void)state;
    vly_picture small = {.width = 640, .height = 640}, large = {.width = 1920, .height = 1080};
    assert_int_equal(vly_canvas_thickness(&small), 2);
    assert_int_equal(vly_canvas_font_scale(&small), 1);
    assert_int_equal(vly_canvas_thickness(&large), 5);
    assert_int_equal(vly_canvas_font_scale(&large), 3);
    assert_int_equal(vly_canvas_ink((vly_color){255, 255, 0}).r, 0);
    assert_int_equal(vly_canvas_ink((vly_color){0, 0, 160}).r, 255);
    for (unsigned i = 0; i < 20; i++) {
        vly_color a = vly_canvas_palette(i), b = vly_canvas_palette(i + 1);
        assert_true(abs(a.r - b.r) + abs(a.g - b.g) + abs(a.b - b.b) > 100);
    }
}

UNIT_TESTS(cmocka_unit_test(fills_whole_pixels), cmocka_unit_test(outlines_a_box),
           cmocka_unit_test(draws_lines_of_a_thickness),
           cmocka_unit_test(draws_discs_of_their_area),
           cmocka_unit_test(blends_the_inside_of_a_polygon),
           cmocka_unit_test(polygon_reports_lack_of_memory),
           cmocka_unit_test(survives_any_coordinate),
           cmocka_unit_test(every_character_has_its_own_shape),
           cmocka_unit_test(text_scales_and_is_clipped), cmocka_unit_test(labels_find_their_place),
           cmocka_unit_test(suits_size_and_background))

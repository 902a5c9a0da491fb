/* SPDX-License-Identifier: MIT */
/* What is drawn where; how it looks is for eyes. */
#include "prep/image/canvas.h"
#include "tasks/draw.h"
#include "unit.h"

#include <stdbool.h>
#include <string.h>

enum { WIDTH = 640, HEIGHT = 480 };

static vly_picture picture;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(vly_picture_new(WIDTH, HEIGHT, &picture, NULL), VLY_OK);
    for (uint32_t y = 0; y < HEIGHT; y++)
        memset(picture.pixels + y * picture.stride, 0, (size_t)3 * WIDTH);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_picture_release(&picture);
    return 0;
}

static const uint8_t *pixel(uint32_t x, uint32_t y)
{
    return picture.pixels + y * picture.stride + (size_t)3 * x;
}

static bool has_color(uint32_t x, uint32_t y, vly_color c)
{
    const uint8_t *p = pixel(x, y);
    return p[0] == c.r && p[1] == c.g && p[2] == c.b;
}

static bool is_black(uint32_t x, uint32_t y)
{
    return has_color(x, y, (vly_color){0, 0, 0});
}

static void draw(const vly_detection *d)
{
    const vly_observations o = {.kind = VLY_TASK_DETECT,
                                .width = WIDTH,
                                .height = HEIGHT,
                                .detections = d,
                                .n_detections = d != NULL ? 1 : 0};

    vly_draw_observations(&picture, &o, &vly_labels_coco);
}

static void boxes_have_edges_and_a_label(void **state)
{
    const vly_detection d = {.class_id = 5, .confidence = 0.9f, .bbox = {100, 200, 300, 400}};
    const vly_color c = vly_canvas_palette(5);
    const vly_color ink = vly_canvas_ink(c);
    size_t n_tab = 0, n_ink = 0;

    (void)state;
    draw(&d);
    assert_true(has_color(100, 300, c) && has_color(299, 300, c) && has_color(200, 399, c));
    assert_true(is_black(200, 300) && is_black(90, 300) && is_black(200, 410));
    for (uint32_t y = 200 - VLY_FONT_HEIGHT; y < 199; y++) /* the tab stands on the edge */
        for (uint32_t x = 101; x < 160; x++) {
            n_tab += has_color(x, y, c);
            n_ink += has_color(x, y, ink);
        }
    assert_true(n_ink > 50 && n_tab > n_ink);
}

static void masks_tint_their_pixels(void **state)
{
    /* one column of ten pixels at (50, 60), and the last pixel of that column with the first of the
     * next */
    const uint32_t counts[] = {50 * HEIGHT + 60, 10, HEIGHT - 71, 2, 588 * HEIGHT + HEIGHT - 1};
    const vly_mask mask = {.width = WIDTH, .height = HEIGHT, .counts = counts, .n_counts = 5};
    const vly_detection d = {.bbox = {300, 300, 310, 310}, .mask = &mask};

    (void)state;
    draw(&d);
    for (uint32_t y = 60; y < 70; y++)
        assert_false(is_black(50, y));
    assert_true(is_black(50, 59) && is_black(50, 70) && is_black(49, 65) && is_black(51, 65));
    assert_false(is_black(50, HEIGHT - 1));
    assert_false(is_black(51, 0));
    assert_true(is_black(51, 1));
    assert_true(pixel(50, 65)[0] <= vly_canvas_palette(0).r); /* blended with black */
}

static void skeletons_join_visible_points(void **state)
{
    vly_keypoint k[17] = {0};
    const vly_detection d = {.bbox = {400, 300, 630, 470}, .keypoints = k, .n_keypoints = 17};

    (void)state;
    k[5] = (vly_keypoint){100, 100, 0.9f}; /* left shoulder */
    k[6] = (vly_keypoint){200, 100, 0.9f}; /* right shoulder */
    k[7] = (vly_keypoint){100, 200, 0.1f}; /* left elbow, not seen */
    draw(&d);
    assert_false(is_black(150, 100));
    assert_true(is_black(100, 150));
    assert_true(is_black(100, 200));
    assert_false(is_black(100, 100));
}

static void faces_have_points_without_bones(void **state)
{
    vly_keypoint k[5] = {{100, 100, 1}, {200, 100, 1}, {150, 150, 1}, {110, 200, 1}, {190, 200, 1}};
    const vly_detection d = {.bbox = {400, 300, 630, 470}, .keypoints = k, .n_keypoints = 5};

    (void)state;
    draw(&d);
    assert_false(is_black(150, 150));
    assert_true(is_black(150, 100));
}

static void classes_stand_in_the_corner(void **state)
{
    const vly_classification c[] = {{0, 0.75f}, {1, 0.25f}};
    const vly_observations o = {
        .kind = VLY_TASK_CLASSIFY, .width = WIDTH, .height = HEIGHT, .classes = c, .n_classes = 2};

    (void)state;
    vly_draw_observations(&picture, &o, &vly_labels_coco);
    assert_true(has_color(1, 1, vly_canvas_palette(0)));
    assert_true(has_color(1, 2 * VLY_FONT_HEIGHT, vly_canvas_palette(1)));
    assert_true(is_black(400, 10));
}

static void nothing_seen_changes_nothing(void **state)
{
    (void)state;
    draw(NULL);
    for (uint32_t y = 0; y < HEIGHT; y++)
        for (uint32_t x = 0; x < WIDTH; x++)
            assert_true(is_black(x, y));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
UNIT_TESTS(TEST(boxes_have_edges_and_a_label), TEST(masks_tint_their_pixels),
           TEST(skeletons_join_visible_points), TEST(faces_have_points_without_bones),
           TEST(classes_stand_in_the_corner), TEST(nothing_seen_changes_nothing))

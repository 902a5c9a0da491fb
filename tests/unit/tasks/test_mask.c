/* SPDX-License-Identifier: MIT */
/* Run lengths, outlines and masks. Compressed strings are pycocotools'. */
#include "tasks/mask.h"
#include "tasks/rle.h"
#include "tasks/task_fixture.h"
#include "unit.h"

#include <math.h>
#include <string.h>

static void expect_rle(const char *expected, bool is_json, size_t n, const uint32_t *counts)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, 4096);
    vly_rle_compress(counts, n, is_json, &b);
    assert_false(b.failed);
    assert_string_equal(b.ptr, expected);
    vly_buf_release(&b);
}

static void compresses_as_coco_does(void **state)
{
    (void)state;
    expect_rle("0<", false, 2, (const uint32_t[]){0, 12});
    expect_rle("<", false, 1, (const uint32_t[]){12});
    expect_rle("41211", false, 5, (const uint32_t[]){4, 1, 2, 2, 3});
    expect_rle("T3`n1n0`n1WOYhg2", false, 6, (const uint32_t[]){100, 2000, 30, 4000, 5, 93865});
    expect_rle("P2l0T1UOh1Z3", false, 6, (const uint32_t[]){64, 28, 36, 1, 92, 107});
    expect_rle("0Pb`n0", false, 2, (const uint32_t[]){0, 1000000});
    expect_rle("\\14", false, 2, (const uint32_t[]){44, 4});
    expect_rle("\\\\14", true, 2, (const uint32_t[]){44, 4});
}

/* A bitmap drawn with text: rows with newlines, '#' is set. */
typedef struct drawing {
    vly_bitmap b;
    vly_bitmap seen;
    vly_arena arena;
    const vly_polygon *polygons;
    uint32_t n;
} drawing;

static void trace(drawing *d, const char *text)
{
    *d = (drawing){0};
    vly_arena_init(&d->arena, VLY_MEM_BASE, 4096, (size_t)16 << 20);
    const char *end = strchr(text, '\n');
    d->b.width = (uint32_t)(end - text);
    d->b.height = (uint32_t)(strlen(text) / (d->b.width + 1));
    d->b.column_words = (d->b.height + 63) / 64;
    size_t n_words = (size_t)d->b.width * d->b.column_words;
    d->seen = d->b;
    d->b.words = vly_arena_calloc(&d->arena, n_words, sizeof(uint64_t));
    d->seen.words = vly_arena_calloc(&d->arena, n_words, sizeof(uint64_t));
    for (uint32_t y = 0; y < d->b.height; y++)
        for (uint32_t x = 0; x < d->b.width; x++)
            if (text[y * (d->b.width + 1) + x] == '#')
                d->b.words[x * d->b.column_words + y / 64] |= (uint64_t)1 << (y % 64);
    assert_int_equal(vly_outlines(&d->b, &d->seen, 100, 200, &d->arena, &d->polygons, &d->n, NULL),
                     VLY_OK);
}

static void expect_polygon(const vly_polygon *p, size_t n, const int (*xy)[2])
{
    assert_int_equal(p->n_points, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(p->xy[2 * i] == (float)(100 + xy[i][0]));
        assert_true(p->xy[2 * i + 1] == (float)(200 + xy[i][1]));
    }
}

static void outlines_are_the_pixels_edges(void **state)
{
    drawing d;

    (void)state;
    trace(&d, "......\n"
              ".####.\n"
              ".####.\n"
              ".####.\n"
              "......\n");
    assert_int_equal(d.n, 1);
    expect_polygon(&d.polygons[0], 4, (const int[][2]){{1, 1}, {5, 1}, {5, 4}, {1, 4}});
    vly_arena_release(&d.arena);
    trace(&d, "########\n"
              "########\n"
              "########\n"
              "########\n"
              "####....\n"
              "####....\n"
              "####....\n"
              "####....\n");
    assert_int_equal(d.n, 1);
    expect_polygon(&d.polygons[0], 6,
                   (const int[][2]){{0, 0}, {8, 0}, {8, 4}, {4, 4}, {4, 8}, {0, 8}});
    vly_arena_release(&d.arena);
}

static void holes_and_specks_are_left_out(void **state)
{
    drawing d;

    (void)state;
    trace(&d, "#####.#\n"
              "#...#..\n"
              "#...#..\n"
              "#...#..\n"
              "#####..\n");
    assert_int_equal(d.n, 1);
    expect_polygon(&d.polygons[0], 4, (const int[][2]){{0, 0}, {5, 0}, {5, 5}, {0, 5}});
    vly_arena_release(&d.arena);
    trace(&d, "...\n"
              "...\n");
    assert_int_equal(d.n, 0);
    vly_arena_release(&d.arena);
}

static void regions_that_touch_at_a_corner_are_two(void **state)
{
    drawing d;

    (void)state;
    trace(&d, "####....\n"
              "####....\n"
              "####....\n"
              "####....\n"
              "....####\n"
              "....####\n"
              "....####\n"
              "....####\n");
    assert_int_equal(d.n, 2);
    expect_polygon(&d.polygons[0], 4, (const int[][2]){{0, 0}, {4, 0}, {4, 4}, {0, 4}});
    expect_polygon(&d.polygons[1], 4, (const int[][2]){{4, 4}, {8, 4}, {8, 8}, {4, 8}});
    vly_arena_release(&d.arena);
}

static void stairs_become_lines_and_spurs_stay(void **state)
{
    drawing d;

    (void)state;
    trace(&d, "#...........\n"
              "##..........\n"
              "###.........\n"
              "####........\n"
              "#####.......\n"
              "######......\n"
              "#######.....\n"
              "########....\n");
    assert_int_equal(d.n, 1);
    assert_true(d.polygons[0].n_points <= 5); /* 17 corners before */
    vly_arena_release(&d.arena);
    trace(&d, "####........\n"
              "############\n" /* one pixel thin, ten long: within reach of both its sides */
              "####........\n"
              "####........\n");
    float right = 0.0f;
    for (uint32_t i = 0; i < d.polygons[0].n_points; i++)
        right = fmaxf(right, d.polygons[0].xy[(size_t)2 * i]);
    assert_true(right == 112.0f);
    vly_arena_release(&d.arena);
    trace(&d, "##\n"
              "##\n"); /* small shapes keep three points and more */
    assert_int_equal(d.n, 1);
    assert_true(d.polygons[0].n_points >= 3);
    vly_arena_release(&d.arena);
}

static void tall_columns_cross_words(void **state)
{
    char text[3 * 200 + 1];
    drawing d;

    (void)state;
    for (size_t y = 0; y < 200; y++)
        memcpy(text + 3 * y, y >= 5 && y < 195 ? "##\n" : "..\n", 3);
    text[sizeof(text) - 1] = '\0';
    trace(&d, text);
    assert_int_equal(d.n, 1);
    expect_polygon(&d.polygons[0], 4, (const int[][2]){{0, 5}, {2, 5}, {2, 195}, {0, 195}});
    vly_arena_release(&d.arena);
}

/* A segmentation of a 32 x 32 input with 8 x 8 prototypes, of which the first is positive in the
 * columns 2..5, the second everywhere. */
static void segmentation(task_fixture *f)
{
    static const float row[] = {16, 16, 24, 16, 0.9f, 1, 0};

    fixture_init(f, 32, 32);
    fixture_output(f, "output0", &VLY_SHAPE(1, 7, 21));
    fixture_output(f, "output1", &VLY_SHAPE(1, 2, 8, 8));
    for (size_t v = 0; v < 7; v++)
        *fixture_at(f, 0, v * 21 + 4) = row[v];
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 8; x++) {
            *fixture_at(f, 1, y * 8 + x) = x >= 2 && x <= 5 ? 1.0f : -1.0f;
            *fixture_at(f, 1, 64 + y * 8 + x) = 3.0f;
        }
    fixture_expect_task(f, "yolov8-segment");
}

static void masks_are_cut_to_their_boxes(void **state)
{
    task_fixture f;

    (void)state;
    segmentation(&f);
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 0, 0.9, 4, 8, 28, 24);
    const vly_mask *m = f.seen.detections[0].mask;
    assert_non_null(m);
    /* A prototype pixel is 4 wide: the sign changes at 8 and 24, between centres of the samples. So
     * columns 8..23 and rows 8..23: 8 whole columns of 0, then 16 times 8, 16, 8. */
    assert_int_equal(m->n_counts, 33);
    assert_int_equal(m->counts[0], 8 * 32 + 8);
    for (int i = 1; i < 32; i++)
        assert_int_equal(m->counts[i], 16);
    assert_int_equal(m->counts[32], 8 + 8 * 32);
    assert_int_equal(m->n_polygons, 1);
    assert_int_equal(m->polygons[0].n_points, 4);
    const float square[8] = {8, 8, 24, 8, 24, 24, 8, 24};
    assert_memory_equal(m->polygons[0].xy, square, sizeof(square));
    fixture_release(&f);
}

static void masks_fill_a_larger_picture(void **state)
{
    task_fixture f;
    uint64_t sum = 0;

    (void)state;
    segmentation(&f);
    f.map = vly_letterbox_map_of(128, 64, VLY_FIT_LETTERBOX, 32, 32); /* 8 rows of padding */
    *fixture_at(&f, 0, 6 * 21 + 4) = 1.0f;                            /* and the second prototype */
    fixture_expect_count(&f, 1);
    fixture_expect(&f, 0, 0, 0.9, 16, 0, 112, 64);
    const vly_mask *m = f.seen.detections[0].mask;
    assert_int_equal(m->width, 128);
    assert_int_equal(m->n_counts, 3); /* whole columns 16..111 */
    assert_int_equal(m->counts[0], 16 * 64);
    assert_int_equal(m->counts[1], 96 * 64);
    for (uint32_t i = 0; i < m->n_counts; i++)
        sum += m->counts[i];
    assert_int_equal(sum, 128 * 64);
    fixture_release(&f);
}

static void empty_masks_are_one_run(void **state)
{
    task_fixture f;

    (void)state;
    segmentation(&f);
    *fixture_at(&f, 0, 5 * 21 + 4) = 0.0f; /* both factors 0: nothing is above 0 */
    fixture_expect_count(&f, 1);
    const vly_mask *m = f.seen.detections[0].mask;
    assert_int_equal(m->n_counts, 1);
    assert_int_equal(m->counts[0], 32 * 32);
    assert_int_equal(m->n_polygons, 0);
    fixture_release(&f);
}

static void prototypes_must_fit(void **state)
{
    task_fixture f;

    (void)state;
    segmentation(&f);
    vly_tensor good = f.tensors[1];
    f.tensors[1] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 2, 64), good.data);
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.tensors[1] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 1, 8, 8), good.data);
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.tensors[1] = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(1, 2, 0, 8), good.data);
    assert_int_equal(fixture_decode(&f), VLY_EINVAL);
    f.tensors[1] = good;
    fixture_release(&f);
}

UNIT_TESTS(cmocka_unit_test(compresses_as_coco_does),
           cmocka_unit_test(outlines_are_the_pixels_edges),
           cmocka_unit_test(holes_and_specks_are_left_out),
           cmocka_unit_test(regions_that_touch_at_a_corner_are_two),
           cmocka_unit_test(stairs_become_lines_and_spurs_stay),
           cmocka_unit_test(tall_columns_cross_words),
           cmocka_unit_test(masks_are_cut_to_their_boxes),
           cmocka_unit_test(masks_fill_a_larger_picture), cmocka_unit_test(empty_masks_are_one_run),
           cmocka_unit_test(prototypes_must_fit))

/* SPDX-License-Identifier: MIT */
/* Suppression on hand-made boxes, and against a naive model on random ones. */
#include "dsp/nms.h"
#include "unit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { N_RANDOM = 200 };

static size_t run(const float *boxes, const float *scores, const int32_t *classes, size_t n,
                  float threshold, uint32_t *keep)
{
    uint32_t order[N_RANDOM];

    return vly_nms(&(vly_nms_args){.boxes = boxes,
                                   .scores = scores,
                                   .classes = classes,
                                   .n = n,
                                   .iou_threshold = threshold,
                                   .max_visit = n,
                                   .max_keep = n},
                   order, keep);
}

static void iou_of_known_boxes(void **state)
{
    const float a[4] = {0, 0, 2, 2};
    const float half[4] = {1, 0, 3, 2}; /* 2 of 6 */
    const float touching[4] = {2, 0, 4, 2};
    const float inverted[4] = {2, 2, 0, 0};

    (void)state;
    assert_true(vly_box_iou(a, a) == 1.0f);
    assert_true(fabsf(vly_box_iou(a, half) - 1.0f / 3.0f) < 1e-7f);
    assert_true(vly_box_iou(a, touching) == 0.0f);
    assert_true(vly_box_iou(a, inverted) == 0.0f);
    assert_true(vly_box_iou(inverted, inverted) == 0.0f);
}

static void keeps_the_best_of_a_class(void **state)
{
    /* 0 and 1 overlap by 0.6, 2 is the same place in another class, 3 is elsewhere */
    const float boxes[] = {0, 0, 8, 10, 2, 0, 10, 10, 0, 0, 8, 10, 50, 50, 60, 60};
    const float scores[] = {0.8f, 0.9f, 0.7f, 0.6f};
    const int32_t classes[] = {1, 1, 2, 1};
    uint32_t keep[4];

    (void)state;
    assert_int_equal(run(boxes, scores, classes, 4, 0.5f, keep), 3);
    assert_int_equal(keep[0], 1);
    assert_int_equal(keep[1], 2);
    assert_int_equal(keep[2], 3);
    assert_int_equal(run(boxes, scores, NULL, 4, 0.5f, keep), 2);    /* one class for all */
    assert_int_equal(run(boxes, scores, classes, 4, 0.6f, keep), 4); /* only above the threshold */
    assert_int_equal(run(boxes, scores, classes, 0, 0.5f, keep), 0);
}

static void equal_scores_keep_their_order(void **state)
{
    float boxes[4 * 50];
    float scores[50];
    uint32_t keep[50];

    (void)state;
    for (size_t i = 0; i < 50; i++) {
        const float box[4] = {(float)i * 10, 0, (float)i * 10 + 5, 5};
        memcpy(boxes + 4 * i, box, sizeof(box));
        scores[i] = (float)(i % 2);
    }
    assert_int_equal(run(boxes, scores, NULL, 50, 0.5f, keep), 50);
    for (uint32_t i = 0; i < 25; i++) {
        assert_int_equal(keep[i], 2 * i + 1);
        assert_int_equal(keep[25 + i], 2 * i);
    }
}

static void limits_what_it_visits_and_keeps(void **state)
{
    /* the first two are one place, the others apart */
    const float boxes[] = {0, 0, 5, 5, 0, 0, 5, 5, 10, 0, 15, 5, 20, 0, 25, 5};
    const float scores[] = {0.9f, 0.8f, 0.7f, 0.6f};
    vly_nms_args args = {.boxes = boxes,
                         .scores = scores,
                         .n = 4,
                         .iou_threshold = 0.5f,
                         .max_visit = 3,
                         .max_keep = 4};
    uint32_t order[4], keep[4];

    (void)state;
    assert_int_equal(vly_nms(&args, order, keep), 2); /* 0 and 2: the fourth is not visited */
    assert_int_equal(keep[1], 2);
    args.max_visit = 4;
    args.max_keep = 1;
    assert_int_equal(vly_nms(&args, order, keep), 1);
}

/* Quadratic, from the definition: repeatedly take the best box left and strike what it covers. */
static size_t naive(const float *boxes, const float *scores, const int32_t *classes, size_t n,
                    float threshold, uint32_t *keep)
{
    bool is_gone[N_RANDOM] = {0};
    size_t n_keep = 0;

    for (;;) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!is_gone[i] && (best == n || scores[i] > scores[best]))
                best = i;
        if (best == n)
            return n_keep;
        keep[n_keep++] = (uint32_t)best;
        is_gone[best] = true;
        for (size_t i = 0; i < n; i++) {
            const float *a = boxes + 4 * best;
            const float *b = boxes + 4 * i;
            double w = (double)fminf(a[2], b[2]) - (double)fmaxf(a[0], b[0]);
            double h = (double)fminf(a[3], b[3]) - (double)fmaxf(a[1], b[1]);
            double both = (double)(a[2] - a[0]) * (double)(a[3] - a[1]) +
                          (double)(b[2] - b[0]) * (double)(b[3] - b[1]);
            double inter = w > 0 && h > 0 ? w * h : 0.0;
            if (classes[i] == classes[best] && inter / (both - inter) > (double)threshold)
                is_gone[i] = true;
        }
    }
}

static void agrees_with_the_definition(void **state)
{
    float boxes[4 * N_RANDOM];
    float scores[N_RANDOM];
    int32_t classes[N_RANDOM];
    uint32_t keep[N_RANDOM], expected[N_RANDOM];
    uint32_t seed = 7;

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < N_RANDOM; i++) {
            uint32_t r[5];
            for (int k = 0; k < 5; k++)
                r[k] = (seed = seed * 1664525u + 1013904223u) >> 16;
            const float x = (float)(r[0] % 100), y = (float)(r[1] % 100);
            const float box[4] = {x, y, x + 1.0f + (float)(r[2] % 40),
                                  y + 1.0f + (float)(r[3] % 40)};
            memcpy(boxes + 4 * i, box, sizeof(box));
            scores[i] = (float)(r[4] % 64) / 64.0f; /* many ties */
            classes[i] = (int32_t)(r[4] / 64 % 3);
        }
        /* the threshold is no ratio of small integers, so rounding does not decide */
        size_t n = run(boxes, scores, classes, N_RANDOM, 0.4513f, keep);
        assert_int_equal(n, naive(boxes, scores, classes, N_RANDOM, 0.4513f, expected));
        assert_memory_equal(keep, expected, n * sizeof(*keep));
    }
}

UNIT_TESTS(cmocka_unit_test(iou_of_known_boxes), cmocka_unit_test(keeps_the_best_of_a_class),
           cmocka_unit_test(equal_scores_keep_their_order),
           cmocka_unit_test(limits_what_it_visits_and_keeps),
           cmocka_unit_test(agrees_with_the_definition))

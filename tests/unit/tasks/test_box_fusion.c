/* SPDX-License-Identifier: MIT */
/* Fusion of boxes and classes, by hand and against the code of the method's authors:
 * fusion_truth.py prints the expected values of `cases`. */
#include "tasks/box_fusion.h"

#include "base/assert.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define BOXES_MAX 100

static vly_arena arena;
static vly_err err;

static int make_arena(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_BASE, 1 << 14, 1 << 22);
    return 0;
}

static int drop_arena(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static const vly_fused_box *fuse(const vly_fusion_member *members, size_t n_members,
                                 const vly_fusion_opts *opts, size_t want_n)
{
    vly_fused_box *boxes = NULL;
    size_t n = SIZE_MAX;

    assert_int_equal(vly_fuse_boxes(members, n_members, opts, &arena, &boxes, &n, &err), VLY_OK);
    assert_int_equal(n, want_n);
    return boxes;
}

static void assert_box(const vly_fused_box *got, const float want[4], float score, int32_t label)
{
    for (int i = 0; i < 4; i++)
        assert_float_equal(got->box[i], want[i], 1e-4f);
    assert_float_equal(got->score, score, 1e-6f);
    assert_int_equal(got->label, label);
}

/* Two models, the same object 2 pixels apart, and one that only the second sees. IoU of the first
 * two: 8 * 10 / (100 + 100 - 80) = 0.667. */
static const float first_boxes[] = {0, 0, 10, 10};
static const float second_boxes[] = {2, 0, 12, 10, 50, 50, 60, 60};
static const float first_scores[] = {0.6f};
static const float second_scores[] = {0.3f, 0.8f};
static const int32_t ones[] = {1, 1};
static const vly_fusion_member pair[] = {{first_boxes, first_scores, ones, 1, 1},
                                         {second_boxes, second_scores, ones, 2, 1}};

static void weighs_by_score(void **state)
{
    (void)state;
    const vly_fusion_opts opts = VLY_FUSION_OPTS_INIT;
    const vly_fused_box *got = fuse(pair, 2, &opts, 2);

    /* x1 = (0.6 * 0 + 0.3 * 2) / 0.9; score = (0.6 + 0.3) / 2 * min(2, 2) / 2 */
    assert_box(&got[0], (float[]){2.0f / 3, 0, 10 + 2.0f / 3, 10}, 0.45f, 1);
    /* seen by one of two: half its score */
    assert_box(&got[1], (float[]){50, 50, 60, 60}, 0.4f, 1);
}

static void keeps_apart(void **state)
{
    (void)state;
    vly_fusion_opts opts = VLY_FUSION_OPTS_INIT;
    vly_fusion_member members[2] = {pair[0], pair[1]};
    static const int32_t twos[] = {2, 2};

    opts.iou_threshold = 0.67f; /* more than their overlap */
    fuse(members, 2, &opts, 3);
    opts.iou_threshold = 0.66f;
    fuse(members, 2, &opts, 2);
    members[1].labels = twos; /* another class */
    fuse(members, 2, &opts, 3);
}

static void leaves_out_what_is_no_box(void **state)
{
    (void)state;
    const vly_fusion_opts opts = {.iou_threshold = 0.5f, .skip_box_threshold = 0.25f};
    static const float boxes[] = {0, 0, 10,       10, 5, 5, 5, 9, 9, 9, 8, 12, NAN, 0,  10, 10,
                                  0, 0, INFINITY, 9,  0, 0, 9, 9, 0, 0, 9, 9,  20,  20, 30, 30};
    static const float scores[] = {0.5f, 0.9f, 0.9f, 0.9f, 0.9f, NAN, 0.24f, 0.25f};
    static const int32_t labels[8] = {0};
    const vly_fusion_member m = {boxes, scores, labels, 8, 1};
    const vly_fusion_member empty = {.weight = 1};
    const vly_fused_box *got = fuse(&m, 1, &opts, 2);

    assert_box(&got[0], (float[]){0, 0, 10, 10}, 0.5f, 0);
    assert_box(&got[1], (float[]){20, 20, 30, 30}, 0.25f, 0);
    fuse(&empty, 1, &opts, 0);
}

/* More boxes than may be fused: the best of them are. */
static void is_bounded(void **state)
{
    (void)state;
    const vly_fusion_opts opts = VLY_FUSION_OPTS_INIT;
    enum { N = VLY_FUSION_BOXES_MAX + 50 };
    static float boxes[N][4], scores[N];
    static int32_t labels[N];

    for (int i = 0; i < N; i++) {
        scores[i] = (float)(i + 1) / (N + 1);
        labels[i] = i;
        memcpy(boxes[i], (float[]){0, 0, 1, 1}, sizeof(boxes[i]));
    }
    const vly_fusion_member m = {boxes[0], scores, labels, N, 1};
    const vly_fused_box *got = fuse(&m, 1, &opts, VLY_FUSION_BOXES_MAX);
    assert_int_equal(got[0].label, N - 1);
    assert_int_equal(got[VLY_FUSION_BOXES_MAX - 1].label, 50);
}

static void names_its_confidences(void **state)
{
    (void)state;
    vly_fusion_conf conf;

    assert_int_equal(vly_fusion_conf_parse(VLY_STR("max"), &conf, &err), VLY_OK);
    assert_int_equal(conf, VLY_FUSION_CONF_MAX);
    assert_int_equal(vly_fusion_conf_parse(VLY_STR("mean"), &conf, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "absent_model_aware_avg"));
    assert_non_null(strstr(err.msg, "'mean'"));
}

typedef struct fusion_case {
    const char *conf;
    size_t n_members, n_boxes;
    uint32_t n_classes;
    float weights[5];
    float iou, skip;
    size_t n_fused;
    double total; /* of score * (box . (1, 2, 3, 4) + label) */
    float best[6];
} fusion_case;

static const fusion_case cases[] = {
    {"avg",
     1,
     40,
     3,
     {1},
     0.55f,
     0.0f,
     27,
     82.649179,
     {0.5527344f, 0.4521484f, 0.7324219f, 0.6279297f, 0.9811821f, 0}},
    {"avg",
     2,
     40,
     2,
     {1, 1},
     0.55f,
     0.0f,
     26,
     62.930396,
     {0.5466177f, 0.4540305f, 0.7281872f, 0.6161668f, 0.9467382f, 1}},
    {"avg",
     3,
     60,
     2,
     {2, 1, 0.5f},
     0.5f,
     0.1f,
     25,
     66.38855,
     {0.3130521f, 0.2716319f, 0.4952524f, 0.4530204f, 0.8739905f, 0}},
    {"max",
     3,
     60,
     2,
     {2, 1, 0.5f},
     0.4f,
     0.05f,
     21,
     77.219845,
     {0.3303819f, 0.2825328f, 0.509495f, 0.4603772f, 0.9881878f, 0}},
    {"box_and_model_avg",
     3,
     60,
     2,
     {2, 1, 0.5f},
     0.5f,
     0.0f,
     25,
     58.796595,
     {0.3130521f, 0.2716319f, 0.4952524f, 0.4530204f, 0.7197569f, 0}},
    {"absent_model_aware_avg",
     3,
     60,
     2,
     {2, 1, 0.5f},
     0.5f,
     0.0f,
     25,
     59.930204,
     {0.3130521f, 0.2716319f, 0.4952524f, 0.4530204f, 0.7197569f, 0}},
    {"avg",
     5,
     100,
     1,
     {1, 2, 3, 4, 5},
     0.3f,
     0.0f,
     9,
     19.20933,
     {0.02573554f, 0.02397146f, 0.2017754f, 0.2002714f, 0.5686489f, 0}},
};

static uint32_t noise;

/* The high bits of a 32-bit congruential sequence, as in fusion_truth.py. */
static uint32_t below(uint32_t n)
{
    noise = noise * 1664525u + 1013904223u;
    return (noise >> 8) % n;
}

/* Boxes around 12 places, in 1/1024 of the picture, so that floats hold them exactly. */
static void fill(float (*boxes)[4], float *scores, int32_t *labels, size_t n, uint32_t n_classes)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t place = below(12);
        uint32_t x = 60 * place + below(40);
        uint32_t y = 50 * place + below(40);
        uint32_t w = 150 + below(60);
        uint32_t h = 150 + below(60);
        const uint32_t edges[4] = {x, y, x + w, y + h};
        for (int k = 0; k < 4; k++)
            boxes[i][k] = (float)edges[k] / 1024;
        scores[i] = (float)(1 + below(1 << 20)) / (1 << 20);
        labels[i] = (int32_t)below(n_classes);
    }
}

static void agrees_with_its_authors(void **state)
{
    (void)state;
    static float boxes[5][BOXES_MAX][4], scores[5][BOXES_MAX];
    static int32_t labels[5][BOXES_MAX];

    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        const fusion_case *c = &cases[i];
        vly_fusion_opts opts = {.iou_threshold = c->iou, .skip_box_threshold = c->skip};
        vly_fusion_member members[5];
        double total = 0;

        noise = 1;
        for (size_t m = 0; m < c->n_members; m++) {
            fill(boxes[m], scores[m], labels[m], c->n_boxes, c->n_classes);
            members[m] =
                (vly_fusion_member){boxes[m][0], scores[m], labels[m], c->n_boxes, c->weights[m]};
        }
        assert_int_equal(vly_fusion_conf_parse(vly_str_from(c->conf), &opts.conf, &err), VLY_OK);
        const vly_fused_box *got = fuse(members, c->n_members, &opts, c->n_fused);
        assert_box(&got[0], c->best, c->best[4], (int32_t)c->best[5]);
        for (size_t k = 0; k < c->n_fused; k++)
            total += (double)got[k].score *
                     ((double)got[k].box[0] + 2 * (double)got[k].box[1] +
                      3 * (double)got[k].box[2] + 4 * (double)got[k].box[3] + got[k].label);
        assert_true(fabs(total - c->total) < 1e-5 * c->total);
    }
}

static void votes(void **state)
{
    (void)state;
    static const float a[] = {0.9f, 0.1f}, b[] = {0.3f, 0.7f};
    const float *const scores[] = {a, b};
    float got[2];

    vly_vote(scores, (const float[]){3, 1}, 2, 2, got);
    assert_float_equal(got[0], 0.75f, 1e-6f); /* (3 * 0.9 + 0.3) / 4 */
    assert_float_equal(got[1], 0.25f, 1e-6f);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(weighs_by_score, make_arena, drop_arena),
           cmocka_unit_test_setup_teardown(keeps_apart, make_arena, drop_arena),
           cmocka_unit_test_setup_teardown(leaves_out_what_is_no_box, make_arena, drop_arena),
           cmocka_unit_test_setup_teardown(is_bounded, make_arena, drop_arena),
           cmocka_unit_test(names_its_confidences),
           cmocka_unit_test_setup_teardown(agrees_with_its_authors, make_arena, drop_arena),
           cmocka_unit_test(votes))

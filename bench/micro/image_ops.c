/* SPDX-License-Identifier: MIT */
/*
 * bench_image_ops [NAME]
 *
 * Times what surrounds the convolutions of YOLOv8n at 640, on real sizes (only those whose name
 * contains NAME), at every level this CPU has. The levels take turns, round by round; the median of
 * a call is printed, in microseconds.
 */
#include "dsp/image_ops.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/act.h"
#include "dsp/norm.h"
#include "dsp/rowmax.h"
#include "prep/image/letterbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 31, MEDIAN = 15, LEVELS = 3 };

static const unsigned level_flags[LEVELS] = {0, VLY_CPU_AVX2,
                                             VLY_CPU_AVX2 | VLY_CPU_AVX512 | VLY_CPU_AVX512_VBMI};

/* The kernels of one level. */
typedef struct level_dsp {
    vly_image_dsp image;
    vly_act_dsp act;
    vly_rowmax_dsp rowmax;
    vly_softmax_dsp softmax;
    vly_letterbox letterbox;
} level_dsp;

typedef struct sample {
    const char *name;
    void (*run)(level_dsp *dsp, const struct sample *s);
    vly_elem elem;
    int h, w, c;
    vly_image x, y;
    vly_planes planes;
} sample;

static void run_from_planes(level_dsp *dsp, const sample *s)
{
    dsp->image.from_planes(&s->x, &s->planes, s->c == 4 ? 3 : s->c, 0, s->h);
}

static void run_to_planes(level_dsp *dsp, const sample *s)
{
    dsp->image.to_planes(&s->planes, &s->x, VLY_ACT_NONE, 0.0f, 0.0f, 0, s->h);
}

static const float bin_weights[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void run_to_planes_sigmoid(level_dsp *dsp, const sample *s)
{
    dsp->image.to_planes(&s->planes, &s->x, VLY_ACT_SIGMOID, 0.0f, 0.0f, 0, s->h);
}

static void run_expect(level_dsp *dsp, const sample *s)
{
    dsp->image.expect(&s->planes, &s->x, bin_weights, s->c / 4, 0, s->h);
}

static void run_silu(level_dsp *dsp, const sample *s)
{
    dsp->image.map(&s->y, &s->x, VLY_ACT_SILU, 0.0f, 0.0f, 0, s->h);
}

static void run_to_f32(level_dsp *dsp, const sample *s)
{
    vly_image y = s->y;
    y.elem = VLY_ELEM_F32;
    dsp->image.map(&y, &s->x, VLY_ACT_NONE, 0.0f, 0.0f, 0, s->h);
}

static void run_to_u8(level_dsp *dsp, const sample *s)
{
    vly_image y = s->y;
    y.elem = VLY_ELEM_U8;
    dsp->image.map(&y, &s->x, VLY_ACT_NONE, 0.0f, 0.0f, 0, s->h);
}

static void run_lookup(level_dsp *dsp, const sample *s)
{
    uint8_t table[256];
    memset(table, 1, sizeof(table));
    dsp->image.lookup(&s->y, &s->x, table, 0, s->h);
}

static void run_add(level_dsp *dsp, const sample *s)
{
    dsp->image.combine(&s->y, &s->x, &s->x, VLY_COMBINE_ADD, VLY_ACT_NONE, 0.0f, 0.0f, 0, s->h);
}

static void run_pool(level_dsp *dsp, const sample *s)
{
    const vly_pool_desc sppf = {5, 5, 1, 1, 1, 1, 2, 2, true, false};
    dsp->image.pool(&s->y, &s->x, &sppf, 0, s->h);
}

static void run_global_mean(level_dsp *dsp, const sample *s)
{
    vly_image y = s->y;
    y.h = y.w = 1;
    dsp->image.global_mean(&y, &s->x, 0, 1);
}

static void run_resize(level_dsp *dsp, const sample *s)
{
    int at[128];
    vly_image x = s->x;
    x.h /= 2;
    x.w /= 2;
    for (int i = 0; i < s->w; i++)
        at[i] = i / 2;
    dsp->image.resize_nearest(&s->y, &x, at, at, 0, s->h);
}

static void run_sigmoid(level_dsp *dsp, const sample *s)
{
    dsp->act.sigmoid(s->planes.data, s->y.data, (size_t)s->planes.picture);
}

static void run_softmax(level_dsp *dsp, const sample *s)
{
    dsp->softmax.rows(s->planes.data, s->planes.picture / s->c, s->c, s->y.data);
}

static void run_rowmax(level_dsp *dsp, const sample *s)
{
    size_t n = (size_t)s->planes.plane;
    dsp->rowmax.rowmax(s->planes.data, (size_t)s->c, n, n, s->y.data, s->x.data);
}

/* y: the picture's memory; h, w: of the picture */
static void run_letterbox(level_dsp *dsp, const sample *s)
{
    vly_picture picture = {.width = (uint32_t)s->w,
                           .height = (uint32_t)s->h,
                           .stride = (size_t)s->w * 3,
                           .pixels = s->y.data};
    vly_letterbox_opts opts = VLY_LETTERBOX_OPTS_INIT;
    vly_err err;
    vly_status st =
        vly_letterbox_run(&dsp->letterbox, &picture, &opts, 640, 640, s->x.data, NULL, &err);
    VLY_ASSERT(st == VLY_OK);
}

static const sample samples[] = {
    {"from_planes f32", run_from_planes, VLY_ELEM_F32, 640, 640, 4},
    {"from_planes f32 c3", run_from_planes, VLY_ELEM_F32, 640, 640, 3},
    {"from_planes bf16", run_from_planes, VLY_ELEM_BF16, 640, 640, 4},
    {"from_planes u8", run_from_planes, VLY_ELEM_U8, 640, 640, 4},
    {"from_planes f32 c64", run_from_planes, VLY_ELEM_F32, 80, 80, 64},
    {"to_planes f32 c80", run_to_planes, VLY_ELEM_F32, 80, 80, 80},
    {"to_planes bf16 c80", run_to_planes, VLY_ELEM_BF16, 80, 80, 80},
    {"to_planes sigmoid bf16", run_to_planes_sigmoid, VLY_ELEM_BF16, 80, 80, 80},
    {"expect f32", run_expect, VLY_ELEM_F32, 80, 80, 64},
    {"expect bf16", run_expect, VLY_ELEM_BF16, 80, 80, 64},
    {"map silu f32", run_silu, VLY_ELEM_F32, 160, 160, 32},
    {"map silu bf16", run_silu, VLY_ELEM_BF16, 160, 160, 32},
    {"map bf16 to f32", run_to_f32, VLY_ELEM_BF16, 80, 80, 64},
    {"map f32 to u8", run_to_u8, VLY_ELEM_F32, 80, 80, 64},
    {"map u8 to f32", run_to_f32, VLY_ELEM_U8, 80, 80, 64},
    {"lookup", run_lookup, VLY_ELEM_U8, 160, 160, 32},
    {"combine add f32", run_add, VLY_ELEM_F32, 160, 160, 16},
    {"combine add u8", run_add, VLY_ELEM_U8, 160, 160, 16},
    {"pool 5x5 f32", run_pool, VLY_ELEM_F32, 20, 20, 128},
    {"pool 5x5 bf16", run_pool, VLY_ELEM_BF16, 20, 20, 128},
    {"pool 5x5 u8", run_pool, VLY_ELEM_U8, 20, 20, 128},
    {"global_mean f32", run_global_mean, VLY_ELEM_F32, 20, 20, 1280},
    {"resize x2 f32", run_resize, VLY_ELEM_F32, 80, 80, 128},
    {"letterbox 1080p", run_letterbox, VLY_ELEM_F32, 1080, 1920, 3},
    {"letterbox 720p", run_letterbox, VLY_ELEM_F32, 720, 1280, 3},
    {"letterbox 4k", run_letterbox, VLY_ELEM_F32, 2160, 3840, 3},
    {"sigmoid 80 x 8400", run_sigmoid, VLY_ELEM_F32, 84, 100, 80},
    {"softmax rows of 80", run_softmax, VLY_ELEM_F32, 84, 100, 80},
    {"rowmax 80 x 8400", run_rowmax, VLY_ELEM_F32, 84, 100, 80},
    {"resize x2 u8", run_resize, VLY_ELEM_U8, 80, 80, 128},
};

static void *take(size_t bytes)
{
    void *p = vly_alloc_aligned(VLY_MEM_BASE, bytes + VLY_IMAGE_SLACK);
    VLY_ASSERT(p != NULL);
    memset(p, 0x3c, bytes + VLY_IMAGE_SLACK); /* a small number in every element */
    return p;
}

static vly_image image_of(const sample *s)
{
    vly_image im = {.elem = s->elem, .n = 1, .h = s->h, .w = s->w, .c = s->c, .pixel = s->c};

    im.row = (int64_t)s->w * s->c;
    im.picture = s->h * im.row;
    im.scale = 0.02f;
    im.zero = 100;
    im.data = take((size_t)im.picture * sizeof(float)); /* whatever element it becomes */
    return im;
}

static int compare(const void *a, const void *b)
{
    vly_nsec x = *(const vly_nsec *)a, y = *(const vly_nsec *)b;
    return x < y ? -1 : x > y;
}

static void measure(const sample *from)
{
    static vly_nsec times[LEVELS][ROUNDS];
    sample s = *from;
    level_dsp dsp[LEVELS];

    s.x = image_of(&s);
    s.y = image_of(&s);
    s.planes.plane = (int64_t)s.h * s.w;
    s.planes.picture = s.c * s.planes.plane;
    s.planes.data = take((size_t)s.planes.picture * sizeof(float));
    for (int level = 0; level < LEVELS; level++) {
        unsigned flags = level_flags[level] & vly_cpu_flags();
        vly_image_dsp_init(&dsp[level].image, flags);
        vly_act_dsp_init(&dsp[level].act, flags);
        vly_rowmax_dsp_init(&dsp[level].rowmax, flags);
        vly_softmax_dsp_init(&dsp[level].softmax, flags);
        vly_letterbox_init(&dsp[level].letterbox);
        vly_letterbox_dsp_init(&dsp[level].letterbox.dsp, flags);
    }
    for (int round = -1; round < ROUNDS; round++)
        for (int level = 0; level < LEVELS; level++) {
            vly_nsec start = vly_clock_now();
            s.run(&dsp[level], &s);
            if (round >= 0)
                times[level][round] = vly_clock_now() - start;
        }
    printf("%-22s", s.name);
    for (int level = 0; level < LEVELS; level++) {
        qsort(times[level], ROUNDS, sizeof(times[level][0]), compare);
        printf(" %9.1f", (double)times[level][MEDIAN] * 1e-3);
    }
    printf("\n");
    for (int level = 0; level < LEVELS; level++)
        vly_letterbox_release(&dsp[level].letterbox);
    vly_free(s.x.data);
    vly_free(s.y.data);
    vly_free(s.planes.data);
}

int main(int argc, char **argv)
{
    printf("%-22s %9s %9s %9s us\n", "", "c", "avx2", "avx512");
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        if (argc < 2 || strstr(samples[i].name, argv[1]) != NULL)
            measure(&samples[i]);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * bench_conv [--elem f32|bf16|u8] [--act none|silu|table] [--kernel NAME] [--rounds N] [SHAPE...]
 *
 * Times every convolution kernel that fits, on the shapes of YOLOv8n at 640 or on those given as
 * c_in,c_out,h_out,w_out,kernel,stride[,group[,kernel_h]]. The kernels of a shape take turns, round
 * by round, so that a disturbance meets all of them. Per kernel: least and median time of a call,
 * GFLOP/s (2 per product) at the least. The last line sums the kernels that vly_conv_choose takes,
 * each as often as the net has the shape.
 */
#include "dsp/conv.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 1000, KERNELS_MAX = 32, ROUND_US = 400 };

typedef struct shape {
    int count, c_in, c_out, h, w, kernel, stride, group, kernel_h;
} shape;

static const shape yolov8n[] = {
    {1, 3, 16, 320, 320, 3, 2},  {1, 16, 32, 160, 160, 3, 2}, {1, 32, 32, 160, 160, 1, 1},
    {2, 16, 16, 160, 160, 3, 1}, {1, 48, 32, 160, 160, 1, 1}, {1, 32, 64, 80, 80, 3, 2},
    {2, 64, 64, 80, 80, 1, 1},   {6, 32, 32, 80, 80, 3, 1},   {1, 128, 64, 80, 80, 1, 1},
    {1, 64, 128, 40, 40, 3, 2},  {1, 128, 128, 40, 40, 1, 1}, {9, 64, 64, 40, 40, 3, 1},
    {1, 256, 128, 40, 40, 1, 1}, {1, 128, 256, 20, 20, 3, 2}, {1, 256, 256, 20, 20, 1, 1},
    {4, 128, 128, 20, 20, 3, 1}, {3, 384, 256, 20, 20, 1, 1}, {1, 256, 128, 20, 20, 1, 1},
    {1, 512, 256, 20, 20, 1, 1}, {1, 384, 128, 40, 40, 1, 1}, {3, 192, 128, 40, 40, 1, 1},
    {1, 192, 64, 80, 80, 1, 1},  {1, 96, 64, 80, 80, 1, 1},   {1, 64, 64, 40, 40, 3, 2},
    {2, 64, 64, 80, 80, 3, 1},   {1, 64, 80, 80, 80, 3, 1},   {1, 80, 80, 80, 80, 3, 1},
    {1, 80, 80, 80, 80, 1, 1},   {1, 128, 128, 20, 20, 3, 2}, {1, 128, 64, 40, 40, 3, 1},
    {1, 128, 80, 40, 40, 3, 1},  {1, 80, 80, 40, 40, 3, 1},   {1, 64, 64, 40, 40, 1, 1},
    {1, 80, 80, 40, 40, 1, 1},   {1, 256, 64, 20, 20, 3, 1},  {1, 256, 80, 20, 20, 3, 1},
    {1, 64, 64, 20, 20, 3, 1},   {1, 80, 80, 20, 20, 3, 1},   {1, 64, 64, 20, 20, 1, 1},
    {1, 80, 80, 20, 20, 1, 1},
};

typedef struct options {
    vly_elem elem;
    vly_act act;
    const char *kernel;
    int rounds;
} options;

typedef struct runner {
    const vly_conv_kernel *kernel;
    void *packed, *scratch;
    vly_nsec times[ROUNDS_MAX];
} runner;

typedef struct total {
    double ms, gflop;
} total;

static void *take(size_t bytes)
{
    void *p = vly_alloc_aligned(VLY_MEM_BASE, bytes + VLY_IMAGE_SLACK);
    VLY_ASSERT(p != NULL);
    memset(p, 0, bytes + VLY_IMAGE_SLACK);
    return p;
}

static vly_conv_desc describe(const shape *s, const options *o)
{
    int kernel_h = s->kernel_h != 0 ? s->kernel_h : s->kernel;
    /* as plans pad the channels of pictures */
    bool is_padded = o->elem != VLY_ELEM_F32 && s->c_in == 3;
    return (vly_conv_desc){.in = o->elem,
                           .out = o->elem,
                           .c_in = is_padded ? 4 : s->c_in,
                           .c_out = s->c_out,
                           .group = s->group != 0 ? s->group : 1,
                           .kernel_h = kernel_h,
                           .kernel_w = s->kernel,
                           .stride_h = s->h == 1 ? 1 : s->stride,
                           .stride_w = s->stride,
                           .dilation_h = 1,
                           .dilation_w = 1,
                           .pad_top = kernel_h / 2,
                           .pad_left = s->kernel / 2,
                           .n = 1,
                           .h_out = s->h,
                           .w_out = s->w,
                           .is_flat = s->kernel * kernel_h * s->stride == 1,
                           .act = o->act};
}

/* A buffer of its own for the picture and its border; view->data points past the border. */
static void *image_init(vly_image *view, vly_elem elem, int h, int w, int c, int border)
{
    size_t n = (size_t)(h + 2 * border) * (size_t)(w + 2 * border) * (size_t)c;
    unsigned char *p = take(n * vly_elem_size(elem));

    *view = (vly_image){.elem = elem, .n = 1, .h = h, .w = w, .c = c};
    view->border_h = view->border_w = border;
    view->pixel = c;
    view->row = (int64_t)(w + 2 * border) * c;
    view->picture = (h + 2 * border) * view->row;
    view->scale = 0.02f;
    view->zero = elem == VLY_ELEM_U8 ? 100 : 0;
    for (size_t i = 0; i < n; i++) {
        int v = (int)(i * 7 % 61);
        if (elem == VLY_ELEM_F32)
            ((float *)(void *)p)[i] = (float)(v - 30) / 30.0f;
        else if (elem == VLY_ELEM_BF16)
            ((uint16_t *)(void *)p)[i] = vly_bf16_from_f32((float)(v - 30) / 30.0f);
        else
            p[i] = (uint8_t)(v + 70);
    }
    view->data = p + (size_t)(border * (view->row + view->pixel)) * vly_elem_size(elem);
    return p;
}

static void *weights_new(const vly_conv_desc *d)
{
    size_t n =
        (size_t)d->c_out * (size_t)(d->c_in / d->group) * (size_t)d->kernel_h * (size_t)d->kernel_w;
    void *w = take(n * sizeof(float));

    for (size_t i = 0; i < n; i++) {
        int v = (int)(i * 13 % 41) - 20;
        if (d->in == VLY_ELEM_U8)
            ((int8_t *)w)[i] = (int8_t)v;
        else
            ((float *)w)[i] = (float)v / 200.0f;
    }
    return w;
}

/* Every kernel that fits, the C reference only when it is alone or asked for; returns how many. */
static int runners_init(runner *runners, const vly_conv_desc *d, const void *weights,
                        const char *name)
{
    const vly_conv_kernel *kernel;
    int n = 0;

    for (int i = 0; (kernel = vly_conv_kernel_at(i)) != NULL && n < KERNELS_MAX; i++) {
        if ((kernel->cpu_flags & ~vly_cpu_flags()) != 0 || !kernel->fits(d) ||
            (name != NULL && strcmp(name, kernel->name) != 0) ||
            (name == NULL && n > 0 && strcmp(kernel->name, "c") == 0))
            continue;
        runners[n] = (runner){.kernel = kernel, .packed = take(kernel->packed_bytes(d))};
        runners[n].scratch = take(kernel->scratch_bytes != NULL ? kernel->scratch_bytes(d) : 0);
        kernel->pack(d, weights, runners[n].packed);
        n++;
    }
    return n;
}

/* Calls until ROUND_US have passed; returns the time of one, in sixteenths of a nanosecond. */
static vly_nsec time_round(const runner *r, vly_conv_call *call)
{
    int units = r->kernel->units(call->desc);
    vly_nsec start = vly_clock_now(), passed = 0;
    uint64_t n = 0;

    call->packed = r->packed;
    for (uint64_t chunk = 1; passed < ROUND_US * VLY_NSEC_PER_US; chunk *= 2) {
        for (uint64_t i = 0; i < chunk; i++)
            r->kernel->run(call, 0, units, r->scratch);
        n += chunk;
        passed = vly_clock_now() - start;
    }
    return passed * 16 / n;
}

static int by_time(const void *a, const void *b)
{
    vly_nsec x = *(const vly_nsec *)a, y = *(const vly_nsec *)b;
    return (x > y) - (x < y);
}

static void report(const shape *s, runner *r, int rounds, double gflop)
{
    qsort(r->times, (size_t)rounds, sizeof(vly_nsec), by_time);
    vly_nsec median_time = r->times[rounds / 2];
    double min = (double)r->times[0] / 16e6, median = (double)median_time / 16e6;
    printf("%4d>%-4d %3dx%-5d k%d s%d g%-4d %-24s %10.5f %10.5f ms %8.1f GFLOP/s\n", s->c_in,
           s->c_out, s->h, s->w, s->kernel, s->stride, s->group != 0 ? s->group : 1,
           r->kernel->name, min, median, gflop / min * 1e3);
}

static void bench_shape(const shape *s, const options *o, total *sum)
{
    static runner runners[KERNELS_MAX];
    static const uint8_t table[256] = {1};
    vly_conv_desc d = describe(s, o);
    int h = (d.h_out - 1) * d.stride_h + d.kernel_h - 2 * d.pad_top;
    int w = (d.w_out - 1) * d.stride_w + d.kernel_w - 2 * d.pad_left;
    int border = d.pad_top > d.pad_left ? d.pad_top : d.pad_left;
    vly_image x, y;
    void *x_bytes = image_init(&x, o->elem, h, w, d.c_in, border);
    void *y_bytes = image_init(&y, o->elem, d.h_out, d.w_out, d.c_out, d.is_flat ? 0 : 1);
    float *scale = take((size_t)d.c_out * sizeof(float));
    void *weights = weights_new(&d);
    vly_conv_call call = {
        .desc = &d, .x = &x, .y = &y, .scale = scale, .bias = scale, .table = table};
    double gflop = 2e-9 * s->c_in / d.group * d.c_out * d.kernel_h * d.kernel_w * d.h_out * d.w_out;
    int n = runners_init(runners, &d, weights, o->kernel);

    for (int i = 0; i < d.c_out; i++)
        scale[i] = 1e-3f;
    if (d.in != VLY_ELEM_U8)
        call.scale = NULL;
    for (int round = 0; round < o->rounds; round++)
        for (int i = 0; i < n; i++)
            runners[i].times[round] = time_round(&runners[i], &call);
    for (int i = 0; i < n; i++) {
        report(s, &runners[i], o->rounds, gflop);
        vly_free(runners[i].packed);
        vly_free(runners[i].scratch);
    }
    if (n > 0) {
        sum->ms += s->count * (double)runners[0].times[0] / 16e6;
        sum->gflop += s->count * gflop;
    }
    vly_free(x_bytes);
    vly_free(y_bytes);
    vly_free(weights);
    vly_free(scale);
}

static bool parse_shape(const char *text, shape *ret)
{
    *ret = (shape){.count = 1, .group = 1};
    int n = sscanf(text, "%d,%d,%d,%d,%d,%d,%d,%d", &ret->c_in, &ret->c_out, &ret->h, &ret->w,
                   &ret->kernel, &ret->stride, &ret->group, &ret->kernel_h);
    return n >= 6 && ret->c_in > 0 && ret->c_out > 0 && ret->h > 0 && ret->w > 0 &&
           ret->kernel > 0 && ret->stride > 0 && ret->group > 0 && ret->c_in % ret->group == 0 &&
           ret->c_out % ret->group == 0 && ret->kernel_h >= 0;
}

static bool parse_option(const char *name, const char *value, options *o)
{
    int64_t rounds = o->rounds;

    if (strcmp(name, "--kernel") == 0)
        o->kernel = value;
    else if (strcmp(name, "--rounds") == 0)
        (void)vly_str_to_i64(vly_str_from(value), &rounds);
    else if (strcmp(name, "--act") == 0)
        o->act = strcmp(value, "none") == 0    ? VLY_ACT_NONE
                 : strcmp(value, "table") == 0 ? VLY_ACT_TABLE
                                               : VLY_ACT_SILU;
    else if (strcmp(name, "--elem") == 0)
        o->elem = strcmp(value, "u8") == 0     ? VLY_ELEM_U8
                  : strcmp(value, "bf16") == 0 ? VLY_ELEM_BF16
                                               : VLY_ELEM_F32;
    else
        return false;
    o->rounds = (int)rounds;
    return rounds > 0 && rounds <= ROUNDS_MAX;
}

static int usage(void)
{
    fprintf(stderr, "bench_conv [--elem f32|bf16|u8] [--act none|silu|table] [--kernel NAME] "
                    "[--rounds N] [c_in,c_out,h_out,w_out,kernel,stride[,group[,kernel_h]]...]\n");
    return 2;
}

int main(int argc, char **argv)
{
    options o = {.elem = VLY_ELEM_F32, .act = VLY_ACT_SILU, .rounds = 9};
    total sum = {0};
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2)
        if (!parse_option(argv[i], argv[i + 1], &o))
            return usage();
    if (i == argc)
        for (size_t j = 0; j < sizeof(yolov8n) / sizeof(yolov8n[0]); j++)
            bench_shape(&yolov8n[j], &o, &sum);
    for (; i < argc; i++) {
        shape s;
        if (!parse_shape(argv[i], &s))
            return usage();
        bench_shape(&s, &o, &sum);
    }
    printf("sum of the chosen %.3f ms, %.2f GFLOP, %.1f GFLOP/s (level %s)\n", sum.ms, sum.gflop,
           sum.gflop / sum.ms * 1e3, vly_cpu_level());
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Every convolution kernel of the level in use, the C reference among them, on every description
 * that it fits, of the list below and of random ones: against sums in double precision, with
 * guards around everything, and in several ranges of units against one.
 *
 * Bounds. Each output is checked against the interval that its sum may lie in, carried through the
 * epilogue and rounded to the output's element; so BF16 and U8 outputs may differ by one step only
 * where the interval holds a tie.
 *   U8 input      exact
 *   Winograd      8 epsilon max |x| sum |w|: its sums hold terms that cancel; in trials 2 is seen
 *   others        2 (k + 1) epsilon sum |x w|, k products (Higham, Accuracy and Stability of
 *                 Numerical Algorithms, 3.1); BF16 inputs and weights are exact operands
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "conv_case.h"
#include "unit.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

enum { PACK_GUARD = 64, TEXT = 320 };

static double sum_error(const conv_case *c, const vly_conv_kernel *kernel, int64_t at)
{
    const vly_conv_desc *d = &c->shape.d;
    int64_t k = (int64_t)d->c_in / d->group * d->kernel_h * d->kernel_w;

    if (d->in == VLY_ELEM_U8)
        return 0.0;
    if (strncmp(kernel->name, "winograd", 8) == 0)
        return 8.0 * (double)FLT_EPSILON * c->x_max * c->w_norm[at % d->c_out];
    return 2.0 * (double)(k + 1) * (double)FLT_EPSILON * c->magnitude[at];
}

static void fail_case(const conv_case *c, const vly_conv_kernel *kernel, const char *what)
{
    char text[TEXT];

    conv_case_describe(c, text, sizeof(text));
    fail_msg("%s, %s: %s", kernel->name, text, what);
}

static void *guarded(size_t bytes)
{
    unsigned char *p = vly_alloc_aligned(VLY_MEM_BASE, bytes + PACK_GUARD);

    assert_non_null(p);
    memset(p, 0xff, bytes);
    memset(p + bytes, CONV_GUARD, PACK_GUARD);
    return p;
}

static void guarded_free(const conv_case *c, const vly_conv_kernel *kernel, void *p, size_t bytes)
{
    for (size_t i = 0; i < PACK_GUARD; i++)
        if (((unsigned char *)p)[bytes + i] != CONV_GUARD)
            fail_case(c, kernel, "wrote behind packed weights or scratch");
    vly_free(p);
}

/* In pieces of random size, last piece first; or in one piece. */
static void run_ranges(const conv_case *c, const vly_conv_kernel *kernel, const vly_conv_call *call,
                       bool in_pieces)
{
    int end = kernel->units(&c->shape.d);
    size_t bytes = kernel->scratch_bytes != NULL ? kernel->scratch_bytes(&c->shape.d) : 0;

    assert_true(end > 0);
    while (end > 0) {
        int begin = in_pieces ? (int)conv_random((uint32_t)end) : 0;
        void *scratch = guarded(bytes);
        kernel->run(call, begin, end, scratch);
        guarded_free(c, kernel, scratch, bytes);
        end = begin;
    }
}

static void check_values(const conv_case *c, const vly_conv_kernel *kernel, const conv_image *y)
{
    const vly_conv_desc *d = &c->shape.d;
    char what[80];

    for (int64_t p = 0; p < (int64_t)d->n * d->h_out * d->w_out; p++)
        for (int o = 0; o < d->c_out; o++)
            if (!conv_case_agrees(c, y, p, o, sum_error(c, kernel, p * d->c_out + o))) {
                snprintf(what, sizeof(what), "pixel %d, channel %d is wrong", (int)p, o);
                fail_case(c, kernel, what);
            }
    if (!conv_case_is_guarded(c, y))
        fail_case(c, kernel, "wrote outside its output");
}

static void check_kernel(const conv_case *c, const vly_conv_kernel *kernel)
{
    size_t bytes = kernel->packed_bytes(&c->shape.d);
    void *packed = guarded(bytes);
    vly_conv_call call = c->call;
    conv_image y, pieces;

    kernel->pack(&c->shape.d, c->weights, packed);
    conv_case_output(c, &y);
    conv_case_output(c, &pieces);
    call.packed = packed;
    call.y = &y.view;
    run_ranges(c, kernel, &call, false);
    check_values(c, kernel, &y);
    call.y = &pieces.view;
    run_ranges(c, kernel, &call, true);
    if (memcmp(y.bytes, pieces.bytes, y.n_bytes) != 0)
        fail_case(c, kernel, "other bits when run in pieces");
    guarded_free(c, kernel, packed, bytes);
    conv_image_release(&y);
    conv_image_release(&pieces);
}

/* How often each kernel was checked: those that nothing here fits would go untested. */
static int n_checked[64];

static void check_shape(const conv_shape *shape)
{
    conv_case c;
    const vly_conv_kernel *kernel;

    conv_case_init(&c, shape);
    for (int i = 0; (kernel = vly_conv_kernel_at(i)) != NULL; i++)
        if ((kernel->cpu_flags & ~vly_cpu_flags()) == 0 && kernel->fits(&c.shape.d)) {
            check_kernel(&c, kernel);
            n_checked[i]++;
        }
    conv_case_release(&c);
}

typedef struct geometry {
    int c_in, c_out, group, kernel_h, kernel_w, stride, dilation, pad, n, h_out, w_out;
} geometry;

static const geometry list[] = {
    /* 1x1: widths and channels around every vector and tile */
    {1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1},
    {6, 32, 1, 1, 1, 1, 1, 0, 1, 1, 1},
    {32, 64, 1, 1, 1, 1, 1, 0, 1, 1, 1},
    {64, 128, 1, 1, 1, 1, 1, 0, 1, 1, 2},
    {128, 64, 1, 1, 1, 1, 1, 0, 1, 1, 3},
    {64, 32, 1, 1, 1, 1, 1, 0, 4, 1, 1},
    {32, 3, 1, 1, 1, 1, 1, 0, 1, 1, 5},
    {17, 33, 1, 1, 1, 1, 1, 0, 1, 3, 7},
    {48, 47, 1, 1, 1, 1, 1, 0, 2, 5, 9},
    {64, 80, 1, 1, 1, 1, 1, 0, 1, 4, 20},
    {80, 49, 1, 1, 1, 1, 1, 0, 1, 3, 13},
    {129, 96, 1, 1, 1, 1, 1, 0, 1, 2, 31},
    {600, 40, 1, 1, 1, 1, 1, 0, 1, 2, 8},
    {96, 144, 1, 1, 1, 1, 1, 0, 3, 1, 33},
    {24, 20, 1, 1, 1, 2, 1, 0, 1, 5, 6},
    /* 3x3 */
    {1, 1, 1, 3, 3, 1, 1, 1, 1, 1, 1},
    {3, 16, 1, 3, 3, 2, 1, 1, 1, 9, 21},
    {3, 24, 1, 3, 3, 2, 1, 1, 2, 5, 10},
    {3, 32, 1, 6, 6, 2, 1, 2, 1, 6, 11},
    {4, 8, 1, 3, 3, 1, 1, 1, 1, 3, 5},
    {16, 16, 1, 3, 3, 1, 1, 1, 1, 6, 20},
    {16, 32, 1, 3, 3, 2, 1, 1, 1, 5, 14},
    {32, 32, 1, 3, 3, 1, 1, 1, 1, 8, 12},
    {32, 64, 1, 3, 3, 2, 1, 1, 1, 4, 10},
    {33, 31, 1, 3, 3, 1, 1, 1, 2, 7, 9},
    {64, 80, 1, 3, 3, 1, 1, 1, 1, 5, 20},
    {64, 48, 1, 3, 3, 1, 1, 1, 2, 4, 4},
    {80, 80, 1, 3, 3, 1, 1, 1, 1, 10, 10},
    {128, 64, 1, 3, 3, 1, 1, 1, 1, 2, 17},
    {130, 17, 1, 3, 3, 1, 1, 1, 1, 3, 3},
    {130, 97, 1, 3, 3, 1, 1, 1, 1, 11, 22},
    {16, 19, 1, 3, 3, 1, 2, 2, 1, 6, 7},
    {32, 16, 1, 3, 3, 1, 1, 0, 1, 6, 6},
    {18, 34, 1, 3, 3, 3, 1, 1, 1, 4, 5},
    /* other windows, 1-D among them */
    {8, 16, 1, 5, 5, 1, 1, 2, 1, 5, 6},
    {16, 8, 1, 5, 5, 2, 1, 2, 1, 3, 7},
    {6, 32, 1, 1, 5, 1, 1, 2, 1, 1, 50},
    {32, 64, 1, 1, 3, 2, 1, 1, 3, 1, 20},
    {12, 20, 1, 1, 9, 1, 3, 12, 1, 1, 40},
    {3, 17, 1, 1, 3, 1, 1, 1, 2, 1, 601},
    {5, 7, 1, 7, 2, 1, 1, 1, 1, 4, 4},
    {16, 16, 1, 2, 2, 2, 1, 0, 1, 3, 8},
    /* groups and depthwise */
    {32, 48, 2, 3, 3, 1, 1, 1, 1, 4, 6},
    {12, 12, 3, 1, 1, 1, 1, 0, 1, 3, 5},
    {8, 16, 8, 3, 3, 1, 1, 1, 1, 4, 5},
    {1, 1, 1, 5, 5, 1, 1, 2, 1, 6, 6},
    {16, 16, 16, 3, 3, 1, 1, 1, 1, 8, 9},
    {24, 24, 24, 3, 3, 2, 1, 1, 1, 5, 7},
    {65, 65, 65, 3, 3, 1, 1, 1, 2, 4, 6},
    {40, 40, 40, 5, 5, 1, 1, 2, 1, 6, 8},
    {72, 72, 72, 5, 5, 2, 1, 2, 1, 4, 5},
    {33, 33, 33, 3, 3, 1, 2, 2, 1, 5, 5},
    {48, 48, 48, 1, 7, 1, 1, 3, 1, 1, 20},
};

static const vly_act acts[] = {VLY_ACT_SILU,       VLY_ACT_NONE,       VLY_ACT_RELU,
                               VLY_ACT_CLIP,       VLY_ACT_LEAKY_RELU, VLY_ACT_SIGMOID,
                               VLY_ACT_SILU,       VLY_ACT_TANH,       VLY_ACT_HARD_SIGMOID,
                               VLY_ACT_HARD_SWISH, VLY_ACT_GELU,       VLY_ACT_TABLE};

/* The geometry with everything else by chance. */
static conv_shape shape_of(const geometry *g, vly_elem in, vly_elem out)
{
    bool is_1d = g->h_out == 1 && g->kernel_h == 1;
    conv_shape s = {.d = {.in = in,
                          .out = out,
                          .c_in = g->c_in,
                          .c_out = g->c_out,
                          .group = g->group,
                          .kernel_h = g->kernel_h,
                          .kernel_w = g->kernel_w,
                          .stride_h = is_1d ? 1 : g->stride,
                          .stride_w = g->stride,
                          .dilation_h = is_1d ? 1 : g->dilation,
                          .dilation_w = g->dilation,
                          .pad_top = is_1d ? 0 : g->pad,
                          .pad_left = g->pad,
                          .n = g->n,
                          .h_out = g->h_out,
                          .w_out = g->w_out,
                          .act = acts[conv_random(sizeof(acts) / sizeof(acts[0]))],
                          .residual = (vly_residual)conv_random(3)}};

    if (s.d.act == VLY_ACT_TABLE && out != VLY_ELEM_U8)
        s.d.act = VLY_ACT_SILU;
    s.d.is_flat = g->kernel_h * g->kernel_w == 1 && g->stride == 1 && conv_random(3) != 0;
    s.pad_bottom = s.d.pad_top;
    s.pad_right = s.d.pad_left;
    s.border_more = s.d.is_flat ? 0 : (int)conv_random(2);
    if (conv_random(2) == 0) {
        s.skip = (int)conv_random(20);
        s.more = (int)conv_random(20);
    }
    s.has_scale = in == VLY_ELEM_U8 || conv_random(2) == 0;
    s.has_bias = conv_random(4) != 0;
    s.residual = conv_random(2) == 0 ? VLY_ELEM_F32 : out;
    return s;
}

static void check_elems(vly_elem in, vly_elem out)
{
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        conv_shape s = shape_of(&list[i], in, out);
        check_shape(&s);
    }
}

static void f32_to_f32(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_F32, VLY_ELEM_F32);
}

static void f32_to_bf16(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_F32, VLY_ELEM_BF16);
}

static void f32_to_u8(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_F32, VLY_ELEM_U8);
}

static void bf16_to_bf16(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_BF16, VLY_ELEM_BF16);
}

static void bf16_to_f32(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_BF16, VLY_ELEM_F32);
}

static void bf16_to_u8(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_BF16, VLY_ELEM_U8);
}

static void u8_to_u8(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_U8, VLY_ELEM_U8);
}

static void u8_to_f32(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_U8, VLY_ELEM_F32);
}

static void u8_to_bf16(void **state)
{
    (void)state;
    check_elems(VLY_ELEM_U8, VLY_ELEM_BF16);
}

/* One geometry with every activation and both places of the residual. */
static void every_epilogue(void **state)
{
    static const geometry g = {20, 37, 1, 3, 3, 1, 1, 1, 1, 3, 11};
    static const geometry one_pixel = {20, 147, 1, 1, 1, 1, 1, 0, 1, 1, 1};

    (void)state;
    for (int elems = 0; elems < 9; elems++)
        for (size_t act = 0; act < sizeof(acts) / sizeof(acts[0]); act++)
            for (int residual = 0; residual < 3; residual++) {
                conv_shape s = shape_of(&g, (vly_elem)(elems % 3), (vly_elem)(elems / 3));
                s.d.act = acts[act];
                s.d.residual = (vly_residual)residual;
                if (s.d.act != VLY_ACT_TABLE || s.d.out == VLY_ELEM_U8)
                    check_shape(&s);
                s = shape_of(&one_pixel, VLY_ELEM_F32, VLY_ELEM_F32);
                s.d.act = acts[act] != VLY_ACT_TABLE ? acts[act] : VLY_ACT_RELU;
                s.d.residual = (vly_residual)residual;
                check_shape(&s);
            }
}

/* Windows, steps, paddings and sizes by chance, each direction its own. */
static void random_descriptions(void **state)
{
    static const geometry g = {.group = 1};

    (void)state;
    for (int i = 0; i < 150; i++) {
        conv_shape s = shape_of(&g, (vly_elem)conv_random(3), (vly_elem)conv_random(3));
        vly_conv_desc *d = &s.d;
        d->is_flat = false;
        d->group = conv_random(4) != 0 ? 1 : 1 + (int)conv_random(3);
        d->c_in = d->group * (1 + (int)conv_random(40));
        d->c_out = d->group * (1 + (int)conv_random(40));
        if (conv_random(6) == 0)
            d->c_in = d->c_out = d->group = 1 + (int)conv_random(70);
        d->kernel_h = 1 + (int)conv_random(4);
        d->kernel_w = 1 + (int)conv_random(5);
        d->stride_h = 1 + (int)conv_random(3);
        d->stride_w = 1 + (int)conv_random(3);
        d->dilation_h = 1 + (int)(conv_random(4) == 0);
        d->dilation_w = 1 + (int)(conv_random(4) == 0);
        d->pad_top = (int)conv_random((uint32_t)d->kernel_h);
        d->pad_left = (int)conv_random((uint32_t)d->kernel_w);
        s.pad_bottom = (int)conv_random((uint32_t)(d->kernel_h - d->pad_top));
        s.pad_right = (int)conv_random((uint32_t)(d->kernel_w - d->pad_left));
        d->n = 1 + (int)conv_random(3);
        d->h_out = 1 + (int)conv_random(7);
        d->w_out = 1 + (int)conv_random(25);
        check_shape(&s);
    }
}

/* The reference and the sums of the other tests, by hand: 2x2 window on 2x3, one pad on the left.
 *   x = 1 2 3    w = 10 20    outputs, w_out 3: 20*1+40*4, 10*1+20*2+30*4+40*5, 10*2+20*3+30*5+40*6
 *       4 5 6        30 40 */
static void worked_by_hand(void **state)
{
    static float x[3 * 5] = {0, 1, 2, 3, 0, 0, 4, 5, 6, 0}, y[3];
    static const float w[4] = {10, 20, 30, 40}, scale = 0.5f, bias = -100.0f;
    vly_conv_desc d = {.c_in = 1,
                       .c_out = 1,
                       .group = 1,
                       .kernel_h = 2,
                       .kernel_w = 2,
                       .stride_h = 1,
                       .stride_w = 1,
                       .dilation_h = 1,
                       .dilation_w = 1,
                       .pad_left = 1,
                       .n = 1,
                       .h_out = 1,
                       .w_out = 3};
    vly_image in = {.data = x + 1,
                    .n = 1,
                    .h = 2,
                    .w = 3,
                    .c = 1,
                    .border_h = 1,
                    .border_w = 1,
                    .pixel = 1,
                    .row = 5,
                    .picture = 15};
    vly_image out = {.data = y, .n = 1, .h = 1, .w = 3, .c = 1, .pixel = 1, .row = 3, .picture = 3};
    float packed[4];
    vly_conv_call call = {
        .desc = &d, .packed = packed, .x = &in, .y = &out, .scale = &scale, .bias = &bias};
    const vly_conv_kernel *kernel = vly_conv_choose(&d, 0);

    (void)state;
    assert_string_equal(kernel->name, "c");
    assert_int_equal(kernel->packed_bytes(&d), sizeof(packed));
    kernel->pack(&d, w, packed);
    kernel->run(&call, 0, kernel->units(&d), NULL);
    assert_true(y[0] == 180.0f / 2.0f - 100.0f);
    assert_true(y[1] == 370.0f / 2.0f - 100.0f);
    assert_true(y[2] == 470.0f / 2.0f - 100.0f);
}

static void every_kernel_was_tested(void **state)
{
    const vly_conv_kernel *kernel;

    (void)state;
    for (int i = 0; (kernel = vly_conv_kernel_at(i)) != NULL; i++) {
        if ((kernel->cpu_flags & ~vly_cpu_flags()) != 0)
            continue;
        printf("# %-24s %d cases\n", kernel->name, n_checked[i]);
        assert_true(n_checked[i] > 0);
    }
}

UNIT_TESTS(cmocka_unit_test(worked_by_hand), cmocka_unit_test(f32_to_f32),
           cmocka_unit_test(f32_to_bf16), cmocka_unit_test(f32_to_u8),
           cmocka_unit_test(bf16_to_bf16), cmocka_unit_test(bf16_to_f32),
           cmocka_unit_test(bf16_to_u8), cmocka_unit_test(u8_to_u8), cmocka_unit_test(u8_to_f32),
           cmocka_unit_test(u8_to_bf16), cmocka_unit_test(every_epilogue),
           cmocka_unit_test(random_descriptions), cmocka_unit_test(every_kernel_was_tested))

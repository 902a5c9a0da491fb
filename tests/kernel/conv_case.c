/* SPDX-License-Identifier: MIT */
#include "conv_case.h"

#include "base/mem.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FRONT = 64 }; /* guard bytes before an image's first element */

static uint32_t random_state = 7;

uint32_t conv_random(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Multiples of 2^-12 in -1..1. */
static double random_real(void)
{
    return ((double)conv_random(8193) - 4096.0) / 4096.0;
}

static void *take(size_t n, size_t size)
{
    void *p = vly_calloc(VLY_MEM_BASE, n + 1, size);
    assert_non_null(p);
    return p;
}

/* To the eight significant bits of BF16, ties to even. */
static double round_bf16(double v)
{
    int exponent;
    double m = frexp(v, &exponent);
    return ldexp(rint(ldexp(m, 8)), exponent - 8);
}

static int64_t max2(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Border that every tap of the case falls into. */
static int border_of(const conv_case *c)
{
    const conv_shape *s = &c->shape;
    int64_t before = max2(s->d.pad_top, s->d.pad_left), after = max2(s->pad_bottom, s->pad_right);
    return (int)max2(before, after) + s->border_more;
}

static void image_init(conv_image *im, vly_elem elem, const int size[4], int border,
                       const conv_shape *s)
{
    size_t each = vly_elem_size(elem), n;
    vly_image *v = &im->view;

    *v = (vly_image){.elem = elem, .n = size[0], .h = size[1], .w = size[2], .c = size[3]};
    v->border_h = v->border_w = border;
    v->pixel = v->c + s->skip + s->more;
    v->row = (v->w + 2 * border) * v->pixel;
    v->picture = (v->h + 2 * border) * v->row;
    v->scale = elem == VLY_ELEM_U8 ? 0.037f : 0.0f;
    v->zero = elem == VLY_ELEM_U8 ? (int32_t)conv_random(256) : 0;
    n = (size_t)(v->n * v->picture) * each;
    im->n_bytes = FRONT + n + VLY_IMAGE_SLACK;
    im->bytes = vly_alloc_aligned(VLY_MEM_BASE, im->n_bytes);
    assert_non_null(im->bytes);
    v->data = im->bytes + FRONT + (size_t)(border * (v->row + v->pixel) + s->skip) * each;
}

void conv_image_release(conv_image *im)
{
    vly_free(im->bytes);
    im->bytes = NULL;
}

static void poke(const vly_image *im, const int at[4], double value)
{
    void *p = vly_image_at(im, at[0], at[1], at[2]);

    if (im->elem == VLY_ELEM_F32)
        ((float *)p)[at[3]] = (float)value;
    else if (im->elem == VLY_ELEM_BF16)
        ((uint16_t *)p)[at[3]] = vly_bf16_from_f32((float)value);
    else
        ((uint8_t *)p)[at[3]] = (uint8_t)(value + (double)im->zero);
}

static double random_value(vly_elem elem, int32_t zero)
{
    if (elem == VLY_ELEM_U8)
        return (double)conv_random(256) - (double)zero;
    return elem == VLY_ELEM_BF16 ? round_bf16(random_real()) : random_real();
}

/* 0xff in every byte is NaN in both float elements. */
static void fill_x(conv_case *c)
{
    const vly_conv_desc *d = &c->shape.d;
    const vly_image *im = &c->x_image.view;
    double *v = c->x;

    memset(c->x_image.bytes, 0xff, c->x_image.n_bytes);
    for (int n = 0; n < d->n; n++)
        for (int i = 0; i < d->c_in; i++)
            for (int y = 0; y < c->h; y++)
                for (int x = 0; x < c->w; x++, v++) {
                    *v = random_value(d->in, im->zero);
                    c->x_max = fmax(c->x_max, fabs(*v));
                    poke(im, (int[]){n, y, x, i}, *v);
                }
    for (int n = 0; n < d->n; n++)
        vly_image_fill_border(im, n, 0, c->h);
}

static void fill_weights(conv_case *c, size_t n)
{
    const vly_conv_desc *d = &c->shape.d;

    for (size_t i = 0; i < n; i++) {
        if (d->in == VLY_ELEM_U8) {
            int v = conv_random(4) == 0 ? (conv_random(2) == 0 ? -128 : 127)
                                        : (int)conv_random(256) - 128;
            c->w_real[i] = (double)v;
            ((int8_t *)c->weights)[i] = (int8_t)v;
        } else {
            double v = random_real();
            c->w_real[i] = d->in == VLY_ELEM_BF16 ? round_bf16(v) : v;
            ((float *)c->weights)[i] = (float)v;
        }
    }
}

static void fill_residual(conv_case *c)
{
    const vly_conv_desc *d = &c->shape.d;
    const vly_image *im = &c->r_image.view;
    double *v = c->r;

    memset(c->r_image.bytes, 0xff, c->r_image.n_bytes);
    for (int n = 0; n < d->n; n++)
        for (int y = 0; y < d->h_out; y++)
            for (int x = 0; x < d->w_out; x++)
                for (int o = 0; o < d->c_out; o++, v++) {
                    double real = random_value(im->elem, im->zero);
                    poke(im, (int[]){n, y, x, o}, real);
                    *v = im->elem == VLY_ELEM_U8 ? real * (double)im->scale : real;
                }
}

/* The input value under tap (r, q) of output (n, y, x), 0 outside the picture. */
static double tap(const conv_case *c, const int out[3], int i, int r, int q)
{
    const vly_conv_desc *d = &c->shape.d;
    int y = out[1] * d->stride_h + r * d->dilation_h - d->pad_top;
    int x = out[2] * d->stride_w + q * d->dilation_w - d->pad_left;

    if (y < 0 || y >= c->h || x < 0 || x >= c->w)
        return 0.0;
    return c->x[(((int64_t)out[0] * d->c_in + i) * c->h + y) * c->w + x];
}

static void fill_sums(conv_case *c)
{
    const vly_conv_desc *d = &c->shape.d;
    int per_in = d->c_in / d->group, per_out = d->c_out / d->group;
    int64_t at = 0;

    for (int n = 0; n < d->n; n++)
        for (int y = 0; y < d->h_out; y++)
            for (int x = 0; x < d->w_out; x++)
                for (int o = 0; o < d->c_out; o++, at++) {
                    const double *w = c->w_real + (int64_t)o * per_in * d->kernel_h * d->kernel_w;
                    for (int i = 0; i < per_in; i++)
                        for (int r = 0; r < d->kernel_h; r++)
                            for (int q = 0; q < d->kernel_w; q++, w++) {
                                int from = o / per_out * per_in + i;
                                double p = *w * tap(c, (int[]){n, y, x}, from, r, q);
                                c->sum[at] += p;
                                c->magnitude[at] += fabs(p);
                            }
                }
}

static void fill_factors(conv_case *c)
{
    const vly_conv_desc *d = &c->shape.d;
    int64_t k = (int64_t)d->c_in / d->group * d->kernel_h * d->kernel_w;
    /* sums of a few units, where activations bend */
    float unit = (d->in == VLY_ELEM_U8 ? 1.0f / 8192.0f : 2.0f) / sqrtf((float)k);

    for (int o = 0; o < d->c_out; o++) {
        c->scale[o] = unit * (0.5f + (float)conv_random(1000) * 1e-3f);
        c->bias[o] = (float)random_real();
        for (int64_t i = 0; i < k; i++)
            c->w_norm[o] += fabs(c->w_real[o * k + i]);
    }
    for (int i = 0; i < 256; i++)
        c->table[i] = (uint8_t)conv_random(256);
}

void conv_case_init(conv_case *c, const conv_shape *shape)
{
    const vly_conv_desc *d = &shape->d;
    size_t outputs = (size_t)d->n * (size_t)d->h_out * (size_t)d->w_out * (size_t)d->c_out;
    size_t n_weights =
        (size_t)d->c_out * (size_t)(d->c_in / d->group) * (size_t)d->kernel_h * (size_t)d->kernel_w;

    *c = (conv_case){.shape = *shape};
    c->h = (d->h_out - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h + 1 - d->pad_top -
           shape->pad_bottom;
    c->w = (d->w_out - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1 - d->pad_left -
           shape->pad_right;
    assert_true(c->h > 0 && c->w > 0);
    c->x = take((size_t)d->n * (size_t)d->c_in * (size_t)c->h * (size_t)c->w, sizeof(double));
    c->w_real = take(n_weights, sizeof(double));
    c->weights = take(n_weights, sizeof(float));
    c->r = take(outputs, sizeof(double));
    c->scale = take((size_t)d->c_out, sizeof(float));
    c->bias = take((size_t)d->c_out, sizeof(float));
    c->sum = take(outputs, sizeof(double));
    c->magnitude = take(outputs, sizeof(double));
    c->w_norm = take((size_t)d->c_out, sizeof(double));
    image_init(&c->x_image, d->in, (int[]){d->n, c->h, c->w, d->c_in}, border_of(c), shape);
    image_init(&c->r_image, shape->residual, (int[]){d->n, d->h_out, d->w_out, d->c_out},
               shape->border_more, shape);
    fill_x(c);
    fill_weights(c, n_weights);
    fill_residual(c);
    fill_factors(c);
    fill_sums(c);
    c->call =
        (vly_conv_call){.desc = &c->shape.d,
                        .x = &c->x_image.view,
                        .residual = d->residual != VLY_RESIDUAL_NONE ? &c->r_image.view : NULL,
                        .scale = shape->has_scale ? c->scale : NULL,
                        .bias = shape->has_bias ? c->bias : NULL,
                        .alpha = d->act == VLY_ACT_CLIP ? -0.5f : 0.2f,
                        .beta = d->act == VLY_ACT_CLIP ? 1.5f : 0.5f,
                        .table = c->table};
}

void conv_case_release(conv_case *c)
{
    vly_free(c->x);
    vly_free(c->w_real);
    vly_free(c->weights);
    vly_free(c->r);
    vly_free(c->scale);
    vly_free(c->bias);
    vly_free(c->sum);
    vly_free(c->magnitude);
    vly_free(c->w_norm);
    conv_image_release(&c->x_image);
    conv_image_release(&c->r_image);
}

void conv_case_output(const conv_case *c, conv_image *ret_y)
{
    const vly_conv_desc *d = &c->shape.d;

    image_init(ret_y, d->out, (int[]){d->n, d->h_out, d->w_out, d->c_out}, c->shape.border_more,
               &c->shape);
    ret_y->view.zero = d->out == VLY_ELEM_U8 ? 100 : 0;
    memset(ret_y->bytes, CONV_GUARD, ret_y->n_bytes);
}

static double activate(const conv_case *c, double v)
{
    double a = (double)c->call.alpha, b = (double)c->call.beta;

    switch (c->shape.d.act) {
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        break;
    case VLY_ACT_RELU:
        return fmax(v, 0.0);
    case VLY_ACT_CLIP:
        return fmin(fmax(v, a), b);
    case VLY_ACT_LEAKY_RELU:
        return v < 0.0 ? a * v : v;
    case VLY_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-v));
    case VLY_ACT_SILU:
        return v / (1.0 + exp(-v));
    case VLY_ACT_TANH:
        return tanh(v);
    case VLY_ACT_HARD_SIGMOID:
        return fmin(fmax(a * v + b, 0.0), 1.0);
    case VLY_ACT_HARD_SWISH:
        return v * fmin(fmax(v / 6.0 + 0.5, 0.0), 1.0);
    case VLY_ACT_GELU:
        return 0.5 * v * (1.0 + erf(v * 0.70710678118654752));
    }
    return v;
}

/* What the activation itself may add: ulps, but for tanh and gelu, whose float formulas cancel;
 * with a coarser output (dsp/conv.h) those of exponentials may be off by 2^-12 of their value. */
static double activation_error(const conv_case *c, double v)
{
    vly_act act = c->shape.d.act;
    bool is_curved =
        act == VLY_ACT_TANH || act == VLY_ACT_GELU || act == VLY_ACT_SIGMOID || act == VLY_ACT_SILU;
    double coarse = is_curved && c->shape.d.out != VLY_ELEM_F32 ? ldexp(fabs(v), -12) : 0.0;

    if (act == VLY_ACT_TANH || act == VLY_ACT_GELU)
        return coarse + 1e-6 * fmax(1.0, fabs(v));
    return coarse + 8.0 * (double)FLT_EPSILON * fabs(v);
}

static double quantise(double v, const vly_image *y)
{
    return fmin(fmax(rint(v / (double)y->scale) + (double)y->zero, 0.0), 255.0);
}

/* Is u8 value q, or with a table any table entry, reached from lo..hi? */
static bool u8_between(const conv_case *c, uint8_t q, double lo, double hi, const vly_image *y)
{
    int first = (int)quantise(lo, y), last = (int)quantise(hi, y);

    if (c->shape.d.act != VLY_ACT_TABLE)
        return q >= first && q <= last;
    while (first < last && c->table[first] != q)
        first++;
    return c->table[first] == q;
}

bool conv_case_agrees(const conv_case *c, const conv_image *y, int64_t p, int o, double sum_error)
{
    const vly_conv_desc *d = &c->shape.d;
    int64_t at = p * d->c_out + o, row = p / d->w_out;
    double scale = c->call.scale != NULL ? (double)c->scale[o] : 1.0;
    double bias = c->call.bias != NULL ? (double)c->bias[o] : 0.0;
    double v = c->sum[at] * scale + bias, r = c->r[at];
    double error = sum_error * scale +
                   4.0 * (double)FLT_EPSILON * (c->magnitude[at] * scale + fabs(bias) + fabs(r));
    const void *out = vly_image_at(&y->view, row / d->h_out, row % d->h_out, p % d->w_out);

    v = d->residual == VLY_RESIDUAL_BEFORE ? v + r : v;
    v = activate(c, v);
    /* no activation here is steeper than 1.5 */
    error = 1.5 * error + activation_error(c, v);
    v = d->residual == VLY_RESIDUAL_AFTER ? v + r : v;
    error += 4.0 * (double)FLT_EPSILON * fabs(v);
    if (d->out == VLY_ELEM_U8)
        return u8_between(c, ((const uint8_t *)out)[o], v - error, v + error, &y->view);
    if (d->out == VLY_ELEM_BF16) {
        double got = (double)vly_bf16_to_f32(((const uint16_t *)out)[o]);
        return got >= round_bf16(v - error) && got <= round_bf16(v + error);
    }
    return fabs((double)((const float *)out)[o] - v) <= error;
}

bool conv_case_is_guarded(const conv_case *c, const conv_image *y)
{
    const vly_conv_desc *d = &c->shape.d;
    size_t bytes = (size_t)d->c_out * vly_elem_size(d->out);
    const unsigned char *at = y->bytes, *end = y->bytes + y->n_bytes;

    for (int64_t p = 0; p <= (int64_t)d->n * d->h_out * d->w_out; p++) {
        int64_t row = p / d->w_out, n = row / d->h_out;
        bool is_last = n == d->n;
        const unsigned char *pixel =
            is_last ? end : vly_image_at(&y->view, n, row % d->h_out, p % d->w_out);
        for (; at < pixel; at++)
            if (*at != CONV_GUARD)
                return false;
        at += bytes;
    }
    return true;
}

void conv_case_describe(const conv_case *c, char *text, size_t cap)
{
    static const char *const elems[] = {"f32", "bf16", "u8"};
    const vly_conv_desc *d = &c->shape.d;

    snprintf(text, cap,
             "%s>%s %d>%d group %d, %dx%d stride %d,%d dilation %d,%d pad %d,%d, [%d, %d, %d]%s, "
             "act %d, residual %d %s, border %d, slice %d+%d%s%s",
             elems[d->in], elems[d->out], d->c_in, d->c_out, d->group, d->kernel_h, d->kernel_w,
             d->stride_h, d->stride_w, d->dilation_h, d->dilation_w, d->pad_top, d->pad_left, d->n,
             d->h_out, d->w_out, d->is_flat ? " flat" : "", (int)d->act, (int)d->residual,
             elems[c->shape.residual], c->shape.border_more, c->shape.skip, c->shape.more,
             c->call.scale != NULL ? "" : ", no scale", c->call.bias != NULL ? "" : ", no bias");
}

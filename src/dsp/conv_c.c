/* SPDX-License-Identifier: MIT */
/*
 * The C reference of every convolution: one output at a time, as dsp/conv.h writes it. Weights are
 * packed as [c_out][kernel_h][kernel_w][c_in / group], so that the inner loop runs along channels.
 */
#include "dsp/conv_list.h"

#include <string.h>

static bool fits(const vly_conv_desc *d)
{
    (void)d;
    return true;
}

static size_t weight_count(const vly_conv_desc *d)
{
    return (size_t)d->c_out * (size_t)(d->c_in / d->group) * (size_t)d->kernel_h *
           (size_t)d->kernel_w;
}

static size_t packed_bytes(const vly_conv_desc *d)
{
    return weight_count(d) * (d->in == VLY_ELEM_U8 ? 1 : sizeof(float));
}

static void pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    int64_t taps = (int64_t)d->kernel_h * d->kernel_w, c_in = d->c_in / d->group, n = 0;

    for (int64_t o = 0; o < d->c_out; o++)
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < c_in; i++, n++) {
                int64_t from = (o * c_in + i) * taps + t;
                if (d->in == VLY_ELEM_U8)
                    ((int8_t *)packed)[n] = ((const int8_t *)weights)[from];
                else if (d->in == VLY_ELEM_BF16)
                    ((float *)packed)[n] =
                        vly_bf16_to_f32(vly_bf16_from_f32(((const float *)weights)[from]));
                else
                    ((float *)packed)[n] = ((const float *)weights)[from];
            }
}

static int units(const vly_conv_desc *d)
{
    return d->n * d->h_out;
}

/* Sum over the channels of one tap. */
static float dot_f32(const vly_image *x, const void *at, const float *w, int c_in)
{
    float sum = 0.0f;

    for (int i = 0; i < c_in; i++) {
        float v = x->elem == VLY_ELEM_F32 ? ((const float *)at)[i]
                                          : vly_bf16_to_f32(((const uint16_t *)at)[i]);
        sum += v * w[i];
    }
    return sum;
}

static int32_t dot_u8(const uint8_t *x, int32_t zero, const int8_t *w, int c_in)
{
    int32_t sum = 0;

    for (int i = 0; i < c_in; i++)
        sum += (x[i] - zero) * w[i];
    return sum;
}

static float sum_of(const vly_conv_call *call, int n, int oy, int ox, int o)
{
    const vly_conv_desc *d = call->desc;
    const vly_image *x = call->x;
    int c_in = d->c_in / d->group, taps = d->kernel_h * d->kernel_w;
    size_t skip = (size_t)(o / (d->c_out / d->group) * c_in) * vly_elem_size(x->elem);
    float sum = 0.0f;
    int32_t exact = 0;

    for (int t = 0; t < taps; t++) {
        int y = oy * d->stride_h + t / d->kernel_w * d->dilation_h - d->pad_top;
        int z = ox * d->stride_w + t % d->kernel_w * d->dilation_w - d->pad_left;
        const unsigned char *at = (const unsigned char *)vly_image_at(x, n, y, z) + skip;
        size_t w = ((size_t)o * (size_t)taps + (size_t)t) * (size_t)c_in;
        if (x->elem == VLY_ELEM_U8)
            exact += dot_u8(at, x->zero, (const int8_t *)call->packed + w, c_in);
        else
            sum += dot_f32(x, at, (const float *)call->packed + w, c_in);
    }
    return x->elem == VLY_ELEM_U8 ? (float)exact : sum;
}

static void store(const vly_conv_call *call, void *at, int c, float v)
{
    const vly_image *y = call->y;

    if (y->elem == VLY_ELEM_U8 && call->desc->act == VLY_ACT_TABLE)
        ((uint8_t *)at)[c] = call->table[vly_image_quantise(y, v)];
    else
        vly_image_put(y, at, c, v);
}

static float residual_at(const vly_conv_call *call, int n, int y, int x, int c)
{
    const vly_image *r = call->residual;
    return vly_image_get(r, vly_image_at(r, n, y, x), c);
}

static void pixel(const vly_conv_call *call, int n, int y, int x)
{
    const vly_conv_desc *d = call->desc;
    void *at = vly_image_at(call->y, n, y, x);

    for (int o = 0; o < d->c_out; o++) {
        float v = sum_of(call, n, y, x, o) * (call->scale != NULL ? call->scale[o] : 1.0f) +
                  (call->bias != NULL ? call->bias[o] : 0.0f);
        float r = d->residual != VLY_RESIDUAL_NONE ? residual_at(call, n, y, x, o) : 0.0f;
        v = d->residual == VLY_RESIDUAL_BEFORE ? v + r : v;
        v = vly_act_apply(d->act, v, call->alpha, call->beta);
        store(call, at, o, d->residual == VLY_RESIDUAL_AFTER ? v + r : v);
    }
}

static void run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    (void)scratch;
    for (int i = begin; i < end; i++)
        for (int x = 0; x < call->desc->w_out; x++)
            pixel(call, i / call->desc->h_out, i % call->desc->h_out, x);
}

const vly_conv_kernel vly_conv_plain_c = {
    .name = "c",
    .fits = fits,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .units = units,
    .run = run,
};

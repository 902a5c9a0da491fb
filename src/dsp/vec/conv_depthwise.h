/* SPDX-License-Identifier: MIT */
/*
 * Depthwise convolution of floats: each channel with its own window, VF_LANES channels at a time.
 *
 * T pixels in a row are summed in T registers; per tap one vector of weights is loaded, and each
 * pixel's inputs are the operand of one multiplication. Vectors of the last channels may load what
 * lies beside the image (dsp/image.h leaves room), in lanes that are never stored.
 *
 * Packed weights: [vector][kernel_h][kernel_w][VF_LANES]. A unit is a row of pixels.
 */
#ifndef VLY_DSP_VEC_CONV_DEPTHWISE_H
#define VLY_DSP_VEC_CONV_DEPTHWISE_H

#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/vec/conv_finish.h"

enum {
    SEGMENT = 48, /* pixels that are finished together */
    PIXELS = VF_REGISTERS == 32 ? 12 : 8,
};

static bool depthwise_fits(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_F32 && d->group == d->c_in && d->c_in == d->c_out &&
           d->c_in >= VF_LANES / 2;
}

static int depthwise_units(const vly_conv_desc *d)
{
    return d->n * d->h_out;
}

static int depthwise_vectors(const vly_conv_desc *d)
{
    return (d->c_out + VF_LANES - 1) / VF_LANES;
}

static size_t depthwise_packed_bytes(const vly_conv_desc *d)
{
    return (size_t)depthwise_vectors(d) * (size_t)d->kernel_h * (size_t)d->kernel_w * VF_LANES *
           sizeof(float);
}

static void depthwise_pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    const int taps = d->kernel_h * d->kernel_w;
    float *to = packed;

    for (int o = 0; o < d->c_out; o += VF_LANES)
        for (int t = 0; t < taps; t++)
            for (int lane = o; lane < o + VF_LANES; lane++)
                *to++ = lane < d->c_out ? ((const float *)weights)[(int64_t)lane * taps + t] : 0.0f;
}

/* T: a constant. x: tap (0, 0) of the first pixel; sums: [T][VF_LANES] */
VF_INLINE void depthwise_tile(const vly_conv_call *call, const float *x, const float *w,
                              float *sums, const int T)
{
    const vly_conv_desc *d = call->desc;
    const int64_t step = call->x->pixel * d->stride_w, tap = call->x->pixel * d->dilation_w;
    const int64_t line = call->x->row * d->dilation_h;
    vf acc[PIXELS];

    VF_UNROLL
    for (int i = 0; i < T; i++)
        acc[i] = vf_set(0.0f);
    for (int r = 0; r < d->kernel_h; r++)
        for (int q = 0; q < d->kernel_w; q++, w += VF_LANES) {
            const float *at = x + r * line + q * tap;
            const vf wv = vf_load(w);
            VF_UNROLL
            for (int i = 0; i < T; i++)
                acc[i] = vf_fma(wv, vf_load(at + i * step), acc[i]);
        }
    VF_UNROLL
    for (int i = 0; i < T; i++)
        vf_store(sums + i * VF_LANES, acc[i]);
}

static void depthwise_pixels(const vly_conv_call *call, const float *x, const float *w, float *sums,
                             int count)
{
    const int64_t step = call->x->pixel * call->desc->stride_w;

    for (; count >= PIXELS; count -= PIXELS, x += PIXELS * step, sums += PIXELS * VF_LANES)
        depthwise_tile(call, x, w, sums, PIXELS);
    for (; count >= 4; count -= 4, x += 4 * step, sums += 4 * VF_LANES)
        depthwise_tile(call, x, w, sums, 4);
    for (; count > 0; count--, x += step, sums += VF_LANES)
        depthwise_tile(call, x, w, sums, 1);
}

static void depthwise_run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    const vly_conv_desc *d = call->desc;
    const size_t taps = (size_t)d->kernel_h * (size_t)d->kernel_w;
    _Alignas(64) float sums[SEGMENT * VF_LANES];
    conv_tile tile = {.sums = sums, .stride = VF_LANES};

    (void)scratch;
    for (int row = begin; row < end; row++) {
        tile.n = row / d->h_out;
        tile.y = row % d->h_out;
        for (tile.x = 0; tile.x < d->w_out; tile.x += tile.count) {
            const float *w = call->packed;
            const float *x =
                vly_image_at(call->x, tile.n, (int64_t)tile.y * d->stride_h - d->pad_top,
                             (int64_t)tile.x * d->stride_w - d->pad_left);
            tile.count = d->w_out - tile.x < SEGMENT ? d->w_out - tile.x : SEGMENT;
            for (tile.o = 0; tile.o < d->c_out; tile.o += VF_LANES, w += taps * VF_LANES) {
                tile.n_o = d->c_out - tile.o < VF_LANES ? d->c_out - tile.o : VF_LANES;
                depthwise_pixels(call, x + tile.o, w, sums, tile.count);
                conv_finish(call, &tile);
            }
        }
    }
}

const vly_conv_kernel VF_NAME(vly_conv_depthwise) = {
    .name = "depthwise " VF_TITLE,
    .cpu_flags = VF_CPU,
    .fits = depthwise_fits,
    .packed_bytes = depthwise_packed_bytes,
    .pack = depthwise_pack,
    .units = depthwise_units,
    .run = depthwise_run,
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Direct convolution of floats on vectors of output channels (dsp/vec/vec.h).
 *
 * A tile of T pixels in a row and NB vectors of channels is summed in T * NB registers: for each
 * tap and input channel NB vectors of weights are loaded, and each pixel's input is broadcast and
 * multiplied with them. Weights are packed so that this reads them in one stream:
 *
 *   [group][block][tap row][tap column][c_in / group][vectors of the block * VF_LANES]
 *
 * with zeros in the channels past the last. Where neighbouring pixels touch in memory the taps of a
 * row are one long run.
 *
 * Loops, outermost first: chunks of pixels whose input stays in the second cache level; blocks of
 * channels, so that the weights of a block are used for the whole chunk; tiles. A unit is a row of
 * pixels or a part of one. Sums run over taps and channels in the order of the weights,
 * whatever the tile.
 */
#ifndef VLY_DSP_VEC_CONV_DIRECT_H
#define VLY_DSP_VEC_CONV_DIRECT_H

#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/vec/conv_finish.h"
#include "dsp/vec/conv_tiles.h"

#include <string.h>

enum {
    FLAT_UNIT = 24,           /* pixels of a unit in flat images */
    ROW_UNIT = 256,           /* in others: a row, or parts of at most so many */
    CHUNK_BYTES = 128 * 1024, /* of input that one pass over the channel blocks reads */
};

/* T, nb: constants */
VF_INLINE void direct_tile(const conv_taps *t, const int T, const int nb)
{
    vf acc[TILE_ACC_MAX];
    const float *w = t->w;
    const int64_t step = t->step;

    VF_UNROLL
    for (int i = 0; i < T * nb; i++)
        acc[i] = vf_set(0.0f);
    for (int r = 0; r < t->rows; r++)
        for (int q = 0; q < t->columns; q++) {
            const float *x = t->x + r * t->row_step + q * t->column_step;
            for (int k = 0; k < t->run; k++, w += nb * VF_LANES) {
                vf wv[TILE_NB_MAX];
                VF_UNROLL
                for (int j = 0; j < nb; j++)
                    wv[j] = vf_load(w + j * VF_LANES);
                VF_UNROLL
                for (int i = 0; i < T; i++) {
                    vf v = vf_set(x[i * step + k]);
                    VF_UNROLL
                    for (int j = 0; j < nb; j++)
                        acc[i * nb + j] = vf_fma(v, wv[j], acc[i * nb + j]);
                }
            }
        }
    VF_UNROLL
    for (int i = 0; i < T * nb; i++)
        vf_store(t->sums + i * VF_LANES, acc[i]);
}

#define DIRECT_DEFINE(T, NB)                                                                       \
    static __attribute__((noinline)) void direct_##T##x##NB(const conv_taps *t)                    \
    {                                                                                              \
        direct_tile(t, T, NB);                                                                     \
    }
CONV_TILES(DIRECT_DEFINE)
#undef DIRECT_DEFINE

const conv_tile_fn VF_NAME(vly_conv__tiles)[TILE_NB_MAX + 1][TILE_T_MAX + 1] = {
#define DIRECT_ENTRY(T, NB) [NB][T] = direct_##T##x##NB,
    CONV_TILES(DIRECT_ENTRY)
#undef DIRECT_ENTRY
};

static bool direct_fits(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_F32;
}

/* Vectors of output channels of a group. */
static int direct_vectors(const vly_conv_desc *d)
{
    return div_up(d->c_out / d->group, VF_LANES);
}

static size_t direct_k(const vly_conv_desc *d)
{
    return (size_t)(d->c_in / d->group) * (size_t)d->kernel_h * (size_t)d->kernel_w;
}

static size_t direct_packed_bytes(const vly_conv_desc *d)
{
    return direct_k(d) * (size_t)direct_vectors(d) * (size_t)d->group * VF_LANES * sizeof(float);
}

/* Weights of the `width` channels from o on, of a group: [tap][c_in / group][padded]. */
static void direct_pack_block(const vly_conv_desc *d, const float *w, float *to, int width,
                              int padded)
{
    int taps = d->kernel_h * d->kernel_w, c_in = d->c_in / d->group;

    for (int t = 0; t < taps; t++)
        for (int i = 0; i < c_in; i++, to += padded) {
            for (int o = 0; o < width; o++)
                to[o] = w[((int64_t)o * c_in + i) * taps + t];
            memset(to + width, 0, (size_t)(padded - width) * sizeof(float));
        }
}

static void direct_pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    int vectors = direct_vectors(d), per_group = d->c_out / d->group;
    size_t k = direct_k(d);
    float *to = packed;

    for (int g = 0; g < d->group; g++)
        for (int v = 0; v < vectors;) {
            int nb = tile_block(vectors, v), o = v * VF_LANES;
            int width = per_group - o < nb * VF_LANES ? per_group - o : nb * VF_LANES;
            const float *w = (const float *)weights + ((size_t)(g * per_group) + (size_t)o) * k;
            direct_pack_block(d, w, to, width, nb * VF_LANES);
            to += k * (size_t)nb * VF_LANES;
            v += nb;
        }
}

static int64_t direct_pixels(const vly_conv_desc *d)
{
    return (int64_t)d->n * d->h_out * d->w_out;
}

/* Pixels of a unit. */
static int direct_unit(const vly_conv_desc *d)
{
    return d->is_flat ? FLAT_UNIT : div_up(d->w_out, div_up(d->w_out, ROW_UNIT));
}

static int direct_units(const vly_conv_desc *d)
{
    int unit = direct_unit(d);
    return (int)((direct_pixels(d) + unit - 1) / unit);
}

/* Tiles over `count` pixels from (n, y, x) on: as many as need be, of about the same size. */
static void direct_tiles(const vly_conv_call *call, conv_taps *taps, conv_tile *tile, int nb,
                         int count)
{
    const int n_tiles = div_up(count, tile_t_max(nb));

    for (int i = 0; i < n_tiles; i++) {
        int t = (int)((int64_t)count * (i + 1) / n_tiles - (int64_t)count * i / n_tiles);
        VF_NAME(vly_conv__tiles)[nb][t](taps);
        tile->count = t;
        conv_finish(call, tile);
        taps->x += t * taps->step;
        tile->x += t;
    }
}

/* The channels of one block, for the pixels begin..end-1. */
static void direct_block_run(const vly_conv_call *call, conv_taps *taps, conv_tile *tile, int nb,
                             int c, int64_t begin, int64_t end)
{
    const vly_conv_desc *d = call->desc;
    const bool is_linear =
        d->is_flat && (call->residual == NULL || vly_image_is_flat(call->residual));

    while (begin < end) {
        int64_t row = begin / d->w_out;
        int64_t stop = is_linear || (row + 1) * d->w_out > end ? end : (row + 1) * d->w_out;
        tile->n = (int)(row / d->h_out);
        tile->y = (int)(row % d->h_out);
        tile->x = (int)(begin % d->w_out);
        taps->x = (const float *)vly_image_at(call->x, tile->n, tile->y * d->stride_h - d->pad_top,
                                              tile->x * d->stride_w - d->pad_left) +
                  c;
        direct_tiles(call, taps, tile, nb, (int)(stop - begin));
        begin = stop;
    }
}

static void direct_chunk(const vly_conv_call *call, int64_t begin, int64_t end)
{
    const vly_conv_desc *d = call->desc;
    const vly_image *x = call->x;
    const int vectors = direct_vectors(d), c_in = d->c_in / d->group, c_out = d->c_out / d->group;
    const bool touch = x->pixel == c_in && d->dilation_w == 1;
    _Alignas(64) float sums[TILE_ACC_MAX * VF_LANES];
    conv_taps taps = {.w = call->packed,
                      .sums = sums,
                      .step = x->pixel * d->stride_w,
                      .row_step = x->row * d->dilation_h,
                      .column_step = x->pixel * d->dilation_w,
                      .rows = d->kernel_h,
                      .columns = touch ? 1 : d->kernel_w,
                      .run = touch ? c_in * d->kernel_w : c_in};
    conv_tile tile = {.sums = sums};

    for (int g = 0; g < d->group; g++)
        for (int v = 0; v < vectors;) {
            int nb = tile_block(vectors, v);
            tile.stride = nb * VF_LANES;
            tile.o = g * c_out + v * VF_LANES;
            tile.n_o = c_out - v * VF_LANES < nb * VF_LANES ? c_out - v * VF_LANES : nb * VF_LANES;
            direct_block_run(call, &taps, &tile, nb, g * c_in, begin, end);
            taps.w += direct_k(d) * (size_t)nb * VF_LANES;
            v += nb;
        }
}

static void direct_run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    const vly_conv_desc *d = call->desc;
    const int64_t total = direct_pixels(d), unit = direct_unit(d);
    int64_t unit_bytes = unit * d->stride_h * d->stride_w * d->c_in * (int64_t)sizeof(float);
    int64_t chunk = unit * (1 + CHUNK_BYTES / unit_bytes);
    int64_t stop = end * unit < total ? end * unit : total;

    (void)scratch;
    for (int64_t p = begin * unit; p < stop; p += chunk)
        direct_chunk(call, p, p + chunk < stop ? p + chunk : stop);
}

const vly_conv_kernel VF_NAME(vly_conv_direct) = {
    .name = "direct " VF_TITLE,
    .cpu_flags = VF_CPU,
    .fits = direct_fits,
    .packed_bytes = direct_packed_bytes,
    .pack = direct_pack,
    .units = direct_units,
    .run = direct_run,
};

#endif

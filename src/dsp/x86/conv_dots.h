/* SPDX-License-Identifier: MIT */
/*
 * Direct convolution of U8 and BF16 images on vectors of output channels: as dsp/vec/conv_direct.h,
 * but a step takes a word of input, four U8 or two BF16 channels of a pixel, broadcast to all
 * lanes, and adds the sum of its products to each lane.
 *
 * The including file defines how (all inlined):
 *   DOTS_ELEM, DOTS_EACH    element of the input, and elements of a word
 *   DOTS_PARTS              vectors of weights per word
 *   DOTS_KERNEL, DOTS_TITLE, DOTS_CPU   of the vly_conv_kernel
 *   DOTS_TILES(X)           X(T, NB) for every NB from 1 to DOTS_NB_MAX and every T from 1 to
 *                           dots_most[NB]; DOTS_ACC_MAX is the largest T * NB
 *   dots_acc, dots_x, dots_w            sums, a word of input, a vector of weights
 *   dots_start(sums, zero)  first value: of VF_LANES sums of weights, -zero times them; 0 with BF16
 *   dots_load(p)            the word at p
 *   dots_add(acc, x, w)     w: DOTS_PARTS vectors
 *   dots_real(acc)          sums as floats
 *   dots_put(to, lane, k, weights, i)   stores weight i for element k of a word
 *
 * Packed weights: [group][block][tap][word][vectors of the block][DOTS_PARTS], then the sums of
 * weights as int32, [group][vectors * VF_LANES].
 */
#ifndef VLY_DSP_X86_CONV_DOTS_H
#define VLY_DSP_X86_CONV_DOTS_H
#ifdef DOTS_PARTS /* else it is only parsed by itself */

#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/vec/conv_finish.h"
#include "dsp/vec/conv_tiles.h"

#include <string.h>

enum {
    DOTS_UNIT = 24,                /* pixels of a unit in flat images */
    DOTS_CHUNK_BYTES = 128 * 1024, /* of input that one pass over the channel blocks reads */
    DOTS_VECTOR = VF_LANES * 4,    /* bytes */
    DOTS_BYTES = DOTS_PARTS * DOTS_VECTOR,
};

/* What a tile reads: distances in bytes. */
typedef struct dots_taps {
    const unsigned char *x, *w;
    const int32_t *w_sums;
    float *sums;
    int64_t step, row_step, column_step;
    int rows, columns, words;
    int32_t zero;
} dots_taps;

/* T, nb: constants */
VF_INLINE void dots_tile(const dots_taps *t, const int T, const int nb)
{
    dots_acc acc[DOTS_ACC_MAX];
    const unsigned char *w = t->w;
    const int64_t step = t->step;

    VF_UNROLL
    for (int j = 0; j < nb; j++) {
        dots_acc start = dots_start(t->w_sums + (ptrdiff_t)j * VF_LANES, t->zero);
        VF_UNROLL
        for (int i = 0; i < T; i++)
            acc[i * nb + j] = start;
    }
    for (int r = 0; r < t->rows; r++)
        for (int q = 0; q < t->columns; q++) {
            const unsigned char *x = t->x + r * t->row_step + q * t->column_step;
            for (int k = 0; k < t->words; k++, x += 4, w += (ptrdiff_t)nb * DOTS_BYTES) {
                dots_w wv[DOTS_NB_MAX * DOTS_PARTS];
                VF_UNROLL
                for (int j = 0; j < nb * DOTS_PARTS; j++)
                    memcpy(&wv[j], w + (ptrdiff_t)j * DOTS_VECTOR, DOTS_VECTOR);
                VF_UNROLL
                for (int i = 0; i < T; i++) {
                    dots_x v = dots_load(x + i * step);
                    VF_UNROLL
                    for (int j = 0; j < nb; j++)
                        acc[i * nb + j] =
                            dots_add(acc[i * nb + j], v, wv + (ptrdiff_t)j * DOTS_PARTS);
                }
            }
        }
    VF_UNROLL
    for (int i = 0; i < T * nb; i++)
        vf_store(t->sums + (ptrdiff_t)i * VF_LANES, dots_real(acc[i]));
}

#define DOTS_DEFINE(T, NB)                                                                         \
    static __attribute__((noinline)) void dots_##T##x##NB(const dots_taps *t)                      \
    {                                                                                              \
        dots_tile(t, T, NB);                                                                       \
    }
DOTS_TILES(DOTS_DEFINE)
#undef DOTS_DEFINE

typedef void dots_fn(const dots_taps *t);

static dots_fn *const dots_fns[DOTS_NB_MAX + 1][TILE_T_MAX + 1] = {
#define DOTS_ENTRY(T, NB) [NB][T] = dots_##T##x##NB,
    DOTS_TILES(DOTS_ENTRY)
#undef DOTS_ENTRY
};

static bool dots_fits(const vly_conv_desc *d)
{
    return d->in == DOTS_ELEM && d->c_in / d->group % DOTS_EACH == 0;
}

/* Vectors of output channels of a group. */
static int dots_vectors(const vly_conv_desc *d)
{
    return div_up(d->c_out / d->group, VF_LANES);
}

/* Vectors of the block that starts with vector v: as few blocks as need be, of about one size. */
static int dots_block(int vectors, int v)
{
    return div_up(vectors - v, div_up(vectors - v, DOTS_NB_MAX));
}

/* Packed bytes of one vector of channels. */
static size_t dots_panel(const vly_conv_desc *d)
{
    return (size_t)(d->c_in / d->group / DOTS_EACH) * (size_t)d->kernel_h * (size_t)d->kernel_w *
           DOTS_BYTES;
}

static size_t dots_sums_offset(const vly_conv_desc *d)
{
    return (size_t)d->group * (size_t)dots_vectors(d) * dots_panel(d);
}

static size_t dots_packed_bytes(const vly_conv_desc *d)
{
    return dots_sums_offset(d) + (size_t)d->group * (size_t)dots_vectors(d) * DOTS_VECTOR;
}

/* Weights of output channel o in lane `lane` of a block of nb vectors. */
static void dots_pack_channel(const vly_conv_desc *d, const void *weights, int o,
                              unsigned char *block, int lane, int nb)
{
    const int taps = d->kernel_h * d->kernel_w, c_in = d->c_in / d->group;
    unsigned char *to = block + (ptrdiff_t)(lane / VF_LANES) * DOTS_BYTES;

    for (int t = 0; t < taps; t++)
        for (int i = 0; i < c_in; i += DOTS_EACH, to += (ptrdiff_t)nb * DOTS_BYTES)
            for (int k = 0; k < DOTS_EACH; k++)
                dots_put(to, lane % VF_LANES, k, weights, ((int64_t)o * c_in + i + k) * taps + t);
}

static void dots_sum_weights(const vly_conv_desc *d, const int8_t *w, int32_t *sums)
{
    const int c_out = d->c_out / d->group;
    const int64_t k = (int64_t)(d->c_in / d->group) * d->kernel_h * d->kernel_w;

    for (int o = 0; o < d->c_out; o++) {
        int32_t *sum = sums + (ptrdiff_t)(o / c_out) * dots_vectors(d) * VF_LANES + o % c_out;
        for (int64_t i = 0; i < k; i++)
            *sum += w[o * k + i];
    }
}

static void dots_pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    const int vectors = dots_vectors(d), c_out = d->c_out / d->group;
    unsigned char *to = packed;

    memset(packed, 0, dots_packed_bytes(d));
    for (int g = 0; g < d->group; g++)
        for (int v = 0, nb; v < vectors; v += nb) {
            nb = dots_block(vectors, v);
            for (int o = v * VF_LANES; o < c_out && o < (v + nb) * VF_LANES; o++)
                dots_pack_channel(d, weights, g * c_out + o, to, o - v * VF_LANES, nb);
            to += (size_t)nb * dots_panel(d);
        }
    if (d->in == VLY_ELEM_U8)
        dots_sum_weights(d, weights, (int32_t *)(void *)to);
}

static int dots_units(const vly_conv_desc *d)
{
    return d->is_flat ? div_up(d->n * d->h_out * d->w_out, DOTS_UNIT) : d->n * d->h_out;
}

/* Tiles over `count` pixels from (n, y, x) on: as many as need be, of about the same size. */
static void dots_tiles(const vly_conv_call *call, dots_taps *taps, conv_tile *tile, int nb,
                       int count)
{
    const int n_tiles = div_up(count, dots_most[nb]);

    for (int i = 0; i < n_tiles; i++) {
        int t = count * (i + 1) / n_tiles - count * i / n_tiles;
        dots_fns[nb][t](taps);
        tile->count = t;
        conv_finish(call, tile);
        taps->x += t * taps->step;
        tile->x += t;
    }
}

/* The channels of one block, for the pixels begin..end-1; from: channel of the input. */
static void dots_block_run(const vly_conv_call *call, dots_taps *taps, conv_tile *tile, int nb,
                           int from, int64_t begin, int64_t end)
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
        taps->x = (const unsigned char *)vly_image_at(call->x, tile->n,
                                                      tile->y * d->stride_h - d->pad_top,
                                                      tile->x * d->stride_w - d->pad_left) +
                  (size_t)from * vly_elem_size(DOTS_ELEM);
        dots_tiles(call, taps, tile, nb, (int)(stop - begin));
        begin = stop;
    }
}

static void dots_chunk(const vly_conv_call *call, int64_t begin, int64_t end)
{
    const vly_conv_desc *d = call->desc;
    const vly_image *x = call->x;
    const int vectors = dots_vectors(d), c_in = d->c_in / d->group, c_out = d->c_out / d->group;
    const bool touch = x->pixel == c_in && d->dilation_w == 1;
    const int64_t size = (int64_t)vly_elem_size(DOTS_ELEM);
    _Alignas(64) float sums[DOTS_ACC_MAX * VF_LANES];
    const unsigned char *packed = call->packed;
    dots_taps taps = {.w = packed,
                      .w_sums = (const int32_t *)(const void *)(packed + dots_sums_offset(d)),
                      .sums = sums,
                      .step = x->pixel * d->stride_w * size,
                      .row_step = x->row * d->dilation_h * size,
                      .column_step = x->pixel * d->dilation_w * size,
                      .rows = d->kernel_h,
                      .columns = touch ? 1 : d->kernel_w,
                      .words = (touch ? c_in * d->kernel_w : c_in) / DOTS_EACH,
                      .zero = x->zero};
    conv_tile tile = {.sums = sums};

    for (int g = 0; g < d->group; g++)
        for (int v = 0, nb; v < vectors; v += nb) {
            nb = dots_block(vectors, v);
            tile.stride = nb * VF_LANES;
            tile.o = g * c_out + v * VF_LANES;
            tile.n_o = c_out - v * VF_LANES < nb * VF_LANES ? c_out - v * VF_LANES : nb * VF_LANES;
            dots_block_run(call, &taps, &tile, nb, g * c_in, begin, end);
            taps.w += dots_panel(d) * (size_t)nb;
            taps.w_sums += (ptrdiff_t)nb * VF_LANES;
        }
}

static void dots_run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    const vly_conv_desc *d = call->desc;
    const int64_t total = (int64_t)d->n * d->h_out * d->w_out;
    const int64_t unit = d->is_flat ? DOTS_UNIT : d->w_out;
    const int64_t unit_bytes =
        unit * d->stride_h * d->stride_w * d->c_in * (int64_t)vly_elem_size(DOTS_ELEM);
    const int64_t chunk = unit * (1 + DOTS_CHUNK_BYTES / unit_bytes);
    const int64_t stop = end * unit < total ? end * unit : total;

    (void)scratch;
    for (int64_t p = begin * unit; p < stop; p += chunk)
        dots_chunk(call, p, p + chunk < stop ? p + chunk : stop);
}

const vly_conv_kernel DOTS_KERNEL = {
    .name = DOTS_TITLE,
    .cpu_flags = DOTS_CPU,
    .fits = dots_fits,
    .packed_bytes = dots_packed_bytes,
    .pack = dots_pack,
    .units = dots_units,
    .run = dots_run,
};

#endif
#endif

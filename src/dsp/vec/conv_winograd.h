/* SPDX-License-Identifier: MIT */
/*
 * Winograd's convolution F(4x4, 3x3) of floats: 36 products instead of 144 for a tile of 4x4
 * outputs (A. Lavin, S. Gray, Fast Algorithms for Convolutional Neural Networks, 2015).
 *
 *   outputs = A' [ (G w G') . (B' x B) ] A,   x: the 6x6 inputs of the tile, . summed over channels
 *
 * with the points 0, +-a, +-b, infinity; a^2 = 1/2 and b^2 = 2 keep all factors small. Rounding
 * errors are then about twice those of the direct form, half of what the usual points 1 and 2 give,
 * and up to 2 epsilon max |x| sum |w| where 5 to 7 are seen with those (uniformly random
 * operands, 16 to 256 channels). One infinite or NaN input spoils its whole tile.
 *
 *   B' = 1    0  -5/2   0   1   0      G = 1                      A' = 1  1   1   1   1   0
 *        0  -2a   -2    a   1   0          (1   a  1/2) * -2/3          0  a  -a   b  -b   0
 *        0   2a   -2   -a   1   0          (1  -a  1/2) * -2/3          0 1/2 1/2  2   2   0
 *        0  -b/2 -1/2   b   1   0          (1   b   2 ) / 6             0 a/2 -a/2 2b -2b  1
 *        0   b/2 -1/2  -b   1   0          (1  -b   2 ) / 6
 *        0    1    0  -5/2  0   1          0   0   1
 *
 * Tiles are numbered row by row over all pictures. A block of tiles goes through three steps in
 * scratch that stays in the second cache level: its inputs are transformed, [36][tiles][c_in]; for
 * each block of output channels 36 products with the transformed weights, by the tiles of
 * the direct convolution; the sums are transformed back and finished. A unit is UNIT_TILES tiles or
 * some more: with fewer, reading the weights would take longer than using them.
 *
 * Packed weights: [block][36][c_in][vectors of the block * VF_LANES].
 */
#ifndef VLY_DSP_VEC_CONV_WINOGRAD_H
#define VLY_DSP_VEC_CONV_WINOGRAD_H

#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/vec/conv_finish.h"
#include "dsp/vec/conv_tiles.h"

#include <string.h>

#define POINT_A 0.70710678f
#define POINT_B 1.41421356f

enum {
    IN = 6,           /* inputs of a tile in each direction */
    OUT = 4,          /* outputs */
    POINTS = IN * IN, /* products */
    UNIT_TILES = 12,
    ROW_TILES = 4,    /* tiles that are transformed back together */
    BLOCK_KB = 512,   /* of transformed inputs and sums, */
    BLOCK_TILES = 32, /* but at least so many tiles: the weights are read once a block */
};

/* Below 16 channels the transforms cost what the products save. */
static bool winograd_fits(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_F32 && d->group == 1 && d->kernel_h == 3 && d->kernel_w == 3 &&
           d->stride_h == 1 && d->stride_w == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
           d->c_in >= 16 && d->c_out >= 16 && d->h_out >= 4 && d->w_out >= 4;
}

static int tiles_of_row(const vly_conv_desc *d)
{
    return div_up(d->w_out, OUT);
}

static int tiles_of(const vly_conv_desc *d)
{
    return d->n * div_up(d->h_out, OUT) * tiles_of_row(d);
}

static int winograd_units(const vly_conv_desc *d)
{
    int tiles = tiles_of(d);
    return tiles < UNIT_TILES ? 1 : tiles / UNIT_TILES;
}

/* The first tile of a unit. */
static int unit_begin(const vly_conv_desc *d, int unit)
{
    return (int)((int64_t)tiles_of(d) * unit / winograd_units(d));
}

static int vectors_of(int channels)
{
    return div_up(channels, VF_LANES);
}

/* Tiles of a block: as many as the scratch may hold, in blocks of about one size. */
static int block_tiles(const vly_conv_desc *d)
{
    int vectors = vectors_of(d->c_in) + tile_block(vectors_of(d->c_out), 0);
    int most = BLOCK_KB * 1024 / (POINTS * vectors * VF_LANES * (int)sizeof(float));
    int total = tiles_of(d);

    most = most < BLOCK_TILES ? BLOCK_TILES : most;
    return div_up(total, div_up(total, most));
}

/* From point to point of the transformed inputs or sums: one vector more than they need, so that
 * the 36 do not fall into one set of the cache. */
static size_t point_step(int tiles, int vectors)
{
    return ((size_t)tiles * (size_t)vectors + 1) * VF_LANES;
}

static size_t winograd_scratch_bytes(const vly_conv_desc *d)
{
    int tiles = block_tiles(d);
    return POINTS * sizeof(float) *
           (point_step(tiles, vectors_of(d->c_in)) +
            point_step(tiles, tile_block(vectors_of(d->c_out), 0)));
}

static size_t winograd_packed_bytes(const vly_conv_desc *d)
{
    return (size_t)POINTS * (size_t)d->c_in * (size_t)vectors_of(d->c_out) * VF_LANES *
           sizeof(float);
}

/* r = G w for one column of weights */
VF_INLINE void weights_1d(const vf w[3], vf r[IN])
{
    vf even_a = vf_mul(vf_fma(w[2], vf_set(0.5f), w[0]), vf_set(-2.0f / 3.0f));
    vf even_b = vf_mul(vf_fma(w[2], vf_set(2.0f), w[0]), vf_set(1.0f / 6.0f));
    vf odd_a = vf_mul(w[1], vf_set(POINT_A * -2.0f / 3.0f));
    vf odd_b = vf_mul(w[1], vf_set(POINT_B / 6.0f));

    r[0] = w[0];
    r[1] = vf_add(even_a, odd_a);
    r[2] = vf_sub(even_a, odd_a);
    r[3] = vf_add(even_b, odd_b);
    r[4] = vf_sub(even_b, odd_b);
    r[5] = w[2];
}

/* The weights of one input channel for VF_LANES output channels, [9][VF_LANES], to 36 vectors
 * `step` apart. */
static void transform_weights(const float *w, float *to, size_t step)
{
    vf columns[3][IN];

    for (int q = 0; q < 3; q++) {
        vf w3[3] = {vf_load(w + q * VF_LANES), vf_load(w + (3 + q) * VF_LANES),
                    vf_load(w + (6 + q) * VF_LANES)};
        weights_1d(w3, columns[q]);
    }
    for (int r = 0; r < IN; r++) {
        vf w3[3] = {columns[0][r], columns[1][r], columns[2][r]}, row[IN];
        weights_1d(w3, row);
        for (int q = 0; q < IN; q++)
            vf_store(to + (size_t)(r * IN + q) * step, row[q]);
    }
}

static void winograd_pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    const int vectors = vectors_of(d->c_out);
    const size_t c_in = (size_t)d->c_in;
    float *to = packed;

    for (int v = 0; v < vectors;) {
        int nb = tile_block(vectors, v);
        size_t step = c_in * (size_t)nb * VF_LANES;
        for (int j = 0; j < nb; j++)
            for (size_t c = 0; c < c_in; c++) {
                _Alignas(64) float w[9 * VF_LANES] = {0};
                int n = d->c_out - (v + j) * VF_LANES < VF_LANES ? d->c_out - (v + j) * VF_LANES
                                                                 : VF_LANES;
                for (int o = 0; o < n; o++) {
                    const float *from =
                        (const float *)weights + ((size_t)((v + j) * VF_LANES + o) * c_in + c) * 9;
                    for (int t = 0; t < 9; t++)
                        w[t * VF_LANES + o] = from[t];
                }
                transform_weights(w, to + (c * (size_t)nb + (size_t)j) * VF_LANES, step);
            }
        to += POINTS * step;
        v += nb;
    }
}

/* r = B' d */
VF_INLINE void input_1d(const vf d[IN], vf r[IN])
{
    const vf a = vf_set(POINT_A), b = vf_set(POINT_B), five_halves = vf_set(2.5f);
    vf even_a = vf_fnma(vf_set(2.0f), d[2], d[4]), odd_a = vf_fnma(vf_set(2.0f), d[1], d[3]);
    vf even_b = vf_fnma(vf_set(0.5f), d[2], d[4]), odd_b = vf_fnma(vf_set(0.5f), d[1], d[3]);

    r[0] = vf_fnma(five_halves, d[2], vf_add(d[0], d[4]));
    r[1] = vf_fma(a, odd_a, even_a);
    r[2] = vf_fnma(a, odd_a, even_a);
    r[3] = vf_fma(b, odd_b, even_b);
    r[4] = vf_fnma(b, odd_b, even_b);
    r[5] = vf_fnma(five_halves, d[3], vf_add(d[1], d[5]));
}

/* y = A' m */
VF_INLINE void output_1d(const vf m[IN], vf y[OUT])
{
    vf sum_a = vf_add(m[1], m[2]), diff_a = vf_sub(m[1], m[2]);
    vf sum_b = vf_add(m[3], m[4]), diff_b = vf_sub(m[3], m[4]);

    y[0] = vf_add(vf_add(m[0], sum_a), sum_b);
    y[1] = vf_fma(vf_set(POINT_A), diff_a, vf_mul(vf_set(POINT_B), diff_b));
    y[2] = vf_fma(vf_set(0.5f), sum_a, vf_mul(vf_set(2.0f), sum_b));
    y[3] = vf_fma(vf_set(POINT_A * 0.5f), diff_a, vf_fma(vf_set(POINT_B * 2.0f), diff_b, m[5]));
}

/* What the steps of one run share. */
typedef struct winograd {
    const vly_conv_call *call;
    int tiles;     /* of a block */
    size_t v_step; /* from point to point of v and of m */
    float *v, *m;  /* transformed inputs, sums */
} winograd;

/* One tile's inputs, of which `rows` times `columns` are inside the picture and its border, for the
 * channels under the mask. x, to: the first channel's. */
VF_INLINE void input_tile(const float *x, const vly_image *im, int rows, int columns, int m,
                          float *to, size_t step)
{
    vf d[IN][IN];

    VF_UNROLL
    for (int q = 0; q < IN; q++) {
        vf in[IN], out[IN];
        VF_UNROLL
        for (int r = 0; r < IN; r++)
            in[r] = r < rows && q < columns ? vf_load_n(x + r * im->row + q * im->pixel, m)
                                            : vf_set(0.0f);
        input_1d(in, out);
        VF_UNROLL
        for (int r = 0; r < IN; r++)
            d[r][q] = out[r];
    }
    VF_UNROLL
    for (int r = 0; r < IN; r++) {
        vf out[IN];
        input_1d(d[r], out);
        VF_UNROLL
        for (int q = 0; q < IN; q++)
            vf_store(to + (size_t)(r * IN + q) * step, out[q]);
    }
}

static int min2(int a, int b)
{
    return a < b ? a : b;
}

/* Row, picture and column of a tile. */
typedef struct place {
    int n, y, x; /* y, x: its first output */
} place;

static place place_of(const vly_conv_desc *d, int tile)
{
    int of_row = tiles_of_row(d), rows = div_up(d->h_out, OUT), row = tile / of_row;
    return (place){row / rows, row % rows * OUT, tile % of_row * OUT};
}

static void transform_inputs(const winograd *s, int first, int count)
{
    const vly_conv_desc *d = s->call->desc;
    const vly_image *im = s->call->x;
    const int vectors = vectors_of(d->c_in);

    for (int i = 0; i < count; i++) {
        place p = place_of(d, first + i);
        const float *x = vly_image_at(im, p.n, p.y - d->pad_top, p.x - d->pad_left);
        float *to = s->v + (size_t)i * (size_t)vectors * VF_LANES;
        int rows = min2(IN, d->h_out - p.y + 2), columns = min2(IN, d->w_out - p.x + 2);
        if (rows == IN && columns == IN)
            for (int c = 0; c < d->c_in; c += VF_LANES)
                input_tile(x + c, im, IN, IN, vf_lanes(d->c_in - c), to + c, s->v_step);
        else
            for (int c = 0; c < d->c_in; c += VF_LANES)
                input_tile(x + c, im, rows, columns, vf_lanes(d->c_in - c), to + c, s->v_step);
    }
}

/* Sums of a tile for one vector of channels to outputs [4 rows of a line][4], as they lie. */
VF_INLINE void output_tile(const float *m, size_t step, float *to, size_t line, size_t pixel)
{
    vf d[OUT][IN];

    VF_UNROLL
    for (int q = 0; q < IN; q++) {
        vf in[IN], out[OUT];
        VF_UNROLL
        for (int r = 0; r < IN; r++)
            in[r] = vf_load(m + (size_t)(r * IN + q) * step);
        output_1d(in, out);
        VF_UNROLL
        for (int r = 0; r < OUT; r++)
            d[r][q] = out[r];
    }
    VF_UNROLL
    for (int r = 0; r < OUT; r++) {
        vf out[OUT];
        output_1d(d[r], out);
        VF_UNROLL
        for (int q = 0; q < OUT; q++)
            vf_store(to + (size_t)r * line + (size_t)q * pixel, out[q]);
    }
}

/* The outputs of the block's tiles for nb vectors of channels, tile->o on. */
static void transform_outputs(const winograd *s, int first, int count, int nb, conv_tile *tile)
{
    const vly_conv_desc *d = s->call->desc;
    const size_t pixel = (size_t)nb * VF_LANES, line = ROW_TILES * OUT * pixel;
    const size_t step = point_step(s->tiles, nb);
    _Alignas(64) float sums[OUT * ROW_TILES * OUT * TILE_NB_MAX * VF_LANES];

    tile->stride = (int)pixel;
    for (int i = 0; i < count;) {
        place p = place_of(d, first + i);
        int n = min2(min2(ROW_TILES, count - i), div_up(d->w_out - p.x, OUT));
        for (int k = 0; k < n; k++)
            for (int j = 0; j < nb; j++)
                output_tile(s->m + (size_t)(i + k) * pixel + (size_t)j * VF_LANES, step,
                            sums + (size_t)k * OUT * pixel + (size_t)j * VF_LANES, line, pixel);
        tile->n = p.n;
        tile->x = p.x;
        tile->count = min2(n * OUT, d->w_out - p.x);
        for (int r = 0; r < min2(OUT, d->h_out - p.y); r++) {
            tile->sums = sums + (size_t)r * line;
            tile->y = p.y + r;
            conv_finish(s->call, tile);
        }
        i += n;
    }
}

static void multiply(const winograd *s, const float *w, int count, int nb)
{
    const int c_in = s->call->desc->c_in, n_parts = div_up(count, tile_t_max(nb));
    conv_taps taps = {
        .step = (int64_t)vectors_of(c_in) * VF_LANES, .rows = 1, .columns = 1, .run = c_in};

    for (int point = 0; point < POINTS; point++) {
        taps.x = s->v + (size_t)point * s->v_step;
        taps.w = w + (size_t)point * (size_t)c_in * (size_t)nb * VF_LANES;
        taps.sums = s->m + (size_t)point * point_step(s->tiles, nb);
        for (int i = 0; i < n_parts; i++) {
            int t = count * (i + 1) / n_parts - count * i / n_parts;
            VF_NAME(vly_conv__tiles)[nb][t](&taps);
            taps.x += t * taps.step;
            taps.sums += t * nb * VF_LANES;
        }
    }
}

static void winograd_run(const vly_conv_call *call, int begin, int end, void *scratch)
{
    const vly_conv_desc *d = call->desc;
    const int vectors = vectors_of(d->c_out), stop = unit_begin(d, end);
    winograd s = {.call = call, .tiles = block_tiles(d), .v = scratch};

    s.v_step = point_step(s.tiles, vectors_of(d->c_in));
    s.m = s.v + POINTS * s.v_step;
    for (int first = unit_begin(d, begin); first < stop; first += s.tiles) {
        const float *w = call->packed;
        int count = min2(s.tiles, stop - first);
        transform_inputs(&s, first, count);
        for (int v = 0; v < vectors;) {
            int nb = tile_block(vectors, v);
            conv_tile tile = {.o = v * VF_LANES,
                              .n_o = min2(d->c_out - v * VF_LANES, nb * VF_LANES)};
            multiply(&s, w, count, nb);
            transform_outputs(&s, first, count, nb, &tile);
            w += (size_t)POINTS * (size_t)d->c_in * (size_t)nb * VF_LANES;
            v += nb;
        }
    }
}

const vly_conv_kernel VF_NAME(vly_conv_winograd) = {
    .name = "winograd " VF_TITLE,
    .cpu_flags = VF_CPU,
    .fits = winograd_fits,
    .packed_bytes = winograd_packed_bytes,
    .pack = winograd_pack,
    .scratch_bytes = winograd_scratch_bytes,
    .units = winograd_units,
    .run = winograd_run,
};

#endif

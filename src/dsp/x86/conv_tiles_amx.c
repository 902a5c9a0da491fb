/* SPDX-License-Identifier: MIT */
/*
 * Convolution of BF16 and U8 images by AMX, straight from the image.
 *
 * A tile of input holds one step of channels, at most 64 bytes, of up to 16 neighbouring outputs of
 * a row; a tile of weights holds the same step for 16 output channels. The taps of a window and the
 * steps of its channels follow each other as offsets from the first tap. Four tiles of sums are in
 * work at once, 2 x 2 or 4 pixel tiles x 1 channel tile.
 *
 * Where the pixels of the image lie side by side, the taps of a window row are one run of channels,
 * cut into fewer steps when c_in is no multiple of a step: then weights are packed both ways.
 *
 * The tiles of a row all have the same number of pixels, the least that needs no more tiles than 16
 * would; the last begins early, over pixels that another tile has too, of the same unit.
 *
 * Finished sums go to a buffer in L1, and the vector units finish them (epilogue_avx512.h) while
 * the products of the next block are under way: a few pixels after each step.
 *
 * A VLY_ELEM_U8 sum starts at -zero * (sum of the weights), so that it is exact.
 */
#include "base/assert.h"
#include "base/cpu.h"
#include "dsp/conv_list.h"
#include "dsp/x86/epilogue_avx512.h"

#include <string.h>

enum {
    CO = 16,   /* channels of a weight tile */
    STEP = 64, /* bytes of a tile row */
    TILE = CO * STEP,
    SUMS = 4 * TILE, /* bytes of four tiles */
    UNIT_TILES = 4,  /* of a unit of a flat image */
    FEW_UNITS = 16,  /* with fewer by pixels alone, channels are split, too */
    STRIP = 1 << 17, /* bytes of input that all channels go over before the next */
    MIN_ROWS = 8,    /* pixels finished after a step, at least */
    NEEDED = VLY_CPU_AMX | VLY_CPU_AVX512 | VLY_CPU_AVX512_BF16 | VLY_CPU_AVX512_VBMI,
};

/* How the products of an output are cut into steps: `runs` stretches of `taps` taps, each `full`
 * steps of STEP bytes and one of `tail` bytes, unless that is 0. */
typedef struct cut {
    int runs, taps, full, tail;
    size_t panel; /* packed bytes of CO channels */
} cut;

static cut cut_of(const vly_conv_desc *d, bool is_joined)
{
    int taps = is_joined ? d->kernel_w : 1;
    int bytes = taps * d->c_in * (int)vly_elem_size(d->in);
    int runs = d->kernel_h * d->kernel_w / taps;

    return (cut){.runs = runs,
                 .taps = taps,
                 .full = bytes / STEP,
                 .tail = bytes % STEP,
                 .panel = (size_t)runs * (size_t)bytes * CO};
}

static int steps_of(const cut *c)
{
    return c->runs * (c->full + (c->tail != 0));
}

static bool can_join(const vly_conv_desc *d)
{
    cut joined = cut_of(d, true), apart = cut_of(d, false);
    return d->dilation_w == 1 && steps_of(&joined) < steps_of(&apart);
}

static int channel_tiles(const vly_conv_desc *d)
{
    return (d->c_out + CO - 1) / CO;
}

static bool fits(const vly_conv_desc *d)
{
    return d->group == 1 && d->c_in % (4 / (int)vly_elem_size(d->in)) == 0;
}

static bool fits_bf16(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_BF16 && fits(d);
}

static bool fits_u8(const vly_conv_desc *d)
{
    return d->in == VLY_ELEM_U8 && fits(d);
}

/* --- packing: [apart, joined] panels of [full steps, tails] of [4 bytes of K][CO][those 4 bytes],
 * then the sums of the weights, [c_out] int32 --- */

static size_t panels_bytes(const vly_conv_desc *d, bool is_joined)
{
    return (size_t)channel_tiles(d) * cut_of(d, is_joined).panel;
}

static size_t sums_offset(const vly_conv_desc *d)
{
    return panels_bytes(d, false) + (can_join(d) ? panels_bytes(d, true) : 0);
}

static size_t packed_bytes(const vly_conv_desc *d)
{
    return sums_offset(d) + (size_t)channel_tiles(d) * CO * sizeof(int32_t);
}

/* Where byte k of run r is in the column of the first channel of a panel. */
static size_t place_of(const cut *c, int r, int k)
{
    size_t step = (size_t)(k / STEP), at = (size_t)(k % STEP) / 4 * STEP + (size_t)(k % 4);

    if (step < (size_t)c->full)
        return ((size_t)r * (size_t)c->full + step) * TILE + at;
    return (size_t)c->runs * (size_t)c->full * TILE + (size_t)r * (size_t)c->tail * CO + at;
}

/* One output channel of a panel; w: [c_in][taps]. */
static void pack_channel(const vly_conv_desc *d, const cut *c, const void *weights, int64_t o,
                         unsigned char *column)
{
    int64_t taps = (int64_t)d->kernel_h * d->kernel_w, from = o * d->c_in * taps;
    int size = (int)vly_elem_size(d->in);

    for (int t = 0; t < taps; t++)
        for (int i = 0; i < d->c_in; i++) {
            int64_t w = from + i * taps + t;
            size_t to = place_of(c, t / c->taps, (t % c->taps * d->c_in + i) * size);
            if (d->in == VLY_ELEM_U8) {
                column[to] = ((const unsigned char *)weights)[w];
            } else {
                uint16_t v = vly_bf16_from_f32(((const float *)weights)[w]);
                memcpy(column + to, &v, sizeof(v));
            }
        }
}

static void pack_panels(const vly_conv_desc *d, bool is_joined, const void *weights,
                        unsigned char *to)
{
    cut c = cut_of(d, is_joined);

    for (int o = 0; o < d->c_out; o++)
        pack_channel(d, &c, weights, o, to + (size_t)(o / CO) * c.panel + (size_t)(o % CO) * 4);
}

static void pack(const vly_conv_desc *d, const void *weights, void *packed)
{
    int64_t k = (int64_t)d->c_in * d->kernel_h * d->kernel_w;
    int32_t *sums = (int32_t *)(void *)((unsigned char *)packed + sums_offset(d));

    memset(packed, 0, packed_bytes(d));
    pack_panels(d, false, weights, packed);
    if (can_join(d))
        pack_panels(d, true, weights, (unsigned char *)packed + panels_bytes(d, false));
    for (int64_t o = 0; d->in == VLY_ELEM_U8 && o < d->c_out; o++)
        for (int64_t i = 0; i < k; i++)
            sums[o] += ((const int8_t *)weights)[o * k + i];
}

/* --- units: rows of tiles (flat: groups of UNIT_TILES), times groups of channel tiles --- */

/* Is everything one row? A residual need not be flat even if input and output are. */
static bool is_linear(const vly_conv_desc *d)
{
    return d->is_flat && (d->residual == VLY_RESIDUAL_NONE || d->n * d->h_out == 1);
}

typedef struct grid {
    int width;       /* pixels of a row; flat: all */
    int rows;        /* n * h_out; flat: 1 */
    int across;      /* tiles of a row */
    int height;      /* pixels of a tile */
    int pixel_units; /* by pixels */
    int groups;      /* of channel tiles */
    int group_tiles; /* channel tiles of a group */
} grid;

static grid grid_of(const vly_conv_desc *d)
{
    grid g = {.width = is_linear(d) ? d->n * d->h_out * d->w_out : d->w_out,
              .rows = is_linear(d) ? 1 : d->n * d->h_out};
    int pairs = (channel_tiles(d) + 1) / 2, groups;

    g.across = (g.width + 15) / 16;
    g.height = (g.width + g.across - 1) / g.across;
    g.pixel_units = is_linear(d) ? (g.across >= UNIT_TILES ? g.across / UNIT_TILES : 1) : g.rows;
    groups = (FEW_UNITS + g.pixel_units - 1) / g.pixel_units;
    groups = groups < pairs ? groups : pairs;
    g.group_tiles = (pairs + groups - 1) / groups * 2;
    g.groups = (channel_tiles(d) + g.group_tiles - 1) / g.group_tiles;
    return g;
}

static int units(const vly_conv_desc *d)
{
    grid g = grid_of(d);
    return g.pixel_units * g.groups;
}

/* First tile of pixel unit u: the last unit of a flat image takes what is left. */
static int64_t first_tile(const vly_conv_desc *d, const grid *g, int u)
{
    if (u == g->pixel_units)
        return (int64_t)g->rows * g->across;
    return is_linear(d) ? (int64_t)u * UNIT_TILES : (int64_t)u * g->across;
}

/* --- the finishing of sums --- */

/* A block of four tiles whose sums are in the buffer: rows `row`.. of tile `tile`.. are left. */
typedef struct block {
    const unsigned char *sums; /* [4 * height pixels / columns][columns * CO] */
    unsigned char *y[4];       /* channel `channel` of a tile's first pixel */
    const unsigned char *residual[4];
    int channel, tile, row, left;
} block;

typedef struct job job;
typedef void finish_fn(const job *j, block *b, int rows);

struct job {
    const vly_conv_call *call;
    const vly_conv_desc *d;
    grid g;
    cut cut;
    const unsigned char *panels;
    int64_t x_step, y_pixel, residual_pixel; /* bytes */
    int64_t *offsets;                        /* bytes from the first tap: full steps, then tails */
    float *scale, *bias;                     /* [channel tiles * CO] */
    int32_t *start;                          /* U8 input: first value of sums */
    unsigned char *sums;                     /* two buffers of SUMS */
    float y_factor;                          /* U8 output: 1 / scale */
    finish_fn *finish[2];                    /* by columns - 1 */
};

/* What is special about an epilogue: nothing after scale and bias (then a U8 output's scale is in
 * them, too), SiLU, or anything. */
typedef enum finish_kind { FINISH_AFFINE, FINISH_SILU, FINISH_ANY } finish_kind;

static finish_kind finish_kind_of(const vly_conv_desc *d)
{
    if (d->act == VLY_ACT_SILU)
        return FINISH_SILU;
    if ((d->act == VLY_ACT_NONE || d->act == VLY_ACT_TABLE) && d->residual == VLY_RESIDUAL_NONE)
        return FINISH_AFFINE;
    return FINISH_ANY;
}

/* Steps to the block's next pixel; returns its tile and row in *ret_row. */
EPILOGUE_INLINE int next_pixel(const job *j, block *b, int *ret_row)
{
    int tile = b->tile;

    *ret_row = b->row++;
    if (b->row == j->g.height) {
        b->row = 0;
        b->tile++;
    }
    return tile;
}

/* Channels `channel`.. of one pixel as they will be stored. */
EPILOGUE_INLINE vf finish_vector(const job *j, const void *sums, const unsigned char *residual,
                                 int channel, __mmask16 mask, finish_kind kind, vly_elem out,
                                 bool is_u8)
{
    const vly_conv_desc *d = j->d;
    vf v = is_u8 ? _mm512_cvtepi32_ps(_mm512_load_si512(sums)) : _mm512_load_ps(sums);

    v = _mm512_fmadd_ps(v, _mm512_load_ps(j->scale + channel), _mm512_load_ps(j->bias + channel));
    if (kind == FINISH_AFFINE)
        return v;
    if (d->residual == VLY_RESIDUAL_BEFORE)
        v = _mm512_add_ps(v, epilogue_load(j->call->residual, residual, mask));
    v = epilogue_act(kind == FINISH_SILU ? VLY_ACT_SILU : d->act, v, j->call->alpha, j->call->beta,
                     out);
    if (d->residual == VLY_RESIDUAL_AFTER)
        v = _mm512_add_ps(v, epilogue_load(j->call->residual, residual, mask));
    return out == VLY_ELEM_U8 ? _mm512_mul_ps(v, _mm512_set1_ps(j->y_factor)) : v;
}

/* All 64 bytes through a table of 256. */
EPILOGUE_INLINE __m512i look_up(const uint8_t *table, __m512i q)
{
    __m512i low =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(table), q, _mm512_loadu_si512(table + 64));
    __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), q,
                                            _mm512_loadu_si512(table + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(q), low, high);
}

/* Four vectors as the bytes to be stored. */
EPILOGUE_INLINE __m512i to_u8(const job *j, const vf *v)
{
    __m512i q = epilogue_u8(v, j->call->y->zero);
    return j->d->act == VLY_ACT_TABLE ? look_up(j->call->table, q) : q;
}

/* Finishes `rows` pixels of the block, or what is left of it. */
EPILOGUE_INLINE void finish(const job *j, block *b, int rows, int columns, finish_kind kind,
                            vly_elem out, bool is_u8)
{
    const int at_once = out == VLY_ELEM_U8 ? 4 / columns : 1;
    int channels = j->d->c_out - b->channel;
    __mmask32 both = channels >= 2 * CO ? ~0u : (1u << channels) - 1;
    __mmask16 low = (__mmask16)both, high = (__mmask16)(both >> CO);
    const unsigned char *sums =
        b->sums + (size_t)(b->tile * j->g.height + b->row) * (size_t)columns * STEP;
    int64_t size = (int64_t)vly_elem_size(out);
    int64_t r_size = kind == FINISH_AFFINE || j->d->residual == VLY_RESIDUAL_NONE
                         ? 0
                         : CO * (int64_t)vly_elem_size(j->call->residual->elem);

    rows = rows < b->left ? rows : b->left;
    b->left -= rows;
    for (; rows > 0; rows -= at_once, sums += (size_t)(at_once * columns) * STEP) {
        vf v[4];
        unsigned char *y[4];
        for (int i = 0; i < at_once; i++) {
            int row, tile = next_pixel(j, b, &row);
            const unsigned char *r = b->residual[tile] + row * j->residual_pixel;
            const unsigned char *s = sums + (size_t)(i * columns) * STEP;
            y[i] = b->y[tile] + row * j->y_pixel;
            vf *to = v + (ptrdiff_t)i * columns;
            to[0] = finish_vector(j, s, r, b->channel, low, kind, out, is_u8);
            if (columns == 2)
                to[1] =
                    finish_vector(j, s + STEP, r + r_size, b->channel + CO, high, kind, out, is_u8);
        }
        if (out == VLY_ELEM_F32) {
            _mm512_mask_storeu_ps(y[0], low, v[0]);
            if (columns == 2)
                _mm512_mask_storeu_ps(y[0] + CO * size, high, v[1]);
        } else if (out == VLY_ELEM_BF16 && columns == 1) {
            _mm256_mask_storeu_epi16(y[0], low, epilogue_bf16(v[0]));
        } else if (out == VLY_ELEM_BF16) {
            _mm512_mask_storeu_epi16(y[0], both, epilogue_bf16_pair(v[0], v[1]));
        } else if (columns == 1) {
            __m512i q = to_u8(j, v);
            _mm_mask_storeu_epi8(y[0], low, _mm512_castsi512_si128(q));
            _mm_mask_storeu_epi8(y[1], low, _mm512_extracti32x4_epi32(q, 1));
            _mm_mask_storeu_epi8(y[2], low, _mm512_extracti32x4_epi32(q, 2));
            _mm_mask_storeu_epi8(y[3], low, _mm512_extracti32x4_epi32(q, 3));
        } else {
            __m512i q = to_u8(j, v);
            _mm256_mask_storeu_epi8(y[0], both, _mm512_castsi512_si256(q));
            _mm256_mask_storeu_epi8(y[1], both, _mm512_extracti64x4_epi64(q, 1));
        }
    }
}

#define FINISH(columns, kind, out, is_u8)                                                          \
    static void finish_##columns##_##kind##_##out##_##is_u8(const job *j, block *b, int rows)      \
    {                                                                                              \
        finish(j, b, rows, columns, FINISH_##kind, VLY_ELEM_##out, is_u8);                         \
    }
#define FOR_COLUMNS(X, kind, out, is_u8) X(1, kind, out, is_u8) X(2, kind, out, is_u8)
#define FOR_KINDS(X, out, is_u8)                                                                   \
    FOR_COLUMNS(X, AFFINE, out, is_u8)                                                             \
    FOR_COLUMNS(X, SILU, out, is_u8)                                                               \
    FOR_COLUMNS(X, ANY, out, is_u8)
#define FOR_ALL(X)                                                                                 \
    FOR_KINDS(X, F32, 0)                                                                           \
    FOR_KINDS(X, BF16, 0)                                                                          \
    FOR_KINDS(X, U8, 0) FOR_KINDS(X, F32, 1) FOR_KINDS(X, BF16, 1) FOR_KINDS(X, U8, 1)

FOR_ALL(FINISH)

static finish_fn *const finishers[2][3][3][2] = {
#define ENTRY(columns, kind, out, is_u8)                                                           \
    [is_u8][VLY_ELEM_##out][FINISH_##kind][(columns)-1] =                                          \
        finish_##columns##_##kind##_##out##_##is_u8,
    FOR_ALL(ENTRY)
#undef ENTRY
};

/* --- products --- */

/* Gives the pending block's epilogue its turn. */
EPILOGUE_INLINE void finish_some(const job *j, block *pending, int columns, int rows)
{
    if (pending->left > 0)
        j->finish[columns - 1](j, pending, rows);
}

#define PRODUCT(sum, a, b)                                                                         \
    do {                                                                                           \
        if (is_u8)                                                                                 \
            _tile_dpbusd(sum, a, b);                                                               \
        else                                                                                       \
            _tile_dpbf16ps(sum, a, b);                                                             \
    } while (0)

/* One step of 2 x 2 tiles, in an order that takes one register for each side. */
#define STEP_2X2(a_tile, b_tile, bytes)                                                            \
    do {                                                                                           \
        _tile_loadd(a_tile, a[0] + *offset, stride);                                               \
        _tile_loadd(b_tile, w, STEP);                                                              \
        PRODUCT(0, a_tile, b_tile);                                                                \
        _tile_loadd(b_tile, w + j->cut.panel, STEP);                                               \
        PRODUCT(1, a_tile, b_tile);                                                                \
        _tile_loadd(a_tile, a[1] + *offset, stride);                                               \
        PRODUCT(3, a_tile, b_tile);                                                                \
        _tile_loadd(b_tile, w, STEP);                                                              \
        PRODUCT(2, a_tile, b_tile);                                                                \
        w += (bytes);                                                                              \
    } while (0)

#define STEP_4X1(a_tile, b_tile, bytes)                                                            \
    do {                                                                                           \
        _tile_loadd(b_tile, w, STEP);                                                              \
        _tile_loadd(a_tile, a[0] + *offset, stride);                                               \
        PRODUCT(0, a_tile, b_tile);                                                                \
        _tile_loadd(a_tile, a[1] + *offset, stride);                                               \
        PRODUCT(1, a_tile, b_tile);                                                                \
        _tile_loadd(a_tile, a[2] + *offset, stride);                                               \
        PRODUCT(2, a_tile, b_tile);                                                                \
        _tile_loadd(a_tile, a[3] + *offset, stride);                                               \
        PRODUCT(3, a_tile, b_tile);                                                                \
        w += (bytes);                                                                              \
    } while (0)

/* Sums of the tiles at a[] for channels `channel`.. into the buffer, while `pending` is finished.
 */
EPILOGUE_INLINE void multiply(const job *j, const unsigned char *const *a, int channel,
                              unsigned char *sums, int columns, block *pending, int pending_columns,
                              bool is_u8)
{
    const unsigned char *w = j->panels + (size_t)(channel / CO) * j->cut.panel;
    const int64_t *offset = j->offsets, *tails = offset + (int64_t)j->cut.runs * j->cut.full;
    const int64_t *end = offset + steps_of(&j->cut);
    int64_t stride = j->x_step, width = (int64_t)columns * STEP, down = width * j->g.height;
    int rows = (pending->left + (int)(end - offset) - 1) / (int)(end - offset);

    rows = rows < MIN_ROWS ? MIN_ROWS : (rows + 3) / 4 * 4;
    if (is_u8) {
        const int32_t *right = j->start + channel + (columns == 2 ? CO : 0);
        _tile_loadd(0, j->start + channel, 0);
        _tile_loadd(1, right, 0);
        _tile_loadd(2, j->start + channel, 0);
        _tile_loadd(3, right, 0);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (; offset < tails; offset++) {
        if (columns == 2)
            STEP_2X2(4, 5, TILE);
        else
            STEP_4X1(4, 5, TILE);
        finish_some(j, pending, pending_columns, rows);
    }
    for (; offset < end; offset++) {
        if (columns == 2)
            STEP_2X2(6, 7, (size_t)j->cut.tail * CO);
        else
            STEP_4X1(6, 7, (size_t)j->cut.tail * CO);
        finish_some(j, pending, pending_columns, rows);
    }
    finish_some(j, pending, pending_columns, pending->left);
    _tile_stored(0, sums, width);
    _tile_stored(1, columns == 2 ? sums + STEP : sums + down, width);
    _tile_stored(2, columns == 2 ? sums + down : sums + 2 * down, width);
    _tile_stored(3, columns == 2 ? sums + down + STEP : sums + 3 * down, width);
}

/* The image of a tile's first pixel, in bytes from data: for an input, its first tap. */
static int64_t tile_offset(const job *j, const vly_image *im, int64_t tile, bool is_input)
{
    const vly_conv_desc *d = j->d;
    int64_t row = tile / j->g.across, x = tile % j->g.across * j->g.height, y, at;

    x = x > j->g.width - j->g.height ? j->g.width - j->g.height : x;
    if (is_linear(d))
        return x * im->pixel * (int64_t)vly_elem_size(im->elem);
    y = row % d->h_out;
    at = row / d->h_out * im->picture;
    if (is_input)
        at +=
            (y * d->stride_h - d->pad_top) * im->row + (x * d->stride_w - d->pad_left) * im->pixel;
    else
        at += y * im->row + x * im->pixel;
    return at * (int64_t)vly_elem_size(im->elem);
}

/* The block of tiles tile..end-1 at most; past the end, the last one again. */
static block block_of(const job *j, int64_t tile, int64_t end, int channel, int columns,
                      const unsigned char *sums, const unsigned char **ret_a)
{
    const vly_conv_call *c = j->call;
    int n = 4 / columns, real = end - tile < n ? (int)(end - tile) : n;
    int left = (real * j->g.height + 3) / 4 * 4;
    block b = {.sums = sums, .channel = channel};

    b.left = left < n * j->g.height ? left : n * j->g.height;
    for (int i = 0; i < n; i++) {
        int64_t t = i < real ? tile + i : end - 1;
        ret_a[i] = (const unsigned char *)c->x->data + tile_offset(j, c->x, t, true);
        b.y[i] = (unsigned char *)c->y->data + tile_offset(j, c->y, t, false) +
                 (size_t)channel * vly_elem_size(c->y->elem);
        b.residual[i] = c->residual == NULL
                            ? b.y[i]
                            : (const unsigned char *)c->residual->data +
                                  tile_offset(j, c->residual, t, false) +
                                  (size_t)channel * vly_elem_size(c->residual->elem);
    }
    return b;
}

/* --- runs --- */

/* Memory of a run: sums, then scale, bias and start of [channel tiles * CO], then offsets. */
static size_t scratch_bytes(const vly_conv_desc *d)
{
    cut c = cut_of(d, false);
    return (size_t)2 * SUMS + (size_t)channel_tiles(d) * CO * 3 * sizeof(float) +
           (size_t)steps_of(&c) * sizeof(int64_t);
}

static void set_factors(job *j)
{
    const vly_conv_call *c = j->call;
    const int32_t *sums =
        (const int32_t *)(const void *)((const unsigned char *)c->packed + sums_offset(j->d));
    bool is_divided = j->d->out == VLY_ELEM_U8 && finish_kind_of(j->d) == FINISH_AFFINE;

    j->y_factor = j->d->out == VLY_ELEM_U8 ? 1.0f / c->y->scale : 1.0f;
    for (int o = 0; o < channel_tiles(j->d) * CO; o++) {
        bool is_real = o < j->d->c_out;
        float factor = is_divided ? j->y_factor : 1.0f;
        j->scale[o] = is_real && c->scale != NULL ? c->scale[o] * factor : factor;
        j->bias[o] = is_real && c->bias != NULL ? c->bias[o] * factor : 0.0f;
        j->start[o] = -c->x->zero * sums[o];
    }
}

static void set_offsets(job *j)
{
    const vly_conv_desc *d = j->d;
    const vly_image *x = j->call->x;
    int64_t size = (int64_t)vly_elem_size(x->elem), *full = j->offsets;
    int64_t *tail = full + (int64_t)j->cut.runs * j->cut.full;

    for (int r = 0; r < j->cut.runs; r++) {
        int64_t tap = (int64_t)r * j->cut.taps;
        int64_t at = (tap / d->kernel_w * d->dilation_h * x->row +
                      tap % d->kernel_w * d->dilation_w * x->pixel) *
                     size;
        for (int i = 0; i < j->cut.full; i++, at += STEP)
            *full++ = at;
        if (j->cut.tail != 0)
            *tail++ = at;
    }
}

static void job_init(job *j, const vly_conv_call *call, void *scratch, bool is_u8)
{
    const vly_conv_desc *d = call->desc;
    const vly_image *x = call->x, *y = call->y;
    bool is_joined = can_join(d) && x->pixel == d->c_in;
    size_t channels = (size_t)channel_tiles(d) * CO;

    VLY_DEBUG_ASSERT((uintptr_t)scratch % STEP == 0);
    *j = (job){.call = call, .d = d, .g = grid_of(d), .cut = cut_of(d, is_joined)};
    j->panels = (const unsigned char *)call->packed + (is_joined ? panels_bytes(d, false) : 0);
    j->x_step = d->stride_w * x->pixel * (int64_t)vly_elem_size(x->elem);
    j->y_pixel = y->pixel * (int64_t)vly_elem_size(y->elem);
    if (call->residual != NULL)
        j->residual_pixel = call->residual->pixel * (int64_t)vly_elem_size(call->residual->elem);
    j->sums = scratch;
    j->scale = (float *)(void *)(j->sums + (size_t)(2 * SUMS));
    j->bias = j->scale + channels;
    j->start = (int32_t *)(void *)(j->bias + channels);
    j->offsets = (int64_t *)(void *)(j->start + channels);
    for (int columns = 1; columns <= 2; columns++)
        j->finish[columns - 1] = finishers[is_u8][d->out][finish_kind_of(d)][columns - 1];
    set_factors(j);
    set_offsets(j);
}

/* Tiles 0-3: sums; 4, 5: input and weights of a full step; 6, 7: of a tail. */
static void tiles_configure(const job *j)
{
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};
    int tail = j->cut.tail != 0 ? j->cut.tail : STEP;

    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)j->g.height;
        config.bytes[i] = STEP;
    }
    config.rows[5] = CO;
    config.bytes[6] = (uint16_t)tail;
    config.rows[7] = (uint8_t)(tail / 4);
    /* the loads that follow do not tell the compiler what they read */
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&config);
}

/* What a run has under way: the block to be finished, and the buffer that is free. */
typedef struct flow {
    block pending;
    int columns; /* of the pending block */
    int buffer;
} flow;

/* Tiles first..end-1, all of them for one or two channel tiles. */
EPILOGUE_INLINE void run_column(const job *j, flow *f, int64_t first, int64_t end, int channel,
                                int columns, bool is_u8)
{
    const unsigned char *a[4];

    for (int64_t t = first; t < end; t += 4 / columns) {
        unsigned char *sums = j->sums + (ptrdiff_t)f->buffer * SUMS;
        block next = block_of(j, t, end, channel, columns, sums, a);
        multiply(j, a, channel, sums, columns, &f->pending, f->columns, is_u8);
        f->pending = next;
        f->columns = columns;
        f->buffer ^= 1;
    }
}

/* Tiles first..end-1 and channel tiles left..right-1, strip after strip. */
EPILOGUE_INLINE void run_part(const job *j, flow *f, int64_t first, int64_t end, int left,
                              int right, bool is_u8)
{
    int64_t tile_bytes = (int64_t)j->d->c_in * (int64_t)vly_elem_size(j->d->in) * j->g.height *
                         j->d->stride_h * j->d->stride_w;
    int64_t strip = STRIP / tile_bytes / 4 * 4 + 4;

    for (; first < end; first += strip) {
        int64_t stop = end - first < strip ? end : first + strip;
        int c = left;
        for (; c + 1 < right; c += 2)
            run_column(j, f, first, stop, c * CO, 2, is_u8);
        if (c < right)
            run_column(j, f, first, stop, c * CO, 1, is_u8);
    }
}

EPILOGUE_INLINE void run(const vly_conv_call *call, int begin, int end, void *scratch, bool is_u8)
{
    job j;
    flow f = {.columns = 1};

    job_init(&j, call, scratch, is_u8);
    tiles_configure(&j);
    for (int u = begin, next; u < end; u = next) {
        int group = u / j.g.pixel_units, from = u % j.g.pixel_units;
        int left = group * j.g.group_tiles, right = left + j.g.group_tiles;
        next = (group + 1) * j.g.pixel_units < end ? (group + 1) * j.g.pixel_units : end;
        right = right < channel_tiles(j.d) ? right : channel_tiles(j.d);
        run_part(&j, &f, first_tile(j.d, &j.g, from), first_tile(j.d, &j.g, from + next - u), left,
                 right, is_u8);
    }
    finish_some(&j, &f.pending, f.columns, f.pending.left);
    _tile_release();
}

static void run_bf16(const vly_conv_call *call, int begin, int end, void *scratch)
{
    run(call, begin, end, scratch, false);
}

static void run_u8(const vly_conv_call *call, int begin, int end, void *scratch)
{
    run(call, begin, end, scratch, true);
}

const vly_conv_kernel vly_conv_bf16_amx = {
    .name = "bf16 amx",
    .cpu_flags = NEEDED,
    .fits = fits_bf16,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .units = units,
    .run = run_bf16,
};

const vly_conv_kernel vly_conv_u8_amx = {
    .name = "u8 amx",
    .cpu_flags = NEEDED,
    .fits = fits_u8,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .units = units,
    .run = run_u8,
};

/* SPDX-License-Identifier: MIT */
/*
 * Convolution of BF16 and U8 images by AMX, straight from the image.
 *
 * A tile of input holds one step of channels, at most 64 bytes, of up to 16 neighbouring outputs of
 * a row; a tile of weights holds the same step for 16 output channels. The taps of a window and the
 * steps of its channels follow each other as offsets from the first tap. Four tiles of pixels are
 * in work at once: their input stays in the first cache level while all channels pass, and 1 KB of
 * weights comes from the second in the 64 cycles of four products. (2 x 2 tiles were slower: they
 * load twice the weights.)
 *
 * Where the pixels of the image lie side by side, the taps of a window row are one run of channels,
 * cut into fewer steps when c_in is no multiple of a step: then weights are packed both ways.
 *
 * The tiles of a row all have the same number of pixels, the least that needs no more tiles than 16
 * would; the last begins early, over pixels that another tile has too, of the same unit.
 *
 * Finished sums go to a buffer in L1, and the vector units finish them (epilogue_avx512.h) while
 * the next products are under way: a few pixels after each step.
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
    TILES = 4,           /* of pixels in work at once */
    SUMS = TILES * TILE, /* bytes of their sums */
    PIXELS = TILES * 16,
    AT_ONCE = 4,       /* pixels that are finished together */
    UNIT_TILES = 4,    /* of a unit of a flat image */
    FEW_UNITS = 16,    /* with fewer by pixels alone, channels are split, too */
    WEIGHTS = 1 << 19, /* bytes of weights in work at once */
    NEEDED = VLY_CPU_AMX | VLY_CPU_AVX512 | VLY_CPU_AVX512_BF16 | VLY_CPU_AVX512_VBMI,
};

/* How the products of an output are cut into steps: `runs` stretches of `taps` taps, each of
 * `steps` steps of `step` bytes, the last up to the end of the stretch, over channels that another
 * has. */
typedef struct cut {
    int runs, taps, bytes; /* of a stretch */
    int steps, step;
    size_t panel; /* packed bytes of CO channels */
} cut;

static cut cut_of(const vly_conv_desc *d, bool is_joined)
{
    cut c = {.taps = is_joined ? d->kernel_w : 1};

    c.bytes = c.taps * d->c_in * (int)vly_elem_size(d->in);
    c.runs = d->kernel_h * d->kernel_w / c.taps;
    c.steps = (c.bytes + STEP - 1) / STEP;
    c.step = c.bytes < STEP ? c.bytes : STEP;
    c.panel = (size_t)c.runs * (size_t)c.steps * (size_t)c.step * CO;
    return c;
}

static int steps_of(const cut *c)
{
    return c->runs * c->steps;
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

/* --- packing: [apart, joined] panels of [steps] of [4 bytes of channels][CO][those 4 bytes], then
 * the sums of the weights, [c_out] int32 --- */

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

/* Where byte k of run r is in the column of the first channel of a panel. Bytes of the last step
 * that the one before has, too, stay 0: for these an infinite input gives NaN. */
static size_t place_of(const cut *c, int r, int k)
{
    int i = k / STEP;

    if (i == c->steps - 1)
        k += c->steps * c->step - c->bytes;
    k -= i * STEP;
    return ((size_t)r * (size_t)c->steps + (size_t)i) * (size_t)c->step * CO +
           (size_t)(k / 4) * STEP + (size_t)(k % 4);
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
    int turns;       /* in which they are finished */
    int pixel_units; /* by pixels */
    int groups;      /* of channel tiles */
    int group_tiles; /* channel tiles of a group */
} grid;

static grid grid_of(const vly_conv_desc *d)
{
    grid g = {.width = is_linear(d) ? d->n * d->h_out * d->w_out : d->w_out,
              .rows = is_linear(d) ? 1 : d->n * d->h_out};
    int tiles = channel_tiles(d), groups;

    g.across = (g.width + 15) / 16;
    g.height = (g.width + g.across - 1) / g.across;
    g.turns = g.height < AT_ONCE ? g.height : (g.height + AT_ONCE - 1) / AT_ONCE;
    g.pixel_units = is_linear(d) ? (g.across >= UNIT_TILES ? g.across / UNIT_TILES : 1) : g.rows;
    groups = (FEW_UNITS + g.pixel_units - 1) / g.pixel_units;
    groups = groups < tiles ? groups : tiles;
    g.group_tiles = (tiles + groups - 1) / groups;
    g.groups = (tiles + g.group_tiles - 1) / g.group_tiles;
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

/* What is special about an epilogue: nothing after scale and bias, SiLU (with a U8 output its scale
 * is in theirs, both times), SiLU and a residual after it, or anything. */
typedef enum finish_kind {
    FINISH_AFFINE,
    FINISH_SILU,
    FINISH_SILU_SUM,
    FINISH_ANY,
    FINISH_KINDS
} finish_kind;

static finish_kind finish_kind_of(const vly_conv_desc *d)
{
    if (d->act == VLY_ACT_SILU && d->residual != VLY_RESIDUAL_BEFORE)
        return d->residual == VLY_RESIDUAL_NONE ? FINISH_SILU : FINISH_SILU_SUM;
    if ((d->act == VLY_ACT_NONE || d->act == VLY_ACT_TABLE) && d->residual == VLY_RESIDUAL_NONE)
        return FINISH_AFFINE;
    return FINISH_ANY;
}

/* TILES tiles of pixels; of those past the end of a part, the products of the last one again. */
typedef struct block {
    const unsigned char *x[TILES]; /* first tap of a tile's first pixel; of all TILES */
    unsigned char *y[TILES];       /* channel 0 of the pixel */
    const unsigned char *residual[TILES];
    int real; /* tiles to finish */
} block;

/* Sums in the buffer that wait to be finished, in turns of AT_ONCE pixels. */
typedef struct pending {
    const block *block;
    const unsigned char *sums; /* [TILES][height][CO] */
    int64_t channel;
    int turn, n_turns;
    __mmask16 mask;
} pending;

typedef struct job job;
typedef void finish_fn(const job *j, pending *p, int count);

struct job {
    const vly_conv_call *call;
    const vly_conv_desc *d;
    grid g;
    cut cut;
    const unsigned char *panels;
    int64_t x_step;                                 /* bytes from pixel to pixel of a tile */
    int64_t y_pixel, residual_pixel, residual_size; /* bytes */
    uint8_t turn_tile[PIXELS], turn_pixel[PIXELS];  /* the first pixel of each turn of a block */
    int64_t *offsets;                               /* of the steps, bytes from the first tap */
    float *scale, *bias;                            /* [channel tiles * CO] */
    float *log_scale, *log_bias;                    /* those of the exponent of a SiLU to U8 */
    int32_t *start;                                 /* U8 input: first value of sums */
    unsigned char *sums;                            /* two buffers of SUMS */
    finish_fn *finish;
    float y_factor; /* U8 output: 1 / scale */
};

/* Sixteen channels of a pixel as they will be stored. */
VF_INLINE vf finish_vector(const job *j, const pending *p, const void *sums, const unsigned char *r,
                           finish_kind kind, vly_elem out, bool is_u8)
{
    const bool is_known = kind == FINISH_SILU || kind == FINISH_SILU_SUM;
    const vly_act act = is_known ? VLY_ACT_SILU : j->d->act;
    const vly_residual residual = kind == FINISH_SILU       ? VLY_RESIDUAL_NONE
                                  : kind == FINISH_SILU_SUM ? VLY_RESIDUAL_AFTER
                                                            : j->d->residual;
    vf sum = is_u8 ? _mm512_cvtepi32_ps(_mm512_load_si512(sums)) : _mm512_load_ps(sums);
    vf v = vf_fma(sum, vf_load(j->scale + p->channel), vf_load(j->bias + p->channel));
    if (kind == FINISH_AFFINE)
        return v;
    if (kind == FINISH_SILU && out == VLY_ELEM_U8)
        return epilogue_logistic(
            v, vf_fma(sum, vf_load(j->log_scale + p->channel), vf_load(j->log_bias + p->channel)));
    if (residual == VLY_RESIDUAL_BEFORE)
        v = vf_add(v, epilogue_load(j->call->residual, r, p->mask));
    v = epilogue_act(act, v, j->call->alpha, j->call->beta, out);
    if (residual == VLY_RESIDUAL_AFTER)
        v = vf_add(v, epilogue_load(j->call->residual, r, p->mask));
    return out == VLY_ELEM_U8 ? vf_mul(v, vf_set(j->y_factor)) : v;
}

/* All 64 bytes through a table of 256. */
VF_INLINE __m512i look_up(const uint8_t *table, __m512i q)
{
    __m512i low =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(table), q, _mm512_loadu_si512(table + 64));
    __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), q,
                                            _mm512_loadu_si512(table + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(q), low, high);
}

/* Stores AT_ONCE pixels, `step` bytes from each other. */
VF_INLINE void store(const job *j, const vf *v, unsigned char *y, int64_t step, __mmask16 mask,
                     vly_elem out)
{
    if (out == VLY_ELEM_U8) {
        __m512i q = epilogue_u8(v, j->call->y->zero);
        q = j->d->act == VLY_ACT_TABLE ? look_up(j->call->table, q) : q;
        _mm_mask_storeu_epi8(y, mask, _mm512_castsi512_si128(q));
        _mm_mask_storeu_epi8(y + step, mask, _mm512_extracti32x4_epi32(q, 1));
        _mm_mask_storeu_epi8(y + 2 * step, mask, _mm512_extracti32x4_epi32(q, 2));
        _mm_mask_storeu_epi8(y + 3 * step, mask, _mm512_extracti32x4_epi32(q, 3));
    } else if (out == VLY_ELEM_BF16) {
        _mm256_mask_storeu_epi16(y, mask, epilogue_bf16(v[0]));
        _mm256_mask_storeu_epi16(y + step, mask, epilogue_bf16(v[1]));
        _mm256_mask_storeu_epi16(y + 2 * step, mask, epilogue_bf16(v[2]));
        _mm256_mask_storeu_epi16(y + 3 * step, mask, epilogue_bf16(v[3]));
    } else {
        _mm512_mask_storeu_ps(y, mask, v[0]);
        _mm512_mask_storeu_ps(y + step, mask, v[1]);
        _mm512_mask_storeu_ps(y + 2 * step, mask, v[2]);
        _mm512_mask_storeu_ps(y + 3 * step, mask, v[3]);
    }
}

/* Takes `count` turns, or what is left. The last pixels of a tile may have been finished before,
 * and tiles of fewer than AT_ONCE have one a turn.
 *
 * The addresses of stores must be known early (no divisions, nothing through vector registers):
 * tile loads of the next step wait for them. */
VF_INLINE void finish(const job *j, pending *p, int count, finish_kind kind, vly_elem out,
                      bool is_u8)
{
    const bool is_narrow = j->g.height < AT_ONCE;
    const int64_t y_step = is_narrow ? 0 : j->y_pixel, r_step = is_narrow ? 0 : j->residual_pixel;
    const ptrdiff_t s_step = is_narrow ? 0 : STEP;
    const int stop = count < p->n_turns - p->turn ? p->turn + count : p->n_turns;

    for (int turn = p->turn; turn < stop; turn++) {
        const int64_t tile = j->turn_tile[turn], i = j->turn_pixel[turn];
        const unsigned char *s = p->sums + (tile * j->g.height + i) * STEP;
        const unsigned char *r =
            p->block->residual[tile] + i * j->residual_pixel + p->channel * j->residual_size;
        unsigned char *y =
            p->block->y[tile] + i * j->y_pixel + p->channel * (int64_t)vly_elem_size(out);
        vf v[AT_ONCE] = {finish_vector(j, p, s, r, kind, out, is_u8),
                         finish_vector(j, p, s + s_step, r + r_step, kind, out, is_u8),
                         finish_vector(j, p, s + 2 * s_step, r + 2 * r_step, kind, out, is_u8),
                         finish_vector(j, p, s + 3 * s_step, r + 3 * r_step, kind, out, is_u8)};
        store(j, v, y, y_step, p->mask, out);
    }
    p->turn = stop;
}

/* Not inlined: the registers belong to the addresses of tiles, else. */
#define FINISH(kind, out, is_u8)                                                                   \
    static __attribute__((noinline)) void finish_##kind##_##out##_##is_u8(const job *j,            \
                                                                          pending *p, int count)   \
    {                                                                                              \
        finish(j, p, count, FINISH_##kind, VLY_ELEM_##out, is_u8);                                 \
    }
#define FOR_KINDS(X, out, is_u8)                                                                   \
    X(AFFINE, out, is_u8)                                                                          \
    X(SILU, out, is_u8)                                                                            \
    X(SILU_SUM, out, is_u8)                                                                        \
    X(ANY, out, is_u8)
#define FOR_OUTS(X, is_u8)                                                                         \
    FOR_KINDS(X, F32, is_u8) FOR_KINDS(X, BF16, is_u8) FOR_KINDS(X, U8, is_u8)

FOR_OUTS(FINISH, 0)
FOR_OUTS(FINISH, 1)

static finish_fn *const finishers[2][3][FINISH_KINDS] = {
#define ENTRY(kind, out, is_u8)                                                                    \
    [is_u8][VLY_ELEM_##out][FINISH_##kind] = finish_##kind##_##out##_##is_u8,
    FOR_OUTS(ENTRY, 0) FOR_OUTS(ENTRY, 1)
#undef ENTRY
};

/* --- products --- */

#define PRODUCT(sum, a, b)                                                                         \
    do {                                                                                           \
        if (is_u8)                                                                                 \
            _tile_dpbusd(sum, a, b);                                                               \
        else                                                                                       \
            _tile_dpbf16ps(sum, a, b);                                                             \
    } while (0)

/* Sums of the block for channels `channel`.. into the buffer, while p is finished. */
VF_INLINE void multiply(const job *j, const block *b, int channel, unsigned char *sums, pending *p,
                        bool is_u8)
{
    const size_t w_step = (size_t)j->cut.step * CO;
    const unsigned char *w = j->panels + (size_t)(channel / CO) * j->cut.panel;
    const int n_steps = steps_of(&j->cut), each = (p->n_turns + n_steps - 1) / n_steps;
    const int64_t step = j->x_step, tile = (int64_t)j->g.height * STEP;

    if (is_u8) {
        const int32_t *start = j->start + channel;
        _tile_loadd(0, start, 0);
        _tile_loadd(1, start, 0);
        _tile_loadd(2, start, 0);
        _tile_loadd(3, start, 0);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int i = 0; i < n_steps; i++, w += w_step) {
        const int64_t at = j->offsets[i];
        _tile_loadd(4, w, STEP);
        _tile_loadd(5, b->x[0] + at, step);
        _tile_loadd(6, b->x[1] + at, step);
        _tile_loadd(7, b->x[2] + at, step);
        PRODUCT(0, 5, 4);
        PRODUCT(1, 6, 4);
        PRODUCT(2, 7, 4);
        _tile_loadd(5, b->x[3] + at, step);
        PRODUCT(3, 5, 4);
        if (p->turn < p->n_turns)
            j->finish(j, p, each);
    }
    _tile_stored(0, sums, STEP);
    _tile_stored(1, sums + tile, STEP);
    _tile_stored(2, sums + 2 * tile, STEP);
    _tile_stored(3, sums + 3 * tile, STEP);
}

/* Walks the tiles of a part, without divisions. */
typedef struct cursor {
    int64_t tile, n, y, across;
} cursor;

static cursor cursor_at(const job *j, int64_t tile)
{
    int64_t row = tile / j->g.across;
    cursor c = {.tile = tile, .y = row, .across = tile % j->g.across};

    if (!is_linear(j->d)) {
        c.n = row / j->d->h_out;
        c.y = row % j->d->h_out;
    }
    return c;
}

static void cursor_next(const job *j, cursor *c)
{
    c->tile++;
    if (++c->across < j->g.across)
        return;
    c->across = 0;
    if (++c->y == j->d->h_out) {
        c->y = 0;
        c->n++;
    }
}

/* The next tiles up to end-1. */
static void block_init(const job *j, block *b, cursor *c, int64_t end)
{
    const vly_conv_desc *d = j->d;
    const vly_image *x = j->call->x, *y = j->call->y, *r = j->call->residual;

    b->real = end - c->tile < TILES ? (int)(end - c->tile) : TILES;
    for (int i = 0; i < TILES; i++) {
        int64_t left = c->across * j->g.height;
        left = left > j->g.width - j->g.height ? j->g.width - j->g.height : left;
        if (i > 0 && i >= b->real) {
            b->x[i] = b->x[i - 1];
            continue;
        }
        b->x[i] = vly_image_at(x, c->n, c->y * d->stride_h - d->pad_top,
                               left * d->stride_w - d->pad_left);
        b->y[i] = vly_image_at(y, c->n, c->y, left);
        b->residual[i] = r != NULL ? vly_image_at(r, c->n, c->y, left) : b->y[i];
        cursor_next(j, c);
    }
}

/* Tiles first..end-1 of pixels, left..right-1 of channels. */
VF_INLINE void run_part(const job *j, int64_t first, int64_t end, int left, int right, bool is_u8)
{
    block blocks[2], *b = blocks;
    pending queue[2] = {{.n_turns = 0}};
    cursor at = cursor_at(j, first);
    int turn = 0;

    while (at.tile < end) {
        b = b == blocks ? blocks + 1 : blocks;
        block_init(j, b, &at, end);
        for (int c = left; c < right; c++, turn ^= 1) {
            unsigned char *sums = j->sums + (ptrdiff_t)turn * SUMS;
            int channels = j->d->c_out - c * CO;
            multiply(j, b, c * CO, sums, &queue[turn ^ 1], is_u8);
            queue[turn] =
                (pending){.block = b,
                          .sums = sums,
                          .channel = (int64_t)c * CO,
                          .n_turns = b->real * j->g.turns,
                          .mask = (__mmask16)(channels >= CO ? 0xffff : (1 << channels) - 1)};
        }
    }
    j->finish(j, &queue[turn ^ 1], PIXELS);
}

/* --- runs --- */

/* Memory of a run: sums, then scale, bias, those of the exponent, and start of [channel tiles *
 * CO], then offsets. */
static size_t scratch_bytes(const vly_conv_desc *d)
{
    cut c = cut_of(d, false);
    return (size_t)2 * SUMS + (size_t)channel_tiles(d) * CO * 5 * sizeof(float) +
           (size_t)steps_of(&c) * sizeof(int64_t);
}

static void set_factors(job *j)
{
    const vly_conv_call *c = j->call;
    const int32_t *sums =
        (const int32_t *)(const void *)((const unsigned char *)c->packed + sums_offset(j->d));
    finish_kind kind = finish_kind_of(j->d);
    bool is_divided = j->d->out == VLY_ELEM_U8 && (kind == FINISH_AFFINE || kind == FINISH_SILU);

    j->y_factor = j->d->out == VLY_ELEM_U8 ? 1.0f / c->y->scale : 1.0f;
    for (int o = 0; o < channel_tiles(j->d) * CO; o++) {
        bool is_real = o < j->d->c_out;
        float factor = is_divided ? j->y_factor : 1.0f;
        float scale = is_real && c->scale != NULL ? c->scale[o] : 1.0f;
        float bias = is_real && c->bias != NULL ? c->bias[o] : 0.0f;
        j->scale[o] = scale * factor;
        j->bias[o] = bias * factor;
        j->log_scale[o] = scale * -EPILOGUE_LOG2_E;
        j->log_bias[o] = bias * -EPILOGUE_LOG2_E;
        j->start[o] = -c->x->zero * sums[o];
    }
}

static void set_offsets(job *j)
{
    const vly_conv_desc *d = j->d;
    const vly_image *x = j->call->x;
    int64_t size = (int64_t)vly_elem_size(x->elem), *to = j->offsets;

    for (int r = 0; r < j->cut.runs; r++) {
        int64_t tap = (int64_t)r * j->cut.taps;
        int64_t run = (tap / d->kernel_w * d->dilation_h * x->row +
                       tap % d->kernel_w * d->dilation_w * x->pixel) *
                      size;
        for (int i = 0; i < j->cut.steps; i++)
            *to++ = run + (i < j->cut.steps - 1 ? i * STEP : j->cut.bytes - j->cut.step);
    }
}

static void job_init(job *j, const vly_conv_call *call, void *scratch)
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
    if (call->residual != NULL) {
        j->residual_size = (int64_t)vly_elem_size(call->residual->elem);
        j->residual_pixel = call->residual->pixel * j->residual_size;
    }
    for (int i = 0; i < TILES * j->g.turns; i++) {
        int pixel = i % j->g.turns * (j->g.height < AT_ONCE ? 1 : AT_ONCE);
        j->turn_tile[i] = (uint8_t)(i / j->g.turns);
        pixel =
            pixel > j->g.height - AT_ONCE && j->g.height >= AT_ONCE ? j->g.height - AT_ONCE : pixel;
        j->turn_pixel[i] = (uint8_t)pixel;
    }
    j->sums = scratch;
    j->scale = (float *)(void *)(j->sums + (size_t)(2 * SUMS));
    j->bias = j->scale + channels;
    j->log_scale = j->bias + channels;
    j->log_bias = j->log_scale + channels;
    j->start = (int32_t *)(void *)(j->log_bias + channels);
    j->offsets = (int64_t *)(void *)(j->start + channels);
    j->finish = finishers[d->in == VLY_ELEM_U8][d->out][finish_kind_of(d)];
    set_factors(j);
    set_offsets(j);
}

/* Tiles 0-3: sums; 4: weights; 5-7: input. */
static void tiles_configure(const job *j)
{
    struct {
        uint8_t palette, start_row, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } config __attribute__((aligned(64))) = {.palette = 1};

    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)j->g.height;
        config.bytes[i] = (uint16_t)(i < 5 ? STEP : j->cut.step);
    }
    config.rows[4] = (uint8_t)(j->cut.step / 4);
    /* the loads that follow do not tell the compiler what they read */
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&config);
}

/* Channel tiles whose weights stay in the second cache level while a part's pixels pass. */
static int tiles_at_once(const cut *c)
{
    size_t n = WEIGHTS / c->panel;
    return n < 1 ? 1 : (int)n;
}

VF_INLINE void run(const vly_conv_call *call, int begin, int end, void *scratch, bool is_u8)
{
    const vly_conv_desc *d = call->desc;
    job j;

    job_init(&j, call, scratch);
    tiles_configure(&j);
    for (int u = begin, next; u < end; u = next) {
        int group = u / j.g.pixel_units, from = u % j.g.pixel_units;
        int left = group * j.g.group_tiles, right = left + j.g.group_tiles;
        int64_t first = first_tile(d, &j.g, from);
        next = (group + 1) * j.g.pixel_units < end ? (group + 1) * j.g.pixel_units : end;
        right = right < channel_tiles(d) ? right : channel_tiles(d);
        for (int c = left, n = tiles_at_once(&j.cut); c < right; c += n)
            run_part(&j, first, first_tile(d, &j.g, from + next - u), c,
                     c + n < right ? c + n : right, is_u8);
    }
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

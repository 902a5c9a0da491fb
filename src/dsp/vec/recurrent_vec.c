/* SPDX-License-Identifier: MIT */
/*
 * Recurrent cells on vectors, compiled once per instruction set.
 *
 * Lanes are hidden units. A tile is `mr` sequences by `nu` vectors of units: the sums of all gates
 * of a tile stay in registers over the inputs and the old state, and the gates' functions follow
 * at once. CHUNK sequences go through all steps together, so that their states stay in L1, and a
 * slice of the weights serves all of them before the next is loaded. One sequence alone takes up
 * to four vectors of units at a time, as many independent sums as the latency of a multiply-add
 * needs.
 *
 * Packed: bias [vector][sum][lane], then w [vector][input][gate][lane], then r likewise; units past
 * `hidden` have zeros, and their state is not read. GRU's gates z and r, which the candidate must
 * wait for unless linear_before_reset, have r apart: [vector][hidden][z r][lane], then
 * [vector][hidden] [lane]. Weights and biases are multiplied by what makes 2^sum of the exponential
 * in the gate's function: -log2 e for a sigmoid, -2 log2 e for a tanh.
 */
#include "dsp/vec/vec.h"
#include "dsp/vec/vec_isa.h"

#include <string.h>

enum {
    CHUNK = 48,
    SUMS_MAX = 4,
    IS_WIDE = VF_REGISTERS == 32,
    ROWS_MAX = IS_WIDE ? 6 : 3,  /* of a tile */
    UNITS_MAX = IS_WIDE ? 4 : 2, /* vectors of them in a tile */
};

#define INLINE static inline __attribute__((always_inline))
/* Before a loop over constants: arrays of vectors become registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define LOG2_E 1.44269504088896341

/* How a tile computes. GRU without linear_before_reset takes two passes over the state. */
typedef enum flow {
    FLOW_TANH,
    FLOW_RELU,
    FLOW_LSTM,
    FLOW_GRU_LINEAR,
    FLOW_GRU_GATES,
    FLOW_GRU_CANDIDATE,
    N_FLOWS
} flow;

/* Weights and states of a chunk in one step. */
typedef struct step {
    ptrdiff_t input, hidden, padded; /* padded: hidden in whole vectors */
    const float *bias, *w, *r, *r_candidate;
    const float *x;
    ptrdiff_t x_row;
    float *h, *next; /* [CHUNK][padded]; next: also GRU's inputs of the candidate */
    float *c;        /* LSTM */
    float *z, *kept; /* GRU: update gate, and the state that the reset gate lets through */
    float *y;        /* NULL: none */
    ptrdiff_t y_row;
} step;

typedef vf tile_sums[ROWS_MAX][UNITS_MAX][SUMS_MAX];

/* ---- gates -------------------------------------------------------------------------------- */

/* 1 / (1 + 2^t) */
INLINE vf logistic(vf t)
{
    t = vf_min(vf_set(126.0f), t);                     /* NaN stays */
    vf f = vf_fraction(t), p = vf_set(0.00187757669f); /* 2^f on [0, 1) within 9e-8 of it */
    p = vf_fma(p, f, vf_set(0.00898934063f));
    p = vf_fma(p, f, vf_set(0.0558263175f));
    p = vf_fma(p, f, vf_set(0.240153611f));
    p = vf_fma(p, f, vf_set(0.693153083f));
    p = vf_fma(p, f, vf_set(0.99999994f));
    return vf_recip(vf_add(vf_set(1.0f), vf_scale_floor(p, t)));
}

/* tanh(v), for t = -2 log2 e * v */
INLINE vf tanh_of(vf t)
{
    return vf_fma(vf_set(2.0f), logistic(t), vf_set(-1.0f));
}

/* ---- a tile ------------------------------------------------------------------------------- */

/* Sums 0 .. gates - 2 and `last` += products of n values of each row with w. */
INLINE void add_products(tile_sums s, const float *a, ptrdiff_t a_row, ptrdiff_t n, const float *w,
                         int mr, int nu, int gates, int last)
{
    const ptrdiff_t lanes = VF_LANES, unit = n * gates * lanes;

    for (ptrdiff_t k = 0; k < n; k++, a++, w += gates * lanes) {
        vf v[ROWS_MAX];
        UNROLL for (int m = 0; m < mr; m++) v[m] = vf_set(a[m * a_row]);
        UNROLL for (int u = 0; u < nu; u++) UNROLL for (int g = 0; g < gates; g++)
        {
            vf factor = vf_load(w + u * unit + g * lanes);
            int i = g == gates - 1 ? last : g;
            UNROLL for (int m = 0; m < mr; m++) s[m][u][i] = vf_fma(v[m], factor, s[m][u][i]);
        }
    }
}

INLINE void put_state(const step *t, ptrdiff_t row, ptrdiff_t unit, vf h)
{
    vf_store(t->next + row * t->padded + unit, h);
    if (t->y == NULL)
        return;
    if (unit + VF_LANES <= t->hidden)
        vf_store(t->y + row * t->y_row + unit, h);
    else
        vf_store_n(t->y + row * t->y_row + unit, h, t->hidden - unit);
}

INLINE void finish_lstm(const step *t, const vf s[SUMS_MAX], ptrdiff_t row, ptrdiff_t unit)
{
    float *at = t->c + row * t->padded + unit;
    vf in = logistic(s[0]), out = logistic(s[1]), forget = logistic(s[2]);
    vf c = vf_fma(forget, vf_load(at), vf_mul(in, tanh_of(s[3])));

    vf_store(at, c);
    put_state(t, row, unit, vf_mul(out, tanh_of(vf_mul(c, vf_set((float)(-2.0 * LOG2_E))))));
}

/* z, and the sum that the candidate is made of */
INLINE void finish_gru(const step *t, vf z, vf candidate, ptrdiff_t row, ptrdiff_t unit)
{
    vf h = vf_load(t->h + row * t->padded + unit), c = tanh_of(candidate);
    put_state(t, row, unit, vf_fma(z, vf_sub(h, c), c));
}

INLINE void finish_gates(const step *t, const vf s[SUMS_MAX], ptrdiff_t row, ptrdiff_t unit)
{
    ptrdiff_t at = row * t->padded + unit;

    vf_store(t->z + at, logistic(s[0]));
    vf_store(t->kept + at, vf_mul(logistic(s[1]), vf_load(t->h + at)));
    vf_store(t->next + at, s[2]);
}

INLINE void finish(const step *t, flow f, const vf s[SUMS_MAX], ptrdiff_t row, ptrdiff_t unit)
{
    if (f == FLOW_TANH)
        put_state(t, row, unit, tanh_of(s[0]));
    else if (f == FLOW_RELU)
        put_state(t, row, unit, vf_max(vf_set(0.0f), s[0]));
    else if (f == FLOW_LSTM)
        finish_lstm(t, s, row, unit);
    else if (f == FLOW_GRU_LINEAR)
        finish_gru(t, logistic(s[0]), vf_fma(logistic(s[1]), s[3], s[2]), row, unit);
    else if (f == FLOW_GRU_GATES)
        finish_gates(t, s, row, unit);
    else
        finish_gru(t, vf_load(t->z + row * t->padded + unit), s[0], row, unit);
}

INLINE int sums_of(flow f)
{
    return f == FLOW_LSTM || f == FLOW_GRU_LINEAR ? 4 : f == FLOW_GRU_GATES ? 3 : 1;
}

/* Rows from `row` on by vectors of units from u on. */
INLINE void tile(const step *t, ptrdiff_t row, ptrdiff_t u, flow f, int mr, int nu)
{
    int n_sums = sums_of(f), gates_x = f == FLOW_GRU_LINEAR ? 3 : n_sums;
    int gates_h = f == FLOW_GRU_GATES ? 2 : gates_x;
    const float *x = t->x + row * t->x_row, *h = t->h + row * t->padded;
    tile_sums s;

    UNROLL for (int i = 0; i < nu; i++) UNROLL for (int g = 0; g < n_sums; g++)
    {
        vf bias = vf_load(t->bias + ((u + i) * n_sums + g) * VF_LANES);
        UNROLL for (int m = 0; m < mr; m++) s[m][i][g] =
            f == FLOW_GRU_CANDIDATE ? vf_load(t->next + (row + m) * t->padded + (u + i) * VF_LANES)
                                    : bias;
    }
    if (f == FLOW_GRU_CANDIDATE) {
        add_products(s, t->kept + row * t->padded, t->padded, t->hidden,
                     t->r_candidate + u * t->hidden * VF_LANES, mr, nu, 1, 0);
    } else {
        add_products(s, x, t->x_row, t->input, t->w + u * t->input * gates_x * VF_LANES, mr, nu,
                     gates_x, gates_x - 1);
        add_products(s, h, t->padded, t->hidden, t->r + u * t->hidden * gates_h * VF_LANES, mr, nu,
                     gates_h, f == FLOW_GRU_LINEAR ? 3 : gates_h - 1);
    }
    UNROLL for (int i = 0; i < nu; i++) UNROLL for (int m = 0; m < mr; m++)
        finish(t, f, s[m][i], row + m, (u + i) * VF_LANES);
}

typedef void tile_fn(const step *t, ptrdiff_t row, ptrdiff_t u);

#define TILE(f, mr, nu)                                                                            \
    static void tile_##f##_##mr##_##nu(const step *t, ptrdiff_t row, ptrdiff_t u)                  \
    {                                                                                              \
        tile(t, row, u, f, mr, nu);                                                                \
    }
#if VF_REGISTERS == 32
#define TILES(f)                                                                                   \
    TILE(f, 1, 1)                                                                                  \
    TILE(f, 1, 2)                                                                                  \
    TILE(f, 1, 3)                                                                                  \
    TILE(f, 1, 4)                                                                                  \
    TILE(f, 2, 1) TILE(f, 2, 2) TILE(f, 3, 1) TILE(f, 4, 1) TILE(f, 5, 1) TILE(f, 6, 1)
#define TILE_ROW(f)                                                                                \
    [f] = {{tile_##f##_1_1, tile_##f##_1_2, tile_##f##_1_3, tile_##f##_1_4},                       \
           {tile_##f##_2_1, tile_##f##_2_2},                                                       \
           {tile_##f##_3_1},                                                                       \
           {tile_##f##_4_1},                                                                       \
           {tile_##f##_5_1},                                                                       \
           {tile_##f##_6_1}}
static const int units_max[ROWS_MAX + 1] = {0, 4, 2, 1, 1, 1, 1};
#else
#define TILES(f)    TILE(f, 1, 1) TILE(f, 1, 2) TILE(f, 2, 1) TILE(f, 3, 1)
#define TILE_ROW(f) [f] = {{tile_##f##_1_1, tile_##f##_1_2}, {tile_##f##_2_1}, {tile_##f##_3_1}}
static const int units_max[ROWS_MAX + 1] = {0, 2, 1, 1};
#endif

TILES(FLOW_TANH)
TILES(FLOW_RELU)
TILES(FLOW_LSTM)
TILES(FLOW_GRU_LINEAR)
TILES(FLOW_GRU_GATES)
TILES(FLOW_GRU_CANDIDATE)

static tile_fn *const tiles[N_FLOWS][ROWS_MAX][UNITS_MAX] = {
    TILE_ROW(FLOW_TANH),       TILE_ROW(FLOW_RELU),      TILE_ROW(FLOW_LSTM),
    TILE_ROW(FLOW_GRU_LINEAR), TILE_ROW(FLOW_GRU_GATES), TILE_ROW(FLOW_GRU_CANDIDATE)};

/* ---- packing ------------------------------------------------------------------------------ */

static ptrdiff_t vectors_of(const vly_cell_desc *d)
{
    return (ptrdiff_t)(d->hidden + VF_LANES - 1) / VF_LANES;
}

static bool is_two_pass(const vly_cell_desc *d)
{
    return d->kind == VLY_CELL_GRU && !d->linear_before_reset;
}

static flow flow_of(const vly_cell_desc *d)
{
    if (d->kind == VLY_CELL_LSTM)
        return FLOW_LSTM;
    if (d->kind == VLY_CELL_GRU)
        return d->linear_before_reset ? FLOW_GRU_LINEAR : FLOW_GRU_GATES;
    return d->is_relu ? FLOW_RELU : FLOW_TANH;
}

static size_t packed_bytes(const vly_cell_desc *d)
{
    size_t gates = (size_t)vly_cell_gates(d->kind), sums = (size_t)sums_of(flow_of(d));
    size_t each = sums + gates * (size_t)(d->input + d->hidden);

    return each * (size_t)vectors_of(d) * VF_LANES * sizeof(float);
}

/* What the sums of a gate are multiplied by. */
static float gate_scale(const vly_cell_desc *d, int gate)
{
    int candidate = vly_cell_gates(d->kind) - 1;

    if (d->is_relu && d->kind == VLY_CELL_RNN)
        return 1.0f;
    return (float)(gate == candidate ? -2.0 * LOG2_E : -LOG2_E);
}

/* Gates first..last of a matrix [gates * hidden][n]. Returns where the next begins. */
static float *pack_matrix(const vly_cell_desc *d, const float *from, int64_t n, int first, int last,
                          float *to)
{
    for (int64_t u = 0; u < vectors_of(d); u++)
        for (int64_t k = 0; k < n; k++)
            for (int g = first; g <= last; g++)
                for (int64_t l = 0; l < VF_LANES; l++) {
                    int64_t unit = u * VF_LANES + l;
                    *to++ = unit < d->hidden
                                ? from[(g * d->hidden + unit) * n + k] * gate_scale(d, g)
                                : 0.0f;
                }
    return to;
}

/* Bias of sum i: of both sides, but where they are summed apart. */
static float bias_at(const vly_cell_desc *d, const float *b, int i, int64_t unit)
{
    int64_t rows = vly_cell_gates(d->kind) * d->hidden;
    bool is_split = flow_of(d) == FLOW_GRU_LINEAR && i >= 2;

    if (b == NULL || unit >= d->hidden)
        return 0.0f;
    if (is_split)
        return b[(i == 2 ? 0 : rows) + 2 * d->hidden + unit] * gate_scale(d, 2);
    return (b[i * d->hidden + unit] + b[rows + i * d->hidden + unit]) * gate_scale(d, i);
}

static void pack(const vly_cell_desc *d, const float *w, const float *r, const float *b,
                 void *packed)
{
    int n_sums = sums_of(flow_of(d)), last = vly_cell_gates(d->kind) - 1;
    float *to = packed;

    for (int64_t u = 0; u < vectors_of(d); u++)
        for (int i = 0; i < n_sums; i++)
            for (int64_t l = 0; l < VF_LANES; l++)
                *to++ = bias_at(d, b, i, u * VF_LANES + l);
    to = pack_matrix(d, w, d->input, 0, last, to);
    if (!is_two_pass(d)) {
        pack_matrix(d, r, d->hidden, 0, last, to);
        return;
    }
    to = pack_matrix(d, r, d->hidden, 0, last - 1, to);
    pack_matrix(d, r, d->hidden, last, last, to);
}

/* ---- steps -------------------------------------------------------------------------------- */

static size_t scratch_bytes(const vly_cell_desc *d)
{
    return 5 * (size_t)CHUNK * (size_t)vectors_of(d) * VF_LANES * sizeof(float);
}

static step step_of(const vly_cell_desc *d, const void *packed, float *scratch)
{
    ptrdiff_t n = vectors_of(d), padded = n * VF_LANES, block = CHUNK * padded;
    ptrdiff_t gates = vly_cell_gates(d->kind), gates_h = is_two_pass(d) ? 2 : gates;
    step t = {.input = (ptrdiff_t)d->input, .hidden = (ptrdiff_t)d->hidden, .padded = padded};

    t.bias = packed;
    t.w = t.bias + sums_of(flow_of(d)) * padded;
    t.r = t.w + gates * t.input * padded;
    t.r_candidate = t.r + gates_h * t.hidden * padded;
    t.h = scratch;
    t.next = scratch + block;
    t.c = t.z = scratch + 2 * block;
    t.kept = scratch + 3 * block;
    return t;
}

/* Part i of n things in k parts that differ by one at most. */
static ptrdiff_t part(ptrdiff_t n, ptrdiff_t k, ptrdiff_t i)
{
    return n * i / k;
}

static void run_flow(const step *t, flow f, ptrdiff_t rows)
{
    ptrdiff_t n_rows = (rows + ROWS_MAX - 1) / ROWS_MAX, vectors = t->padded / VF_LANES;
    ptrdiff_t most = n_rows > 1 ? 1 : units_max[rows], n_units = (vectors + most - 1) / most;

    for (ptrdiff_t j = 0; j < n_units; j++) {
        ptrdiff_t u = part(vectors, n_units, j), nu = part(vectors, n_units, j + 1) - u;
        for (ptrdiff_t i = 0; i < n_rows; i++) {
            ptrdiff_t row = part(rows, n_rows, i), mr = part(rows, n_rows, i + 1) - row;
            tiles[f][mr - 1][nu - 1](t, row, u);
        }
    }
}

static void load_states(const step *t, float *to, const float *from, int64_t from_row,
                        ptrdiff_t rows)
{
    memset(to, 0, (size_t)(rows * t->padded) * sizeof(*to));
    for (ptrdiff_t i = 0; from != NULL && i < rows; i++)
        memcpy(to + i * t->padded, from + i * from_row, (size_t)t->hidden * sizeof(*to));
}

static void store_states(const step *t, const float *from, float *to, int64_t to_row,
                         ptrdiff_t rows)
{
    for (ptrdiff_t i = 0; to != NULL && i < rows; i++)
        memcpy(to + i * to_row, from + i * t->padded, (size_t)t->hidden * sizeof(*to));
}

static const float *rows_from(const float *p, int64_t at)
{
    return p != NULL ? p + at : NULL;
}

static float *out_from(float *p, int64_t at)
{
    return p != NULL ? p + at : NULL;
}

static void run_chunk(const vly_cell_call *call, int64_t begin, ptrdiff_t rows, float *scratch)
{
    const vly_cell_desc *d = call->desc;
    step t = step_of(d, call->packed, scratch);
    flow f = flow_of(d);

    load_states(&t, t.h, rows_from(call->h, begin * call->state_row), call->state_row, rows);
    if (f == FLOW_LSTM)
        load_states(&t, t.c, rows_from(call->c, begin * call->state_row), call->state_row, rows);
    t.x_row = (ptrdiff_t)call->x_row;
    t.y_row = (ptrdiff_t)call->y_row;
    for (int64_t i = 0; i < call->steps; i++) {
        int64_t at = call->reverse ? call->steps - 1 - i : i;
        t.x = call->x + begin * call->x_row + at * call->x_step;
        t.y = out_from(call->y, begin * call->y_row + at * call->y_step);
        run_flow(&t, f, rows);
        if (f == FLOW_GRU_GATES)
            run_flow(&t, FLOW_GRU_CANDIDATE, rows);
        float *old = t.h;
        t.h = t.next;
        t.next = old;
    }
    store_states(&t, t.h, out_from(call->h_last, begin * call->last_row), call->last_row, rows);
    if (f == FLOW_LSTM)
        store_states(&t, t.c, out_from(call->c_last, begin * call->last_row), call->last_row, rows);
}

static void run(const vly_cell_call *call, int64_t begin, int64_t end, void *scratch)
{
    int64_t n = (end - begin + CHUNK - 1) / CHUNK;

    for (int64_t i = 0; i < n; i++) {
        ptrdiff_t at = part((ptrdiff_t)(end - begin), (ptrdiff_t)n, (ptrdiff_t)i);
        ptrdiff_t to = part((ptrdiff_t)(end - begin), (ptrdiff_t)n, (ptrdiff_t)i + 1);
        run_chunk(call, begin + at, to - at, scratch);
    }
}

const vly_cell_kernel VF_NAME(vly_cell) = {
    .name = IS_WIDE ? "avx512" : "avx2",
    .cpu_flags = IS_WIDE ? VLY_CPU_AVX512 : VLY_CPU_AVX2,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};

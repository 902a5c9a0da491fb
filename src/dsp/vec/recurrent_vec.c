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
    TILE_MAX = ROWS_MAX,         /* rows by vectors */
};

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

/* Of each sum, and of each (row, vector of units) of a tile, units first. */
typedef vf tile_sums[SUMS_MAX][TILE_MAX];

/* ---- gates -------------------------------------------------------------------------------- */

/* v[i] becomes 1 / (1 + 2^v[i]). Side by side: each waits long for itself. */
VF_INLINE void logistic(vf *v, int n)
{
    vf f[TILE_MAX], p[TILE_MAX];

    VF_UNROLL
    for (int i = 0; i < n; i++)
        v[i] = vf_min(vf_set(126.0f), v[i]); /* NaN stays */
    VF_UNROLL
    for (int i = 0; i < n; i++)
        f[i] = vf_fraction(v[i]);
    VF_UNROLL
    for (int i = 0; i < n; i++) /* 2^f on [0, 1) within 9e-8 of it */
        p[i] = vf_fma(vf_set(0.00187757669f), f[i], vf_set(0.00898934063f));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        p[i] = vf_fma(p[i], f[i], vf_set(0.0558263175f));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        p[i] = vf_fma(p[i], f[i], vf_set(0.240153611f));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        p[i] = vf_fma(p[i], f[i], vf_set(0.693153083f));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        p[i] = vf_fma(p[i], f[i], vf_set(0.99999994f));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        p[i] = vf_add(vf_set(1.0f), vf_scale_floor(p[i], v[i]));
    VF_UNROLL
    for (int i = 0; i < n; i++)
        v[i] = vf_recip(p[i]);
}

/* v[i] = -2 log2 e * u becomes tanh(u). */
VF_INLINE void tanh_all(vf *v, int n)
{
    logistic(v, n);
    VF_UNROLL
    for (int i = 0; i < n; i++)
        v[i] = vf_fma(vf_set(2.0f), v[i], vf_set(-1.0f));
}

/* ---- a tile ------------------------------------------------------------------------------- */

/* Sums 0 .. gates - 2 and `last` += products of n values of each row with w. */
VF_INLINE void add_products(tile_sums s, const float *a, ptrdiff_t a_row, ptrdiff_t n,
                            const float *w, int mr, int nu, int gates, int last)
{
    const ptrdiff_t lanes = VF_LANES, unit = n * gates * lanes;

    for (ptrdiff_t k = 0; k < n; k++, a++, w += gates * lanes) {
        vf v[ROWS_MAX];
        VF_UNROLL
        for (int m = 0; m < mr; m++)
            v[m] = vf_set(a[m * a_row]);
        VF_UNROLL
        for (int u = 0; u < nu; u++)
            VF_UNROLL
        for (int g = 0; g < gates; g++) {
            vf factor = vf_load(w + u * unit + g * lanes);
            int i = g == gates - 1 ? last : g;
            VF_UNROLL
            for (int m = 0; m < mr; m++)
                s[i][m * nu + u] = vf_fma(v[m], factor, s[i][m * nu + u]);
        }
    }
}

/* Where tile element i lies in a block of states. */
VF_INLINE ptrdiff_t at(const step *t, ptrdiff_t row, ptrdiff_t u, int nu, int i)
{
    return (row + i / nu) * t->padded + (u + i % nu) * VF_LANES;
}

VF_INLINE void put_states(const step *t, ptrdiff_t row, ptrdiff_t u, const vf *h, int nu, int n)
{
    VF_UNROLL
    for (int i = 0; i < n; i++)
        vf_store(t->next + at(t, row, u, nu, i), h[i]);
    if (t->y == NULL)
        return;
    VF_UNROLL
    for (int i = 0; i < n; i++) {
        ptrdiff_t unit = (u + i % nu) * VF_LANES;
        float *y = t->y + (row + i / nu) * t->y_row + unit;
        if (unit + VF_LANES <= t->hidden)
            vf_store(y, h[i]);
        else
            vf_store_n(y, h[i], t->hidden - unit);
    }
}

VF_INLINE void finish_lstm(const step *t, ptrdiff_t row, ptrdiff_t u, tile_sums s, int nu, int n)
{
    vf *in = s[0], *out = s[1], *forget = s[2], *g = s[3];

    logistic(in, n);
    tanh_all(g, n);
    logistic(forget, n);
    VF_UNROLL
    for (int i = 0; i < n; i++) {
        float *c = t->c + at(t, row, u, nu, i);
        g[i] = vf_fma(forget[i], vf_load(c), vf_mul(in[i], g[i]));
        vf_store(c, g[i]);
        g[i] = vf_mul(g[i], vf_set((float)(-2.0 * LOG2_E)));
    }
    logistic(out, n);
    tanh_all(g, n);
    VF_UNROLL
    for (int i = 0; i < n; i++)
        g[i] = vf_mul(out[i], g[i]);
    put_states(t, row, u, g, nu, n);
}

/* z: gates; c: sums that candidates are made of */
VF_INLINE void finish_gru(const step *t, ptrdiff_t row, ptrdiff_t u, const vf *z, vf *c, int nu,
                          int n)
{
    tanh_all(c, n);
    VF_UNROLL
    for (int i = 0; i < n; i++) {
        vf h = vf_load(t->h + at(t, row, u, nu, i));
        c[i] = vf_fma(z[i], vf_sub(h, c[i]), c[i]);
    }
    put_states(t, row, u, c, nu, n);
}

VF_INLINE void finish_gru_linear(const step *t, ptrdiff_t row, ptrdiff_t u, tile_sums s, int nu,
                                 int n)
{
    logistic(s[1], n);
    VF_UNROLL
    for (int i = 0; i < n; i++)
        s[2][i] = vf_fma(s[1][i], s[3][i], s[2][i]);
    logistic(s[0], n);
    finish_gru(t, row, u, s[0], s[2], nu, n);
}

VF_INLINE void finish_gates(const step *t, ptrdiff_t row, ptrdiff_t u, tile_sums s, int nu, int n)
{
    logistic(s[0], n);
    logistic(s[1], n);
    VF_UNROLL
    for (int i = 0; i < n; i++) {
        ptrdiff_t to = at(t, row, u, nu, i);
        vf_store(t->z + to, s[0][i]);
        vf_store(t->kept + to, vf_mul(s[1][i], vf_load(t->h + to)));
        vf_store(t->next + to, s[2][i]);
    }
}

VF_INLINE void finish(const step *t, ptrdiff_t row, ptrdiff_t u, flow f, tile_sums s, int nu, int n)
{
    vf z[TILE_MAX];

    if (f == FLOW_LSTM) {
        finish_lstm(t, row, u, s, nu, n);
    } else if (f == FLOW_GRU_LINEAR) {
        finish_gru_linear(t, row, u, s, nu, n);
    } else if (f == FLOW_GRU_GATES) {
        finish_gates(t, row, u, s, nu, n);
    } else if (f == FLOW_GRU_CANDIDATE) {
        VF_UNROLL
        for (int i = 0; i < n; i++)
            z[i] = vf_load(t->z + at(t, row, u, nu, i));
        finish_gru(t, row, u, z, s[0], nu, n);
    } else if (f == FLOW_TANH) {
        tanh_all(s[0], n);
        put_states(t, row, u, s[0], nu, n);
    } else {
        VF_UNROLL
        for (int i = 0; i < n; i++)
            s[0][i] = vf_max(vf_set(0.0f), s[0][i]);
        put_states(t, row, u, s[0], nu, n);
    }
}

VF_INLINE int sums_of(flow f)
{
    return f == FLOW_LSTM || f == FLOW_GRU_LINEAR ? 4 : f == FLOW_GRU_GATES ? 3 : 1;
}

/* Rows from `row` on by vectors of units from u on. */
VF_INLINE void tile(const step *t, ptrdiff_t row, ptrdiff_t u, flow f, int mr, int nu)
{
    int n_sums = sums_of(f), gates_x = f == FLOW_GRU_LINEAR ? 3 : n_sums;
    int gates_h = f == FLOW_GRU_GATES ? 2 : gates_x;
    const float *x = t->x + row * t->x_row, *h = t->h + row * t->padded;
    tile_sums s;

    VF_UNROLL
    for (int g = 0; g < n_sums; g++)
        VF_UNROLL
    for (int i = 0; i < mr * nu; i++)
        s[g][i] = f == FLOW_GRU_CANDIDATE
                      ? vf_load(t->next + at(t, row, u, nu, i))
                      : vf_load(t->bias + ((u + i % nu) * n_sums + g) * VF_LANES);
    if (f == FLOW_GRU_CANDIDATE) {
        add_products(s, t->kept + row * t->padded, t->padded, t->hidden,
                     t->r_candidate + u * t->hidden * VF_LANES, mr, nu, 1, 0);
    } else {
        add_products(s, x, t->x_row, t->input, t->w + u * t->input * gates_x * VF_LANES, mr, nu,
                     gates_x, gates_x - 1);
        add_products(s, h, t->padded, t->hidden, t->r + u * t->hidden * gates_h * VF_LANES, mr, nu,
                     gates_h, f == FLOW_GRU_LINEAR ? 3 : gates_h - 1);
    }
    finish(t, row, u, f, s, nu, mr * nu);
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

/* n things in `parts` parts that differ by one at most, the larger ones first. */
typedef struct split {
    ptrdiff_t parts, size, n_larger;
} split;

static split split_of(ptrdiff_t n, ptrdiff_t most)
{
    ptrdiff_t parts = (n + most - 1) / most;
    return (split){parts, n / parts, n % parts};
}

static void run_flow(const step *t, flow f, split rows, split units)
{
    ptrdiff_t u = 0;

    for (ptrdiff_t j = 0; j < units.parts; j++) {
        ptrdiff_t nu = units.size + (j < units.n_larger), row = 0;
        for (ptrdiff_t i = 0; i < rows.parts; i++) {
            ptrdiff_t mr = rows.size + (i < rows.n_larger);
            tiles[f][mr - 1][nu - 1](t, row, u);
            row += mr;
        }
        u += nu;
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
    split by_row = split_of(rows, ROWS_MAX);
    split by_unit = split_of(vectors_of(d), by_row.parts > 1 ? 1 : units_max[rows]);

    load_states(&t, t.h, rows_from(call->h, begin * call->state_row), call->state_row, rows);
    if (f == FLOW_LSTM)
        load_states(&t, t.c, rows_from(call->c, begin * call->state_row), call->state_row, rows);
    t.x_row = (ptrdiff_t)call->x_row;
    t.y_row = (ptrdiff_t)call->y_row;
    for (int64_t i = 0; i < call->steps; i++) {
        int64_t at = call->reverse ? call->steps - 1 - i : i;
        t.x = call->x + begin * call->x_row + at * call->x_step;
        t.y = out_from(call->y, begin * call->y_row + at * call->y_step);
        run_flow(&t, f, by_row, by_unit);
        if (f == FLOW_GRU_GATES)
            run_flow(&t, FLOW_GRU_CANDIDATE, by_row, by_unit);
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
    split chunks = split_of((ptrdiff_t)(end - begin), CHUNK);

    for (ptrdiff_t i = 0; i < chunks.parts; i++) {
        ptrdiff_t rows = chunks.size + (i < chunks.n_larger);
        run_chunk(call, begin, rows, scratch);
        begin += rows;
    }
}

const vly_cell_kernel VF_NAME(vly_cell) = {
    .name = VF_TITLE,
    .cpu_flags = VF_CPU,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .scratch_bytes = scratch_bytes,
    .run = run,
};

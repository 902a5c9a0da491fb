/* SPDX-License-Identifier: MIT */
/*
 * RNN, GRU, LSTM: one or two directions over batches of sequences. Each (direction, sequence) is
 * independent and runs by itself (dsp/recurrent.h).
 */
#include "engine/native/ops/rnn.h"

#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct gate_row {
    const char *name;
    vly_gate_fn fn;
    float alpha, beta; /* defaults */
} gate_row;

static const gate_row gate_rows[] = {
    {"Sigmoid", VLY_GATE_SIGMOID, 0.0f, 0.0f},
    {"Tanh", VLY_GATE_TANH, 0.0f, 0.0f},
    {"Relu", VLY_GATE_RELU, 0.0f, 0.0f},
    {"Affine", VLY_GATE_AFFINE, 1.0f, 0.0f},
    {"LeakyRelu", VLY_GATE_LEAKY_RELU, 0.01f, 0.0f},
    {"ThresholdedRelu", VLY_GATE_THRESHOLDED_RELU, 1.0f, 0.0f},
    {"ScaledTanh", VLY_GATE_SCALED_TANH, 1.0f, 1.0f},
    {"HardSigmoid", VLY_GATE_HARD_SIGMOID, 0.2f, 0.5f},
    {"Elu", VLY_GATE_ELU, 1.0f, 0.0f},
    {"Softsign", VLY_GATE_SOFTSIGN, 0.0f, 0.0f},
    {"Softplus", VLY_GATE_SOFTPLUS, 0.0f, 0.0f},
};

static const gate_row *find_gate(vly_str name)
{
    for (size_t i = 0; i < sizeof(gate_rows) / sizeof(gate_rows[0]); i++)
        if (vly_str_eq_nocase(name, vly_str_from(gate_rows[i].name)))
            return &gate_rows[i];
    return NULL;
}

static bool has_alpha(vly_gate_fn fn)
{
    return fn == VLY_GATE_AFFINE || fn == VLY_GATE_LEAKY_RELU || fn == VLY_GATE_THRESHOLDED_RELU ||
           fn == VLY_GATE_SCALED_TANH || fn == VLY_GATE_HARD_SIGMOID || fn == VLY_GATE_ELU;
}

static bool has_beta(vly_gate_fn fn)
{
    return fn == VLY_GATE_AFFINE || fn == VLY_GATE_SCALED_TANH || fn == VLY_GATE_HARD_SIGMOID;
}

static int n_acts(vly_cell_kind kind)
{
    return kind == VLY_CELL_RNN ? 1 : kind == VLY_CELL_GRU ? 2 : 3;
}

/* activations, with activation_alpha and _beta consumed in order by those that have one. */
static vly_status read_activations(vly_attrs *a, vly_rnn_params *p, vly_err *err)
{
    static const char *const usual[3] = {"Sigmoid", "Tanh", "Tanh"};
    size_t n, n_alpha, n_beta, i_alpha = 0, i_beta = 0;
    const vly_str *names = vly_attrs_strings(a, "activations", &n);
    const float *alpha = vly_attrs_floats(a, "activation_alpha", &n_alpha);
    const float *beta = vly_attrs_floats(a, "activation_beta", &n_beta);
    int per_dir = n_acts(p->kind), dirs = p->direction == VLY_RNN_BOTH ? 2 : 1;
    int n_want = per_dir * dirs;

    if (n != 0 && n != (size_t)n_want)
        return vly_fail(err, VLY_EINVAL, "attribute 'activations': expected %d names, got %zu",
                        n_want, n);
    for (int i = 0; i < per_dir * dirs; i++) {
        const char *def = p->kind == VLY_CELL_RNN ? "Tanh" : usual[i % per_dir];
        vly_str name = n > 0 ? names[i] : vly_str_from(def);
        const gate_row *row = find_gate(name);
        if (row == NULL)
            return vly_fail(err, VLY_EUNSUPPORTED, "activation '%.*s'", VLY_STR_ARG(name));
        vly_gate_act *act = &p->act[i / per_dir][i % per_dir];
        *act = (vly_gate_act){row->fn, row->alpha, row->beta};
        if (has_alpha(row->fn) && i_alpha < n_alpha)
            act->alpha = alpha[i_alpha++];
        if (has_beta(row->fn) && i_beta < n_beta)
            act->beta = beta[i_beta++];
    }
    return VLY_OK;
}

static vly_status rnn_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_rnn_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->kind = vly_str_is(ctx->proto->op_type, "GRU")    ? VLY_CELL_GRU
              : vly_str_is(ctx->proto->op_type, "LSTM") ? VLY_CELL_LSTM
                                                        : VLY_CELL_RNN;
    p->direction =
        vly_attrs_enum(&a, "direction", "forward\0reverse\0bidirectional\0", VLY_RNN_FORWARD);
    p->hidden = vly_attrs_int_in(&a, "hidden_size", 0, 0, INT32_MAX);
    p->batch_first = vly_attrs_int(&a, "layout", 0) != 0;
    p->clip = vly_attrs_float(&a, "clip", INFINITY);
    p->linear_before_reset = vly_attrs_int(&a, "linear_before_reset", 0) != 0;
    p->input_forget = vly_attrs_int(&a, "input_forget", 0) != 0;
    vly_status st = read_activations(&a, p, err);
    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

vly_rnn_sizes vly_rnn_sizes_of(const vly_op_ctx *ctx)
{
    const vly_rnn_params *p = ctx->params;
    const vly_shape *x = &ctx->in[VLY_RNN_X]->shape, *r = &ctx->in[VLY_RNN_R]->shape;

    return (vly_rnn_sizes){.steps = x->dim[p->batch_first ? 1 : 0],
                           .batch = x->dim[p->batch_first ? 0 : 1],
                           .input = x->dim[2],
                           .hidden = r->dim[2] >= 0  ? r->dim[2]
                                     : p->hidden > 0 ? p->hidden
                                                     : VLY_DIM_UNKNOWN,
                           .dirs = p->direction == VLY_RNN_BOTH ? 2 : 1};
}

/* Input i, where given, has this shape, as far as both are known. */
static vly_status check_shape(const vly_op_ctx *ctx, int i, const vly_shape *want, vly_err *err)
{
    const vly_tensor *t = vly_op_in(ctx, i);
    bool fits = t == NULL || t->shape.rank == want->rank;

    for (int d = 0; t != NULL && fits && d < want->rank; d++)
        fits = t->shape.dim[d] < 0 || want->dim[d] < 0 || t->shape.dim[d] == want->dim[d];
    if (fits)
        return VLY_OK;
    char text[VLY_SHAPE_TEXT_MAX], text_want[VLY_SHAPE_TEXT_MAX];
    return vly_fail(err, VLY_EINVAL, "input %d: expected shape %s, got %s", i,
                    vly_shape_text(want, text_want), vly_shape_text(&t->shape, text));
}

static vly_shape state_shape(const vly_rnn_params *p, const vly_rnn_sizes *s)
{
    return p->batch_first ? VLY_SHAPE(s->batch, s->dirs, s->hidden)
                          : VLY_SHAPE(s->dirs, s->batch, s->hidden);
}

static vly_status check_inputs(const vly_op_ctx *ctx, const vly_rnn_sizes *s, vly_err *err)
{
    const vly_rnn_params *p = ctx->params;
    int64_t rows = s->hidden < 0 ? VLY_DIM_UNKNOWN : vly_cell_gates(p->kind) * s->hidden;
    int64_t twice = rows < 0 ? rows : 2 * rows, peeps = s->hidden < 0 ? s->hidden : 3 * s->hidden;
    vly_shape state = state_shape(p, s);
    vly_status st = check_shape(ctx, VLY_RNN_W, &VLY_SHAPE(s->dirs, rows, s->input), err);

    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_R, &VLY_SHAPE(s->dirs, rows, s->hidden), err);
    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_B, &VLY_SHAPE(s->dirs, twice), err);
    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_LENS, &VLY_SHAPE(s->batch), err);
    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_H0, &state, err);
    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_C0, &state, err);
    if (st == VLY_OK)
        st = check_shape(ctx, VLY_RNN_P, &VLY_SHAPE(s->dirs, peeps), err);
    if (st == VLY_OK && vly_op_in(ctx, VLY_RNN_LENS) != NULL)
        st = vly_op_check_dtype(ctx, VLY_RNN_LENS, VLY_T(I32), err);
    if (st == VLY_OK)
        st = vly_op_check_same_dtype(ctx, VLY_RNN_W, VLY_RNN_B, err);
    return st == VLY_OK ? vly_op_check_same_dtype(ctx, VLY_RNN_H0, VLY_RNN_P, err) : st;
}

/* Floats of scratch for one (direction, sequence): gates, then h and c. */
static size_t item_floats(const vly_rnn_params *p, const vly_rnn_sizes *s)
{
    return vly_align_up(vly_cell_scratch(p->kind, s->hidden) + 2 * (size_t)s->hidden, 16);
}

static vly_status rnn_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_rnn_params *p = ctx->params;
    vly_status st = vly_op_check_rank(ctx, VLY_RNN_X, 3, 3, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, VLY_RNN_R, 3, 3, err);
    if (st != VLY_OK)
        return st;
    vly_rnn_sizes s = vly_rnn_sizes_of(ctx);
    st = check_inputs(ctx, &s, err);
    if (st != VLY_OK)
        return st;
    vly_dtype dtype = ctx->in[VLY_RNN_X]->dtype;
    vly_shape state = state_shape(p, &s);
    vly_shape y = p->batch_first ? VLY_SHAPE(s.batch, s.steps, s.dirs, s.hidden)
                                 : VLY_SHAPE(s.steps, s.dirs, s.batch, s.hidden);
    vly_op_out_set(ctx, 0, dtype, &y);
    vly_op_out_set(ctx, 1, dtype, &state);
    if (p->kind == VLY_CELL_LSTM)
        vly_op_out_set(ctx, 2, dtype, &state);
    if (!vly_shape_known(&y) || s.input < 0)
        return VLY_OK;
    size_t items = (size_t)(s.dirs * s.batch);
    if (!vly_size_mul(items * sizeof(float), item_floats(p, &s), &ctx->scratch_bytes) ||
        ctx->scratch_bytes > SIZE_MAX / 2)
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    ctx->flops = 2 * (uint64_t)items * (uint64_t)s.steps * (uint64_t)s.hidden *
                 (uint64_t)(s.input + s.hidden) * (uint64_t)vly_cell_gates(p->kind);
    return vly_half_infer(ctx, err);
}

typedef struct rnn_job {
    const vly_op_ctx *ctx;
    const vly_rnn_params *p;
    vly_rnn_sizes s;
    vly_gemm_dsp dsp;
} rnn_job;

/* Slice `dir` of an input [dirs, n], or NULL. */
static const float *dir_slice(const vly_op_ctx *ctx, int i, int64_t dir, int64_t n)
{
    const vly_tensor *t = vly_op_in(ctx, i);
    return t != NULL ? (const float *)t->data + dir * n : NULL;
}

static vly_cell cell_of(const rnn_job *j, int64_t dir)
{
    const vly_rnn_params *p = j->p;
    int64_t rows = vly_cell_gates(p->kind) * j->s.hidden;
    vly_cell cell = {.kind = p->kind,
                     .input = j->s.input,
                     .hidden = j->s.hidden,
                     .w = dir_slice(j->ctx, VLY_RNN_W, dir, rows * j->s.input),
                     .r = dir_slice(j->ctx, VLY_RNN_R, dir, rows * j->s.hidden),
                     .b = dir_slice(j->ctx, VLY_RNN_B, dir, 2 * rows),
                     .p = dir_slice(j->ctx, VLY_RNN_P, dir, 3 * j->s.hidden),
                     .clip = p->clip,
                     .linear_before_reset = p->linear_before_reset,
                     .input_forget = p->input_forget,
                     .dot = j->dsp.dot_f32};

    memcpy(cell.act, p->act[dir], sizeof(cell.act));
    return cell;
}

static void load_state(const rnn_job *j, int i, int64_t at, float *to)
{
    const vly_tensor *t = vly_op_in(j->ctx, i);
    size_t bytes = (size_t)j->s.hidden * sizeof(float);

    if (t != NULL)
        memcpy(to, (const float *)t->data + at, bytes);
    else
        memset(to, 0, bytes);
}

static void store_state(const rnn_job *j, int i, int64_t at, const float *from)
{
    if (vly_op_wants(j->ctx, i))
        memcpy((float *)j->ctx->out[i].data + at, from, (size_t)j->s.hidden * sizeof(float));
}

/* Steps len..steps of one sequence's output are 0. */
static void clear_tail(float *y, int64_t stride, int64_t len, const vly_rnn_sizes *s)
{
    for (int64_t t = len; t < s->steps; t++)
        memset(y + t * stride, 0, (size_t)s->hidden * sizeof(float));
}

static void run_item(const rnn_job *j, int64_t dir, int64_t seq)
{
    const vly_rnn_sizes *s = &j->s;
    bool bf = j->p->batch_first;
    const vly_tensor *lens = vly_op_in(j->ctx, VLY_RNN_LENS);
    float *scratch =
        (float *)j->ctx->scratch + (size_t)(dir * s->batch + seq) * item_floats(j->p, s);
    float *h = scratch + vly_cell_scratch(j->p->kind, s->hidden), *c = h + s->hidden;
    int64_t state_at = (bf ? seq * s->dirs + dir : dir * s->batch + seq) * s->hidden;
    int64_t y_at = (bf ? seq * s->steps * s->dirs + dir : dir * s->batch + seq) * s->hidden;
    vly_cell cell = cell_of(j, dir);
    vly_cell_run run = {.len = lens != NULL ? ((const int32_t *)lens->data)[seq] : s->steps,
                        .reverse = j->p->direction == VLY_RNN_REVERSE || dir == 1,
                        .x = (const float *)j->ctx->in[VLY_RNN_X]->data +
                             (bf ? seq * s->steps : seq) * s->input,
                        .x_stride = bf ? s->input : s->batch * s->input,
                        .y = vly_op_wants(j->ctx, 0) ? (float *)j->ctx->out[0].data + y_at : NULL,
                        .y_stride = bf ? s->dirs * s->hidden : s->dirs * s->batch * s->hidden,
                        .h = h,
                        .c = c};

    load_state(j, VLY_RNN_H0, state_at, h);
    load_state(j, VLY_RNN_C0, state_at, c);
    vly_cell_forward(&cell, &run, scratch);
    if (run.y != NULL)
        clear_tail(run.y, run.y_stride, run.len, s);
    store_state(j, 1, state_at, h);
    store_state(j, 2, state_at, c);
}

static void run_items(void *arg, size_t begin, size_t end)
{
    const rnn_job *j = arg;

    for (size_t i = begin; i < end; i++)
        run_item(j, (int64_t)i / j->s.batch, (int64_t)i % j->s.batch);
}

static vly_status rnn_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    rnn_job j = {
        .ctx = ctx, .p = ctx->params, .s = vly_rnn_sizes_of(ctx), .dsp = vly_product_dsp()};
    const vly_tensor *lens = vly_op_in(ctx, VLY_RNN_LENS);

    for (int64_t i = 0; lens != NULL && i < j.s.batch; i++) {
        int32_t len = ((const int32_t *)lens->data)[i];
        if (len < 0 || len > j.s.steps)
            return vly_fail(err, VLY_EINVAL,
                            "sequence %" PRId64 ": length %" PRId32 " is outside of 0..%" PRId64, i,
                            len, j.s.steps);
    }
    int64_t cost = j.s.steps * j.s.hidden * (j.s.input + j.s.hidden);
    vly_op_split(ctx, j.s.dirs * j.s.batch, cost, run_items, &j);
    return VLY_OK;
}

static vly_status rnn_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, rnn_run_f32, err);
}

#define RNN_OP(op_name, in_max, out_max)                                                           \
    {                                                                                              \
        .name = (op_name), .since = 7, .n_in_min = 3, .n_in_max = (in_max),                        \
        .n_out_max = (out_max), .dtypes = VLY_T(F32) | VLY_T(F16) | VLY_T(BF16),                   \
        .params_bytes = sizeof(vly_rnn_params), .prepare = rnn_prepare, .infer = rnn_infer,        \
        .run = rnn_run                                                                             \
    }

const vly_op vly_ops_rnn[] = {
    RNN_OP("RNN", 6, 2),
    RNN_OP("GRU", 6, 2),
    RNN_OP("LSTM", 8, 3),
    {NULL},
};

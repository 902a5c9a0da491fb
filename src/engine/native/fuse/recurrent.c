/* SPDX-License-Identifier: MIT */
/*
 * GRU, LSTM and RNN with constant weights: a step of the domain "volley" on weights packed for
 * dsp's kernel (dsp/recurrent.h). It reads and writes plain tensors; what only swaps time and batch
 * before it is read through strides.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "engine/native/fuse/run.h"
#include "engine/native/fuse/select.h"
#include "engine/native/fuse/select_list.h"
#include "engine/native/ops/rnn.h"
#include "sys/worker_pool.h"

#include <math.h>
#include <string.h>

#define FLOPS_PER_PIECE 1000000
#define ROWS_PER_PIECE  6 /* fewer leave registers of a kernel empty */

/* Params of a fused step, whose inputs are x, h, c and whose outputs are ONNX's. */
typedef struct recurrent {
    const vly_cell_kernel *kernel;
    vly_cell_desc desc;
    const void *packed[2]; /* for each direction */
    vly_rnn_sizes sizes;
    vly_cell_call strides; /* the rest of a call is filled in by run */
    int64_t y_dir, state_dir;
    bool is_reverse; /* direction 0; 1 always is */
    size_t n_pieces; /* of each direction */
    size_t scratch_bytes;
} recurrent;

/* ---- selection ---------------------------------------------------------------------------- */

/* Does a packed kernel compute this cell? */
static bool is_usual(const vly_rnn_params *p, int64_t dirs)
{
    for (int64_t d = 0; d < dirs; d++) {
        const vly_gate_act *a = p->act[d];
        bool is_rnn = p->kind == VLY_CELL_RNN, is_lstm = p->kind == VLY_CELL_LSTM;
        if (is_rnn &&
            (a->fn != p->act[0]->fn || (a->fn != VLY_GATE_TANH && a->fn != VLY_GATE_RELU)))
            return false;
        if (!is_rnn && (a[0].fn != VLY_GATE_SIGMOID || a[1].fn != VLY_GATE_TANH))
            return false;
        if (is_lstm && a[2].fn != VLY_GATE_TANH)
            return false;
    }
    return isinf(p->clip) && !p->input_forget;
}

static int input_of(const vly_node *node, int i)
{
    return i < node->n_in ? node->in[i] : VLY_VALUE_NONE;
}

static bool is_constant_or_omitted(const vly_fuser *z, int v)
{
    return v == VLY_VALUE_NONE || vly_fuse_constant(z, v) != NULL;
}

/* The item that swaps time and batch to make x for nobody else, or NULL. */
static vly_item *swap_before(vly_fuser *z, int x)
{
    for (int i = 0; z->views[x].n_readers == 1 && i < z->n_items; i++) {
        vly_item *item = &z->items[i];
        if (item->kind != VLY_ITEM_NODE || item->step->node->out[0] != x)
            continue;
        const vly_node *node = item->step->node;
        if (strcmp(node->op->name, "Transpose") != 0 || node->op->domain != NULL ||
            item->step->is_dynamic)
            return NULL;
        vly_attrs a = vly_attrs_begin(node->proto);
        size_t n;
        const int64_t *perm = vly_attrs_ints(&a, "perm", &n);
        return n == 3 && perm[0] == 1 && perm[1] == 0 && perm[2] == 2 ? item : NULL;
    }
    return NULL;
}

bool vly_select_recurrent(vly_fuser *z, const vly_step *step)
{
    const vly_node *node = step->node;
    const vly_rnn_params *p = node->params;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, node);
    int x = node->in[VLY_RNN_X];

    if (ctx == NULL || vly_cell_choose(z->f->cpu_flags) == NULL ||
        z->f->values[x]->dtype != VLY_DTYPE_F32)
        return false;
    vly_rnn_sizes s = vly_rnn_sizes_of(ctx);
    if (s.steps < 1 || s.batch < 1 || s.input < 1 || s.hidden < 1 || !is_usual(p, s.dirs) ||
        input_of(node, VLY_RNN_LENS) != VLY_VALUE_NONE ||
        input_of(node, VLY_RNN_P) != VLY_VALUE_NONE ||
        vly_fuse_constant(z, node->in[VLY_RNN_W]) == NULL ||
        vly_fuse_constant(z, node->in[VLY_RNN_R]) == NULL ||
        !is_constant_or_omitted(z, input_of(node, VLY_RNN_B)))
        return false;
    vly_item *swap = swap_before(z, x);
    vly_item *item = vly_fuse_item(z, VLY_ITEM_RECURRENT, step, NULL, 0, VLY_VALUE_NONE);
    if (item == NULL)
        return false;
    item->is_transposed = swap != NULL;
    item->tensors[0] = swap != NULL ? swap->step->node->in[0] : x;
    item->tensors[1] = input_of(node, VLY_RNN_H0);
    item->tensors[2] = input_of(node, VLY_RNN_C0);
    if (swap != NULL)
        swap->kind = VLY_ITEM_DEAD;
    return true;
}

/* ---- emission ----------------------------------------------------------------------------- */

static vly_cell_desc desc_of(const vly_rnn_params *p, const vly_rnn_sizes *s)
{
    return (vly_cell_desc){.kind = p->kind,
                           .input = s->input,
                           .hidden = s->hidden,
                           .linear_before_reset = p->linear_before_reset,
                           .is_relu = p->act[0][0].fn == VLY_GATE_RELU};
}

static void set_strides(recurrent *r, bool batch_first, bool x_batch_first)
{
    const vly_rnn_sizes *s = &r->sizes;
    vly_cell_call *c = &r->strides;

    c->x_row = x_batch_first ? s->steps * s->input : s->input;
    c->x_step = x_batch_first ? s->input : s->batch * s->input;
    c->y_row = batch_first ? s->steps * s->dirs * s->hidden : s->hidden;
    c->y_step = (batch_first ? 1 : s->batch) * s->dirs * s->hidden;
    c->state_row = c->last_row = batch_first ? s->dirs * s->hidden : s->hidden;
    r->y_dir = r->state_dir = batch_first ? s->hidden : s->batch * s->hidden;
}

static size_t pieces_of(const vly_rnn_sizes *s, uint64_t flops)
{
    uint64_t most = VLY_FUSED_PIECES_MAX / (uint64_t)s->dirs, n = flops / FLOPS_PER_PIECE;
    uint64_t rows = (uint64_t)s->batch / ROWS_PER_PIECE;

    n = n < rows ? n : rows;
    n = n < most ? n : most;
    return n > 1 ? (size_t)n : 1;
}

/* Packs what the item's node has. False: out of memory. */
static bool pack(vly_fuser *z, const vly_node *node, recurrent *r)
{
    int64_t rows = vly_cell_gates(r->desc.kind) * r->sizes.hidden;
    const float *w = vly_fuse_constant(z, node->in[VLY_RNN_W])->data;
    const float *h = vly_fuse_constant(z, node->in[VLY_RNN_R])->data;
    int b = input_of(node, VLY_RNN_B);
    const float *bias = b != VLY_VALUE_NONE ? vly_fuse_constant(z, b)->data : NULL;

    for (int64_t d = 0; d < r->sizes.dirs; d++) {
        void *packed = vly_plan_blob(z->f->plan, r->kernel->packed_bytes(&r->desc));
        if (packed == NULL)
            return false;
        r->kernel->pack(&r->desc, w + d * rows * r->sizes.input, h + d * rows * r->sizes.hidden,
                        bias != NULL ? bias + d * 2 * rows : NULL, packed);
        r->packed[d] = packed;
    }
    return true;
}

vly_status vly_fuse_emit_recurrent(vly_fuser *z, const vly_item *item, vly_err *err)
{
    static const char *const names[] = {
        [VLY_CELL_RNN] = "rnn", [VLY_CELL_GRU] = "gru", [VLY_CELL_LSTM] = "lstm"};
    vly_arena *arena = &z->f->plan->arena;
    const vly_node *from = item->step->node;
    const vly_op_ctx *ctx = vly_fuse_ctx(z, from);
    recurrent *r = vly_arena_calloc(arena, 1, sizeof(*r));
    vly_node *node = vly_arena_calloc(arena, 1, sizeof(*node));
    int *in = vly_arena_calloc(arena, VLY_COUNT(item->tensors), sizeof(*in));

    if (ctx == NULL || r == NULL || node == NULL || in == NULL)
        goto no_memory;
    const vly_rnn_params *p = from->params;
    memcpy(in, item->tensors, sizeof(item->tensors));
    r->kernel = vly_cell_choose(z->f->cpu_flags);
    r->sizes = vly_rnn_sizes_of(ctx);
    r->desc = desc_of(p, &r->sizes);
    r->is_reverse = p->direction == VLY_RNN_REVERSE;
    set_strides(r, p->batch_first, p->batch_first != item->is_transposed);
    r->n_pieces = pieces_of(&r->sizes, item->step->flops);
    r->scratch_bytes = vly_align_up(r->kernel->scratch_bytes(&r->desc), 64);
    *node = *from;
    node->op = &vly_fused_recurrent;
    node->params = r;
    node->n_in = (int)VLY_COUNT(item->tensors);
    node->in = in;
    vly_step *step = &z->f->steps[z->f->n_steps++];
    *step = (vly_step){.node = node,
                       .flops = item->step->flops,
                       .scratch_bytes = r->scratch_bytes * r->n_pieces * (size_t)r->sizes.dirs};
    step->kernel = vly_arena_printf(arena, "%s %d-%d %s", names[p->kind], (int)r->desc.input,
                                    (int)r->desc.hidden, r->kernel->name);
    if (step->kernel != NULL && pack(z, from, r))
        return VLY_OK;
no_memory:
    return vly_fail(err, VLY_ENOMEM, "out of memory while fusing steps");
}

/* ---- run ---------------------------------------------------------------------------------- */

static const float *given(const vly_op_ctx *ctx, int i, int64_t at)
{
    const vly_tensor *t = vly_op_in(ctx, i);
    return t != NULL ? (const float *)t->data + at : NULL;
}

static float *wanted(const vly_op_ctx *ctx, int i, int64_t at)
{
    return vly_op_wants(ctx, i) ? (float *)ctx->out[i].data + at : NULL;
}

static void run_pieces(void *arg, size_t begin, size_t end)
{
    const vly_op_ctx *ctx = arg;
    const recurrent *r = ctx->params;

    for (size_t i = begin; i < end; i++) {
        int64_t dir = (int64_t)(i / r->n_pieces), n = (int64_t)r->n_pieces;
        int64_t piece = (int64_t)(i % r->n_pieces), state = dir * r->state_dir;
        vly_cell_call call = r->strides;
        call.desc = &r->desc;
        call.packed = r->packed[dir];
        call.steps = r->sizes.steps;
        call.reverse = dir == 1 || r->is_reverse;
        call.x = ctx->in[0]->data;
        call.h = given(ctx, 1, state);
        call.c = given(ctx, 2, state);
        call.y = wanted(ctx, 0, dir * r->y_dir);
        call.h_last = wanted(ctx, 1, state);
        call.c_last = wanted(ctx, 2, state);
        r->kernel->run(&call, r->sizes.batch * piece / n, r->sizes.batch * (piece + 1) / n,
                       (unsigned char *)ctx->scratch + i * r->scratch_bytes);
    }
}

static vly_status recurrent_run(vly_op_ctx *ctx, vly_err *err)
{
    const recurrent *r = ctx->params;
    size_t n = r->n_pieces * (size_t)r->sizes.dirs;

    (void)err;
    vly_parallel_for(ctx->pool, n, 1, run_pieces, ctx);
    return VLY_OK;
}

const vly_op vly_fused_recurrent = {.name = "Recurrent",
                                    .domain = "volley",
                                    .params_bytes = sizeof(recurrent),
                                    .run = recurrent_run};

/* SPDX-License-Identifier: MIT */
#include "engine/native/plan.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/conv.h"
#include "engine/graph/constant.h"
#include "engine/native/eval.h"
#include "engine/native/fuse/fuse.h"
#include "engine/native/fuse/run.h"
#include "engine/native/offsets.h"

#include <inttypes.h>

typedef struct compiler {
    vly_plan *plan;
    const vly_graph *g;
    vly_arena scratch;
    vly_tensor **values; /* [n_values]: type, and data where known */
    bool *is_unknown;    /* [n_values]: shape only known during a run */
    int *root;           /* [n_values]: the value whose buffer this one shares */
    bool *is_output;     /* [n_values], of roots: a graph output lies in it */
    size_t *delta;       /* [n_values]: bytes from the root's beginning (of the next in a chain) */
    int *last_use;       /* [n_values], of roots: step index; n_steps: an output */
    vly_precision precision;
    vly_packs *packs;
    size_t max_memory_bytes;
} compiler;

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory while compiling the plan");
}

/* ---- 1: shapes ---------------------------------------------------------------------------- */

static bool has_unknown_input(const compiler *c, const vly_node *node)
{
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != VLY_VALUE_NONE && c->is_unknown[node->in[i]])
            return true;
    return false;
}

static bool can_fold(const compiler *c, const vly_node *node)
{
    if ((node->op->flags & VLY_OP_IMPURE) != 0 ||
        (vly_node_is_lazy(c->g, node) && c->precision != VLY_PRECISION_EXACT))
        return false;
    if ((node->op->flags & VLY_OP_SHAPE_ONLY) != 0)
        return true;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != VLY_VALUE_NONE && c->values[node->in[i]]->data == NULL)
            return false;
    return true;
}

/* An operator by itself, unlike the packing of weights, wants its constants aligned. */
static vly_status align_inputs(compiler *c, const vly_node *node, vly_err *err)
{
    for (int i = 0; i < node->n_in; i++) {
        int v = node->in[i];
        if (v == VLY_VALUE_NONE || c->plan->slots[v].place != VLY_PLACE_CONSTANT)
            continue;
        vly_status st = vly_constant_align(&c->plan->slots[v].tensor, err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

/* The node's value depends on shapes only: it becomes a constant of the plan. */
static vly_status fold_node(compiler *c, const vly_node *node, vly_op_ctx *ctx, vly_err *err)
{
    vly_plan *p = c->plan;
    size_t used = c->g->constant_bytes + p->constant_bytes;
    vly_status st = align_inputs(c, node, err);

    if (st == VLY_OK)
        st = vly_eval_node(node, ctx, c->max_memory_bytes > used ? c->max_memory_bytes - used : 0,
                           err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == VLY_VALUE_NONE)
            continue;
        vly_slot *slot = &p->slots[node->out[i]];
        *slot = (vly_slot){.place = VLY_PLACE_CONSTANT, .tensor = ctx->out[i]};
        c->values[node->out[i]] = &slot->tensor; /* the plan owns it now */
        p->constant_bytes += slot->tensor.bytes;
    }
    return VLY_OK;
}

static void mark_dynamic(compiler *c, const vly_node *node, vly_step *step)
{
    step->is_dynamic = true;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != VLY_VALUE_NONE)
            c->is_unknown[node->out[i]] = true;
}

static vly_status add_step(compiler *c, const vly_node *node, vly_op_ctx *ctx, vly_err *err)
{
    vly_step *step = &c->plan->steps[c->plan->n_steps];

    *step = (vly_step){.node = node};
    if (has_unknown_input(c, node)) {
        mark_dynamic(c, node, step);
    } else {
        vly_status st = vly_eval_infer(node, ctx, err);
        if (st != VLY_OK)
            return st;
        if (!vly_eval_is_static(ctx))
            mark_dynamic(c, node, step);
        step->scratch_bytes = ctx->scratch_bytes;
        step->flops = ctx->flops;
    }
    c->plan->n_steps++;
    return VLY_OK;
}

static vly_status infer_all(compiler *c, vly_err *err)
{
    vly_status st = VLY_OK;

    for (int i = 0; i < c->g->n_nodes && st == VLY_OK; i++) {
        const vly_node *node = &c->g->nodes[i];
        vly_op_ctx *ctx = vly_eval_ctx(node, c->values, &c->scratch);
        if (ctx == NULL)
            return out_of_memory(err);
        if (!has_unknown_input(c, node) && can_fold(c, node))
            st = fold_node(c, node, ctx, err);
        else
            st = add_step(c, node, ctx, err);
    }
    return st;
}

/* ---- 2: fusion ---------------------------------------------------------------------------- */

/* Makes room for n more values; the types of the others stay where they are. */
static bool grow_values(compiler *c, const vly_tensor *types, int n)
{
    vly_plan *p = c->plan;
    size_t old = (size_t)p->n_values, all = old + (size_t)n;
    vly_slot *slots = vly_arena_calloc(&p->arena, all, sizeof(*slots));
    vly_tensor **values = vly_arena_calloc(&c->scratch, all, sizeof(vly_tensor *));
    bool *is_unknown = vly_arena_calloc(&c->scratch, all, sizeof(*is_unknown));

    if (slots == NULL || values == NULL || is_unknown == NULL)
        return false;
    memcpy(slots, p->slots, old * sizeof(*slots));
    memcpy(is_unknown, c->is_unknown, old * sizeof(*is_unknown));
    for (size_t v = 0; v < all; v++) {
        bool is_slot = v < old && c->values[v] == &p->slots[v].tensor;
        values[v] = v < old && !is_slot ? c->values[v] : &slots[v].tensor;
    }
    for (size_t v = old; v < all; v++)
        slots[v].tensor = types[v - old];
    p->slots = slots;
    p->n_values = (int)all;
    c->values = values;
    c->is_unknown = is_unknown;
    return true;
}

/* Constant weights that are quantised stay so until somebody wants floats. */
static vly_status fold_now(void *arg, const vly_node *node, vly_err *err)
{
    compiler *c = arg;
    vly_op_ctx *ctx = vly_eval_ctx(node, c->values, &c->scratch);

    return ctx != NULL ? fold_node(c, node, ctx, err) : out_of_memory(err);
}

static bool has_op(const compiler *c, const char *name)
{
    for (int s = 0; s < c->plan->n_steps; s++)
        if (strcmp(c->plan->steps[s].node->op->name, name) == 0)
            return true;
    return false;
}

/* From so many operations for one sample on, convolutions and not the calls take the time; below,
 * answers are those of fp32, whatever the batch. */
#define BF16_FROM_FLOPS 50000000

static vly_precision precision_of(const compiler *c)
{
    const vly_shape *x = c->g->n_inputs > 0 ? &c->plan->input_shapes[0] : NULL;
    uint64_t flops = 0, batch = x != NULL && x->rank > 0 && x->dim[0] > 0 ? (uint64_t)x->dim[0] : 1;

    for (int s = 0; s < c->plan->n_steps; s++)
        flops += c->plan->steps[s].flops;
    if (c->precision != VLY_PRECISION_AUTO)
        return c->precision;
    if (has_op(c, "QuantizeLinear"))
        return VLY_PRECISION_INT8;
    return (vly_cpu_flags() & VLY_CPU_AMX) != 0 && flops / batch >= BF16_FROM_FLOPS
               ? VLY_PRECISION_BF16
               : VLY_PRECISION_FP32;
}

static vly_status fuse_steps(compiler *c, vly_err *err)
{
    vly_plan *p = c->plan;
    vly_fusion f = {.plan = p,
                    .scratch = &c->scratch,
                    .values = c->values,
                    .is_unknown = c->is_unknown,
                    .packs = c->packs,
                    .precision = precision_of(c),
                    .cpu_flags = vly_cpu_flags(),
                    .max_memory_bytes = c->max_memory_bytes,
                    .fold = fold_now,
                    .fold_arg = c};
    vly_status st = vly_fuse(&f, err);

    if (st != VLY_OK)
        return st;
    p->steps = vly_arena_calloc(&p->arena, (size_t)f.n_steps, sizeof(*p->steps));
    if (p->steps == NULL || !grow_values(c, f.new_values, f.n_new_values))
        return out_of_memory(err);
    if (f.n_steps > 0)
        memcpy(p->steps, f.steps, (size_t)f.n_steps * sizeof(*p->steps));
    p->n_steps = f.n_steps;
    return VLY_OK;
}

static vly_status align_all(compiler *c, vly_err *err)
{
    vly_status st = VLY_OK;

    for (int s = 0; s < c->plan->n_steps && st == VLY_OK; s++)
        st = align_inputs(c, c->plan->steps[s].node, err);
    return st;
}

/* ---- 3: liveness -------------------------------------------------------------------------- */

/* Drops steps that no output needs any more, now that folding took some of their readers away. */
static vly_status drop_dead_steps(compiler *c, vly_err *err)
{
    vly_plan *p = c->plan;
    bool *is_needed = vly_arena_calloc(&c->scratch, (size_t)c->g->n_values, sizeof(*is_needed));
    int first = p->n_steps;

    if (is_needed == NULL)
        return out_of_memory(err);
    for (int i = 0; i < c->g->n_outputs; i++)
        is_needed[c->g->outputs[i]] = true;
    for (int s = p->n_steps - 1; s >= 0; s--) {
        vly_step step = p->steps[s];
        bool is_live = false;
        for (int i = 0; i < step.node->n_out; i++)
            is_live |= step.node->out[i] != VLY_VALUE_NONE && is_needed[step.node->out[i]];
        if (!is_live)
            continue;
        for (int i = 0; i < step.node->n_in; i++)
            if (step.node->in[i] != VLY_VALUE_NONE)
                is_needed[step.node->in[i]] = true;
        p->steps[--first] = step;
    }
    p->n_steps -= first;
    memmove(p->steps, p->steps + first, (size_t)p->n_steps * sizeof(p->steps[0]));
    return VLY_OK;
}

/* The value whose buffer v lies in: views and in-place steps form chains. */
static int root_of(const compiler *c, int v)
{
    while (c->root[v] != v)
        v = c->root[v];
    return v;
}

/* Where v begins in the buffer of its root. */
static size_t delta_of(const compiler *c, int v)
{
    size_t delta = c->delta[v];

    for (; c->root[v] != v; v = c->root[v])
        delta += c->delta[c->root[v]];
    return delta;
}

static bool is_view(const vly_step *step)
{
    return !step->is_dynamic && (step->node->op->flags & VLY_OP_VIEW) != 0;
}

/* Kernels may read on a little behind an image. */
static size_t bytes_of(const compiler *c, int v)
{
    size_t bytes = 0;
    bool ok = vly_shape_bytes(&c->values[v]->shape, c->values[v]->dtype, &bytes);
    return ok && vly_size_add(bytes, v >= c->g->n_values ? VLY_IMAGE_SLACK : 0, &bytes) ? bytes
                                                                                        : SIZE_MAX;
}

/* Nobody but steps of this plan writes r, and nobody outside receives it by itself. */
static bool is_own(const compiler *c, int r)
{
    return c->plan->slots[r].place == VLY_PLACE_UNUSED && !c->is_unknown[r] && !c->is_output[r];
}

/* Where the inputs of a Concat follow each other in memory they are made right there: each becomes
 * a part of the output. All of them, or none. */
static void join_concat(compiler *c, vly_step *step)
{
    const vly_node *node = step->node;
    int out = node->out[0], axis = 0, joined = 0;
    size_t at = 0;

    if (step->is_dynamic || node->op->domain != NULL || strcmp(node->op->name, "Concat") != 0)
        return;
    const vly_shape *shape = &c->values[out]->shape;
    vly_attrs a = vly_attrs_begin(node->proto);
    if (!vly_axis_normalise(vly_attrs_int(&a, "axis", 1), shape->rank, &axis) ||
        vly_shape_span(shape, 0, axis) != 1)
        return;
    for (; joined < node->n_in; joined++) {
        int r = root_of(c, node->in[joined]);
        size_t bytes = bytes_of(c, node->in[joined]);
        if (r == root_of(c, out) || !is_own(c, r) || r >= c->g->n_values || bytes_of(c, r) != bytes)
            break;
        c->root[r] = out;
        c->delta[r] = at;
        at += bytes;
    }
    step->is_joined = joined == node->n_in;
    while (!step->is_joined && joined-- > 0) {
        int r = node->in[joined];
        while (c->root[r] != out)
            r = c->root[r];
        c->root[r] = r;
        c->delta[r] = 0;
    }
}

static void use(compiler *c, int v, int step)
{
    int r = root_of(c, v);
    c->last_use[r] = step > c->last_use[r] ? step : c->last_use[r];
}

static vly_status find_last_uses(compiler *c, vly_err *err)
{
    int n_steps = c->plan->n_steps;

    c->root = vly_arena_calloc(&c->scratch, (size_t)c->plan->n_values, sizeof(c->root[0]));
    c->last_use = vly_arena_calloc(&c->scratch, (size_t)c->plan->n_values, sizeof(c->last_use[0]));
    c->delta = vly_arena_calloc(&c->scratch, (size_t)c->plan->n_values, sizeof(c->delta[0]));
    c->is_output = vly_arena_calloc(&c->scratch, (size_t)c->plan->n_values, sizeof(bool));
    if (c->root == NULL || c->last_use == NULL || c->delta == NULL || c->is_output == NULL)
        return out_of_memory(err);
    for (int v = 0; v < c->plan->n_values; v++) {
        c->root[v] = v;
        c->last_use[v] = -1;
    }
    for (int s = 0; s < n_steps; s++)
        if (is_view(&c->plan->steps[s]))
            c->root[c->plan->steps[s].node->out[0]] = root_of(c, c->plan->steps[s].node->in[0]);
    for (int i = 0; i < c->g->n_outputs; i++)
        c->is_output[root_of(c, c->g->outputs[i])] = true;
    for (int s = 0; s < n_steps; s++)
        join_concat(c, &c->plan->steps[s]);
    for (int s = 0; s < n_steps; s++) {
        const vly_step *step = &c->plan->steps[s];
        bool may_alias = step->is_dynamic && (step->node->op->flags & VLY_OP_VIEW) != 0;
        for (int i = 0; i < step->node->n_out; i++)
            if (step->node->out[i] != VLY_VALUE_NONE)
                use(c, step->node->out[i], s);
        for (int i = 0; i < step->node->n_in; i++)
            if (step->node->in[i] != VLY_VALUE_NONE)
                use(c, step->node->in[i], may_alias ? n_steps : s);
    }
    for (int i = 0; i < c->g->n_outputs; i++)
        use(c, c->g->outputs[i], n_steps);
    return VLY_OK;
}

/* ---- 4: places ---------------------------------------------------------------------------- */

/* Constants and inputs lie outside of the plan's memory. */
static void place_given_values(compiler *c)
{
    vly_plan *p = c->plan;

    for (int v = 0; v < c->g->n_values; v++) {
        if (!vly_value_is_constant(&c->g->values[v]))
            continue;
        p->slots[v].place = VLY_PLACE_CONSTANT;
        p->slots[v].tensor = vly_tensor_ref(&c->g->values[v].constant);
    }
    for (int i = 0; i < c->g->n_inputs; i++) {
        vly_slot *slot = &p->slots[c->g->inputs[i]];
        slot->place = VLY_PLACE_INPUT;
        slot->index = i;
    }
}

/* A static output written by a step gets the storage that the caller will receive; it may lie in
 * the root of a view. Constants, inputs and second names of one buffer are copied after the run. */
static void place_outputs(compiler *c)
{
    for (int i = 0; i < c->g->n_outputs; i++) {
        int root = root_of(c, c->g->outputs[i]);
        vly_slot *slot = &c->plan->slots[root];
        if (slot->place == VLY_PLACE_UNUSED && !c->is_unknown[root]) {
            slot->place = VLY_PLACE_OUTPUT;
            slot->index = i;
        }
    }
}

/* May step s write its output over input 0, which nobody reads later? */
static bool can_run_in_place(const compiler *c, int s)
{
    const vly_node *node = c->plan->steps[s].node;
    int in = node->n_in > 0 ? node->in[0] : VLY_VALUE_NONE;
    int out = node->out[0];

    if ((node->op->flags & VLY_OP_INPLACE) == 0 || in == VLY_VALUE_NONE || out == VLY_VALUE_NONE)
        return false;
    int root = root_of(c, in);
    if (c->plan->slots[root].place != VLY_PLACE_ARENA || c->last_use[root] != s ||
        c->plan->slots[out].place != VLY_PLACE_UNUSED || c->root[out] != out)
        return false;
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] != VLY_VALUE_NONE && root_of(c, node->in[i]) == root)
            return false;
    return c->values[in]->dtype == c->values[out]->dtype &&
           vly_shape_eq(&c->values[in]->shape, &c->values[out]->shape);
}

static bool take_outputs(compiler *c, int s, vly_offsets *heap)
{
    const vly_node *node = c->plan->steps[s].node;

    if (can_run_in_place(c, s)) {
        int root = root_of(c, node->in[0]);
        c->root[node->out[0]] = root;
        c->last_use[root] = c->last_use[node->out[0]];
    }
    for (int i = 0; i < node->n_out; i++) {
        int r = node->out[i] != VLY_VALUE_NONE ? root_of(c, node->out[i]) : VLY_VALUE_NONE;
        if (r == VLY_VALUE_NONE || c->plan->slots[r].place != VLY_PLACE_UNUSED)
            continue;
        c->plan->slots[r].place = VLY_PLACE_ARENA;
        if (!vly_offsets_take(heap, bytes_of(c, r), &c->plan->slots[r].offset))
            return false;
    }
    return true;
}

/* Gives back the arena ranges whose last reader is step s, or which nobody reads at all. */
static bool give_dead(compiler *c, int s, vly_offsets *heap)
{
    const vly_node *node = c->plan->steps[s].node;

    for (int i = 0; i < node->n_in + node->n_out; i++) {
        int v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        if (v == VLY_VALUE_NONE)
            continue;
        int root = root_of(c, v);
        if (c->plan->slots[root].place != VLY_PLACE_ARENA || c->last_use[root] > s)
            continue;
        if (!vly_offsets_give(heap, c->plan->slots[root].offset, bytes_of(c, root)))
            return false;
        c->last_use[root] = INT32_MAX; /* given back: not twice */
    }
    return true;
}

static bool place_step(compiler *c, int s, vly_offsets *heap)
{
    vly_step *step = &c->plan->steps[s];

    if (is_view(step) || step->is_joined)
        return give_dead(c, s, heap);
    if (step->is_dynamic) {
        for (int i = 0; i < step->node->n_out; i++)
            if (step->node->out[i] != VLY_VALUE_NONE)
                c->plan->slots[step->node->out[i]].place = VLY_PLACE_DYNAMIC;
        return give_dead(c, s, heap);
    }
    if (!take_outputs(c, s, heap))
        return false;
    if (step->scratch_bytes > 0) {
        if (!vly_offsets_take(heap, step->scratch_bytes, &step->scratch_offset) ||
            !vly_offsets_give(heap, step->scratch_offset, step->scratch_bytes))
            return false;
    }
    return give_dead(c, s, heap);
}

/* Values that share a root take over its place; all take their type. */
static void finish_slots(compiler *c)
{
    for (int s = 0; s < c->plan->n_steps; s++) {
        const vly_node *node = c->plan->steps[s].node;
        for (int i = 0; i < node->n_out; i++) {
            int v = node->out[i];
            if (v == VLY_VALUE_NONE || c->plan->slots[v].place == VLY_PLACE_DYNAMIC)
                continue;
            vly_slot *slot = &c->plan->slots[v];
            const vly_slot *root = &c->plan->slots[root_of(c, v)];
            slot->place = root->place;
            slot->index = root->index;
            slot->offset = root->offset + delta_of(c, v);
            slot->tensor = *c->values[v];
            slot->tensor.bytes = bytes_of(c, v);
            if (root->place == VLY_PLACE_CONSTANT) {
                slot->tensor.data = root->tensor.data;
                slot->tensor.store = NULL; /* the root holds the reference */
            }
        }
        c->plan->flops += c->plan->steps[s].flops;
    }
}

/* Constants, arena and outputs together must fit the limit. */
static vly_status check_memory(const compiler *c, vly_err *err)
{
    size_t total = c->g->constant_bytes;
    bool fits = vly_size_add(total, c->plan->constant_bytes, &total) &&
                vly_size_add(total, c->plan->arena_bytes, &total);

    for (int i = 0; i < c->g->n_outputs && fits; i++) {
        int v = c->g->outputs[i];
        if (!c->is_unknown[v])
            fits = vly_size_add(total, bytes_of(c, v), &total);
    }
    if (fits && total <= c->max_memory_bytes)
        return VLY_OK;
    return vly_fail(err, VLY_ELIMIT, "tensors of a run need more than the limit of %zu bytes",
                    c->max_memory_bytes);
}

static vly_status place_all(compiler *c, vly_err *err)
{
    vly_offsets heap = {0};
    vly_status st = VLY_OK;

    place_outputs(c);
    for (int s = 0; s < c->plan->n_steps && st == VLY_OK; s++)
        if (!place_step(c, s, &heap))
            st = vly_fail(err, VLY_ELIMIT, "node '%s': intermediate tensors are too large",
                          c->plan->steps[s].node->label);
    c->plan->arena_bytes = heap.peak_bytes;
    vly_offsets_release(&heap);
    if (st == VLY_OK)
        st = check_memory(c, err);
    if (st == VLY_OK)
        finish_slots(c);
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static vly_status allocate(compiler *c, const vly_shape *input_shapes, vly_err *err)
{
    size_t n = (size_t)c->g->n_values;
    vly_plan *p = c->plan;

    p->input_shapes =
        vly_arena_calloc(&p->arena, (size_t)c->g->n_inputs, sizeof(p->input_shapes[0]));
    p->slots = vly_arena_calloc(&p->arena, n, sizeof(p->slots[0]));
    p->steps = vly_arena_calloc(&p->arena, (size_t)c->g->n_nodes, sizeof(p->steps[0]));
    c->values = vly_arena_calloc(&c->scratch, n, sizeof(c->values[0]));
    c->is_unknown = vly_arena_calloc(&c->scratch, n, sizeof(c->is_unknown[0]));
    if (p->input_shapes == NULL || p->slots == NULL || p->steps == NULL || c->values == NULL ||
        c->is_unknown == NULL)
        return out_of_memory(err);
    for (int v = 0; v < c->g->n_values; v++)
        c->values[v] = &p->slots[v].tensor;
    place_given_values(c);
    for (int i = 0; i < c->g->n_inputs; i++) {
        vly_slot *slot = &p->slots[c->g->inputs[i]];
        p->input_shapes[i] = input_shapes[i];
        slot->tensor.dtype = (vly_dtype)c->g->values[c->g->inputs[i]].declared->elem_type;
        slot->tensor.shape = input_shapes[i];
        if (!vly_shape_bytes(&slot->tensor.shape, slot->tensor.dtype, &slot->tensor.bytes))
            return vly_fail(err, VLY_ELIMIT, "input '%s': size overflows",
                            c->g->values[c->g->inputs[i]].name);
    }
    return VLY_OK;
}

vly_status vly_plan_compile(const vly_graph *graph, const vly_shape *input_shapes,
                            const vly_model_options *options, vly_packs *packs, vly_plan **ret,
                            vly_err *err)
{
    vly_plan *p = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*p));
    compiler c = {.plan = p,
                  .g = graph,
                  .precision = options->precision,
                  .packs = packs,
                  .max_memory_bytes = options->max_memory_bytes};
    vly_status st;

    /* the reference convolutions of images are slower than the operators' own */
    if (!vly_conv_has_kernels(vly_cpu_flags()))
        c.precision = VLY_PRECISION_EXACT;
    if (p == NULL)
        return out_of_memory(err);
    atomic_init(&p->n_refs, 1);
    p->graph = graph;
    p->n_values = graph->n_values;
    vly_arena_init(&p->arena, VLY_MEM_MODEL, 1 << 16, SIZE_MAX / 2);
    vly_arena_init(&c.scratch, VLY_MEM_MODEL, 1 << 16, SIZE_MAX / 2);
    st = allocate(&c, input_shapes, err);
    if (st == VLY_OK)
        st = infer_all(&c, err);
    if (st == VLY_OK)
        st = drop_dead_steps(&c, err);
    if (st == VLY_OK && c.precision != VLY_PRECISION_EXACT)
        st = fuse_steps(&c, err);
    if (st == VLY_OK)
        st = align_all(&c, err);
    if (st == VLY_OK)
        st = find_last_uses(&c, err);
    if (st == VLY_OK)
        st = place_all(&c, err);
    vly_arena_release(&c.scratch);
    if (st != VLY_OK) {
        vly_plan_unref(p);
        return st;
    }
    *ret = p;
    return VLY_OK;
}

void *vly_plan_blob(vly_plan *p, size_t bytes)
{
    vly_plan_blob_list *b = vly_arena_calloc(&p->arena, 1, sizeof(*b));
    void *memory = b != NULL ? vly_alloc_aligned(VLY_MEM_MODEL, bytes) : NULL;

    if (memory == NULL)
        return NULL;
    *b = (vly_plan_blob_list){p->blobs, memory};
    p->blobs = b;
    p->constant_bytes += bytes;
    return memory;
}

vly_plan *vly_plan_ref(vly_plan *p)
{
    atomic_fetch_add_explicit(&p->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return p;
}

void vly_plan_unref(vly_plan *p)
{
    /* acq_rel: as vly_tensor_release */
    if (p == NULL || atomic_fetch_sub_explicit(&p->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int v = 0; p->slots != NULL && v < p->n_values; v++)
        vly_tensor_release(&p->slots[v].tensor);
    for (vly_plan_blob_list *b = p->blobs; b != NULL; b = b->next)
        vly_free(b->bytes);
    vly_arena_release(&p->arena);
    vly_free(p);
}

void vly_plan_describe(const vly_plan *p, const vly_step *step, vly_step_profile *ret)
{
    const vly_node *node = step->node;
    const uint64_t fused_bytes = vly_fused_bytes(node);

    *ret = (vly_step_profile){.kernel = step->kernel != NULL ? step->kernel : node->op->name,
                              .node = node->label,
                              .flops = step->flops,
                              .bytes = fused_bytes};
    bool has_shape = vly_fused_describe(node, &ret->shape, &ret->precision);
    for (int i = 0; i < node->n_in + node->n_out; i++) {
        int v = i < node->n_in ? node->in[i] : node->out[i - node->n_in];
        if (v == VLY_VALUE_NONE || p->slots[v].place == VLY_PLACE_DYNAMIC)
            continue;
        const vly_tensor *t = &p->slots[v].tensor;
        bool is_moved = !step->is_joined && (node->op->flags & VLY_OP_VIEW) == 0;
        ret->bytes += fused_bytes == 0 && is_moved ? t->bytes : 0;
        if (has_shape || i < node->n_in)
            continue;
        has_shape = true; /* the first output stands for the step */
        ret->precision = t->dtype;
        ret->shape = t->shape;
    }
}

void vly_plan_print(const vly_plan *p, vly_buf *out)
{
    char text[VLY_SHAPE_TEXT_MAX];

    vly_buf_printf(out, "%4s  %-24s %-18s %-9s %10s %9s  %s\n", "step", "kernel", "output",
                   "precision", "bytes", "GFLOP", "node");
    for (int s = 0; s < p->n_steps; s++) {
        vly_step_profile d;
        vly_plan_describe(p, &p->steps[s], &d);
        bool is_known = d.precision != VLY_DTYPE_UNDEFINED;
        vly_buf_printf(out, "%4d  %-24s %-18s %-9s %10" PRIu64 " %9.4f  %s\n", s, d.kernel,
                       is_known ? vly_shape_text(&d.shape, text) : "?",
                       is_known ? vly_dtype_name(d.precision) : "?", d.bytes, (double)d.flops / 1e9,
                       d.node);
    }
}

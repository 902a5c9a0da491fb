/* SPDX-License-Identifier: MIT */
#include "engine/native/exec.h"

#include "base/assert.h"
#include "base/mem.h"
#include "engine/native/eval.h"

/* A tensor whose data pointer changes from run to run. */
typedef struct patch {
    vly_tensor *tensor;
    vly_place place; /* INPUT or OUTPUT */
    int index;
    size_t offset; /* OUTPUT */
} patch;

struct vly_exec {
    vly_plan *plan;
    const vly_graph *graph;
    vly_arena arena;      /* contexts and lists */
    unsigned char *block; /* the plan's arena_bytes */
    size_t max_memory_bytes;
    vly_tensor *given;   /* [n_values]: constants and inputs; others lie in their step's ctx->out */
    vly_tensor **values; /* [n_values]: where each value is */
    vly_op_ctx **ctx;    /* [n_steps] */
    patch *patches;
    size_t n_patches;
    vly_tensor *storage; /* [n_outputs]: storage of outputs with a place, kept for the next run */
};

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for an instance of the model");
}

/* Points tensor at its data, or notes that each run will. */
static void bind_value(vly_exec *x, int v, vly_tensor *tensor)
{
    const vly_slot *slot = &x->plan->slots[v];

    if (slot->place == VLY_PLACE_DYNAMIC || slot->place == VLY_PLACE_UNUSED)
        return;
    *tensor = slot->tensor;
    tensor->store = NULL; /* the plan holds the reference of constants */
    if (slot->place == VLY_PLACE_ARENA)
        tensor->data = x->block + slot->offset;
    else if (slot->place != VLY_PLACE_CONSTANT)
        x->patches[x->n_patches++] = (patch){tensor, slot->place, slot->index, slot->offset};
}

static bool bind_step(vly_exec *x, int s)
{
    const vly_step *step = &x->plan->steps[s];
    vly_op_ctx *ctx = vly_eval_ctx(step->node, x->values, &x->arena);

    if (ctx == NULL)
        return false;
    x->ctx[s] = ctx;
    if (step->is_dynamic)
        return true;
    for (int i = 0; i < ctx->n_out; i++)
        if (vly_op_wants(ctx, i))
            bind_value(x, step->node->out[i], &ctx->out[i]);
    ctx->scratch_bytes = step->scratch_bytes;
    ctx->scratch = x->block + step->scratch_offset;
    return true;
}

static vly_status bind_all(vly_exec *x, struct vly_worker_pool *pool, vly_err *err)
{
    size_t n_values = (size_t)x->plan->n_values, n_patches = n_values;

    for (int s = 0; s < x->plan->n_steps; s++)
        n_patches += (size_t)x->plan->steps[s].node->n_out;
    x->given = vly_arena_calloc(&x->arena, n_values, sizeof(*x->given));
    x->values = vly_arena_calloc(&x->arena, n_values, sizeof(vly_tensor *));
    x->ctx = vly_arena_calloc(&x->arena, (size_t)x->plan->n_steps, sizeof(vly_op_ctx *));
    x->patches = vly_arena_calloc(&x->arena, n_patches, sizeof(*x->patches));
    x->storage = vly_arena_calloc(&x->arena, (size_t)x->graph->n_outputs, sizeof(*x->storage));
    x->block = vly_alloc_aligned(VLY_MEM_TENSOR, x->plan->arena_bytes);
    if (x->given == NULL || x->values == NULL || x->ctx == NULL || x->patches == NULL ||
        x->storage == NULL || x->block == NULL)
        return out_of_memory(err);
    for (int v = 0; v < x->plan->n_values; v++) {
        vly_place place = x->plan->slots[v].place;
        x->values[v] = &x->given[v];
        /* inputs only: a view of one is bound by its step, and owned by it */
        if (place == VLY_PLACE_CONSTANT || (v < x->graph->n_values && x->graph->values[v].is_input))
            bind_value(x, v, &x->given[v]);
    }
    for (int s = 0; s < x->plan->n_steps; s++) {
        if (!bind_step(x, s))
            return out_of_memory(err);
        x->ctx[s]->pool = pool;
    }
    return VLY_OK;
}

vly_status vly_exec_new(vly_plan *plan, struct vly_worker_pool *pool, size_t max_memory_bytes,
                        vly_exec **ret, vly_err *err)
{
    vly_exec *x = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*x));

    if (x == NULL)
        return out_of_memory(err);
    x->plan = vly_plan_ref(plan);
    x->graph = plan->graph;
    x->max_memory_bytes = max_memory_bytes;
    vly_arena_init(&x->arena, VLY_MEM_MODEL, 1 << 16, SIZE_MAX / 2);
    vly_status st = bind_all(x, pool, err);
    if (st != VLY_OK) {
        vly_exec_free(x);
        return st;
    }
    *ret = x;
    return VLY_OK;
}

void vly_exec_free(vly_exec *x)
{
    if (x == NULL)
        return;
    for (int i = 0; x->storage != NULL && i < x->graph->n_outputs; i++)
        vly_tensor_release(&x->storage[i]);
    vly_free(x->block);
    vly_plan_unref(x->plan);
    vly_arena_release(&x->arena);
    vly_free(x);
}

const vly_plan *vly_exec_plan(const vly_exec *x)
{
    return x->plan;
}

/* Storage for each output that a step writes: last run's when the caller has let go of it. */
static vly_status ready_outputs(vly_exec *x, vly_err *err)
{
    for (int i = 0; i < x->graph->n_outputs; i++) {
        const vly_slot *slot = &x->plan->slots[x->graph->outputs[i]];
        if (slot->place != VLY_PLACE_OUTPUT || slot->index != i)
            continue;
        if (vly_tensor_is_unique(&x->storage[i]))
            continue;
        vly_tensor_release(&x->storage[i]);
        vly_status st =
            vly_tensor_new(slot->tensor.dtype, &slot->tensor.shape, &x->storage[i], err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

static void apply_patches(vly_exec *x, const vly_tensor *inputs)
{
    for (size_t i = 0; i < x->n_patches; i++) {
        const patch *p = &x->patches[i];
        p->tensor->data = p->place == VLY_PLACE_INPUT
                              ? inputs[p->index].data
                              : (unsigned char *)x->storage[p->index].data + p->offset;
    }
}

static vly_status run_steps(vly_exec *x, vly_nsec *step_ns, vly_err *err)
{
    vly_nsec before = step_ns != NULL ? vly_clock_now() : 0;

    for (int s = 0; s < x->plan->n_steps; s++) {
        const vly_step *step = &x->plan->steps[s];
        vly_status st = VLY_OK;
        if (step->is_dynamic) {
            st = vly_eval_node(step->node, x->ctx[s], x->max_memory_bytes, err);
        } else if ((step->node->op->flags & VLY_OP_VIEW) == 0 && !step->is_joined) {
            st = step->node->op->run(x->ctx[s], err);
            if (st != VLY_OK)
                vly_eval_fail(step->node, st, err);
        }
        if (st != VLY_OK)
            return st;
        if (step_ns != NULL) {
            vly_nsec now = vly_clock_now();
            step_ns[s] = now - before;
            before = now;
        }
    }
    return VLY_OK;
}

static void release_dynamic(vly_exec *x)
{
    for (int s = 0; s < x->plan->n_steps; s++)
        for (int i = 0; x->plan->steps[s].is_dynamic && i < x->ctx[s]->n_out; i++)
            vly_tensor_release(&x->ctx[s]->out[i]);
}

static vly_status collect_output(const vly_exec *x, int i, vly_tensor *ret, vly_err *err)
{
    int v = x->graph->outputs[i];
    const vly_slot *slot = &x->plan->slots[v];

    /* strings may lie in an input or in another value of this run */
    if (x->values[v]->dtype == VLY_DTYPE_STRING)
        return vly_tensor_copy(x->values[v], ret, err);
    if (slot->place == VLY_PLACE_OUTPUT && slot->index == i) {
        *ret = vly_tensor_reshaped(&x->storage[i], &slot->tensor.shape);
        return VLY_OK;
    }
    if (x->values[v]->store != NULL && slot->place == VLY_PLACE_DYNAMIC) {
        *ret = vly_tensor_ref(x->values[v]);
        return VLY_OK;
    }
    /* a constant, an input, a second name of another output, or a view of borrowed data */
    return vly_tensor_copy(x->values[v], ret, err);
}

static vly_status collect_outputs(const vly_exec *x, vly_tensor *outputs, vly_err *err)
{
    vly_status st = VLY_OK;
    int n = 0;

    for (; n < x->graph->n_outputs && st == VLY_OK; n++)
        st = collect_output(x, n, &outputs[n], err);
    if (st == VLY_OK)
        return VLY_OK;
    for (int i = 0; i < n - 1; i++)
        vly_tensor_release(&outputs[i]);
    return st;
}

vly_status vly_exec_run(vly_exec *x, const vly_tensor *inputs, vly_tensor *outputs,
                        vly_nsec *step_ns, vly_err *err)
{
    vly_status st = ready_outputs(x, err);

    if (st != VLY_OK)
        return st;
    apply_patches(x, inputs);
    st = run_steps(x, step_ns, err);
    if (st == VLY_OK)
        st = collect_outputs(x, outputs, err);
    release_dynamic(x);
    return st;
}

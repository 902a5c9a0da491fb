/* SPDX-License-Identifier: MIT */
#include "engine/native/eval.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"

vly_status vly_eval_fail(const vly_node *node, vly_status st, vly_err *err)
{
    return vly_fail_in(err, st, "node '%s' (%s)", node->label, node->op->name);
}

vly_op_ctx *vly_eval_ctx(const vly_node *node, vly_tensor **values, vly_arena *arena)
{
    static const vly_tensor omitted = {.dtype = VLY_DTYPE_UNDEFINED};
    vly_op_ctx *ctx = vly_arena_calloc(arena, 1, sizeof(*ctx));
    const vly_tensor **in = vly_arena_calloc(arena, (size_t)node->n_in, sizeof(in[0]));
    vly_tensor *out = vly_arena_calloc(arena, (size_t)node->n_out, sizeof(*out));

    if (ctx == NULL || in == NULL || out == NULL)
        return NULL;
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == VLY_VALUE_NONE ? &omitted : values[node->in[i]];
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] != VLY_VALUE_NONE)
            values[node->out[i]] = &out[i];
    *ctx = (vly_op_ctx){.op = node->op,
                        .proto = node->proto,
                        .params = node->params,
                        .opset = node->opset,
                        .n_in = node->n_in,
                        .n_out = node->n_out,
                        .out_ids = node->out,
                        .in = in,
                        .out = out};
    return ctx;
}

vly_status vly_eval_infer(const vly_node *node, vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = VLY_OK;

    for (int i = 0; i < ctx->n_out; i++)
        ctx->out[i] = (vly_tensor){0};
    memset(ctx->out_unknown, 0, sizeof(ctx->out_unknown));
    ctx->scratch_bytes = 0;
    ctx->flops = 0;
    if (ctx->n_in > 0 && vly_op_in(ctx, 0) != NULL)
        st = vly_op_check_dtype(ctx, 0, node->op->dtypes, err);
    if (st == VLY_OK)
        st = node->op->infer(ctx, err);
    if (st != VLY_OK)
        return vly_eval_fail(node, st, err);
    for (int i = 0; i < ctx->n_out; i++)
        VLY_ASSERT(!vly_op_wants(ctx, i) || ctx->out[i].dtype != VLY_DTYPE_UNDEFINED);
    return VLY_OK;
}

bool vly_eval_is_static(const vly_op_ctx *ctx)
{
    for (int i = 0; i < ctx->n_out; i++) {
        if (!vly_op_wants(ctx, i))
            continue;
        if ((i < (int)VLY_COUNT(ctx->out_unknown) && ctx->out_unknown[i]) ||
            !vly_shape_known(&ctx->out[i].shape))
            return false;
    }
    return true;
}

static void release_outputs(vly_op_ctx *ctx)
{
    for (int i = 0; i < ctx->n_out; i++)
        vly_tensor_release(&ctx->out[i]);
}

/* Storage for every output whose shape infer has told. */
static vly_status allocate_outputs(vly_op_ctx *ctx, size_t max_bytes, vly_err *err)
{
    size_t total = ctx->scratch_bytes;

    for (int i = 0; i < ctx->n_out; i++) {
        bool is_unknown = i < (int)VLY_COUNT(ctx->out_unknown) && ctx->out_unknown[i];
        size_t bytes;
        if (!vly_op_wants(ctx, i) || is_unknown || !vly_shape_known(&ctx->out[i].shape))
            continue;
        if (!vly_shape_bytes(&ctx->out[i].shape, ctx->out[i].dtype, &bytes) ||
            !vly_size_add(total, bytes, &total) || total > max_bytes)
            return vly_fail(err, VLY_ELIMIT,
                            "output %d needs more memory than the limit of %zu bytes", i,
                            max_bytes);
        vly_status st = vly_tensor_new(ctx->out[i].dtype, &ctx->out[i].shape, &ctx->out[i], err);
        if (st != VLY_OK)
            return st;
    }
    if (total > max_bytes)
        return vly_fail(err, VLY_ELIMIT, "needs more scratch memory than the limit of %zu bytes",
                        max_bytes);
    return VLY_OK;
}

static vly_status run_with_storage(vly_op_ctx *ctx, size_t max_bytes, vly_err *err)
{
    vly_status st = allocate_outputs(ctx, max_bytes, err);

    if (st != VLY_OK)
        return st;
    ctx->scratch = vly_alloc_aligned(VLY_MEM_TENSOR, ctx->scratch_bytes);
    if (ctx->scratch == NULL)
        return vly_fail(err, VLY_ENOMEM, "cannot allocate %zu bytes of scratch memory",
                        ctx->scratch_bytes);
    st = ctx->op->run(ctx, err);
    vly_free(ctx->scratch);
    ctx->scratch = NULL;
    return st;
}

static vly_status run_view(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape shape = ctx->out[0].shape;
    uint64_t n;

    if (!vly_shape_count(&shape, &n) || n != vly_tensor_count(ctx->in[0]))
        return vly_fail(err, VLY_EINVAL, "output and input differ in their number of elements");
    ctx->out[0] = vly_tensor_reshaped(ctx->in[0], &shape);
    return VLY_OK;
}

vly_status vly_eval_node(const vly_node *node, vly_op_ctx *ctx, size_t max_bytes, vly_err *err)
{
    vly_status st = vly_eval_infer(node, ctx, err);

    if (st != VLY_OK) {
        release_outputs(ctx);
        return st;
    }
    if ((node->op->flags & VLY_OP_VIEW) != 0)
        st = run_view(ctx, err);
    else
        st = run_with_storage(ctx, max_bytes, err);
    if (st == VLY_OK)
        return VLY_OK;
    release_outputs(ctx);
    return vly_eval_fail(node, st, err);
}

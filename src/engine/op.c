/* SPDX-License-Identifier: MIT */
#include "engine/op.h"

#include "base/assert.h"
#include "base/buf.h"
#include "engine/native/op_list.h"

#include <inttypes.h>

void vly_op_out_set(vly_op_ctx *ctx, int i, vly_dtype dtype, const vly_shape *shape)
{
    VLY_ASSERT(i >= 0);
    if (!vly_op_wants(ctx, i))
        return;
    ctx->out[i].dtype = dtype;
    ctx->out[i].shape = *shape;
}

void vly_op_out_unknown(vly_op_ctx *ctx, int i, vly_dtype dtype)
{
    vly_op_out_set(ctx, i, dtype, &VLY_SHAPE_SCALAR);
    VLY_ASSERT(i < (int)VLY_COUNT(ctx->out_unknown));
    ctx->out_unknown[i] = true;
}

vly_status vly_op_out_alloc(vly_op_ctx *ctx, int i, const vly_shape *shape, vly_err *err)
{
    vly_tensor t;

    if (!vly_op_wants(ctx, i))
        return VLY_OK;
    vly_status st = vly_tensor_new(ctx->out[i].dtype, shape, &t, err);
    if (st != VLY_OK)
        return st;
    vly_tensor_release(&ctx->out[i]);
    ctx->out[i] = t;
    return VLY_OK;
}

vly_status vly_op_out_alloc_strings(vly_op_ctx *ctx, int i, const vly_shape *shape, size_t n_bytes,
                                    char **ret_bytes, vly_err *err)
{
    vly_tensor t;

    VLY_ASSERT(vly_op_wants(ctx, i));
    vly_status st = vly_tensor_new_strings(shape, n_bytes, &t, ret_bytes, err);
    if (st != VLY_OK)
        return st;
    vly_tensor_release(&ctx->out[i]);
    ctx->out[i] = t;
    return VLY_OK;
}

vly_status vly_infer_same(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return VLY_OK;
}

static vly_status infer_broadcast_as(vly_op_ctx *ctx, vly_dtype dtype, vly_err *err)
{
    vly_shape shape = ctx->in[0]->shape;

    for (int i = 1; i < ctx->n_in; i++) {
        char a[VLY_SHAPE_TEXT_MAX], b[VLY_SHAPE_TEXT_MAX];
        if (ctx->in[i]->dtype != ctx->in[0]->dtype)
            return vly_fail(err, VLY_EINVAL, "input %d: expected %s as input 0, got %s", i,
                            vly_dtype_name(ctx->in[0]->dtype), vly_dtype_name(ctx->in[i]->dtype));
        if (!vly_shape_broadcast(&shape, &ctx->in[i]->shape, &shape))
            return vly_fail(err, VLY_EINVAL, "input %d: shape %s does not broadcast with %s", i,
                            vly_shape_text(&ctx->in[i]->shape, a), vly_shape_text(&shape, b));
    }
    vly_op_out_set(ctx, 0, dtype, &shape);
    return VLY_OK;
}

vly_status vly_infer_broadcast(vly_op_ctx *ctx, vly_err *err)
{
    return infer_broadcast_as(ctx, ctx->in[0]->dtype, err);
}

vly_status vly_infer_broadcast_bool(vly_op_ctx *ctx, vly_err *err)
{
    return infer_broadcast_as(ctx, VLY_DTYPE_BOOL, err);
}

vly_status vly_op_check_dtype(const vly_op_ctx *ctx, int i, uint32_t dtypes, vly_err *err)
{
    vly_dtype t = ctx->in[i]->dtype;
    vly_buf want;

    if (dtypes == VLY_T_ANY || (dtypes & 1u << t) != 0)
        return VLY_OK;
    vly_buf_init(&want, VLY_MEM_MODEL, 512);
    for (int k = 1; k < VLY_DTYPE_N; k++)
        if ((dtypes & 1u << k) != 0)
            vly_buf_printf(&want, "%s%s", want.len > 0 ? ", " : "", vly_dtype_name((vly_dtype)k));
    vly_status st = vly_fail(err, VLY_EUNSUPPORTED, "input %d: expected %s, got %s", i,
                             want.ptr != NULL ? want.ptr : "another dtype", vly_dtype_name(t));
    vly_buf_release(&want);
    return st;
}

vly_status vly_op_check_rank(const vly_op_ctx *ctx, int i, int lo, int hi, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    int rank = ctx->in[i]->shape.rank;

    if (rank >= lo && rank <= hi)
        return VLY_OK;
    vly_shape_text(&ctx->in[i]->shape, text);
    if (lo == hi)
        return vly_fail(err, VLY_EINVAL, "input %d: expected rank %d, got shape %s", i, lo, text);
    return vly_fail(err, VLY_EINVAL, "input %d: expected rank %d to %d, got shape %s", i, lo, hi,
                    text);
}

vly_status vly_op_ints(const vly_op_ctx *ctx, int i, int64_t *out, int max, int *ret_n,
                       vly_err *err)
{
    const vly_tensor *t = ctx->in[i];

    VLY_ASSERT(t->data != NULL);
    if (t->dtype != VLY_DTYPE_I64 && t->dtype != VLY_DTYPE_I32)
        return vly_fail(err, VLY_EINVAL, "input %d: expected int64 or int32, got %s", i,
                        vly_dtype_name(t->dtype));
    uint64_t n = vly_tensor_count(t);
    if (t->shape.rank > 1 || n > (uint64_t)max)
        return vly_fail(err, VLY_EINVAL,
                        "input %d: expected a list of at most %d integers, got %" PRIu64, i, max,
                        n);
    for (uint64_t k = 0; k < n; k++)
        out[k] = vly_tensor_get_i64(t, k);
    *ret_n = (int)n;
    return VLY_OK;
}

static const vly_op *const families[] = {
#define OP_TABLE(family) vly_ops_##family,
    VLY_OP_FAMILIES(OP_TABLE)
#undef OP_TABLE
};

static bool is_domain(const vly_op *op, vly_str domain)
{
    if (op->domain == NULL)
        return domain.len == 0 || vly_str_is(domain, "ai.onnx");
    return vly_str_is(domain, op->domain);
}

const vly_op *vly_op_find(vly_str domain, vly_str name, int opset, bool *ret_has_name)
{
    bool has_name = false;

    for (size_t f = 0; f < VLY_COUNT(families); f++) {
        for (const vly_op *op = families[f]; op->name != NULL; op++) {
            if (!vly_str_is(name, op->name) || !is_domain(op, domain))
                continue;
            has_name = true;
            if (opset >= op->since && (op->until == 0 || opset <= op->until)) {
                *ret_has_name = true;
                return op;
            }
        }
    }
    *ret_has_name = has_name;
    return NULL;
}

void vly_op_each(void (*visit)(const vly_op *op, void *arg), void *arg)
{
    for (size_t f = 0; f < VLY_COUNT(families); f++)
        for (const vly_op *op = families[f]; op->name != NULL; op++)
            visit(op, arg);
}

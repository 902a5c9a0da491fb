/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/half.h"

#include "base/assert.h"
#include "base/bits.h"
#include "tensor/convert.h"

static bool is_half(const vly_tensor *t)
{
    return t->dtype == VLY_DTYPE_F16 || t->dtype == VLY_DTYPE_BF16;
}

/* Bytes of t's float twin; 0 when it has none or its shape is not known yet. False on overflow. */
static bool twin_bytes(const vly_tensor *t, size_t *ret)
{
    size_t bytes = 0;

    if (is_half(t) && vly_shape_known(&t->shape) &&
        (!vly_shape_bytes(&t->shape, VLY_DTYPE_F32, &bytes) || bytes > SIZE_MAX - 63))
        return false;
    *ret = vly_align_up(bytes, 64);
    return true;
}

vly_status vly_half_infer(vly_op_ctx *ctx, vly_err *err)
{
    size_t bytes, total = ctx->scratch_bytes;
    bool fits = true;

    for (int i = 0; i < ctx->n_in; i++)
        fits = fits && twin_bytes(ctx->in[i], &bytes) && vly_size_add(total, bytes, &total);
    for (int i = 0; i < ctx->n_out; i++)
        fits = fits && twin_bytes(&ctx->out[i], &bytes) && vly_size_add(total, bytes, &total);
    if (!fits)
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    ctx->scratch_bytes = total;
    return VLY_OK;
}

/* t itself, or its float twin at *free_scratch, which moves behind it. */
static vly_tensor twin(const vly_tensor *t, char **free_scratch)
{
    size_t bytes = 0;

    if (!is_half(t) || t->data == NULL)
        return *t;
    bool fits = twin_bytes(t, &bytes);
    VLY_ASSERT(fits);
    vly_tensor f = vly_tensor_borrow(VLY_DTYPE_F32, &t->shape, *free_scratch);
    *free_scratch += bytes;
    return f;
}

static bool has_half(const vly_op_ctx *ctx)
{
    for (int i = 0; i < ctx->n_in; i++)
        if (is_half(ctx->in[i]))
            return true;
    return false;
}

vly_status vly_half_run(vly_op_ctx *ctx, vly_status (*run)(vly_op_ctx *ctx, vly_err *err),
                        vly_err *err)
{
    vly_tensor in[VLY_HALF_IN_MAX], out[VLY_HALF_OUT_MAX];
    const vly_tensor *in_ptr[VLY_HALF_IN_MAX];
    vly_op_ctx inner = *ctx;
    char *free_scratch = ctx->scratch;

    if (!has_half(ctx))
        return run(ctx, err);
    VLY_ASSERT(ctx->n_in <= VLY_HALF_IN_MAX && ctx->n_out <= VLY_HALF_OUT_MAX);
    for (int i = 0; i < ctx->n_in; i++) {
        in[i] = twin(ctx->in[i], &free_scratch);
        in_ptr[i] = &in[i];
        if (in[i].data != ctx->in[i]->data)
            vly_convert(ctx->in[i]->dtype, ctx->in[i]->data, VLY_DTYPE_F32, in[i].data,
                        vly_tensor_count(&in[i]), false);
    }
    for (int i = 0; i < ctx->n_out; i++)
        out[i] = twin(&ctx->out[i], &free_scratch);
    inner.in = in_ptr;
    inner.out = out;
    inner.scratch = free_scratch;
    vly_status st = run(&inner, err);
    for (int i = 0; i < ctx->n_out && st == VLY_OK; i++)
        if (out[i].data != ctx->out[i].data)
            vly_convert(VLY_DTYPE_F32, out[i].data, ctx->out[i].dtype, ctx->out[i].data,
                        vly_tensor_count(&out[i]), false);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* Ops that hand their input through, or drop out at inference: Identity, Dropout. */
#include "engine/native/op_list.h"

#include <string.h>

static vly_status refuse_training(const vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *mode = vly_op_in(ctx, 2);
    if (mode != NULL && mode->data != NULL && vly_tensor_get_i64(mode, 0) != 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "training mode is not supported");
    return VLY_OK;
}

/* Output 1, the mask, is all true: nothing is dropped at inference. Before opset 10 it is of the
 * input's type, and its values at inference are left open: zeros. */
static vly_status dropout_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_dtype dtype = ctx->in[0]->dtype;

    vly_op_out_set(ctx, 0, dtype, &ctx->in[0]->shape);
    if (ctx->n_out > 1)
        vly_op_out_set(ctx, 1, ctx->opset < 10 ? dtype : VLY_DTYPE_BOOL, &ctx->in[0]->shape);
    return refuse_training(ctx, err);
}

static vly_status dropout_run(vly_op_ctx *ctx, vly_err *err)
{
    if (ctx->out[0].data != ctx->in[0]->data)
        memcpy(ctx->out[0].data, ctx->in[0]->data, ctx->out[0].bytes);
    if (vly_op_wants(ctx, 1))
        memset(ctx->out[1].data, ctx->out[1].dtype == VLY_DTYPE_BOOL, ctx->out[1].bytes);
    return refuse_training(ctx, err);
}

const vly_op vly_ops_identity[] = {
    {.name = "Identity",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_VIEW,
     .infer = vly_infer_same},
    {.name = "Dropout",
     .since = 10,
     .n_in_min = 1,
     .n_in_max = 3,
     .n_out_max = 2,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .infer = dropout_infer,
     .run = dropout_run},
    {.name = "Dropout", /* its mask was of the input's type */
     .since = 7,
     .until = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .n_out_max = 2,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .infer = dropout_infer,
     .run = dropout_run},
    {NULL},
};

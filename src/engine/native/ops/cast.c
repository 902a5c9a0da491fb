/* SPDX-License-Identifier: MIT */
/* Cast, CastLike: the rules are vly_convert's. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>

#define CAST_TYPES                                                                                 \
    ((VLY_T_BYTES & ~(VLY_T(STRING) | VLY_T(C64) | VLY_T(C128))) | VLY_T(U4) | VLY_T(I4) |         \
     VLY_T(F4E2M1))

typedef struct cast_params {
    vly_dtype to; /* of Cast */
    bool saturate;
} cast_params;

static vly_status castlike_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    cast_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->saturate = vly_attrs_int(&a, "saturate", 1) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status cast_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    cast_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    int64_t to = vly_attrs_int(&a, "to", 0);
    vly_status st = castlike_prepare(ctx, params, err);

    if (st == VLY_OK)
        st = vly_attrs_end(&a, err);
    if (st == VLY_OK && (!vly_dtype_valid(to) || (CAST_TYPES & 1u << to) == 0))
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "attribute 'to': data type %" PRId64 " is not supported", to);
    if (st == VLY_OK)
        p->to = (vly_dtype)to;
    return st;
}

static vly_status cast_infer(vly_op_ctx *ctx, vly_err *err)
{
    const cast_params *p = ctx->params;

    (void)err;
    vly_op_out_set(ctx, 0, p->to, &ctx->in[0]->shape);
    return VLY_OK;
}

static vly_status castlike_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_op_check_dtype(ctx, 1, CAST_TYPES, err);

    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[1]->dtype, &ctx->in[0]->shape);
    return st;
}

static vly_status cast_run(vly_op_ctx *ctx, vly_err *err)
{
    const cast_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];

    (void)err;
    vly_convert(in->dtype, in->data, out->dtype, out->data, vly_tensor_count(in), p->saturate);
    return VLY_OK;
}

const vly_op vly_ops_cast[] = {
    {.name = "Cast",
     .since = 6,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = CAST_TYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(cast_params),
     .prepare = cast_prepare,
     .infer = cast_infer,
     .run = cast_run},
    {.name = "CastLike",
     .since = 15,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = CAST_TYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(cast_params),
     .prepare = castlike_prepare,
     .infer = castlike_infer,
     .run = cast_run},
    {NULL},
};

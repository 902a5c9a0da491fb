/* SPDX-License-Identifier: MIT */
/* Cast, CastLike: the rules are vly_convert's; strings as cast_strings.h says. */
#include "engine/native/cast_strings.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>

#define CAST_TYPES                                                                                 \
    ((VLY_T_BYTES & ~(VLY_T(C64) | VLY_T(C128))) | VLY_T(U4) | VLY_T(I4) | VLY_T(F4E2M1))

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

/* Strings and 4-bit types do not meet: nothing would be gained. */
static vly_status infer_as(vly_op_ctx *ctx, vly_dtype to, vly_err *err)
{
    vly_dtype from = ctx->in[0]->dtype;
    bool is_from_string = from == VLY_DTYPE_STRING, is_to_string = to == VLY_DTYPE_STRING;

    if (is_from_string != is_to_string && (vly_dtype_bits(from) < 8 || vly_dtype_bits(to) < 8))
        return vly_fail(err, VLY_EUNSUPPORTED, "cast from %s to %s is not supported",
                        vly_dtype_name(from), vly_dtype_name(to));
    if (is_to_string && !is_from_string)
        vly_op_out_unknown(ctx, 0, to);
    else
        vly_op_out_set(ctx, 0, to, &ctx->in[0]->shape);
    return VLY_OK;
}

static vly_status cast_infer(vly_op_ctx *ctx, vly_err *err)
{
    const cast_params *p = ctx->params;
    return infer_as(ctx, p->to, err);
}

static vly_status castlike_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_op_check_dtype(ctx, 1, CAST_TYPES, err);
    return st == VLY_OK ? infer_as(ctx, ctx->in[1]->dtype, err) : st;
}

static vly_status cast_run(vly_op_ctx *ctx, vly_err *err)
{
    const cast_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];

    if (in->dtype == VLY_DTYPE_STRING && out->dtype == VLY_DTYPE_STRING) {
        if (out->bytes > 0 && out->data != in->data)
            memcpy(out->data, in->data, out->bytes);
        return VLY_OK;
    }
    if (in->dtype == VLY_DTYPE_STRING)
        return vly_strings_to_numbers(ctx, err);
    if (out->dtype == VLY_DTYPE_STRING)
        return vly_numbers_to_strings(ctx, err);
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

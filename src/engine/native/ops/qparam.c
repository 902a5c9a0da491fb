/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/qparam.h"

#include "tensor/convert.h"

#include <inttypes.h>

int32_t vly_zero_at(const vly_tensor *t, int64_t i)
{
    int8_t value;

    if (t == NULL)
        return 0;
    uint64_t at = vly_tensor_count(t) == 1 ? 0 : (uint64_t)i;
    if (vly_dtype_bits(t->dtype) != 4)
        return (int32_t)vly_tensor_get_i64(t, at);
    uint8_t packed = (uint8_t)(((const uint8_t *)t->data)[at / 2] >> (at % 2 == 0 ? 0 : 4));
    vly_convert(t->dtype, &packed, VLY_DTYPE_I8, &value, 1, false);
    return value;
}

float vly_scale_at(const vly_tensor *t, int64_t i)
{
    return (float)vly_tensor_get_f64(t, vly_tensor_count(t) == 1 ? 0 : (uint64_t)i);
}

static vly_status check_count(const vly_op_ctx *ctx, int i, int64_t n, vly_err *err)
{
    const vly_shape *s = &ctx->in[i]->shape;
    uint64_t count;

    if (!vly_shape_known(s) || (vly_shape_count(s, &count) && count == 1))
        return VLY_OK;
    if (n < 0 || (n > 1 && s->rank == 1 && s->dim[0] == n))
        return VLY_OK;
    char text[VLY_SHAPE_TEXT_MAX];
    return vly_fail(err, VLY_EINVAL, "input %d: expected one value%s, got shape %s", i,
                    n > 1 ? " or one for each channel" : "", vly_shape_text(s, text));
}

vly_status vly_check_qparam(const vly_op_ctx *ctx, int i_scale, int i_zero, int64_t n,
                            vly_dtype zero, vly_err *err)
{
    vly_status st = VLY_OK;

    if (i_scale >= 0 && vly_op_in(ctx, i_scale) != NULL) {
        st = vly_op_check_dtype(ctx, i_scale, VLY_T(F32) | VLY_T(F16) | VLY_T(BF16), err);
        if (st == VLY_OK)
            st = check_count(ctx, i_scale, n, err);
    }
    if (st != VLY_OK || vly_op_in(ctx, i_zero) == NULL)
        return st;
    if (ctx->in[i_zero]->dtype != zero)
        return vly_fail(err, VLY_EINVAL, "input %d: expected a zero point of type %s, got %s",
                        i_zero, vly_dtype_name(zero), vly_dtype_name(ctx->in[i_zero]->dtype));
    return check_count(ctx, i_zero, n, err);
}

bool vly_quant_type_of(vly_dtype t, vly_quant_type *ret)
{
    static const struct {
        vly_dtype dtype;
        vly_quant_type type;
    } rows[] = {
        {VLY_DTYPE_U8, VLY_QUANT_U8},   {VLY_DTYPE_I8, VLY_QUANT_I8},
        {VLY_DTYPE_U16, VLY_QUANT_U16}, {VLY_DTYPE_I16, VLY_QUANT_I16},
        {VLY_DTYPE_U4, VLY_QUANT_U4},   {VLY_DTYPE_I4, VLY_QUANT_I4},
        {VLY_DTYPE_I32, VLY_QUANT_I32},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].dtype == t) {
            *ret = rows[i].type;
            return true;
        }
    }
    return false;
}

vly_gemm_q8 vly_q8_operand(const vly_tensor *t, int64_t row_stride, int64_t col_stride,
                           const vly_tensor *zero, int32_t *zeros)
{
    int64_t n = zero != NULL ? (int64_t)vly_tensor_count(zero) : 0;

    for (int64_t i = 0; n > 1 && i < n; i++)
        zeros[i] = vly_zero_at(zero, i);
    return (vly_gemm_q8){.data = t->data,
                         .is_signed = t->dtype == VLY_DTYPE_I8,
                         .row_stride = row_stride,
                         .col_stride = col_stride,
                         .zero = n == 1 ? vly_zero_at(zero, 0) : 0,
                         .zeros = n > 1 ? zeros : NULL};
}

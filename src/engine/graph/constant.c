/* SPDX-License-Identifier: MIT */
#include "engine/graph/constant.h"

#include "base/assert.h"

static vly_status shape_from_onnx(const vly_onnx_tensor *t, vly_shape *ret, vly_err *err)
{
    if (t->n_dims > VLY_RANK_MAX)
        return vly_fail(err, VLY_ELIMIT, "tensor '%.*s': expected at most %d dimensions, got %zu",
                        VLY_STR_ARG(t->name), VLY_RANK_MAX, t->n_dims);
    *ret = (vly_shape){.rank = (int)t->n_dims};
    for (size_t i = 0; i < t->n_dims; i++)
        ret->dim[i] = t->dims[i];
    return VLY_OK;
}

static bool is_aligned(const void *p, vly_dtype dtype)
{
    size_t bytes = vly_dtype_bits(dtype) / 8;
    return bytes <= 1 || (uintptr_t)p % (bytes > 8 ? 8 : bytes) == 0;
}

vly_status vly_constant_from_onnx(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err)
{
    vly_shape shape;
    vly_tensor copy;
    vly_status st;

    if (!vly_dtype_valid(t->data_type))
        return vly_fail(err, VLY_EUNSUPPORTED, "tensor '%.*s': data type %d is not supported",
                        VLY_STR_ARG(t->name), t->data_type);
    vly_dtype dtype = (vly_dtype)t->data_type;
    st = shape_from_onnx(t, &shape, err);
    if (st != VLY_OK)
        return st;
    if (data == NULL)
        data = dtype == VLY_DTYPE_STRING ? (const void *)t->strings : t->data;
    if (data != NULL && is_aligned(data, dtype)) {
        *ret = vly_tensor_borrow(dtype, &shape, data);
        return VLY_OK;
    }
    st = vly_tensor_new(dtype, &shape, &copy, err);
    if (st != VLY_OK)
        return st;
    VLY_ASSERT(copy.bytes == 0 || (data != NULL && copy.bytes == t->n_bytes));
    if (copy.bytes > 0)
        memcpy(copy.data, data, copy.bytes);
    *ret = copy;
    return VLY_OK;
}

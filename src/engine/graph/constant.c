/* SPDX-License-Identifier: MIT */
#include "engine/graph/constant.h"

#include "base/assert.h"

/* Smaller ones are values that operators look at: copied when they are not aligned. */
#define LOOSE_FROM_BYTES 4096

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

bool vly_constant_is_aligned(const vly_tensor *t)
{
    return t->data == NULL || is_aligned(t->data, t->dtype);
}

vly_status vly_constant_align(vly_tensor *t, vly_err *err)
{
    vly_tensor copy;

    if (vly_constant_is_aligned(t))
        return VLY_OK;
    vly_status st = vly_tensor_copy(t, &copy, err);
    if (st == VLY_OK) {
        vly_tensor_release(t);
        *t = copy;
    }
    return st;
}

/* loose_from: so many bytes are borrowed as they lie */
static vly_status convert(const vly_onnx_tensor *t, const void *data, size_t loose_from,
                          vly_tensor *ret, vly_err *err)
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
    bool is_loose = dtype != VLY_DTYPE_STRING && t->n_bytes >= loose_from;
    if (data != NULL && (is_loose || is_aligned(data, dtype))) {
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

vly_status vly_constant_from_onnx(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err)
{
    return convert(t, data, SIZE_MAX, ret, err);
}

vly_status vly_constant_from_file(const vly_onnx_tensor *t, const void *data, vly_tensor *ret,
                                  vly_err *err)
{
    return convert(t, data, LOOSE_FROM_BYTES, ret, err);
}

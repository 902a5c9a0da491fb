/* SPDX-License-Identifier: MIT */
#include "tensor/tensor.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"

#include <stdatomic.h>

/* Header and elements are one 64-byte aligned allocation. */
struct vly_storage {
    _Alignas(64) _Atomic uint32_t n_refs;
    _Alignas(64) unsigned char data[];
};

static vly_storage *storage_new(size_t bytes)
{
    size_t total;
    if (!vly_size_add(bytes, sizeof(vly_storage) + VLY_TENSOR_PADDING, &total))
        return NULL;
    vly_storage *s = vly_alloc_aligned(VLY_MEM_TENSOR, total);
    if (s == NULL)
        return NULL;
    atomic_init(&s->n_refs, 1);
    memset(s->data + bytes, 0, VLY_TENSOR_PADDING);
    return s;
}

vly_status vly_tensor_new(vly_dtype dtype, const vly_shape *shape, vly_tensor *ret, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    size_t bytes;

    if (!vly_shape_known(shape))
        return vly_fail(err, VLY_EINVAL, "tensor %s: every dimension must be known",
                        vly_shape_text(shape, text));
    if (!vly_shape_bytes(shape, dtype, &bytes))
        return vly_fail(err, VLY_ELIMIT, "tensor %s of %s: size overflows",
                        vly_shape_text(shape, text), vly_dtype_name(dtype));
    vly_storage *s = storage_new(bytes);
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "tensor %s of %s: cannot allocate %zu bytes",
                        vly_shape_text(shape, text), vly_dtype_name(dtype), bytes);
    *ret =
        (vly_tensor){.dtype = dtype, .shape = *shape, .data = s->data, .bytes = bytes, .store = s};
    return VLY_OK;
}

vly_tensor vly_tensor_borrow(vly_dtype dtype, const vly_shape *shape, const void *data)
{
    vly_tensor t = {.dtype = dtype, .shape = *shape};
    bool ok = vly_shape_bytes(shape, dtype, &t.bytes);
    VLY_ASSERT(ok);
    memcpy(&t.data, &data, sizeof(data)); /* views are read-only by convention, not by type */
    return t;
}

vly_tensor vly_tensor_ref(const vly_tensor *t)
{
    /* relaxed: the caller already holds a reference */
    if (t->store != NULL)
        atomic_fetch_add_explicit(&t->store->n_refs, 1, memory_order_relaxed);
    return *t;
}

void vly_storage_unref(vly_storage *s)
{
    /* acq_rel: the last owner must see every other owner's writes before the memory goes */
    if (s != NULL && atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) == 1)
        vly_free(s);
}

void vly_tensor_release(vly_tensor *t)
{
    vly_storage_unref(t->store);
    *t = (vly_tensor){0};
}

bool vly_tensor_is_unique(const vly_tensor *t)
{
    /* acquire: what the last other owner did with the data happens before we reuse them */
    return t->store != NULL && atomic_load_explicit(&t->store->n_refs, memory_order_acquire) == 1;
}

vly_status vly_tensor_new_strings(const vly_shape *shape, size_t n_bytes, vly_tensor *ret,
                                  char **ret_bytes, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];
    size_t bytes, total;

    if (!vly_shape_bytes(shape, VLY_DTYPE_STRING, &bytes) || !vly_size_add(bytes, n_bytes, &total))
        return vly_fail(err, VLY_ELIMIT, "tensor %s of string: size overflows",
                        vly_shape_text(shape, text));
    vly_storage *s = storage_new(total);
    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "tensor %s of string: cannot allocate %zu bytes",
                        vly_shape_text(shape, text), total);
    *ret = (vly_tensor){
        .dtype = VLY_DTYPE_STRING, .shape = *shape, .data = s->data, .bytes = bytes, .store = s};
    *ret_bytes = (char *)s->data + bytes;
    return VLY_OK;
}

static vly_status copy_strings(const vly_tensor *src, vly_tensor *ret, vly_err *err)
{
    const vly_str *from = src->data;
    uint64_t n = vly_tensor_count(src);
    size_t total = 0;
    vly_tensor copy;
    char *bytes;

    for (uint64_t i = 0; i < n; i++)
        if (!vly_size_add(total, from[i].len, &total))
            return vly_fail(err, VLY_ELIMIT, "string tensor: size overflows");
    vly_status st = vly_tensor_new_strings(&src->shape, total, &copy, &bytes, err);
    if (st != VLY_OK)
        return st;
    vly_str *to = copy.data;
    for (uint64_t i = 0; i < n; i++) {
        if (from[i].len > 0)
            memcpy(bytes, from[i].ptr, from[i].len);
        to[i] = (vly_str){bytes, from[i].len};
        bytes += from[i].len;
    }
    *ret = copy;
    return VLY_OK;
}

vly_status vly_tensor_copy(const vly_tensor *src, vly_tensor *ret, vly_err *err)
{
    vly_tensor copy;

    if (src->dtype == VLY_DTYPE_STRING)
        return copy_strings(src, ret, err);
    vly_status st = vly_tensor_new(src->dtype, &src->shape, &copy, err);
    if (st != VLY_OK)
        return st;
    if (src->bytes > 0)
        memcpy(copy.data, src->data, src->bytes);
    *ret = copy;
    return VLY_OK;
}

vly_tensor vly_tensor_reshaped(const vly_tensor *t, const vly_shape *shape)
{
    uint64_t n;
    VLY_ASSERT(vly_shape_count(shape, &n) && n == vly_tensor_count(t));
    vly_tensor view = vly_tensor_ref(t);
    view.shape = *shape;
    return view;
}

uint64_t vly_tensor_count(const vly_tensor *t)
{
    uint64_t n = 0;
    bool ok = vly_shape_count(&t->shape, &n);
    VLY_ASSERT(ok);
    return n;
}

/* The element types a C type stands for; F16, BF16 and BOOL are special. */
#define NATIVE_TYPES(X)                                                                            \
    X(F32, float)                                                                                  \
    X(F64, double)                                                                                 \
    X(U8, uint8_t)                                                                                 \
    X(I8, int8_t)                                                                                  \
    X(U16, uint16_t)                                                                               \
    X(I16, int16_t)                                                                                \
    X(I32, int32_t)                                                                                \
    X(U32, uint32_t)                                                                               \
    X(U64, uint64_t)                                                                               \
    X(I64, int64_t)

double vly_tensor_get_f64(const vly_tensor *t, uint64_t i)
{
    switch ((int)t->dtype) {
#define GET(name, type)                                                                            \
    case VLY_DTYPE_##name:                                                                         \
        return (double)((const type *)t->data)[i];
        NATIVE_TYPES(GET)
#undef GET
    case VLY_DTYPE_BOOL:
        return ((const uint8_t *)t->data)[i] != 0;
    case VLY_DTYPE_F16:
        return (double)vly_f16_to_f32(((const uint16_t *)t->data)[i]);
    case VLY_DTYPE_BF16:
        return (double)vly_bf16_to_f32(((const uint16_t *)t->data)[i]);
    default:
        VLY_ASSERT(!"dtype with a numeric element");
        return 0;
    }
}

static int64_t saturate(double v)
{
    if (v != v)
        return 0;
    if (v >= 0x1p63)
        return INT64_MAX;
    return v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

int64_t vly_tensor_get_i64(const vly_tensor *t, uint64_t i)
{
    if (t->dtype == VLY_DTYPE_I64)
        return ((const int64_t *)t->data)[i];
    if (t->dtype == VLY_DTYPE_U64) {
        uint64_t v = ((const uint64_t *)t->data)[i];
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
    }
    return saturate(vly_tensor_get_f64(t, i));
}

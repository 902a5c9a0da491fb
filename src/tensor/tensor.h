/* SPDX-License-Identifier: MIT */
/*
 * Tensor: a view (dtype, shape, data) that may hold a reference to storage.
 *
 * Storage is refcounted, 64-byte aligned and followed by VLY_TENSOR_PADDING readable bytes, so that
 * SIMD loads may run past the end. A tensor without storage borrows its data (mmap'ed weights, a
 * request body, the plan's arena): the lender outlives it. Tensors are always dense, row-major.
 *
 * A vly_tensor is a small value in the caller's hands; vly_tensor_release drops its reference.
 * Thread: the refcount is atomic; the data follow their owner's rule.
 */
#ifndef VLY_TENSOR_TENSOR_H
#define VLY_TENSOR_TENSOR_H

#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define VLY_TENSOR_PADDING 64

typedef struct vly_storage vly_storage;

typedef struct vly_tensor {
    vly_dtype dtype;
    vly_shape shape;    /* fully known */
    void *data;         /* NULL: no tensor */
    size_t bytes;       /* of the elements, padding not counted */
    vly_storage *store; /* owns one reference; NULL: data is borrowed */
} vly_tensor;

/* New storage, not zeroed. ELIMIT when bytes overflow, EINVAL on an unknown dimension, ENOMEM. */
vly_status vly_tensor_new(vly_dtype dtype, const vly_shape *shape, vly_tensor *ret,
                          vly_err *err) VLY_MUST_CHECK;
/* New STRING tensor with room for n_bytes behind its elements, at *ret_bytes: the elements, which
 * the caller sets, may point there. */
vly_status vly_tensor_new_strings(const vly_shape *shape, size_t n_bytes, vly_tensor *ret,
                                  char **ret_bytes, vly_err *err) VLY_MUST_CHECK;
/* View on data the caller keeps alive; data holds the bytes of dtype and shape (asserted >= 0). */
vly_tensor vly_tensor_borrow(vly_dtype dtype, const vly_shape *shape, const void *data);
/* Another reference to the same storage (or another borrow of the same data). */
vly_tensor vly_tensor_ref(const vly_tensor *t);
/* Deep copy into new storage; STRING elements are copied with their bytes. */
vly_status vly_tensor_copy(const vly_tensor *src, vly_tensor *ret, vly_err *err) VLY_MUST_CHECK;
/* Same data, other shape with the same element count (asserted). New reference. */
vly_tensor vly_tensor_reshaped(const vly_tensor *t, const vly_shape *shape);
/* Drops a reference to storage alone: of who keeps the data of a tensor by its store. */
void vly_storage_unref(vly_storage *s); /* accepts NULL */
void vly_tensor_release(vly_tensor *t); /* *t becomes the empty tensor; accepts the empty tensor */
/* Does the caller hold the only reference to t's storage? False for borrowed and empty tensors. */
bool vly_tensor_is_unique(const vly_tensor *t);

uint64_t vly_tensor_count(const vly_tensor *t); /* elements */

/* Element i of any real, integer or bool tensor as double / int64 (saturating; floats truncate).
 * Not for hot loops. */
double vly_tensor_get_f64(const vly_tensor *t, uint64_t i);
int64_t vly_tensor_get_i64(const vly_tensor *t, uint64_t i);

#endif

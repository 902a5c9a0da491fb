/* SPDX-License-Identifier: MIT */
/*
 * NumPy's .npy format: one array with a small text header.
 *
 * Accepts versions 1, 2 and 3; bool, signed and unsigned integers of 1, 2, 4 and 8 bytes, floats of
 * 2, 4 and 8 bytes, little-endian; C and Fortran order. Rejects what numpy can also hold: objects,
 * strings, records, complex and big-endian numbers (EUNSUPPORTED). A file that is shorter or longer
 * than its header says is EFORMAT.
 * Thread: any; allocates nothing but through the caller's buffer.
 */
#ifndef VLY_CODEC_NPY_H
#define VLY_CODEC_NPY_H

#include "base/buf.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_NPY_DIMS_MAX 32

typedef struct vly_npy {
    int32_t data_type;     /* ONNX TensorProto.DataType */
    bool is_fortran_order; /* the first dimension varies fastest */
    size_t n_dims;
    int64_t dims[VLY_NPY_DIMS_MAX];
    size_t n_elems;
    const void *data; /* n_bytes in the parsed file, not aligned */
    size_t n_bytes;
} vly_npy;

/* The array borrows the bytes. */
vly_status vly_npy_parse(const void *bytes, size_t len, vly_npy *ret, vly_err *err) VLY_MUST_CHECK;

/* Copies the elements to dst, n_bytes long, in C order whatever the file's order is. */
void vly_npy_copy(const vly_npy *a, void *dst);

/* Appends a version 1 file with n_bytes of data in C order. EUNSUPPORTED when npy has no such data
 * type. Running out of buffer shows in out->failed, as always. */
vly_status vly_npy_write(vly_buf *out, int32_t data_type, size_t n_dims, const int64_t *dims,
                         const void *data, size_t n_bytes, vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One operator by itself, without a model:
 *
 *     op_case c;
 *     oc_init(&c, "Gather", 13);
 *     oc_int(&c, "axis", 1);
 *     oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 3), x);
 *     oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), idx);
 *     assert_int_equal(oc_run(&c, 1), VLY_OK);
 *     ... c.out[0] ...
 *     oc_free(&c);
 *
 * Data, names and lists are borrowed until oc_free. oc_run also infers with the values of the
 * inputs still unknown, and fails the test when that promises another shape than the run has.
 */
#ifndef VLY_TESTS_UNIT_ENGINE_OP_CASE_H
#define VLY_TESTS_UNIT_ENGINE_OP_CASE_H

#include "base/arena.h"
#include "engine/op.h"

enum { OC_MAX = 10 };

typedef struct op_case {
    vly_onnx_node proto; /* oc_init sets no domain: the default one */
    vly_onnx_attr attrs[OC_MAX];
    int opset;
    int n_in, n_out;
    vly_tensor in[OC_MAX], out[OC_MAX];
    struct vly_worker_pool *pool; /* for the run; oc_init sets none */
    vly_arena arena;
    vly_err err; /* of the last oc_run */
} op_case;

void oc_init(op_case *c, const char *op, int opset);
void oc_free(op_case *c);

void oc_int(op_case *c, const char *name, int64_t v);
void oc_float(op_case *c, const char *name, float v);
void oc_string(op_case *c, const char *name, const char *v);
void oc_ints(op_case *c, const char *name, size_t n, const int64_t *v);
void oc_floats(op_case *c, const char *name, size_t n, const float *v);

void oc_in(op_case *c, vly_dtype dtype, vly_shape shape, const void *data);
void oc_omit(op_case *c); /* an optional input that is not given */

/* Finds the op (which must exist), prepares, infers and runs it. */
vly_status oc_run(op_case *c, int n_out) VLY_MUST_CHECK;

#endif

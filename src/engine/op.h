/* SPDX-License-Identifier: MIT */
/*
 * The contract of one ONNX operator in the native engine.
 *
 * An op is a row of constants and up to three functions. To add one: write it in
 * engine/native/ops/<family>.c and name the family's table in engine/native/op_list.h.
 *
 *   prepare  once, at load: attributes into params (zeroed, params_bytes long)
 *   infer    input dtypes and shapes (and values, where already known) -> output dtypes and shapes
 *   run      input values -> output values
 *
 * infer and run see the same vly_op_ctx. In infer an input's `data` is NULL while its value is not
 * known, and its shape may hold unknown dimensions. What depends on a missing value (Reshape's
 * shape) is left unknown by setting dimensions to VLY_DIM_UNKNOWN or, when not even the rank is
 * known, by vly_op_out_unknown(); the executor then calls infer again when the values are there.
 * Outputs whose shape depends on the data themselves (NonZero, NonMaxSuppression) stay unknown even
 * then, and run makes them with vly_op_out_alloc().
 *
 * Before infer the engine has checked: opset within since..until, number of inputs and outputs,
 * required inputs present, dtype of input 0 within `dtypes`. Everything else is the op's to check.
 * Errors need not name the node: the engine puts "node 'x' (Conv): " in front.
 *
 * Thread: any; ops have no state but params, which are immutable after prepare.
 */
#ifndef VLY_ENGINE_OP_H
#define VLY_ENGINE_OP_H

#include "base/status.h"
#include "engine/attrs.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stdint.h>

#define VLY_OP_VARIADIC 0x7fff /* n_in_max or n_out_max: any number */
#define VLY_T(name)     (1u << VLY_DTYPE_##name)
#define VLY_T_ANY       0u
#define VLY_T_FLOAT     (VLY_T(F32) | VLY_T(F64) | VLY_T(F16) | VLY_T(BF16))
#define VLY_T_INT                                                                                  \
    (VLY_T(U8) | VLY_T(I8) | VLY_T(U16) | VLY_T(I16) | VLY_T(U32) | VLY_T(I32) | VLY_T(U64) |      \
     VLY_T(I64))
#define VLY_T_NUMBER (VLY_T_FLOAT | VLY_T_INT)

enum {
    /* Output 0 is input 0's data under another shape: the engine copies nothing and never calls
     * run. dtype and element count must be equal. */
    VLY_OP_VIEW = 1u << 0,
    /* Output 0 may share input 0's memory when shapes and dtypes are equal: element i of the output
     * is written after element i of the input was last read. */
    VLY_OP_INPLACE = 1u << 1,
    /* run needs only the shapes of the inputs, not their values (Shape, Size). */
    VLY_OP_SHAPE_ONLY = 1u << 2,
    /* Never folded: each run may differ (RandomNormal ...). */
    VLY_OP_IMPURE = 1u << 3,
};

typedef struct vly_op_ctx vly_op_ctx;
struct vly_worker_pool;

typedef struct vly_op {
    const char *name;       /* ONNX op_type; NULL ends a family's table */
    const char *domain;     /* NULL: the default domain "ai.onnx" */
    int since, until;       /* opset versions of the domain, inclusive; until 0: no upper bound */
    int n_in_min, n_in_max; /* inputs; the first n_in_min must be present */
    int n_out_max;          /* outputs 1..n_out_max (0: exactly one) */
    uint32_t dtypes;        /* dtypes of input 0 that are implemented; VLY_T_ANY: all */
    unsigned flags;
    size_t params_bytes;
    vly_status (*prepare)(const vly_op_ctx *ctx, void *params, vly_err *err); /* optional */
    vly_status (*infer)(vly_op_ctx *ctx, vly_err *err);
    vly_status (*run)(vly_op_ctx *ctx, vly_err *err); /* NULL only with VLY_OP_VIEW */
} vly_op;

struct vly_op_ctx {
    const vly_op *op;
    const vly_onnx_node *proto;
    const void *params;
    int opset; /* version of op->domain that the model imports */
    int n_in;  /* trailing omitted inputs are not counted */
    int n_out;
    const int *out_ids; /* [n_out] the graph's values; -1: this output is not wanted */
    /* [n_in]; an omitted optional input has dtype UNDEFINED. Borrowed, read-only in run. */
    const vly_tensor *const *in;
    /* [n_out]. infer sets dtype and shape; run finds data there (NULL: shape was unknown). */
    vly_tensor *out;
    bool out_unknown[8]; /* infer: even the rank of out[i] is unknown (i < 8) */
    /* infer may ask for scratch memory by setting this; run finds it, 64-byte aligned and never
     * NULL. */
    size_t scratch_bytes;
    void *scratch;
    uint64_t flops;               /* infer may say what run costs: 2 * multiply-adds */
    struct vly_worker_pool *pool; /* for splitting one op over cores; NULL: run alone */
};

/* Input i, or NULL when it is omitted or not given. */
static inline const vly_tensor *vly_op_in(const vly_op_ctx *ctx, int i)
{
    return i < ctx->n_in && ctx->in[i]->dtype != VLY_DTYPE_UNDEFINED ? ctx->in[i] : NULL;
}

/* Input i is given but its value is not known yet (infer only). */
static inline bool vly_op_in_pending(const vly_op_ctx *ctx, int i)
{
    return vly_op_in(ctx, i) != NULL && ctx->in[i]->data == NULL;
}

/* Is output i wanted? */
static inline bool vly_op_wants(const vly_op_ctx *ctx, int i)
{
    return i < ctx->n_out && ctx->out_ids[i] >= 0;
}

/* infer: output i has this dtype and shape. */
void vly_op_out_set(vly_op_ctx *ctx, int i, vly_dtype dtype, const vly_shape *shape);
/* infer: output i has this dtype; nothing is known of its shape. */
void vly_op_out_unknown(vly_op_ctx *ctx, int i, vly_dtype dtype);
/* run: storage for an output whose shape only run knows. */
vly_status vly_op_out_alloc(vly_op_ctx *ctx, int i, const vly_shape *shape,
                            vly_err *err) VLY_MUST_CHECK;

/* The same for strings, with room for n_bytes of them at *ret_bytes (vly_tensor_new_strings). */
vly_status vly_op_out_alloc_strings(vly_op_ctx *ctx, int i, const vly_shape *shape, size_t n_bytes,
                                    char **ret_bytes, vly_err *err) VLY_MUST_CHECK;

/* Ready-made infer functions. */
vly_status vly_infer_same(vly_op_ctx *ctx, vly_err *err); /* out 0 like in 0 */
vly_status vly_infer_broadcast(vly_op_ctx *ctx,
                               vly_err *err); /* all inputs broadcast; dtype of in 0 */
vly_status vly_infer_broadcast_bool(vly_op_ctx *ctx, vly_err *err); /* the same, BOOL */

/* Checks for infer, each with an error that names input i, what was expected and what came. */
vly_status vly_op_check_dtype(const vly_op_ctx *ctx, int i, uint32_t dtypes,
                              vly_err *err) VLY_MUST_CHECK;
vly_status vly_op_check_rank(const vly_op_ctx *ctx, int i, int lo, int hi,
                             vly_err *err) VLY_MUST_CHECK;
/* Input i as a list of integers (1-D or scalar int64/int32 whose value is known); out:
 * [VLY_RANK_MAX]. EINVAL when it has another type, or more than max elements. */
vly_status vly_op_ints(const vly_op_ctx *ctx, int i, int64_t *out, int max, int *ret_n,
                       vly_err *err) VLY_MUST_CHECK;

/* Looks an op up for a node; NULL: none of that name and domain. *ret_has_name tells whether some
 * version of it exists. */
const vly_op *vly_op_find(vly_str domain, vly_str name, int opset, bool *ret_has_name);
/* Visits every registered op, for docs/ops.md. */
void vly_op_each(void (*visit)(const vly_op *op, void *arg), void *arg);

#endif

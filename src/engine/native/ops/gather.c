/* SPDX-License-Identifier: MIT */
/* Reading by index: Gather, GatherElements, GatherND, Compress. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/walk.h"

#include <inttypes.h>

#define INDEX_TYPES (VLY_T(I64) | VLY_T(I32))

typedef struct gather_params {
    int64_t axis, batch_dims;
    bool has_axis;
} gather_params;

static vly_status gather_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    gather_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 0);
    p->has_axis = vly_attrs_has(&a, "axis");
    p->batch_dims = vly_attrs_int_in(&a, "batch_dims", 0, 0, VLY_RANK_MAX);
    return vly_attrs_end(&a, err);
}

/* ---- Gather ------------------------------------------------------------------------------- */

static vly_status gather_infer(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape, *idx = &ctx->in[1]->shape;
    vly_shape out = VLY_SHAPE_SCALAR;
    int axis;
    vly_status st = vly_op_check_dtype(ctx, 1, INDEX_TYPES, err);

    if (st == VLY_OK)
        st = vly_op_axis(p->axis, s->rank, &axis, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < axis && st == VLY_OK; i++)
        st = vly_shape_push(&out, s->dim[i], err);
    for (int i = 0; i < idx->rank && st == VLY_OK; i++)
        st = vly_shape_push(&out, idx->dim[i], err);
    for (int i = axis + 1; i < s->rank && st == VLY_OK; i++)
        st = vly_shape_push(&out, s->dim[i], err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return st;
}

static vly_status gather_run(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *idx = ctx->in[1];
    const vly_shape *s = &in->shape;
    int64_t n_idx = (int64_t)vly_tensor_count(idx);
    int axis;
    vly_status st = vly_op_axis(p->axis, s->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t outer = vly_shape_span(s, 0, axis), inner = vly_shape_span(s, axis + 1, s->rank);
    size_t bytes = (size_t)inner * vly_elem_bytes(in);
    for (int64_t k = 0; k < n_idx; k++) {
        int64_t at;
        st = vly_op_index(idx, k, s->dim[axis], &at, err);
        if (st != VLY_OK)
            return st;
        for (int64_t o = 0; o < outer && bytes > 0; o++)
            memcpy(vly_elem_at(&ctx->out[0], (o * n_idx + k) * inner),
                   vly_elem_at(in, (o * s->dim[axis] + at) * inner), bytes);
    }
    return VLY_OK;
}

/* ---- GatherElements ----------------------------------------------------------------------- */

static vly_status elements_infer(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape, *idx = &ctx->in[1]->shape;
    int axis;
    vly_status st = vly_op_check_dtype(ctx, 1, INDEX_TYPES, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, s->rank, s->rank, err);
    if (st == VLY_OK)
        st = vly_op_axis(p->axis, s->rank, &axis, err);
    for (int i = 0; i < s->rank && st == VLY_OK; i++)
        if (i != axis && idx->dim[i] > s->dim[i])
            st = vly_fail(err, VLY_EINVAL,
                          "input 1: axis %d has %" PRId64 " indices for %" PRId64 " elements", i,
                          idx->dim[i], s->dim[i]);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, idx);
    return st;
}

static vly_status elements_run(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *idx = ctx->in[1], *out = &ctx->out[0];
    int64_t strides[2][VLY_RANK_MAX], along;
    size_t bytes = vly_elem_bytes(in);
    int axis;
    vly_walk w;
    vly_status st = vly_op_axis(p->axis, in->shape.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    vly_shape_strides(&idx->shape, strides[0]);
    vly_shape_strides(&in->shape, strides[1]);
    along = strides[1][axis];
    strides[1][axis] = 0; /* the index says where along the axis */
    for (vly_walk_begin(&w, &idx->shape, 2, strides); w.more; vly_walk_next(&w)) {
        for (int64_t i = 0; i < w.n; i++) {
            int64_t k = w.off[0] + i * w.step[0], at;
            st = vly_op_index(idx, k, in->shape.dim[axis], &at, err);
            if (st != VLY_OK)
                return st;
            memcpy(vly_elem_at(out, k), vly_elem_at(in, w.off[1] + i * w.step[1] + at * along),
                   bytes);
        }
    }
    return VLY_OK;
}

/* ---- GatherND ----------------------------------------------------------------------------- */

static vly_status nd_infer(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape, *idx = &ctx->in[1]->shape;
    int batch = (int)p->batch_dims;
    vly_shape out = VLY_SHAPE_SCALAR;
    vly_status st = vly_op_check_dtype(ctx, 1, VLY_T(I64), err);

    if (st == VLY_OK && (s->rank < 1 || idx->rank < 1 || batch >= idx->rank || batch >= s->rank))
        st = vly_fail(err, VLY_EINVAL, "attribute 'batch_dims' or a rank is out of range");
    if (st != VLY_OK)
        return st;
    int64_t depth = idx->dim[idx->rank - 1];
    if (depth < 1 || depth > s->rank - batch)
        return vly_fail(err, VLY_EINVAL,
                        "input 1: expected 1 to %d numbers per index, got %" PRId64,
                        s->rank - batch, depth);
    for (int i = 0; i < batch; i++)
        if (s->dim[i] != idx->dim[i])
            return vly_fail(err, VLY_EINVAL, "input 1: batch axis %d differs from the data's", i);
    for (int i = 0; i < idx->rank - 1 && st == VLY_OK; i++)
        st = vly_shape_push(&out, idx->dim[i], err);
    for (int i = batch + (int)depth; i < s->rank && st == VLY_OK; i++)
        st = vly_shape_push(&out, s->dim[i], err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return st;
}

static vly_status nd_run(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *idx = ctx->in[1];
    const vly_shape *s = &in->shape;
    int batch = (int)p->batch_dims, depth = (int)idx->shape.dim[idx->shape.rank - 1];
    int64_t n_batches = vly_shape_span(s, 0, batch);
    int64_t n_each = vly_shape_span(&idx->shape, batch, idx->shape.rank - 1);
    int64_t batch_size = vly_shape_span(s, batch, s->rank);
    int64_t inner = vly_shape_span(s, batch + depth, s->rank);
    size_t bytes = (size_t)inner * vly_elem_bytes(in);

    for (int64_t k = 0; k < n_batches * n_each; k++) {
        int64_t from = 0;
        for (int d = 0; d < depth; d++) {
            int64_t at;
            vly_status st = vly_op_index(idx, k * depth + d, s->dim[batch + d], &at, err);
            if (st != VLY_OK)
                return st;
            from = from * s->dim[batch + d] + at;
        }
        if (bytes > 0)
            memcpy(vly_elem_at(&ctx->out[0], k * inner),
                   vly_elem_at(in, k / n_each * batch_size + from * inner), bytes);
    }
    return VLY_OK;
}

/* ---- Compress ----------------------------------------------------------------------------- */

static vly_status compress_infer(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    vly_shape out = {.rank = 1, .dim = {VLY_DIM_UNKNOWN}};
    int axis = 0;
    vly_status st = vly_op_check_dtype(ctx, 1, VLY_T(BOOL), err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, 1, 1, err);
    if (st == VLY_OK && p->has_axis) {
        out = ctx->in[0]->shape;
        st = vly_op_axis(p->axis, out.rank, &axis, err);
    }
    if (st != VLY_OK)
        return st;
    out.dim[axis] = VLY_DIM_UNKNOWN;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

static vly_status compress_run(vly_op_ctx *ctx, vly_err *err)
{
    const gather_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    vly_shape flat = {.rank = 1, .dim = {(int64_t)vly_tensor_count(in)}};
    vly_shape s = p->has_axis ? in->shape : flat;
    const uint8_t *keep = ctx->in[1]->data;
    int64_t n_keep = ctx->in[1]->shape.dim[0], n_kept = 0, to = 0;
    int axis;
    vly_status st = vly_op_axis(p->has_axis ? p->axis : 0, s.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t outer = vly_shape_span(&s, 0, axis), inner = vly_shape_span(&s, axis + 1, s.rank);
    int64_t dim = s.dim[axis];
    size_t bytes = (size_t)inner * vly_elem_bytes(in);
    n_keep = n_keep < dim ? n_keep : dim;
    for (int64_t i = 0; i < n_keep; i++)
        n_kept += keep[i] != 0;
    s.dim[axis] = n_kept;
    st = vly_op_out_alloc(ctx, 0, &s, err);
    if (st != VLY_OK || ctx->out[0].data == NULL)
        return st;
    for (int64_t o = 0; o < outer && bytes > 0; o++)
        for (int64_t i = 0; i < n_keep; i++)
            if (keep[i] != 0)
                memcpy(vly_elem_at(&ctx->out[0], to++ * inner),
                       vly_elem_at(in, (o * dim + i) * inner), bytes);
    return VLY_OK;
}

#define GATHER_OP(op_name, first, infer_fn, run_fn)                                                \
    {                                                                                              \
        .name = op_name, .since = first, .n_in_min = 2, .n_in_max = 2, .dtypes = VLY_T_BYTES,      \
        .params_bytes = sizeof(gather_params), .prepare = gather_prepare, .infer = infer_fn,       \
        .run = run_fn                                                                              \
    }

const vly_op vly_ops_gather[] = {
    GATHER_OP("Gather", 1, gather_infer, gather_run),
    GATHER_OP("GatherElements", 11, elements_infer, elements_run),
    GATHER_OP("GatherND", 11, nd_infer, nd_run),
    GATHER_OP("Compress", 9, compress_infer, compress_run),
    {NULL},
};

/* SPDX-License-Identifier: MIT */
/* Writing by index: ScatterElements (once called Scatter), ScatterND, each with its reductions. */
#include "engine/native/arith.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/walk.h"

#include <inttypes.h>

typedef enum scatter_mode { MODE_NONE, MODE_ADD, MODE_MUL, MODE_MAX, MODE_MIN } scatter_mode;

typedef struct scatter_params {
    int64_t axis;
    scatter_mode mode;
} scatter_params;

static vly_status scatter_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    scatter_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 0);
    p->mode = (scatter_mode)vly_attrs_enum(&a, "reduction", "none\0add\0mul\0max\0min\0", 0);
    return vly_attrs_end(&a, err);
}

/* Indices may repeat, so the reduction of one update must see those before it: one by one. */
static vly_status update(scatter_mode mode, const vly_tensor *dst, const vly_tensor *src,
                         vly_err *err)
{
    switch (mode) {
    case MODE_ADD:
        return vly_binary_run(dst, src, dst, vly_add_table, err);
    case MODE_MUL:
        return vly_binary_run(dst, src, dst, vly_mul_table, err);
    case MODE_MAX:
        return vly_binary_run(dst, src, dst, vly_max_table, err);
    case MODE_MIN:
        return vly_binary_run(dst, src, dst, vly_min_table, err);
    case MODE_NONE:
    default:
        memcpy(dst->data, src->data, src->bytes);
        return VLY_OK;
    }
}

static vly_status check_types(const vly_op_ctx *ctx, uint32_t index_types, vly_err *err)
{
    const scatter_params *p = ctx->params;
    vly_status st = vly_op_check_dtype(ctx, 1, index_types, err);

    if (st == VLY_OK && p->mode != MODE_NONE)
        st = vly_op_check_dtype(ctx, 0, VLY_T_NUMBER, err);
    if (st == VLY_OK && ctx->in[2]->dtype != ctx->in[0]->dtype)
        st = vly_fail(err, VLY_EINVAL, "input 2: expected %s as input 0, got %s",
                      vly_dtype_name(ctx->in[0]->dtype), vly_dtype_name(ctx->in[2]->dtype));
    return st;
}

static void copy_input(const vly_op_ctx *ctx)
{
    if (ctx->out[0].data != ctx->in[0]->data && ctx->out[0].bytes > 0)
        memcpy(ctx->out[0].data, ctx->in[0]->data, ctx->out[0].bytes);
}

/* ---- ScatterElements ---------------------------------------------------------------------- */

static vly_status elements_infer(vly_op_ctx *ctx, vly_err *err)
{
    const scatter_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape, *idx = &ctx->in[1]->shape;
    int axis;
    vly_status st = check_types(ctx, VLY_T(I64) | VLY_T(I32), err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, s->rank, s->rank, err);
    if (st == VLY_OK)
        st = vly_op_axis(p->axis, s->rank, &axis, err);
    if (st == VLY_OK && !vly_shape_eq(idx, &ctx->in[2]->shape))
        st = vly_fail(err, VLY_EINVAL, "indices and updates differ in shape");
    for (int i = 0; i < s->rank && st == VLY_OK; i++)
        if (i != axis && idx->dim[i] > s->dim[i])
            st = vly_fail(err, VLY_EINVAL,
                          "input 1: axis %d has %" PRId64 " indices for %" PRId64 " elements", i,
                          idx->dim[i], s->dim[i]);
    return st == VLY_OK ? vly_infer_same(ctx, err) : st;
}

static vly_status elements_run(vly_op_ctx *ctx, vly_err *err)
{
    const scatter_params *p = ctx->params;
    const vly_tensor *idx = ctx->in[1], *updates = ctx->in[2], *out = &ctx->out[0];
    int64_t strides[2][VLY_RANK_MAX];
    int axis;
    vly_walk w;
    vly_status st = vly_op_axis(p->axis, out->shape.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    copy_input(ctx);
    vly_shape_strides(&idx->shape, strides[0]);
    vly_shape_strides(&out->shape, strides[1]);
    int64_t along = strides[1][axis];
    strides[1][axis] = 0; /* the index says where along the axis */
    for (vly_walk_begin(&w, &idx->shape, 2, strides); w.more; vly_walk_next(&w)) {
        for (int64_t i = 0; i < w.n && st == VLY_OK; i++) {
            int64_t k = w.off[0] + i * w.step[0], at = 0;
            st = vly_op_index(idx, k, out->shape.dim[axis], &at, err);
            if (st != VLY_OK)
                return st;
            int64_t to = w.off[1] + i * w.step[1] + at * along;
            vly_tensor dst = vly_tensor_borrow(out->dtype, &VLY_SHAPE_SCALAR, vly_elem_at(out, to));
            vly_tensor src =
                vly_tensor_borrow(out->dtype, &VLY_SHAPE_SCALAR, vly_elem_at(updates, k));
            st = update(p->mode, &dst, &src, err);
        }
    }
    return st;
}

/* ---- ScatterND ---------------------------------------------------------------------------- */

static vly_status nd_infer(vly_op_ctx *ctx, vly_err *err)
{
    char text_want[VLY_SHAPE_TEXT_MAX], text_got[VLY_SHAPE_TEXT_MAX];
    const vly_shape *s = &ctx->in[0]->shape, *idx = &ctx->in[1]->shape;
    vly_shape want = VLY_SHAPE_SCALAR;
    vly_status st = check_types(ctx, VLY_T(I64), err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, 1, VLY_RANK_MAX, err);
    if (st != VLY_OK)
        return st;
    int64_t depth = idx->dim[idx->rank - 1];
    if (depth < 0 || depth > s->rank)
        return vly_fail(err, VLY_EINVAL,
                        "input 1: expected at most %d numbers per index, got %" PRId64, s->rank,
                        depth);
    for (int i = 0; i < idx->rank - 1 && st == VLY_OK; i++)
        st = vly_shape_push(&want, idx->dim[i], err);
    for (int i = (int)depth; i < s->rank && st == VLY_OK; i++)
        st = vly_shape_push(&want, s->dim[i], err);
    if (st == VLY_OK && !vly_shape_eq(&want, &ctx->in[2]->shape))
        st = vly_fail(err, VLY_EINVAL, "input 2: expected shape %s, got %s",
                      vly_shape_text(&want, text_want),
                      vly_shape_text(&ctx->in[2]->shape, text_got));
    return st == VLY_OK ? vly_infer_same(ctx, err) : st;
}

static vly_status nd_run(vly_op_ctx *ctx, vly_err *err)
{
    const scatter_params *p = ctx->params;
    const vly_tensor *idx = ctx->in[1], *updates = ctx->in[2], *out = &ctx->out[0];
    const vly_shape *s = &out->shape;
    int depth = (int)idx->shape.dim[idx->shape.rank - 1];
    int64_t n = vly_shape_span(&idx->shape, 0, idx->shape.rank - 1);
    int64_t inner = vly_shape_span(s, depth, s->rank);
    vly_shape row = VLY_SHAPE(inner);
    vly_status st = VLY_OK;

    copy_input(ctx);
    for (int64_t k = 0; k < n && st == VLY_OK; k++) {
        int64_t to = 0;
        for (int d = 0; d < depth; d++) {
            int64_t at;
            st = vly_op_index(idx, k * depth + d, s->dim[d], &at, err);
            if (st != VLY_OK)
                return st;
            to = to * s->dim[d] + at;
        }
        if (inner == 0)
            continue;
        vly_tensor dst = vly_tensor_borrow(out->dtype, &row, vly_elem_at(out, to * inner));
        vly_tensor src = vly_tensor_borrow(out->dtype, &row, vly_elem_at(updates, k * inner));
        st = update(p->mode, &dst, &src, err);
    }
    return st;
}

#define SCATTER_OP(op_name, first, last, infer_fn, run_fn)                                         \
    {                                                                                              \
        .name = op_name, .since = first, .until = last, .n_in_min = 3, .n_in_max = 3,              \
        .dtypes = VLY_T_BYTES, .flags = VLY_OP_INPLACE, .params_bytes = sizeof(scatter_params),    \
        .prepare = scatter_prepare, .infer = infer_fn, .run = run_fn                               \
    }

const vly_op vly_ops_scatter[] = {
    SCATTER_OP("Scatter", 9, 0, elements_infer, elements_run),
    SCATTER_OP("ScatterElements", 11, 0, elements_infer, elements_run),
    SCATTER_OP("ScatterND", 11, 0, nd_infer, nd_run),
    {NULL},
};

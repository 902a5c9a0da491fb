/* SPDX-License-Identifier: MIT */
/*
 * Ordering: TopK, ArgMax, ArgMin. NaN counts as the greatest value, as numpy sorts it; among equals
 * the lower index comes first.
 */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <inttypes.h>

typedef struct order_params {
    int64_t axis, k;
    bool keeps_dims, wants_last; /* of ArgMax, ArgMin */
    bool wants_least;            /* of TopK */
} order_params;

/* Is element i of x greater than element k? */
typedef bool greater_fn(const void *x, int64_t i, int64_t k);

#define GREATER_INT(dtype, T, U, name)                                                             \
    static bool name##_##dtype(const void *vx, int64_t i, int64_t k)                               \
    {                                                                                              \
        const T *x = vx;                                                                           \
        return x[i] > x[k];                                                                        \
    }
VLY_EACH_INT(GREATER_INT, greater)

#define GREATER_REAL(dtype, T, GET)                                                                \
    static bool greater_##dtype(const void *vx, int64_t i, int64_t k)                              \
    {                                                                                              \
        const T *x = vx;                                                                           \
        return GET(x[i]) > GET(x[k]) || (GET(x[i]) != GET(x[i]) && GET(x[k]) == GET(x[k]));        \
    }
GREATER_REAL(F32, float, )
GREATER_REAL(F64, double, )
GREATER_REAL(F16, uint16_t, vly_f16_to_f32)
GREATER_REAL(BF16, uint16_t, vly_bf16_to_f32)

static greater_fn *greater_of(vly_dtype t)
{
    static greater_fn *const fns[VLY_DTYPE_N] = {
        VLY_EACH_FLOAT(VLY_TABLE_ROW, greater) VLY_EACH_INT(VLY_TABLE_ROW, greater)[VLY_DTYPE_F16] =
            greater_F16,
        [VLY_DTYPE_BF16] = greater_BF16};
    return fns[t];
}

/* ---- ArgMax, ArgMin ----------------------------------------------------------------------- */

static vly_status arg_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    order_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 0);
    p->keeps_dims = vly_attrs_int(&a, "keepdims", 1) != 0;
    p->wants_last = vly_attrs_int(&a, "select_last_index", 0) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status arg_infer(vly_op_ctx *ctx, vly_err *err)
{
    const order_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_shape out = VLY_SHAPE_SCALAR;
    int axis;
    vly_status st = vly_op_axis(p->axis, s->rank, &axis, err);

    if (st == VLY_OK && s->dim[axis] == 0)
        st = vly_fail(err, VLY_EINVAL, "axis %d is empty: it has no extreme", axis);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < s->rank; i++)
        if (i != axis || p->keeps_dims)
            out.dim[out.rank++] = i == axis ? 1 : s->dim[i];
    vly_op_out_set(ctx, 0, VLY_DTYPE_I64, &out);
    return VLY_OK;
}

/* Row by row along the axis: best[i] is the index of the best so far in column i. */
static vly_status arg_run(vly_op_ctx *ctx, bool wants_max, vly_err *err)
{
    const order_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    const vly_shape *s = &in->shape;
    greater_fn *greater = greater_of(in->dtype);
    int64_t *best = ctx->out[0].data;
    int axis;
    vly_status st = vly_op_axis(p->axis, s->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t outer = vly_shape_span(s, 0, axis), inner = vly_shape_span(s, axis + 1, s->rank);
    for (int64_t o = 0; o < outer && inner > 0; o++, best += inner) {
        const void *x = vly_elem_at(in, o * s->dim[axis] * inner);
        memset(best, 0, (size_t)inner * sizeof(*best));
        for (int64_t r = 1; r < s->dim[axis]; r++) {
            for (int64_t i = 0; i < inner; i++) {
                int64_t now = r * inner + i, then = best[i] * inner + i;
                bool is_better = wants_max ? greater(x, now, then) : greater(x, then, now);
                bool is_worse = wants_max ? greater(x, then, now) : greater(x, now, then);
                if (is_better || (p->wants_last && !is_worse))
                    best[i] = r;
            }
        }
    }
    return VLY_OK;
}

static vly_status argmax_run(vly_op_ctx *ctx, vly_err *err)
{
    return arg_run(ctx, true, err);
}

static vly_status argmin_run(vly_op_ctx *ctx, vly_err *err)
{
    return arg_run(ctx, false, err);
}

/* ---- TopK --------------------------------------------------------------------------------- */

static vly_status topk_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    order_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", -1);
    p->k = vly_attrs_int(&a, "k", -1); /* before opset 10 */
    p->wants_least = vly_attrs_int(&a, "largest", 1) == 0;
    return vly_attrs_end(&a, err);
}

static vly_status topk_infer(vly_op_ctx *ctx, vly_err *err)
{
    const order_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    vly_shape out = in->shape;
    int64_t k = p->k;
    int axis;
    vly_status st = vly_op_axis(p->axis, out.rank, &axis, err);

    if (st == VLY_OK && ctx->n_in > 1 &&
        (ctx->in[1]->dtype != VLY_DTYPE_I64 || vly_tensor_count(ctx->in[1]) != 1))
        st = vly_fail(err, VLY_EINVAL, "input 1: expected one int64");
    if (st != VLY_OK)
        return st;
    if (vly_op_in_pending(ctx, 1)) {
        out.dim[axis] = VLY_DIM_UNKNOWN;
    } else {
        k = ctx->n_in > 1 ? vly_tensor_get_i64(ctx->in[1], 0) : k;
        if (k < 0 || k > out.dim[axis])
            return vly_fail(err, VLY_EINVAL, "k is %" PRId64 ", expected 0 to %" PRId64, k,
                            out.dim[axis]);
        out.dim[axis] = k;
        if (!vly_size_mul((size_t)k, sizeof(int64_t), &ctx->scratch_bytes))
            return vly_fail(err, VLY_ELIMIT, "k is too large");
    }
    vly_op_out_set(ctx, 0, in->dtype, &out);
    vly_op_out_set(ctx, 1, VLY_DTYPE_I64, &out);
    return VLY_OK;
}

/* One row of the axis: element i lies at i * step of x. */
typedef struct ranking {
    const void *x;
    int64_t step;
    greater_fn *greater;
    bool wants_least;
} ranking;

/* Does i come after k in the result? */
static bool comes_after(const ranking *r, int64_t i, int64_t k)
{
    int64_t a = i * r->step, b = k * r->step;

    if (r->wants_least ? r->greater(r->x, a, b) : r->greater(r->x, b, a))
        return true;
    if (r->wants_least ? r->greater(r->x, b, a) : r->greater(r->x, a, b))
        return false;
    return i > k;
}

/* heap[0] comes last of the heap's n indices; restores that order below `at`. */
static void sift_down(const ranking *r, int64_t *heap, int64_t n, int64_t at)
{
    int64_t moved = heap[at];

    for (int64_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && comes_after(r, heap[child + 1], heap[child]))
            child++;
        if (!comes_after(r, heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The first k of n in order, in top: a heap of the best k, then heap sort. */
static void rank_row(const ranking *r, int64_t n, int64_t k, int64_t *top)
{
    for (int64_t i = 0; i < k; i++)
        top[i] = i;
    for (int64_t i = k / 2; i-- > 0;)
        sift_down(r, top, k, i);
    for (int64_t i = k; i < n && k > 0; i++) {
        if (!comes_after(r, top[0], i))
            continue;
        top[0] = i;
        sift_down(r, top, k, 0);
    }
    for (int64_t end = k - 1; end > 0; end--) {
        int64_t last = top[0];
        top[0] = top[end];
        top[end] = last;
        sift_down(r, top, end, 0);
    }
}

/* Always sorted: sorted = 0 asks for nothing in particular. */
static vly_status topk_run(vly_op_ctx *ctx, vly_err *err)
{
    const order_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    const vly_shape *s = &in->shape;
    int64_t *top = ctx->scratch;
    size_t elem = vly_elem_bytes(in);
    int axis;
    vly_status st = vly_op_axis(p->axis, s->rank, &axis, err);

    if (st != VLY_OK)
        return st;
    vly_shape out_shape = vly_op_wants(ctx, 0) ? out->shape : ctx->out[1].shape;
    int64_t k = out_shape.dim[axis], n = s->dim[axis];
    int64_t inner = vly_shape_span(s, axis + 1, s->rank), rows = vly_shape_span(s, 0, axis) * inner;
    for (int64_t row = 0; row < rows && k > 0; row++) {
        int64_t from = row / inner * n * inner + row % inner;
        int64_t to = row / inner * k * inner + row % inner;
        ranking r = {.x = vly_elem_at(in, from),
                     .step = inner,
                     .greater = greater_of(in->dtype),
                     .wants_least = p->wants_least};
        rank_row(&r, n, k, top);
        for (int64_t i = 0; i < k; i++) {
            if (vly_op_wants(ctx, 0))
                memcpy(vly_elem_at(out, to + i * inner), vly_elem_at(in, from + top[i] * inner),
                       elem);
            if (vly_op_wants(ctx, 1))
                ((int64_t *)ctx->out[1].data)[to + i * inner] = top[i];
        }
    }
    return VLY_OK;
}

#define ARG_OP(op_name, run_fn)                                                                    \
    {                                                                                              \
        .name = op_name, .since = 1, .n_in_min = 1, .n_in_max = 1, .dtypes = VLY_T_NUMBER,         \
        .params_bytes = sizeof(order_params), .prepare = arg_prepare, .infer = arg_infer,          \
        .run = run_fn                                                                              \
    }
#define TOPK_OP(first, last, n_in)                                                                 \
    {                                                                                              \
        .name = "TopK", .since = first, .until = last, .n_in_min = n_in, .n_in_max = n_in,         \
        .n_out_max = 2, .dtypes = VLY_T_NUMBER, .params_bytes = sizeof(order_params),              \
        .prepare = topk_prepare, .infer = topk_infer, .run = topk_run                              \
    }

const vly_op vly_ops_order[] = {
    ARG_OP("ArgMax", argmax_run),
    ARG_OP("ArgMin", argmin_run),
    TOPK_OP(1, 9, 1),
    TOPK_OP(10, 0, 2),
    {NULL},
};

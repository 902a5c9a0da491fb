/* SPDX-License-Identifier: MIT */
/* Ops whose output size depends on the data: NonZero, Unique. */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"
#include "tensor/walk.h"

/* ---- NonZero ------------------------------------------------------------------------------ */

static vly_status nonzero_infer(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    vly_op_out_set(ctx, 0, VLY_DTYPE_I64, &VLY_SHAPE(ctx->in[0]->shape.rank, VLY_DIM_UNKNOWN));
    ctx->scratch_bytes = (size_t)vly_tensor_count(ctx->in[0]);
    return VLY_OK;
}

static vly_status nonzero_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0];
    const uint8_t *is_set = ctx->scratch;
    int64_t n = (int64_t)vly_tensor_count(in), n_set = 0, strides[VLY_RANK_MAX];
    int rank = in->shape.rank;

    if (n > 0)
        vly_convert(in->dtype, in->data, VLY_DTYPE_BOOL, ctx->scratch, (size_t)n, false);
    for (int64_t i = 0; i < n; i++)
        n_set += is_set[i];
    vly_status st = vly_op_out_alloc(ctx, 0, &VLY_SHAPE(rank, n_set), err);
    if (st != VLY_OK)
        return st;
    int64_t *out = ctx->out[0].data;
    vly_shape_strides(&in->shape, strides);
    for (int64_t i = 0, at = 0; i < n; i++) {
        if (is_set[i] == 0)
            continue;
        for (int k = 0; k < rank; k++)
            out[k * n_set + at] = i / strides[k] % in->shape.dim[k];
        at++;
    }
    return VLY_OK;
}

/* ---- Unique ------------------------------------------------------------------------------- */

typedef struct unique_params {
    bool has_axis, is_sorted;
    int64_t axis;
} unique_params;

static vly_status unique_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    unique_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->has_axis = vly_attrs_has(&a, "axis");
    p->axis = vly_attrs_int(&a, "axis", 0);
    p->is_sorted = vly_attrs_int(&a, "sorted", 1) != 0;
    return vly_attrs_end(&a, err);
}

/* Three-way comparison of elements i and k; NaN is the greatest and equals itself. */
typedef int compare_fn(const void *x, int64_t i, int64_t k);

#define COMPARE(dtype, T, U, name)                                                                 \
    static int name##_##dtype(const void *vx, int64_t i, int64_t k)                                \
    {                                                                                              \
        const T *x = vx;                                                                           \
        if (x[i] != x[i] || x[k] != x[k])                                                          \
            return (x[i] != x[i]) - (x[k] != x[k]);                                                \
        return (x[i] > x[k]) - (x[i] < x[k]);                                                      \
    }
#define COMPARE_INT(dtype, T, U, name)                                                             \
    static int name##_##dtype(const void *vx, int64_t i, int64_t k)                                \
    {                                                                                              \
        const T *x = vx;                                                                           \
        return (x[i] > x[k]) - (x[i] < x[k]);                                                      \
    }
VLY_EACH_FLOAT(COMPARE, compare)
VLY_EACH_INT(COMPARE_INT, compare)

static int compare_str(const void *vx, int64_t i, int64_t k)
{
    const vly_str *x = vx;
    size_t n = x[i].len < x[k].len ? x[i].len : x[k].len;
    int c = n > 0 ? memcmp(x[i].ptr, x[k].ptr, n) : 0;

    return c != 0 ? c : (x[i].len > x[k].len) - (x[i].len < x[k].len);
}

static compare_fn *compare_of(vly_dtype t)
{
    static compare_fn *const fns[VLY_DTYPE_N] = {
        VLY_EACH_FLOAT(VLY_TABLE_ROW, compare)
            VLY_EACH_INT(VLY_TABLE_ROW, compare)[VLY_DTYPE_BOOL] = compare_U8,
        [VLY_DTYPE_STRING] = compare_str};
    return fns[t];
}

/* What is made unique: the n slices of the input along an axis, or its elements. */
typedef struct slices {
    const vly_tensor *in;
    compare_fn *compare;
    int64_t n, outer, inner; /* the input is [outer][n][inner] */
} slices;

static int compare_slices(const slices *s, int64_t i, int64_t k)
{
    for (int64_t o = 0; o < s->outer; o++) {
        for (int64_t j = 0; j < s->inner; j++) {
            int c = s->compare(s->in->data, (o * s->n + i) * s->inner + j,
                               (o * s->n + k) * s->inner + j);
            if (c != 0)
                return c;
        }
    }
    return 0;
}

/* Bottom-up merge sort of indices: stable, no recursion. Returns order or spare, which holds it. */
static int64_t *sort_slices(const slices *s, int64_t *order, int64_t *spare)
{
    for (int64_t i = 0; i < s->n; i++)
        order[i] = i;
    for (int64_t width = 1; width < s->n; width *= 2) {
        for (int64_t lo = 0; lo < s->n; lo += 2 * width) {
            int64_t mid = lo + width < s->n ? lo + width : s->n;
            int64_t hi = mid + width < s->n ? mid + width : s->n;
            for (int64_t a = lo, b = mid, to = lo; to < hi; to++) {
                bool takes_a = b >= hi || (a < mid && compare_slices(s, order[a], order[b]) <= 0);
                spare[to] = takes_a ? order[a++] : order[b++];
            }
        }
        int64_t *t = order;
        order = spare;
        spare = t;
    }
    return order;
}

static vly_status slices_of(const vly_op_ctx *ctx, slices *ret, int *ret_axis, vly_err *err)
{
    const unique_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];

    *ret = (slices){.in = in, .compare = compare_of(in->dtype), .outer = 1, .inner = 1};
    *ret_axis = 0;
    ret->n = (int64_t)vly_tensor_count(in);
    if (!p->has_axis)
        return VLY_OK;
    vly_status st = vly_op_axis(p->axis, in->shape.rank, ret_axis, err);
    if (st != VLY_OK)
        return st;
    ret->n = in->shape.dim[*ret_axis];
    ret->outer = vly_shape_span(&in->shape, 0, *ret_axis);
    ret->inner = vly_shape_span(&in->shape, *ret_axis + 1, in->shape.rank);
    return VLY_OK;
}

static vly_status unique_infer(vly_op_ctx *ctx, vly_err *err)
{
    const unique_params *p = ctx->params;
    vly_shape list = VLY_SHAPE(VLY_DIM_UNKNOWN), out = p->has_axis ? ctx->in[0]->shape : list;
    slices s;
    int axis;
    vly_status st = slices_of(ctx, &s, &axis, err);

    if (st != VLY_OK)
        return st;
    out.dim[axis] = VLY_DIM_UNKNOWN;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    for (int i = 1; i < 4; i++)
        vly_op_out_set(ctx, i, VLY_DTYPE_I64, &list);
    /* order, spare, first, count, inverse */
    if (!vly_size_mul((size_t)s.n, 5 * sizeof(int64_t), &ctx->scratch_bytes))
        return vly_fail(err, VLY_ELIMIT, "input 0 is too large");
    return VLY_OK;
}

/* Groups of equal slices: the first member of each, its size, and each slice's group. */
typedef struct groups {
    int64_t n, *first, *count, *inverse;
} groups;

static void group_sorted(const slices *s, const int64_t *order, groups *g)
{
    g->n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (i == 0 || compare_slices(s, order[i - 1], order[i]) != 0) {
            g->first[g->n] = order[i]; /* the sort is stable: the lowest index */
            g->count[g->n++] = 0;
        }
        g->count[g->n - 1]++;
        g->inverse[order[i]] = g->n - 1;
    }
}

/* Renumbers the groups by first appearance. spare: [n] slices, moved: [n] slices. */
static void order_by_appearance(const slices *s, groups *g, int64_t *rank, int64_t *spare)
{
    int64_t n = 0;

    for (int64_t i = 0; i < g->n; i++)
        rank[i] = -1;
    for (int64_t i = 0; i < s->n; i++)
        if (rank[g->inverse[i]] < 0)
            rank[g->inverse[i]] = n++;
    for (int64_t i = 0; i < s->n; i++)
        g->inverse[i] = rank[g->inverse[i]];
    memcpy(spare, g->first, (size_t)g->n * sizeof(*spare));
    for (int64_t i = 0; i < g->n; i++)
        g->first[rank[i]] = spare[i];
    memcpy(spare, g->count, (size_t)g->n * sizeof(*spare));
    for (int64_t i = 0; i < g->n; i++)
        g->count[rank[i]] = spare[i];
}

static vly_status put_list(vly_op_ctx *ctx, int i, const int64_t *v, int64_t n, vly_err *err)
{
    vly_status st = vly_op_out_alloc(ctx, i, &VLY_SHAPE(n), err);

    if (st == VLY_OK && vly_op_wants(ctx, i) && n > 0)
        memcpy(ctx->out[i].data, v, (size_t)n * sizeof(*v));
    return st;
}

static vly_status unique_run(vly_op_ctx *ctx, vly_err *err)
{
    const unique_params *p = ctx->params;
    slices s;
    int axis;
    vly_status st = slices_of(ctx, &s, &axis, err);

    if (st != VLY_OK)
        return st;
    int64_t *order = ctx->scratch, *spare = order + s.n;
    groups g = {.first = spare + s.n, .count = spare + 2 * s.n, .inverse = spare + 3 * s.n};
    if (s.n > 0)
        group_sorted(&s, sort_slices(&s, order, spare), &g);
    if (!p->is_sorted && s.n > 0)
        order_by_appearance(&s, &g, order, spare);
    vly_shape out = p->has_axis ? ctx->in[0]->shape : VLY_SHAPE(0);
    out.dim[axis] = g.n;
    st = vly_op_out_alloc(ctx, 0, &out, err);
    if (st == VLY_OK)
        st = put_list(ctx, 1, g.first, g.n, err);
    if (st == VLY_OK)
        st = put_list(ctx, 2, g.inverse, s.n, err);
    if (st == VLY_OK)
        st = put_list(ctx, 3, g.count, g.n, err);
    size_t bytes = (size_t)s.inner * vly_elem_bytes(s.in);
    for (int64_t o = 0; st == VLY_OK && vly_op_wants(ctx, 0) && bytes > 0 && o < s.outer; o++)
        for (int64_t i = 0; i < g.n; i++)
            memcpy(vly_elem_at(&ctx->out[0], (o * g.n + i) * s.inner),
                   vly_elem_at(s.in, (o * s.n + g.first[i]) * s.inner), bytes);
    return st;
}

const vly_op vly_ops_select[] = {
    {.name = "NonZero",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_NUMBER | VLY_T(BOOL),
     .infer = nonzero_infer,
     .run = nonzero_run},
    {.name = "Unique",
     .since = 11,
     .n_in_min = 1,
     .n_in_max = 1,
     .n_out_max = 4,
     .dtypes = VLY_T(F32) | VLY_T(F64) | VLY_T_INT | VLY_T(BOOL) | VLY_T(STRING),
     .params_bytes = sizeof(unique_params),
     .prepare = unique_prepare,
     .infer = unique_infer,
     .run = unique_run},
    {NULL},
};

/* SPDX-License-Identifier: MIT */
#include "engine/native/op_util.h"

#include "base/assert.h"
#include "tensor/convert.h"
#include "tensor/walk.h"

#include <inttypes.h>

/* By doubling what is there. */
void vly_fill(const vly_tensor *t, const void *value)
{
    size_t have = vly_elem_bytes(t);
    unsigned char *dst = t->data;

    if (t->bytes == 0)
        return;
    memcpy(dst, value, have);
    while (have < t->bytes) {
        size_t more = have < t->bytes - have ? have : t->bytes - have;
        memcpy(dst + have, dst, more);
        have += more;
    }
}

/* ---- axes --------------------------------------------------------------------------------- */

vly_status vly_op_axis(int64_t axis, int rank, int *ret, vly_err *err)
{
    if (vly_axis_normalise(axis, rank, ret))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "axis %" PRId64 " is out of range for %d dimensions", axis,
                    rank);
}

vly_status vly_attrs_list(vly_attrs *a, const char *name, vly_int_list *ret, vly_err *err)
{
    size_t n;
    const int64_t *v = vly_attrs_ints(a, name, &n);

    if (n > VLY_RANK_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "attribute '%s': expected at most %d integers, got %zu", name, VLY_RANK_MAX,
                        n);
    *ret = (vly_int_list){.is_given = vly_attrs_has(a, name), .n = (int)n};
    for (size_t i = 0; i < n; i++)
        ret->v[i] = v[i];
    return VLY_OK;
}

vly_status vly_op_list(const vly_op_ctx *ctx, int i, const vly_int_list *attr, vly_int_list *ret,
                       vly_err *err)
{
    vly_int_list list = {.is_given = true};

    if (vly_op_in(ctx, i) == NULL) {
        *ret = *attr;
        return VLY_OK;
    }
    vly_status st = vly_op_ints(ctx, i, list.v, VLY_RANK_MAX, &list.n, err);
    if (st == VLY_OK)
        *ret = list;
    return st;
}

vly_status vly_op_axes(const vly_int_list *list, int rank, bool mask[VLY_RANK_MAX], vly_err *err)
{
    memset(mask, 0, VLY_RANK_MAX * sizeof(mask[0]));
    for (int i = 0; i < list->n; i++) {
        int axis;
        vly_status st = vly_op_axis(list->v[i], rank, &axis, err);
        if (st != VLY_OK)
            return st;
        if (mask[axis])
            return vly_fail(err, VLY_EINVAL, "axis %d is given twice", axis);
        mask[axis] = true;
    }
    return VLY_OK;
}

vly_status vly_shape_push(vly_shape *s, int64_t dim, vly_err *err)
{
    if (s->rank == VLY_RANK_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED, "output has more than %d dimensions", VLY_RANK_MAX);
    s->dim[s->rank++] = dim;
    return VLY_OK;
}

vly_status vly_op_index(const vly_tensor *t, int64_t i, int64_t dim, int64_t *ret, vly_err *err)
{
    int64_t v =
        t->dtype == VLY_DTYPE_I64 ? ((const int64_t *)t->data)[i] : ((const int32_t *)t->data)[i];

    if (v < -dim || v >= dim)
        return vly_fail(err, VLY_EINVAL,
                        "index %" PRId64 " is out of range for a dimension of %" PRId64, v, dim);
    *ret = v < 0 ? v + dim : v;
    return VLY_OK;
}

/* ---- elementwise loops -------------------------------------------------------------------- */

enum { CHUNK = 512 };

static bool is_half(vly_dtype t)
{
    return t == VLY_DTYPE_F16 || t == VLY_DTYPE_BF16;
}

static vly_status no_kernel(vly_dtype t, vly_err *err)
{
    return vly_fail(err, VLY_EUNSUPPORTED, "input 0: dtype %s is not supported", vly_dtype_name(t));
}

vly_status vly_unary_run(vly_op_ctx *ctx, vly_unary_table fns, const void *param, vly_err *err)
{
    const vly_tensor *in = ctx->in[0];
    const vly_tensor *out = &ctx->out[0];
    int64_t n = (int64_t)vly_tensor_count(in);
    bool is_chunked = is_half(in->dtype) && fns[in->dtype] == NULL;
    vly_unary_fn *fn = fns[is_chunked ? VLY_DTYPE_F32 : in->dtype];
    float chunk[CHUNK];

    if (fn == NULL)
        return no_kernel(in->dtype, err);
    if (!is_chunked) {
        fn(in->data, out->data, n, param);
        return VLY_OK;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t m = n - at < CHUNK ? n - at : CHUNK;
        vly_convert(in->dtype, vly_elem_at(in, at), VLY_DTYPE_F32, chunk, (size_t)m, false);
        if (out->dtype == VLY_DTYPE_BOOL) {
            fn(chunk, vly_elem_at(out, at), m, param);
            continue;
        }
        fn(chunk, chunk, m, param);
        vly_convert(VLY_DTYPE_F32, chunk, out->dtype, vly_elem_at(out, at), (size_t)m, false);
    }
    return VLY_OK;
}

typedef struct half_row {
    vly_dtype dtype, out_dtype;
    vly_binary_fn *fn; /* of floats */
} half_row;

static void run_half_row(const half_row *r, const uint16_t *a, int64_t a_step, const uint16_t *b,
                         int64_t b_step, unsigned char *out, int64_t n)
{
    int64_t out_bytes = (int64_t)vly_dtype_bits(r->out_dtype) / 8;
    float x[CHUNK], y[CHUNK];

    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t m = n - at < CHUNK ? n - at : CHUNK;
        size_t nx = a_step != 0 ? (size_t)m : 1, ny = b_step != 0 ? (size_t)m : 1;
        vly_convert(r->dtype, a + at * a_step, VLY_DTYPE_F32, x, nx, false);
        vly_convert(r->dtype, b + at * b_step, VLY_DTYPE_F32, y, ny, false);
        if (r->out_dtype == VLY_DTYPE_BOOL) {
            r->fn(x, a_step, y, b_step, out + at, m);
            continue;
        }
        float z[CHUNK];
        r->fn(x, a_step, y, b_step, z, m);
        vly_convert(VLY_DTYPE_F32, z, r->out_dtype, out + at * out_bytes, (size_t)m, false);
    }
}

vly_status vly_binary_run(const vly_tensor *a, const vly_tensor *b, const vly_tensor *out,
                          vly_binary_table fns, vly_err *err)
{
    int64_t strides[3][VLY_RANK_MAX];
    bool is_chunked = is_half(a->dtype) && fns[a->dtype] == NULL;
    vly_binary_fn *fn = fns[is_chunked ? VLY_DTYPE_F32 : a->dtype];
    half_row half = {.dtype = a->dtype, .out_dtype = out->dtype, .fn = fn};
    vly_walk w;

    if (fn == NULL)
        return no_kernel(a->dtype, err);
    vly_shape_strides(&out->shape, strides[0]);
    vly_shape_broadcast_strides(&a->shape, &out->shape, strides[1]);
    vly_shape_broadcast_strides(&b->shape, &out->shape, strides[2]);
    for (vly_walk_begin(&w, &out->shape, 3, strides); w.more; vly_walk_next(&w)) {
        VLY_DEBUG_ASSERT(w.step[1] <= 1 && w.step[2] <= 1);
        if (is_chunked)
            run_half_row(&half, vly_elem_at(a, w.off[1]), w.step[1], vly_elem_at(b, w.off[2]),
                         w.step[2], vly_elem_at(out, w.off[0]), w.n);
        else
            fn(vly_elem_at(a, w.off[1]), w.step[1], vly_elem_at(b, w.off[2]), w.step[2],
               vly_elem_at(out, w.off[0]), w.n);
    }
    return VLY_OK;
}

/* ---- broadcasting before opset 7 ---------------------------------------------------------- */

vly_status vly_old_broadcast_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_old_broadcast *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->has_axis = vly_attrs_int(&a, "broadcast", 0) != 0 && vly_attrs_has(&a, "axis");
    p->axis = vly_attrs_int(&a, "axis", 0);
    return vly_attrs_end(&a, err);
}

/* Appends ones to the shape, so that today's rules align it as the old ones did. */
vly_status vly_op_rhs(const vly_op_ctx *ctx, vly_tensor *ret, vly_err *err)
{
    const vly_old_broadcast *p = ctx->params;
    int rank = ctx->in[0]->shape.rank, axis;

    *ret = *ctx->in[1];
    ret->store = NULL;
    if (ctx->op->prepare != vly_old_broadcast_prepare || !p->has_axis || ret->shape.rank == 0)
        return VLY_OK;
    vly_status st = vly_op_axis(p->axis, rank, &axis, err);
    if (st == VLY_OK && axis + ret->shape.rank > rank)
        st = vly_fail(err, VLY_EINVAL, "attribute 'axis': input 1 has too many dimensions for it");
    while (st == VLY_OK && axis + ret->shape.rank < rank)
        ret->shape.dim[ret->shape.rank++] = 1;
    return st;
}

static vly_status old_infer(vly_op_ctx *ctx, vly_dtype dtype, vly_err *err)
{
    char text_a[VLY_SHAPE_TEXT_MAX], text_b[VLY_SHAPE_TEXT_MAX];
    const vly_shape *a = &ctx->in[0]->shape;
    vly_shape out;
    vly_tensor b;
    vly_status st = vly_op_rhs(ctx, &b, err);

    if (st != VLY_OK)
        return st;
    if (ctx->in[1]->dtype != ctx->in[0]->dtype)
        return vly_fail(err, VLY_EINVAL, "input 1: expected %s as input 0, got %s",
                        vly_dtype_name(ctx->in[0]->dtype), vly_dtype_name(ctx->in[1]->dtype));
    if (!vly_shape_broadcast(a, &b.shape, &out) || !vly_shape_eq(a, &out))
        return vly_fail(err, VLY_EINVAL, "input 1: shape %s does not broadcast to %s",
                        vly_shape_text(&ctx->in[1]->shape, text_b), vly_shape_text(a, text_a));
    vly_op_out_set(ctx, 0, dtype, a);
    return VLY_OK;
}

vly_status vly_old_broadcast_infer(vly_op_ctx *ctx, vly_err *err)
{
    return old_infer(ctx, ctx->in[0]->dtype, err);
}

vly_status vly_old_broadcast_infer_bool(vly_op_ctx *ctx, vly_err *err)
{
    return old_infer(ctx, VLY_DTYPE_BOOL, err);
}

vly_status vly_op_binary(vly_op_ctx *ctx, vly_binary_table fns, vly_err *err)
{
    vly_tensor b;
    vly_status st = vly_op_rhs(ctx, &b, err);

    return st == VLY_OK ? vly_binary_run(ctx->in[0], &b, &ctx->out[0], fns, err) : st;
}

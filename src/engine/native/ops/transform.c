/* SPDX-License-Identifier: MIT */
/* Building blocks of attention and warping: AffineGrid, RotaryEmbedding, SwiGLU, BitCast. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>

/* ---- AffineGrid --------------------------------------------------------------------------- */

typedef struct affine_params {
    bool aligns_corners; /* -1 and 1 are the centres of the outer pixels, not their edges */
} affine_params;

static vly_status affine_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    affine_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->aligns_corners = vly_attrs_int(&a, "align_corners", 0) != 0;
    return vly_attrs_end(&a, err);
}

/* theta [N, k, k + 1], size [N, C, (D,) H, W] -> grid [N, (D,) H, W, k] */
static vly_status affine_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *theta = &ctx->in[0]->shape;
    int64_t size[VLY_RANK_MAX];
    vly_shape out = VLY_SHAPE_SCALAR;
    int n;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 3, err);

    if (st == VLY_OK &&
        ((theta->dim[1] != 2 && theta->dim[1] != 3) || theta->dim[2] != theta->dim[1] + 1))
        st = vly_fail(err, VLY_EINVAL, "input 0: expected [N, 2, 3] or [N, 3, 4]");
    if (st != VLY_OK)
        return st;
    int k = (int)theta->dim[1];
    out = (vly_shape){.rank = k + 2, .dim = {theta->dim[0], -1, -1, -1, -1}};
    out.dim[k + 1] = k;
    if (!vly_op_in_pending(ctx, 1)) {
        st = vly_op_ints(ctx, 1, size, VLY_RANK_MAX, &n, err);
        if (st == VLY_OK && (n != k + 2 || size[0] != theta->dim[0]))
            st = vly_fail(err, VLY_EINVAL, "input 1: expected %d sizes, the first as in input 0",
                          k + 2);
        for (int i = 0; i < k && st == VLY_OK; i++) {
            if (size[i + 2] < 0)
                st =
                    vly_fail(err, VLY_EINVAL, "input 1: size %" PRId64 " is negative", size[i + 2]);
            out.dim[i + 1] = size[i + 2];
        }
    }
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return st;
}

/* Position i of n on the axis from -1 to 1. */
static double grid_position(int64_t i, int64_t n, bool aligns_corners)
{
    if (aligns_corners)
        return n > 1 ? -1.0 + 2.0 * (double)i / (double)(n - 1) : -1.0;
    return (2.0 * (double)i + 1.0) / (double)n - 1.0;
}

static vly_status affine_run(vly_op_ctx *ctx, vly_err *err)
{
    const affine_params *p = ctx->params;
    const vly_tensor *theta = ctx->in[0], *out = &ctx->out[0];
    int k = (int)theta->shape.dim[1];
    int64_t n_points = vly_shape_span(&out->shape, 0, k + 1);
    int64_t n_each = vly_shape_span(&out->shape, 1, k + 1);

    (void)err;
    for (int64_t i = 0; i < n_points; i++) {
        uint64_t m = (uint64_t)(i / n_each * k * (k + 1));
        double at[4]; /* x, y, (z,) 1: the innermost axis comes first */
        int64_t rest = i % n_each;
        for (int d = 0; d < k; d++) {
            int64_t dim = out->shape.dim[k - d];
            at[d] = grid_position(rest % dim, dim, p->aligns_corners);
            rest /= dim;
        }
        at[k] = 1.0;
        for (int r = 0; r < k; r++) {
            double v = 0.0;
            for (int c = 0; c <= k; c++)
                v += vly_tensor_get_f64(theta, m + (uint64_t)(r * (k + 1) + c)) * at[c];
            vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, i * k + r), 1, false);
        }
    }
    return VLY_OK;
}

/* ---- RotaryEmbedding ---------------------------------------------------------------------- */

typedef struct rotary_params {
    bool is_interleaved;
    int64_t n_heads, rotary_dim; /* 0: not given */
} rotary_params;

static vly_status rotary_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    rotary_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_interleaved = vly_attrs_int(&a, "interleaved", 0) != 0;
    p->n_heads = vly_attrs_int_in(&a, "num_heads", 0, 0, INT32_MAX);
    p->rotary_dim = vly_attrs_int_in(&a, "rotary_embedding_dim", 0, 0, INT32_MAX);
    return vly_attrs_end(&a, err);
}

/* x is [batch, heads, seq, size], or [batch, seq, heads * size]. */
typedef struct rotary_view {
    int64_t batch, heads, seq, size, half;
    int64_t head_step, seq_step; /* in elements */
} rotary_view;

static vly_status rotary_view_of(const vly_op_ctx *ctx, rotary_view *v, vly_err *err)
{
    const rotary_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;

    *v = (rotary_view){.batch = s->dim[0]};
    if (s->rank == 4) {
        v->heads = s->dim[1];
        v->seq = s->dim[2];
        v->size = s->dim[3];
        v->seq_step = v->size;
        v->head_step = v->seq * v->size;
    } else {
        if (p->n_heads == 0 || s->dim[2] % p->n_heads != 0)
            return vly_fail(err, VLY_EINVAL,
                            "attribute 'num_heads': %" PRId64 " does not divide %" PRId64,
                            p->n_heads, s->dim[2]);
        v->heads = p->n_heads;
        v->seq = s->dim[1];
        v->size = s->dim[2] / v->heads;
        v->seq_step = s->dim[2];
        v->head_step = v->size;
    }
    int64_t dim = p->rotary_dim != 0 ? p->rotary_dim : v->size;
    if (dim > v->size || dim % 2 != 0)
        return vly_fail(err, VLY_EINVAL, "cannot rotate %" PRId64 " of %" PRId64 " elements", dim,
                        v->size);
    v->half = dim / 2;
    return VLY_OK;
}

static vly_status rotary_infer(vly_op_ctx *ctx, vly_err *err)
{
    rotary_view v;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 4, err);

    if (st == VLY_OK)
        st = rotary_view_of(ctx, &v, err);
    if (st != VLY_OK)
        return st;
    bool has_ids = vly_op_in(ctx, 3) != NULL;
    for (int i = 1; i < 3; i++) {
        const vly_shape *c = &ctx->in[i]->shape;
        bool fits = c->rank == (has_ids ? 2 : 3) && c->dim[c->rank - 1] == v.half &&
                    (has_ids || (c->dim[0] == v.batch && c->dim[1] == v.seq));
        if (!fits || ctx->in[i]->dtype != ctx->in[0]->dtype)
            return vly_fail(err, VLY_EINVAL, "input %d: expected [%s%" PRId64 "] of input 0's type",
                            i, has_ids ? "positions, " : "batch, sequence, ", v.half);
    }
    if (has_ids) {
        const vly_shape *ids = &ctx->in[3]->shape;
        st = vly_op_check_dtype(ctx, 3, VLY_T(I64), err);
        if (st == VLY_OK && (ids->rank != 2 || ids->dim[0] != v.batch || ids->dim[1] != v.seq))
            st = vly_fail(err, VLY_EINVAL, "input 3: expected [batch, sequence]");
    }
    return st == VLY_OK ? vly_infer_same(ctx, err) : st;
}

/* Rotates one head: pairs (i, i + half), or (2i, 2i + 1), by the angle of row `angle`. */
static void rotate(const vly_op_ctx *ctx, const rotary_view *v, int64_t at, int64_t angle)
{
    const rotary_params *p = ctx->params;
    const vly_tensor *x = ctx->in[0], *out = &ctx->out[0];

    for (int64_t i = 0; i < v->half; i++) {
        int64_t a = at + (p->is_interleaved ? 2 * i : i);
        int64_t b = at + (p->is_interleaved ? 2 * i + 1 : i + v->half);
        double c = vly_tensor_get_f64(ctx->in[1], (uint64_t)(angle * v->half + i));
        double s = vly_tensor_get_f64(ctx->in[2], (uint64_t)(angle * v->half + i));
        double xa = vly_tensor_get_f64(x, (uint64_t)a), xb = vly_tensor_get_f64(x, (uint64_t)b);
        double re = c * xa - s * xb, im = s * xa + c * xb;
        vly_convert(VLY_DTYPE_F64, &re, out->dtype, vly_elem_at(out, a), 1, false);
        vly_convert(VLY_DTYPE_F64, &im, out->dtype, vly_elem_at(out, b), 1, false);
    }
    if (x->data != out->data)
        memcpy(vly_elem_at(out, at + 2 * v->half), vly_elem_at(x, at + 2 * v->half),
               (size_t)(v->size - 2 * v->half) * vly_elem_bytes(x));
}

static vly_status rotary_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *ids = vly_op_in(ctx, 3);
    rotary_view v;
    vly_status st = rotary_view_of(ctx, &v, err);

    for (int64_t k = 0; st == VLY_OK && k < v.batch * v.seq; k++) {
        int64_t begin = k / v.seq * v.heads * v.seq * v.size + k % v.seq * v.seq_step, angle = k;
        if (ids != NULL)
            st = vly_op_index(ids, k, ctx->in[1]->shape.dim[0], &angle, err);
        for (int64_t h = 0; h < v.heads && st == VLY_OK; h++)
            rotate(ctx, &v, begin + h * v.head_step, angle);
    }
    return st;
}

/* ---- SwiGLU ------------------------------------------------------------------------------- */

typedef struct swiglu_params {
    float alpha;
} swiglu_params;

static vly_status swiglu_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    swiglu_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->alpha = vly_attrs_float(&a, "alpha", 1.0F);
    return vly_attrs_end(&a, err);
}

static vly_status swiglu_infer(vly_op_ctx *ctx, vly_err *err)
{
    if (ctx->in[1]->dtype != ctx->in[0]->dtype ||
        !vly_shape_eq(&ctx->in[0]->shape, &ctx->in[1]->shape))
        return vly_fail(err, VLY_EINVAL, "inputs differ in type or shape");
    return vly_infer_same(ctx, err);
}

static vly_status swiglu_run(vly_op_ctx *ctx, vly_err *err)
{
    const swiglu_params *p = ctx->params;
    const vly_tensor *a = ctx->in[0], *b = ctx->in[1], *out = &ctx->out[0];
    uint64_t n = vly_tensor_count(a);

    (void)err;
    for (uint64_t i = 0; i < n; i++) {
        double x = vly_tensor_get_f64(a, i);
        double v = x / (1.0 + exp(-(double)p->alpha * x)) * vly_tensor_get_f64(b, i);
        vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, (int64_t)i), 1, false);
    }
    return VLY_OK;
}

/* ---- BitCast ------------------------------------------------------------------------------ */

typedef struct bitcast_params {
    vly_dtype to;
} bitcast_params;

static vly_status bitcast_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    bitcast_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    int64_t to = vly_attrs_int(&a, "to", 0);
    vly_status st = vly_attrs_end(&a, err);

    if (st == VLY_OK && (!vly_dtype_valid(to) || to == VLY_DTYPE_STRING))
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "attribute 'to': data type %" PRId64 " is not supported", to);
    p->to = st == VLY_OK ? (vly_dtype)to : VLY_DTYPE_UNDEFINED;
    return st;
}

static vly_status bitcast_infer(vly_op_ctx *ctx, vly_err *err)
{
    const bitcast_params *p = ctx->params;
    vly_dtype from = ctx->in[0]->dtype;

    if (from == VLY_DTYPE_STRING || vly_dtype_bits(from) != vly_dtype_bits(p->to))
        return vly_fail(err, VLY_EINVAL, "cannot see %s as %s", vly_dtype_name(from),
                        vly_dtype_name(p->to));
    vly_op_out_set(ctx, 0, p->to, &ctx->in[0]->shape);
    return VLY_OK;
}

static vly_status bitcast_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    if (ctx->out[0].bytes > 0 && ctx->out[0].data != ctx->in[0]->data)
        memcpy(ctx->out[0].data, ctx->in[0]->data, ctx->out[0].bytes);
    return VLY_OK;
}

const vly_op vly_ops_transform[] = {
    {.name = "AffineGrid",
     .since = 20,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(affine_params),
     .prepare = affine_prepare,
     .infer = affine_infer,
     .run = affine_run},
    {.name = "RotaryEmbedding",
     .since = 23,
     .n_in_min = 3,
     .n_in_max = 4,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(rotary_params),
     .prepare = rotary_prepare,
     .infer = rotary_infer,
     .run = rotary_run},
    {.name = "SwiGLU",
     .since = 28,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_FLOAT,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(swiglu_params),
     .prepare = swiglu_prepare,
     .infer = swiglu_infer,
     .run = swiglu_run},
    {.name = "BitCast",
     .since = 26,
     .n_in_min = 1,
     .n_in_max = 1,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(bitcast_params),
     .prepare = bitcast_prepare,
     .infer = bitcast_infer,
     .run = bitcast_run},
    {NULL},
};

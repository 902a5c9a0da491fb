/* SPDX-License-Identifier: MIT */
/* The same elements elsewhere: Transpose, Expand, Tile, Concat, Split, ReverseSequence. */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/walk.h"

#include <inttypes.h>

/* ---- Transpose ---------------------------------------------------------------------------- */

static vly_status transpose_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_attrs_list(&a, "perm", params, err);

    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

/* Source axis of each output axis; without perm the axes are reversed. */
static vly_status permutation(const vly_op_ctx *ctx, int *perm, vly_err *err)
{
    const vly_int_list *p = ctx->params;
    int rank = ctx->in[0]->shape.rank;
    bool mask[VLY_RANK_MAX];

    for (int i = 0; i < rank; i++)
        perm[i] = rank - 1 - i;
    if (!p->is_given)
        return VLY_OK;
    if (p->n != rank)
        return vly_fail(err, VLY_EINVAL, "attribute 'perm': expected %d axes, got %d", rank, p->n);
    vly_status st = vly_op_axes(p, rank, mask, err);
    for (int i = 0; i < rank && st == VLY_OK; i++)
        st = vly_op_axis(p->v[i], rank, &perm[i], err);
    return st;
}

static vly_status transpose_infer(vly_op_ctx *ctx, vly_err *err)
{
    int perm[VLY_RANK_MAX];
    vly_shape out = {.rank = ctx->in[0]->shape.rank};
    vly_status st = permutation(ctx, perm, err);

    if (st != VLY_OK)
        return st;
    for (int i = 0; i < out.rank; i++)
        out.dim[i] = ctx->in[0]->shape.dim[perm[i]];
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

static vly_status transpose_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    int64_t in_strides[VLY_RANK_MAX], from[VLY_RANK_MAX], to[VLY_RANK_MAX];
    int perm[VLY_RANK_MAX];
    vly_status st = permutation(ctx, perm, err);

    if (st != VLY_OK)
        return st;
    vly_shape_strides(&in->shape, in_strides);
    vly_shape_strides(&out->shape, to);
    for (int i = 0; i < in->shape.rank; i++)
        from[i] = in_strides[perm[i]];
    vly_copy_strided(&out->shape, vly_elem_bytes(in), out->data, to, in->data, from);
    return VLY_OK;
}

/* ---- Expand, Tile ------------------------------------------------------------------------- */

static vly_status expand_infer(vly_op_ctx *ctx, vly_err *err)
{
    char text_a[VLY_SHAPE_TEXT_MAX], text_b[VLY_SHAPE_TEXT_MAX];
    vly_shape want = VLY_SHAPE_SCALAR, out;

    if (vly_op_in_pending(ctx, 1)) {
        vly_op_out_unknown(ctx, 0, ctx->in[0]->dtype);
        return VLY_OK;
    }
    vly_status st = vly_op_ints(ctx, 1, want.dim, VLY_RANK_MAX, &want.rank, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < want.rank; i++)
        if (want.dim[i] < 0)
            return vly_fail(err, VLY_EINVAL, "input 1: dimension %d is negative", i);
    if (!vly_shape_broadcast(&ctx->in[0]->shape, &want, &out))
        return vly_fail(err, VLY_EINVAL, "shape %s does not expand to %s",
                        vly_shape_text(&ctx->in[0]->shape, text_a), vly_shape_text(&want, text_b));
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

static vly_status expand_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    int64_t from[VLY_RANK_MAX], to[VLY_RANK_MAX];

    (void)err;
    vly_shape_broadcast_strides(&in->shape, &out->shape, from);
    vly_shape_strides(&out->shape, to);
    vly_copy_strided(&out->shape, vly_elem_bytes(in), out->data, to, in->data, from);
    return VLY_OK;
}

static vly_status tile_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    vly_shape out = {.rank = s->rank};
    int64_t repeats[VLY_RANK_MAX];
    int n;

    if (vly_op_in_pending(ctx, 1)) {
        for (int i = 0; i < s->rank; i++)
            out.dim[i] = VLY_DIM_UNKNOWN;
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
        return VLY_OK;
    }
    vly_status st = vly_op_ints(ctx, 1, repeats, VLY_RANK_MAX, &n, err);
    if (st == VLY_OK && n != s->rank)
        st = vly_fail(err, VLY_EINVAL, "input 1: expected %d repeats, got %d", s->rank, n);
    for (int i = 0; i < s->rank && st == VLY_OK; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(s->dim[i], repeats[i], &out.dim[i]))
            st = vly_fail(err, VLY_EINVAL, "input 1: cannot repeat axis %d %" PRId64 " times", i,
                          repeats[i]);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return st;
}

/* Grows dst, which holds n elements of elem_bytes once, to `times` copies by doubling. */
static void repeat_block(unsigned char *dst, size_t bytes, size_t times)
{
    size_t total = bytes * times;

    for (size_t have = bytes; have < total;) {
        size_t more = have < total - have ? have : total - have;
        memcpy(dst + have, dst, more);
        have += more;
    }
}

/* The input goes where it stands in the output's first corner; then, from the innermost axis
 * outwards, each block is repeated along its axis. */
static vly_status tile_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    const vly_shape *si = &in->shape, *so = &out->shape;
    int64_t from[VLY_RANK_MAX], to[VLY_RANK_MAX];
    size_t elem = vly_elem_bytes(in);

    (void)err;
    if (out->bytes == 0)
        return VLY_OK;
    vly_shape_strides(si, from);
    vly_shape_strides(so, to);
    vly_copy_strided(si, elem, out->data, to, in->data, from);
    for (int axis = si->rank - 1; axis >= 0; axis--) {
        /* blocks lie at each position of the input along the axes before this one */
        vly_shape outer = {.rank = axis};
        int64_t strides[1][VLY_RANK_MAX];
        vly_walk w;
        memcpy(outer.dim, si->dim, (size_t)axis * sizeof(outer.dim[0]));
        memcpy(strides[0], to, sizeof(to));
        size_t block = (size_t)(si->dim[axis] * to[axis]) * elem;
        for (vly_walk_begin(&w, &outer, 1, strides); w.more; vly_walk_next(&w))
            for (int64_t i = 0; i < w.n; i++)
                repeat_block(vly_elem_at(out, w.off[0] + i * w.step[0]), block,
                             (size_t)(so->dim[axis] / si->dim[axis]));
    }
    return VLY_OK;
}

/* ---- Concat, Split ------------------------------------------------------------------------ */

typedef struct axis_params {
    int64_t axis;
    int64_t n_outputs; /* Split since opset 18 */
    size_t n_parts;    /* Split before opset 13: the attribute 'split' */
    const int64_t *parts;
} axis_params;

/* A tensor seen as [outer][along][inner] around an axis; the last two in bytes. */
typedef struct slab {
    size_t outer, row;
} slab;

static slab slab_of(const vly_tensor *t, int axis)
{
    return (slab){(size_t)vly_shape_span(&t->shape, 0, axis),
                  (size_t)vly_shape_span(&t->shape, axis, t->shape.rank) * vly_elem_bytes(t)};
}

static vly_status concat_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    axis_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 1); /* required since opset 4 */
    return vly_attrs_end(&a, err);
}

static vly_status concat_infer(vly_op_ctx *ctx, vly_err *err)
{
    const axis_params *p = ctx->params;
    char text_a[VLY_SHAPE_TEXT_MAX], text_b[VLY_SHAPE_TEXT_MAX];
    const vly_tensor *first = ctx->in[0];
    vly_shape out = first->shape;
    int axis;
    vly_status st = vly_op_axis(p->axis, out.rank, &axis, err);

    for (int i = 1; i < ctx->n_in && st == VLY_OK; i++) {
        vly_shape s = ctx->in[i]->shape;
        int64_t along = s.rank == out.rank ? s.dim[axis] : 0;
        if (ctx->in[i]->dtype != first->dtype)
            return vly_fail(err, VLY_EINVAL, "input %d: expected %s as input 0, got %s", i,
                            vly_dtype_name(first->dtype), vly_dtype_name(ctx->in[i]->dtype));
        if (s.rank == out.rank)
            s.dim[axis] = out.dim[axis];
        if (!vly_shape_eq(&s, &out))
            return vly_fail(err, VLY_EINVAL, "input %d: shape %s does not fit %s along axis %d", i,
                            vly_shape_text(&ctx->in[i]->shape, text_a),
                            vly_shape_text(&first->shape, text_b), axis);
        if (__builtin_add_overflow(out.dim[axis], along, &out.dim[axis]))
            return vly_fail(err, VLY_ELIMIT, "output is too large");
    }
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, first->dtype, &out);
    return st;
}

static vly_status concat_run(vly_op_ctx *ctx, vly_err *err)
{
    const axis_params *p = ctx->params;
    const vly_tensor *out = &ctx->out[0];
    int axis;
    vly_status st = vly_op_axis(p->axis, out->shape.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    slab to = slab_of(out, axis);
    unsigned char *dst = out->data;
    for (int i = 0; i < ctx->n_in; i++) {
        slab from = slab_of(ctx->in[i], axis);
        const unsigned char *src = ctx->in[i]->data;
        for (size_t k = 0; k < from.outer && from.row > 0; k++)
            memcpy(dst + k * to.row, src + k * from.row, from.row);
        dst += from.row;
    }
    return VLY_OK;
}

static vly_status split_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    axis_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", 0);
    p->n_outputs = vly_attrs_int(&a, "num_outputs", ctx->n_out);
    p->parts = vly_attrs_ints(&a, "split", &p->n_parts);
    vly_status st = vly_attrs_end(&a, err);
    if (st == VLY_OK && p->n_outputs != ctx->n_out)
        st = vly_fail(err, VLY_EINVAL, "attribute 'num_outputs': expected %d, got %" PRId64,
                      ctx->n_out, p->n_outputs);
    return st;
}

/* Size of part i when no sizes are given: equal parts, the last one smaller where need be. */
static int64_t even_part(int64_t dim, int64_t n, int64_t i)
{
    int64_t size = dim / n + (dim % n != 0);
    int64_t begin = i * size;

    if (begin >= dim)
        return 0;
    return dim - begin < size ? dim - begin : size;
}

static vly_status part_sizes_fail(const vly_op_ctx *ctx, int64_t dim, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "expected %d sizes, none negative, that add up to %" PRId64,
                    ctx->n_out, dim);
}

/* Checks and finds the size of part i; input 1 or the attribute tell it, or neither. */
static int64_t part_size(const vly_op_ctx *ctx, const axis_params *p, int64_t dim, int i)
{
    if (vly_op_in(ctx, 1) != NULL)
        return vly_tensor_get_i64(ctx->in[1], (uint64_t)i);
    if (p->parts != NULL)
        return p->parts[i];
    return even_part(dim, ctx->n_out, i);
}

static vly_status split_infer(vly_op_ctx *ctx, vly_err *err)
{
    const axis_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    vly_shape out = in->shape;
    int64_t left;
    int axis;
    vly_status st = vly_op_axis(p->axis, out.rank, &axis, err);

    if (st == VLY_OK && vly_op_in(ctx, 1) != NULL)
        st = vly_op_check_dtype(ctx, 1, VLY_T(I64), err);
    if (st != VLY_OK)
        return st;
    uint64_t n_sizes = vly_op_in(ctx, 1) != NULL ? vly_tensor_count(ctx->in[1])
                       : p->parts != NULL        ? p->n_parts
                                                 : (uint64_t)ctx->n_out;
    left = in->shape.dim[axis];
    if (n_sizes != (uint64_t)ctx->n_out)
        return part_sizes_fail(ctx, left, err);
    for (int i = 0; i < ctx->n_out; i++) {
        out.dim[axis] = VLY_DIM_UNKNOWN;
        if (!vly_op_in_pending(ctx, 1)) {
            out.dim[axis] = part_size(ctx, p, in->shape.dim[axis], i);
            if (out.dim[axis] < 0 || out.dim[axis] > left)
                return part_sizes_fail(ctx, in->shape.dim[axis], err);
            left -= out.dim[axis];
        }
        vly_op_out_set(ctx, i, in->dtype, &out);
    }
    if (left != 0 && !vly_op_in_pending(ctx, 1))
        return part_sizes_fail(ctx, in->shape.dim[axis], err);
    return VLY_OK;
}

static vly_status split_run(vly_op_ctx *ctx, vly_err *err)
{
    const axis_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0];
    int axis;
    vly_status st = vly_op_axis(p->axis, in->shape.rank, &axis, err);

    if (st != VLY_OK)
        return st;
    slab from = slab_of(in, axis);
    size_t unit = (size_t)vly_shape_span(&in->shape, axis + 1, in->shape.rank) * vly_elem_bytes(in);
    const unsigned char *src = in->data;
    for (int i = 0; i < ctx->n_out; i++) {
        size_t row = (size_t)part_size(ctx, p, in->shape.dim[axis], i) * unit;
        unsigned char *dst = vly_op_wants(ctx, i) ? ctx->out[i].data : NULL;
        for (size_t k = 0; k < from.outer && row > 0 && dst != NULL; k++)
            memcpy(dst + k * row, src + k * from.row, row);
        src += row;
    }
    return VLY_OK;
}

/* ---- ReverseSequence ---------------------------------------------------------------------- */

typedef struct reverse_params {
    int64_t time_axis, batch_axis;
} reverse_params;

static vly_status reverse_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    reverse_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->time_axis = vly_attrs_int_in(&a, "time_axis", 0, 0, 1);
    p->batch_axis = vly_attrs_int_in(&a, "batch_axis", 1, 0, 1);
    vly_status st = vly_attrs_end(&a, err);
    if (st == VLY_OK && p->time_axis == p->batch_axis)
        st = vly_fail(err, VLY_EINVAL, "attributes 'time_axis' and 'batch_axis' must differ");
    return st;
}

static vly_status reverse_infer(vly_op_ctx *ctx, vly_err *err)
{
    const reverse_params *p = ctx->params;
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 1, VLY_T(I64), err);
    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, 1, 1, err);
    if (st != VLY_OK)
        return st;
    if (ctx->in[1]->shape.dim[0] != ctx->in[0]->shape.dim[p->batch_axis])
        return vly_fail(err, VLY_EINVAL,
                        "input 1: expected one length for each of %" PRId64 " sequences",
                        ctx->in[0]->shape.dim[p->batch_axis]);
    return vly_infer_same(ctx, err);
}

static vly_status reverse_run(vly_op_ctx *ctx, vly_err *err)
{
    const reverse_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    const vly_shape *s = &in->shape;
    const int64_t *lengths = ctx->in[1]->data;
    size_t unit = (size_t)vly_shape_span(s, 2, s->rank) * vly_elem_bytes(in);
    int64_t n_time = s->dim[p->time_axis], n_batch = s->dim[p->batch_axis];
    size_t time_step = p->time_axis == 0 ? (size_t)s->dim[1] * unit : unit;
    size_t batch_step = p->time_axis == 0 ? unit : (size_t)s->dim[1] * unit;

    for (int64_t b = 0; b < n_batch; b++) {
        if (lengths[b] < 0 || lengths[b] > n_time)
            return vly_fail(err, VLY_EINVAL, "input 1: length %" PRId64 " is out of range",
                            lengths[b]);
        for (int64_t t = 0; t < n_time && unit > 0; t++) {
            int64_t from = t < lengths[b] ? lengths[b] - 1 - t : t;
            memcpy((unsigned char *)out->data + (size_t)t * time_step + (size_t)b * batch_step,
                   (const unsigned char *)in->data + (size_t)from * time_step +
                       (size_t)b * batch_step,
                   unit);
        }
    }
    return VLY_OK;
}

const vly_op vly_ops_layout[] = {
    {.name = "Transpose",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(vly_int_list),
     .prepare = transpose_prepare,
     .infer = transpose_infer,
     .run = transpose_run},
    {.name = "Expand",
     .since = 8,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_BYTES,
     .infer = expand_infer,
     .run = expand_run},
    {.name = "Tile",
     .since = 6,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_BYTES,
     .infer = tile_infer,
     .run = tile_run},
    {.name = "Concat",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = VLY_OP_VARIADIC,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(axis_params),
     .prepare = concat_prepare,
     .infer = concat_infer,
     .run = concat_run},
    {.name = "Split",
     .since = 2,
     .n_in_min = 1,
     .n_in_max = 2,
     .n_out_max = VLY_OP_VARIADIC,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(axis_params),
     .prepare = split_prepare,
     .infer = split_infer,
     .run = split_run},
    {.name = "ReverseSequence",
     .since = 10,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(reverse_params),
     .prepare = reverse_prepare,
     .infer = reverse_infer,
     .run = reverse_run},
    {NULL},
};

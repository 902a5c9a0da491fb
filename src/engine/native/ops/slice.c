/* SPDX-License-Identifier: MIT */
/* Boxes cut out of a tensor, or set into a larger one: Slice, Pad, CenterCropPad. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"
#include "tensor/walk.h"

#include <inttypes.h>

/* ---- Slice -------------------------------------------------------------------------------- */

typedef struct slice_params { /* attributes, before opset 10 */
    vly_int_list starts, ends, axes;
} slice_params;

/* For each axis of the input: where it begins and how it steps. */
typedef struct box {
    int64_t begin[VLY_RANK_MAX], step[VLY_RANK_MAX];
    vly_shape shape;
} box;

static vly_status slice_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    slice_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_attrs_list(&a, "starts", &p->starts, err);

    if (st == VLY_OK)
        st = vly_attrs_list(&a, "ends", &p->ends, err);
    if (st == VLY_OK)
        st = vly_attrs_list(&a, "axes", &p->axes, err);
    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* numpy's rule for start:end:step on an axis of size dim. */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *ret_begin,
                       int64_t *ret_n)
{
    int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? dim : dim - 1;

    start = clamp(start < 0 ? start + dim : start, lo, hi);
    end = clamp(end < 0 ? end + dim : end, lo, hi);
    /* |step| as unsigned: the smallest integer has no negative */
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    int64_t span = step > 0 ? end - start : start - end;
    *ret_begin = start;
    *ret_n = span > 0 ? (int64_t)(((uint64_t)span - 1) / stride) + 1 : 0;
}

static vly_status slice_box(const vly_op_ctx *ctx, box *ret, vly_err *err)
{
    const slice_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_int_list starts, ends, axes, steps, none = {0};
    bool mask[VLY_RANK_MAX];
    vly_status st = vly_op_list(ctx, 1, &p->starts, &starts, err);

    *ret = (box){.shape = *s};
    for (int i = 0; i < s->rank; i++)
        ret->step[i] = 1;
    if (st == VLY_OK)
        st = vly_op_list(ctx, 2, &p->ends, &ends, err);
    if (st == VLY_OK)
        st = vly_op_list(ctx, 3, &p->axes, &axes, err);
    if (st == VLY_OK)
        st = vly_op_list(ctx, 4, &none, &steps, err);
    for (int i = 0; st == VLY_OK && !axes.is_given && i < starts.n; i++)
        axes.v[axes.n++] = i;
    if (st == VLY_OK &&
        (ends.n != starts.n || axes.n != starts.n || (steps.is_given && steps.n != starts.n)))
        st = vly_fail(err, VLY_EINVAL, "starts, ends, axes and steps differ in length");
    if (st == VLY_OK)
        st = vly_op_axes(&axes, s->rank, mask, err);
    for (int i = 0; i < starts.n && st == VLY_OK; i++) {
        int k = (int)(axes.v[i] < 0 ? axes.v[i] + s->rank : axes.v[i]);
        ret->step[k] = steps.is_given ? steps.v[i] : 1;
        if (ret->step[k] == 0)
            return vly_fail(err, VLY_EINVAL, "step of axis %d is 0", k);
        slice_axis(s->dim[k], starts.v[i], ends.v[i], ret->step[k], &ret->begin[k],
                   &ret->shape.dim[k]);
    }
    return st;
}

static vly_status slice_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape unknown = ctx->in[0]->shape;
    box b;

    for (int i = 1; i < ctx->n_in; i++) {
        if (!vly_op_in_pending(ctx, i))
            continue;
        for (int k = 0; k < unknown.rank; k++)
            unknown.dim[k] = VLY_DIM_UNKNOWN;
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &unknown);
        return VLY_OK;
    }
    vly_status st = slice_box(ctx, &b, err);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &b.shape);
    return st;
}

static vly_status slice_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    int64_t from[VLY_RANK_MAX], to[VLY_RANK_MAX], origin = 0;
    box b;
    vly_status st = slice_box(ctx, &b, err);

    if (st != VLY_OK || out->bytes == 0)
        return st;
    vly_shape_strides(&in->shape, from);
    vly_shape_strides(&out->shape, to);
    for (int i = 0; i < in->shape.rank; i++) {
        origin += b.begin[i] * from[i];
        from[i] =
            out->shape.dim[i] > 1 ? from[i] * b.step[i] : 0; /* a huge step takes one element */
    }
    vly_copy_strided(&out->shape, vly_elem_bytes(in), out->data, to, vly_elem_at(in, origin), from);
    return VLY_OK;
}

/* ---- Pad ---------------------------------------------------------------------------------- */

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad_params {
    pad_mode mode;
    float value;         /* before opset 11 */
    const int64_t *pads; /* before opset 11 */
    size_t n_pads;
} pad_params;

static vly_status pad_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    pad_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->mode = (pad_mode)vly_attrs_enum(&a, "mode", "constant\0reflect\0edge\0wrap\0", 0);
    p->value = vly_attrs_float(&a, "value", 0.0F);
    p->pads = vly_attrs_ints(&a, ctx->opset < 2 ? "paddings" : "pads", &p->n_pads);
    return vly_attrs_end(&a, err);
}

/* Per axis: elements cut off the input before and after, then elements added. */
typedef struct margins {
    int64_t cut_before[VLY_RANK_MAX], before[VLY_RANK_MAX];
    vly_shape kept; /* of the input, after cutting */
    vly_shape out;
} margins;

static vly_status set_margins(const vly_shape *s, int axis, int64_t before, int64_t after,
                              margins *m, vly_err *err)
{
    int64_t cut_before = before < 0 ? before : 0, cut_after = after < 0 ? after : 0;
    int64_t kept, out;

    if (__builtin_add_overflow(s->dim[axis], cut_before, &kept) ||
        __builtin_add_overflow(kept, cut_after, &kept) || kept < 0 ||
        __builtin_add_overflow(kept, before - cut_before, &out) ||
        __builtin_add_overflow(out, after - cut_after, &out))
        return vly_fail(err, VLY_EINVAL,
                        "cannot pad axis %d of size %" PRId64 " by %" PRId64 " and %" PRId64, axis,
                        s->dim[axis], before, after);
    m->cut_before[axis] = -cut_before;
    m->before[axis] = before - cut_before;
    m->kept.dim[axis] = kept;
    m->out.dim[axis] = out;
    return VLY_OK;
}

static int64_t pad_number(const vly_op_ctx *ctx, int i)
{
    const pad_params *p = ctx->params;
    return ctx->n_in > 1 ? vly_tensor_get_i64(ctx->in[1], (uint64_t)i) : p->pads[i];
}

static vly_status pad_margins(const vly_op_ctx *ctx, margins *ret, vly_err *err)
{
    const pad_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_int_list axes = {0}, none = {0};
    bool mask[VLY_RANK_MAX];
    vly_status st = vly_op_list(ctx, 3, &none, &axes, err);

    *ret = (margins){.kept = *s, .out = *s};
    for (int i = 0; st == VLY_OK && !axes.is_given && i < s->rank; i++)
        axes.v[axes.n++] = i;
    if (st == VLY_OK)
        st = vly_op_axes(&axes, s->rank, mask, err);
    if (st != VLY_OK)
        return st;
    uint64_t n = ctx->n_in > 1 ? vly_tensor_count(ctx->in[1]) : (uint64_t)p->n_pads;
    if (n != (uint64_t)axes.n * 2)
        return vly_fail(err, VLY_EINVAL, "pads: expected %d numbers, got %" PRIu64, axes.n * 2, n);
    for (int i = 0; i < axes.n && st == VLY_OK; i++) {
        int k = (int)(axes.v[i] < 0 ? axes.v[i] + s->rank : axes.v[i]);
        st = set_margins(s, k, pad_number(ctx, i), pad_number(ctx, i + axes.n), ret, err);
        if (st == VLY_OK && p->mode != PAD_CONSTANT && ret->kept.dim[k] == 0 && ret->out.dim[k] > 0)
            st = vly_fail(err, VLY_EINVAL, "axis %d is empty: there is nothing to pad with", k);
    }
    return st;
}

static vly_status pad_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0];
    margins m = {.out = in->shape};
    vly_status st = ctx->n_in > 1 ? vly_op_check_dtype(ctx, 1, VLY_T(I64), err) : VLY_OK;

    if (st == VLY_OK && vly_op_in(ctx, 2) != NULL &&
        (ctx->in[2]->dtype != in->dtype || vly_tensor_count(ctx->in[2]) != 1))
        st = vly_fail(err, VLY_EINVAL, "input 2: expected one element of %s",
                      vly_dtype_name(in->dtype));
    if (st != VLY_OK)
        return st;
    if (vly_op_in_pending(ctx, 1) || vly_op_in_pending(ctx, 3)) {
        for (int i = 0; i < m.out.rank; i++)
            m.out.dim[i] = VLY_DIM_UNKNOWN;
    } else {
        st = pad_margins(ctx, &m, err);
        if (st != VLY_OK)
            return st;
    }
    vly_op_out_set(ctx, 0, in->dtype, &m.out);
    return VLY_OK;
}

static void copy_kept(const vly_tensor *in, const vly_tensor *out, const margins *m)
{
    int64_t from[VLY_RANK_MAX], to[VLY_RANK_MAX], src = 0, dst = 0;

    if (vly_shape_span(&m->kept, 0, m->kept.rank) == 0)
        return;
    vly_shape_strides(&in->shape, from);
    vly_shape_strides(&out->shape, to);
    for (int i = 0; i < m->kept.rank; i++) {
        src += m->cut_before[i] * from[i];
        dst += m->before[i] * to[i];
    }
    vly_copy_strided(&m->kept, vly_elem_bytes(in), vly_elem_at(out, dst), to, vly_elem_at(in, src),
                     from);
}

/* Which of the n kept positions does position i, outside of them, repeat? */
static int64_t pad_source(pad_mode mode, int64_t i, int64_t n)
{
    int64_t period = mode == PAD_WRAP ? n : 2 * (n - 1);

    if (mode == PAD_EDGE || n == 1)
        return i < 0 ? 0 : n - 1;
    i %= period;
    i = i < 0 ? i + period : i;
    return i < n ? i : period - i;
}

/* The margins of one axis, for one position along the axes before it. row: the axis' first element.
 */
static void repeat_along(const vly_tensor *out, int64_t row, int axis, const margins *m,
                         pad_mode mode)
{
    int64_t unit = vly_shape_span(&out->shape, axis + 1, out->shape.rank);
    int64_t before = m->before[axis], n = m->kept.dim[axis];
    size_t bytes = (size_t)unit * vly_elem_bytes(out);

    for (int64_t i = 0; i < out->shape.dim[axis]; i++) {
        if (i == before)
            i += n;
        if (i >= out->shape.dim[axis])
            break;
        int64_t from = pad_source(mode, i - before, n) + before;
        memcpy(vly_elem_at(out, row + i * unit), vly_elem_at(out, row + from * unit), bytes);
    }
}

/* From the innermost axis outwards: each copies what is complete inside of it. */
static void repeat_kept(const vly_tensor *out, const margins *m, pad_mode mode)
{
    int64_t strides[1][VLY_RANK_MAX];

    vly_shape_strides(&out->shape, strides[0]);
    for (int axis = out->shape.rank - 1; axis >= 0; axis--) {
        vly_shape outer = {.rank = axis};
        int64_t origin = 0;
        vly_walk w;
        for (int i = 0; i < axis; i++) {
            outer.dim[i] = m->kept.dim[i];
            origin += m->before[i] * strides[0][i];
        }
        for (vly_walk_begin(&w, &outer, 1, strides); w.more; vly_walk_next(&w))
            for (int64_t k = 0; k < w.n; k++)
                repeat_along(out, origin + w.off[0] + k * w.step[0], axis, m, mode);
    }
}

static vly_status pad_run(vly_op_ctx *ctx, vly_err *err)
{
    const pad_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    _Alignas(16) unsigned char value[16] = {0};
    margins m;
    vly_status st = pad_margins(ctx, &m, err);

    if (st != VLY_OK || out->bytes == 0)
        return st;
    if (vly_op_in(ctx, 2) != NULL)
        memcpy(value, ctx->in[2]->data, vly_elem_bytes(out));
    else if (p->value != 0.0F)
        vly_convert(VLY_DTYPE_F32, &p->value, out->dtype, value, 1, false);
    if (p->mode == PAD_CONSTANT)
        vly_fill(out, value);
    copy_kept(in, out, &m);
    if (p->mode != PAD_CONSTANT)
        repeat_kept(out, &m, p->mode);
    return VLY_OK;
}

/* ---- CenterCropPad ------------------------------------------------------------------------ */

static vly_status center_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_attrs_list(&a, "axes", params, err);

    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

/* An odd difference leaves the extra element behind. */
static vly_status center_margins(const vly_op_ctx *ctx, margins *ret, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    vly_int_list axes = *(const vly_int_list *)ctx->params, want, none = {0};
    bool mask[VLY_RANK_MAX];
    vly_status st = vly_op_list(ctx, 1, &none, &want, err);

    *ret = (margins){.kept = *s, .out = *s};
    for (int i = 0; !axes.is_given && i < s->rank; i++)
        axes.v[axes.n++] = i;
    if (st == VLY_OK && want.n != axes.n)
        st = vly_fail(err, VLY_EINVAL, "input 1: expected %d sizes, got %d", axes.n, want.n);
    if (st == VLY_OK)
        st = vly_op_axes(&axes, s->rank, mask, err);
    for (int i = 0; i < axes.n && st == VLY_OK; i++) {
        int k = (int)(axes.v[i] < 0 ? axes.v[i] + s->rank : axes.v[i]);
        if (want.v[i] < 0)
            return vly_fail(err, VLY_EINVAL, "input 1: size %" PRId64 " is negative", want.v[i]);
        int64_t more = want.v[i] - s->dim[k];
        st = set_margins(s, k, more / 2, more - more / 2, ret, err);
    }
    return st;
}

static vly_status center_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0];
    margins m = {.out = in->shape};

    if (vly_op_in_pending(ctx, 1)) {
        for (int i = 0; i < m.out.rank; i++)
            m.out.dim[i] = VLY_DIM_UNKNOWN;
    } else {
        vly_status st = center_margins(ctx, &m, err);
        if (st != VLY_OK)
            return st;
    }
    vly_op_out_set(ctx, 0, in->dtype, &m.out);
    return VLY_OK;
}

static vly_status center_run(vly_op_ctx *ctx, vly_err *err)
{
    margins m;
    vly_status st = center_margins(ctx, &m, err);

    if (st != VLY_OK)
        return st;
    if (ctx->out[0].bytes > 0)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    copy_kept(ctx->in[0], &ctx->out[0], &m);
    return VLY_OK;
}

const vly_op vly_ops_slice[] = {
    {.name = "Slice",
     .since = 10,
     .n_in_min = 3,
     .n_in_max = 5,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(slice_params),
     .prepare = slice_prepare,
     .infer = slice_infer,
     .run = slice_run},
    {.name = "Slice",
     .since = 1,
     .until = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(slice_params),
     .prepare = slice_prepare,
     .infer = slice_infer,
     .run = slice_run},
    {.name = "Pad",
     .since = 11,
     .n_in_min = 2,
     .n_in_max = 4,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(pad_params),
     .prepare = pad_prepare,
     .infer = pad_infer,
     .run = pad_run},
    {.name = "Pad",
     .since = 1,
     .until = 10,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(pad_params),
     .prepare = pad_prepare,
     .infer = pad_infer,
     .run = pad_run},
    {.name = "CenterCropPad",
     .since = 18,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = VLY_T_BYTES & ~VLY_T(STRING),
     .params_bytes = sizeof(vly_int_list),
     .prepare = center_prepare,
     .infer = center_infer,
     .run = center_run},
    {NULL},
};

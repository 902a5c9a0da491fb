/* SPDX-License-Identifier: MIT */
/* Tensors out of little: Constant, ConstantOfShape, Range, EyeLike, OneHot, Trilu, windows. */
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>

#define PI 3.14159265358979323846

/* ---- Constant ----------------------------------------------------------------------------- */

/* The value lies in the model: it outlives the graph. */
typedef struct constant_params {
    vly_dtype dtype;
    vly_shape shape;
    const void *data;
} constant_params;

static vly_status from_tensor(const vly_onnx_tensor *t, constant_params *p, vly_err *err)
{
    if (!vly_dtype_valid(t->data_type) || t->external != NULL || t->n_dims > VLY_RANK_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "attribute 'value': data type %d with %zu dimensions%s is not supported",
                        t->data_type, t->n_dims, t->external != NULL ? " in another file" : "");
    p->dtype = (vly_dtype)t->data_type;
    p->shape.rank = (int)t->n_dims;
    if (t->n_dims > 0)
        memcpy(p->shape.dim, t->dims, t->n_dims * sizeof(t->dims[0]));
    p->data = p->dtype == VLY_DTYPE_STRING ? (const void *)t->strings : t->data;
    return VLY_OK;
}

static void set_value(constant_params *p, vly_dtype dtype, const vly_shape *shape, const void *data)
{
    p->dtype = dtype;
    p->shape = *shape;
    p->data = data;
}

/* One attribute of the node; false when it says nothing of the value. */
static bool from_attr(const vly_onnx_attr *a, constant_params *p)
{
    const vly_shape scalar = VLY_SHAPE_SCALAR, list = VLY_SHAPE((int64_t)a->n);

    if (vly_str_is(a->name, "value_float") && a->type == VLY_ONNX_ATTR_FLOAT)
        set_value(p, VLY_DTYPE_F32, &scalar, &a->f);
    else if (vly_str_is(a->name, "value_int") && a->type == VLY_ONNX_ATTR_INT)
        set_value(p, VLY_DTYPE_I64, &scalar, &a->i);
    else if (vly_str_is(a->name, "value_string") && a->type == VLY_ONNX_ATTR_STRING)
        set_value(p, VLY_DTYPE_STRING, &scalar, &a->s);
    else if (vly_str_is(a->name, "value_floats") && a->type == VLY_ONNX_ATTR_FLOATS)
        set_value(p, VLY_DTYPE_F32, &list, a->floats);
    else if (vly_str_is(a->name, "value_ints") && a->type == VLY_ONNX_ATTR_INTS)
        set_value(p, VLY_DTYPE_I64, &list, a->ints);
    else if (vly_str_is(a->name, "value_strings") && a->type == VLY_ONNX_ATTR_STRINGS)
        set_value(p, VLY_DTYPE_STRING, &list, a->strings);
    else
        return false;
    return true;
}

static vly_status constant_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    constant_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    const vly_onnx_tensor *value = vly_attrs_tensor(&a, "value");
    vly_status st = vly_attrs_end(&a, err);

    if (st != VLY_OK)
        return st;
    if (value != NULL)
        return from_tensor(value, p, err);
    for (size_t i = 0; i < ctx->proto->n_attrs; i++)
        if (from_attr(&ctx->proto->attrs[i], p))
            return VLY_OK;
    return vly_fail(err, VLY_EUNSUPPORTED,
                    "expected an attribute 'value' or 'value_...' of its type");
}

static vly_status constant_infer(vly_op_ctx *ctx, vly_err *err)
{
    const constant_params *p = ctx->params;

    (void)err;
    vly_op_out_set(ctx, 0, p->dtype, &p->shape);
    return VLY_OK;
}

static vly_status constant_run(vly_op_ctx *ctx, vly_err *err)
{
    const constant_params *p = ctx->params;

    (void)err;
    if (ctx->out[0].bytes > 0)
        memcpy(ctx->out[0].data, p->data, ctx->out[0].bytes);
    return VLY_OK;
}

/* ---- ConstantOfShape ---------------------------------------------------------------------- */

static vly_status of_shape_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    constant_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    const vly_onnx_tensor *value = vly_attrs_tensor(&a, "value");
    vly_status st = vly_attrs_end(&a, err);

    p->dtype = VLY_DTYPE_F32;
    if (st != VLY_OK || value == NULL)
        return st;
    st = from_tensor(value, p, err);
    if (st == VLY_OK && (value->n_elems != 1 || (VLY_T_BYTES & 1u << p->dtype) == 0))
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "attribute 'value': expected one element, not of 4 bits");
    return st;
}

static vly_status of_shape_infer(vly_op_ctx *ctx, vly_err *err)
{
    const constant_params *p = ctx->params;
    vly_shape shape = VLY_SHAPE_SCALAR;

    if (vly_op_in_pending(ctx, 0)) {
        vly_op_out_unknown(ctx, 0, p->dtype);
        return VLY_OK;
    }
    vly_status st = vly_op_ints(ctx, 0, shape.dim, VLY_RANK_MAX, &shape.rank, err);
    for (int i = 0; i < shape.rank && st == VLY_OK; i++)
        if (shape.dim[i] < 0)
            st = vly_fail(err, VLY_EINVAL, "input 0: dimension %d is negative", i);
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, p->dtype, &shape);
    return st;
}

static vly_status of_shape_run(vly_op_ctx *ctx, vly_err *err)
{
    const constant_params *p = ctx->params;

    (void)err;
    if (p->data != NULL)
        vly_fill(&ctx->out[0], p->data);
    else if (ctx->out[0].bytes > 0)
        memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    return VLY_OK;
}

/* ---- Range -------------------------------------------------------------------------------- */

/* Number of elements, -1 when it is no sensible number. */
static int64_t range_count(const vly_op_ctx *ctx)
{
    if (vly_dtype_is_int(ctx->in[0]->dtype)) {
        int64_t start = vly_tensor_get_i64(ctx->in[0], 0),
                limit = vly_tensor_get_i64(ctx->in[1], 0);
        int64_t delta = vly_tensor_get_i64(ctx->in[2], 0);
        uint64_t span =
            delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
        uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta;
        if (delta == 0)
            return -1;
        if (delta > 0 ? limit <= start : limit >= start)
            return 0;
        uint64_t n = (span - 1) / step + 1;
        return n <= INT64_MAX ? (int64_t)n : -1;
    }
    double n = ceil((vly_tensor_get_f64(ctx->in[1], 0) - vly_tensor_get_f64(ctx->in[0], 0)) /
                    vly_tensor_get_f64(ctx->in[2], 0));
    if (isnan(n) || n > 0x1p53)
        return -1;
    return n > 0.0 ? (int64_t)n : 0;
}

static vly_status range_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_dtype dtype = ctx->in[0]->dtype;
    int64_t n = VLY_DIM_UNKNOWN;

    for (int i = 0; i < 3; i++) {
        if (ctx->in[i]->dtype != dtype || vly_tensor_count(ctx->in[i]) != 1)
            return vly_fail(err, VLY_EINVAL, "input %d: expected one element of %s", i,
                            vly_dtype_name(dtype));
        if (vly_op_in_pending(ctx, i)) {
            vly_op_out_set(ctx, 0, dtype, &VLY_SHAPE(n));
            return VLY_OK;
        }
    }
    n = range_count(ctx);
    if (n < 0)
        return vly_fail(err, VLY_EINVAL, "the number of elements is not finite");
    vly_op_out_set(ctx, 0, dtype, &VLY_SHAPE(n));
    return VLY_OK;
}

static vly_status range_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *out = &ctx->out[0];
    int64_t n = out->shape.dim[0];

    (void)err;
    if (vly_dtype_is_int(out->dtype)) {
        uint64_t v = (uint64_t)vly_tensor_get_i64(ctx->in[0], 0);
        uint64_t delta = (uint64_t)vly_tensor_get_i64(ctx->in[2], 0);
        for (int64_t i = 0; i < n; i++, v += delta)
            vly_convert(VLY_DTYPE_U64, &v, out->dtype, vly_elem_at(out, i), 1, false);
        return VLY_OK;
    }
    double start = vly_tensor_get_f64(ctx->in[0], 0), delta = vly_tensor_get_f64(ctx->in[2], 0);
    for (int64_t i = 0; i < n; i++) {
        double v = start + (double)i * delta;
        vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, i), 1, false);
    }
    return VLY_OK;
}

/* ---- EyeLike ------------------------------------------------------------------------------ */

typedef struct eye_params {
    int64_t dtype; /* 0: the input's */
    int64_t k;
} eye_params;

static vly_status eye_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    eye_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->dtype = vly_attrs_int(&a, "dtype", 0);
    p->k = vly_attrs_int(&a, "k", 0);
    vly_status st = vly_attrs_end(&a, err);
    bool is_known = p->dtype == 0 || (vly_dtype_valid(p->dtype) &&
                                      ((VLY_T_NUMBER | VLY_T(BOOL)) & 1u << p->dtype) != 0);
    if (st == VLY_OK && !is_known)
        st = vly_fail(err, VLY_EUNSUPPORTED, "attribute 'dtype': %" PRId64 " is not supported",
                      p->dtype);
    return st;
}

static vly_status eye_infer(vly_op_ctx *ctx, vly_err *err)
{
    const eye_params *p = ctx->params;
    vly_status st = vly_op_check_rank(ctx, 0, 2, 2, err);

    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, p->dtype != 0 ? (vly_dtype)p->dtype : ctx->in[0]->dtype,
                       &ctx->in[0]->shape);
    return st;
}

static vly_status eye_run(vly_op_ctx *ctx, vly_err *err)
{
    const eye_params *p = ctx->params;
    const vly_tensor *out = &ctx->out[0];
    int64_t rows = out->shape.dim[0], cols = out->shape.dim[1];
    const double one = 1.0;

    (void)err;
    if (out->bytes > 0)
        memset(out->data, 0, out->bytes);
    if (p->k >= cols || p->k <= -rows)
        return VLY_OK;
    for (int64_t i = p->k < 0 ? -p->k : 0; i < rows && i + p->k < cols; i++)
        vly_convert(VLY_DTYPE_F64, &one, out->dtype, vly_elem_at(out, i * cols + i + p->k), 1,
                    false);
    return VLY_OK;
}

/* ---- OneHot ------------------------------------------------------------------------------- */

typedef struct onehot_params {
    int64_t axis;
} onehot_params;

static vly_status onehot_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    onehot_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", -1);
    return vly_attrs_end(&a, err);
}

static vly_status onehot_infer(vly_op_ctx *ctx, vly_err *err)
{
    const onehot_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_shape out = {.rank = s->rank + 1};
    int axis;
    vly_status st = vly_op_check_dtype(ctx, 1, VLY_T_NUMBER, err);

    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 2, VLY_T_BYTES, err);
    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 0, 0, VLY_RANK_MAX - 1, err);
    if (st == VLY_OK)
        st = vly_op_axis(p->axis, out.rank, &axis, err);
    if (st == VLY_OK && (vly_tensor_count(ctx->in[1]) != 1 || vly_tensor_count(ctx->in[2]) != 2))
        st = vly_fail(err, VLY_EINVAL, "expected one depth (input 1) and two values (input 2)");
    if (st != VLY_OK)
        return st;
    for (int i = 0, k = 0; i < out.rank; i++)
        out.dim[i] = i == axis ? VLY_DIM_UNKNOWN : s->dim[k++];
    if (!vly_op_in_pending(ctx, 1)) {
        out.dim[axis] = vly_tensor_get_i64(ctx->in[1], 0);
        if (out.dim[axis] < 0)
            return vly_fail(err, VLY_EINVAL, "input 1: depth %" PRId64 " is negative",
                            out.dim[axis]);
    }
    vly_op_out_set(ctx, 0, ctx->in[2]->dtype, &out);
    return VLY_OK;
}

static vly_status onehot_run(vly_op_ctx *ctx, vly_err *err)
{
    const onehot_params *p = ctx->params;
    const vly_tensor *out = &ctx->out[0], *idx = ctx->in[0], *values = ctx->in[2];
    int axis;
    vly_status st = vly_op_axis(p->axis, out->shape.rank, &axis, err);

    if (st != VLY_OK || out->bytes == 0)
        return st;
    int64_t depth = out->shape.dim[axis];
    int64_t inner = vly_shape_span(&out->shape, axis + 1, out->shape.rank);
    int64_t n = (int64_t)vly_tensor_count(idx);
    vly_fill(out, values->data);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = vly_tensor_get_i64(idx, (uint64_t)i);
        if (at < -depth || at >= depth)
            continue; /* all off */
        at = at < 0 ? at + depth : at;
        memcpy(vly_elem_at(out, (i / inner * depth + at) * inner + i % inner),
               vly_elem_at(values, 1), vly_elem_bytes(out));
    }
    return VLY_OK;
}

/* ---- Trilu -------------------------------------------------------------------------------- */

typedef struct trilu_params {
    bool is_upper;
} trilu_params;

static vly_status trilu_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    trilu_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_upper = vly_attrs_int(&a, "upper", 1) != 0;
    return vly_attrs_end(&a, err);
}

static vly_status trilu_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st == VLY_OK && vly_op_in(ctx, 1) != NULL &&
        (ctx->in[1]->dtype != VLY_DTYPE_I64 || vly_tensor_count(ctx->in[1]) != 1))
        st = vly_fail(err, VLY_EINVAL, "input 1: expected one int64");
    return st == VLY_OK ? vly_infer_same(ctx, err) : st;
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static vly_status trilu_run(vly_op_ctx *ctx, vly_err *err)
{
    const trilu_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    const vly_shape *s = &in->shape;
    int64_t rows = s->dim[s->rank - 2], cols = s->dim[s->rank - 1];
    int64_t k = vly_op_in(ctx, 1) != NULL ? vly_tensor_get_i64(ctx->in[1], 0) : 0;
    int64_t n_rows = vly_shape_span(s, 0, s->rank - 1);
    size_t elem = vly_elem_bytes(in);

    (void)err;
    k = clamp(k, -rows, cols);
    for (int64_t r = 0; r < n_rows && cols > 0; r++) {
        int64_t split = clamp(r % rows + k + (p->is_upper ? 0 : 1), 0, cols);
        int64_t begin = p->is_upper ? split : 0, end = p->is_upper ? cols : split;
        unsigned char *row = vly_elem_at(out, r * cols);
        memset(row, 0, (size_t)begin * elem);
        memcpy(row + (size_t)begin * elem, vly_elem_at(in, r * cols + begin),
               (size_t)(end - begin) * elem);
        memset(row + (size_t)end * elem, 0, (size_t)(cols - end) * elem);
    }
    return VLY_OK;
}

/* ---- windows ------------------------------------------------------------------------------ */

typedef struct window_params {
    bool is_periodic;
    int64_t dtype;
} window_params;

static vly_status window_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    window_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_periodic = vly_attrs_int(&a, "periodic", 1) != 0;
    p->dtype = vly_attrs_int(&a, "output_datatype", VLY_DTYPE_F32);
    vly_status st = vly_attrs_end(&a, err);
    if (st == VLY_OK && (!vly_dtype_valid(p->dtype) || (VLY_T_NUMBER & 1u << p->dtype) == 0))
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "attribute 'output_datatype': %" PRId64 " is not supported", p->dtype);
    return st;
}

static vly_status window_infer(vly_op_ctx *ctx, vly_err *err)
{
    const window_params *p = ctx->params;
    int64_t n = VLY_DIM_UNKNOWN;

    if (vly_tensor_count(ctx->in[0]) != 1)
        return vly_fail(err, VLY_EINVAL, "input 0: expected a scalar");
    if (!vly_op_in_pending(ctx, 0)) {
        n = vly_tensor_get_i64(ctx->in[0], 0);
        if (n < 0)
            return vly_fail(err, VLY_EINVAL, "input 0: size %" PRId64 " is negative", n);
    }
    vly_op_out_set(ctx, 0, (vly_dtype)p->dtype, &VLY_SHAPE(n));
    return VLY_OK;
}

/* a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N) */
static vly_status window(const vly_op_ctx *ctx, double a0, double a1, double a2)
{
    const window_params *p = ctx->params;
    const vly_tensor *out = &ctx->out[0];
    int64_t n = out->shape.dim[0];
    double period = (double)(p->is_periodic ? n : n - 1);

    for (int64_t i = 0; i < n; i++) {
        double x = n > 1 ? 2.0 * PI * (double)i / period : PI;
        double v = a0 - a1 * cos(x) + a2 * cos(2.0 * x);
        vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, i), 1, false);
    }
    return VLY_OK;
}

static vly_status hann_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return window(ctx, 0.5, 0.5, 0.0);
}

static vly_status hamming_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return window(ctx, 25.0 / 46.0, 21.0 / 46.0, 0.0);
}

static vly_status blackman_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return window(ctx, 0.42, 0.5, 0.08);
}

#define WINDOW_OP(op_name, run_fn)                                                                 \
    {                                                                                              \
        .name = op_name, .since = 17, .n_in_min = 1, .n_in_max = 1,                                \
        .dtypes = VLY_T(I32) | VLY_T(I64), .params_bytes = sizeof(window_params),                  \
        .prepare = window_prepare, .infer = window_infer, .run = run_fn                            \
    }

const vly_op vly_ops_create[] = {
    {.name = "Constant",
     .since = 1,
     .n_in_max = 0,
     .params_bytes = sizeof(constant_params),
     .prepare = constant_prepare,
     .infer = constant_infer,
     .run = constant_run},
    {.name = "ConstantOfShape",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T(I64),
     .params_bytes = sizeof(constant_params),
     .prepare = of_shape_prepare,
     .infer = of_shape_infer,
     .run = of_shape_run},
    {.name = "Range",
     .since = 11,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = VLY_T_FLOAT | VLY_T(I16) | VLY_T(I32) | VLY_T(I64),
     .infer = range_infer,
     .run = range_run},
    {.name = "EyeLike",
     .since = 9,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_NUMBER | VLY_T(BOOL),
     .flags = VLY_OP_SHAPE_ONLY,
     .params_bytes = sizeof(eye_params),
     .prepare = eye_prepare,
     .infer = eye_infer,
     .run = eye_run},
    {.name = "OneHot",
     .since = 9,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = VLY_T_NUMBER,
     .params_bytes = sizeof(onehot_params),
     .prepare = onehot_prepare,
     .infer = onehot_infer,
     .run = onehot_run},
    {.name = "Trilu",
     .since = 14,
     .n_in_min = 1,
     .n_in_max = 2,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(trilu_params),
     .prepare = trilu_prepare,
     .infer = trilu_infer,
     .run = trilu_run},
    WINDOW_OP("HannWindow", hann_run),
    WINDOW_OP("HammingWindow", hamming_run),
    WINDOW_OP("BlackmanWindow", blackman_run),
    {NULL},
};

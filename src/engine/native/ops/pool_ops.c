/* SPDX-License-Identifier: MIT */
/* MaxPool, AveragePool, LpPool, their global forms, MaxUnpool. */
#include "dsp/pooling.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/spatial.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct pool_params {
    vly_spatial spatial;
    bool count_include_pad; /* AveragePool */
    bool column_major;      /* MaxPool: how indices count */
    int p;                  /* LpPool */
} pool_params;

static vly_status pool_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    pool_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_spatial_read(ctx->proto, &p->spatial, err);

    if (st != VLY_OK)
        return st;
    if (p->spatial.n_kernel == 0)
        return vly_fail(err, VLY_EINVAL, "attribute 'kernel_shape': expected, but not given");
    p->count_include_pad = vly_attrs_int(&a, "count_include_pad", 0) != 0;
    p->column_major = vly_attrs_int(&a, "storage_order", 0) != 0;
    p->p = (int)vly_attrs_int_in(&a, "p", 2, 1, INT16_MAX);
    return vly_attrs_end(&a, err);
}

static vly_status resolve(const vly_op_ctx *ctx, vly_spatial_window *ret, vly_err *err)
{
    const pool_params *p = ctx->params;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 2 + VLY_SPATIAL_MAX, err);

    if (st == VLY_OK)
        st = vly_spatial_resolve(&p->spatial, &ctx->in[0]->shape, p->spatial.kernel, ret, err);
    if (st == VLY_OK)
        ret->out.dim[1] = ctx->in[0]->shape.dim[1];
    return st;
}

static vly_status pool_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_spatial_window win;
    vly_status st = resolve(ctx, &win, err);

    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &win.out);
    vly_op_out_set(ctx, 1, VLY_DTYPE_I64, &win.out);
    return vly_half_infer(ctx, err);
}

typedef struct pool_job {
    const pool_params *p;
    const vly_window *w;
    int64_t limit[VLY_SPATIAL_MAX]; /* AveragePool: end of the padded image */
    vly_dtype dtype;
    const char *x;
    char *y;
    int64_t *index; /* MaxPool; NULL: not wanted */
    int64_t in_size, out_size;
} pool_job;

/* Offsets in a plane become offsets in the tensor, or -1 where a window saw nothing. */
static void finish_indices(const pool_job *j, int64_t plane, int64_t *index)
{
    const int64_t *in = j->w->in;

    for (int64_t i = 0; i < j->out_size; i++) {
        int64_t at = index[i];
        if (at < 0)
            continue;
        if (j->p->column_major) {
            int64_t d = at / (in[1] * in[2]), h = at / in[2] % in[1], w = at % in[2];
            at = in[0] > 1 ? d + (h + w * in[1]) * in[0] : h + w * in[1];
        }
        index[i] = plane * j->in_size + at;
    }
}

static void max_planes(void *arg, size_t begin, size_t end)
{
    const pool_job *j = arg;
    size_t elem = vly_dtype_bits(j->dtype) / 8;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        const void *x = j->x + (size_t)(i * j->in_size) * elem;
        void *y = j->y + (size_t)(i * j->out_size) * elem;
        int64_t *index = j->index != NULL ? j->index + i * j->out_size : NULL;
        if (j->dtype == VLY_DTYPE_F32)
            vly_max_pool_f32(j->w, x, y, index);
        else if (j->dtype == VLY_DTYPE_F64)
            vly_max_pool_f64(j->w, x, y, index);
        else if (j->dtype == VLY_DTYPE_U8)
            vly_max_pool_u8(j->w, x, y, index);
        else
            vly_max_pool_i8(j->w, x, y, index);
        if (index != NULL)
            finish_indices(j, i, index);
    }
}

static void mean_planes(void *arg, size_t begin, size_t end)
{
    const pool_job *j = arg;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++)
        vly_mean_pool_f32(j->w, (const float *)(const void *)j->x + i * j->in_size,
                          j->p->count_include_pad ? j->limit : NULL,
                          (float *)(void *)j->y + i * j->out_size);
}

static void lp_planes(void *arg, size_t begin, size_t end)
{
    const pool_job *j = arg;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++)
        vly_lp_pool_f32(j->w, (const float *)(const void *)j->x + i * j->in_size, j->p->p,
                        (float *)(void *)j->y + i * j->out_size);
}

static vly_status pool_run(vly_op_ctx *ctx, void (*planes)(void *arg, size_t begin, size_t end),
                           vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape;
    vly_spatial_window win;
    vly_status st = resolve(ctx, &win, err);

    if (st != VLY_OK)
        return st;
    pool_job j = {.p = ctx->params,
                  .w = &win.w,
                  .dtype = ctx->in[0]->dtype,
                  .x = ctx->in[0]->data,
                  .y = ctx->out[0].data,
                  .index = vly_op_wants(ctx, 1) ? ctx->out[1].data : NULL,
                  .in_size = vly_window_in_size(&win.w),
                  .out_size = vly_window_out_size(&win.w)};
    for (int d = 0; d < VLY_SPATIAL_MAX; d++)
        j.limit[d] = win.w.in[d] + win.pad_end[d];
    vly_op_split(ctx, x->dim[0] * x->dim[1], j.out_size * vly_window_kernel_size(&win.w), planes,
                 &j);
    return VLY_OK;
}

static vly_status max_run_any(vly_op_ctx *ctx, vly_err *err)
{
    return pool_run(ctx, max_planes, err);
}

static vly_status mean_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    return pool_run(ctx, mean_planes, err);
}

static vly_status lp_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    return pool_run(ctx, lp_planes, err);
}

static vly_status max_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, max_run_any, err);
}

static vly_status mean_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, mean_run_f32, err);
}

static vly_status lp_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, lp_run_f32, err);
}

static vly_status global_lp_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    pool_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->p = (int)vly_attrs_int_in(&a, "p", 2, 1, INT16_MAX);
    return vly_attrs_end(&a, err);
}

/* x [n, c, ...] -> [n, c, 1...] */
static vly_status global_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape out = ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st != VLY_OK)
        return st;
    for (int d = 2; d < out.rank; d++)
        out.dim[d] = 1;
    if (vly_shape_known(&ctx->in[0]->shape) && vly_shape_span(&ctx->in[0]->shape, 2, out.rank) == 0)
        return vly_fail(err, VLY_EINVAL, "input 0: the spatial dimensions are empty");
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return vly_half_infer(ctx, err);
}

static float plane_mean(const pool_params *p, const float *x, int64_t n)
{
    (void)p;
    return vly_sum_f32(x, n) / (float)n;
}

static float plane_max(const pool_params *p, const float *x, int64_t n)
{
    (void)p;
    return vly_max_f32(x, n);
}

static float plane_lp(const pool_params *p, const float *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += pow(fabs((double)x[i]), p->p);
    return (float)pow(sum, 1.0 / p->p);
}

static vly_status global_run(vly_op_ctx *ctx,
                             float (*reduce)(const pool_params *p, const float *x, int64_t n))
{
    const vly_shape *shape = &ctx->in[0]->shape;
    int64_t n = vly_shape_span(shape, 2, shape->rank), planes = vly_shape_span(shape, 0, 2);
    const float *x = ctx->in[0]->data;
    float *y = ctx->out[0].data;

    for (int64_t i = 0; i < planes; i++)
        y[i] = reduce(ctx->params, x + i * n, n);
    return VLY_OK;
}

static vly_status global_mean_f32(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return global_run(ctx, plane_mean);
}

static vly_status global_max_f32(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return global_run(ctx, plane_max);
}

static vly_status global_lp_f32(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    return global_run(ctx, plane_lp);
}

static vly_status global_mean_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, global_mean_f32, err);
}

static vly_status global_max_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, global_max_f32, err);
}

static vly_status global_lp_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, global_lp_f32, err);
}

/* The shape that kernel, strides and pads give the unpooled picture. */
static vly_status unpooled_shape(const vly_op_ctx *ctx, vly_shape *ret, vly_err *err)
{
    const pool_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape;
    vly_spatial_window win;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 2 + VLY_SPATIAL_MAX, err);
    int n = x->rank - 2, lead = VLY_SPATIAL_MAX - n;

    if (st == VLY_OK)
        st = vly_spatial_expand(&p->spatial, n, p->spatial.kernel, &win, err);
    if (st != VLY_OK)
        return st;
    *ret = *x;
    for (int d = 0; d < n; d++) {
        if (x->dim[2 + d] < 0)
            continue;
        ret->dim[2 + d] = (x->dim[2 + d] - 1) * win.w.stride[lead + d] + win.w.kernel[lead + d] -
                          win.w.pad[lead + d] - win.pad_end[lead + d];
        if (ret->dim[2 + d] < 0)
            return vly_fail(err, VLY_EINVAL, "spatial axis %d would get a negative size", d);
    }
    return VLY_OK;
}

static vly_status unpool_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *sizes = vly_op_in(ctx, 2);
    vly_shape out, natural;
    int n;
    vly_status st = unpooled_shape(ctx, &natural, err);

    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 1, VLY_T(I64), err);
    if (st != VLY_OK)
        return st;
    if (vly_shape_known(&natural) && vly_shape_known(&ctx->in[1]->shape) &&
        !vly_shape_eq(&ctx->in[1]->shape, &ctx->in[0]->shape))
        return vly_fail(err, VLY_EINVAL, "input 1: expected the shape of input 0");
    out = natural;
    if (sizes != NULL && sizes->data == NULL) {
        for (int d = 0; d < out.rank; d++)
            out.dim[d] = VLY_DIM_UNKNOWN;
    } else if (sizes != NULL) {
        st = vly_op_ints(ctx, 2, out.dim, out.rank, &n, err);
        if (st != VLY_OK)
            return st;
        for (int d = 0; d < out.rank; d++)
            if (n != out.rank || out.dim[d] < 0 || out.dim[d] < natural.dim[d])
                return vly_fail(err, VLY_EINVAL,
                                "input 2: expected %d sizes not below those of the pooled picture",
                                out.rank);
    }
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

/* Index in the natural shape -> offset in the output, whose dimensions may be larger. */
static int64_t unpool_offset(const vly_shape *natural, const vly_shape *out, int64_t index)
{
    int64_t offset = 0, stride = 1;

    for (int d = out->rank - 1; d >= 0; d--) {
        offset += index % natural->dim[d] * stride;
        index /= natural->dim[d];
        stride *= out->dim[d];
    }
    return offset;
}

static vly_status unpool_run(vly_op_ctx *ctx, vly_err *err)
{
    const int64_t *index = ctx->in[1]->data;
    const char *x = ctx->in[0]->data;
    char *y = ctx->out[0].data;
    size_t elem = vly_dtype_bits(ctx->in[0]->dtype) / 8;
    int64_t n = (int64_t)vly_tensor_count(ctx->in[0]);
    vly_shape natural;
    vly_status st = unpooled_shape(ctx, &natural, err);

    if (st != VLY_OK)
        return st;
    int64_t limit = vly_shape_span(&natural, 0, natural.rank);
    memset(y, 0, ctx->out[0].bytes);
    for (int64_t i = 0; i < n; i++) {
        if (index[i] < 0 || index[i] >= limit)
            return vly_fail(err, VLY_EINVAL, "index %" PRId64 " is outside of 0..%" PRId64,
                            index[i], limit - 1);
        memcpy(y + (size_t)unpool_offset(&natural, &ctx->out[0].shape, index[i]) * elem,
               x + (size_t)i * elem, elem);
    }
    return VLY_OK;
}

#define POOL_FLOATS (VLY_T(F32) | VLY_T(F16) | VLY_T(BF16))

#define POOL_OP(op_name, out_max, types, prepare_fn, infer_fn, run_fn)                             \
    {                                                                                              \
        .name = (op_name), .since = 1, .n_in_min = 1, .n_in_max = 1, .n_out_max = (out_max),       \
        .dtypes = (types), .params_bytes = sizeof(pool_params), .prepare = (prepare_fn),           \
        .infer = (infer_fn), .run = (run_fn)                                                       \
    }

const vly_op vly_ops_pool_ops[] = {
    POOL_OP("MaxPool", 2, POOL_FLOATS | VLY_T(F64) | VLY_T(U8) | VLY_T(I8), pool_prepare,
            pool_infer, max_run),
    POOL_OP("AveragePool", 1, POOL_FLOATS, pool_prepare, pool_infer, mean_run),
    POOL_OP("LpPool", 1, POOL_FLOATS, pool_prepare, pool_infer, lp_run),
    POOL_OP("GlobalMaxPool", 1, POOL_FLOATS, NULL, global_infer, global_max_run),
    POOL_OP("GlobalAveragePool", 1, POOL_FLOATS, NULL, global_infer, global_mean_run),
    POOL_OP("GlobalLpPool", 1, POOL_FLOATS, global_lp_prepare, global_infer, global_lp_run),
    {.name = "MaxUnpool",
     .since = 9,
     .n_in_min = 2,
     .n_in_max = 3,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(pool_params),
     .prepare = pool_prepare,
     .infer = unpool_infer,
     .run = unpool_run},
    {NULL},
};

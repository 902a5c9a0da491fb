/* SPDX-License-Identifier: MIT */
/* DepthToSpace and SpaceToDepth: blocks of pixels to channels and back; Col2Im; Det. */
#include "base/bits.h"
#include "dsp/im2col.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/spatial.h"
#include "tensor/walk.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct space_params {
    int64_t block;
    bool column_row_depth; /* DepthToSpace "CRD": the block is the inner part of the channel */
} space_params;

static vly_status space_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    space_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->block = vly_attrs_int_in(&a, "blocksize", 0, 1, INT16_MAX);
    p->column_row_depth = vly_attrs_enum(&a, "mode", "DCR\0CRD\0", 0) == 1;
    return vly_attrs_end(&a, err);
}

static vly_status not_divisible(int axis, int64_t size, int64_t by, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "axis %d of %" PRId64 " is not a multiple of %" PRId64, axis,
                    size, by);
}

static int64_t scaled(int64_t dim, int64_t factor)
{
    return dim < 0 ? VLY_DIM_UNKNOWN : dim * factor;
}

static vly_status depth_to_space_infer(vly_op_ctx *ctx, vly_err *err)
{
    const space_params *p = ctx->params;
    vly_shape s = ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 4, 4, err);

    if (st != VLY_OK)
        return st;
    if (s.dim[1] >= 0 && s.dim[1] % (p->block * p->block) != 0)
        return not_divisible(1, s.dim[1], p->block * p->block, err);
    s.dim[1] = s.dim[1] < 0 ? VLY_DIM_UNKNOWN : s.dim[1] / (p->block * p->block);
    s.dim[2] = scaled(s.dim[2], p->block);
    s.dim[3] = scaled(s.dim[3], p->block);
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &s);
    return VLY_OK;
}

static vly_status space_to_depth_infer(vly_op_ctx *ctx, vly_err *err)
{
    const space_params *p = ctx->params;
    vly_shape s = ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 4, 4, err);

    if (st != VLY_OK)
        return st;
    for (int d = 2; d < 4; d++) {
        if (s.dim[d] >= 0 && s.dim[d] % p->block != 0)
            return not_divisible(d, s.dim[d], p->block, err);
        s.dim[d] = s.dim[d] < 0 ? VLY_DIM_UNKNOWN : s.dim[d] / p->block;
    }
    s.dim[1] = scaled(s.dim[1], p->block * p->block);
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &s);
    return VLY_OK;
}

/* Both are a transposition of [n, block, block, c, h, w] ("DCR") or [n, c, block, block, h, w]
 * ("CRD") to [n, c, h, block, w, block], or back. deep: the tensor with more channels. */
static void transpose_blocks(const vly_op_ctx *ctx, const vly_shape *wide, bool to_space)
{
    const space_params *p = ctx->params;
    int64_t b = p->block, n = wide->dim[0], c = wide->dim[1];
    int64_t h = wide->dim[2] / b, w = wide->dim[3] / b, plane = h * w;
    vly_shape shape = VLY_SHAPE(n, c, h, b, w, b);
    int64_t wide_strides[VLY_RANK_MAX],
        deep_strides[VLY_RANK_MAX] = {
            c * b * b * plane, p->column_row_depth ? b * b * plane : plane, w, b * plane, 1, plane};

    if (!p->column_row_depth) {
        deep_strides[3] = b * c * plane;
        deep_strides[5] = c * plane;
    }
    vly_shape_strides(&shape, wide_strides);
    if (to_space)
        vly_copy_strided(&shape, vly_elem_bytes(ctx->in[0]), ctx->out[0].data, wide_strides,
                         ctx->in[0]->data, deep_strides);
    else
        vly_copy_strided(&shape, vly_elem_bytes(ctx->in[0]), ctx->out[0].data, deep_strides,
                         ctx->in[0]->data, wide_strides);
}

static vly_status depth_to_space_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    transpose_blocks(ctx, &ctx->out[0].shape, true);
    return VLY_OK;
}

static vly_status space_to_depth_run(vly_op_ctx *ctx, vly_err *err)
{
    (void)err;
    transpose_blocks(ctx, &ctx->in[0]->shape, false);
    return VLY_OK;
}

/* Col2Im: input 0 [n, c * kernel, positions], inputs 1 and 2 the image's and the kernel's shape. */
typedef struct col2im_params {
    vly_spatial spatial;
} col2im_params;

static vly_status col2im_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    col2im_params *p = params;
    return vly_spatial_read(ctx->proto, &p->spatial, err);
}

static vly_status col2im_resolve(const vly_op_ctx *ctx, vly_spatial_window *ret, vly_err *err)
{
    const col2im_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape;
    vly_shape image = {.rank = 2, .dim = {x->dim[0], VLY_DIM_UNKNOWN}};
    int64_t kernel[VLY_RANK_MAX];
    int n, n_kernel;
    vly_status st = vly_op_ints(ctx, 1, image.dim + 2, VLY_SPATIAL_MAX, &n, err);

    if (st == VLY_OK)
        st = vly_op_ints(ctx, 2, kernel, VLY_SPATIAL_MAX, &n_kernel, err);
    if (st != VLY_OK)
        return st;
    if (n != n_kernel || n < 1)
        return vly_fail(err, VLY_EINVAL, "image of %d and block of %d dimensions", n, n_kernel);
    for (int d = 0; d < n; d++)
        if (image.dim[2 + d] < 0 || kernel[d] < 1 || image.dim[2 + d] > INT32_MAX ||
            kernel[d] > INT16_MAX)
            return vly_fail(err, VLY_EINVAL, "image or block size out of range on axis %d", d);
    image.rank += n;
    st = vly_spatial_resolve(&p->spatial, &image, kernel, ret, err);
    if (st != VLY_OK)
        return st;
    int64_t taps = vly_window_kernel_size(&ret->w);
    if ((x->dim[2] >= 0 && x->dim[2] != vly_window_out_size(&ret->w)) ||
        (x->dim[1] >= 0 && x->dim[1] % taps != 0)) {
        char text[VLY_SHAPE_TEXT_MAX];
        return vly_fail(err, VLY_EINVAL,
                        "input 0: shape %s does not hold %" PRId64 " blocks of %" PRId64,
                        vly_shape_text(x, text), vly_window_out_size(&ret->w), taps);
    }
    ret->out = image;
    ret->out.dim[1] = x->dim[1] < 0 ? VLY_DIM_UNKNOWN : x->dim[1] / taps;
    return VLY_OK;
}

static vly_status col2im_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_spatial_window win;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 3, err);

    if (st != VLY_OK)
        return st;
    if (vly_op_in_pending(ctx, 1) || vly_op_in_pending(ctx, 2)) {
        vly_op_out_unknown(ctx, 0, ctx->in[0]->dtype);
        return VLY_OK;
    }
    st = col2im_resolve(ctx, &win, err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &win.out);
    return vly_half_infer(ctx, err);
}

static vly_status col2im_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    vly_spatial_window win;
    vly_status st = col2im_resolve(ctx, &win, err);

    if (st != VLY_OK)
        return st;
    memset(ctx->out[0].data, 0, ctx->out[0].bytes);
    vly_col2im_f32(&win.w, win.out.dim[0] * win.out.dim[1], ctx->in[0]->data, ctx->out[0].data);
    return VLY_OK;
}

static vly_status col2im_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, col2im_run_f32, err);
}

/* Det: x [..., m, m] -> [...] */
static vly_status det_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_shape s = ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st != VLY_OK)
        return st;
    int64_t rows = s.dim[s.rank - 2], columns = s.dim[s.rank - 1];
    if (rows >= 0 && columns >= 0 && rows != columns)
        return vly_fail(err, VLY_EINVAL,
                        "input 0: expected square matrices, got %" PRId64 " x %" PRId64, rows,
                        columns);
    s.rank -= 2;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &s);
    if (vly_shape_known(&ctx->in[0]->shape))
        ctx->scratch_bytes = vly_align_up((size_t)(rows * rows) * sizeof(double), 64);
    return vly_half_infer(ctx, err);
}

/* Gaussian elimination with row pivots; a [m, m] is overwritten. */
static double determinant(double *a, int64_t m)
{
    double det = 1.0;

    for (int64_t i = 0; i < m; i++) {
        int64_t pivot = i;
        for (int64_t r = i + 1; r < m; r++)
            pivot = fabs(a[r * m + i]) > fabs(a[pivot * m + i]) ? r : pivot;
        if (a[pivot * m + i] == 0.0)
            return 0.0;
        det *= pivot == i ? a[i * m + i] : -a[pivot * m + i];
        for (int64_t k = 0; k < m && pivot != i; k++) {
            double t = a[i * m + k];
            a[i * m + k] = a[pivot * m + k];
            a[pivot * m + k] = t;
        }
        for (int64_t r = i + 1; r < m; r++) {
            double factor = a[r * m + i] / a[i * m + i];
            for (int64_t k = i; k < m; k++)
                a[r * m + k] -= factor * a[i * m + k];
        }
    }
    return det;
}

static vly_status det_run_float(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *x = ctx->in[0];
    int64_t m = x->shape.dim[x->shape.rank - 1], n = (int64_t)vly_tensor_count(&ctx->out[0]);
    double *a = ctx->scratch;

    (void)err;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < m * m; k++)
            a[k] = vly_tensor_get_f64(x, (uint64_t)(i * m * m + k));
        if (x->dtype == VLY_DTYPE_F64)
            ((double *)ctx->out[0].data)[i] = determinant(a, m);
        else
            ((float *)ctx->out[0].data)[i] = (float)determinant(a, m);
    }
    return VLY_OK;
}

static vly_status det_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, det_run_float, err);
}

const vly_op vly_ops_space[] = {
    {.name = "DepthToSpace",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(space_params),
     .prepare = space_prepare,
     .infer = depth_to_space_infer,
     .run = depth_to_space_run},
    {.name = "SpaceToDepth",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_BYTES,
     .params_bytes = sizeof(space_params),
     .prepare = space_prepare,
     .infer = space_to_depth_infer,
     .run = space_to_depth_run},
    {.name = "Col2Im",
     .since = 18,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = VLY_T(F32) | VLY_T(F16) | VLY_T(BF16),
     .params_bytes = sizeof(col2im_params),
     .prepare = col2im_prepare,
     .infer = col2im_infer,
     .run = col2im_run},
    {.name = "Det",
     .since = 11,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = VLY_T_FLOAT,
     .infer = det_infer,
     .run = det_run},
    {NULL},
};

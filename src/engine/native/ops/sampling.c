/* SPDX-License-Identifier: MIT */
/* GridSample, RoiAlign. */
#include "dsp/grid.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/spatial.h"

#include <inttypes.h>
#include <math.h>

#define SAMPLE_DTYPES (VLY_T(F32) | VLY_T(F16) | VLY_T(BF16))

typedef struct grid_params {
    vly_grid_mode mode;
    vly_grid_padding padding;
    bool align_corners;
} grid_params;

static vly_status grid_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    static const vly_grid_mode modes[] = {VLY_GRID_LINEAR, VLY_GRID_NEAREST, VLY_GRID_CUBIC,
                                          VLY_GRID_LINEAR, VLY_GRID_CUBIC};
    grid_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    /* "bilinear" and "bicubic" until opset 19 */
    p->mode = modes[vly_attrs_enum(&a, "mode", "linear\0nearest\0cubic\0bilinear\0bicubic\0", 0)];
    p->padding =
        (vly_grid_padding)vly_attrs_enum(&a, "padding_mode", "zeros\0border\0reflection\0", 0);
    p->align_corners = vly_attrs_int(&a, "align_corners", 0) != 0;
    return vly_attrs_end(&a, err);
}

/* x [n, c, spatial], grid [n, spatial out, number of spatial dimensions] */
static vly_status grid_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape, *grid = &ctx->in[1]->shape;
    int n = x->rank - 2;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 2 + VLY_SPATIAL_MAX, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, x->rank, x->rank, err);
    if (st == VLY_OK)
        st = vly_op_check_same_dtype(ctx, 1, 1, err);
    if (st != VLY_OK)
        return st;
    if ((grid->dim[n + 1] >= 0 && grid->dim[n + 1] != n) ||
        (x->dim[0] >= 0 && grid->dim[0] >= 0 && x->dim[0] != grid->dim[0])) {
        char text[VLY_SHAPE_TEXT_MAX], text_x[VLY_SHAPE_TEXT_MAX];
        return vly_fail(err, VLY_EINVAL, "input 1: a grid of shape %s does not fit %s",
                        vly_shape_text(grid, text), vly_shape_text(x, text_x));
    }
    vly_shape out = *x;
    for (int d = 0; d < n; d++) {
        out.dim[2 + d] = grid->dim[1 + d];
        if (x->dim[2 + d] == 0)
            return vly_fail(err, VLY_EINVAL, "input 0: spatial axis %d is empty", d);
    }
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return vly_half_infer(ctx, err);
}

typedef struct grid_job {
    vly_grid g;
    const float *x, *grid;
    float *y;
    int64_t points; /* per picture */
} grid_job;

static void sample_points(void *arg, size_t begin, size_t end)
{
    const grid_job *j = arg;
    int64_t in_size = j->g.channels * j->g.size[0] * j->g.size[1] * j->g.size[2];

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t picture = i / j->points, point = i % j->points;
        vly_grid_sample_f32(&j->g, j->x + picture * in_size, j->grid + i * j->g.n,
                            j->y + picture * j->g.channels * j->points + point, j->points);
    }
}

static vly_status grid_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const grid_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape, *y = &ctx->out[0].shape;
    int n = x->rank - 2;
    grid_job j = {.g = {.mode = p->mode,
                        .padding = p->padding,
                        .align_corners = p->align_corners,
                        .n = n,
                        .size = {1, 1, 1},
                        .channels = x->dim[1]},
                  .x = ctx->in[0]->data,
                  .grid = ctx->in[1]->data,
                  .y = ctx->out[0].data,
                  .points = vly_shape_span(y, 2, y->rank)};

    (void)err;
    for (int d = 0; d < n; d++)
        j.g.size[3 - n + d] = x->dim[2 + d];
    if (j.points > 0)
        vly_op_split(ctx, x->dim[0] * j.points, 16 * x->dim[1], sample_points, &j);
    return VLY_OK;
}

static vly_status grid_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, grid_run_f32, err);
}

#define ROI_SAMPLES_MAX 1024 /* per bin and axis, when the region decides */

typedef struct roi_params {
    int64_t out_height, out_width, sampling_ratio;
    float spatial_scale;
    bool is_max, half_pixel;
} roi_params;

static vly_status roi_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    roi_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->out_height = vly_attrs_int_in(&a, "output_height", 1, 1, INT16_MAX);
    p->out_width = vly_attrs_int_in(&a, "output_width", 1, 1, INT16_MAX);
    p->sampling_ratio = vly_attrs_int_in(&a, "sampling_ratio", 0, 0, ROI_SAMPLES_MAX);
    p->spatial_scale = vly_attrs_float(&a, "spatial_scale", 1.0f);
    p->is_max = vly_attrs_enum(&a, "mode", "avg\0max\0", 0) == 1;
    p->half_pixel = vly_attrs_enum(&a, "coordinate_transformation_mode",
                                   "output_half_pixel\0half_pixel\0", ctx->opset >= 16) == 1;
    return vly_attrs_end(&a, err);
}

static vly_status roi_infer(vly_op_ctx *ctx, vly_err *err)
{
    const roi_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape, *rois = &ctx->in[1]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 4, 4, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, 2, 2, err);
    if (st == VLY_OK)
        st = vly_op_check_same_dtype(ctx, 1, 1, err);
    if (st == VLY_OK)
        st = vly_op_check_vector(ctx, 2, rois->dim[0], err);
    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 2, VLY_T(I64), err);
    if (st != VLY_OK)
        return st;
    if ((rois->dim[1] >= 0 && rois->dim[1] != 4) || x->dim[2] == 0 || x->dim[3] == 0)
        return vly_fail(err, VLY_EINVAL,
                        "expected regions of 4 values in a picture that is not empty");
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype,
                   &VLY_SHAPE(rois->dim[0], x->dim[1], p->out_height, p->out_width));
    return vly_half_infer(ctx, err);
}

static vly_status roi_of(const roi_params *p, const float *box, vly_roi *ret, vly_err *err)
{
    float offset = p->half_pixel ? 0.5f : 0.0f;
    float x0 = box[0] * p->spatial_scale - offset, y0 = box[1] * p->spatial_scale - offset;
    float width = box[2] * p->spatial_scale - offset - x0;
    float height = box[3] * p->spatial_scale - offset - y0;

    if (!p->half_pixel) { /* a malformed region counts as one pixel */
        width = fmaxf(width, 1.0f);
        height = fmaxf(height, 1.0f);
    }
    *ret = (vly_roi){.begin_y = y0,
                     .begin_x = x0,
                     .bin_height = height / (float)p->out_height,
                     .bin_width = width / (float)p->out_width,
                     .samples_y = p->sampling_ratio,
                     .samples_x = p->sampling_ratio,
                     .is_max = p->is_max};
    if (p->sampling_ratio > 0)
        return VLY_OK;
    float samples_y = ceilf(ret->bin_height), samples_x = ceilf(ret->bin_width);
    if (!(samples_y <= ROI_SAMPLES_MAX && samples_x <= ROI_SAMPLES_MAX))
        return vly_fail(err, VLY_ELIMIT, "a region of %g x %g pixels", (double)width,
                        (double)height);
    ret->samples_y = samples_y > 0.0f ? (int64_t)samples_y : 0;
    ret->samples_x = samples_x > 0.0f ? (int64_t)samples_x : 0;
    return VLY_OK;
}

static vly_status roi_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const roi_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape, *out = &ctx->out[0].shape;
    const int64_t *picture = ctx->in[2]->data;
    int64_t plane = x->dim[2] * x->dim[3], bins = p->out_height * p->out_width;
    float *y = ctx->out[0].data;

    for (int64_t r = 0; r < out->dim[0]; r++) {
        vly_roi roi;
        vly_status st = roi_of(p, (const float *)ctx->in[1]->data + 4 * r, &roi, err);
        if (st != VLY_OK)
            return st;
        if (picture[r] < 0 || picture[r] >= x->dim[0])
            return vly_fail(err, VLY_EINVAL,
                            "region %" PRId64 ": picture %" PRId64 " is outside of the batch", r,
                            picture[r]);
        const float *from = (const float *)ctx->in[0]->data + picture[r] * x->dim[1] * plane;
        for (int64_t c = 0; c < x->dim[1]; c++, y += bins)
            vly_roi_align_f32(&roi, from + c * plane, x->dim[2], x->dim[3], p->out_height,
                              p->out_width, y);
    }
    return VLY_OK;
}

static vly_status roi_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, roi_run_f32, err);
}

const vly_op vly_ops_sampling[] = {
    {.name = "GridSample",
     .since = 16,
     .n_in_min = 2,
     .n_in_max = 2,
     .dtypes = SAMPLE_DTYPES,
     .params_bytes = sizeof(grid_params),
     .prepare = grid_prepare,
     .infer = grid_infer,
     .run = grid_run},
    {.name = "RoiAlign",
     .since = 10,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = SAMPLE_DTYPES,
     .params_bytes = sizeof(roi_params),
     .prepare = roi_prepare,
     .infer = roi_infer,
     .run = roi_run},
    {NULL},
};

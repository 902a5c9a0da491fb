/* SPDX-License-Identifier: MIT */
/* Resize and its predecessor Upsample. */
#include "engine/native/ops/resize.h"
#include "base/bits.h"
#include "dsp/resample.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum aspect_policy { ASPECT_STRETCH, ASPECT_NOT_LARGER, ASPECT_NOT_SMALLER } aspect_policy;

typedef struct resize_params {
    vly_resample_rule rule;
    float extrapolation;
    aspect_policy policy;
    vly_int_list axes;
    int i_roi, i_scales, i_sizes; /* -1: this opset has no such input */
    int n_scales;                 /* Upsample 7: an attribute */
    float scales[VLY_RANK_MAX];
} resize_params;

static vly_status resize_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    resize_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    bool is_old = ctx->opset < 11;
    size_t n;

    /* "bilinear" is what Upsample 1 and some exporters of Upsample 7 wrote */
    int mode = vly_attrs_enum(&a, "mode", "nearest\0linear\0cubic\0bilinear\0", 0);
    p->rule.mode = mode == 3 ? VLY_RESAMPLE_LINEAR : (vly_resample_mode)mode;
    p->rule.coord = (vly_resample_coord)vly_attrs_enum(
        &a, "coordinate_transformation_mode",
        "half_pixel\0half_pixel_symmetric\0pytorch_half_pixel\0align_corners\0asymmetric\0"
        "tf_half_pixel_for_nn\0tf_crop_and_resize\0",
        is_old ? VLY_COORD_ASYMMETRIC : VLY_COORD_HALF_PIXEL);
    p->rule.nearest = (vly_nearest_mode)vly_attrs_enum(
        &a, "nearest_mode", "round_prefer_floor\0round_prefer_ceil\0floor\0ceil\0",
        is_old ? VLY_NEAREST_FLOOR : VLY_NEAREST_ROUND_PREFER_FLOOR);
    p->rule.cubic_a = vly_attrs_float(&a, "cubic_coeff_a", -0.75f);
    p->rule.antialias = vly_attrs_int(&a, "antialias", 0) != 0;
    p->rule.exclude_outside = vly_attrs_int(&a, "exclude_outside", 0) != 0;
    p->extrapolation = vly_attrs_float(&a, "extrapolation_value", 0.0f);
    p->policy = (aspect_policy)vly_attrs_enum(&a, "keep_aspect_ratio_policy",
                                              "stretch\0not_larger\0not_smaller\0", ASPECT_STRETCH);
    p->i_roi = is_old ? -1 : 1;
    p->i_scales = is_old ? 1 : 2;
    p->i_sizes = is_old ? -1 : 3;
    const float *scales = vly_attrs_floats(&a, "scales", &n);
    if (n > VLY_RANK_MAX)
        return vly_fail(err, VLY_EINVAL, "attribute 'scales': %zu values", n);
    for (size_t i = 0; i < n; i++)
        p->scales[i] = scales[i];
    p->n_scales = (int)n;
    vly_status st = vly_attrs_list(&a, "axes", &p->axes, err);
    return st == VLY_OK ? vly_attrs_end(&a, err) : st;
}

typedef struct axis_plan {
    vly_resample_axis axis;
    bool is_identity;
    size_t table_at;
} axis_plan;

typedef struct resize_plan {
    vly_shape out;
    bool is_known;
    int n_active; /* axes that change */
    axis_plan axes[VLY_RANK_MAX];
    size_t temp_at[2], total; /* scratch: tables, then what lies between two axes */
} resize_plan;

/* Input i when it is given and not empty (an empty list stands for none). */
static const vly_tensor *list_input(const vly_op_ctx *ctx, int i)
{
    const vly_tensor *t = i >= 0 ? vly_op_in(ctx, i) : NULL;

    if (t != NULL && t->shape.rank == 1 && t->shape.dim[0] == 0)
        return NULL;
    return t;
}

/* Element `at` of a list input that is checked to have n. */
static vly_status check_list(const vly_op_ctx *ctx, int i, int n, vly_err *err)
{
    const vly_tensor *t = ctx->in[i];

    if (t->shape.rank == 1 && t->shape.dim[0] == n)
        return VLY_OK;
    char text[VLY_SHAPE_TEXT_MAX];
    return vly_fail(err, VLY_EINVAL, "input %d: expected %d values, got shape %s", i, n,
                    vly_shape_text(&t->shape, text));
}

/* The axes that scales, sizes and roi speak of, in their order. */
static vly_status listed_axes(const resize_params *p, int rank, int *axes, int *ret_n, vly_err *err)
{
    bool mask[VLY_RANK_MAX];

    *ret_n = p->axes.is_given ? p->axes.n : rank;
    for (int i = 0; i < rank && !p->axes.is_given; i++)
        axes[i] = i;
    if (!p->axes.is_given)
        return VLY_OK;
    vly_status st = vly_op_axes(&p->axes, rank, mask, err);
    for (int i = 0; i < p->axes.n && st == VLY_OK; i++)
        st = vly_op_axis(p->axes.v[i], rank, &axes[i], err);
    return st;
}

static vly_status set_scale(resize_plan *plan, int axis, double scale, vly_err *err)
{
    if (!(scale > 0.0) || !isfinite(scale))
        return vly_fail(err, VLY_EINVAL, "axis %d: scale %g", axis, scale);
    plan->axes[axis].axis.scale = scale;
    return VLY_OK;
}

static vly_status set_size(resize_plan *plan, int axis, double size, vly_err *err)
{
    if (!(size >= 0.0 && size <= (double)INT32_MAX))
        return vly_fail(err, VLY_EINVAL, "axis %d: output size %g", axis, size);
    plan->out.dim[axis] = plan->axes[axis].axis.n_out = (int64_t)size;
    return VLY_OK;
}

/* Output sizes from scales, in float arithmetic like every other implementation. */
static vly_status sizes_from_scales(const vly_op_ctx *ctx, const int *axes, int n,
                                    resize_plan *plan, vly_err *err)
{
    const resize_params *p = ctx->params;
    const vly_tensor *t = list_input(ctx, p->i_scales);
    const vly_shape *x = &ctx->in[0]->shape;
    vly_status st = VLY_OK;

    if (t != NULL)
        st = check_list(ctx, p->i_scales, n, err);
    else if (p->n_scales != n)
        return vly_fail(err, VLY_EINVAL, "expected either %d scales or %d sizes", n, n);
    for (int i = 0; i < n && st == VLY_OK; i++) {
        float scale = t != NULL ? (float)vly_tensor_get_f64(t, (uint64_t)i) : p->scales[i];
        st = set_scale(plan, axes[i], (double)scale, err);
        if (st == VLY_OK && x->dim[axes[i]] >= 0)
            st = set_size(plan, axes[i], (double)floorf((float)x->dim[axes[i]] * scale), err);
        else
            plan->out.dim[axes[i]] = VLY_DIM_UNKNOWN;
    }
    return st;
}

static vly_status scales_from_sizes(const vly_op_ctx *ctx, const int *axes, int n,
                                    resize_plan *plan, vly_err *err)
{
    const resize_params *p = ctx->params;
    const vly_tensor *t = ctx->in[p->i_sizes];
    const vly_shape *x = &ctx->in[0]->shape;
    vly_status st = check_list(ctx, p->i_sizes, n, err);
    double common = 0.0;

    for (int i = 0; i < n && st == VLY_OK; i++) {
        double size = vly_tensor_get_f64(t, (uint64_t)i), in = (double)x->dim[axes[i]];
        if (in < 0.0 && p->policy != ASPECT_STRETCH)
            return VLY_OK; /* the common scale is not known yet */
        st = set_size(plan, axes[i], size, err);
        if (st != VLY_OK || in <= 0.0)
            continue;
        double scale = size / in;
        plan->axes[axes[i]].axis.scale = scale;
        if (i == 0 || (p->policy == ASPECT_NOT_LARGER ? scale < common : scale > common))
            common = scale;
    }
    for (int i = 0; i < n && st == VLY_OK && p->policy != ASPECT_STRETCH; i++) {
        st = set_scale(plan, axes[i], common, err);
        if (st == VLY_OK)
            st = set_size(plan, axes[i], floor(common * (double)x->dim[axes[i]] + 0.5), err);
    }
    return st;
}

static vly_status read_roi(const vly_op_ctx *ctx, const int *axes, int n, resize_plan *plan,
                           vly_err *err)
{
    const resize_params *p = ctx->params;
    const vly_tensor *roi = list_input(ctx, p->i_roi);

    for (int d = 0; d < ctx->in[0]->shape.rank; d++)
        plan->axes[d].axis.roi_end = 1.0;
    if (p->rule.coord != VLY_COORD_TF_CROP_AND_RESIZE)
        return VLY_OK;
    if (roi == NULL)
        return vly_fail(err, VLY_EINVAL, "tf_crop_and_resize needs a region of interest");
    vly_status st = check_list(ctx, p->i_roi, 2 * n, err);
    for (int i = 0; i < n && st == VLY_OK; i++) {
        plan->axes[axes[i]].axis.roi_begin = vly_tensor_get_f64(roi, (uint64_t)i);
        plan->axes[axes[i]].axis.roi_end = vly_tensor_get_f64(roi, (uint64_t)n + (uint64_t)i);
    }
    return st;
}

/* Scratch: a table for each axis that changes, and up to two tensors between axes. */
static vly_status lay_out(const resize_params *p, size_t elem, resize_plan *plan, vly_err *err)
{
    size_t between = 0, bytes, total = 0;
    vly_shape shape = plan->out;

    for (int d = 0; d < plan->out.rank; d++)
        shape.dim[d] = plan->axes[d].axis.n_in;
    for (int d = 0; d < plan->out.rank; d++) {
        vly_resample_axis *a = &plan->axes[d].axis;
        uint64_t n;
        if (plan->axes[d].is_identity)
            continue;
        a->taps = vly_resample_taps(&p->rule, a->scale);
        plan->n_active++;
        plan->axes[d].table_at = total;
        shape.dim[d] = a->n_out;
        if (a->taps < 0 || !vly_size_mul((size_t)a->n_out * 8, (size_t)a->taps, &bytes) ||
            !vly_shape_count(&shape, &n) || bytes > SIZE_MAX / 64 || n > SIZE_MAX / 64)
            return vly_fail(err, VLY_ELIMIT, "axis %d: scale %g is too extreme", d, a->scale);
        total += vly_align_up(bytes, 64);
        n = vly_align_up((size_t)n * elem, 64);
        between = n > between ? (size_t)n : between;
    }
    plan->temp_at[0] = total;
    plan->temp_at[1] = total + between;
    plan->total = total + (plan->n_active > 2 ? 2 : plan->n_active > 1 ? 1 : 0) * between;
    return VLY_OK;
}

static vly_status resolve(const vly_op_ctx *ctx, resize_plan *ret, vly_err *err)
{
    const resize_params *p = ctx->params;
    const vly_shape *x = &ctx->in[0]->shape;
    const vly_tensor *sizes = list_input(ctx, p->i_sizes), *scales = list_input(ctx, p->i_scales);
    const vly_tensor *given = sizes != NULL ? sizes : scales;
    int axes[VLY_RANK_MAX], n;
    resize_plan plan = {.out = *x};
    vly_status st = listed_axes(p, x->rank, axes, &n, err);

    if (st != VLY_OK)
        return st;
    for (int d = 0; d < x->rank; d++)
        plan.axes[d].axis =
            (vly_resample_axis){.n_in = x->dim[d], .n_out = x->dim[d], .scale = 1.0};
    if (given != NULL && given->data == NULL) {
        for (int i = 0; i < n; i++)
            plan.out.dim[axes[i]] = VLY_DIM_UNKNOWN;
        *ret = plan;
        return VLY_OK;
    }
    st = sizes != NULL ? scales_from_sizes(ctx, axes, n, &plan, err)
                       : sizes_from_scales(ctx, axes, n, &plan, err);
    const vly_tensor *roi = list_input(ctx, p->i_roi);
    plan.is_known =
        vly_shape_known(x) && vly_shape_known(&plan.out) &&
        !(p->rule.coord == VLY_COORD_TF_CROP_AND_RESIZE && roi != NULL && roi->data == NULL);
    if (st == VLY_OK && plan.is_known)
        st = read_roi(ctx, axes, n, &plan, err);
    for (int d = 0; d < x->rank && st == VLY_OK && plan.is_known; d++) {
        const vly_resample_axis *a = &plan.axes[d].axis;
        plan.axes[d].is_identity =
            a->scale == 1.0 && a->n_in == a->n_out && a->roi_begin == 0.0 && a->roi_end == 1.0;
        if (a->n_in == 0 && a->n_out > 0)
            return vly_fail(err, VLY_EINVAL, "axis %d: nothing to resize", d);
    }
    *ret = plan;
    return st;
}

/* Nearest only copies, whatever the type. */
static size_t work_elem_bytes(const vly_op_ctx *ctx)
{
    const resize_params *p = ctx->params;
    return p->rule.mode == VLY_RESAMPLE_NEAREST ? vly_elem_bytes(ctx->in[0]) : sizeof(float);
}

static vly_status resize_infer(vly_op_ctx *ctx, vly_err *err)
{
    const resize_params *p = ctx->params;
    resize_plan plan;
    vly_status st = resolve(ctx, &plan, err);

    if (st == VLY_OK && p->rule.mode != VLY_RESAMPLE_NEAREST)
        st = vly_op_check_dtype(ctx, 0, VLY_T(F32) | VLY_T(F16) | VLY_T(BF16), err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &plan.out);
    if (!plan.is_known)
        return VLY_OK;
    st = lay_out(p, work_elem_bytes(ctx), &plan, err);
    ctx->scratch_bytes = plan.total;
    if (st != VLY_OK || p->rule.mode == VLY_RESAMPLE_NEAREST)
        return st;
    return vly_half_infer(ctx, err);
}

/* map[o]: where position o of an axis comes from. */
static bool nearest_map(const vly_resample_rule *rule, const axis_plan *a, int32_t *map,
                        float *weights)
{
    vly_resample_axis axis = a->axis;

    for (int32_t o = 0; o < axis.n_out; o++)
        map[o] = o;
    if (a->is_identity)
        return true;
    axis.taps = 1;
    axis.index = map;
    axis.weight = weights;
    vly_resample_table(rule, &axis);
    for (int64_t o = 0; o < axis.n_out; o++)
        if (map[o] < 0)
            return false;
    return true;
}

bool vly_resize_nearest_maps(const vly_op_ctx *ctx, int32_t *rows, int32_t *cols, float *weights)
{
    const resize_params *p = ctx->params;
    resize_plan plan;
    vly_err ignored;

    if (p->rule.mode != VLY_RESAMPLE_NEAREST || resolve(ctx, &plan, &ignored) != VLY_OK ||
        !plan.is_known || plan.out.rank != 4 || !plan.axes[0].is_identity ||
        !plan.axes[1].is_identity)
        return false;
    return nearest_map(&p->rule, &plan.axes[2], rows, weights) &&
           nearest_map(&p->rule, &plan.axes[3], cols, weights);
}

typedef struct pass {
    const vly_resample_axis *axis;
    int64_t inner;
    size_t elem;
    bool is_copy;
    float extrapolation;
    const void *extrapolated; /* the same as an element of the tensor's type */
    const char *x;
    char *y;
} pass;

static void resample_slices(void *arg, size_t begin, size_t end)
{
    const pass *j = arg;
    size_t in = (size_t)(j->axis->n_in * j->inner) * j->elem;
    size_t out = (size_t)(j->axis->n_out * j->inner) * j->elem;

    for (size_t i = begin; i < end; i++) {
        const char *x = j->x + i * in;
        char *y = j->y + i * out;
        if (j->is_copy)
            vly_resample_copy(j->axis, j->inner, j->elem, j->extrapolated, x, y);
        else
            vly_resample_f32(j->axis, j->inner, j->extrapolation, (const float *)(const void *)x,
                             (float *)(void *)y);
    }
}

/* Resamples one axis after the other; shape is the tensor's between two passes. */
static void run_passes(vly_op_ctx *ctx, resize_plan *plan, pass *j)
{
    vly_shape shape = ctx->in[0]->shape;
    char *scratch = ctx->scratch;
    int done = 0;

    j->x = ctx->in[0]->data;
    for (int d = 0; d < shape.rank; d++) {
        vly_resample_axis *a = &plan->axes[d].axis;
        if (plan->axes[d].is_identity)
            continue;
        a->index = (int32_t *)(void *)(scratch + plan->axes[d].table_at);
        a->weight = (float *)(void *)(a->index + a->n_out * a->taps);
        vly_resample_table(&((const resize_params *)ctx->params)->rule, a);
        done++;
        j->axis = a;
        j->inner = vly_shape_span(&shape, d + 1, shape.rank);
        j->y = done == plan->n_active ? ctx->out[0].data : scratch + plan->temp_at[(done - 1) % 2];
        vly_op_split(ctx, vly_shape_span(&shape, 0, d), a->n_out * j->inner, resample_slices, j);
        shape.dim[d] = a->n_out;
        j->x = j->y;
    }
}

static vly_status resize_run_any(vly_op_ctx *ctx, vly_err *err)
{
    const resize_params *p = ctx->params;
    resize_plan plan;
    char element[16] = {0};
    vly_status st = resolve(ctx, &plan, err);

    if (st == VLY_OK)
        st = lay_out(p, work_elem_bytes(ctx), &plan, err);
    if (st != VLY_OK)
        return st;
    if (ctx->out[0].bytes == 0)
        return VLY_OK;
    if (plan.n_active == 0) {
        memcpy(ctx->out[0].data, ctx->in[0]->data, ctx->out[0].bytes);
        return VLY_OK;
    }
    pass j = {.elem = work_elem_bytes(ctx),
              .is_copy = p->rule.mode == VLY_RESAMPLE_NEAREST,
              .extrapolation = p->extrapolation,
              .extrapolated = element};
    vly_convert(VLY_DTYPE_F32, &p->extrapolation, ctx->in[0]->dtype, element, 1, true);
    run_passes(ctx, &plan, &j);
    return VLY_OK;
}

static vly_status resize_run(vly_op_ctx *ctx, vly_err *err)
{
    const resize_params *p = ctx->params;

    if (p->rule.mode == VLY_RESAMPLE_NEAREST)
        return resize_run_any(ctx, err);
    return vly_half_run(ctx, resize_run_any, err);
}

#define RESIZE_DTYPES (VLY_T_NUMBER | VLY_T(BOOL))

const vly_op vly_ops_resize[] = {
    {.name = "Resize",
     .since = 10,
     .n_in_min = 1,
     .n_in_max = 4,
     .dtypes = RESIZE_DTYPES,
     .params_bytes = sizeof(resize_params),
     .prepare = resize_prepare,
     .infer = resize_infer,
     .run = resize_run},
    {.name = "Upsample",
     .since = 7,
     .until = 9,
     .n_in_min = 1,
     .n_in_max = 2,
     .dtypes = RESIZE_DTYPES,
     .params_bytes = sizeof(resize_params),
     .prepare = resize_prepare,
     .infer = resize_infer,
     .run = resize_run},
    {NULL},
};

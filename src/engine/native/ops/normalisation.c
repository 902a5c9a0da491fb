/* SPDX-License-Identifier: MIT */
/* BatchNormalization, InstanceNormalization, GroupNormalization, LRN: over channels of [n, c, ...].
 */
#include "dsp/norm.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"

#include <inttypes.h>
#include <math.h>

#define NORM_DTYPES (VLY_T(F32) | VLY_T(F16) | VLY_T(BF16))

typedef struct norm_params {
    float epsilon;
    int64_t groups; /* GroupNormalization */
    bool scale_per_group;
    int64_t size; /* LRN */
    float alpha, beta, bias;
} norm_params;

static vly_status batch_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    norm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->epsilon = vly_attrs_float(&a, "epsilon", 1e-5f);
    if (vly_attrs_int(&a, "training_mode", 0) != 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "training mode is not supported");
    if (vly_attrs_int(&a, "spatial", 1) == 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "attribute 'spatial' of 0 is not supported");
    return vly_attrs_end(&a, err);
}

/* The inputs first..last are vectors with one element for each channel. */
static vly_status check_channel_vectors(const vly_op_ctx *ctx, int first, int last, vly_err *err)
{
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    for (int i = first; i <= last && st == VLY_OK; i++) {
        st = vly_op_check_dtype(ctx, i, NORM_DTYPES, err);
        if (st == VLY_OK)
            st = vly_op_check_vector(ctx, i, ctx->in[0]->shape.dim[1], err);
    }
    return st;
}

static vly_status batch_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = check_channel_vectors(ctx, 1, 4, err);

    if (st != VLY_OK)
        return st;
    for (int i = 1; i < ctx->n_out; i++)
        if (vly_op_wants(ctx, i))
            return vly_fail(err, VLY_EUNSUPPORTED, "training outputs are not supported");
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

typedef struct norm_job {
    const norm_params *p;
    const float *x;
    float *y;
    int64_t channels, plane;
    const float *scale, *bias, *mean, *variance; /* per channel (or group) */
} norm_job;

static norm_job job_of(const vly_op_ctx *ctx)
{
    const vly_shape *s = &ctx->in[0]->shape;
    return (norm_job){.p = ctx->params,
                      .x = ctx->in[0]->data,
                      .y = ctx->out[0].data,
                      .channels = s->dim[1],
                      .plane = vly_shape_span(s, 2, s->rank)};
}

static void batch_planes(void *arg, size_t begin, size_t end)
{
    const norm_job *j = arg;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t c = i % j->channels;
        float inv_std = 1.0f / sqrtf(j->variance[c] + j->p->epsilon);
        vly_affine_f32(j->x + i * j->plane, j->plane, j->mean[c], inv_std, j->scale[c], j->bias[c],
                       j->y + i * j->plane);
    }
}

static vly_status batch_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    norm_job j = job_of(ctx);

    (void)err;
    j.scale = ctx->in[1]->data;
    j.bias = ctx->in[2]->data;
    j.mean = ctx->in[3]->data;
    j.variance = ctx->in[4]->data;
    if (j.plane > 0)
        vly_op_split(ctx, ctx->in[0]->shape.dim[0] * j.channels, j.plane, batch_planes, &j);
    return VLY_OK;
}

static vly_status batch_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, batch_run_f32, err);
}

static vly_status instance_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    norm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->epsilon = vly_attrs_float(&a, "epsilon", 1e-5f);
    return vly_attrs_end(&a, err);
}

static vly_status instance_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = check_channel_vectors(ctx, 1, 2, err);

    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

static float inverse_std(double variance, float epsilon)
{
    return (float)(1.0 / sqrt(variance + (double)epsilon));
}

static void instance_planes(void *arg, size_t begin, size_t end)
{
    const norm_job *j = arg;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        const float *x = j->x + i * j->plane;
        vly_moments m = vly_moments_f32(x, j->plane);
        vly_affine_f32(x, j->plane, (float)m.mean, inverse_std(m.variance, j->p->epsilon),
                       j->scale[i % j->channels], j->bias[i % j->channels], j->y + i * j->plane);
    }
}

static vly_status instance_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    norm_job j = job_of(ctx);

    (void)err;
    j.scale = ctx->in[1]->data;
    j.bias = ctx->in[2]->data;
    if (j.plane > 0)
        vly_op_split(ctx, ctx->in[0]->shape.dim[0] * j.channels, j.plane, instance_planes, &j);
    return VLY_OK;
}

static vly_status instance_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, instance_run_f32, err);
}

static vly_status group_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    norm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->epsilon = vly_attrs_float(&a, "epsilon", 1e-5f);
    p->groups = vly_attrs_int_in(&a, "num_groups", 0, 1, INT32_MAX);
    p->scale_per_group = ctx->opset < 21;
    return vly_attrs_end(&a, err);
}

static vly_status group_infer(vly_op_ctx *ctx, vly_err *err)
{
    const norm_params *p = ctx->params;
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st != VLY_OK)
        return st;
    int64_t channels = ctx->in[0]->shape.dim[1];
    if (channels >= 0 && channels % p->groups != 0)
        return vly_fail(err, VLY_EINVAL,
                        "%" PRId64 " channels cannot be cut into %" PRId64 " groups", channels,
                        p->groups);
    for (int i = 1; i <= 2 && st == VLY_OK; i++) {
        st = vly_op_check_dtype(ctx, i, NORM_DTYPES, err);
        if (st == VLY_OK)
            st = vly_op_check_vector(ctx, i, p->scale_per_group ? p->groups : channels, err);
    }
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

/* Groups begin..end of all pictures. */
static void group_slices(void *arg, size_t begin, size_t end)
{
    const norm_job *j = arg;
    int64_t per_group = j->channels / j->p->groups;

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t group = i % j->p->groups, at = i * per_group * j->plane;
        vly_moments m = vly_moments_f32(j->x + at, per_group * j->plane);
        float inv_std = inverse_std(m.variance, j->p->epsilon);
        for (int64_t c = 0; c < per_group; c++, at += j->plane) {
            int64_t s = j->p->scale_per_group ? group : group * per_group + c;
            vly_affine_f32(j->x + at, j->plane, (float)m.mean, inv_std, j->scale[s], j->bias[s],
                           j->y + at);
        }
    }
}

static vly_status group_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    norm_job j = job_of(ctx);

    (void)err;
    j.scale = ctx->in[1]->data;
    j.bias = ctx->in[2]->data;
    if (vly_tensor_count(ctx->in[0]) > 0)
        vly_op_split(ctx, ctx->in[0]->shape.dim[0] * j.p->groups,
                     j.channels / j.p->groups * j.plane, group_slices, &j);
    return VLY_OK;
}

static vly_status group_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, group_run_f32, err);
}

static vly_status lrn_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    norm_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->size = vly_attrs_int_in(&a, "size", 0, 1, INT32_MAX);
    p->alpha = vly_attrs_float(&a, "alpha", 1e-4f);
    p->beta = vly_attrs_float(&a, "beta", 0.75f);
    p->bias = vly_attrs_float(&a, "bias", 1.0f);
    return vly_attrs_end(&a, err);
}

static vly_status lrn_infer(vly_op_ctx *ctx, vly_err *err)
{
    vly_status st = vly_op_check_rank(ctx, 0, 2, VLY_RANK_MAX, err);

    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &ctx->in[0]->shape);
    return vly_half_infer(ctx, err);
}

static void lrn_channels(void *arg, size_t begin, size_t end)
{
    const norm_job *j = arg;
    vly_lrn lrn = {j->channels, j->plane, j->p->size, j->p->alpha, j->p->beta, j->p->bias};

    for (int64_t i = (int64_t)begin; i < (int64_t)end; i++) {
        int64_t c = i % j->channels, picture = (i - c) * j->plane;
        vly_lrn_f32(&lrn, j->x + picture, c, c + 1, j->y + picture);
    }
}

static vly_status lrn_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    norm_job j = job_of(ctx);

    (void)err;
    if (j.plane > 0)
        vly_op_split(ctx, ctx->in[0]->shape.dim[0] * j.channels, 16 * j.plane, lrn_channels, &j);
    return VLY_OK;
}

static vly_status lrn_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, lrn_run_f32, err);
}

const vly_op vly_ops_normalisation[] = {
    {.name = "BatchNormalization",
     .since = 1,
     .n_in_min = 5,
     .n_in_max = 5,
     .n_out_max = 5,
     .dtypes = NORM_DTYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(norm_params),
     .prepare = batch_prepare,
     .infer = batch_infer,
     .run = batch_run},
    {.name = "InstanceNormalization",
     .since = 1,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = NORM_DTYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(norm_params),
     .prepare = instance_prepare,
     .infer = instance_infer,
     .run = instance_run},
    {.name = "GroupNormalization",
     .since = 18,
     .n_in_min = 3,
     .n_in_max = 3,
     .dtypes = NORM_DTYPES,
     .flags = VLY_OP_INPLACE,
     .params_bytes = sizeof(norm_params),
     .prepare = group_prepare,
     .infer = group_infer,
     .run = group_run},
    {.name = "LRN",
     .since = 1,
     .n_in_min = 1,
     .n_in_max = 1,
     .dtypes = NORM_DTYPES,
     .params_bytes = sizeof(norm_params),
     .prepare = lrn_prepare,
     .infer = lrn_infer,
     .run = lrn_run},
    {NULL},
};

/* SPDX-License-Identifier: MIT */
/* NonMaxSuppression: per batch and class, by the kernel that the decoders use too. */
#include "dsp/nms.h"
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"

#include <math.h>

typedef struct nms_params {
    bool is_centered; /* boxes are x_center, y_center, width, height; else two corners, any two */
} nms_params;

static vly_status nms_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    nms_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_centered = vly_attrs_int_in(&a, "center_point_box", 0, 0, 1) == 1;
    return vly_attrs_end(&a, err);
}

/* What one run works on. The scratch memory holds the candidates of one class (their boxes, scores,
 * indices, order and survivors) and the indices kept in every class. */
typedef struct nms_job {
    int64_t n_batches, n_classes, n_boxes;
    size_t max_keep;
    float iou_threshold, score_threshold;
    float *boxes, *scores;        /* [n_boxes][4], [n_boxes] */
    uint32_t *idx, *order, *keep; /* [n_boxes] */
    uint32_t *kept;               /* [n_batches * n_classes][n_boxes] */
    size_t *n_kept;               /* [n_batches * n_classes] */
} nms_job;

static vly_status nms_infer(vly_op_ctx *ctx, vly_err *err)
{
    const vly_shape *b = &ctx->in[0]->shape, *s = &ctx->in[1]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 3, err);
    size_t n_classes, bytes;

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, 3, 3, err);
    if (st == VLY_OK)
        st = vly_op_check_dtype(ctx, 1, VLY_T(F32), err);
    if (st != VLY_OK)
        return st;
    if (b->dim[2] != 4 || b->dim[0] != s->dim[0] || b->dim[1] != s->dim[2] || b->dim[1] > INT32_MAX)
        return vly_fail(err, VLY_EINVAL,
                        "expected boxes [batch, n, 4] and scores [batch, classes, n]");
    for (int i = 2; i < 5; i++) {
        vly_dtype want = i == 2 ? VLY_DTYPE_I64 : VLY_DTYPE_F32;
        if (vly_op_in(ctx, i) != NULL &&
            (ctx->in[i]->dtype != want || vly_tensor_count(ctx->in[i]) != 1))
            return vly_fail(err, VLY_EINVAL, "input %d: expected one %s", i, vly_dtype_name(want));
    }
    if (!vly_size_mul((size_t)s->dim[0], (size_t)s->dim[1], &n_classes) ||
        !vly_size_add(n_classes, 8, &bytes) ||
        !vly_size_mul(bytes, (size_t)b->dim[1] * sizeof(uint32_t), &bytes) ||
        !vly_size_mul(n_classes, sizeof(size_t), &n_classes) ||
        !vly_size_add(bytes, n_classes, &ctx->scratch_bytes))
        return vly_fail(err, VLY_ELIMIT, "too many boxes and classes");
    vly_op_out_set(ctx, 0, VLY_DTYPE_I64, &VLY_SHAPE(VLY_DIM_UNKNOWN, 3));
    return VLY_OK;
}

static nms_job job_of(const vly_op_ctx *ctx)
{
    const vly_shape *s = &ctx->in[1]->shape;
    const vly_tensor *max = vly_op_in(ctx, 2), *iou = vly_op_in(ctx, 3), *score = vly_op_in(ctx, 4);
    nms_job j = {.n_batches = s->dim[0], .n_classes = s->dim[1], .n_boxes = s->dim[2]};
    int64_t max_keep = max != NULL ? *(const int64_t *)max->data : 0;

    j.max_keep = max_keep > 0 ? (size_t)max_keep : 0;
    if (j.max_keep > (size_t)j.n_boxes)
        j.max_keep = (size_t)j.n_boxes;
    j.iou_threshold = iou != NULL ? *(const float *)iou->data : 0.0F;
    j.score_threshold = score != NULL ? *(const float *)score->data : -INFINITY;
    j.n_kept = ctx->scratch;
    j.boxes = (float *)(void *)(j.n_kept + j.n_batches * j.n_classes);
    j.scores = j.boxes + 4 * j.n_boxes;
    j.idx = (uint32_t *)(void *)(j.scores + j.n_boxes);
    j.order = j.idx + j.n_boxes;
    j.keep = j.order + j.n_boxes;
    j.kept = j.keep + j.n_boxes;
    return j;
}

static void to_corners(const float *b, bool is_centered, float *out)
{
    if (is_centered) {
        float half_w = b[2] / 2.0F, half_h = b[3] / 2.0F;
        memcpy(out, (float[4]){b[0] - half_w, b[1] - half_h, b[0] + half_w, b[1] + half_h},
               4 * sizeof(float));
        return;
    }
    for (int k = 0; k < 2; k++) {
        out[k] = b[k] < b[k + 2] ? b[k] : b[k + 2];
        out[k + 2] = b[k] < b[k + 2] ? b[k + 2] : b[k];
    }
}

/* Candidates are finite boxes with a score above the threshold. */
static size_t collect(const nms_job *j, const float *boxes, const float *scores, bool is_centered)
{
    size_t n = 0;

    for (int64_t i = 0; i < j->n_boxes; i++) {
        float *to = j->boxes + 4 * n;
        to_corners(boxes + 4 * i, is_centered, to);
        bool is_finite = isfinite(to[0]) && isfinite(to[1]) && isfinite(to[2]) && isfinite(to[3]);
        if (!is_finite || !isfinite(scores[i]) || !(scores[i] > j->score_threshold))
            continue;
        j->scores[n] = scores[i];
        j->idx[n++] = (uint32_t)i;
    }
    return n;
}

static vly_status nms_run(vly_op_ctx *ctx, vly_err *err)
{
    const nms_params *p = ctx->params;
    const float *boxes = ctx->in[0]->data, *scores = ctx->in[1]->data;
    nms_job j = job_of(ctx);
    int64_t n_lists = j.n_batches * j.n_classes, total = 0;

    for (int64_t c = 0; c < n_lists; c++) {
        size_t n = collect(&j, boxes + c / j.n_classes * j.n_boxes * 4, scores + c * j.n_boxes,
                           p->is_centered);
        j.n_kept[c] = vly_nms(&(vly_nms_args){.boxes = j.boxes,
                                              .scores = j.scores,
                                              .n = n,
                                              .iou_threshold = j.iou_threshold,
                                              .max_visit = n,
                                              .max_keep = j.max_keep},
                              j.order, j.keep);
        for (size_t i = 0; i < j.n_kept[c]; i++)
            j.kept[c * j.n_boxes + (int64_t)i] = j.idx[j.keep[i]];
        total += (int64_t)j.n_kept[c];
    }
    vly_status st = vly_op_out_alloc(ctx, 0, &VLY_SHAPE(total, 3), err);
    if (st != VLY_OK)
        return st;
    int64_t *out = ctx->out[0].data;
    for (int64_t c = 0; c < n_lists; c++) {
        for (size_t i = 0; i < j.n_kept[c]; i++, out += 3) {
            out[0] = c / j.n_classes;
            out[1] = c % j.n_classes;
            out[2] = j.kept[c * j.n_boxes + (int64_t)i];
        }
    }
    return VLY_OK;
}

const vly_op vly_ops_nms[] = {
    {.name = "NonMaxSuppression",
     .since = 10,
     .n_in_min = 2,
     .n_in_max = 5,
     .dtypes = VLY_T(F32),
     .params_bytes = sizeof(nms_params),
     .prepare = nms_prepare,
     .infer = nms_infer,
     .run = nms_run},
    {NULL},
};

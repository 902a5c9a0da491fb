/* SPDX-License-Identifier: MIT */
/*
 * What several models say of one picture, made into one answer.
 *
 * Boxes: weighted box fusion (Solovyev, Wang, Gabruseva 2021, https://arxiv.org/abs/1910.13302).
 * By falling score (times its model's weight) each box joins the fused box of its class that it
 * overlaps most, when that is more than iou_threshold, or begins one. A fused box is the mean of
 * its boxes weighted by their scores, so that all of them improve it, where suppression keeps one
 * and drops the rest. Its score is the mean of theirs, lowered when fewer models than there are saw
 * it (vly_fusion_conf).
 *
 * Classes: the weighted mean of the models' scores.
 *
 * Boxes with a value that is not finite, without area, or below skip_box_threshold are left out.
 * Units: any that the members share; boxes are x1, y1, x2, y2. Thread: any; nothing is kept.
 */
#ifndef VLY_TASKS_BOX_FUSION_H
#define VLY_TASKS_BOX_FUSION_H

#include "base/arena.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

#define VLY_FUSION_MEMBERS_MAX 64
#define VLY_FUSION_BOXES_MAX   10000 /* the best so many are fused, which bounds the time */

/* The score of a fused box. W: the sum of all weights, N: of members, T: of its boxes. */
#define VLY_FUSION_CONF_MAP(X)                                                                     \
    X(AVG, "avg") /* mean of the weighted scores, times min(T, N) / W */                           \
    X(MAX, "max") /* the highest weighted score, over the highest weight */                        \
    /* weighted mean of the scores, times the weights of the models that saw it / W */             \
    X(BOX_AND_MODEL_AVG, "box_and_model_avg")                                                      \
    /* weighted mean of the scores, models that did not see it counting as 0 */                    \
    X(ABSENT_MODEL_AWARE_AVG, "absent_model_aware_avg")

typedef enum vly_fusion_conf {
#define VLY_FUSION_CONF_ENUM(name, text) VLY_FUSION_CONF_##name,
    VLY_FUSION_CONF_MAP(VLY_FUSION_CONF_ENUM)
#undef VLY_FUSION_CONF_ENUM
} vly_fusion_conf;

/* EINVAL names the choices. */
vly_status vly_fusion_conf_parse(vly_str text, vly_fusion_conf *ret, vly_err *err) VLY_MUST_CHECK;

typedef struct vly_fusion_opts {
    vly_fusion_conf conf;
    float iou_threshold;
    float skip_box_threshold;
} vly_fusion_opts;

#define VLY_FUSION_OPTS_INIT                                                                       \
    {                                                                                              \
        .conf = VLY_FUSION_CONF_AVG, .iou_threshold = 0.55f                                        \
    }

/* What one model saw. */
typedef struct vly_fusion_member {
    const float *boxes; /* [n][4] */
    const float *scores;
    const int32_t *labels;
    size_t n;
    float weight; /* > 0 */
} vly_fusion_member;

typedef struct vly_fused_box {
    float box[4];
    float score;
    int32_t label;
} vly_fused_box;

/* *ret: [*ret_n] in arena, by falling score; of equal ones the first to begin comes first.
 * n_members: 1 to VLY_FUSION_MEMBERS_MAX (asserted). ELIMIT, ENOMEM: the arena. */
vly_status vly_fuse_boxes(const vly_fusion_member *members, size_t n_members,
                          const vly_fusion_opts *opts, vly_arena *arena, vly_fused_box **ret,
                          size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

/* ret[i] = sum of weights[m] * scores[m][i] / sum of weights, i < n. n_members >= 1, weights > 0.
 */
void vly_vote(const float *const *scores, const float *weights, size_t n_members, size_t n,
              float *ret);

#endif

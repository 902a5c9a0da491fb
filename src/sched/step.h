/* SPDX-License-Identifier: MIT */
/*
 * Built-in steps: models without a file, for ensembles. config.pbtxt says backend "volley" and, in
 * its parameters, which `step`:
 *
 *   box_fusion  weighted box fusion of several detectors (tasks/box_fusion.h), no batches.
 *               inputs boxes_0 FP32 [-1, 4], scores_0 FP32 [-1], labels_0 INT32 [-1], boxes_1, ...;
 *               outputs boxes, scores, labels of the same types
 *               parameters weights "2,1" (one for each detector; or `members`, a number),
 *               iou_threshold (0.55), skip_box_threshold (0), conf_type (avg)
 *   vote        weighted mean of class scores. inputs scores_0, scores_1, ... FP32 of equal shapes;
 *               output scores. parameters weights, or members
 *
 * Lives in the arena of its servable; immutable, thread: any.
 */
#ifndef VLY_SCHED_STEP_H
#define VLY_SCHED_STEP_H

#include "base/arena.h"
#include "codec/triton_config.h"
#include "engine/model.h"
#include "tasks/box_fusion.h"

typedef struct vly_step vly_step;

typedef struct vly_step_kind {
    const char *name;
    vly_status (*describe)(vly_step *s, vly_arena *arena, vly_err *err);
    /* outputs: new references. */
    vly_status (*run)(const vly_step *s, const vly_tensor *inputs, vly_tensor *outputs,
                      vly_err *err);
} vly_step_kind;

struct vly_step {
    const vly_step_kind *kind;
    vly_model_info info;
    size_t n_members;
    float weights[VLY_FUSION_MEMBERS_MAX];
    vly_fusion_opts fusion;
};

/* Is this the configuration of a built-in step? NULL is not. */
bool vly_step_is(const vly_triton_config *config);
/* EINVAL names the parameter; ENOMEM. */
vly_status vly_step_make(const char *name, const vly_triton_config *config, vly_arena *arena,
                         const vly_step **ret, vly_err *err) VLY_MUST_CHECK;
/* inputs: [n_inputs], any; EINVAL names what does not fit. outputs: [n_outputs], for the caller to
 * release. ELIMIT, ENOMEM. */
vly_status vly_step_run(const vly_step *s, const vly_tensor *inputs, vly_tensor *outputs,
                        vly_err *err) VLY_MUST_CHECK;

#endif

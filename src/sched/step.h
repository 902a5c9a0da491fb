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
 *   picture     an encoded picture as the input of a net: decoded, resized, padded, normalised
 *               (prep/image/letterbox.h), no batches. input picture BYTES [1]; outputs tensor FP32
 *               [1, 3, height, width], map FP32 [4]: scale_x, scale_y, pad_x, pad_y, with which a
 *               point of the picture is at x * scale_x + pad_x, y * scale_y + pad_y
 *               parameters width, height; fit (letterbox, top_left, stretch or cover; letterbox),
 *               channels (rgb or bgr; rgb), scale (255: samples are divided by it; or 1; 255), mean
 *               "0,0,0" and std "1,1,1" of what is left, pad (114)
 *   vote        weighted mean of class scores. inputs scores_0, scores_1, ... FP32 of equal shapes;
 *               output scores. parameters weights, or members
 *
 * Lives in the arena of its servable; immutable, thread: any.
 */
#ifndef VLY_SCHED_STEP_H
#define VLY_SCHED_STEP_H

#include "base/arena.h"
#include "codec/picture.h"
#include "codec/triton_config.h"
#include "engine/model.h"
#include "prep/image/letterbox.h"
#include "tasks/box_fusion.h"

typedef struct vly_step vly_step;

typedef struct vly_step_kind {
    const char *name;
    vly_status (*describe)(vly_step *s, vly_arena *arena, vly_err *err);
    /* Reads its own parameters; NULL: those of several members. */
    vly_status (*configure)(vly_step *s, const vly_triton_config *config, vly_err *err);
    /* outputs: new references. */
    vly_status (*run)(const vly_step *s, const vly_picture_limits *limits, const vly_tensor *inputs,
                      vly_tensor *outputs, vly_err *err);
} vly_step_kind;

extern const vly_step_kind vly_step_picture;

struct vly_step {
    const vly_step_kind *kind;
    vly_model_info info;
    size_t n_members;
    float weights[VLY_FUSION_MEMBERS_MAX];
    vly_fusion_opts fusion;
    vly_letterbox_opts prep; /* of a picture */
    uint32_t width, height;
};

/* Is this the configuration of a built-in step? NULL is not. */
bool vly_step_is(const vly_triton_config *config);
/* EINVAL names the parameter; ENOMEM. */
vly_status vly_step_make(const char *name, const vly_triton_config *config, vly_arena *arena,
                         const vly_step **ret, vly_err *err) VLY_MUST_CHECK;
/* limits: of pictures. inputs: [n_inputs], any; EINVAL names what does not fit. outputs:
 * [n_outputs], for the caller to release. ELIMIT, ENOMEM. */
vly_status vly_step_run(const vly_step *s, const vly_picture_limits *limits,
                        const vly_tensor *inputs, vly_tensor *outputs, vly_err *err) VLY_MUST_CHECK;

/* ---- for kinds ---- */

/* An input or output whose name lives in arena: name by itself with member SIZE_MAX, else with "_3"
 * behind it. */
vly_status vly_step__set_io(vly_model_io *io, const char *name, size_t member, vly_dtype dtype,
                            vly_shape shape, vly_arena *arena, vly_err *err) VLY_MUST_CHECK;
vly_status vly_step__fail_param(vly_err *err, const char *key, const char *want, vly_str got);

#endif

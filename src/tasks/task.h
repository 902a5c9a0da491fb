/* SPDX-License-Identifier: MIT */
/*
 * Tasks: how a model's output tensors become observations.
 *
 * A task is one row of tasks/task_list.h: match() looks at the model's description and says how
 * well it fits, decode() reads the outputs of one picture. vly_decoder_init picks the best match
 * (or the task the configuration names) and keeps all that a run needs: parameters, class names,
 * preparation.
 *
 *   vly_decoder d;
 *   vly_decoder_init(&d, vly_model_describe(m), NULL, &model_arena, &err)      once per model
 *   vly_letterbox_run(.., &d.prep, d.input_width, d.input_height, .., &map, ..)
 *   vly_instance_run(.., outputs, ..)
 *   vly_decoder_run(&d, &(vly_decode_args){.outputs = outputs, ..}, &observations, &err)
 *
 * Thread: a decoder is immutable after init, any number of threads may run it.
 */
#ifndef VLY_TASKS_TASK_H
#define VLY_TASKS_TASK_H

#include "base/arena.h"
#include "base/status.h"
#include "engine/model.h"
#include "prep/image/letterbox.h"
#include "tasks/labels.h"
#include "tasks/observation.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which detections an answer holds. All thresholds are 0..1. */
typedef struct vly_detector_options {
    float conf_threshold;    /* a detection's confidence is above it; default 0.25 */
    float iou_threshold;     /* of two boxes of a class with more overlap one goes; default 0.45 */
    uint32_t max_detections; /* per picture; default 300, at most 30000 */
    uint32_t max_classes;    /* of a classification; default 5 */
    bool is_multi_label;     /* a box counts for each class above the threshold, not the best only:
                                what accuracy is measured with; default false */
    bool is_class_agnostic;  /* suppression ignores classes; default false */
    const int32_t *classes;  /* only these (borrowed); NULL: all */
    size_t n_classes;
} vly_detector_options;

#define VLY_DETECTOR_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .conf_threshold = 0.25f, .iou_threshold = 0.45f, .max_detections = 300, .max_classes = 5   \
    }

/* Suppression looks at the best so many boxes of a picture, which bounds its time. */
#define VLY_NMS_CANDIDATES_MAX 30000

/* EINVAL names the option outside its range. decode expects checked options. */
vly_status vly_detector_options_check(const vly_detector_options *o, vly_err *err) VLY_MUST_CHECK;

#define VLY_TASK_OUTPUTS_MAX 16

/* What match() reads out of a model, and what the configuration may set. */
typedef struct vly_task_params {
    int64_t n_classes;
    int64_t n_keypoints;
    int64_t n_keypoint_values; /* 2: x, y; 3: x, y, confidence */
    int64_t n_mask_values;     /* coefficients of a mask */
    bool is_channel_first;     /* [N, values, rows] instead of [N, rows, values] */
    /* Place, in the model's outputs, of each tensor the task wants, in the task's own order. */
    uint8_t output_idx[VLY_TASK_OUTPUTS_MAX];
} vly_task_params;

/* What the configuration knows better than the model; zeroes: find out. */
typedef struct vly_task_config {
    vly_str task; /* name in the registry */
    int64_t n_classes;
    int64_t n_keypoints;
    uint32_t input_width; /* for models with a free input size: default 640 x 640 */
    uint32_t input_height;
    const vly_labels *labels;       /* borrowed as long as the decoder lives */
    const vly_letterbox_opts *prep; /* copied */
} vly_task_config;

typedef struct vly_task vly_task; /* tasks/decoder.h */

typedef struct vly_decoder {
    const vly_task *task;
    const char *name; /* of the task: "yolov8-detect" */
    vly_task_kind kind;
    vly_task_params params;
    vly_labels labels;
    vly_letterbox_opts prep;
    uint32_t input_width; /* of the input tensor, which is [N, input_channels, height, width] */
    uint32_t input_height;
    uint32_t input_channels; /* 3, or 1 for a grey classifier; 0: the model takes no picture */
} vly_decoder;

/*
 * Finds or checks the task of a model. A model that nothing fits gets the task "tensor", whose kind
 * is VLY_TASK_TENSOR. config may be NULL. arena: class names are kept there; it outlives *ret,
 * which also borrows the model's description. Class names in the metadata that cannot be read count
 * as absent: "names" may mean anything in a model from elsewhere.
 * EINVAL: the configured task is unknown, or the model does not fit it; ENOMEM.
 */
vly_status vly_decoder_init(vly_decoder *ret, const vly_model_info *model,
                            const vly_task_config *config, vly_arena *arena,
                            vly_err *err) VLY_MUST_CHECK;

typedef struct vly_decode_args {
    const vly_tensor *outputs; /* of one run, in the model's order */
    size_t n_outputs;
    size_t item;                  /* which picture of the batch */
    const vly_letterbox_map *map; /* of that picture */
    const vly_detector_options *opts;
    vly_arena *arena; /* takes the observations and the scratch memory */
} vly_decode_args;

/*
 * Observations of one picture. Outputs may hold any value: rows with a number that is not finite
 * are left out. EINVAL: an output's shape or dtype is not what the task expects, or item is outside
 * the batch; EUNSUPPORTED: the task is "tensor"; ELIMIT: the arena's budget is too small.
 */
vly_status vly_decoder_run(const vly_decoder *d, const vly_decode_args *args, vly_observations *ret,
                           vly_err *err) VLY_MUST_CHECK;

/* Names of all tasks, in the order they are tried, for help texts; NULL at the end. */
const char *vly_task_name(size_t idx);
const char *vly_task_kind_name(vly_task_kind kind); /* "detect" */

#endif

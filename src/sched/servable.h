/* SPDX-License-Identifier: MIT */
/*
 * Servable: a loaded model together with what it takes to answer with it: name, version, task,
 * picture preparation and class names. Immutable after open, shared by threads, refcounted.
 *
 * Clients see `info`. A run of the model takes and gives the tensors of `run_info`, which differ
 * where a runner (sched/runner.h) stands between the two: the sequence batcher fills state and
 * control tensors that clients do not send. What has no file, an ensemble or a built-in step, has
 * no model either, and is described by its configuration.
 */
#ifndef VLY_SCHED_SERVABLE_H
#define VLY_SCHED_SERVABLE_H

#include "base/status.h"
#include "codec/triton_config.h"
#include "engine/model.h"
#include "tasks/task.h"

#include <stddef.h>

typedef struct vly_servable {
    const char *name;
    const char *version;                      /* "1" */
    const char *path;                         /* of the .onnx file; NULL: there is none */
    vly_model *model;                         /* NULL: an ensemble, or a built-in step */
    const vly_model_info *info;               /* inputs and outputs as clients see them */
    const vly_model_info *run_info;           /* those of one run; often the same */
    vly_decoder decoder;                      /* kind VLY_TASK_TENSOR when no task fits */
    const vly_triton_config *config;          /* completed from the model (sched/model_config.h) */
    vly_str config_text;                      /* what config was read from; empty: there was none */
    const struct vly_sequence_plan *sequence; /* NULL: it keeps no state for clients */
    const struct vly_ensemble_plan *ensemble; /* NULL: it is no ensemble */
    const struct vly_step *step;              /* NULL: it is no built-in step */
} vly_servable;

/* What open needs to know; strings are copied. */
typedef struct vly_servable_spec {
    const char *path;    /* .onnx file; NULL: an ensemble or a built-in step, which have a name
                            and a configuration */
    const char *name;    /* NULL: the file's base name without ".onnx" */
    const char *version; /* NULL: "1" */
    const char *task;    /* overrides what the model's metadata and shapes say; NULL: find out */
    const char *config_path; /* config.pbtxt; its parameter "task" counts like task; NULL: none */
    const char *config_json; /* a configuration that stands in for config_path's; NULL: none */
    vly_model_options options;
} vly_servable_spec;

/* Errors: as vly_model_load, vly_decoder_init and vly_triton_config_parse. */
vly_status vly_servable_open(const vly_servable_spec *spec, vly_servable **ret,
                             vly_err *err) VLY_MUST_CHECK;
/* For what belongs to s and is made before others see it. */
vly_arena *vly_servable_arena(vly_servable *s);
vly_servable *vly_servable_ref(vly_servable *s);
void vly_servable_unref(vly_servable *s); /* accepts NULL */

#endif

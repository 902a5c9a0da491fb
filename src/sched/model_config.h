/* SPDX-License-Identifier: MIT */
/*
 * The configuration of a model, completed from the model, as Triton's ONNX Runtime backend does it:
 * what is not given is filled in, what is given must fit. So each servable has a whole one.
 *
 * Rules where nothing is given: max_batch_size is 4, and dynamic_batching on, when the first
 * dimension of every input and output is open, unless the configuration lists both inputs and
 * outputs; version_policy is the latest one. Of a tensor that is listed, data type and dims may be
 * missing. Errors are EINVAL in Triton's words.
 */
#ifndef VLY_SCHED_MODEL_CONFIG_H
#define VLY_SCHED_MODEL_CONFIG_H

#include "base/arena.h"
#include "codec/triton_config.h"
#include "engine/model.h"

#define VLY_ONNX_PLATFORM "onnxruntime_onnx"
#define VLY_ONNX_BACKEND  "onnxruntime"

/* What does not depend on which inputs clients see. given: NULL: none; run: what the engine takes.
 * The result lives in arena and borrows from given and name. */
vly_status vly_model_config_start(const vly_triton_config *given, const char *name,
                                  const char *path, const vly_model_info *run, vly_arena *arena,
                                  vly_triton_config **ret, vly_err *err) VLY_MUST_CHECK;
/* Of what has no file: an ensemble, or a built-in step. */
vly_status vly_model_config_plain(const vly_triton_config *given, const char *name,
                                  vly_arena *arena, vly_triton_config **ret,
                                  vly_err *err) VLY_MUST_CHECK;
/* Inputs and outputs, as clients see them. */
vly_status vly_model_config_finish(vly_triton_config *c, const vly_model_info *info,
                                   vly_arena *arena, vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Triton's model configuration (config.pbtxt, message inference.ModelConfig): the fields that
 * Volley acts on as a struct, the rest as a tree.
 *
 * What ModelConfig has and the struct has not can be found through `root`. What ModelConfig has not
 * is listed in `unknown`, so that a typing error does not pass in silence. A value of the wrong
 * kind, or out of range, is an error with "line:column: ".
 *
 * Owns nothing: lives in the caller's arena, like vly_pbtxt, and borrows the text.
 * Thread: any; immutable. Errors: those of vly_pbtxt_parse.
 */
#ifndef VLY_CODEC_TRITON_CONFIG_H
#define VLY_CODEC_TRITON_CONFIG_H

#include "codec/pbtxt.h"

#include <stddef.h>

typedef enum vly_triton_format {
    VLY_TRITON_FORMAT_NONE,
    VLY_TRITON_FORMAT_NHWC,
    VLY_TRITON_FORMAT_NCHW,
} vly_triton_format;

typedef struct vly_triton_io {
    vly_str name;
    vly_str datatype; /* KServe's name for it: "FP32", "BYTES"; empty: not given */
    size_t n_dims;
    const int64_t *dims; /* without the batch dimension when max_batch_size > 0; -1: any */
    bool has_reshape;
    size_t n_reshape;
    const int64_t *reshape;
    vly_triton_format format; /* inputs */
    bool is_optional;         /* inputs */
    vly_str label_filename;   /* outputs */
} vly_triton_io;

typedef enum vly_triton_kind {
    VLY_TRITON_KIND_AUTO,
    VLY_TRITON_KIND_GPU,
    VLY_TRITON_KIND_CPU,
    VLY_TRITON_KIND_MODEL,
} vly_triton_kind;

typedef struct vly_triton_instance_group {
    vly_str name;
    vly_triton_kind kind;
    int64_t count; /* 0: not given */
    size_t n_gpus;
    const int64_t *gpus;
} vly_triton_instance_group;

typedef enum vly_triton_policy {
    VLY_TRITON_POLICY_LATEST,
    VLY_TRITON_POLICY_ALL,
    VLY_TRITON_POLICY_SPECIFIC,
} vly_triton_policy;

typedef struct vly_triton_param {
    vly_str key, value;
} vly_triton_param;

typedef struct vly_triton_config {
    vly_str name, platform, backend, default_model_filename;
    int64_t max_batch_size; /* 0: the model does not batch */
    bool has_max_batch_size;
    size_t n_inputs, n_outputs, n_instance_groups, n_params;
    const vly_triton_io *inputs;
    const vly_triton_io *outputs;
    const vly_triton_instance_group *instance_groups;
    const vly_triton_param *params; /* parameters: key -> string_value */
    vly_triton_policy policy;       /* of versions; not given: the latest one */
    int64_t n_latest;               /* LATEST: how many */
    size_t n_versions;
    const int64_t *versions; /* SPECIFIC */
    /* Subtrees that are not read here; NULL: not given. */
    const vly_pbtxt *dynamic_batching;
    const vly_pbtxt *sequence_batching;
    const vly_pbtxt *ensemble_scheduling;
    const vly_pbtxt *response_cache;
    const vly_pbtxt *root;
    /* Field names that ModelConfig does not have, with the path to them: "input.nmae". */
    size_t n_unknown;
    const vly_str *unknown;
} vly_triton_config;

vly_status vly_triton_config_parse(vly_str text, vly_arena *arena, const vly_triton_config **ret,
                                   vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Triton's model configuration (message inference.ModelConfig): every field of it as a struct.
 *
 * Read from config.pbtxt or from JSON, as protobuf's JSON mapping writes it. A value of the wrong
 * kind, or out of range, is an error with "line:column: " (in JSON with the path to the field).
 * What ModelConfig has not is listed in `unknown`, so that a typing error does not pass in silence;
 * what it has but means nothing to Volley is listed in `ignored`, with the reason.
 *
 * Members have the names of their fields, but for plural, units and is_. A message that was not
 * given is NULL, a list is empty, a scalar 0. Maps are lists of keys and values.
 *
 * Owns nothing: lives in the caller's arena and borrows the text. Thread: any; immutable.
 */
#ifndef VLY_CODEC_TRITON_CONFIG_H
#define VLY_CODEC_TRITON_CONFIG_H

#include "base/arena.h"
#include "base/status.h"
#include "codec/triton_scheduling.h"

/* ---- tensors ---- */

#define VLY_TRITON_ELEMS_MAX 4096 /* of one list or map */

typedef enum vly_triton_format {
    VLY_TRITON_FORMAT_NONE,
    VLY_TRITON_FORMAT_NHWC,
    VLY_TRITON_FORMAT_NCHW,
} vly_triton_format;

typedef struct vly_triton_shape {
    size_t n_dims;
    const int64_t *dims;
} vly_triton_shape;

typedef struct vly_triton_io {
    vly_str name;
    vly_str datatype; /* KServe's name for it: "FP32", "BYTES"; empty: not given */
    size_t n_dims;
    const int64_t *dims; /* without the batch dimension when max_batch_size > 0; -1: any */
    const vly_triton_shape *reshape;
    bool is_shape_tensor;
    bool is_non_linear_format_io;
    vly_triton_format format; /* inputs, as the next two */
    bool allow_ragged_batch;
    bool is_optional;
    vly_str label_filename; /* outputs */
} vly_triton_io;

typedef enum vly_triton_batch_input_kind {
    VLY_TRITON_BATCH_ELEMENT_COUNT,
    VLY_TRITON_BATCH_ACCUMULATED_ELEMENT_COUNT,
    VLY_TRITON_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO,
    VLY_TRITON_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE,
    VLY_TRITON_BATCH_ITEM_SHAPE,
    VLY_TRITON_BATCH_ITEM_SHAPE_FLATTEN,
} vly_triton_batch_input_kind;

typedef struct vly_triton_batch_input {
    vly_triton_batch_input_kind kind;
    size_t n_target_names, n_source_inputs;
    const vly_str *target_names;
    vly_str datatype;
    const vly_str *source_inputs;
} vly_triton_batch_input;

typedef enum vly_triton_batch_output_kind {
    VLY_TRITON_BATCH_SCATTER_WITH_INPUT_SHAPE,
} vly_triton_batch_output_kind;

typedef struct vly_triton_batch_output {
    vly_triton_batch_output_kind kind;
    size_t n_target_names, n_source_inputs;
    const vly_str *target_names;
    const vly_str *source_inputs;
} vly_triton_batch_output;

/* ---- instances ---- */

typedef enum vly_triton_kind {
    VLY_TRITON_KIND_AUTO,
    VLY_TRITON_KIND_GPU,
    VLY_TRITON_KIND_CPU,
    VLY_TRITON_KIND_MODEL,
} vly_triton_kind;

typedef struct vly_triton_resource {
    vly_str name;
    bool is_global; /* one store for all devices; else one for each */
    int64_t count;
} vly_triton_resource;

typedef struct vly_triton_rate_limiter {
    size_t n_resources;
    const vly_triton_resource *resources; /* what one run takes, and gives back */
    int64_t priority;                     /* 2: half the chances of 1; 0 counts as 1 */
} vly_triton_rate_limiter;

typedef struct vly_triton_secondary_device {
    unsigned kind; /* 0: KIND_NVDLA */
    int64_t device_id;
} vly_triton_secondary_device;

typedef struct vly_triton_instance_group {
    vly_str name;
    vly_triton_kind kind;
    int64_t count; /* 0: not given */
    const vly_triton_rate_limiter *rate_limiter;
    size_t n_gpus, n_secondary_devices, n_profiles;
    const int64_t *gpus;
    const vly_triton_secondary_device *secondary_devices;
    const vly_str *profiles;
    bool is_passive; /* takes no requests */
    vly_str host_policy;
} vly_triton_instance_group;

/* ---- versions: one of three; none: the latest ---- */

typedef struct vly_triton_latest {
    int64_t n_versions;
} vly_triton_latest;

typedef struct vly_triton_specific {
    size_t n_versions;
    const int64_t *versions;
} vly_triton_specific;

typedef struct vly_triton_nothing {
    bool unused; /* a message without fields */
} vly_triton_nothing;

typedef struct vly_triton_version_policy {
    const vly_triton_latest *latest;
    const vly_triton_nothing *all;
    const vly_triton_specific *specific;
} vly_triton_version_policy;

/* ---- optimization ---- */

typedef enum vly_triton_priority {
    VLY_TRITON_PRIORITY_DEFAULT,
    VLY_TRITON_PRIORITY_MAX,
    VLY_TRITON_PRIORITY_MIN,
} vly_triton_priority;

typedef struct vly_triton_graph {
    int64_t level;
} vly_triton_graph;

typedef struct vly_triton_graph_input {
    vly_str key;
    vly_triton_shape value;
} vly_triton_graph_input;

typedef struct vly_triton_graph_bound {
    int64_t batch_size;
    size_t n_inputs;
    const vly_triton_graph_input *inputs;
} vly_triton_graph_bound;

typedef struct vly_triton_graph_spec {
    int64_t batch_size;
    size_t n_inputs;
    const vly_triton_graph_input *inputs;
    const vly_triton_graph_bound *graph_lower_bound;
} vly_triton_graph_spec;

typedef struct vly_triton_cuda {
    bool graphs, busy_wait_events, output_copy_stream;
    size_t n_graph_specs;
    const vly_triton_graph_spec *graph_specs;
} vly_triton_cuda;

/* Also a repository agent: both are a name with parameters. */
typedef struct vly_triton_accelerator {
    vly_str name;
    size_t n_params;
    const vly_triton_param *params;
} vly_triton_accelerator;

typedef struct vly_triton_accelerators {
    size_t n_gpu, n_cpu;
    const vly_triton_accelerator *gpu;
    const vly_triton_accelerator *cpu;
} vly_triton_accelerators;

typedef struct vly_triton_switch {
    bool enable;
} vly_triton_switch;

typedef struct vly_triton_optimization {
    const vly_triton_graph *graph;
    vly_triton_priority priority;
    const vly_triton_cuda *cuda;
    const vly_triton_accelerators *execution_accelerators;
    const vly_triton_switch *input_pinned_memory;
    const vly_triton_switch *output_pinned_memory;
    int64_t gather_kernel_buffer_threshold;
    bool eager_batching;
} vly_triton_optimization;

/* ---- the rest ---- */

typedef struct vly_triton_warmup_input {
    vly_str datatype;
    size_t n_dims;
    const int64_t *dims;
    bool zero_data, random_data; /* one of the three */
    vly_str input_data_file;
} vly_triton_warmup_input;

typedef struct vly_triton_warmup_entry {
    vly_str key; /* name of the input */
    vly_triton_warmup_input value;
} vly_triton_warmup_entry;

typedef struct vly_triton_warmup {
    vly_str name;
    int64_t batch_size; /* 0: does not batch */
    int64_t count;      /* 0: once */
    size_t n_inputs;
    const vly_triton_warmup_entry *inputs;
} vly_triton_warmup;

typedef struct vly_triton_operations {
    size_t n_op_library_filenames;
    const vly_str *op_library_filenames;
} vly_triton_operations;

typedef struct vly_triton_transaction_policy {
    bool is_decoupled;
} vly_triton_transaction_policy;

typedef struct vly_triton_agents {
    size_t n_agents;
    const vly_triton_accelerator *agents;
} vly_triton_agents;

typedef struct vly_triton_metric_family {
    vly_str family;
} vly_triton_metric_family;

typedef struct vly_triton_histogram {
    size_t n_buckets;
    const double *buckets;
} vly_triton_histogram;

typedef struct vly_triton_metric_control {
    const vly_triton_metric_family *metric_identifier;
    const vly_triton_histogram *histogram_options;
} vly_triton_metric_control;

typedef struct vly_triton_metrics {
    size_t n_metric_controls;
    const vly_triton_metric_control *metric_controls;
} vly_triton_metrics;

/* ---- the whole ---- */

typedef struct vly_triton_ignored {
    vly_str path; /* "instance_group.host_policy" */
    const char *reason;
} vly_triton_ignored;

typedef struct vly_triton_config {
    vly_str name, platform, backend, runtime, default_model_filename;
    int64_t max_batch_size; /* 0: the model does not batch */
    bool has_max_batch_size;
    size_t n_inputs, n_outputs, n_batch_inputs, n_batch_outputs, n_instance_groups;
    size_t n_cc_model_filenames, n_metric_tags, n_params, n_warmups;
    const vly_triton_version_policy *version_policy;
    const vly_triton_io *inputs;
    const vly_triton_io *outputs;
    const vly_triton_batch_input *batch_inputs;
    const vly_triton_batch_output *batch_outputs;
    const vly_triton_optimization *optimization;
    const vly_triton_dynamic_batching *dynamic_batching; /* at most one of the three */
    const vly_triton_sequence_batching *sequence_batching;
    const vly_triton_ensemble *ensemble_scheduling;
    const vly_triton_instance_group *instance_groups;
    const vly_triton_param *cc_model_filenames;
    const vly_triton_param *metric_tags;
    const vly_triton_param *params; /* parameters: key -> string_value */
    const vly_triton_warmup *warmups;
    const vly_triton_operations *model_operations;
    const vly_triton_transaction_policy *model_transaction_policy;
    const vly_triton_agents *model_repository_agents;
    const vly_triton_switch *response_cache;
    const vly_triton_metrics *model_metrics;
    /* Field names that ModelConfig does not have, with the path to them: "input.nmae". */
    size_t n_unknown;
    const vly_str *unknown;
    size_t n_ignored;
    const vly_triton_ignored *ignored;
} vly_triton_config;

/* Errors: those of vly_pbtxt_parse; EFORMAT; ELIMIT: too long a list. */
vly_status vly_triton_config_parse(vly_str text, vly_arena *arena, const vly_triton_config **ret,
                                   vly_err *err) VLY_MUST_CHECK;

/* The same from JSON; names may also be lowerCamelCase, enumerators in any case. Unlike in text, a
 * member that ModelConfig does not have is an error. EFORMAT, ELIMIT, ENOMEM. */
vly_status vly_triton_config_parse_json(vly_str text, vly_arena *arena,
                                        const vly_triton_config **ret, vly_err *err) VLY_MUST_CHECK;

/* The string value of a parameter; ptr NULL: not given. config may be NULL. */
vly_str vly_triton_config_param(const vly_triton_config *config, const char *key);

#endif

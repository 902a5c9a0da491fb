/* SPDX-License-Identifier: MIT */
/*
 * The part of Triton's model configuration that says how requests become runs: one of dynamic
 * batching, sequence batching and ensemble. Rules: codec/triton_config.h.
 */
#ifndef VLY_CODEC_TRITON_SCHEDULING_H
#define VLY_CODEC_TRITON_SCHEDULING_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An entry of a map of strings. */
typedef struct vly_triton_param {
    vly_str key, value;
} vly_triton_param;

typedef enum vly_triton_timeout_action {
    VLY_TRITON_TIMEOUT_REJECT,
    VLY_TRITON_TIMEOUT_DELAY,
} vly_triton_timeout_action;

typedef struct vly_triton_queue_policy {
    vly_triton_timeout_action timeout_action;
    uint64_t default_timeout_us; /* 0: none */
    bool allow_timeout_override;
    int64_t max_queue_size; /* 0: no bound of its own */
} vly_triton_queue_policy;

typedef struct vly_triton_priority_policy {
    uint64_t key; /* the level, from 1 */
    vly_triton_queue_policy value;
} vly_triton_priority_policy;

typedef struct vly_triton_dynamic_batching {
    size_t n_preferred_batch_sizes, n_priority_queue_policies;
    const int64_t *preferred_batch_sizes;
    uint64_t max_queue_delay_us;
    bool preserve_ordering;
    uint64_t n_priority_levels; /* 0: no priorities */
    uint64_t default_priority_level;
    const vly_triton_queue_policy *default_queue_policy;
    const vly_triton_priority_policy *priority_queue_policies;
} vly_triton_dynamic_batching;

typedef enum vly_triton_control_kind {
    VLY_TRITON_CONTROL_SEQUENCE_START,
    VLY_TRITON_CONTROL_SEQUENCE_READY,
    VLY_TRITON_CONTROL_SEQUENCE_END,
    VLY_TRITON_CONTROL_SEQUENCE_CORRID,
} vly_triton_control_kind;

/* The pair of values that mean false and true is in the list of the input's type. */
typedef struct vly_triton_control {
    vly_triton_control_kind kind;
    size_t n_int32_false_true, n_fp32_false_true, n_bool_false_true;
    const int64_t *int32_false_true;
    const double *fp32_false_true;
    const bool *bool_false_true;
    vly_str datatype; /* CORRID */
} vly_triton_control;

typedef struct vly_triton_control_input {
    vly_str name;
    size_t n_controls;
    const vly_triton_control *controls;
} vly_triton_control_input;

typedef struct vly_triton_initial_state {
    vly_str datatype;
    size_t n_dims;
    const int64_t *dims;
    bool zero_data; /* one of the two */
    vly_str data_file;
    vly_str name;
} vly_triton_initial_state;

typedef struct vly_triton_state {
    vly_str input_name, output_name;
    vly_str datatype;
    size_t n_dims, n_initial_states;
    const int64_t *dims;
    const vly_triton_initial_state *initial_states;
    bool use_same_buffer_for_input_output;
    bool use_growable_memory;
} vly_triton_state;

typedef struct vly_triton_direct {
    uint64_t max_queue_delay_us;
    double minimum_slot_utilization;
} vly_triton_direct;

typedef struct vly_triton_oldest {
    int64_t max_candidate_sequences;
    size_t n_preferred_batch_sizes;
    const int64_t *preferred_batch_sizes;
    uint64_t max_queue_delay_us;
    bool preserve_ordering;
} vly_triton_oldest;

typedef struct vly_triton_sequence_batching {
    const vly_triton_direct *direct; /* one of the two; none: direct */
    const vly_triton_oldest *oldest;
    uint64_t max_sequence_idle_us; /* 0: Triton's default, a second */
    size_t n_control_inputs, n_states;
    const vly_triton_control_input *control_inputs;
    const vly_triton_state *states;
    bool is_iterative;
} vly_triton_sequence_batching;

typedef struct vly_triton_step {
    vly_str model_name, model_namespace;
    int64_t model_version; /* -1, and 0: the latest */
    size_t n_inputs, n_outputs;
    const vly_triton_param *inputs;  /* key: input of the model; value: tensor of the ensemble */
    const vly_triton_param *outputs; /* key: output of the model; value: tensor of the ensemble */
} vly_triton_step;

typedef struct vly_triton_ensemble {
    size_t n_steps;
    const vly_triton_step *steps;
    int64_t max_inflight_requests; /* 0: no bound of its own */
} vly_triton_ensemble;

#endif

/* SPDX-License-Identifier: MIT */
#include "codec/triton_schema.h"

#include "base/assert.h"

#include <string.h>

/* ---- data types ---- */

const char *const vly_triton_type_names[VLY_TRITON_TYPES] = {
    "TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32",
    "TYPE_UINT64",  "TYPE_INT8", "TYPE_INT16", "TYPE_INT32",  "TYPE_INT64",
    "TYPE_FP16",    "TYPE_FP32", "TYPE_FP64",  "TYPE_STRING", "TYPE_BF16",
};

unsigned vly_triton_type_number(vly_str kserve)
{
    vly_str name = vly_str_is(kserve, "BYTES") ? VLY_STR("STRING") : kserve;

    for (unsigned i = 1; i < VLY_TRITON_TYPES; i++)
        if (vly_str_is(name, vly_triton_type_names[i] + strlen("TYPE_")))
            return i;
    return 0;
}

vly_str vly_triton_type_kserve(unsigned number)
{
    if (number == 0 || number >= VLY_TRITON_TYPES)
        return (vly_str){NULL, 0};
    vly_str name = vly_str_from(vly_triton_type_names[number] + strlen("TYPE_"));
    return vly_str_is(name, "STRING") ? VLY_STR("BYTES") : name;
}

size_t vly_tfield_bytes(const vly_tfield *field)
{
    switch (field->kind) {
    case VLY_TFIELD_STR:
    case VLY_TFIELD_TYPE:
        return sizeof(vly_str);
    case VLY_TFIELD_BOOL:
        return sizeof(bool);
    case VLY_TFIELD_INT32:
    case VLY_TFIELD_UINT32:
    case VLY_TFIELD_INT64:
    case VLY_TFIELD_UINT64:
        return sizeof(int64_t);
    case VLY_TFIELD_FLOAT:
    case VLY_TFIELD_DOUBLE:
        return sizeof(double);
    case VLY_TFIELD_ENUM:
        return sizeof(unsigned);
    case VLY_TFIELD_MESSAGE:
        break;
    }
    return field->child->bytes;
}

/* ---- how a table is written ---- */

/* A field of struct vly_triton_<of>. */
#define ONE(of, kind_, name_, number_, member)                                                     \
    .name = (name_), .number = (number_), .kind = VLY_TFIELD_##kind_,                              \
    .offset = offsetof(vly_triton_##of, member)
#define MANY(of, kind_, name_, number_, member)                                                    \
    ONE(of, kind_, name_, number_, member), .count = VLY_TFIELD_LIST,                              \
                                            .n_offset = offsetof(vly_triton_##of, n_##member)
#define MAP(of, name_, number_, member)                                                            \
    ONE(of, MESSAGE, name_, number_, member), .count = VLY_TFIELD_MAP,                             \
                                              .n_offset = offsetof(vly_triton_##of, n_##member)
#define NAMES(table) .names = (table), .n_names = VLY_COUNT(table)
#define SCHEMA(id, of)                                                                             \
    static const vly_tschema id##_schema = {.fields = id##_fields,                                 \
                                            .n_fields = VLY_COUNT(id##_fields),                    \
                                            .bytes = sizeof(vly_triton_##of)}
/* A map's entry whose value is a message. */
#define ENTRY(id, of, key_kind, value_schema)                                                      \
    static const vly_tfield id##_fields[] = {{ONE(of, key_kind, "key", 1, key)},                   \
                                             {ONE(of, MESSAGE, "value", 2, value),                 \
                                              .count = VLY_TFIELD_VALUE,                           \
                                              .child = &(value_schema)}};                          \
    SCHEMA(id, of)

#define NO_GPU      "models run on the CPU"
#define ONE_SHAPE   "the requests of a batch have one shape"
#define TENSORRT    "only TensorRT models have it"
#define OWN_RUNTIME "models run on Volley's own engine"

static const vly_tfield text_fields[] = {
    {ONE(param, STR, "key", 1, key)},
    {ONE(param, STR, "value", 2, value)},
};
SCHEMA(text, param);

/* ---- tensors ---- */

static const char *const format_names[] = {"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW"};

static const vly_tfield reshape_fields[] = {
    {MANY(shape, INT64, "shape", 1, dims), .lo = -1, .hi = INT64_MAX},
};
SCHEMA(reshape, shape);

static const vly_tfield input_fields[] = {
    {ONE(io, STR, "name", 1, name)},
    {ONE(io, TYPE, "data_type", 2, datatype)},
    {ONE(io, ENUM, "format", 3, format), NAMES(format_names)},
    {MANY(io, INT64, "dims", 4, dims), .lo = -1, .hi = INT64_MAX},
    {ONE(io, MESSAGE, "reshape", 5, reshape), .child = &reshape_schema},
    {ONE(io, BOOL, "is_shape_tensor", 6, is_shape_tensor), .ignored = TENSORRT},
    {ONE(io, BOOL, "allow_ragged_batch", 7, allow_ragged_batch), .ignored = ONE_SHAPE},
    {ONE(io, BOOL, "optional", 8, is_optional)},
    {ONE(io, BOOL, "is_non_linear_format_io", 9, is_non_linear_format_io), .ignored = TENSORRT},
};
SCHEMA(input, io);

static const vly_tfield output_fields[] = {
    {ONE(io, STR, "name", 1, name)},
    {ONE(io, TYPE, "data_type", 2, datatype)},
    {MANY(io, INT64, "dims", 3, dims), .lo = -1, .hi = INT64_MAX},
    {ONE(io, MESSAGE, "reshape", 5, reshape), .child = &reshape_schema},
    {ONE(io, STR, "label_filename", 4, label_filename)},
    {ONE(io, BOOL, "is_shape_tensor", 6, is_shape_tensor), .ignored = TENSORRT},
    {ONE(io, BOOL, "is_non_linear_format_io", 7, is_non_linear_format_io), .ignored = TENSORRT},
};
SCHEMA(output, io);

static const char *const batch_input_names[] = {
    "BATCH_ELEMENT_COUNT",
    "BATCH_ACCUMULATED_ELEMENT_COUNT",
    "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO",
    "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE",
    "BATCH_ITEM_SHAPE",
    "BATCH_ITEM_SHAPE_FLATTEN",
};

static const vly_tfield batch_input_fields[] = {
    {ONE(batch_input, ENUM, "kind", 1, kind), NAMES(batch_input_names)},
    {MANY(batch_input, STR, "target_name", 2, target_names)},
    {ONE(batch_input, TYPE, "data_type", 3, datatype)},
    {MANY(batch_input, STR, "source_input", 4, source_inputs)},
};
SCHEMA(batch_input, batch_input);

static const char *const batch_output_names[] = {"BATCH_SCATTER_WITH_INPUT_SHAPE"};

static const vly_tfield batch_output_fields[] = {
    {MANY(batch_output, STR, "target_name", 1, target_names)},
    {ONE(batch_output, ENUM, "kind", 2, kind), NAMES(batch_output_names)},
    {MANY(batch_output, STR, "source_input", 3, source_inputs)},
};
SCHEMA(batch_output, batch_output);

/* ---- versions ---- */

static const vly_tfield latest_fields[] = {
    {ONE(latest, UINT32, "num_versions", 1, n_versions), .lo = 1, .hi = UINT32_MAX},
};
SCHEMA(latest, latest);

static const vly_tschema nothing_schema = {.bytes = sizeof(vly_triton_nothing)};

static const vly_tfield specific_fields[] = {
    {MANY(specific, INT64, "versions", 1, versions), .lo = 1, .hi = INT64_MAX},
};
SCHEMA(specific, specific);

static const vly_tfield policy_fields[] = {
    {ONE(version_policy, MESSAGE, "latest", 1, latest), .child = &latest_schema, .is_choice = true},
    {ONE(version_policy, MESSAGE, "all", 2, all), .child = &nothing_schema, .is_choice = true},
    {ONE(version_policy, MESSAGE, "specific", 3, specific), .child = &specific_schema,
     .is_choice = true},
};
SCHEMA(policy, version_policy);

/* ---- optimization ---- */

static const char *const priority_names[] = {"PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN"};

static const vly_tfield graph_fields[] = {
    {ONE(graph, INT32, "level", 1, level)},
};
SCHEMA(graph, graph);

static const vly_tfield dims_fields[] = {
    {MANY(shape, INT64, "dim", 1, dims)},
};
SCHEMA(dims, shape);
ENTRY(graph_input, graph_input, STR, dims_schema);

static const vly_tfield graph_bound_fields[] = {
    {ONE(graph_bound, INT32, "batch_size", 1, batch_size)},
    {MAP(graph_bound, "input", 2, inputs), .child = &graph_input_schema},
};
SCHEMA(graph_bound, graph_bound);

static const vly_tfield graph_spec_fields[] = {
    {ONE(graph_spec, INT32, "batch_size", 1, batch_size)},
    {MAP(graph_spec, "input", 2, inputs), .child = &graph_input_schema},
    {ONE(graph_spec, MESSAGE, "graph_lower_bound", 3, graph_lower_bound),
     .child = &graph_bound_schema},
};
SCHEMA(graph_spec, graph_spec);

static const vly_tfield cuda_fields[] = {
    {ONE(cuda, BOOL, "graphs", 1, graphs)},
    {ONE(cuda, BOOL, "busy_wait_events", 2, busy_wait_events)},
    {MANY(cuda, MESSAGE, "graph_spec", 3, graph_specs), .child = &graph_spec_schema},
    {ONE(cuda, BOOL, "output_copy_stream", 4, output_copy_stream)},
};
SCHEMA(cuda, cuda);

static const vly_tfield accelerator_fields[] = {
    {ONE(accelerator, STR, "name", 1, name)},
    {MAP(accelerator, "parameters", 2, params), .child = &text_schema},
};
SCHEMA(accelerator, accelerator);

static const vly_tfield accelerators_fields[] = {
    {MANY(accelerators, MESSAGE, "gpu_execution_accelerator", 1, gpu),
     .child = &accelerator_schema},
    {MANY(accelerators, MESSAGE, "cpu_execution_accelerator", 2, cpu),
     .child = &accelerator_schema},
};
SCHEMA(accelerators, accelerators);

static const vly_tfield switch_fields[] = {
    {ONE(switch, BOOL, "enable", 1, enable)},
};
SCHEMA(switch, switch);

static const vly_tfield optimization_fields[] = {
    {ONE(optimization, MESSAGE, "graph", 1, graph), .child = &graph_schema, .ignored = OWN_RUNTIME},
    {ONE(optimization, ENUM, "priority", 2, priority), NAMES(priority_names),
     .ignored = "instances share the workers alike"},
    {ONE(optimization, MESSAGE, "cuda", 3, cuda), .child = &cuda_schema, .ignored = NO_GPU},
    {ONE(optimization, MESSAGE, "execution_accelerators", 4, execution_accelerators),
     .child = &accelerators_schema, .ignored = OWN_RUNTIME},
    {ONE(optimization, MESSAGE, "input_pinned_memory", 5, input_pinned_memory),
     .child = &switch_schema, .ignored = NO_GPU},
    {ONE(optimization, MESSAGE, "output_pinned_memory", 6, output_pinned_memory),
     .child = &switch_schema, .ignored = NO_GPU},
    {ONE(optimization, UINT32, "gather_kernel_buffer_threshold", 7, gather_kernel_buffer_threshold),
     .ignored = NO_GPU},
    {ONE(optimization, BOOL, "eager_batching", 8, eager_batching),
     .ignored = "a batch is made when an instance takes it"},
};
SCHEMA(optimization, optimization);

/* ---- dynamic batching ---- */

static const char *const action_names[] = {"REJECT", "DELAY"};

static const vly_tfield queue_policy_fields[] = {
    {ONE(queue_policy, ENUM, "timeout_action", 1, timeout_action), NAMES(action_names)},
    {ONE(queue_policy, UINT64, "default_timeout_microseconds", 2, default_timeout_us)},
    {ONE(queue_policy, BOOL, "allow_timeout_override", 3, allow_timeout_override)},
    {ONE(queue_policy, UINT32, "max_queue_size", 4, max_queue_size)},
};
SCHEMA(queue_policy, queue_policy);
ENTRY(priority_policy, priority_policy, UINT64, queue_policy_schema);

static const vly_tfield dynamic_fields[] = {
    {MANY(dynamic_batching, INT32, "preferred_batch_size", 1, preferred_batch_sizes)},
    {ONE(dynamic_batching, UINT64, "max_queue_delay_microseconds", 2, max_queue_delay_us)},
    {ONE(dynamic_batching, BOOL, "preserve_ordering", 3, preserve_ordering)},
    {ONE(dynamic_batching, UINT64, "priority_levels", 4, n_priority_levels)},
    {ONE(dynamic_batching, UINT64, "default_priority_level", 5, default_priority_level)},
    {ONE(dynamic_batching, MESSAGE, "default_queue_policy", 6, default_queue_policy),
     .child = &queue_policy_schema},
    {MAP(dynamic_batching, "priority_queue_policy", 7, priority_queue_policies),
     .child = &priority_policy_schema},
};
SCHEMA(dynamic, dynamic_batching);

/* ---- sequences ---- */

static const char *const control_names[] = {"CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_READY",
                                            "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_CORRID"};

static const vly_tfield control_fields[] = {
    {ONE(control, ENUM, "kind", 1, kind), NAMES(control_names)},
    {MANY(control, INT32, "int32_false_true", 2, int32_false_true)},
    {MANY(control, FLOAT, "fp32_false_true", 3, fp32_false_true)},
    {MANY(control, BOOL, "bool_false_true", 5, bool_false_true)},
    {ONE(control, TYPE, "data_type", 4, datatype)},
};
SCHEMA(control, control);

static const vly_tfield control_input_fields[] = {
    {ONE(control_input, STR, "name", 1, name)},
    {MANY(control_input, MESSAGE, "control", 2, controls), .child = &control_schema},
};
SCHEMA(control_input, control_input);

static const vly_tfield initial_state_fields[] = {
    {ONE(initial_state, TYPE, "data_type", 1, datatype)},
    {MANY(initial_state, INT64, "dims", 2, dims), .lo = -1, .hi = INT64_MAX},
    {ONE(initial_state, BOOL, "zero_data", 3, zero_data), .is_choice = true},
    {ONE(initial_state, STR, "data_file", 4, data_file), .is_choice = true},
    {ONE(initial_state, STR, "name", 5, name)},
};
SCHEMA(initial_state, initial_state);

static const vly_tfield state_fields[] = {
    {ONE(state, STR, "input_name", 1, input_name)},
    {ONE(state, STR, "output_name", 2, output_name)},
    {ONE(state, TYPE, "data_type", 3, datatype)},
    {MANY(state, INT64, "dims", 4, dims), .lo = -1, .hi = INT64_MAX},
    {MANY(state, MESSAGE, "initial_state", 5, initial_states), .child = &initial_state_schema},
    {ONE(state, BOOL, "use_same_buffer_for_input_output", 6, use_same_buffer_for_input_output)},
    {ONE(state, BOOL, "use_growable_memory", 7, use_growable_memory), .ignored = NO_GPU},
};
SCHEMA(state, state);

static const vly_tfield direct_fields[] = {
    {ONE(direct, UINT64, "max_queue_delay_microseconds", 1, max_queue_delay_us)},
    {ONE(direct, FLOAT, "minimum_slot_utilization", 2, minimum_slot_utilization)},
};
SCHEMA(direct, direct);

static const vly_tfield oldest_fields[] = {
    {ONE(oldest, INT32, "max_candidate_sequences", 1, max_candidate_sequences)},
    {MANY(oldest, INT32, "preferred_batch_size", 2, preferred_batch_sizes)},
    {ONE(oldest, UINT64, "max_queue_delay_microseconds", 3, max_queue_delay_us)},
    {ONE(oldest, BOOL, "preserve_ordering", 4, preserve_ordering)},
};
SCHEMA(oldest, oldest);

static const vly_tfield sequence_fields[] = {
    {ONE(sequence_batching, MESSAGE, "direct", 3, direct), .child = &direct_schema,
     .is_choice = true},
    {ONE(sequence_batching, MESSAGE, "oldest", 4, oldest), .child = &oldest_schema,
     .is_choice = true},
    {ONE(sequence_batching, UINT64, "max_sequence_idle_microseconds", 1, max_sequence_idle_us)},
    {MANY(sequence_batching, MESSAGE, "control_input", 2, control_inputs),
     .child = &control_input_schema},
    {MANY(sequence_batching, MESSAGE, "state", 5, states), .child = &state_schema},
    {ONE(sequence_batching, BOOL, "iterative_sequence", 6, is_iterative)},
};
SCHEMA(sequence, sequence_batching);

/* ---- ensembles ---- */

static const vly_tfield step_fields[] = {
    {ONE(step, STR, "model_name", 1, model_name)},
    {ONE(step, INT64, "model_version", 2, model_version)},
    {MAP(step, "input_map", 3, inputs), .child = &text_schema},
    {MAP(step, "output_map", 4, outputs), .child = &text_schema},
    {ONE(step, STR, "model_namespace", 5, model_namespace),
     .ignored = "the names of models are all of one space"},
};
SCHEMA(step, step);

static const vly_tfield ensemble_fields[] = {
    {MANY(ensemble, MESSAGE, "step", 1, steps), .child = &step_schema},
    {ONE(ensemble, UINT32, "max_inflight_requests", 2, max_inflight_requests),
     .ignored = "a step answers once, so that none can run ahead"},
};
SCHEMA(ensemble, ensemble);

/* ---- instances ---- */

static const char *const kind_names[] = {"KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"};
static const char *const device_names[] = {"KIND_NVDLA"};

static const vly_tfield resource_fields[] = {
    {ONE(resource, STR, "name", 1, name)},
    {ONE(resource, BOOL, "global", 2, is_global)},
    {ONE(resource, UINT32, "count", 3, count)},
};
SCHEMA(resource, resource);

static const vly_tfield rate_limiter_fields[] = {
    {MANY(rate_limiter, MESSAGE, "resources", 1, resources), .child = &resource_schema},
    {ONE(rate_limiter, UINT32, "priority", 2, priority)},
};
SCHEMA(rate_limiter, rate_limiter);

static const vly_tfield device_fields[] = {
    {ONE(secondary_device, ENUM, "kind", 1, kind), NAMES(device_names)},
    {ONE(secondary_device, INT64, "device_id", 2, device_id)},
};
SCHEMA(device, secondary_device);

static const vly_tfield group_fields[] = {
    {ONE(instance_group, STR, "name", 1, name)},
    {ONE(instance_group, ENUM, "kind", 4, kind), NAMES(kind_names)},
    {ONE(instance_group, INT32, "count", 2, count), .lo = 0, .hi = INT32_MAX},
    {ONE(instance_group, MESSAGE, "rate_limiter", 6, rate_limiter), .child = &rate_limiter_schema},
    {MANY(instance_group, INT32, "gpus", 3, gpus), .lo = 0, .hi = INT32_MAX, .ignored = NO_GPU},
    {MANY(instance_group, MESSAGE, "secondary_devices", 8, secondary_devices),
     .child = &device_schema, .ignored = NO_GPU},
    {MANY(instance_group, STR, "profile", 5, profiles), .ignored = TENSORRT},
    {ONE(instance_group, BOOL, "passive", 7, is_passive),
     .ignored = "every instance takes requests"},
    {ONE(instance_group, STR, "host_policy", 9, host_policy),
     .ignored = "the workers run on all cores"},
};
SCHEMA(group, instance_group);

/* ---- the rest ---- */

static const vly_tfield parameter_value_fields[] = {
    {.name = "string_value", .number = 1, .kind = VLY_TFIELD_STR},
};
static const vly_tschema parameter_value_schema = {.fields = parameter_value_fields,
                                                   .n_fields = VLY_COUNT(parameter_value_fields),
                                                   .bytes = sizeof(vly_str)};
ENTRY(parameter, param, STR, parameter_value_schema);

static const vly_tfield warmup_input_fields[] = {
    {ONE(warmup_input, TYPE, "data_type", 1, datatype)},
    {MANY(warmup_input, INT64, "dims", 2, dims), .lo = -1, .hi = INT64_MAX},
    {ONE(warmup_input, BOOL, "zero_data", 3, zero_data), .is_choice = true},
    {ONE(warmup_input, BOOL, "random_data", 4, random_data), .is_choice = true},
    {ONE(warmup_input, STR, "input_data_file", 5, input_data_file), .is_choice = true},
};
SCHEMA(warmup_input, warmup_input);
ENTRY(warmup_entry, warmup_entry, STR, warmup_input_schema);

static const vly_tfield warmup_fields[] = {
    {ONE(warmup, STR, "name", 1, name)},
    {ONE(warmup, UINT32, "batch_size", 2, batch_size)},
    {MAP(warmup, "inputs", 3, inputs), .child = &warmup_entry_schema},
    {ONE(warmup, UINT32, "count", 4, count)},
};
SCHEMA(warmup, warmup);

static const vly_tfield operations_fields[] = {
    {MANY(operations, STR, "op_library_filename", 1, op_library_filenames)},
};
SCHEMA(operations, operations);

static const vly_tfield transaction_fields[] = {
    {ONE(transaction_policy, BOOL, "decoupled", 1, is_decoupled),
     .ignored = "a request has one response"},
};
SCHEMA(transaction, transaction_policy);

static const vly_tfield agents_fields[] = {
    {MANY(agents, MESSAGE, "agents", 1, agents), .child = &accelerator_schema},
};
SCHEMA(agents, agents);

static const vly_tfield family_fields[] = {
    {ONE(metric_family, STR, "family", 1, family)},
};
SCHEMA(family, metric_family);

static const vly_tfield histogram_fields[] = {
    {MANY(histogram, DOUBLE, "buckets", 1, buckets)},
};
SCHEMA(histogram, histogram);

static const vly_tfield metric_control_fields[] = {
    {ONE(metric_control, MESSAGE, "metric_identifier", 1, metric_identifier),
     .child = &family_schema},
    {ONE(metric_control, MESSAGE, "histogram_options", 2, histogram_options),
     .child = &histogram_schema, .is_choice = true},
};
SCHEMA(metric_control, metric_control);

static const vly_tfield metrics_fields[] = {
    {MANY(metrics, MESSAGE, "metric_control", 1, metric_controls), .child = &metric_control_schema},
};
SCHEMA(metrics, metrics);

static const vly_tfield config_fields[] = {
    {ONE(config, STR, "name", 1, name)},
    {ONE(config, STR, "platform", 2, platform)},
    {ONE(config, STR, "backend", 17, backend)},
    {ONE(config, STR, "runtime", 25, runtime), .ignored = OWN_RUNTIME},
    {ONE(config, MESSAGE, "version_policy", 3, version_policy), .child = &policy_schema},
    {ONE(config, INT32, "max_batch_size", 4, max_batch_size),
     .has_offset = offsetof(vly_triton_config, has_max_batch_size), .lo = 0, .hi = INT32_MAX},
    {MANY(config, MESSAGE, "input", 5, inputs), .child = &input_schema},
    {MANY(config, MESSAGE, "output", 6, outputs), .child = &output_schema},
    {MANY(config, MESSAGE, "batch_input", 20, batch_inputs), .child = &batch_input_schema,
     .ignored = ONE_SHAPE},
    {MANY(config, MESSAGE, "batch_output", 21, batch_outputs), .child = &batch_output_schema,
     .ignored = ONE_SHAPE},
    {ONE(config, MESSAGE, "optimization", 12, optimization), .child = &optimization_schema},
    {ONE(config, MESSAGE, "dynamic_batching", 11, dynamic_batching), .child = &dynamic_schema,
     .is_choice = true},
    {ONE(config, MESSAGE, "sequence_batching", 13, sequence_batching), .child = &sequence_schema,
     .is_choice = true},
    {ONE(config, MESSAGE, "ensemble_scheduling", 15, ensemble_scheduling),
     .child = &ensemble_schema, .is_choice = true},
    {MANY(config, MESSAGE, "instance_group", 7, instance_groups), .child = &group_schema},
    {ONE(config, STR, "default_model_filename", 8, default_model_filename)},
    {MAP(config, "cc_model_filenames", 9, cc_model_filenames), .child = &text_schema,
     .ignored = NO_GPU},
    {MAP(config, "metric_tags", 10, metric_tags), .child = &text_schema,
     .ignored = "metrics have the labels model and version"},
    {MAP(config, "parameters", 14, params), .child = &parameter_schema},
    {MANY(config, MESSAGE, "model_warmup", 16, warmups), .child = &warmup_schema},
    {ONE(config, MESSAGE, "model_operations", 18, model_operations), .child = &operations_schema,
     .ignored = "operators are built in"},
    {ONE(config, MESSAGE, "model_transaction_policy", 19, model_transaction_policy),
     .child = &transaction_schema},
    {ONE(config, MESSAGE, "model_repository_agents", 23, model_repository_agents),
     .child = &agents_schema, .ignored = "there are no repository agents"},
    {ONE(config, MESSAGE, "response_cache", 24, response_cache), .child = &switch_schema},
    {ONE(config, MESSAGE, "model_metrics", 26, model_metrics), .child = &metrics_schema,
     .ignored = "every model has the same metrics"},
};
const vly_tschema vly_tschema_config = {.fields = config_fields,
                                        .n_fields = VLY_COUNT(config_fields),
                                        .bytes = sizeof(vly_triton_config)};

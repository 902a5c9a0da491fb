/* SPDX-License-Identifier: MIT */
/*
 * The requests of the inference service that run no model, and those of health and reflection.
 *
 * Owns nothing: views into the message, arrays in the caller's arena. EFORMAT: not such a message;
 * ELIMIT: past a bound, or the arena is full; ENOMEM. Thread: any.
 */
#ifndef VLY_CODEC_GRPC_ADMIN_H
#define VLY_CODEC_GRPC_ADMIN_H

#include "codec/grpc_param.h"

#define VLY_GRPC_SETTING_VALUES_MAX 64

/* The only thing to know of {System,Cuda}SharedMemory{Status,Unregister}Request,
 * CudaSharedMemoryRegisterRequest and HealthCheckRequest: text as field 1. */
vly_status vly_grpc_name_parse(vly_str message, vly_str *ret, vly_err *err) VLY_MUST_CHECK;

/* Model{Ready,Metadata,Config,Statistics}Request */
typedef struct vly_grpc_model_request {
    vly_str name, version;
} vly_grpc_model_request;

vly_status vly_grpc_model_request_parse(vly_str message, vly_grpc_model_request *ret,
                                        vly_err *err) VLY_MUST_CHECK;

/* RepositoryIndexRequest: is_ready. RepositoryModel{Load,Unload}Request: the rest. */
typedef struct vly_grpc_repository_request {
    vly_str repository, model;
    bool is_ready;
    vly_grpc_params params;
} vly_grpc_repository_request;

vly_status vly_grpc_index_request_parse(vly_str message, vly_grpc_repository_request *ret,
                                        vly_err *err) VLY_MUST_CHECK;
vly_status vly_grpc_load_request_parse(vly_str message, vly_arena *arena,
                                       vly_grpc_repository_request *ret,
                                       vly_err *err) VLY_MUST_CHECK;

/* SystemSharedMemoryRegisterRequest */
typedef struct vly_grpc_shm_request {
    vly_str name, key;
    uint64_t offset, byte_size;
} vly_grpc_shm_request;

vly_status vly_grpc_shm_request_parse(vly_str message, vly_grpc_shm_request *ret,
                                      vly_err *err) VLY_MUST_CHECK;

/* TraceSettingRequest */
typedef struct vly_grpc_trace_setting {
    vly_str key;
    const vly_str *values;
    size_t n_values;
} vly_grpc_trace_setting;

typedef struct vly_grpc_trace_request {
    vly_str model;
    vly_grpc_trace_setting *settings; /* at most VLY_GRPC_PARAMS_MAX */
    size_t n_settings;
} vly_grpc_trace_request;

vly_status vly_grpc_trace_request_parse(vly_str message, vly_arena *arena,
                                        vly_grpc_trace_request *ret, vly_err *err) VLY_MUST_CHECK;

/* LogSettingsRequest */
vly_status vly_grpc_log_request_parse(vly_str message, vly_arena *arena, vly_grpc_params *ret,
                                      vly_err *err) VLY_MUST_CHECK;

/* grpc.reflection.v1.ServerReflectionRequest */
typedef enum vly_grpc_reflection_kind {
    VLY_GRPC_REFLECT_NONE = 0, /* the oneof is not set; otherwise its field number */
    VLY_GRPC_REFLECT_FILE = 3,
    VLY_GRPC_REFLECT_SYMBOL = 4,
    VLY_GRPC_REFLECT_EXTENSION = 5,
    VLY_GRPC_REFLECT_EXTENSION_NUMBERS = 6,
    VLY_GRPC_REFLECT_SERVICES = 7,
} vly_grpc_reflection_kind;

typedef struct vly_grpc_reflection_request {
    vly_str host;
    vly_grpc_reflection_kind kind;
    vly_str text; /* EXTENSION: the message */
} vly_grpc_reflection_request;

vly_status vly_grpc_reflection_request_parse(vly_str message, vly_grpc_reflection_request *ret,
                                             vly_err *err) VLY_MUST_CHECK;

#endif

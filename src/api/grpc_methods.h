/* SPDX-License-Identifier: MIT */
/* The methods that the table of grpc.c names; each grpc_*.c defines some of them. */
#ifndef VLY_API_GRPC_METHODS_H
#define VLY_API_GRPC_METHODS_H

#include "api/grpc.h"

#define VLY_GRPC_INFERENCE "/inference.GRPCInferenceService/"
#define VLY_GRPC_STEPS     "/volley.v1.Steps/"

/* kind, scope that a key needs (store/key_file.h), path, name of the function after vly_grpc_.
 * ANSWER: at once, on the loop thread; WORKER: the same off it (api/desk.h); BEGIN: answers later;
 * STREAM: messages flow. */
#define VLY_GRPC_METHODS(X)                                                                        \
    X(BEGIN, INFER, VLY_GRPC_INFERENCE "ModelInfer", model_infer)                                  \
    X(STREAM, INFER, VLY_GRPC_INFERENCE "ModelStreamInfer", model_stream_infer)                    \
    X(ANSWER, NONE, VLY_GRPC_INFERENCE "ServerLive", server_live)                                  \
    X(ANSWER, NONE, VLY_GRPC_INFERENCE "ServerReady", server_ready)                                \
    X(ANSWER, READ, VLY_GRPC_INFERENCE "ModelReady", model_ready)                                  \
    X(WORKER, READ, VLY_GRPC_INFERENCE "ServerMetadata", server_metadata)                          \
    X(WORKER, READ, VLY_GRPC_INFERENCE "ModelMetadata", model_metadata)                            \
    X(WORKER, READ, VLY_GRPC_INFERENCE "ModelConfig", model_config)                                \
    X(WORKER, READ, VLY_GRPC_INFERENCE "ModelStatistics", model_statistics)                        \
    X(WORKER, READ, VLY_GRPC_INFERENCE "RepositoryIndex", repository_index)                        \
    X(BEGIN, ADMIN, VLY_GRPC_INFERENCE "RepositoryModelLoad", repository_load)                     \
    X(BEGIN, ADMIN, VLY_GRPC_INFERENCE "RepositoryModelUnload", repository_unload)                 \
    X(ANSWER, READ, VLY_GRPC_INFERENCE "SystemSharedMemoryStatus", shm_status)                     \
    X(WORKER, ADMIN, VLY_GRPC_INFERENCE "SystemSharedMemoryRegister", shm_register)                \
    X(WORKER, ADMIN, VLY_GRPC_INFERENCE "SystemSharedMemoryUnregister", shm_unregister)            \
    X(ANSWER, READ, VLY_GRPC_INFERENCE "CudaSharedMemoryStatus", cuda_status)                      \
    X(ANSWER, ADMIN, VLY_GRPC_INFERENCE "CudaSharedMemoryRegister", cuda_register)                 \
    X(ANSWER, ADMIN, VLY_GRPC_INFERENCE "CudaSharedMemoryUnregister", cuda_unregister)             \
    X(WORKER, ADMIN, VLY_GRPC_INFERENCE "TraceSetting", trace_settings)                            \
    X(WORKER, ADMIN, VLY_GRPC_INFERENCE "LogSettings", log_settings)                               \
    X(STREAM, INFER, VLY_GRPC_STEPS "Stream", steps_stream)                                        \
    X(WORKER, INFER, VLY_GRPC_STEPS "Detect", steps_detect)                                        \
    X(WORKER, READ, VLY_GRPC_STEPS "ListSessions", steps_list)                                     \
    X(ANSWER, READ, VLY_GRPC_STEPS "GetSession", steps_get)                                        \
    X(ANSWER, INFER, VLY_GRPC_STEPS "ResetSession", steps_reset)                                   \
    X(ANSWER, INFER, VLY_GRPC_STEPS "DeleteSession", steps_delete)                                 \
    X(ANSWER, NONE, "/grpc.health.v1.Health/Check", health_check)                                  \
    X(STREAM, NONE, "/grpc.health.v1.Health/Watch", health_watch)                                  \
    X(STREAM, READ, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", reflection)       \
    X(STREAM, READ, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", reflection)

#define VLY_GRPC_DECLARE_ANSWER(name)                                                              \
    vly_status vly_grpc_##name(vly_grpc_call *call, vly_buf *out, vly_err *err);
#define VLY_GRPC_DECLARE_WORKER(name) VLY_GRPC_DECLARE_ANSWER(name)
#define VLY_GRPC_DECLARE_BEGIN(name)  void vly_grpc_##name(vly_grpc_call *call);
#define VLY_GRPC_DECLARE_STREAM(name) void vly_grpc_##name(vly_api *api, vly_http_request *req);

#define VLY_GRPC_DECLARE(kind, scope, path, name) VLY_GRPC_DECLARE_##kind(name)
VLY_GRPC_METHODS(VLY_GRPC_DECLARE)
#undef VLY_GRPC_DECLARE

#endif

/* SPDX-License-Identifier: MIT */
/* The handlers named by the table of api.c; each file of this room defines some of them. */
#ifndef VLY_API_ROUTES_H
#define VLY_API_ROUTES_H

#include "api/router.h"

/* method, pattern, name of the handler after vly_route_; what is asked for most comes first */
#define VLY_ROUTES(X)                                                                              \
    X(POST, "/v2/models/{}/infer", v2_infer)                                                       \
    X(POST, "/v2/models/{}/versions/{n}/infer", v2_infer)                                          \
    X(GET, "/", index)                                                                             \
    X(GET, "/openapi.json", openapi)                                                               \
    X(GET, "/steps", steps)                                                                        \
    X(GET, "/web/{}", web)                                                                         \
    X(GET, "/health", health)                                                                      \
    X(GET, "/health/ready", health_ready)                                                          \
    X(GET, "/metrics", metrics)                                                                    \
    X(GET, "/v1/models", v1_models)                                                                \
    X(GET, "/v1/models/{}/explain", v1_explain)                                                    \
    X(GET, "/v1/models/{}/versions/{n}/explain", v1_explain)                                       \
    X(POST, "/v1/images:detect", v1_detect)                                                        \
    X(POST, "/v1/imu:detect", v1_imu_detect)                                                       \
    X(GET, "/v1/stream", v1_stream)                                                                \
    X(GET, "/ws/realtime", guide_realtime)                                                         \
    X(POST, "/detect_step_async", guide_detect_async)                                              \
    X(POST, "/detect_step", guide_detect)                                                          \
    X(GET, "/step_count", guide_count)                                                             \
    X(POST, "/reset_count", guide_reset)                                                           \
    X(GET, "/session_summary", guide_summary)                                                      \
    X(GET, "/model_info", guide_model)                                                             \
    X(GET, "/sessions", guide_sessions)                                                            \
    X(GET, "/sessions/{}", guide_session)                                                          \
    X(DELETE, "/sessions/{}", guide_session_end)                                                   \
    X(GET, "/config", guide_config)                                                                \
    X(GET, "/config/{}", guide_config_get)                                                         \
    X(POST, "/config/{}", guide_config_set)                                                        \
    X(GET, "/v1/sessions", v1_sessions)                                                            \
    X(GET, "/v1/sessions/{}", v1_session)                                                          \
    X(DELETE, "/v1/sessions/{}", v1_session_remove)                                                \
    X(POST, "/v1/sessions/{}:reset", v1_session_reset)                                             \
    X(GET, "/v2", v2_server)                                                                       \
    X(GET, "/v2/health/live", v2_live)                                                             \
    X(GET, "/v2/health/ready", v2_ready)                                                           \
    X(GET, "/v2/models/stats", v2_stats)                                                           \
    X(GET, "/v2/models/{}", v2_model)                                                              \
    X(GET, "/v2/models/{}/versions/{n}", v2_model)                                                 \
    X(GET, "/v2/models/{}/ready", v2_model_ready)                                                  \
    X(GET, "/v2/models/{}/versions/{n}/ready", v2_model_ready)                                     \
    X(GET, "/v2/models/{}/config", v2_config)                                                      \
    X(GET, "/v2/models/{}/versions/{n}/config", v2_config)                                         \
    X(GET, "/v2/models/{}/stats", v2_stats)                                                        \
    X(GET, "/v2/models/{}/versions/{n}/stats", v2_stats)                                           \
    X(GET, "/v2/trace/setting", v2_trace)                                                          \
    X(POST, "/v2/trace/setting", v2_trace)                                                         \
    X(GET, "/v2/models/{}/trace/setting", v2_trace)                                                \
    X(POST, "/v2/models/{}/trace/setting", v2_trace)                                               \
    X(GET, "/v2/logging", v2_logging)                                                              \
    X(POST, "/v2/logging", v2_logging)                                                             \
    X(GET, "/v2/systemsharedmemory/status", v2_shm_status)                                         \
    X(GET, "/v2/systemsharedmemory/region/{}/status", v2_shm_status)                               \
    X(POST, "/v2/systemsharedmemory/region/{}/register", v2_shm_register)                          \
    X(POST, "/v2/systemsharedmemory/unregister", v2_shm_unregister)                                \
    X(POST, "/v2/systemsharedmemory/region/{}/unregister", v2_shm_unregister)                      \
    X(GET, "/v2/cudasharedmemory/status", v2_cuda_status)                                          \
    X(GET, "/v2/cudasharedmemory/region/{}/status", v2_cuda_status)                                \
    X(POST, "/v2/cudasharedmemory/region/{}/register", v2_cuda_register)                           \
    X(POST, "/v2/cudasharedmemory/unregister", v2_cuda_unregister)                                 \
    X(POST, "/v2/cudasharedmemory/region/{}/unregister", v2_cuda_unregister)                       \
    X(POST, "/v2/repository/index", v2_repository_index)                                           \
    X(POST, "/v2/repository/models/{}/load", v2_repository_load)                                   \
    X(POST, "/v2/repository/models/{}/unload", v2_repository_unload)                               \
    X(POST, "/v2/repository/{}/index", v2_repository_named)                                        \
    X(POST, "/v2/repository/{}/models/{}/load", v2_repository_named)                               \
    X(POST, "/v2/repository/{}/models/{}/unload", v2_repository_named)

#define VLY_ROUTE_DECLARE(method, pattern, name)                                                   \
    void vly_route_##name(vly_api *api, vly_http_request *req, const vly_str *captures);
VLY_ROUTES(VLY_ROUTE_DECLARE)
#undef VLY_ROUTE_DECLARE

#endif

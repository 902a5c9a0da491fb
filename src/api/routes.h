/* SPDX-License-Identifier: MIT */
/* The handlers named by the table of api.c; each file of this room defines some of them. */
#ifndef VLY_API_ROUTES_H
#define VLY_API_ROUTES_H

#include "api/router.h"

/* method, scope that a key needs (store/key_file.h), pattern, name of the handler after vly_route_;
 * what is asked for most comes first */
#define VLY_ROUTES(X)                                                                              \
    X(POST, INFER, "/v2/models/{}/infer", v2_infer)                                                \
    X(POST, INFER, "/v2/models/{}/versions/{n}/infer", v2_infer)                                   \
    X(GET, NONE, "/", index)                                                                       \
    X(GET, NONE, "/openapi.json", openapi)                                                         \
    X(GET, NONE, "/steps", steps)                                                                  \
    X(GET, NONE, "/web/{}", web)                                                                   \
    X(GET, NONE, "/health", health)                                                                \
    X(GET, NONE, "/health/ready", health_ready)                                                    \
    X(GET, READ, "/metrics", metrics)                                                              \
    X(GET, NONE, "/performance", performance)                                                      \
    X(GET, READ, "/v1/performance", v1_performance)                                                \
    X(GET, READ, "/v1/models", v1_models)                                                          \
    X(GET, READ, "/v1/models/{}/explain", v1_explain)                                              \
    X(GET, READ, "/v1/models/{}/versions/{n}/explain", v1_explain)                                 \
    X(GET, READ, "/v1/routes", v1_routes)                                                          \
    X(GET, READ, "/v1/routes/{}", v1_route)                                                        \
    X(PUT, ADMIN, "/v1/routes/{}", v1_route_set)                                                   \
    X(DELETE, ADMIN, "/v1/routes/{}", v1_route_remove)                                             \
    X(POST, ADMIN, "/v1/routes/{}:promote", v1_route_promote)                                      \
    X(POST, ADMIN, "/v1/routes/{}:rollback", v1_route_rollback)                                    \
    X(POST, INFER, "/v1/images:detect", v1_detect)                                                 \
    X(GET, READ, "/v1/cache", v1_cache)                                                            \
    X(POST, ADMIN, "/v1/cache:invalidate", v1_cache_invalidate)                                    \
    X(POST, ADMIN, "/v1/cache:clear", v1_cache_clear)                                              \
    X(POST, INFER, "/v1/imu:detect", v1_imu_detect)                                                \
    X(GET, INFER, "/v1/stream", v1_stream)                                                         \
    X(GET, INFER, "/ws/realtime", guide_realtime)                                                  \
    X(POST, INFER, "/detect_step_async", guide_detect_async)                                       \
    X(POST, INFER, "/detect_step", guide_detect)                                                   \
    X(GET, READ, "/step_count", guide_count)                                                       \
    X(POST, INFER, "/reset_count", guide_reset)                                                    \
    X(GET, READ, "/session_summary", guide_summary)                                                \
    X(GET, READ, "/model_info", guide_model)                                                       \
    X(GET, READ, "/sessions", guide_sessions)                                                      \
    X(GET, READ, "/sessions/{}", guide_session)                                                    \
    X(DELETE, INFER, "/sessions/{}", guide_session_end)                                            \
    X(GET, READ, "/config", guide_config)                                                          \
    X(GET, READ, "/config/{}", guide_config_get)                                                   \
    X(POST, ADMIN, "/config/{}", guide_config_set)                                                 \
    X(GET, READ, "/v1/config", v1_config)                                                          \
    X(POST, ADMIN, "/v1/config:reload", v1_config_reload)                                          \
    X(GET, READ, "/v1/sessions", v1_sessions)                                                      \
    X(GET, READ, "/v1/sessions/{}", v1_session)                                                    \
    X(DELETE, INFER, "/v1/sessions/{}", v1_session_remove)                                         \
    X(POST, INFER, "/v1/sessions/{}:reset", v1_session_reset)                                      \
    X(GET, READ, "/v1/store", v1_store)                                                            \
    X(POST, ADMIN, "/v1/store:backup", v1_store_backup)                                            \
    X(GET, READ, "/v2", v2_server)                                                                 \
    X(GET, NONE, "/v2/health/live", v2_live)                                                       \
    X(GET, NONE, "/v2/health/ready", v2_ready)                                                     \
    X(GET, READ, "/v2/models/stats", v2_stats)                                                     \
    X(GET, READ, "/v2/models/{}", v2_model)                                                        \
    X(GET, READ, "/v2/models/{}/versions/{n}", v2_model)                                           \
    X(GET, READ, "/v2/models/{}/ready", v2_model_ready)                                            \
    X(GET, READ, "/v2/models/{}/versions/{n}/ready", v2_model_ready)                               \
    X(GET, READ, "/v2/models/{}/config", v2_config)                                                \
    X(GET, READ, "/v2/models/{}/versions/{n}/config", v2_config)                                   \
    X(GET, READ, "/v2/models/{}/stats", v2_stats)                                                  \
    X(GET, READ, "/v2/models/{}/versions/{n}/stats", v2_stats)                                     \
    X(GET, READ, "/v2/trace/setting", v2_trace)                                                    \
    X(POST, ADMIN, "/v2/trace/setting", v2_trace)                                                  \
    X(GET, READ, "/v2/models/{}/trace/setting", v2_trace)                                          \
    X(POST, ADMIN, "/v2/models/{}/trace/setting", v2_trace)                                        \
    X(GET, READ, "/v2/logging", v2_logging)                                                        \
    X(POST, ADMIN, "/v2/logging", v2_logging)                                                      \
    X(GET, READ, "/v2/systemsharedmemory/status", v2_shm_status)                                   \
    X(GET, READ, "/v2/systemsharedmemory/region/{}/status", v2_shm_status)                         \
    X(POST, ADMIN, "/v2/systemsharedmemory/region/{}/register", v2_shm_register)                   \
    X(POST, ADMIN, "/v2/systemsharedmemory/unregister", v2_shm_unregister)                         \
    X(POST, ADMIN, "/v2/systemsharedmemory/region/{}/unregister", v2_shm_unregister)               \
    X(GET, READ, "/v2/cudasharedmemory/status", v2_cuda_status)                                    \
    X(GET, READ, "/v2/cudasharedmemory/region/{}/status", v2_cuda_status)                          \
    X(POST, ADMIN, "/v2/cudasharedmemory/region/{}/register", v2_cuda_register)                    \
    X(POST, ADMIN, "/v2/cudasharedmemory/unregister", v2_cuda_unregister)                          \
    X(POST, ADMIN, "/v2/cudasharedmemory/region/{}/unregister", v2_cuda_unregister)                \
    X(POST, READ, "/v2/repository/index", v2_repository_index)                                     \
    X(POST, ADMIN, "/v2/repository/models/{}/load", v2_repository_load)                            \
    X(POST, ADMIN, "/v2/repository/models/{}/unload", v2_repository_unload)                        \
    X(POST, ADMIN, "/v2/repository/{}/index", v2_repository_named)                                 \
    X(POST, ADMIN, "/v2/repository/{}/models/{}/load", v2_repository_named)                        \
    X(POST, ADMIN, "/v2/repository/{}/models/{}/unload", v2_repository_named)

#define VLY_ROUTE_DECLARE(method, scope, pattern, name)                                            \
    void vly_route_##name(vly_api *api, vly_http_request *req, const vly_str *captures);
VLY_ROUTES(VLY_ROUTE_DECLARE)
#undef VLY_ROUTE_DECLARE

#endif

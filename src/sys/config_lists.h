/* SPDX-License-Identifier: MIT */
/* What holds for some settings, beside their table. */
#ifndef VLY_SYS_CONFIG_LISTS_H
#define VLY_SYS_CONFIG_LISTS_H

/* Those that take effect while the server runs: cli/serve_reload.c hands each to who uses it. */
#define VLY_CONFIG_HOT(X)                                                                          \
    X(profile)                                                                                     \
    X(http_header_timeout_ms)                                                                      \
    X(http_body_timeout_ms)                                                                        \
    X(http_body_min_rate)                                                                          \
    X(http_idle_timeout_ms)                                                                        \
    X(http_write_timeout_ms)                                                                       \
    X(http_max_answer_bytes)                                                                       \
    X(http_compress_min_bytes)                                                                     \
    X(tls_check_ms)                                                                                \
    X(access_check_ms)                                                                             \
    X(drain_timeout_ms)                                                                            \
    X(queue_max)                                                                                   \
    X(json_max_memory_bytes)                                                                       \
    X(json_max_depth)                                                                              \
    X(multipart_max_parts)                                                                         \
    X(grpc_max_stream_requests)                                                                    \
    X(stream_max_in_work)                                                                          \
    X(imu_max_readings)                                                                            \
    X(cache_ttl_prediction_s)                                                                      \
    X(cache_ttl_video_s)                                                                           \
    X(cache_ttl_session_s)                                                                         \
    X(cache_ttl_response_s)                                                                        \
    X(cache_ttl_dynamic)                                                                           \
    X(limits_window_s)                                                                             \
    X(limits_address_requests)                                                                     \
    X(limits_address_burst)                                                                        \
    X(limits_address_concurrency)                                                                  \
    X(limits_key_requests)                                                                         \
    X(limits_key_burst)                                                                            \
    X(limits_key_concurrency)                                                                      \
    X(otlp_sample)                                                                                 \
    X(otlp_trust_parent)                                                                           \
    X(log_level)

/* TEXT settings that take one of a few values. */
#define VLY_CONFIG_CHOICES(X)                                                                      \
    X(profile, "none|development|staging|production|low-memory|gpu|high-concurrency")              \
    X(tls_min_version, "1.2|1.3")                                                                  \
    X(models_control, "none|poll|explicit")                                                        \
    X(model_execution, "auto|inline|parallel|batched")                                             \
    X(cache_compression, "lz4|zstd|off")

#endif

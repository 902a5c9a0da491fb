/* SPDX-License-Identifier: MIT */
/*
 * Profiles: the values of settings for a purpose, and what settings must have in common.
 *
 * The setting `profile` names one. Its values rank above the defaults and below everything that
 * somebody wrote down; their origin is "profile NAME". The values are those of the guides that this
 * server replaces (docs/profiles.md says which became what, and which have no counterpart), as far
 * as a setting here means the same.
 *
 * Thread: that of the settings.
 */
#ifndef VLY_SYS_PROFILE_H
#define VLY_SYS_PROFILE_H

#include "sys/config_problem.h"

/* profile, field of the setting, value, where that value comes from */
#define VLY_PROFILE_MAP(X)                                                                         \
    X("development", log_level, "debug", "LOG_LEVEL=DEBUG")                                        \
    X("staging", log_level, "info", "LOG_LEVEL=INFO")                                              \
    X("production", log_level, "warn", "LOG_LEVEL=WARNING")                                        \
    X("production", http_idle_timeout_ms, "75000", "--timeout-keep-alive 75")                      \
    X("production", http_max_connections, "8000", "--limit-concurrency 1000 of 8 workers")         \
    X("production", queue_max, "256", "INFERENCE_QUEUE_SIZE=256")                                  \
    X("production", cache_memory_bytes, "2 GiB", "maxmemory 2GB")                                  \
    X("production", limits_address_requests, "1000", "RATE_LIMIT_REQUESTS=1000")                   \
    X("low-memory", log_level, "warn", "LOG_LEVEL=WARNING")                                        \
    X("low-memory", http_idle_timeout_ms, "75000", "--timeout-keep-alive 75")                      \
    X("low-memory", http_max_connections, "4000", "--limit-concurrency 1000 of 4 workers")         \
    X("low-memory", queue_max, "100", "INFERENCE_QUEUE_SIZE=100, before it was raised to 256")     \
    X("low-memory", cache_memory_bytes, "512 MiB", "REDIS_MAXMEMORY=512mb")                        \
    X("gpu", log_level, "warn", "LOG_LEVEL=WARNING")                                               \
    X("gpu", http_idle_timeout_ms, "75000", "--timeout-keep-alive 75")                             \
    X("gpu", http_max_connections, "8000", "--limit-concurrency 1000 of 8 workers")                \
    X("gpu", queue_max, "256", "INFERENCE_QUEUE_SIZE=256")                                         \
    X("gpu", cache_memory_bytes, "2 GiB", "maxmemory 2GB")                                         \
    X("high-concurrency", log_level, "warn", "LOG_LEVEL=WARNING")                                  \
    X("high-concurrency", http_idle_timeout_ms, "75000", "--timeout-keep-alive 75")                \
    X("high-concurrency", http_max_connections, "16000", "--limit-concurrency 1000 of 16 workers") \
    X("high-concurrency", queue_max, "256", "INFERENCE_QUEUE_SIZE=256")                            \
    X("high-concurrency", cache_memory_bytes, "4 GiB", "REDIS_MAXMEMORY=4gb")

/* Ends the reading of settings: gives those that nobody set the values of the profile, then checks
 * what single values cannot tell. EINVAL: two settings do not go together. */
vly_status vly_config_complete(vly_config *c, vly_err *err) VLY_MUST_CHECK;
/* The same; reports each thing that is wrong, and those that are doubtful as warnings. */
void vly_config_complete_all(vly_config *c, const vly_config_report *to);

/* One value of a profile; NULL behind the last. */
typedef struct vly_profile_row {
    const char *profile;
    size_t idx; /* of the setting */
    const char *value, *source;
} vly_profile_row;

const vly_profile_row *vly_profile_row_at(size_t i);

/* The names by which the guides know settings. name: "WORKERS". What takes its place here, or why
 * nothing does; NULL: not one of them. */
const char *vly_guide_name_find(vly_str name);

#endif

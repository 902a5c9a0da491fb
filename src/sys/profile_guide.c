/* SPDX-License-Identifier: MIT */
/* The names of the guides' settings. They are not read: who still sets one is told what to set. */
#include "sys/profile.h"

#include "base/assert.h"

#define PER_CORE "nothing to set: a worker for each core (threads), which batches when it pays"
#define NO_DB    "there is no database pool: sessions are kept by store.path"
#define NO_DELAY                                                                                   \
    "nothing: an idle worker takes what is there at once; max_queue_delay_microseconds of a "      \
    "model's config.pbtxt makes it wait"
#define PER_MODEL "max_batch_size of a model's config.pbtxt"
#define NATIVE    "nothing: models run on the engine that is built in"
#define ORCHESTRA "nothing here: how many servers there are is for who starts them"

static const struct {
    const char *name, *instead;
} guide_names[] = {
    {"WORKERS", PER_CORE},
    {"WORKER_CLASS", "nothing: there is one kind"},
    {"INFERENCE_WORKERS", PER_CORE},
    {"INFERENCE_NUM_THREADS", PER_CORE},
    {"MAX_WORKERS", PER_CORE},
    {"INFERENCE_PREFETCH", "stream.max_in_work, for streams"},
    {"INFERENCE_QUEUE_SIZE", "queue.max"},
    {"INFERENCE_BATCH_SIZE", PER_MODEL},
    {"MAX_BATCH_SIZE", PER_MODEL},
    {"BATCH_TIMEOUT", NO_DELAY},
    {"INFERENCE_DEVICE", NATIVE},
    {"USE_ONNX", NATIVE},
    {"USE_TENSORRT", NATIVE},
    {"USE_FP16", "model.precision: bf16, or auto, which takes it where the CPU has it"},
    {"ENABLE_RATE_LIMITING", "limits.address_requests or limits.key_requests above 0"},
    {"RATE_LIMIT_REQUESTS", "limits.key_requests, or limits.address_requests, in limits.window_s"},
    {"LOG_LEVEL", "log.level"},
    {"DEBUG", "log.level debug"},
    {"KEEPALIVE", "http.idle_timeout_ms"},
    {"HOST", "http.address"},
    {"PORT", "http.port"},
    {"REDIS_URL", "cache.redis_url"},
    {"REDIS_MAXMEMORY", "cache.memory_bytes, of the tier in this process"},
    {"CACHE_TTL", "cache.ttl_prediction_s"},
    {"ENABLE_RATE_LIMITING", "limits.address_requests above 0"},
    {"RATE_LIMIT_REQUESTS", "limits.address_requests"},
    {"DB_POOL_SIZE", NO_DB},
    {"DB_MAX_OVERFLOW", NO_DB},
    {"DB_POOL_TIMEOUT", NO_DB},
    {"DB_POOL_RECYCLE", NO_DB},
    {"DB_POOL_PRE_PING", NO_DB},
    {"DB_ECHO", NO_DB},
    {"DATABASE_URL", NO_DB},
    {"MAX_TASKS_PER_CHILD", "nothing: workers need no restart"},
    {"MIN_INSTANCES", ORCHESTRA},
    {"MAX_INSTANCES", ORCHESTRA},
};

const char *vly_guide_name_find(vly_str name)
{
    for (size_t i = 0; i < VLY_COUNT(guide_names); i++)
        if (vly_str_is(name, guide_names[i].name))
            return guide_names[i].instead;
    return NULL;
}

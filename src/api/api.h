/* SPDX-License-Identifier: MIT */
/*
 * The HTTP interface: every path that the server answers, on top of net and the scheduler.
 *
 * Threads: vly_api_handle runs on loop threads and only parses small things there; requests that
 * run a model are answered from the workers. Everything here is immutable after init but
 * what is atomic.
 */
#ifndef VLY_API_API_H
#define VLY_API_API_H

#include "api/access_stats.h"
#include "base/clock.h"
#include "net/http_server.h"
#include "sched/control.h"
#include "sched/imu_sessions.h"
#include "sched/model_routes.h"
#include "sched/scheduler.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct vly_api_stats {
    vly_counter packed_bytes_before; /* bodies of answers that went out compressed */
    vly_counter packed_bytes_after;
    vly_counter unpacked_bytes_before; /* bodies of requests that came compressed */
    vly_counter unpacked_bytes_after;
} vly_api_stats;

/* What /metrics shows, and the limits that its figures are to be seen against; 0: none is known. */
typedef struct vly_metrics_opts {
    uint32_t names; /* api/metrics_families.h */
    bool summaries; /* of Triton, besides */
    size_t max_models;
    uint64_t memory_limit_bytes; /* of the process */
    double process_start_s;      /* since 1970 */
    size_t max_connections, max_sessions;
    _Atomic size_t max_queue; /* changes with the settings, as below */
} vly_metrics_opts;

/* The settings of the guide's detector, by its /config: see guide_config.c. */
#define VLY_GUIDE_KEYS 10
typedef struct vly_guide {
    vly_nsec idle_ns; /* silence after which /ws/realtime closes */
    _Atomic double value[VLY_GUIDE_KEYS];
    _Atomic unsigned is_set; /* a bit for each that has a value */
} vly_guide;

#define VLY_STEPS_NOT_HERE "steps are not detected here: there is no step model"

typedef struct vly_api {
    vly_scheduler *scheduler;       /* borrowed; outlives the server, as the next */
    vly_worker_pool *desk, *files;  /* a thread each (api/desk.h), borrowed; NULL: the workers */
    vly_control *control;           /* NULL: models do not come and go */
    vly_model_routes *model_routes; /* borrowed; NULL: there are none */
    struct vly_cache *cache;        /* of results (api/cached.h), borrowed; NULL: none */
    uint64_t cache_seed;            /* of its keys */
    const char *cache_models;       /* which it is for, by commas, * for all; "": as their
                                       configurations say. Borrowed */
    size_t n_warm_lines;            /* of api/cache_warmer.h, which sets it before requests come */
    _Atomic size_t n_warmed;        /* of them, done */
    const char *origins;            /* of pages that may come: api/origin.h, api/cors.h */
    struct vly_access *access;      /* borrowed; NULL: neither keys nor limits */
    bool needs_keys;                /* access asks for them */
    bool has_admin_listener;        /* which alone does what needs the scope admin */
    /* Atomic: what may change while requests run. */
    _Atomic size_t max_parts; /* of a multipart body */
    _Atomic size_t max_json_depth;
    _Atomic size_t max_json_bytes;   /* memory for one parsed JSON body */
    size_t max_body_bytes;           /* of a request that comes compressed: what comes out of it */
    _Atomic size_t max_answer_bytes; /* body of one answer */
    _Atomic size_t max_stream_requests; /* of one stream, waiting or in work */
    _Atomic size_t max_stream_in_work;  /* of them, in work */
    vly_picture_limits picture_limits;  /* of pictures that stand in for tensors */
    /* Answers this large are compressed for who takes it; 0: none. */
    _Atomic size_t compress_min_bytes;
    struct vly_line_log *access_log;           /* borrowed; NULL: none */
    struct vly_route_stats *route_stats;       /* borrowed; NULL: not kept */
    struct vly_metrics_window *metrics_window; /* borrowed */
    struct vly_performance *performance;       /* borrowed */
    vly_metrics_opts metrics;
    struct vly_shared_memory *shared_memory; /* borrowed; NULL: not offered */
    struct vly_settings *settings;           /* borrowed */
    struct vly_tracer *tracer;               /* borrowed; NULL: nothing is traced */
    struct vly_config_live *config;          /* borrowed; NULL: settings are not shown */
    vly_step_model *step_model;      /* borrowed, as the next; NULL: no steps are detected here */
    vly_imu_sessions *imu_sessions;  /* of step_model, as the next */
    struct vly_store_backup *backup; /* of the store of imu_sessions; NULL: there is none */
    struct vly_steps_pool *steps_pool;
    struct vly_mqtt *mqtt;             /* borrowed, for its figures, as the next; NULL: none */
    struct vly_steps_mqtt *steps_mqtt; /* fed by mqtt */
    struct vly_redis *redis;           /* the same; NULL: none */
    _Atomic size_t max_imu_readings;   /* of one recording */
    double imu_rate_hz;                /* of streamed readings that bring no times */
    vly_guide guide;
    vly_nsec started_ns;
    uint64_t id_seed; /* of request ids: another one for each process */
    _Atomic uint64_t n_ids;
    vly_api_stats stats;
    vly_access_stats access_stats;
    _Atomic bool is_draining; /* health says so, that balancers send nobody here any more */
} vly_api;

/* For vly_http_limits: the first tensor, behind a JSON head or in a gRPC message. */
size_t vly_api_body_aligned_at(const vly_http_msg *msg);

/* The handler to give to the server, with a vly_api as its ctx. */
void vly_api_handle(void *ctx, vly_http_request *req);
/* The same for the admin listener. */
void vly_api_handle_admin(void *ctx, vly_http_request *req);
/* The on_turn to give to it: runs what the requests of this turn have left for its end. True: some
 * of it is left. */
bool vly_api_turn(void *ctx, unsigned loop_idx);

/* The on_finished to give to it: writes the access log, counts. */
void vly_api_finished(void *ctx, const vly_http_request *req, const vly_http_finished *f);

/* Some model serves, the cache is warm and the server is not draining: it should get requests.
 * Thread: any. */
bool vly_api_is_ready(const vly_api *api);

#endif

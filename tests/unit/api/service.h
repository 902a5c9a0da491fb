/* SPDX-License-Identifier: MIT */
/*
 * The whole HTTP interface on loopback, with models made on the spot, and a client that waits.
 *
 *   simple      OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 - INPUT1, int32 [N, 16]
 *   id_FP32 …   y = x, one for each datatype of the protocol, [N, M]
 *   id_INT4     the same of a type that the protocol has no name for
 *   fixed       y = x, float32 [2, 3]
 *   odd name    y = x, float32 [N]: in a path its name needs an escape
 *   batches     y = x, float32 [N], with a config.pbtxt that says max_batch_size 2
 *   colour      a classifier of 8 x 8 pictures: the mean of each channel; red, green, blue
 *   colours     the same for a batch of any size
 *   boxes       a detector of 32 x 32 pictures that always sees a cat (0.9) and a dog (0.6)
 *   broken      not an ONNX file
 */
#ifndef VLY_TESTS_SERVICE_H
#define VLY_TESTS_SERVICE_H

#include "api/api.h"
#include "api/settings.h"
#include "api/steps_pool.h"
#include "cache/result_cache.h"
#include "support/temp_dir.h"
#include "sys/shared_memory.h"
#include "unit.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct service {
    char dir[TEMP_DIR_PATH_MAX];
    vly_scheduler *scheduler;
    vly_worker_pool *desk, *files;
    vly_settings *settings;
    struct vly_route_stats *route_stats;
    struct vly_metrics_window *metrics_window;
    struct vly_performance *performance; /* sampled by hand */
    vly_shared_memory *shared_memory;
    vly_step_model *step_model;
    vly_imu_sessions *imu_sessions;
    vly_steps_pool *steps_pool;
    vly_cache *cache; /* NULL: none */
    vly_api api;
    vly_http_server *server;
} service;

extern service svc;

int service_start(void **state); /* setup and teardown of a test */
int service_start_without_steps(void **state);
/* With a cache for all models. */
int service_start_cached(void **state);
int service_stop(void **state);

typedef struct reply {
    int status;
    const char *head; /* NUL-terminated header lines */
    const char *body; /* NUL-terminated, may hold other NULs */
    size_t body_len;
} reply;

/* Sends one request on a connection of its own and waits for the answer. headers: lines that end
 * with CR LF, or "". Valid until the next call. */
reply ask(const char *method, const char *target, const char *headers, const void *body,
          size_t len);
/* The two halves of that: the connection, to be given to the second. */
int service_send(const char *method, const char *target, const char *headers, const void *body,
                 size_t len);
reply service_receive(int fd);
reply get(const char *target);
reply post(const char *target, const char *json);

/* Keeps both workers busy until they are released. */
void service_hold_workers(void);
void service_release_workers(void);
/* Until a job of this model waits for a worker. */
void service_wait_pending(const char *model);

/* Offers a model; file NULL: an ensemble. config, NULL: none, and file are paths. It counts as
 * loaded from files of that stamp. */
void service_add(const char *name, const char *file, const char *config, uint64_t stamp);

/* A connection of its own, for who speaks HTTP himself; reads give up after a minute. */
int service_connect(void);

/* Value of a header in a static buffer; NULL when there is none. */
const char *header(const reply *r, const char *name);
void assert_reply(reply r, int status, const char *body);
/* The body holds text. */
void assert_says(reply r, int status, const char *text);

/* A PNG of one colour. Release with vly_buf_release. */
vly_buf picture_of(uint32_t width, uint32_t height, uint8_t red, uint8_t green, uint8_t blue);

#endif

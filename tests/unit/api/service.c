/* SPDX-License-Identifier: MIT */
#include "service.h"

#include "api/metrics_families.h"
#include "api/metrics_window.h"
#include "api/performance.h"
#include "api/route_stats.h"
#include "base/assert.h"
#include "codec/picture.h"
#include "support/onnx_builder.h"
#include "sys/file.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define REPLY_MAX  ((size_t)64 << 20)
#define PATIENCE_S 60
#define N_WORKERS  2

service svc;

static char *path_of(const char *file)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", svc.dir, file);
    return path;
}

void service_add(const char *name, const char *file, const char *config, uint64_t stamp)
{
    const vly_servable_spec spec = {.path = file,
                                    .name = name,
                                    .version = "1",
                                    .config_path = config,
                                    .options = VLY_MODEL_OPTIONS_DEFAULT};
    vly_served *m;
    vly_err err;

    if (vly_scheduler_load(svc.scheduler, &spec, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    m->stamp = stamp;
    if (vly_scheduler_publish(svc.scheduler, m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_served_unref(m);
}

static void add(const char *name, const char *file, const char *config)
{
    service_add(name, file, config, 0);
}

/* Ends the model, writes it and adds it under that name. */
static void finish(onnx_builder *b, const char *name, const char *config)
{
    char file[64];

    snprintf(file, sizeof(file), "%s.onnx", name);
    vly_str bytes = ob_finish(b, 17);
    assert_int_equal(vly_file_write(path_of(file), bytes.ptr, bytes.len, NULL), VLY_OK);
    ob_release(b);
    add(name, path_of(file), config);
}

static void add_identity(const char *name, int type, int rank, const int64_t *dims,
                         const char *config)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", type, rank, dims);
    ob_output(&b, "y", type, rank, dims);
    ob_node(&b, "Identity", "x", "y");
    finish(&b, name, config);
}

static void add_identities(void)
{
    static const struct {
        const char *name;
        int type;
    } rows[] = {
        {"id_BOOL", OB_BOOL},     {"id_UINT8", OB_UINT8},  {"id_UINT16", OB_UINT16},
        {"id_UINT32", OB_UINT32}, {"id_INT8", OB_INT8},    {"id_UINT64", OB_UINT64},
        {"id_INT16", OB_INT16},   {"id_INT32", OB_INT32},  {"id_INT64", OB_INT64},
        {"id_FP16", OB_FLOAT16},  {"id_FP32", OB_FLOAT},   {"id_BF16", OB_BFLOAT16},
        {"id_FP64", OB_DOUBLE},   {"id_BYTES", OB_STRING}, {"id_INT4", OB_INT4},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        add_identity(rows[i].name, rows[i].type, 2, (int64_t[]){-1, -1}, NULL);
}

static void add_simple(void)
{
    const int64_t dims[] = {-1, 16};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "INPUT0", OB_INT32, 2, dims);
    ob_input(&b, "INPUT1", OB_INT32, 2, dims);
    ob_output(&b, "OUTPUT0", OB_INT32, 2, dims);
    ob_output(&b, "OUTPUT1", OB_INT32, 2, dims);
    ob_node(&b, "Add", "INPUT0,INPUT1", "OUTPUT0");
    ob_node(&b, "Sub", "INPUT0,INPUT1", "OUTPUT1");
    finish(&b, "simple", NULL);
}

static void add_colour(const char *name, int64_t batch)
{
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "images", OB_FLOAT, 4, (int64_t[]){batch, 3, 8, 8});
    ob_output(&b, "scores", OB_FLOAT, 2, (int64_t[]){batch, 3});
    ob_node(&b, "GlobalAveragePool", "images", "mean");
    ob_node(&b, "Flatten", "mean", "scores");
    ob_prop(&b, "task", "classify");
    ob_prop(&b, "names", "{0: 'red', 1: 'green', 2: 'blue'}");
    finish(&b, name, NULL);
}

static void add_boxes(void)
{
    const float rows[] = {2, 4, 12, 16, 0.9f, 0, 20, 8, 30, 28, 0.6f, 1};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "images", OB_FLOAT, 4, (int64_t[]){1, 3, 32, 32});
    ob_output(&b, "output0", OB_FLOAT, 3, (int64_t[]){1, 2, 6});
    ob_floats(&b, "rows", 3, (int64_t[]){1, 2, 6}, rows);
    ob_node(&b, "Identity", "rows", "output0");
    ob_prop(&b, "task", "detect");
    ob_prop(&b, "end2end", "True");
    ob_prop(&b, "names", "['cat', 'dog']");
    finish(&b, "boxes", NULL);
}

static void add_models(void)
{
    static const char config[] = "max_batch_size: 2";
    char path[256];

    add_simple();
    add_identities();
    add_identity("fixed", OB_FLOAT, 2, (int64_t[]){2, 3}, NULL);
    add_identity("odd name", OB_FLOAT, 1, (int64_t[]){-1}, NULL);
    snprintf(path, sizeof(path), "%s", path_of("config.pbtxt"));
    assert_int_equal(vly_file_write(path, config, strlen(config), NULL), VLY_OK);
    add_identity("batches", OB_FLOAT, 1, (int64_t[]){-1}, path);
    add_colour("colour", 1);
    add_colour("colours", -1);
    add_boxes();
    assert_int_equal(vly_file_write(path_of("broken.onnx"), "?", 1, NULL), VLY_OK);
    add("broken", path_of("broken.onnx"), NULL);
}

static void start_steps(void)
{
    vly_imu_sessions_opts opts = {.n_loops = 1,
                                  .max_sessions = 100,
                                  .max_waiting = 8192,
                                  .max_waiting_all = 65536,
                                  .idle_ns = 60 * VLY_NSEC_PER_SEC};
    vly_err err;

    if (vly_step_model_load(NULL, -1, &svc.step_model, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    opts.model = svc.step_model;
    if (vly_imu_sessions_new(&opts, &svc.imu_sessions, &err) != VLY_OK ||
        vly_steps_pool_new(svc.step_model, 4, 2, &svc.steps_pool, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static vly_cache *new_cache(void)
{
    vly_cache_opts opts = {.memory_bytes = 1 << 20, .pack_min_bytes = SIZE_MAX};
    vly_cache *c;

    for (int i = 0; i < VLY_CACHE_CLASS_N; i++)
        opts.ttl_ns[i] = 3600 * VLY_NSEC_PER_SEC;
    if (vly_cache_new(&opts, &c, NULL) != VLY_OK)
        fail_msg("out of memory");
    return c;
}

static int start(bool has_steps, bool has_cache)
{
    const vly_scheduler_opts opts = {.n_threads = N_WORKERS,
                                     .max_waiting = 16,
                                     .n_loops = 1,
                                     .max_scratch_bytes = 8 << 20,
                                     .picture_limits = VLY_PICTURE_LIMITS_INIT};
    vly_err err;

    svc = (service){.dir = ""};
    if (!temp_dir_make(svc.dir) || vly_scheduler_new(&opts, &svc.scheduler, NULL) != VLY_OK)
        return -1;
    if (vly_worker_pool_new(1, SIZE_MAX, &svc.desk, NULL) != VLY_OK ||
        vly_worker_pool_new(1, SIZE_MAX, &svc.files, NULL) != VLY_OK ||
        vly_settings_new(&svc.settings, NULL) != VLY_OK ||
        vly_route_stats_new(&svc.route_stats, NULL) != VLY_OK ||
        vly_metrics_window_new(vly_clock_now(), &svc.metrics_window, NULL) != VLY_OK ||
        vly_shared_memory_new(4, &svc.shared_memory, NULL) != VLY_OK)
        return -1;
    const vly_performance_opts performance = {
        .scheduler = svc.scheduler, .n_cores = 2, .memory_bytes = 1 << 30, .max_series = 64};
    if (vly_performance_new(&performance, &svc.performance, NULL) != VLY_OK)
        return -1;
    add_models();
    if (has_steps)
        start_steps();
    svc.cache = has_cache ? new_cache() : NULL;
    svc.api = (vly_api){.scheduler = svc.scheduler,
                        .desk = svc.desk,
                        .files = svc.files,
                        .cache = svc.cache,
                        .cache_models = "*",
                        .origins = "https://a.example, http://b.example:3000",
                        .max_parts = 4,
                        .max_stream_requests = 64,
                        .max_stream_in_work = 4,
                        .max_json_depth = 32,
                        .max_json_bytes = 1 << 20,
                        .max_body_bytes = 4 << 20,
                        .max_answer_bytes = REPLY_MAX,
                        .picture_limits = VLY_PICTURE_LIMITS_INIT,
                        .compress_min_bytes = 1000,
                        .settings = svc.settings,
                        .shared_memory = svc.shared_memory,
                        .step_model = svc.step_model,
                        .imu_sessions = svc.imu_sessions,
                        .steps_pool = svc.steps_pool,
                        .max_imu_readings = 100000,
                        .imu_rate_hz = 80,
                        .route_stats = svc.route_stats,
                        .metrics_window = svc.metrics_window,
                        .performance = svc.performance,
                        .metrics = {.names = VLY_METRICS_ALL,
                                    .summaries = true,
                                    .max_models = 100,
                                    .memory_limit_bytes = 1000000,
                                    .max_queue = 64},
                        .guide = {.idle_ns = 300 * VLY_NSEC_PER_SEC},
                        .started_ns = vly_clock_now()};
    const vly_http_opts http = {.address = "127.0.0.1",
                                .n_loops = 1,
                                .max_connections = 64,
                                .max_pipelined = 8,
                                .limits = {.max_header_bytes = 4096,
                                           .max_headers = 32,
                                           .max_body_bytes = 4 << 20,
                                           .max_scratch_bytes = 1 << 20},
                                .max_body_total_bytes = 64 << 20,
                                .header_timeout_ms = 20000,
                                .body_timeout_ms = 20000,
                                .body_min_rate = 1 << 20,
                                .idle_timeout_ms = 20000,
                                .write_timeout_ms = 20000,
                                .abort_on_close = true,
                                .on_request = vly_api_handle,
                                .on_turn = vly_api_turn,
                                .on_finished = vly_api_finished,
                                .ctx = &svc.api};
    if (vly_http_server_start(&http, &svc.server, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return 0;
}

int service_start(void **state)
{
    (void)state;
    return start(true, false);
}

int service_start_without_steps(void **state)
{
    (void)state;
    return start(false, false);
}

int service_start_cached(void **state)
{
    (void)state;
    return start(true, true);
}

int service_stop(void **state)
{
    (void)state;
    vly_http_server_free(svc.server);
    vly_worker_pool_free(svc.files); /* before the desk, which packs its answers */
    vly_worker_pool_free(svc.desk);
    vly_scheduler_free(svc.scheduler);
    vly_cache_free(svc.cache);
    svc.cache = NULL;
    vly_imu_sessions_free(svc.imu_sessions);
    vly_steps_pool_free(svc.steps_pool);
    vly_step_model_unref(svc.step_model);
    vly_settings_free(svc.settings);
    vly_performance_free(svc.performance);
    vly_metrics_window_free(svc.metrics_window);
    vly_route_stats_free(svc.route_stats);
    vly_shared_memory_free(svc.shared_memory);
    return temp_dir_remove(svc.dir) ? 0 : -1;
}

/* ---- workers that wait ---- */

static struct {
    vly_work work[N_WORKERS];
    sem_t began, gate, ended;
} hold;

static void wait_at_gate(vly_work *work)
{
    (void)work;
    sem_post(&hold.began);
    sem_wait(&hold.gate);
    sem_post(&hold.ended);
}

void service_hold_workers(void)
{
    sem_init(&hold.began, 0, 0);
    sem_init(&hold.gate, 0, 0);
    sem_init(&hold.ended, 0, 0);
    for (int i = 0; i < N_WORKERS; i++) {
        hold.work[i] = (vly_work){.run = wait_at_gate};
        assert_int_equal(vly_worker_pool_submit(vly_scheduler_pool(svc.scheduler), &hold.work[i]),
                         VLY_OK);
    }
    for (int i = 0; i < N_WORKERS; i++)
        sem_wait(&hold.began);
}

void service_release_workers(void)
{
    for (int i = 0; i < N_WORKERS; i++)
        sem_post(&hold.gate);
    for (int i = 0; i < N_WORKERS; i++)
        sem_wait(&hold.ended);
}

void service_wait_pending(const char *model)
{
    vly_served *m = vly_scheduler_find(svc.scheduler, vly_str_from(model), VLY_STR(""));
    vly_nsec end = vly_clock_now() + PATIENCE_S * VLY_NSEC_PER_SEC;

    while (vly_gauge_get(&m->stats.pending) == 0 && vly_clock_now() < end)
        sched_yield();
    int64_t n = vly_gauge_get(&m->stats.pending);
    vly_served_unref(m);
    if (n != 1)
        service_release_workers(); /* or nothing would end */
    assert_int_equal(n, 1);
}

/* ---- requests ---- */

int service_connect(void)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(vly_http_server_port(svc.server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may answer before it has read all */
        bytes += n;
        len -= (size_t)n;
    }
}

static reply split(vly_buf *text)
{
    char *end = memmem(text->ptr, text->len, "\r\n\r\n", 4);
    reply r = {.head = text->ptr};
    int64_t status;

    assert_non_null(end);
    assert_memory_equal(text->ptr, "HTTP/1.1 ", 9);
    end[2] = '\0';
    assert_true(vly_str_to_i64((vly_str){text->ptr + 9, 3}, &status));
    r.status = (int)status;
    r.body = end + 4;
    r.body_len = text->len - (size_t)(r.body - text->ptr);
    return r;
}

int service_send(const char *method, const char *target, const char *headers, const void *body,
                 size_t len)
{
    char head[4096];
    int fd = service_connect();

    snprintf(head, sizeof(head),
             "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n",
             method, target, len, headers);
    send_all(fd, head, strlen(head));
    send_all(fd, body, len);
    return fd;
}

reply service_receive(int fd)
{
    static vly_buf text;
    ssize_t n;

    vly_buf_release(&text);
    vly_buf_init(&text, VLY_MEM_NET, REPLY_MAX);
    do {
        char piece[16384];
        n = recv(fd, piece, sizeof(piece), 0);
        if (n > 0)
            vly_buf_add(&text, piece, (size_t)n);
    } while (n > 0);
    close(fd);
    assert_true(n == 0 && text.len > 0 && !text.failed);
    return split(&text);
}

reply ask(const char *method, const char *target, const char *headers, const void *body, size_t len)
{
    return service_receive(service_send(method, target, headers, body, len));
}

reply get(const char *target)
{
    return ask("GET", target, "", NULL, 0);
}

reply post(const char *target, const char *json)
{
    return ask("POST", target, "Content-Type: application/json\r\n", json, strlen(json));
}

const char *header(const reply *r, const char *name)
{
    static char value[256];
    vly_str rest = vly_str_from(r->head);

    while (rest.ptr != NULL) {
        vly_str line = vly_str_split(&rest, '\n');
        vly_str key = vly_str_split(&line, ':');
        if (line.ptr == NULL || !vly_str_eq_nocase(key, vly_str_from(name)))
            continue;
        snprintf(value, sizeof(value), "%.*s", VLY_STR_ARG(vly_str_trim(line)));
        return value;
    }
    return NULL;
}

void assert_reply(reply r, int status, const char *body)
{
    if (r.status != status)
        fail_msg("expected %d, got %d: %s", status, r.status, r.body);
    assert_string_equal(r.body, body);
}

void assert_says(reply r, int status, const char *text)
{
    if (r.status != status || strstr(r.body, text) == NULL)
        fail_msg("expected %d and '%s', got %d: %s", status, text, r.status, r.body);
}

vly_buf picture_of(uint32_t width, uint32_t height, uint8_t red, uint8_t green, uint8_t blue)
{
    vly_picture p;
    vly_buf png;

    vly_buf_init(&png, VLY_MEM_CODEC, REPLY_MAX);
    assert_int_equal(vly_picture_new(width, height, &p, NULL), VLY_OK);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint8_t *pixel = p.pixels + y * p.stride + 3 * (size_t)x;
            pixel[0] = red;
            pixel[1] = green;
            pixel[2] = blue;
        }
    }
    assert_int_equal(vly_picture_encode_png(&p, &png, NULL), VLY_OK);
    vly_picture_release(&p);
    return png;
}

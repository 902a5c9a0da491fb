/* SPDX-License-Identifier: MIT */
/*
 * `volley serve`: models of a directory behind HTTP, until SIGTERM or SIGINT.
 *
 * Order of life: settings, models, certificate, listen, warm the cache; then, on the signal: health
 * turns not-ready, the server answers what it has accepted and closes, the workers end, the models
 * go.
 */
#include "api/access.h"
#include "api/access_log.h"
#include "api/api.h"
#include "api/grpc.h"
#include "api/settings.h"
#include "base/assert.h"
#include "base/log.h"
#include "cli/certificate.h"
#include "cli/command.h"
#include "cli/read_settings.h"
#include "cli/serve_access.h"
#include "cli/serve_cache.h"
#include "cli/serve_metrics.h"
#include "cli/serve_models.h"
#include "cli/serve_mqtt.h"
#include "cli/serve_otlp.h"
#include "cli/serve_redis.h"
#include "cli/serve_reload.h"
#include "cli/serve_routes.h"
#include "cli/serve_steps.h"
#include "sched/batch_rules.h"
#include "sys/config.h"
#include "sys/line_log.h"
#include "sys/shared_memory.h"
#include "volley/version.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_BESIDE 64 /* open files that are not connections */

typedef struct serve_opts {
    const char *models;
    const char *config;
    const char *profile;
    const char *address;
    int64_t port; /* -1: not given */
    const char *model_control;
    vly_opt_list load_model;
    const char *store;
    bool allow_client_shm;
    const char *keys;
    bool open;
    vly_opt_list set;
} serve_opts;

static const serve_opts defaults = {.port = -1};

static const vly_opt options[] = {
    VLY_OPT(serve_opts, models, 'm', TEXT, "models", "DIR",
            "models to serve: NAME.onnx, NAME/1/model.onnx, or one .onnx file (default: models)"),
    VLY_OPT(serve_opts, config, 'c', TEXT, "config", "FILE", "settings, in YAML"),
    VLY_OPT(serve_opts, profile, 'P', TEXT, "profile", "NAME",
            "defaults for a purpose: development, staging, production, low-memory, gpu, "
            "high-concurrency"),
    VLY_OPT(serve_opts, address, 'a', TEXT, "address", "ADDRESS",
            "address to listen on (default: 127.0.0.1)"),
    VLY_OPT(serve_opts, port, 'p', INT, "port", "PORT",
            "port to listen on; 0 takes a free one (default: 8000)"),
    VLY_OPT(serve_opts, model_control, 'M', TEXT, "model-control", "MODE",
            "when models come and go: none, poll or explicit (default: none)"),
    VLY_OPT(serve_opts, load_model, 'l', LIST, "load-model", "NAME",
            "with explicit control, a model to load at start; * for all"),
    VLY_OPT(serve_opts, store, 0, TEXT, "store", "FILE",
            "SQLite file for sessions, which then outlive the process (store.path)"),
    VLY_OPT(serve_opts, allow_client_shm, 0, FLAG, "allow-client-shm", NULL,
            "let clients pass tensors in shared memory: they must be trusted like the server"),
    VLY_OPT(serve_opts, keys, 'k', TEXT, "keys", "FILE",
            "API keys, of volley key mint: requests need one (access.keys)"),
    VLY_OPT(serve_opts, open, 0, FLAG, "open", NULL,
            "listen beyond loopback without keys: everybody may do everything (access.open)"),
    VLY_OPT(serve_opts, set, 's', LIST, "set", "NAME=VALUE", "one setting, as in the file"),
    VLY_OPT_END,
};

/* A process that serves; zeroed, then filled from top to bottom, ended from bottom to top. */
typedef struct server {
    const serve_opts *opts;
    vly_config config; /* of the start; what may change since is handed on by users */
    vly_config_live *live;
    vly_serve_users users;
    vly_serve_otlp otlp;
    vly_scheduler *scheduler;
    vly_control *control;
    vly_line_log *access_log;         /* NULL: off */
    vly_shared_memory *shared_memory; /* NULL: not offered */
    vly_settings *settings;
    vly_serve_steps steps;
    vly_serve_mqtt mqtt;
    vly_serve_routes routes;
    vly_redis *redis; /* NULL: none */
    vly_serve_cache cache;
    vly_serve_metrics metrics;
    vly_serve_access access;
    vly_api api;
    vly_tls *tls; /* NULL: plain HTTP */
    vly_http_server *http;
} server;

/* The file, then the environment, then the command line. */
static vly_status read_settings(vly_config *c, const serve_opts *o, vly_err *err)
{
    char port[24];

    snprintf(port, sizeof(port), "%lld", (long long)o->port);
    const struct {
        const char *name, *value;
    } given[] = {
        {"models.dir", o->models},
        {"models.control", o->model_control},
        {"store.path", o->store},
        {"http.address", o->address},
        {"http.allow_client_shm", o->allow_client_shm ? "true" : NULL},
        {"access.keys", o->keys},
        {"access.open", o->open ? "true" : NULL},
        {"http.port", o->port != defaults.port ? port : NULL},
    };
    vly_status st = vly_read_settings_begin(c, o->config, err);
    for (size_t i = 0; st == VLY_OK && i < VLY_COUNT(given); i++)
        st = vly_read_settings_option(c, given[i].name, given[i].value, err);
    if (st == VLY_OK)
        st = vly_serve_set_load(c, &o->load_model, err);
    return st == VLY_OK ? vly_read_settings_end(c, o->profile, &o->set, err) : st;
}

static vly_picture_limits picture_limits(const vly_config *c)
{
    vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

    limits.max_bytes = c->picture_max_bytes;
    limits.max_pixels = (uint64_t)c->picture_max_pixels;
    limits.max_dim = (uint32_t)c->picture_max_dim;
    return limits;
}

static vly_status start_scheduler(server *s, vly_err *err)
{
    const vly_config *c = &s->config;
    vly_scheduler_opts o = {.n_threads = (unsigned)c->threads,
                            .max_waiting = (size_t)c->queue_max,
                            .max_wait_ns = (vly_nsec)c->queue_max_wait_ms * VLY_NSEC_PER_MS,
                            .max_sequences = (size_t)c->sequence_max,
                            .n_loops = (unsigned)c->http_loops,
                            .execution = c->model_execution,
                            .resources = c->rate_resources,
                            .max_scratch_bytes = c->http_max_scratch_bytes,
                            .picture_limits = picture_limits(c)};

    vly_execution unused;
    vly_status st = vly_execution_parse(vly_str_from(o.execution), &unused, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'model.execution'");
    return vly_scheduler_new(&o, &s->scheduler, err);
}

static unsigned n_workers(const server *s)
{
    return vly_worker_pool_threads(vly_scheduler_pool(s->scheduler));
}

static vly_status open_access_log(server *s, vly_err *err)
{
    const char *path = s->config.http_access_log;

    if (strcmp(path, "off") == 0)
        return VLY_OK;
    vly_status st = vly_line_log_open(path, s->config.http_access_log_bytes, &s->access_log, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "setting 'http.access_log'");
}

/* Another one in each process; the clock will do where the system has no random bytes yet. */
static uint64_t random_seed(void)
{
    uint64_t seed = vly_clock_unix_ms() ^ ((uint64_t)getpid() << 44);

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        vly_debug("no random bytes for request ids: the clock is their seed");
    return seed;
}

static void apply_again(void *ctx, const vly_config *old, const vly_config *c)
{
    server *s = ctx;

    vly_serve_apply(&s->users, old, c);
}

static bool is_cold(void *ctx, size_t idx)
{
    const server *s = ctx;

    return vly_serve_is_cold(&s->users, idx);
}

static vly_status read_again(void *ctx, vly_config *c, vly_err *err)
{
    const server *s = ctx;

    return read_settings(c, s->opts, err);
}

static vly_status read_routes(void *ctx, vly_buf *members, vly_err *err)
{
    const server *s = ctx;
    bool is_new = false;
    vly_status st = vly_model_routes_reload(s->routes.routes, &is_new, err);

    if (st == VLY_OK && is_new)
        vly_buf_puts(members, ",\"routes\":true");
    return st;
}

/* From here on settings may be read again. */
static vly_status open_settings(server *s, vly_err *err)
{
    const vly_config_live_opts o = {.read = read_again,
                                    .read_more = read_routes,
                                    .apply = apply_again,
                                    .is_cold = is_cold,
                                    .ctx = s};

    s->users.scheduler = s->scheduler;
    s->users.api = &s->api;
    s->users.tls_check_ms = s->config.tls_check_ms;
    s->users.access_check_ms = s->config.access_check_ms;
    s->users.drain_timeout_ms = s->config.drain_timeout_ms;
    return vly_config_live_new(&o, &s->config, &s->live, err);
}

static vly_status open_traces(server *s, vly_err *err)
{
    vly_status st = vly_serve_otlp_open(&s->config, s->settings, random_seed(), &s->otlp, err);

    s->users.tracer = vly_serve_otlp_tracer(&s->otlp);
    return st;
}

/* What the interface needs besides models. */
static vly_status prepare_api(server *s, vly_err *err)
{
    vly_status st = open_access_log(s, err);

    if (st == VLY_OK)
        st = vly_settings_new(&s->settings, err);
    if (st == VLY_OK)
        st = vly_serve_metrics_open(&s->config, s->scheduler, s->routes.routes, &s->metrics, err);
    if (st == VLY_OK)
        st = vly_serve_access_open(&s->config, random_seed(), &s->access, err);
    if (st == VLY_OK && s->config.http_allow_client_shm)
        st = vly_shared_memory_new((size_t)s->config.http_max_shm_regions, &s->shared_memory, err);
    return st;
}

static vly_status start_http(server *s, vly_err *err)
{
    const vly_config *c = &s->config;
    vly_http_opts o = {
        .address = c->http_address,
        .port = (uint16_t)c->http_port,
        .n_loops = (unsigned)c->http_loops,
        .max_connections = (unsigned)c->http_max_connections,
        .max_pipelined = (unsigned)c->http_max_pipelined,
        .limits = {.max_header_bytes = c->http_max_header_bytes,
                   .max_headers = (size_t)c->http_max_headers,
                   .max_body_bytes = c->http_max_body_bytes,
                   .body_aligned_at = vly_api_body_aligned_at,
                   .max_scratch_bytes = c->http_max_scratch_bytes},
        .max_body_total_bytes = c->http_max_body_total_bytes,
        .abort_on_close = c->http_abort_on_close,
        .tls = s->tls,
        .http2_max_streams = (unsigned)c->http2_max_streams,
        .http2_max_noise = (unsigned)c->http2_max_noise,
        .http2_window_bytes = c->http2_window_bytes,
        .http2_conn_window_bytes = c->http2_conn_window_bytes,
        .websocket_protocol = VLY_ACCESS_PROTOCOL,
        .stream_max_message_bytes = c->stream_max_message_bytes,
        .stream_max_in_bytes = c->stream_max_in_bytes,
        .stream_max_out_bytes = c->stream_max_out_bytes,
        .stream_ping_ms = (unsigned)c->stream_ping_ms,
        .stream_idle_ms = (unsigned)c->stream_idle_ms,
        .on_request = vly_api_handle,
        .on_turn = vly_api_turn,
        .is_stream = vly_grpc_is_stream,
        .on_finished = vly_api_finished,
        .max_body = s->access.access != NULL ? vly_access_max_body : NULL,
        .may_go_on = vly_access_may_go_on,
        .ctx = &s->api,
    };

    s->api = (vly_api){.scheduler = s->scheduler,
                       .control = s->control,
                       .model_routes = s->routes.routes,
                       .cache = s->cache.cache,
                       .cache_seed = s->cache.seed,
                       .cache_models = c->cache_models,
                       .origins = c->http_origins,
                       .max_body_bytes = c->http_max_body_bytes,
                       .picture_limits = picture_limits(c),
                       .access = s->access.access,
                       .needs_keys = s->access.keys != NULL,
                       .has_admin_listener = c->admin_port >= 0,
                       .access_log = s->access_log,
                       .route_stats = s->metrics.routes,
                       .metrics_window = s->metrics.window,
                       .desk = s->metrics.desk,
                       .files = s->metrics.files,
                       .performance = s->metrics.performance,
                       .metrics = s->metrics.opts,
                       .shared_memory = s->shared_memory,
                       .settings = s->settings,
                       .config = s->live,
                       .tracer = s->users.tracer,
                       .step_model = s->steps.model,
                       .imu_sessions = s->steps.sessions,
                       .backup = s->steps.backup,
                       .steps_pool = s->steps.pool,
                       .guide = {.idle_ns = (vly_nsec)c->guide_idle_ms * VLY_NSEC_PER_MS},
                       .mqtt = s->mqtt.client,
                       .steps_mqtt = s->mqtt.steps,
                       .redis = s->redis,
                       .imu_rate_hz = (double)c->imu_rate_hz,
                       .id_seed = random_seed(),
                       .started_ns = vly_clock_now()};
    s->users.cache = s->cache.cache;
    s->users.access = s->access.access;
    s->users.has_address_limits = vly_serve_access_has_limits(c);
    vly_serve_api_limits(c, &s->api);
    vly_serve_http_times(c, &o);
    vly_status st = vly_serve_cache_prepare(&s->config, &s->api, n_workers(s), &s->cache, err);
    if (st == VLY_OK)
        st = vly_http_server_start(&o, &s->http, err);
    s->users.http = s->http;
    if (st == VLY_OK)
        st = vly_serve_access_listen(c, &o, &s->access, err);
    s->users.admin = s->access.admin;
    if (st == VLY_OK)
        vly_config_live_apply(s->live); /* of a reload that came before the servers were known */
    return st;
}

/* A descriptor for each connection, as far as the system lets us. */
static void raise_file_limit(rlim_t n_connections)
{
    struct rlimit limit;
    rlim_t want = n_connections + FILES_BESIDE;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < want)
        vly_warn("the limit of open files allows fewer than %llu connections",
                 (unsigned long long)n_connections);
}

#ifdef M_TRIM_THRESHOLD
enum { MAP_BYTES = 32 << 20, TRIM_BYTES = 128 << 20 }; /* at most: glibc's own limit; of an arena */

/* What one request frees the next one takes. Bodies and tensors of megabytes, given back to the
 * kernel each time, would be faulted in and zeroed again page by page. */
static void keep_freed_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, MAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}
#else
static void keep_freed_memory(void)
{
}
#endif

/* Ends the server; true when everything accepted was answered. A second SIGINT ends it at once. */
static bool drain(server *s, const sigset_t *signals)
{
    sigset_t interrupt;

    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
    atomic_store(&s->api.is_draining, true);
    vly_store_backup_stop(s->steps.backup);
    vly_cache_warmer_stop(s->cache.warmer);
    bool is_drained = vly_http_server_drain(s->http, (unsigned)s->users.drain_timeout_ms);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    return is_drained;
}

static void print_url(const server *s)
{
    const char *address = s->config.http_address;
    bool is_v6 = strchr(address, ':') != NULL;

    printf("listening on %s://%s%s%s:%u\n", s->tls != NULL ? "https" : "http", is_v6 ? "[" : "",
           address, is_v6 ? "]" : "", vly_http_server_port(s->http));
}

/* Files that are looked at again and again; when that was last. */
typedef struct watch {
    vly_nsec certificate, keys;
} watch;

static bool is_due(vly_nsec *last, int64_t every_ms, vly_nsec now, bool is_forced)
{
    bool is = is_forced || now - *last >= (vly_nsec)every_ms * VLY_NSEC_PER_MS;

    if (is)
        *last = now;
    return is;
}

static void look(server *s, watch *w, bool is_forced)
{
    vly_nsec now = vly_clock_now();

    if (is_due(&w->certificate, s->users.tls_check_ms, now, is_forced))
        vly_certificate_check(s->tls, is_forced);
    if (is_due(&w->keys, s->users.access_check_ms, now, is_forced))
        vly_serve_access_check(&s->access, is_forced);
}

/* Until a signal comes, which is returned, or it is time to look; a second at most, for how often
 * may change meanwhile. */
static int wait_to_look(const server *s, const sigset_t *signals)
{
    int64_t ms = 1000;

    ms = s->users.tls_check_ms < ms ? s->users.tls_check_ms : ms;
    ms = s->users.access_check_ms < ms ? s->users.access_check_ms : ms;
    const struct timespec interval = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return sigtimedwait(signals, NULL, &interval);
}

/* Looks after what may change while the server runs; returns the signal that is to end it. */
static int wait_for_end(server *s, const sigset_t *signals)
{
    watch w = {.certificate = vly_clock_now(), .keys = vly_clock_now()};

    for (;;) {
        int no = wait_to_look(s, signals);
        if (no == SIGINT || no == SIGTERM)
            return no;
        look(s, &w, no == SIGHUP);
        if (no == SIGHUP && s->access_log != NULL)
            vly_line_log_reopen(s->access_log);
        if (no == SIGHUP)
            vly_model_routes_reopen(s->routes.routes);
        if (no == SIGHUP)
            vly_serve_reload(s->live);
        if (no == SIGHUP)
            vly_control_rescan(s->control);
    }
}

static vly_status load_models(server *s, vly_err *err)
{
    printf("volley %s, %u workers, models of '%s':\n", VOLLEY_VERSION, n_workers(s),
           s->config.models_dir);
    return vly_serve_models(&s->config, s->scheduler, &s->control, err);
}

static vly_status open_steps(server *s, vly_err *err)
{
    return vly_serve_steps_open(&s->config, n_workers(s), &s->steps, err);
}

static vly_status open_mqtt(server *s, vly_err *err)
{
    return vly_serve_mqtt_open(&s->config, s->steps.sessions, &s->mqtt, err);
}

static vly_status open_redis(server *s, vly_err *err)
{
    return vly_serve_redis_open(&s->config, &s->redis, err);
}

static vly_status open_routes(server *s, vly_err *err)
{
    return vly_serve_routes_open(&s->config, s->scheduler, &s->routes, err);
}

static vly_status open_cache(server *s, vly_err *err)
{
    return vly_serve_cache_open(&s->config, s->redis, vly_scheduler_alarms(s->scheduler),
                                random_seed(), &s->cache, err);
}

static vly_status open_certificate(server *s, vly_err *err)
{
    return vly_certificate_open(&s->config, &s->tls, err);
}

static vly_status warm_cache(server *s, vly_err *err)
{
    return vly_serve_cache_warm(&s->cache, err);
}

/* What a server consists of, in the order in which it begins; run() tells how it ends. */
static vly_status (*const stages[])(server *s, vly_err *err) = {
    start_scheduler,  load_models,   open_routes, open_steps,  open_mqtt,  open_redis, open_cache,
    open_certificate, open_settings, prepare_api, open_traces, start_http, warm_cache,
};

static vly_status start(server *s, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < VLY_COUNT(stages) && st == VLY_OK; i++)
        st = stages[i](s, err);
    return st;
}

/* The signals that main takes, in *ret. They are blocked before any thread starts, so that all
 * threads inherit that and the signal is taken in plain code. */
static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit is an error of the write */
}

/* Serves until a signal of the set comes. */
static vly_status serve(server *s, const serve_opts *o, vly_err *err)
{
    sigset_t signals;
    s->opts = o;
    vly_status st = read_settings(&s->config, o, err);

    if (st != VLY_OK)
        return st;
    block_signals(&signals);
    setvbuf(stdout, NULL, _IOLBF, 0);
    vly_log_set_level(s->config.log_level);
    raise_file_limit((rlim_t)s->config.http_max_connections);
    keep_freed_memory();
    st = start(s, err);
    if (st != VLY_OK)
        return st;
    print_url(s);
    int end = wait_for_end(s, &signals);
    printf("%s: answering what was accepted\n", end == SIGINT ? "SIGINT" : "SIGTERM");
    if (!drain(s, &signals))
        return vly_fail(err, VLY_EDEADLINE, "requests were left after drain_timeout_ms of %lld",
                        (long long)s->users.drain_timeout_ms);
    printf("done\n");
    return VLY_OK;
}

static int run(const void *opts, int n_args, char *const *args)
{
    server s = {.http = NULL};
    vly_err err = VLY_ERR_INIT;

    (void)n_args;
    (void)args;
    vly_config_init(&s.config);
    vly_status st = serve(&s, opts, &err);
    vly_cache_warmer_stop(s.cache.warmer);
    vly_control_stop(s.control); /* answers who waits for a load */
    vly_serve_access_stop_admin(&s.access);
    vly_http_server_free(s.http);
    vly_serve_cache_detach(&s.cache);
    vly_redis_free(s.redis); /* its last answers become work of the scheduler's */
    vly_serve_cache_end_warm_up(&s.cache);
    vly_serve_access_close(&s.access);
    vly_serve_metrics_close(&s.metrics);
    vly_line_log_close(s.access_log);
    vly_tls_free(s.tls);
    vly_control_free(s.control);
    vly_serve_routes_stop(&s.routes);
    vly_scheduler_free(s.scheduler);
    vly_serve_routes_close(&s.routes); /* requests of closed streams ask them to their end */
    vly_serve_cache_close(&s.cache);
    vly_serve_mqtt_close(&s.mqtt);
    vly_serve_steps_close(&s.steps);         /* saves the sessions */
    vly_shared_memory_free(s.shared_memory); /* requests of closed streams use it to their end */
    vly_serve_otlp_close(&s.otlp);
    vly_settings_free(s.settings);
    vly_config_live_free(s.live);
    vly_config_release(&s.config);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

const vly_command vly_command_serve = {
    .name = "serve",
    .args = "",
    .summary = "serve models over HTTP",
    .details =
        "Loads every model of a directory and answers over HTTP until SIGTERM or SIGINT, then\n"
        "ends what it has accepted. Without options it serves models/ on 127.0.0.1:8000. A model\n"
        "that cannot be loaded is reported as unavailable, the others serve.\n"
        "\n"
        "POST /v1/images:detect takes pictures; /v2 is the Open Inference Protocol with Triton's\n"
        "extensions; GET /health, /health/ready, /metrics and /v1/models tell how it goes.\n",
    .examples = "  volley serve --models models --port 8000\n"
                "  volley serve --models yolov8n.onnx --set queue.max=16\n",
    .opts = options,
    .opts_bytes = sizeof(serve_opts),
    .defaults = &defaults,
    .run = run,
};

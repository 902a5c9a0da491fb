/* SPDX-License-Identifier: MIT */
/* `volley load`: requests to a server at a stated rate, and what became of them. */
#include "cli/command.h"
#include "cli/load_setup.h"
#include "cli/load_view.h"
#include "load/load_report.h"
#include "sys/file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t)64 << 20)
#define ANSWER_MAX ((size_t)1 << 20)
#define LONG_NS    (60 * VLY_NSEC_PER_SEC) /* past it the server's memory is told too */

static const vly_load_opts defaults = {.connections = 50,
                                       .threads = 1,
                                       .max_outstanding = 100000,
                                       .rows = 1,
                                       .seed = 1,
                                       .warmup = "2s",
                                       .timeout = "10s",
                                       .connect_timeout = "5s"};

static const vly_opt options[] = {
    VLY_OPT(vly_load_opts, rate, 'r', FLOAT, "rate", "N", "requests a second (default 100)"),
    VLY_OPT(vly_load_opts, poisson, 0, FLAG, "poisson", NULL,
            "independent users: exponential gaps, not even ones"),
    VLY_OPT(vly_load_opts, ramp, 0, TEXT, "ramp", "FROM..TO", "a rate that grows all the time"),
    VLY_OPT(vly_load_opts, spike, 0, TEXT, "spike", "RATE@BEGIN+TIME",
            "up to RATE and back to --rate, as 2000@10s+5s"),
    VLY_OPT(vly_load_opts, step, 0, TEXT, "step", "FROM..TO+STEP/TIME",
            "rates one after the other, until an objective is missed, as 100..5000+100/5s"),
    VLY_OPT(vly_load_opts, soak, 0, FLAG, "soak", NULL,
            "for 1h unless --duration says: tells how latency and memory drift"),
    VLY_OPT(
        vly_load_opts, closed, 0, FLAG, "closed", NULL,
        "closed loop: each connection asks again when it is answered; the most the server does"),
    VLY_OPT(vly_load_opts, duration, 'd', TEXT, "duration", "TIME", "500ms, 30s, 5m (default 10s)"),
    VLY_OPT(vly_load_opts, warmup, 0, TEXT, "warmup", "TIME",
            "before, at the first rate, not counted (default 2s)"),
    VLY_OPT(vly_load_opts, connections, 'c', INT, "connections", "N", "in all (default 50)"),
    VLY_OPT(vly_load_opts, also, 0, LIST, "also", "HOST:PORT",
            "another server of the same: connections go to it and the URL's in turn"),
    VLY_OPT(vly_load_opts, in_flight, 0, INT, "in-flight", "N",
            "at once on a connection of http2, grpc or ws (default 100; closed loop 1)"),
    VLY_OPT(vly_load_opts, threads, 't', INT, "threads", "N", "that send (default 1)"),
    VLY_OPT(vly_load_opts, protocol, 'p', TEXT, "protocol", "P",
            "http1, http2, grpc or ws (default: by the URL)"),
    VLY_OPT(vly_load_opts, method, 'X', TEXT, "method", "M",
            "(default POST, or GET without a body)"),
    VLY_OPT(vly_load_opts, pictures, 0, LIST, "picture", "FILE",
            "a picture, or a directory of them; several are sent in turn"),
    VLY_OPT(vly_load_opts, json_bodies, 0, LIST, "json-body", "FILE", "a JSON body"),
    VLY_OPT(vly_load_opts, bodies, 0, LIST, "body", "FILE", "any body, of --type"),
    VLY_OPT(vly_load_opts, data, 0, TEXT, "data", "TEXT", "a body, here: JSON unless --type says"),
    VLY_OPT(vly_load_opts, type, 0, TEXT, "type", "T", "content type of the bodies"),
    VLY_OPT(vly_load_opts, model, 'm', TEXT, "model", "NAME",
            "v2 inference: the server is asked for the inputs, which get random numbers"),
    VLY_OPT(vly_load_opts, input_data, 'i', LIST, "input-data", "[NAME=]FILE",
            "an input of the model, .npy"),
    VLY_OPT(vly_load_opts, rows, 0, INT, "rows", "N", "of a batch (default 1)"),
    VLY_OPT(vly_load_opts, form, 0, TEXT, "form", "F", "of v2 requests: json (default) or binary"),
    VLY_OPT(vly_load_opts, stream, 0, FLAG, "stream", NULL,
            "gRPC: ModelStreamInfer, one call for each connection"),
    VLY_OPT(vly_load_opts, unique, 0, FLAG, "unique", NULL,
            "each picture or tensor is made distinct, from those of other runs, too"),
    VLY_OPT(vly_load_opts, headers, 'H', LIST, "header", "'K: V'", "to each request"),
    VLY_OPT(vly_load_opts, key, 0, TEXT, "key", "KEY", "API key, as Authorization: Bearer KEY"),
    VLY_OPT(vly_load_opts, greetings, 0, INT, "greetings", "N",
            "WebSocket: messages of the server before it is asked"),
    VLY_OPT(vly_load_opts, answer_has, 0, TEXT, "answer-has", "TEXT",
            "WebSocket, gRPC streams: messages without it answer nothing"),
    VLY_OPT(vly_load_opts, check, 0, TEXT, "check", "TEXT",
            "an answer without this text is wrong, and counts as failed"),
    VLY_OPT(vly_load_opts, first, 0, TEXT, "first", "FILE",
            "WebSocket, gRPC streams: a message that each connection begins with"),
    VLY_OPT(vly_load_opts, one_way, 0, FLAG, "one-way", NULL,
            "WebSocket: messages have no answers, done once sent"),
    VLY_OPT(vly_load_opts, slos, 0, LIST, "slo", "OBJECTIVE",
            "p99<50ms, p99.9<=1s, mean<5ms, errors<0.1%, rate>=1000; exit status 4 when missed"),
    VLY_OPT(vly_load_opts, timeout, 0, TEXT, "timeout", "TIME", "of an answer (default 10s)"),
    VLY_OPT(vly_load_opts, connect_timeout, 0, TEXT, "connect-timeout", "TIME", "(default 5s)"),
    VLY_OPT(vly_load_opts, max_outstanding, 0, INT, "max-outstanding", "N",
            "under way at once, of each thread; what is due past it fails (default 100000)"),
    VLY_OPT(vly_load_opts, spin, 0, FLAG, "spin", NULL,
            "look at the clock instead of sleeping, right before a request is due"),
    VLY_OPT(vly_load_opts, insecure, 'k', FLAG, "insecure", NULL, "TLS: take any certificate"),
    VLY_OPT(vly_load_opts, ca, 0, TEXT, "ca", "FILE", "TLS: PEM of who may have signed"),
    VLY_OPT(vly_load_opts, no_check, 0, FLAG, "no-check", NULL,
            "begin without a first request that must succeed"),
    VLY_OPT(vly_load_opts, seed, 0, INT, "seed", "N", "of random gaps and tensors (default 1)"),
    VLY_OPT(vly_load_opts, report, 'o', TEXT, "report", "FILE",
            "a page with plots; a picture when it ends in .svg"),
    VLY_OPT(vly_load_opts, json, 0, FLAG, "json", NULL, "print JSON"),
    VLY_OPT(vly_load_opts, quiet, 'q', FLAG, "quiet", NULL, "nothing while it goes on"),
    VLY_OPT_END,
};

/* ---- before -------------------------------------------------------------------------------- */

/* One request that must succeed, so that a wrong path is told at once, not 10,000 times. */
static vly_status check_first(const vly_load_setup *s, vly_err *err)
{
    const vly_str body = s->run.n_bodies > 0 ? s->bodies[0].bytes : (vly_str){0};
    vly_buf answer;
    int status = 0;
    bool is_ok = false;

    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_MAX);
    vly_status st =
        vly_load_ask(s->run.kind, &s->run.transport, body, &answer, &status, &is_ok, err);
    if (st == VLY_OK && !is_ok)
        st = vly_fail(err, VLY_EUNAVAILABLE, "%.*s%.*s: the first answer is no success (%d): %.*s",
                      VLY_STR_ARG(s->target.authority), VLY_STR_ARG(s->target.path), status,
                      (int)(answer.len < 300 ? answer.len : 300),
                      answer.ptr != NULL ? answer.ptr : "");
    vly_buf_release(&answer);
    return st;
}

/* Resident memory of the server as its /metrics say; 0: they do not. */
static uint64_t ask_memory(const vly_load_setup *s)
{
    static const char name[] = "\nprocess_resident_memory_bytes ";
    vly_load_target target = s->target;
    vly_load_transport_opts t = s->run.transport;
    vly_buf answer;
    int status = 0;
    double value = 0;
    vly_err err;

    if (vly_load_plan_duration(&s->plan) < LONG_NS)
        return 0;
    target.path = VLY_STR("/metrics");
    target.method = VLY_STR("GET");
    t.target = &target;
    t.is_streaming = false;
    t.check = (vly_str){NULL, 0};
    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_MAX);
    if (vly_load_ask(vly_load_kind_find(VLY_STR("http1")), &t, (vly_str){0}, &answer, &status, NULL,
                     &err) == VLY_OK &&
        status == 200 && answer.len > 0) {
        const char *at = strstr(answer.ptr, name);
        if (at != NULL) {
            vly_str rest = vly_str_from(at + sizeof(name) - 1);
            (void)vly_str_to_f64(vly_str_trim(vly_str_split(&rest, '\n')), &value);
        }
    }
    vly_buf_release(&answer);
    return value > 0 && value < 1e18 ? (uint64_t)value : 0;
}

/* What came meanwhile was heard: it does not end the program now. */
static void unwatch_signals(int fd, const sigset_t *old)
{
    struct signalfd_siginfo info;

    while (fd >= 0 && read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        continue;
    if (fd >= 0)
        close(fd);
    pthread_sigmask(SIG_SETMASK, old, NULL);
}

/* SIGINT and SIGTERM as something to read, for all threads that begin after it. -1: not. */
static int watch_signals(sigset_t *old)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, old);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Connections are descriptors; what it comes to is told when not all of them can be made. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* That the report has a place is known before an hour has gone by. */
static vly_status check_report(const char *path, vly_err *err)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    char directory[PATH_MAX];

    if (path == NULL)
        return VLY_OK;
    if (vly_dir_exists(path))
        return vly_fail(err, VLY_EIO, "option --report '%s': is a directory", path);
    const int n = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    (void)snprintf(directory, sizeof(directory), "%.*s", n, slash == NULL ? "." : path);
    if (access(directory, W_OK | X_OK) != 0)
        return vly_fail(err, VLY_EIO, "option --report '%s': %s", path, strerror(errno));
    return VLY_OK;
}

/* ---- after --------------------------------------------------------------------------------- */

static vly_status write_report(const vly_load_report *r, const char *path, vly_err *err)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CLI, OUTPUT_MAX);
    vly_status st = vly_str_ends(vly_str_from(path), VLY_STR(".svg"))
                        ? vly_load_report_svg(r, &b, err)
                        : vly_load_report_html(r, &b, err);
    if (st == VLY_OK)
        st = vly_file_write(path, b.ptr, b.len, err);
    vly_buf_release(&b);
    return st;
}

static vly_status print_report(const vly_load_report *r, bool is_json, vly_err *err)
{
    vly_status st = VLY_OK;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CLI, OUTPUT_MAX);
    (is_json ? vly_load_report_json : vly_load_report_text)(r, &b);
    if (b.failed)
        st = vly_fail(err, VLY_ELIMIT, "the report is too large");
    else
        fwrite(b.ptr, 1, b.len, stdout);
    vly_buf_release(&b);
    return st;
}

static int judge(const vly_load_report *r)
{
    const vly_load_outcomes *c = &r->result->tally->counts;

    if (vly_load_n_all(c) == 0) {
        fputs("volley: nothing was measured\n", stderr);
        return VLY_EXIT_FAILURE;
    }
    if (!vly_load_report_is_kept(r)) {
        fputs("volley: an objective was missed\n", stderr);
        return VLY_EXIT_SLO;
    }
    if (c->n_ok == 0) {
        fputs("volley: no request was answered well\n", stderr);
        return VLY_EXIT_FAILURE;
    }
    return VLY_EXIT_OK;
}

/* ---- the command --------------------------------------------------------------------------- */

static void show(void *ctx, const vly_load_moment *m)
{
    vly_load_view_show(ctx, m);
}

static vly_status run_it(vly_load_setup *s, const vly_load_opts *o, vly_load_report *report,
                         vly_load_result *result, vly_err *err)
{
    vly_load_view view;
    sigset_t old;
    vly_status st = o->no_check ? VLY_OK : check_first(s, err); /* Ctrl-C ends the program yet */

    if (st != VLY_OK)
        return st;
    const int fd = watch_signals(&old);
    vly_load_view_begin(&view, (double)vly_load_plan_duration(&s->plan) * 1e-9);
    s->run.stop_fd = fd;
    s->run.ctx = &view;
    s->run.on_moment = o->quiet ? NULL : show;
    report->rss_before = ask_memory(s);
    st = vly_load_run(&s->run, result, err);
    if (st == VLY_OK)
        report->rss_after = ask_memory(s);
    vly_load_view_end(&view);
    unwatch_signals(fd, &old);
    return st;
}

static void tell_time(char *text, size_t cap)
{
    const time_t now = time(NULL);
    struct tm tm;

    if (gmtime_r(&now, &tm) == NULL || strftime(text, cap, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        text[0] = '\0';
}

static int load_all(vly_load_setup *s, const vly_load_opts *o, const char *url)
{
    vly_load_result result = {0};
    char began[32];
    vly_err err = VLY_ERR_INIT;
    int exit_status = VLY_EXIT_FAILURE;
    vly_status st = check_report(o->report, &err);

    if (st == VLY_OK)
        st = vly_load_setup_init(s, o, url, &err);
    tell_time(began, sizeof(began));
    vly_load_report report = {.result = &result,
                              .opts = &s->run,
                              .url = url,
                              .transport = s->transport,
                              .load = s->load,
                              .bodies = s->content,
                              .began = began};
    if (st == VLY_OK)
        st = run_it(s, o, &report, &result, &err);
    if (st == VLY_OK)
        st = print_report(&report, o->json, &err);
    if (st == VLY_OK && o->report != NULL)
        st = write_report(&report, o->report, &err);
    if (st == VLY_OK)
        exit_status = judge(&report);
    else
        vly_command_fail(&err);
    vly_load_result_release(&result);
    vly_load_setup_release(s);
    return st == VLY_EINVAL ? VLY_EXIT_USAGE : exit_status;
}

static int run(const void *opts, int n_args, char *const *args)
{
    vly_load_setup *s = vly_calloc(VLY_MEM_CLI, 1, sizeof(*s));
    vly_err err = VLY_ERR_INIT;

    (void)n_args;
    if (s == NULL) {
        (void)vly_fail(&err, VLY_ENOMEM, "out of memory");
        return vly_command_fail(&err);
    }
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    const int exit_status = load_all(s, opts, args[0]);
    vly_free(s);
    return exit_status;
}

const vly_command vly_command_load = {
    .name = "load",
    .args = "URL",
    .summary = "load a server at a stated rate and report latency and errors",
    .details =
        "Open loop: requests go out when they are due, whatever became of those before, and the\n"
        "latency of each counts from when it was due. A server that stalls for a second so shows\n"
        "it in full; a client that waits for the answer before it asks again would show one slow\n"
        "request (coordinated omission). --closed is such a client: it finds the most that a\n"
        "server does, and says nothing of what users would wait for.\n"
        "\n"
        "The URL begins with http, https, grpc, grpcs, ws or wss. Without a path it is\n"
        "/v1/images:detect for pictures and /v2/models/NAME/infer with --model. In a path of a\n"
        "WebSocket {} becomes the number of the connection.\n"
        "\n"
        "Answers that say `Volley-Cache: hit` are told apart from those that were computed;\n"
        "--unique makes each request distinct, from a random number on, so that all are computed.\n"
        "A tensor of floats of --form binary or gRPC has 8,388,608 different marks.\n"
        "\n"
        "What the generator itself was late by is reported as lateness; when that is a part of\n"
        "the latency, the report says so.\n"
        "\n"
        "Ctrl-C ends the run early, with its report. Exit status: 0, or 4 when an objective of\n"
        "--slo was missed (of --step: on the first rate), 1 when nothing could be measured.\n",
    .examples =
        "  volley load http://127.0.0.1:8000 --picture bus.jpg --rate 50 --unique\n"
        "  volley load http://127.0.0.1:8000 -m yolov8n --form binary --step 10..200+10/5s "
        "--slo 'p99<100ms'\n"
        "  volley load grpc://127.0.0.1:8000 -m tiny --rate 5000 --poisson --duration 30s\n"
        "  volley load http://127.0.0.1:8000/health --spike 2000@10s+5s --duration 30s -o "
        "load.html\n"
        "  volley load 'ws://127.0.0.1:8000/ws/realtime?user_id={}' --greetings 1 --closed "
        "--data '{\"accel_x\":0.5,\"accel_y\":9.6,\"accel_z\":1.2,\"gyro_x\":0,\"gyro_y\":0,"
        "\"gyro_z\":0}'\n",
    .opts = options,
    .opts_bytes = sizeof(vly_load_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run,
};

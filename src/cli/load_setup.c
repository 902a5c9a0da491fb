/* SPDX-License-Identifier: MIT */
#include "cli/load_setup.h"

#include "base/assert.h"

#include <stdio.h>

#define ARENA_BUDGET ((size_t)2 << 30)

/* ---- the load ------------------------------------------------------------------------------ */

static vly_status read_time(const char *option, const char *text, vly_nsec *ret, vly_err *err)
{
    const vly_status st = vly_load_duration_parse(vly_str_from(text), ret, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "option --%s", option);
}

static vly_status check_kinds(const vly_load_opts *o, vly_err *err)
{
    if ((o->ramp != NULL) + (o->spike != NULL) + (o->step != NULL) + o->closed > 1)
        return vly_fail(err, VLY_EINVAL, "expected one of --ramp, --spike, --step and --closed");
    if (o->step != NULL && o->slos.n == 0)
        return vly_fail(err, VLY_EINVAL,
                        "option --step: expected an objective to break, as "
                        "--slo 'p99<50ms'");
    if (o->closed && (o->poisson || o->rate > 0))
        return vly_fail(err, VLY_EINVAL,
                        "option --closed: a closed loop has no --rate or "
                        "--poisson: it sends as fast as it is answered");
    if (!(o->rate >= 0))
        return vly_fail(err, VLY_EINVAL, "option --rate: expected requests a second, above 0");
    return VLY_OK;
}

static const char *describe(vly_load_setup *s, const vly_load_opts *o, double rate)
{
    const char *spacing = o->poisson ? ", Poisson" : "";

    if (o->closed)
        return "closed loop";
    if (o->ramp != NULL)
        return vly_arena_printf(&s->arena, "ramp %s/s%s", o->ramp, spacing);
    if (o->spike != NULL)
        return vly_arena_printf(&s->arena, "%g/s with a spike %s%s", rate, o->spike, spacing);
    if (o->step != NULL)
        return vly_arena_printf(&s->arena, "steps %s, until an objective is missed%s", o->step,
                                spacing);
    return vly_arena_printf(&s->arena, "%g/s%s%s", rate, o->soak ? ", soak" : "", spacing);
}

static vly_status make_plan(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    const double rate = o->rate > 0 ? o->rate : 100;
    vly_nsec duration = 0;
    vly_status st = check_kinds(o, err);

    if (st == VLY_OK)
        st = read_time("duration",
                       o->duration != NULL ? o->duration
                       : o->soak           ? "1h"
                                           : "10s",
                       &duration, err);
    if (st == VLY_OK)
        st = read_time("warmup", o->warmup, &s->run.warmup_ns, err);
    if (st != VLY_OK)
        return st;
    s->plan.is_poisson = o->poisson;
    s->plan.seed = (uint64_t)o->seed;
    s->load = describe(s, o, rate);
    if (o->ramp != NULL)
        st = vly_load_plan_ramp(&s->plan, vly_str_from(o->ramp), duration, err);
    else if (o->spike != NULL)
        st = vly_load_plan_spike(&s->plan, vly_str_from(o->spike), rate, duration, err);
    else if (o->step != NULL)
        st = vly_load_plan_steps(&s->plan, vly_str_from(o->step), err);
    else
        st = vly_load_plan_add(&s->plan, rate, rate, duration, err);
    if (st == VLY_OK && s->load == NULL)
        st = vly_arena_fail(&s->arena, err);
    return st;
}

static vly_status read_slos(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    if (o->slos.n > VLY_LOAD_SLOS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d objectives", VLY_LOAD_SLOS_MAX);
    for (size_t i = 0; i < o->slos.n; i++) {
        const vly_status st = vly_load_slo_parse(vly_str_from(o->slos.item[i]), &s->slos[i], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "option --slo");
    }
    s->run.slos = s->slos;
    s->run.n_slos = o->slos.n;
    return VLY_OK;
}

/* ---- the way ------------------------------------------------------------------------------- */

static bool is_transport(const vly_load_setup *s, const char *name)
{
    return strcmp(s->transport, name) == 0;
}

static vly_status choose_transport(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    const char *name = o->protocol != NULL ? o->protocol : s->target.transport;

    s->transport = strcmp(name, "ws") == 0 ? "websocket" : name;
    s->run.kind = vly_load_kind_find(vly_str_from(s->transport));
    if (s->run.kind == NULL)
        return vly_fail(err, VLY_EINVAL,
                        "option --protocol '%s': expected http1, http2, grpc or ws", name);
    if (strcmp(s->target.transport, "http1") != 0 && strcmp(s->target.transport, s->transport) != 0)
        return vly_fail(err, VLY_EINVAL, "option --protocol '%s': the URL says another", name);
    if (is_transport(s, "grpc") && vly_str_is(s->target.path, "/"))
        s->target.path = o->stream ? VLY_STR("/inference.GRPCInferenceService/ModelStreamInfer")
                                   : VLY_STR("/inference.GRPCInferenceService/ModelInfer");
    return VLY_OK;
}

/* An option that would have no effect is a mistake. */
static vly_status check_fit(const vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    static const char streams[] = "a WebSocket or a gRPC --stream", model[] = "--model";
    const bool is_grpc = is_transport(s, "grpc"), is_ws = is_transport(s, "websocket");
    const bool is_stream = is_ws || (is_grpc && o->stream), has_model = o->model != NULL;
    const struct {
        const char *option;
        bool is_given, fits;
        const char *what;
    } rules[] = {{"stream", o->stream, is_grpc, "gRPC"},
                 {"greetings", o->greetings != 0, is_stream, streams},
                 {"answer-has", o->answer_has != NULL, is_stream, streams},
                 {"one-way", o->one_way, is_stream, streams},
                 {"first", o->first != NULL, is_stream, streams},
                 {"check", o->check != NULL, !o->one_way, "answers, which --one-way has none of"},
                 {"method", o->method != NULL, !is_grpc && !is_ws, "HTTP"},
                 {"picture", o->pictures.n > 0, !is_grpc, "HTTP or a WebSocket"},
                 {"model", has_model, !is_ws, "HTTP or gRPC"},
                 {"form", o->form != NULL, has_model && !is_grpc, "--model over HTTP"},
                 {"input-data", o->input_data.n > 0, has_model, model},
                 {"rows", o->rows != 1, has_model, model}};

    for (size_t i = 0; i < VLY_COUNT(rules); i++)
        if (rules[i].is_given && !rules[i].fits)
            return vly_fail(err, VLY_EINVAL, "option --%s: goes with %s only", rules[i].option,
                            rules[i].what);
    return VLY_OK;
}

/* Other servers than the URL's, which connections go to in turn. */
static vly_status read_others(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    for (size_t i = 0; i < o->also.n; i++) {
        const char *url = vly_arena_printf(&s->arena, "http://%s/", o->also.item[i]);
        if (url == NULL)
            return vly_arena_fail(&s->arena, err);
        const vly_status st = vly_load_target_parse(vly_str_from(url), &s->others[i], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "option --also");
    }
    s->run.transport.others = s->others;
    s->run.transport.n_others = (unsigned)o->also.n;
    return VLY_OK;
}

static vly_status check_count(const char *option, int64_t value, int64_t max, vly_err *err)
{
    if (value >= 1 && value <= max)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "option --%s: expected 1 to %d", option, (int)max);
}

static vly_status read_counts(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    const bool is_http1 = strcmp(s->transport, "http1") == 0;
    const int64_t in_flight = o->in_flight != 0 ? o->in_flight : o->closed || is_http1 ? 1 : 100;
    vly_status st = check_count("connections", o->connections, 65536, err);

    if (st == VLY_OK)
        st = check_count("threads", o->threads, VLY_LOAD_THREADS_MAX, err);
    if (st == VLY_OK)
        st = check_count("in-flight", in_flight, 65536, err);
    if (st == VLY_OK)
        st = check_count("max-outstanding", o->max_outstanding, 10000000, err);
    if (st == VLY_OK)
        st = check_count("rows", o->rows, 1 << 20, err);
    if (st == VLY_OK && o->greetings != 0)
        st = check_count("greetings", o->greetings, 1 << 20, err);
    if (st != VLY_OK)
        return st;
    if (is_http1 && in_flight > 1)
        return vly_fail(err, VLY_EINVAL,
                        "option --in-flight: HTTP/1.1 has one for each connection");
    if (o->threads > o->connections)
        return vly_fail(err, VLY_EINVAL, "expected at least one connection for each thread");
    s->run.transport.max_in_flight = (unsigned)in_flight;
    s->run.n_connections = (unsigned)o->connections;
    s->run.n_threads = (unsigned)o->threads;
    s->run.max_outstanding = (size_t)o->max_outstanding;
    return VLY_OK;
}

static vly_status read_timeouts(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_nsec answer = 0, connect = 0;
    vly_status st = read_time("timeout", o->timeout, &answer, err);

    if (st == VLY_OK)
        st = read_time("connect-timeout", o->connect_timeout, &connect, err);
    if (st != VLY_OK)
        return st;
    s->run.transport.timeout_ms = (unsigned)(answer / VLY_NSEC_PER_MS);
    s->run.transport.connect_ms = (unsigned)(connect / VLY_NSEC_PER_MS);
    if (s->run.transport.timeout_ms == 0 || s->run.transport.connect_ms == 0)
        return vly_fail(err, VLY_EINVAL, "expected time-outs of at least 1ms");
    return VLY_OK;
}

vly_status vly_load_setup_header(vly_load_setup *s, vly_str header, vly_err *err)
{
    if (s->target.n_headers == VLY_LOAD_HEADERS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d headers", VLY_LOAD_HEADERS_MAX);
    if (memchr(header.ptr, ':', header.len) == NULL ||
        memchr(header.ptr, '\n', header.len) != NULL ||
        memchr(header.ptr, '\r', header.len) != NULL)
        return vly_fail(err, VLY_EINVAL, "option --header '%.*s': expected 'Name: value'",
                        VLY_STR_ARG(header));
    s->headers[s->target.n_headers++] = header;
    s->target.headers = s->headers;
    return VLY_OK;
}

/* One of the user's: it takes the place of our own, and may not break the framing. */
static vly_status add_header(vly_load_setup *s, vly_str header, vly_err *err)
{
    static const char *const ours[] = {"connection", "content-length", "transfer-encoding"};
    vly_str value = header, name = vly_str_trim(vly_str_split(&value, ':'));

    for (size_t i = 0; i < VLY_COUNT(ours); i++)
        if (vly_str_eq_nocase(name, vly_str_from(ours[i])))
            return vly_fail(err, VLY_EINVAL, "option --header '%.*s': not this one",
                            VLY_STR_ARG(header));
    if (!vly_str_eq_nocase(name, VLY_STR("host")))
        return vly_load_setup_header(s, header, err);
    s->target.authority = vly_str_trim(value);
    return VLY_OK;
}

static vly_status read_headers(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < o->headers.n && st == VLY_OK; i++)
        st = add_header(s, vly_str_from(o->headers.item[i]), err);
    if (st != VLY_OK || o->key == NULL)
        return st;
    const char *key = vly_arena_printf(&s->arena, "Authorization: Bearer %s", o->key);
    return key != NULL ? vly_load_setup_header(s, vly_str_from(key), err)
                       : vly_arena_fail(&s->arena, err);
}

static vly_status set_way(vly_load_setup *s, const vly_load_opts *o, vly_err *err)
{
    vly_status st = choose_transport(s, o, err);

    if (st == VLY_OK)
        st = check_fit(s, o, err);
    if (st == VLY_OK)
        st = read_counts(s, o, err);
    if (st == VLY_OK)
        st = read_timeouts(s, o, err);
    if (st == VLY_OK)
        st = read_others(s, o, err);
    if (st == VLY_OK)
        st = read_headers(s, o, err);
    if (st == VLY_OK && o->first != NULL)
        st = vly_load_setup_read(s, o->first, &s->run.transport.first, err);
    s->run.transport.target = &s->target;
    s->run.transport.ca = o->ca;
    s->run.transport.is_unverified = o->insecure;
    s->run.transport.is_streaming = o->stream;
    s->run.transport.is_one_way = o->one_way;
    s->run.transport.n_greetings = (unsigned)o->greetings;
    s->run.transport.answer_has = vly_str_from(o->answer_has);
    s->run.transport.check = vly_str_from(o->check);
    if (st == VLY_OK && is_transport(s, "websocket"))
        s->run.transport.error_has = VLY_STR("\"error\":\""); /* as Volley says it */
    s->run.spin_ns = o->spin ? 100 * VLY_NSEC_PER_US : 0;
    return st;
}

/* ---- all of it ----------------------------------------------------------------------------- */

vly_status vly_load_setup_init(vly_load_setup *s, const vly_load_opts *o, const char *url,
                               vly_err *err)
{
    vly_arena_init(&s->arena, VLY_MEM_CLI, (size_t)64 << 10, ARENA_BUDGET);
    vly_status st = vly_load_target_parse(vly_str_from(url), &s->target, err);
    if (st == VLY_OK)
        st = make_plan(s, o, err);
    if (st == VLY_OK)
        st = read_slos(s, o, err);
    if (st == VLY_OK)
        st = set_way(s, o, err);
    if (st == VLY_OK)
        st = vly_load_setup_bodies(s, o, err);
    s->target.method = o->method != NULL     ? vly_str_from(o->method)
                       : s->run.n_bodies > 0 ? VLY_STR("POST")
                                             : VLY_STR("GET");
    s->run.plan = &s->plan;
    s->run.is_closed = o->closed;
    s->run.is_stepped = o->step != NULL;
    s->run.stop_fd = -1;
    return st;
}

void vly_load_setup_release(vly_load_setup *s)
{
    vly_arena_release(&s->arena);
}

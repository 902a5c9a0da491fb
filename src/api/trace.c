/* SPDX-License-Identifier: MIT */
#include "api/trace.h"

#include "api/access.h"
#include "api/call.h"
#include "api/infer.h"
#include "api/route_stats.h"
#include "api/settings.h"
#include "base/assert.h"
#include "base/rng.h"

#include <stdio.h>

#define SPANS_BYTES  16384 /* of one request */
#define RATIO_ONE    (UINT64_C(1) << 63)
#define SERVER_ERROR 500
#define ARM_MAX      512 /* "model/version" */

/* ---- sampling ---- */

void vly_tracer_set_share(vly_tracer *t, double share)
{
    VLY_ASSERT(share >= 0 && share <= 1);
    atomic_store(&t->bound, (uint64_t)(share * (double)RATIO_ONE));
}

static uint64_t big_endian(const unsigned char bytes[8])
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | bytes[i];
    return v;
}

static void put_big_endian(uint64_t v, unsigned char bytes[8])
{
    for (int i = 8; i-- > 0; v >>= 8)
        bytes[i] = (unsigned char)v;
}

static bool is_in_share(const vly_tracer *t, uint64_t random)
{
    return random >> 1 < atomic_load(&t->bound);
}

void vly_trace_begin(const vly_tracer *t, const vly_http_msg *msg, vly_str made_id,
                     const uint64_t random[3], vly_trace *ret)
{
    ret->span = random[0] != 0 ? random[0] : 1;
    ret->has_parent = vly_traceparent_parse(vly_http_msg_header(msg, "traceparent"), &ret->from);
    if (ret->has_parent) {
        memcpy(ret->trace, ret->from.trace, sizeof(ret->trace));
        ret->is_sampled = is_in_share(t, ret->span); /* the client has chosen the other id */
        return;
    }
    if (made_id.len != 2 * (size_t)VLY_TRACE_BYTES ||
        !vly_hex_parse(made_id.ptr, ret->trace, sizeof(ret->trace))) {
        put_big_endian(random[1] | 1, ret->trace);
        put_big_endian(random[2], ret->trace + 8);
    }
    ret->is_sampled = is_in_share(t, big_endian(ret->trace + 8));
}

/* Who asks for a trace is believed when the request was admitted. */
static bool is_wanted(vly_tracer *t, const vly_call *call)
{
    const vly_trace *trace = &call->trace;
    bool is_believed = call->is_known && trace->has_parent && atomic_load(&t->trusts_parents);

    if (call->is_known && vly_settings_take_trace(t->settings, call->model))
        return true;
    return is_believed ? (trace->from.flags & VLY_TRACEPARENT_SAMPLED) != 0 : trace->is_sampled;
}

bool vly_trace_decide(vly_tracer *t, vly_call *call, char text[VLY_TRACEPARENT_BYTES + 1])
{
    vly_trace *trace = &call->trace;
    vly_traceparent said = {.flags = VLY_TRACEPARENT_SAMPLED};

    if (!trace->is_decided) {
        trace->is_sampled = is_wanted(t, call);
        vly_counter_add(trace->is_sampled ? &t->sampled : &t->not_sampled, 1);
    }
    trace->is_decided = true;
    memcpy(said.trace, trace->trace, sizeof(said.trace));
    put_big_endian(trace->span, said.parent);
    vly_traceparent_format(&said, text);
    return trace->is_sampled;
}

/* ---- attributes ---- */

static void put_text(vly_buf *b, const char *key, vly_str value)
{
    if (value.len > 0)
        vly_otlp_put_text(b, VLY_OTLP_OF_SPAN, key, value);
}

static void put_int(vly_buf *b, const char *key, int64_t value)
{
    vly_otlp_put_int(b, VLY_OTLP_OF_SPAN, key, value);
}

/* "127.0.0.1" of "127.0.0.1:4000", "::1" of "[::1]:4000". */
static vly_str address_of(const char *peer)
{
    vly_str s = vly_str_from(peer);

    while (s.len > 0 && s.ptr[s.len - 1] != ':')
        s.len--;
    s.len -= s.len > 0;
    if (s.len > 1 && s.ptr[0] == '[')
        s = (vly_str){s.ptr + 1, s.len - 2};
    return s;
}

static void put_addresses(vly_buf *b, const vly_http_request *req)
{
    char client[VLY_ADDRESS_TEXT_MAX];
    bool is_proxied = vly_access_find_client(req, client);

    put_text(b, "client.address", is_proxied ? vly_str_from(client) : address_of(req->peer));
    if (is_proxied)
        put_text(b, "network.peer.address", address_of(req->peer));
}

static void put_http(vly_buf *b, const vly_http_request *req, const vly_http_finished *f)
{
    const vly_http_msg *msg = &req->msg;
    const vly_call *call = vly_call_of(req);
    char status[16];

    put_text(b, "http.request.method", msg->method_name);
    put_text(b, "url.path", msg->path);
    if (call->route != 0)
        put_text(b, "http.route", vly_str_from(vly_route_pattern(call->route)));
    put_int(b, "http.response.status_code", f->status);
    snprintf(status, sizeof(status), "%d", f->status);
    if (f->status >= SERVER_ERROR)
        put_text(b, "error.type", vly_str_from(status));
}

/* "/package.Service/Method" */
static void put_rpc(vly_buf *b, const vly_http_request *req)
{
    const vly_call *call = vly_call_of(req);
    vly_str method = req->msg.path;
    vly_str empty = vly_str_split(&method, '/'), service = vly_str_split(&method, '/');

    VLY_ASSERT(empty.len == 0);
    put_text(b, "rpc.system", VLY_STR("grpc"));
    put_text(b, "rpc.service", service);
    put_text(b, "rpc.method", method);
    if (req->stream_kind == VLY_STREAM_NONE || call->grpc_as_http != 0) /* else not known here */
        put_int(b, "rpc.grpc.status_code", call->grpc_code);
}

/* The run of a model that a request, or a message of a stream, has led to. */
typedef struct run {
    const unsigned char *trace;
    uint64_t span;        /* of the request or message */
    vly_nsec received_ns; /* as the next two: monotonic */
    vly_nsec ran_ns;      /* when it was over; 0: there was none */
    vly_job_times times;
    vly_str model, version, arm;
    const char *cache; /* NULL: nobody was asked */
} run;

static bool is_known(const vly_cache_outcome *cache)
{
    return cache->was_asked && cache->origin != VLY_CACHE_FROM_NOBODY;
}

static run run_of_request(const vly_http_request *req)
{
    const vly_call *call = vly_call_of(req);
    bool has_run = call->has_times && !is_known(&call->cache);

    return (run){.trace = call->trace.trace,
                 .span = call->trace.span,
                 .received_ns = req->received_ns,
                 .ran_ns = has_run ? call->trace.ran_ns : 0,
                 .times = call->times,
                 .model = call->model,
                 .version = call->version,
                 .arm = call->arm,
                 .cache = vly_call_cache(call)};
}

static void put_model(vly_buf *b, const run *r)
{
    put_text(b, "volley.model.name", r->model);
    put_text(b, "volley.model.version", r->version);
    put_text(b, "volley.route.arm", r->arm);
    put_text(b, "volley.cache", vly_str_from(r->cache));
}

/* How it ran, so that slow ones can be asked for without a look at the children. */
static void put_run(vly_buf *b, const run *r)
{
    put_model(b, r);
    if (r->ran_ns == 0)
        return;
    put_int(b, "volley.queue_us", (int64_t)(r->times.queue / VLY_NSEC_PER_US));
    if (r->times.batch > 0)
        put_int(b, "volley.batch_size", (int64_t)r->times.batch);
}

static bool is_rpc(const vly_call *call)
{
    return call->route >= vly_route_idx_grpc(0);
}

static void put_attributes(vly_buf *b, const vly_http_request *req, const vly_http_finished *f,
                           const run *r)
{
    const vly_call *call = vly_call_of(req);

    if (is_rpc(call))
        put_rpc(b, req);
    else
        put_http(b, req, f);
    put_text(b, "network.protocol.version",
             req->msg.major_version > 1    ? VLY_STR("2")
             : req->msg.minor_version == 0 ? VLY_STR("1.0")
                                           : VLY_STR("1.1"));
    put_addresses(b, req);
    put_text(b, "user_agent.original", vly_http_msg_header(&req->msg, "User-Agent"));
    put_text(b, "volley.request_id", call->id);
    if (call->trace.n_messages > 0)
        put_int(b, "volley.stream.messages", (int64_t)call->trace.n_messages);
    put_run(b, r);
}

/* ---- spans ---- */

/* Monotonic times as those of a wall clock that was read once. */
typedef struct wall {
    vly_nsec now;
    uint64_t unix_now;
} wall;

static uint64_t unix_of(const wall *w, vly_nsec at)
{
    return at < w->now ? w->unix_now - (w->now - at) : w->unix_now;
}

/* "POST /v1/images:detect", "inference.GRPCInferenceService/ModelInfer"; a path that matches
 * nothing stays out of it, for names are to be few. */
static vly_str name_of(const vly_http_request *req, char *text, size_t n)
{
    const vly_call *call = vly_call_of(req);

    if (is_rpc(call))
        snprintf(text, n, "%s", vly_route_pattern(call->route) + 1);
    else if (call->route != 0)
        snprintf(text, n, "%.*s %s", VLY_STR_ARG(req->msg.method_name),
                 vly_route_pattern(call->route));
    else
        snprintf(text, n, "%.*s", VLY_STR_ARG(req->msg.method_name));
    return vly_str_from(text);
}

static void put_server(vly_buf *b, const vly_http_request *req, const vly_http_finished *f,
                       const run *r, const wall *w, vly_nsec end)
{
    const vly_call *call = vly_call_of(req);
    const vly_trace *t = &call->trace;
    unsigned char id[VLY_SPAN_BYTES];
    char name[160];

    put_big_endian(t->span, id);
    const vly_otlp_span span = {
        .trace = t->trace,
        .id = id,
        .parent = t->has_parent ? t->from.parent : NULL,
        .is_parent_remote = t->has_parent,
        .name = name_of(req, name, sizeof(name)),
        .kind = VLY_OTLP_SERVER,
        .begin_unix_ns = unix_of(w, req->received_ns),
        .end_unix_ns = unix_of(w, end),
        .is_error = f->status >= SERVER_ERROR || call->grpc_as_http >= SERVER_ERROR,
        .message = call->error,
    };
    size_t mark = vly_otlp_open_span(b, &span);
    put_attributes(b, req, f, r);
    vly_otlp_close_span(b, mark);
}

/* The id of the number-th span, from 1, below this one. */
static uint64_t child_of(uint64_t span, uint64_t number)
{
    uint64_t own = vly_rng_mix(span, number);

    return own != 0 ? own : number;
}

static void put_stage(vly_buf *b, const run *r, unsigned number, const char *name,
                      uint64_t begin_unix_ns, uint64_t end_unix_ns)
{
    unsigned char id[VLY_SPAN_BYTES], parent[VLY_SPAN_BYTES];

    put_big_endian(child_of(r->span, number), id);
    put_big_endian(r->span, parent);
    size_t mark = vly_otlp_open_span(b, &(vly_otlp_span){.trace = r->trace,
                                                         .id = id,
                                                         .parent = parent,
                                                         .name = vly_str_from(name),
                                                         .kind = VLY_OTLP_INTERNAL,
                                                         .begin_unix_ns = begin_unix_ns,
                                                         .end_unix_ns = end_unix_ns});
    put_model(b, r);
    vly_otlp_close_span(b, mark);
}

/* The stages end one behind the other, the last when the run was over; none begins before the
 * request. Returns how many there are. */
static unsigned put_stages(vly_buf *b, const run *r, const wall *w, vly_nsec end)
{
    const struct {
        const char *name;
        vly_nsec took;
    } stages[] = {{"compute_output", r->times.output},
                  {"compute_infer", r->times.infer},
                  {"compute_input", r->times.input},
                  {"queue", r->times.queue}};
    vly_nsec at = r->ran_ns < end ? r->ran_ns : end;

    if (r->ran_ns == 0)
        return 0;
    for (unsigned i = 0; i < VLY_COUNT(stages); i++) {
        vly_nsec room = at > r->received_ns ? at - r->received_ns : 0;
        vly_nsec begin = at - (stages[i].took < room ? stages[i].took : room);
        put_stage(b, r, i + 1, stages[i].name, unix_of(w, begin), unix_of(w, at));
        at = begin;
    }
    return VLY_COUNT(stages);
}

static void send(vly_tracer *t, vly_buf *spans, unsigned n)
{
    if (!spans->failed)
        vly_otlp_export_push(t->exporter, vly_buf_str(spans), n);
    vly_buf_release(spans);
}

static void send_request(vly_tracer *t, const vly_http_request *req, const vly_http_finished *f)
{
    const wall w = {.now = vly_clock_now(), .unix_now = vly_clock_unix_ns()};
    bool is_stream = req->stream_kind != VLY_STREAM_NONE; /* which has ended now */
    vly_nsec end = f->sent_ns != 0 && !is_stream ? f->sent_ns : w.now;
    const run r = run_of_request(req);
    char memory[SPANS_BYTES];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 4 * (size_t)SPANS_BYTES);
    vly_buf_lend(&b, memory, 0, sizeof(memory), NULL, NULL);
    put_server(&b, req, f, &r, &w, end);
    send(t, &b, 1 + put_stages(&b, &r, &w, end));
}

void vly_trace_finished(vly_tracer *t, const vly_http_request *req, const vly_http_finished *f)
{
    vly_call *call = vly_call_of(req);
    char unused[VLY_TRACEPARENT_BYTES + 1];

    if (t == NULL || call == NULL || req->received_ns == 0)
        return;
    if (vly_trace_decide(t, call, unused))
        send_request(t, req, f);
}

/* ---- messages of streams ---- */

void vly_trace_message_begin(const vly_http_request *req, vly_nsec received_ns,
                             vly_trace_message *ret)
{
    vly_call *call = vly_call_of(req);
    vly_tracer *t = call != NULL ? call->api->tracer : NULL;
    char unused[VLY_TRACEPARENT_BYTES + 1];

    *ret = (vly_trace_message){.tracer = NULL};
    if (t == NULL)
        return;
    vly_trace *trace = &call->trace;
    trace->n_messages++;
    if (received_ns < trace->next_message_ns || !vly_trace_decide(t, call, unused))
        return;
    trace->next_message_ns = received_ns + VLY_TRACE_MESSAGE_EVERY_NS;
    *ret = (vly_trace_message){.tracer = t,
                               .stream = trace->span,
                               .span = child_of(trace->span, trace->n_messages),
                               .number = trace->n_messages,
                               .received_ns = received_ns};
    memcpy(ret->trace, trace->trace, sizeof(ret->trace));
}

static void send_message(const vly_trace_message *m, const run *r, const vly_err *err)
{
    const wall w = {.now = vly_clock_now(), .unix_now = vly_clock_unix_ns()};
    unsigned char id[VLY_SPAN_BYTES], parent[VLY_SPAN_BYTES];
    char memory[SPANS_BYTES];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 4 * (size_t)SPANS_BYTES);
    vly_buf_lend(&b, memory, 0, sizeof(memory), NULL, NULL);
    put_big_endian(m->span, id);
    put_big_endian(m->stream, parent);
    const vly_otlp_span span = {
        .trace = m->trace,
        .id = id,
        .parent = parent,
        .name = VLY_STR("message"),
        .kind = VLY_OTLP_INTERNAL,
        .begin_unix_ns = unix_of(&w, m->received_ns),
        .end_unix_ns = w.unix_now,
        .is_error = err != NULL && vly_status_http(err->status) >= SERVER_ERROR,
        .message = vly_str_from(err != NULL ? err->msg : NULL),
    };
    size_t mark = vly_otlp_open_span(&b, &span);
    put_int(&b, "volley.stream.message", (int64_t)m->number);
    put_run(&b, r);
    vly_otlp_close_span(&b, mark);
    send(m->tracer, &b, 1 + put_stages(&b, r, &w, w.now));
}

static run run_of_message(const vly_trace_message *m, const vly_served *served, bool has_arm,
                          const vly_job_times *times, bool has_run, char arm[ARM_MAX])
{
    run r = {.trace = m->trace,
             .span = m->span,
             .received_ns = m->received_ns,
             .ran_ns = has_run ? vly_clock_now() : 0,
             .times = *times,
             .model = vly_str_from(served->name),
             .version = vly_str_from(served->version)};

    if (has_arm) {
        snprintf(arm, ARM_MAX, "%s/%s", served->name, served->version);
        r.arm = vly_str_from(arm);
    }
    return r;
}

void vly_trace_message_infer(const vly_trace_message *m, const vly_infer *infer)
{
    char arm[ARM_MAX];

    if (m->tracer == NULL)
        return;
    bool has_run = infer->times.infer > 0 && !is_known(&infer->cache);
    run r = run_of_message(m, infer->served, infer->arm != NULL, &infer->times, has_run, arm);
    r.cache = vly_call_cache_name(&infer->cache);
    send_message(m, &r, infer->status == VLY_OK ? NULL : infer->err);
}

void vly_trace_message_job(const vly_trace_message *m, const vly_job *job, const vly_served *served,
                           bool has_arm)
{
    char arm[ARM_MAX];

    if (m->tracer == NULL)
        return;
    const run r = run_of_message(m, served, has_arm, &job->times, job->times.infer > 0, arm);
    send_message(m, &r, job->status == VLY_OK ? NULL : &job->err);
}

void vly_trace_message_refused(const vly_trace_message *m, const vly_err *err)
{
    const run none = {.trace = m->trace, .span = m->span, .received_ns = m->received_ns};

    if (m->tracer != NULL)
        send_message(m, &none, err);
}

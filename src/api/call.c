/* SPDX-License-Identifier: MIT */
#include "api/call.h"

#include "codec/deflate.h"

#include <stdatomic.h>

#define TRACE_ID_DIGITS ((size_t)2 * VLY_TRACE_BYTES)

static bool is_id_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != ',' && c != ';';
}

static bool is_request_id(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_id_char(s.ptr[i]))
            return false;
    return s.len > 0 && s.len <= VLY_REQUEST_ID_MAX;
}

/* The trace that the request belongs to, as it stands in its header. */
static bool trace_id_of(vly_str header, vly_str *ret)
{
    vly_traceparent t;

    if (!vly_traceparent_parse(header, &t))
        return false;
    *ret = (vly_str){header.ptr + VLY_TRACEPARENT_ID_BEGIN, TRACE_ID_DIGITS};
    return true;
}

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Unique within the process by the counter, and beyond it by the seed. */
static vly_str make_id(vly_api *api, vly_arena *arena)
{
    uint64_t n = atomic_fetch_add_explicit(&api->n_ids, 1, memory_order_relaxed);
    const uint64_t half[2] = {mix(api->id_seed + n), mix(api->id_seed ^ ~n)};
    char *text = vly_arena_alloc(arena, TRACE_ID_DIGITS);

    if (text == NULL)
        return (vly_str){NULL, 0};
    for (size_t i = 0; i < TRACE_ID_DIGITS; i++)
        text[i] = "0123456789abcdef"[(half[i / 16] >> (4 * (i % 16))) & 15];
    return (vly_str){text, TRACE_ID_DIGITS};
}

static void begin_trace(vly_call *call, const vly_http_msg *msg, vly_str made_id)
{
    uint64_t n = atomic_fetch_add_explicit(&call->api->n_ids, 1, memory_order_relaxed);
    uint64_t random[3];

    for (uint64_t i = 0; i < 3; i++)
        random[i] = mix(mix(call->api->id_seed ^ i) + n);
    vly_trace_begin(call->api->tracer, msg, made_id, random, &call->trace);
}

void vly_call_begin(vly_api *api, vly_http_request *req)
{
    vly_http_msg *msg = &req->msg;
    vly_call *call = vly_arena_calloc(&msg->arena, 1, sizeof(*call));

    if (call == NULL)
        return;
    call->api = api;
    call->id = vly_http_msg_header(msg, "X-Request-Id");
    bool is_given =
        is_request_id(call->id) || trace_id_of(vly_http_msg_header(msg, "traceparent"), &call->id);
    if (!is_given)
        call->id = make_id(api, &msg->arena);
    if (api->tracer != NULL)
        begin_trace(call, msg, is_given ? VLY_STR("") : call->id);
    call->accepts = vly_encoding_choose(vly_http_msg_header(msg, "Accept-Encoding"));
    req->user = call;
}

void vly_call_set_route(const vly_http_request *req, size_t route)
{
    vly_call *call = vly_call_of(req);

    if (call != NULL)
        call->route = route;
}

void vly_call_set_late(const vly_http_request *req, bool is_late)
{
    vly_call *call = vly_call_of(req);

    if (call != NULL)
        call->is_late = is_late;
}

void vly_call_set_model(vly_http_request *req, vly_str name)
{
    vly_call *call = vly_call_of(req);

    if (call != NULL)
        call->model = vly_str_from(vly_arena_strdup(&req->msg.arena, name));
}

void vly_call_set_arm(vly_http_request *req, const vly_route_arm *arm, const vly_served *m)
{
    vly_call *call = vly_call_of(req);

    if (call == NULL || m == NULL)
        return;
    if (arm != NULL)
        call->arm = vly_str_from(vly_arena_printf(&req->msg.arena, "%s/%s", m->name, m->version));
    if (call->model.len == 0)
        vly_call_set_model(req, vly_str_from(m->name));
    if (call->api->tracer != NULL)
        call->version = vly_str_from(vly_arena_strdup(&req->msg.arena, vly_str_from(m->version)));
}

void vly_call_set_times(vly_http_request *req, const vly_job_times *times)
{
    vly_call *call = vly_call_of(req);

    if (call == NULL)
        return;
    call->times = *times;
    call->has_times = true;
    if (call->api->tracer != NULL)
        call->trace.ran_ns = vly_clock_now();
}

void vly_call_set_cache(const vly_http_request *req, const vly_cache_outcome *outcome)
{
    vly_call *call = vly_call_of(req);

    if (call != NULL)
        call->cache = *outcome;
}

const char *vly_call_cache_name(const vly_cache_outcome *outcome)
{
    if (!outcome->was_asked)
        return NULL;
    switch (outcome->origin) {
    case VLY_CACHE_FROM_NOBODY:
        return "miss";
    case VLY_CACHE_FROM_MEMORY:
    case VLY_CACHE_FROM_REDIS:
        return "hit";
    case VLY_CACHE_FROM_LEADER:
        break;
    }
    return "shared";
}

const char *vly_call_cache(const vly_call *call)
{
    return vly_call_cache_name(&call->cache);
}

/* Milliseconds with three digits behind the point, without the cost of printing a double. */
static char *put_ms(char *to, const char *name, vly_nsec ns)
{
    uint64_t us = (ns + VLY_NSEC_PER_US / 2) / VLY_NSEC_PER_US;
    char digits[24];
    size_t at = sizeof(digits);

    for (int i = 0; i < 3; i++, us /= 10)
        digits[--at] = (char)('0' + us % 10);
    digits[--at] = '.';
    do {
        digits[--at] = (char)('0' + us % 10);
        us /= 10;
    } while (us > 0);
    to = stpcpy(to, name);
    memcpy(to, digits + at, sizeof(digits) - at);
    return to + sizeof(digits) - at;
}

void vly_call_timing(vly_call *call, const vly_http_request *req, char text[VLY_SERVER_TIMING_MAX])
{
    char *to = text;

    call->total_ns = vly_clock_now() - req->received_ns;
    if (call->has_times) {
        to = put_ms(to, "queue;dur=", call->times.queue);
        to = put_ms(to, ", input;dur=", call->times.input);
        to = put_ms(to, ", compute;dur=", call->times.infer);
        to = put_ms(to, ", output;dur=", call->times.output);
        to = stpcpy(to, ", ");
    }
    to = put_ms(to, "total;dur=", call->total_ns);
    *to = '\0';
}

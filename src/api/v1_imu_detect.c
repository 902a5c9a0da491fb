/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/imu:detect: a recording in, its steps out, in the words of `volley steps --json`.
 *
 * The body is CSV, TSV, JSON or packets; its first bytes tell which, whatever the Content-Type. A
 * worker reads it, for a recording of some minutes takes milliseconds.
 *
 * Lifetime: everything lives in the request's arena until it is answered.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/steps_detect.h"
#include "api/steps_query.h"
#include "codec/inflate.h"

typedef struct detect_call {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_http_request *req;
    vly_encoding encoding;
    vly_steps_detect detect;
    vly_steps_answer answer;
} detect_call;

static vly_str body_of(detect_call *c, vly_buf *inflated, vly_status *ret, vly_err *err)
{
    const vly_buf *body = &c->req->msg.body;

    *ret = VLY_OK;
    if (c->encoding == VLY_ENCODING_IDENTITY)
        return vly_buf_str(body);
    vly_api *api = c->detect.api;
    *ret = vly_inflate(c->encoding, vly_buf_str(body), inflated, err);
    if (*ret == VLY_OK)
        *ret = vly_http_msg_hold(&c->req->msg, inflated->len, err);
    vly_counter_add(&api->stats.unpacked_bytes_before, body->len);
    vly_counter_add(&api->stats.unpacked_bytes_after, inflated->len);
    return vly_buf_str(inflated);
}

static void run(vly_work *work)
{
    detect_call *c = (detect_call *)work;
    vly_http_request *req = c->req;
    vly_api *api = c->detect.api;
    const char *type = vly_steps_answer_type(c->answer);
    vly_buf inflated, b;
    vly_status st;
    vly_err err;

    vly_buf_init(&inflated, VLY_MEM_NET, api->max_body_bytes);
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_str body = body_of(c, &inflated, &st, &err);
    if (st == VLY_OK)
        st = vly_steps_detect_run(&c->detect, body, c->answer, &b, &err);
    vly_buf_release(&inflated);
    vly_steps_pool_leave(api->steps_pool);
    if (st == VLY_OK) {
        vly_answer_body(req, 200, type, &b);
        return;
    }
    vly_buf_release(&b);
    vly_answer_err(req, &err);
}

/* The first type of Accept that this path has decides. */
static vly_steps_answer answer_wanted(const vly_http_msg *msg)
{
    vly_str rest = vly_http_msg_header(msg, "Accept");

    while (rest.ptr != NULL) {
        vly_str item = vly_str_split(&rest, ',');
        vly_str type = vly_str_trim(vly_str_split(&item, ';'));
        if (vly_str_eq_nocase(type, VLY_STR("text/csv")))
            return VLY_STEPS_CSV;
        if (vly_str_eq_nocase(type, VLY_STR("image/svg+xml")))
            return VLY_STEPS_SVG;
        if (vly_str_eq_nocase(type, VLY_STR("application/json")) || vly_str_is(type, "*/*"))
            return VLY_STEPS_JSON;
    }
    return VLY_STEPS_JSON;
}

static vly_status read_query(detect_call *c, vly_err *err)
{
    vly_http_msg *msg = &c->req->msg;
    vly_imu_reader_opts *o = &c->detect.reader;
    vly_str look_ahead = {NULL, 0};
    bool has_events = true;
    int64_t ms = -1;
    vly_status st = vly_steps_query_rate(msg, &o->rate_hz, err);

    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "columns", &o->columns, err);
    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "acc_unit", &o->acc_unit, err);
    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "gyro_unit", &o->gyro_unit, err);
    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "time_unit", &o->time_unit, err);
    if (st == VLY_OK)
        st = vly_steps_query_text(msg, "look_ahead_ms", &look_ahead, err);
    if (st == VLY_OK)
        st = vly_steps_query_bool(msg, "events", &has_events, err);
    if (st != VLY_OK)
        return st;
    if (look_ahead.ptr != NULL && (!vly_str_to_i64(look_ahead, &ms) || ms < 0 || ms > 60000))
        return vly_fail(err, VLY_EINVAL, "'look_ahead_ms': expected milliseconds, got '%.*s'",
                        VLY_STR_ARG(look_ahead));
    c->detect.look_ahead_ms = (int)ms;
    c->detect.is_without_events = !has_events;
    o->is_rate_forced = o->rate_hz > 0;
    return VLY_OK;
}

static vly_status begin(vly_api *api, vly_http_request *req, vly_err *err)
{
    detect_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    if (api->steps_pool == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    c->work.run = run;
    c->req = req;
    c->detect.api = api;
    c->detect.is_cancelled = &req->is_cancelled;
    c->answer = answer_wanted(&req->msg);
    vly_status st =
        vly_encoding_parse(vly_http_msg_header(&req->msg, "Content-Encoding"), &c->encoding, err);
    if (st == VLY_OK)
        st = read_query(c, err);
    if (st == VLY_OK && req->msg.body.len == 0)
        st = vly_fail(err, VLY_EINVAL, "expected a recording in the body, got nothing");
    if (st == VLY_OK)
        st = vly_steps_pool_enter(api->steps_pool, err);
    if (st != VLY_OK)
        return st;
    if (vly_worker_pool_submit(vly_scheduler_pool(api->scheduler), &c->work) == VLY_OK)
        return VLY_OK;
    vly_steps_pool_leave(api->steps_pool);
    return vly_fail(err, VLY_EBUSY, "the server is busy");
}

void vly_route_v1_imu_detect(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)captures;
    if (begin(api, req, &err) != VLY_OK)
        vly_answer_err(req, &err);
}

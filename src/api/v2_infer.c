/* SPDX-License-Identifier: MIT */
/*
 * POST /v2/models/{m}/infer. The loop thread only finds the model and queues the request: JSON is
 * read, the model run and the answer written on a worker.
 *
 * Lifetime: the call lives in the request's arena until it is answered.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/v2.h"
#include "api/v2_response.h"
#include "codec/inflate.h"

#include <stdio.h>

#define HEADER_LENGTH "Inference-Header-Content-Length"

typedef struct infer_call {
    vly_job job;
    vly_api *api;
    vly_http_request *req;
    vly_servable *servable;
    vly_encoding encoding;
    bool has_json_len; /* the header was sent: 0 means that there is no JSON */
    size_t json_len;
    vly_buf inflated; /* body of the request, when it came compressed */
    vly_v2_request request;
    vly_buf json, binary; /* of the answer */
} infer_call;

static vly_status check_timeout(const infer_call *c, vly_err *err)
{
    uint64_t waited_us = (vly_clock_now() - c->req->received_ns) / VLY_NSEC_PER_US;

    if (c->request.json.timeout_us == 0 || waited_us <= c->request.json.timeout_us)
        return VLY_OK;
    return vly_fail(err, VLY_EDEADLINE, "Request timeout expired");
}

static vly_status open_body(infer_call *c, vly_str *ret, vly_err *err)
{
    vly_str sent = vly_buf_str(&c->req->msg.body);
    vly_status st;

    if (c->encoding == VLY_ENCODING_IDENTITY) {
        *ret = sent;
        return VLY_OK;
    }
    vly_buf_init(&c->inflated, VLY_MEM_NET, c->api->max_body_bytes);
    st = vly_inflate(c->encoding, sent, &c->inflated, err);
    *ret = vly_buf_str(&c->inflated);
    return st;
}

static vly_status read_request(infer_call *c, vly_err *err)
{
    const vly_infer_json_limits limits = {.max_depth = c->api->max_json_depth,
                                          .max_memory_bytes = c->api->max_json_bytes};
    vly_arena *arena = &c->req->msg.arena;
    vly_str body;
    vly_status st = open_body(c, &body, err);

    if (st != VLY_OK)
        return st;
    if (c->has_json_len && c->json_len == 0)
        return vly_v2_request_read_raw(&c->request, c->servable, body, arena, err);
    return vly_v2_request_read(&c->request, c->servable, body,
                               c->has_json_len ? c->json_len : body.len, &limits, arena, err);
}

static vly_status prepare(vly_job *job, vly_err *err)
{
    infer_call *c = job->ctx;
    vly_status st = read_request(c, err);

    if (st == VLY_OK)
        st = check_timeout(c, err);
    if (st != VLY_OK)
        return st;
    job->inputs = c->request.inputs;
    if (vly_v2_max_batch(c->servable) > 0)
        job->n_inferences = (size_t)c->request.inputs[0].shape.dim[0];
    return VLY_OK;
}

static vly_status encode(vly_job *job, vly_err *err)
{
    infer_call *c = job->ctx;

    vly_buf_init(&c->json, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_buf_init(&c->binary, VLY_MEM_NET, c->api->max_answer_bytes);
    return vly_v2_response_write(&c->request, c->servable, job->outputs, &c->req->msg.arena,
                                 &c->json, &c->binary, err);
}

/* The header tells where the JSON ends, and is there only when something follows it. */
static void answer(vly_http_request *req, vly_buf *json, vly_buf *binary)
{
    vly_buf parts[2] = {*json, *binary};
    char json_len[24];
    bool has_binary = binary->len > 0;

    snprintf(json_len, sizeof(json_len), "%zu", json->len);
    const vly_http_header header = {VLY_STR(HEADER_LENGTH), vly_str_from(json_len)};
    vly_http_respond(
        req, &(vly_http_answer){
                 .status = 200,
                 .content_type = has_binary ? "application/octet-stream" : "application/json",
                 .headers = &header,
                 .n_headers = has_binary ? 1 : 0,
                 .parts = parts,
                 .n_parts = has_binary ? 2 : 1,
             });
    vly_buf_release(&parts[0]);
    vly_buf_release(&parts[1]);
}

/* The call ends with the answer, so the buffers leave it first. */
static void done(vly_job *job)
{
    infer_call *c = job->ctx;
    vly_buf json = c->json, binary = c->binary;

    vly_v2_request_release(&c->request, c->servable);
    vly_buf_release(&c->inflated);
    if (job->status == VLY_OK) {
        answer(c->req, &json, &binary);
        return;
    }
    vly_buf_release(&json);
    vly_buf_release(&binary);
    vly_answer_err(c->req, &job->err);
}

static vly_status read_headers(infer_call *c, vly_err *err)
{
    const vly_http_msg *msg = &c->req->msg;
    vly_str text = vly_http_msg_header(msg, HEADER_LENGTH);
    uint64_t len = 0;

    if (text.ptr != NULL && !vly_str_to_u64(text, &len))
        return vly_fail(err, VLY_EINVAL, "'" HEADER_LENGTH "': expected a number, got '%.*s'",
                        VLY_STR_ARG(text));
    c->has_json_len = text.ptr != NULL;
    c->json_len = (size_t)len;
    return vly_encoding_parse(vly_http_msg_header(msg, "Content-Encoding"), &c->encoding, err);
}

static vly_status begin(vly_api *api, vly_http_request *req, const vly_str *captures, vly_err *err)
{
    infer_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_served *m = NULL;

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request");
    c->api = api;
    c->req = req;
    vly_status st = read_headers(c, err);
    if (st == VLY_OK)
        st = vly_v2_find(api, captures, &m, err);
    if (st != VLY_OK)
        return st;
    c->servable = m->servable;
    c->job = (vly_job){.kind = VLY_JOB_TENSORS,
                       .ctx = c,
                       .is_cancelled = &req->is_cancelled,
                       .received_ns = req->received_ns,
                       .prepare = prepare,
                       .encode = encode,
                       .done = done};
    vly_job *job = &c->job;
    st = vly_scheduler_submit(m, &job, 1, err);
    vly_served_unref(m);
    return st;
}

void vly_route_v2_infer(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    if (begin(api, req, captures, &err) != VLY_OK)
        vly_answer_err(req, &err);
}

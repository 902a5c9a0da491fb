/* SPDX-License-Identifier: MIT */
#include "api/answer.h"

#include "api/access.h"
#include "api/call.h"
#include "api/cors.h"
#include "api/desk.h"
#include "api/route_stats.h"
#include "base/assert.h"
#include "codec/deflate.h"

#include <stdio.h>

/* X-Request-Id, Server-Timing, Volley-Cache, Age, Volley-Arm, traceresponse, Content-Encoding,
 * Vary, and what follows */
#define OWN_HEADERS (8 + VLY_ACCESS_HEADERS_MAX + VLY_CORS_HEADERS_MAX)
#define AGE_BYTES   24

/* ---- with the headers of every answer ---- */

/* Volley-Cache, and Age (RFC 9111) of what was known; returns how many. */
static size_t put_cache(const vly_call *call, char age[AGE_BYTES], vly_http_header *to)
{
    const char *outcome = vly_call_cache(call);
    uint64_t now = vly_clock_unix_ms(), made = call->cache.made_unix_ms;

    if (outcome == NULL)
        return 0;
    to[0] = (vly_http_header){VLY_STR("Volley-Cache"), vly_str_from(outcome)};
    if (made == 0)
        return 1;
    snprintf(age, AGE_BYTES, "%llu", (unsigned long long)(now > made ? (now - made) / 1000 : 0));
    to[1] = (vly_http_header){VLY_STR("Age"), vly_str_from(age)};
    return 2;
}

static void respond(vly_http_request *req, const vly_http_answer *answer, vly_encoding encoding)
{
    vly_http_header headers[VLY_ANSWER_HEADERS_MAX + OWN_HEADERS];
    char timing[VLY_SERVER_TIMING_MAX], age[AGE_BYTES], trace[VLY_TRACEPARENT_BYTES + 1];
    vly_call *call = vly_call_of(req);
    vly_http_answer full = *answer;

    VLY_ASSERT(answer->n_headers <= VLY_ANSWER_HEADERS_MAX);
    for (size_t i = 0; i < answer->n_headers; i++)
        headers[i] = answer->headers[i];
    full.headers = headers;
    if (call != NULL && call->id.len > 0)
        headers[full.n_headers++] = (vly_http_header){VLY_STR("X-Request-Id"), call->id};
    if (call != NULL) {
        vly_call_timing(call, req, timing);
        headers[full.n_headers++] =
            (vly_http_header){VLY_STR("Server-Timing"), vly_str_from(timing)};
        full.n_headers += put_cache(call, age, &headers[full.n_headers]);
    }
    if (call != NULL && call->arm.len > 0)
        headers[full.n_headers++] = (vly_http_header){VLY_STR("Volley-Arm"), call->arm};
    if (call != NULL && call->api->tracer != NULL &&
        vly_trace_decide(call->api->tracer, call, trace))
        headers[full.n_headers++] =
            (vly_http_header){VLY_STR("traceresponse"), vly_str_from(trace)};
    if (encoding != VLY_ENCODING_IDENTITY) {
        headers[full.n_headers++] = (vly_http_header){VLY_STR("Content-Encoding"),
                                                      vly_str_from(vly_encoding_name(encoding))};
        headers[full.n_headers++] = (vly_http_header){VLY_STR("Vary"), VLY_STR("Accept-Encoding")};
    }
    full.n_headers += vly_access_put_headers(req, headers + full.n_headers);
    full.n_headers += vly_cors_put_headers(req, headers + full.n_headers);
    vly_http_respond(req, &full);
}

/* ---- compressed ---- */

/* An answer on its way through a worker, or the desk. Lives in the arena of the request. */
typedef struct packing {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_http_request *req;
    vly_http_answer answer;
    vly_http_header headers[VLY_ANSWER_HEADERS_MAX];
    vly_buf parts[VLY_HTTP_MAX_PARTS];
} packing;

static size_t bytes_of(const vly_http_answer *answer)
{
    size_t bytes = 0;

    for (size_t i = 0; i < answer->n_parts; i++)
        bytes += answer->parts[i].len;
    return bytes;
}

/* Pictures are compressed as they are. */
static bool is_compressible(const char *content_type)
{
    vly_str type = vly_str_from(content_type);

    return vly_str_starts(type, VLY_STR("application/json")) ||
           vly_str_starts(type, VLY_STR("application/octet-stream")) ||
           vly_str_starts(type, VLY_STR("application/openmetrics-text")) ||
           vly_str_starts(type, VLY_STR("text/"));
}

static bool may_be_packed(const vly_http_request *req, const char *content_type, size_t bytes)
{
    const vly_call *call = vly_call_of(req);

    return call != NULL && call->accepts != VLY_ENCODING_IDENTITY &&
           call->api->compress_min_bytes > 0 && bytes >= call->api->compress_min_bytes &&
           req->msg.method != VLY_HTTP_HEAD && content_type != NULL &&
           is_compressible(content_type);
}

static void count_packed(const vly_call *call, size_t before, size_t after)
{
    vly_counter_add(&call->api->stats.packed_bytes_before, before);
    vly_counter_add(&call->api->stats.packed_bytes_after, after);
}

static void pack(vly_work *work)
{
    packing *p = (packing *)work;
    vly_call *call = vly_call_of(p->req);
    vly_http_answer answer = p->answer;
    vly_str plain[VLY_HTTP_MAX_PARTS];
    size_t before = bytes_of(&answer);
    vly_buf packed;

    for (size_t i = 0; i < answer.n_parts; i++)
        plain[i] = vly_buf_str(&answer.parts[i]);
    vly_buf_init(&packed, VLY_MEM_NET, before); /* larger than before it is of no use */
    bool is_packed = !atomic_load(&p->req->is_cancelled) &&
                     vly_deflate(call->accepts, plain, answer.n_parts, &packed, NULL) == VLY_OK;
    if (!is_packed) {
        respond(p->req, &answer, VLY_ENCODING_IDENTITY);
        vly_buf_release(&packed);
        return;
    }
    count_packed(call, before, packed.len);
    for (size_t i = 0; i < answer.n_parts; i++)
        vly_buf_release(&answer.parts[i]);
    answer.parts = &packed;
    answer.n_parts = 1;
    respond(p->req, &answer, call->accepts);
}

static bool copy_text(vly_arena *arena, vly_str *s)
{
    const char *copy = vly_arena_strdup(arena, *s);

    s->ptr = copy;
    return copy != NULL;
}

/* Takes the answer over; false when there is no memory for that, and nothing has happened. */
static bool pack_later(vly_http_request *req, const vly_http_answer *answer)
{
    vly_arena *arena = &req->msg.arena;
    packing *p = vly_arena_calloc(arena, 1, sizeof(*p));
    bool ok = p != NULL;

    VLY_ASSERT(answer->n_headers <= VLY_ANSWER_HEADERS_MAX);
    VLY_ASSERT(answer->n_parts <= VLY_HTTP_MAX_PARTS);
    for (size_t i = 0; ok && i < answer->n_headers; i++) {
        p->headers[i] = answer->headers[i];
        ok = copy_text(arena, &p->headers[i].name) && copy_text(arena, &p->headers[i].value);
    }
    if (!ok)
        return false;
    p->work.run = pack;
    p->req = req;
    p->answer = *answer;
    p->answer.headers = p->headers;
    p->answer.content_type = vly_arena_strdup(arena, vly_str_from(answer->content_type));
    if (p->answer.content_type == NULL)
        return false;
    for (size_t i = 0; i < answer->n_parts; i++) {
        p->parts[i] = answer->parts[i];
        vly_buf_init(&answer->parts[i], p->parts[i].kind, p->parts[i].max_bytes);
    }
    p->answer.parts = p->parts;
    const vly_call *call = vly_call_of(req);
    vly_status st = vly_worker_pool_submit(
        vly_desk_or_workers(call->api, vly_route_scope(call->route)), &p->work);
    VLY_ASSERT(st == VLY_OK); /* neither line has a bound of its own: see scheduler.c */
    return true;
}

void vly_answer(vly_http_request *req, const vly_http_answer *answer)
{
    const vly_call *call = vly_call_of(req);
    bool is_to_pack = may_be_packed(req, answer->content_type, bytes_of(answer)) &&
                      vly_route_scope(call->route) != VLY_SCOPE_NONE;

    if (!is_to_pack || !pack_later(req, answer))
        respond(req, answer, VLY_ENCODING_IDENTITY);
}

/* ---- shapes ---- */

/* header: one, or NULL. */
static void answer_error(vly_http_request *req, int status, const char *msg,
                         const vly_http_header *header)
{
    vly_call *call = vly_call_of(req);
    vly_buf body;

    if (call != NULL) {
        const char *copy = vly_arena_strdup(&req->msg.arena, vly_str_from(msg));
        call->error = vly_str_from(copy);
    }
    vly_buf_init(&body, VLY_MEM_NET, (size_t)16 * VLY_ERR_MSG_MAX);
    vly_buf_puts(&body, "{\"error\":");
    vly_buf_json_str(&body, vly_str_from(msg));
    vly_buf_putc(&body, '}');
    const vly_http_answer answer = {.status = status,
                                    .content_type = "application/json",
                                    .headers = header,
                                    .n_headers = header != NULL,
                                    .parts = &body,
                                    .n_parts = body.failed ? 0 : 1};
    respond(req, &answer, VLY_ENCODING_IDENTITY); /* short, and strangers get it too */
    vly_buf_release(&body);
}

void vly_answer_made(vly_http_request *req, const vly_http_answer *answer, vly_str plain,
                     vly_str gzip)
{
    bool is_packed =
        may_be_packed(req, answer->content_type, plain.len) &&
        vly_encoding_takes(vly_http_msg_header(&req->msg, "Accept-Encoding"), VLY_ENCODING_GZIP);
    vly_http_answer full = *answer;
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, plain.len + gzip.len);
    vly_buf_add_str(&body, is_packed ? gzip : plain);
    full.parts = &body;
    full.n_parts = 1;
    if (body.failed) {
        answer_error(req, 503, "out of memory for the answer", NULL);
    } else {
        if (is_packed)
            count_packed(vly_call_of(req), plain.len, gzip.len);
        respond(req, &full, is_packed ? VLY_ENCODING_GZIP : VLY_ENCODING_IDENTITY);
    }
    vly_buf_release(&body);
}

/* Below /v2 with Triton's codes: what is busy or late is unavailable there. */
static int status_of(const vly_http_request *req, vly_status st)
{
    bool is_triton = vly_str_starts(req->msg.path, VLY_STR("/v2"));

    if (is_triton && (st == VLY_EBUSY || st == VLY_EDEADLINE))
        return vly_status_http(VLY_EUNAVAILABLE);
    return vly_status_http(st);
}

/* RFC 6750 3: what kind of key is wanted, or what is wrong with the one that came. */
static vly_str challenge_of(const vly_http_request *req, vly_status st)
{
    if (st == VLY_EDENIED)
        return VLY_STR("Bearer realm=\"volley\", error=\"insufficient_scope\"");
    if (vly_access_has_key(req))
        return VLY_STR("Bearer realm=\"volley\", error=\"invalid_token\"");
    return VLY_STR("Bearer realm=\"volley\"");
}

void vly_answer_err(vly_http_request *req, const vly_err *err)
{
    vly_status st = err->status;
    char seconds[24];
    vly_http_header h;
    bool is_challenge =
        st == VLY_EUNAUTHENTICATED || (st == VLY_EDENIED && vly_access_has_key(req));

    snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)vly_access_retry_s(req));
    h = (vly_http_header){VLY_STR("Retry-After"), vly_str_from(seconds)};
    if (is_challenge)
        h = (vly_http_header){VLY_STR("WWW-Authenticate"), challenge_of(req, st)};
    answer_error(req, status_of(req, st), err->msg,
                 is_challenge || st == VLY_EBUSY || st == VLY_EEXHAUSTED ? &h : NULL);
}

void vly_answer_not_allowed(vly_http_request *req, const char *allow)
{
    answer_error(req, 405, "Method Not Allowed",
                 &(vly_http_header){VLY_STR("Allow"), vly_str_from(allow)});
}

void vly_answer_empty(vly_http_request *req, int status)
{
    vly_answer(req, &(vly_http_answer){.status = status});
}

void vly_answer_body(vly_http_request *req, int status, const char *content_type, vly_buf *body)
{
    if (body->failed)
        answer_error(req, 503, "out of memory for the answer", NULL);
    else
        vly_answer(
            req, &(vly_http_answer){
                     .status = status, .content_type = content_type, .parts = body, .n_parts = 1});
    vly_buf_release(body);
}

void vly_answer_json(vly_http_request *req, int status, vly_buf *body)
{
    vly_answer_body(req, status, "application/json", body);
}

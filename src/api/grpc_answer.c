/* SPDX-License-Identifier: MIT */
/* Frames, statuses and timeouts of gRPC over HTTP/2. */
#include "api/grpc.h"

#include "api/answer.h"
#include "api/call.h"
#include "base/assert.h"
#include "codec/deflate.h"

#include <stdio.h>

#define CONTENT_TYPE       "application/grpc"
#define STATUS_INTERNAL    13
#define COMPRESS_MIN_BYTES ((size_t)1 << 10)
#define TIMEOUT_DIGITS_MAX 8

void vly_grpc_begin_frame(vly_buf *out)
{
    vly_buf_add(out, "\0\0\0\0\0", VLY_GRPC_HEAD_BYTES);
}

int vly_grpc_code(vly_status st)
{
    return st == VLY_EFORMAT ? STATUS_INTERNAL : vly_status_grpc(st);
}

void vly_grpc_fail(vly_http_request *req, const vly_err *err)
{
    vly_call *call = vly_call_of(req);
    char code[8], text[3 * VLY_ERR_MSG_MAX];
    vly_buf message;

    vly_buf_init(&message, VLY_MEM_NET, sizeof(text));
    vly_buf_lend(&message, text, 0, sizeof(text), NULL, NULL);
    vly_grpc_escape(&message, vly_str_from(err->msg));
    snprintf(code, sizeof(code), "%d", vly_grpc_code(err->status));
    const vly_http_header headers[] = {
        {VLY_STR("grpc-status"), vly_str_from(code)},
        {VLY_STR("grpc-message"), vly_buf_str(&message)},
        {VLY_STR("grpc-accept-encoding"), VLY_STR("identity,deflate,gzip")},
    };
    if (call != NULL)
        call->grpc_as_http = vly_status_http(err->status);
    if (call != NULL)
        call->grpc_code = vly_grpc_code(err->status);
    if (call != NULL)
        call->error = vly_str_from(vly_arena_strdup(&req->msg.arena, vly_str_from(err->msg)));
    /* What has no body has its status in the headers. Encodings matter to whoever used another. */
    vly_answer(req, &(vly_http_answer){.status = 200,
                                       .content_type = CONTENT_TYPE,
                                       .headers = headers,
                                       .n_headers = err->status == VLY_EUNSUPPORTED ? 3 : 2});
    vly_buf_release(&message);
}

static bool is_listed(vly_str list, const char *name)
{
    while (list.ptr != NULL)
        if (vly_str_is(vly_str_trim(vly_str_split(&list, ',')), name))
            return true;
    return false;
}

static bool wants_compressed(const vly_grpc_call *call, size_t message_bytes)
{
    vly_str accepted = vly_http_msg_header(&call->req->msg, "grpc-accept-encoding");

    return call->encoding != VLY_ENCODING_IDENTITY && message_bytes >= COMPRESS_MIN_BYTES &&
           is_listed(accepted, vly_encoding_name(call->encoding));
}

/* Puts the message, compressed, into *ret behind the head of a frame. False: it is not shorter. */
static bool compress(const vly_grpc_call *call, const vly_buf *parts, size_t n, size_t bytes,
                     vly_buf *ret)
{
    vly_str plain[VLY_HTTP_MAX_PARTS];

    for (size_t i = 0; i < n; i++)
        plain[i] = vly_buf_str(&parts[i]);
    plain[0].ptr += VLY_GRPC_HEAD_BYTES;
    plain[0].len -= VLY_GRPC_HEAD_BYTES;
    vly_buf_init(ret, VLY_MEM_NET, bytes);
    vly_grpc_begin_frame(ret);
    if (vly_deflate(call->encoding, plain, n, ret, NULL) == VLY_OK)
        return true;
    vly_buf_release(ret);
    return false;
}

/* bytes: of all parts. */
static void reply(const vly_grpc_call *call, vly_buf *parts, size_t n, size_t bytes,
                  bool is_compressed)
{
    static const vly_http_header ok = {VLY_STR("grpc-status"), VLY_STR("0")};
    const vly_http_header encoding = {VLY_STR("grpc-encoding"),
                                      vly_str_from(vly_encoding_name(call->encoding))};

    vly_grpc_frame_head((unsigned char *)parts[0].ptr, is_compressed, bytes - VLY_GRPC_HEAD_BYTES);
    vly_answer(call->req, &(vly_http_answer){.status = 200,
                                             .content_type = CONTENT_TYPE,
                                             .headers = &encoding,
                                             .n_headers = is_compressed,
                                             .trailers = &ok,
                                             .n_trailers = 1,
                                             .parts = parts,
                                             .n_parts = n});
}

void vly_grpc_reply(vly_grpc_call *call, vly_buf *parts, size_t n_parts)
{
    size_t bytes = 0;
    bool failed = false;
    vly_buf packed;
    vly_err err;

    for (size_t i = 0; i < n_parts; i++) {
        bytes += parts[i].len;
        failed = failed || parts[i].failed;
    }
    if (failed) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the answer");
        vly_grpc_fail(call->req, &err);
    } else if (wants_compressed(call, bytes) && compress(call, parts, n_parts, bytes, &packed)) {
        reply(call, &packed, 1, packed.len, true);
    } else {
        reply(call, parts, n_parts, bytes, false);
    }
    for (size_t i = 0; i < n_parts; i++)
        vly_buf_release(&parts[i]);
}

/* Nanoseconds of a unit; 0: there is no such unit. */
static uint64_t unit_ns(char unit)
{
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {{'H', 3600 * VLY_NSEC_PER_SEC}, {'M', 60 * VLY_NSEC_PER_SEC},
                 {'S', VLY_NSEC_PER_SEC},        {'m', VLY_NSEC_PER_MS},
                 {'u', VLY_NSEC_PER_US},         {'n', 1}};

    for (size_t i = 0; i < VLY_COUNT(units); i++)
        if (units[i].unit == unit)
            return units[i].ns;
    return 0;
}

vly_status vly_grpc_deadline(const vly_http_msg *msg, vly_nsec since, vly_nsec *ret, vly_err *err)
{
    vly_str text = vly_http_msg_header(msg, "grpc-timeout");
    uint64_t n, span;
    vly_nsec at;

    if (text.ptr == NULL) {
        *ret = 0;
        return VLY_OK;
    }
    uint64_t unit = text.len > 0 ? unit_ns(text.ptr[text.len - 1]) : 0;
    if (unit == 0 || text.len > TIMEOUT_DIGITS_MAX + 1 ||
        !vly_str_to_u64((vly_str){text.ptr, text.len - 1}, &n))
        return vly_fail(err, VLY_EINVAL, "grpc-timeout: expected as in '100m', got '%.*s'",
                        VLY_STR_ARG(text));
    bool is_far =
        __builtin_mul_overflow(n, unit, &span) || __builtin_add_overflow(since, span, &at);
    *ret = is_far ? 0 : at;
    return VLY_OK;
}

/* SPDX-License-Identifier: MIT */
/* Frames, statuses and timeouts of gRPC over HTTP/2. */
#include "api/grpc.h"

#include "base/assert.h"
#include "codec/deflate.h"

#include <stdio.h>

#define CONTENT_TYPE       "application/grpc"
#define STATUS_INTERNAL    13
#define COMPRESS_MIN_BYTES ((size_t)1 << 10)
#define TIMEOUT_DIGITS_MAX 8

void vly_grpc_begin_frame(vly_buf *out)
{
    vly_buf_add(out, "\0\0\0\0\0", VLY_GRPC_FRAME_BYTES);
}

/* Writes flag and length into the frame's head. */
static void end_frame(vly_buf *out, bool is_compressed)
{
    uint32_t len = __builtin_bswap32((uint32_t)(out->len - VLY_GRPC_FRAME_BYTES));

    out->ptr[0] = (char)is_compressed;
    memcpy(out->ptr + 1, &len, sizeof(len));
}

int vly_grpc_code(vly_status st)
{
    return st == VLY_EFORMAT ? STATUS_INTERNAL : vly_status_grpc(st);
}

/* A text as header values of gRPC carry it: what is not printable ASCII, and %, as %XX. */
static vly_str escape(const char *text, char *dst)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p >= ' ' && *p <= '~' && *p != '%') {
            dst[n++] = (char)*p;
            continue;
        }
        dst[n++] = '%';
        dst[n++] = hex[*p >> 4];
        dst[n++] = hex[*p & 15];
    }
    return (vly_str){dst, n};
}

void vly_grpc_fail(vly_http_request *req, const vly_err *err)
{
    char code[8], message[3 * VLY_ERR_MSG_MAX];

    snprintf(code, sizeof(code), "%d", vly_grpc_code(err->status));
    const vly_http_header headers[] = {
        {VLY_STR("grpc-status"), vly_str_from(code)},
        {VLY_STR("grpc-message"), escape(err->msg, message)},
        {VLY_STR("grpc-accept-encoding"), VLY_STR("identity,deflate,gzip")},
    };
    /* What has no body has its status in the headers. Encodings matter to whoever used another. */
    vly_http_respond(req, &(vly_http_answer){.status = 200,
                                             .content_type = CONTENT_TYPE,
                                             .headers = headers,
                                             .n_headers = err->status == VLY_EUNSUPPORTED ? 3 : 2});
}

static bool is_listed(vly_str list, const char *name)
{
    while (list.ptr != NULL)
        if (vly_str_is(vly_str_trim(vly_str_split(&list, ',')), name))
            return true;
    return false;
}

/* Replaces the message in out by its compressed form when that is wanted and shorter. */
static bool compress(const vly_grpc_call *call, vly_buf *out)
{
    vly_str accepted = vly_http_msg_header(&call->req->msg, "grpc-accept-encoding");
    const vly_str message = {out->ptr + VLY_GRPC_FRAME_BYTES, out->len - VLY_GRPC_FRAME_BYTES};
    vly_buf shorter;
    vly_err err;

    if (call->encoding == VLY_ENCODING_IDENTITY || message.len < COMPRESS_MIN_BYTES ||
        !is_listed(accepted, vly_encoding_name(call->encoding)))
        return false;
    vly_buf_init(&shorter, VLY_MEM_NET, out->len);
    vly_grpc_begin_frame(&shorter);
    bool is_shorter = vly_deflate(call->encoding, &message, 1, &shorter, &err) == VLY_OK;
    vly_buf unused = is_shorter ? *out : shorter;
    if (is_shorter)
        *out = shorter;
    vly_buf_release(&unused);
    return is_shorter;
}

static void reply(const vly_grpc_call *call, vly_buf *out)
{
    static const vly_http_header ok = {VLY_STR("grpc-status"), VLY_STR("0")};
    const vly_http_header encoding = {VLY_STR("grpc-encoding"),
                                      vly_str_from(vly_encoding_name(call->encoding))};
    bool is_compressed = compress(call, out);

    end_frame(out, is_compressed);
    vly_http_respond(call->req, &(vly_http_answer){.status = 200,
                                                   .content_type = CONTENT_TYPE,
                                                   .headers = &encoding,
                                                   .n_headers = is_compressed,
                                                   .trailers = &ok,
                                                   .n_trailers = 1,
                                                   .parts = out,
                                                   .n_parts = 1});
}

void vly_grpc_reply(vly_grpc_call *call, vly_buf *out)
{
    vly_err err;

    if (out->failed) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the answer");
        vly_grpc_fail(call->req, &err);
    } else {
        reply(call, out);
    }
    vly_buf_release(out);
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

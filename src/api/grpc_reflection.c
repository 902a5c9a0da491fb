/* SPDX-License-Identifier: MIT */
/*
 * grpc.reflection: which services there are, and the .proto files that describe them, from the
 * table of grpc_descriptors.c. v1 and v1alpha have the same messages.
 *
 * A file is answered with the files it imports behind it, so that one answer is enough.
 */
#include "api/grpc_descriptors.h"
#include "api/grpc_methods.h"
#include "base/assert.h"
#include "codec/grpc_admin.h"
#include "codec/pb_schema.h"
#include "codec/pb_slots.h"
#include "net/http_stream.h"

#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define CODE_NOT_FOUND   5
#define CODE_UNSUPPORTED 12
#define CODE_EXHAUSTED   8

/* Field numbers of ServerReflectionResponse and its parts, and of FileDescriptorProto. */
enum { HOST = 1, REQUEST = 2, FILES = 4, EXTENSION_NUMBERS = 5, SERVICES = 6, ERROR = 7 };
enum { FILE_DEPENDENCY = 3 };

static void put_error(vly_buf *b, unsigned code, const char *message)
{
    size_t mark = vly_pb_open(b, ERROR);

    vly_pb_put_varint(b, 1, code);
    vly_pb_put_bytes(b, 2, vly_str_from(message));
    vly_pb_close(b, mark);
}

static void put_services(vly_buf *b)
{
    static const char *const names[] = {"grpc.health.v1.Health",
                                        "grpc.reflection.v1.ServerReflection",
                                        "grpc.reflection.v1alpha.ServerReflection",
                                        "inference.GRPCInferenceService", "volley.v1.Steps"};
    size_t mark = vly_pb_open(b, SERVICES);

    for (size_t i = 0; i < VLY_COUNT(names); i++) {
        size_t service = vly_pb_open(b, 1);
        vly_pb_put_bytes(b, 1, vly_str_from(names[i]));
        vly_pb_close(b, service);
    }
    vly_pb_close(b, mark);
}

/* Imports are one level deep. */
static void put_files(vly_buf *b, vly_str file)
{
    size_t mark = vly_pb_open(b, FILES);
    vly_pb c = vly_pb_begin(file);
    vly_str name, import;

    vly_pb_put_bytes(b, 1, file);
    while (vly_pb_next_of(&c, FILE_DEPENDENCY, &name))
        if (vly_pb_schema_file(vly_grpc_descriptors(), name, &import))
            vly_pb_put_bytes(b, 1, import);
    vly_pb_close(b, mark);
}

/* No message here has extensions: the numbers of an existing type are an empty list. */
static void put_extension_numbers(vly_buf *b, vly_str type)
{
    size_t mark = vly_pb_open(b, EXTENSION_NUMBERS);

    vly_pb_put_bytes(b, 1, type);
    vly_pb_close(b, mark);
}

static void put_answer(vly_buf *b, const vly_grpc_reflection_request *r)
{
    vly_str set = vly_grpc_descriptors(), found;

    switch (r->kind) {
    case VLY_GRPC_REFLECT_SERVICES:
        put_services(b);
        return;
    case VLY_GRPC_REFLECT_FILE:
        if (vly_pb_schema_file(set, r->text, &found))
            put_files(b, found);
        else
            put_error(b, CODE_NOT_FOUND, "File not found.");
        return;
    case VLY_GRPC_REFLECT_SYMBOL:
        if (vly_pb_schema_file_of(set, r->text, &found))
            put_files(b, found);
        else
            put_error(b, CODE_NOT_FOUND, "Symbol not found.");
        return;
    case VLY_GRPC_REFLECT_EXTENSION_NUMBERS:
        if (vly_pb_schema_message(set, r->text, &found))
            put_extension_numbers(b, r->text);
        else
            put_error(b, CODE_NOT_FOUND, "Type not found.");
        return;
    case VLY_GRPC_REFLECT_EXTENSION:
        put_error(b, CODE_NOT_FOUND, "Extension not found.");
        return;
    case VLY_GRPC_REFLECT_NONE:
        break;
    }
    put_error(b, CODE_UNSUPPORTED, "expected one of the requests of the reflection service");
}

static void answer(vly_stream *s, vly_str message, vly_buf *out)
{
    vly_grpc_reflection_request r;
    vly_err err;
    vly_status st = vly_grpc_reflection_request_parse(message, &r, &err);

    if (st == VLY_OK) {
        if (r.host.len > 0)
            vly_pb_put_bytes(out, HOST, r.host);
        vly_pb_put_bytes(out, REQUEST, message);
        put_answer(out, &r);
        st = out->failed ? vly_fail(&err, VLY_ELIMIT, "out of memory for the answer")
                         : vly_stream_send(s, out, false, &err);
    }
    if (st != VLY_OK)
        vly_stream_end(s, &(vly_stream_end_info){(unsigned)vly_grpc_code(st), err.msg});
}

static void on_message(void *ctx, vly_stream *s, vly_buf *message, bool is_text)
{
    size_t len = message->len;
    vly_buf out;

    (void)ctx;
    (void)is_text;
    vly_buf_init(&out, VLY_MEM_NET, ANSWER_MAX_BYTES);
    answer(s, vly_buf_str(message), &out);
    vly_buf_release(&out);
    vly_stream_consumed(s, len);
}

static void on_end(void *ctx, vly_stream *s)
{
    (void)ctx;
    vly_stream_end(s, &(vly_stream_end_info){0, NULL});
}

/* The stream itself is all there is to a call: its reference goes with it. */
static void on_close(void *ctx, vly_stream *s)
{
    (void)ctx;
    vly_stream_unref(s);
}

static const vly_stream_events events = {
    .on_message = on_message, .on_end = on_end, .on_close = on_close};

void vly_grpc_reflection(vly_api *api, vly_http_request *req)
{
    vly_stream *stream;
    vly_err err;

    (void)api;
    if (vly_stream_accept(req, &events, NULL, &stream, &err) != VLY_OK)
        vly_grpc_fail(req, &err);
}

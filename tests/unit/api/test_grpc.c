/* SPDX-License-Identifier: MIT */
/* Unary calls, over HTTP/1.1: it carries all but the trailers, and so the status of failures. */
#include "api/grpc_infer.h"
#include "codec/pbwire.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

#define SERVICE "/inference.GRPCInferenceService/"

/* The message behind a frame's head with this flag. */
static reply call_with(const char *method, const char *headers, char flag, vly_str message)
{
    uint32_t len = __builtin_bswap32((uint32_t)message.len);
    char lines[256];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 8 << 20);
    vly_buf_putc(&b, flag);
    vly_buf_add(&b, &len, sizeof(len));
    vly_buf_add_str(&b, message);
    snprintf(lines, sizeof(lines), "Content-Type: application/grpc\r\n%s", headers);
    reply r = ask("POST", method, lines, b.ptr, b.len);
    vly_buf_release(&b);
    return r;
}

static reply call(const char *method, vly_str message)
{
    return call_with(method, "", 0, message);
}

static void assert_message(reply r, const char *bytes, size_t len)
{
    assert_int_equal(r.status, 200);
    assert_null(header(&r, "grpc-status")); /* it is in the trailers */
    assert_string_equal(header(&r, "content-type"), "application/grpc");
    assert_int_equal(r.body_len, 5 + len);
    assert_memory_equal(r.body, "\0\0\0\0", 4);
    assert_int_equal((unsigned char)r.body[4], len);
    assert_memory_equal(r.body + 5, bytes, len);
}

static void assert_fails(reply r, const char *code, const char *message)
{
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 0);
    assert_string_equal(header(&r, "grpc-status"), code);
    assert_string_equal(header(&r, "grpc-message"), message);
}

static void answers_readiness(void **state)
{
    (void)state;
    assert_message(call(SERVICE "ServerLive", VLY_STR("")), "\x08\x01", 2);
    assert_message(call(SERVICE "ServerReady", VLY_STR("")), "\x08\x01", 2);
    assert_message(call(SERVICE "ModelReady", VLY_STR("\x0a\x06simple")), "\x08\x01", 2);
    assert_message(call(SERVICE "ModelReady", VLY_STR("\x0a\x06simple\x12\x01"
                                                      "9")),
                   "", 0);
    assert_message(call(SERVICE "ModelReady", VLY_STR("\x0a\x06"
                                                      "broken")),
                   "", 0);
    svc.api.is_draining = true;
    assert_message(call(SERVICE "ServerReady", VLY_STR("")), "", 0);
}

/* Bytes as protobuf writes {name: "fixed" versions: "1" platform: "onnxruntime_onnx" inputs ...}.
 */
static void describes_models(void **state)
{
    static const char metadata[] = "\x0a\x05"
                                   "fixed\x12\x01"
                                   "1\x1a\x10onnxruntime_onnx"
                                   "\"\x0d\x0a\x01x\x12\x04"
                                   "FP32\x1a\x02\x02\x03"
                                   "*\x0d\x0a\x01y\x12\x04"
                                   "FP32\x1a\x02\x02\x03";

    (void)state;
    assert_message(call(SERVICE "ModelMetadata", VLY_STR("\x0a\x05"
                                                         "fixed")),
                   metadata, sizeof(metadata) - 1);
    reply r = call(SERVICE "ModelConfig", VLY_STR("\x0a\x05"
                                                  "fixed"));
    assert_int_equal(r.status, 200);
    assert_memory_equal(r.body + 7,
                        "\x0a\x05"
                        "fixed\x12\x10onnxruntime_onnx",
                        25);
    assert_fails(call(SERVICE "ModelConfig", VLY_STR("\x0a\x01x")), "5",
                 "Request for unknown model: 'x' is not found");
    assert_fails(call(SERVICE "ModelMetadata", VLY_STR("\x0a\x05"
                                                       "fixed\x12\x01x")),
                 "3",
                 "failed to get model version from specified version string 'x', version should be "
                 "an integral value > 0");
    r = call(SERVICE "ServerMetadata", VLY_STR(""));
    assert_memory_equal(r.body + 5, "\x0a\x06volley\x12", 9);
}

static void refuses_bad_calls(void **state)
{
    (void)state;
    assert_fails(call(SERVICE "Nothing", VLY_STR("")), "12", "unknown method '" SERVICE "Nothing'");
    assert_fails(call(SERVICE "ModelReady", VLY_STR("\x0a\x06simp")), "13", "malformed request");
    assert_fails(call_with(SERVICE "ServerLive", "", 2, VLY_STR("")), "13", "expected one message");
    assert_fails(call_with(SERVICE "ServerLive", "grpc-timeout: 1\r\n", 0, VLY_STR("")), "3",
                 "grpc-timeout: expected as in '100m', got '1'");
    assert_fails(call_with(SERVICE "ServerLive", "grpc-timeout: 123456789S\r\n", 0, VLY_STR("")),
                 "3", "grpc-timeout: expected as in '100m', got '123456789S'");
    assert_message(call_with(SERVICE "ServerLive", "grpc-timeout: 99999999H\r\n", 0, VLY_STR("")),
                   "\x08\x01", 2);
    reply r = call_with(SERVICE "ServerLive", "grpc-encoding: br\r\n", 1, VLY_STR(""));
    assert_string_equal(header(&r, "grpc-status"), "12");
    assert_string_equal(header(&r, "grpc-accept-encoding"), "identity,deflate,gzip");
    r = ask("POST", SERVICE "ServerLive", "Content-Type: application/grpc\r\n", "\0\0\0\0\1", 5);
    assert_fails(r, "13", "expected one message");
    r = ask("POST", SERVICE "ServerLive", "Content-Type: application/json\r\n", "{}", 2);
    assert_int_equal(r.status, 404);
}

/* A name that is not ASCII, with a percent sign: escaped in the message. */
static void escapes_messages(void **state)
{
    (void)state;
    assert_fails(call(SERVICE "ModelInfer", VLY_STR("\x0a\x04%\n\xc3\xa9")), "5",
                 "Request for unknown model: '%25%0A%C3%A9' is not found");
}

/* ---- ModelInfer ---- */

typedef struct request {
    vly_buf b;
} request;

static request request_for(const char *model)
{
    request r;

    vly_buf_init(&r.b, VLY_MEM_NET, 8 << 20);
    vly_pb_put_bytes(&r.b, 1, vly_str_from(model));
    return r;
}

/* contents NULL: none */
static void put_input(request *r, const char *name, const char *type, int rows, int columns,
                      const vly_buf *contents)
{
    size_t mark = vly_pb_open(&r->b, 5);

    vly_pb_put_bytes(&r->b, 1, vly_str_from(name));
    vly_pb_put_bytes(&r->b, 2, vly_str_from(type));
    size_t shape = vly_pb_open(&r->b, 3);
    vly_pb_put_raw_varint(&r->b, (uint64_t)(int64_t)rows);
    vly_pb_put_raw_varint(&r->b, (uint64_t)(int64_t)columns);
    vly_pb_close(&r->b, shape);
    if (contents != NULL)
        vly_pb_put_bytes(&r->b, 5, vly_buf_str(contents));
    vly_pb_close(&r->b, mark);
}

static void put_raw(request *r, const void *bytes, size_t n)
{
    vly_pb_put_bytes(&r->b, 7, (vly_str){bytes, n});
}

/* kind: the field of InferParameter */
static void put_param(request *r, uint32_t map, const char *key, uint32_t kind, vly_str value)
{
    size_t entry = vly_pb_open(&r->b, map);

    int64_t number = 0;

    vly_pb_put_bytes(&r->b, 1, vly_str_from(key));
    size_t mark = vly_pb_open(&r->b, 2);
    if (kind == 3) {
        vly_pb_put_bytes(&r->b, kind, value);
    } else {
        assert_true(vly_str_to_i64(value, &number));
        vly_pb_put_varint(&r->b, kind, (uint64_t)number);
    }
    vly_pb_close(&r->b, mark);
    vly_pb_close(&r->b, entry);
}

static reply infer(request *r)
{
    reply got = call(SERVICE "ModelInfer", vly_buf_str(&r->b));

    vly_buf_release(&r->b);
    return got;
}

static const float two[] = {1.5f, -2};

static void infers_raw(void **state)
{
    static const char want[] = "\x0a\x07id_FP32\x12\x01"
                               "1\x1a\x02"
                               "42"
                               "*\x0d\x0a\x01y\x12\x04"
                               "FP32\x1a\x02\x01\x02"
                               "2\x08\0\0\xc0\x3f\0\0\0\xc0";
    request r = request_for("id_FP32");

    (void)state;
    vly_pb_put_bytes(&r.b, 3, VLY_STR("42"));
    put_input(&r, "x", "FP32", 1, 2, NULL);
    put_raw(&r, two, sizeof(two));
    assert_message(infer(&r), want, sizeof(want) - 1);
}

/* From the begin of a message: where its tensor will lie. */
static void finds_the_first_tensor(void **state)
{
    request r = request_for("id_FP32");

    (void)state;
    vly_pb_put_double(&r.b, 100, 1); /* fields that are passed over, of each kind */
    vly_pb_put_float(&r.b, 101, 1);
    vly_pb_put_varint(&r.b, 102, 300);
    put_input(&r, "x", "FP32", 1, 2, NULL);
    size_t head = r.b.len;
    put_raw(&r, two, sizeof(two));
    for (size_t n = 0; n <= r.b.len; n++) /* tag and length take two bytes */
        assert_int_equal(vly_grpc_infer_raw_at((vly_str){r.b.ptr, n}), n < head + 2 ? 0 : head + 2);
    assert_int_equal(vly_grpc_infer_raw_at(VLY_STR("\x0b\x3a\x01x")), 0); /* a group */
    vly_buf_release(&r.b);
}

/* More than net takes on the word of a length: the body moves while it comes. */
static void infers_large(void **state)
{
    enum { ROWS = 3, COLUMNS = 200000, N = 600000 };
    static float data[N];
    request r = request_for("id_FP32");
    vly_pb_field f = {0};

    (void)state;
    for (size_t i = 0; i < N; i++)
        data[i] = (float)i;
    put_input(&r, "x", "FP32", ROWS, COLUMNS, NULL);
    put_raw(&r, data, sizeof(data));
    reply got = infer(&r);
    assert_int_equal(got.status, 200);
    vly_pb c = vly_pb_begin((vly_str){got.body + 5, got.body_len - 5});
    while (vly_pb_next(&c, &f))
        ;
    assert_false(c.bad);
    assert_int_equal(f.number, 6);
    assert_int_equal(f.bytes.len, sizeof(data));
    assert_memory_equal(f.bytes.ptr, data, sizeof(data));
}

static void infers_typed(void **state)
{
    static const char want[] = "\x0a\x08id_BYTES\x12\x01"
                               "1*\x0e\x0a\x01y\x12\x05"
                               "BYTES\x1a\x02\x01\x02"
                               "2\x0b\1\0\0\0a\2\0\0\0bc";
    request r = request_for("id_BYTES");
    vly_buf contents;

    (void)state;
    vly_buf_init(&contents, VLY_MEM_NET, 64);
    vly_pb_put_bytes(&contents, 8, VLY_STR("a"));
    vly_pb_put_bytes(&contents, 8, VLY_STR("bc"));
    put_input(&r, "x", "BYTES", 1, 2, &contents);
    assert_message(infer(&r), want, sizeof(want) - 1);

    /* -1 and 300 as INT16: packed varints of a list of int32 */
    vly_buf_clear(&contents);
    size_t mark = vly_pb_open(&contents, 2);
    vly_pb_put_raw_varint(&contents, (uint64_t)-1);
    vly_pb_put_raw_varint(&contents, 300);
    vly_pb_close(&contents, mark);
    r = request_for("id_INT16");
    put_input(&r, "x", "INT16", 2, 1, &contents);
    reply got = infer(&r);
    assert_memory_equal(got.body + got.body_len - 4, "\xff\xff\x2c\x01", 4);
    vly_buf_release(&contents);
}

static void classifies(void **state)
{
    static const char best[] = "\x0f\0\0\0"
                               "1.000000:2:blue";
    float picture[3 * 8 * 8] = {0};
    request r = request_for("colour");

    (void)state;
    picture[128] = 64; /* the first pixel of blue */
    size_t mark = vly_pb_open(&r.b, 5);
    vly_pb_put_bytes(&r.b, 1, VLY_STR("images"));
    vly_pb_put_bytes(&r.b, 2, VLY_STR("FP32"));
    vly_pb_put_bytes(&r.b, 3, VLY_STR("\x01\x03\x08\x08"));
    vly_pb_close(&r.b, mark);
    put_raw(&r, picture, sizeof(picture));
    mark = vly_pb_open(&r.b, 6);
    vly_pb_put_bytes(&r.b, 1, VLY_STR("scores"));
    put_param(&r, 2, "classification", 2, VLY_STR("1"));
    vly_pb_close(&r.b, mark);
    reply got = infer(&r);
    assert_int_equal(got.status, 200);
    assert_memory_equal(got.body + got.body_len - 19, best, 19);
}

static void refuses_bad_requests(void **state)
{
    vly_buf contents;
    request r;

    (void)state;
    r = request_for("simple");
    vly_pb_put_bytes(&r.b, 2, VLY_STR("0"));
    assert_fails(infer(&r), "3",
                 "failed to get model version from specified version string '0', version should be "
                 "an integral value > 0");
    r = request_for("broken");
    reply got = infer(&r);
    assert_string_equal(header(&got, "grpc-status"), "14");
    r = request_for("id_FP32");
    put_input(&r, "x", "FP32", 1, 2, NULL);
    assert_fails(infer(&r), "3",
                 "unable to find data for input tensor 'x' for model 'id_FP32' in request.");
    r = request_for("id_FP32");
    put_input(&r, "x", "FP32", 1, -2, NULL);
    assert_fails(infer(&r), "3",
                 "unexpected shape for input 'x' for model 'id_FP32'. Expected no negative "
                 "dimension, got -2");

    vly_buf_init(&contents, VLY_MEM_NET, 64);
    vly_pb_put_float(&contents, 6, 1);
    r = request_for("id_FP32");
    put_input(&r, "x", "FP32", 1, 1, &contents);
    put_raw(&r, two, 4);
    assert_fails(infer(&r), "3",
                 "contents field must not be specified when using raw_input_contents for 'x' for "
                 "model 'id_FP32'");
    r = request_for("id_INT32");
    put_input(&r, "x", "INT32", 1, 1, &contents);
    assert_fails(infer(&r), "3",
                 "unexpected explicit tensor data for input tensor 'x' for model 'id_INT32' of "
                 "type 'FP32', expected datatype 'INT32'");
    vly_buf_release(&contents);
}

static void refuses_bad_parameters(void **state)
{
    static const struct {
        const char *key;
        uint32_t kind;
        const char *value, *message;
    } rows[] = {
        {"sequence_id", 1, "1",
         "invalid value type for 'sequence_id' parameter, expected int64_param or string_param."},
        {"sequence_start", 2, "1",
         "invalid value type for 'sequence_start' parameter, expected bool_param."},
        {"sequence_end", 3, "1",
         "invalid value type for 'sequence_end' parameter, expected bool_param."},
        {"priority", 2, "-1", "invalid value for 'priority', expected value >= 0."},
        {"priority", 3, "1",
         "invalid value type for 'priority' parameter, expected int64_param or uint64_param."},
        {"timeout", 3, "1", "invalid value type for 'timeout' parameter, expected int64_param."},
        {"triton_", 2, "1",
         "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following "
         "keys starting with 'triton_' are allowed: triton_enable_empty_final_response"},
        {"triton_enable_empty_final_response", 2, "1",
         "invalid value type for 'triton_enable_empty_final_response' parameter, expected "
         "bool_param."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        request r = request_for("id_FP32");
        put_param(&r, 4, rows[i].key, rows[i].kind, vly_str_from(rows[i].value));
        assert_fails(infer(&r), "3", rows[i].message);
    }
}

static void refuses_bad_regions(void **state)
{
    static const struct {
        const char *key;
        uint32_t kind;
        const char *value, *message;
    } rows[] = {
        {"shared_memory_region", 2, "1",
         "invalid value type for 'shared_memory_region' parameter for tensor 'y', expected "
         "string_param."},
        {"shared_memory_offset", 2, "1",
         "'shared_memory_offset' can not be specified without 'shared_memory_region' parameter for "
         "tensor 'y'"},
        {"shared_memory_byte_size", 2, "1",
         "'shared_memory_byte_size' can not be specified without 'shared_memory_region' parameter "
         "for tensor 'y'"},
        {"shared_memory_region", 3, "r",
         "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter "
         "for tensor 'y'"},
        {"classification", 3, "1",
         "invalid value type for 'classification' parameter, expected int64_param"},
        {"classification", 2, "0", "invalid value for 'classification' parameter, expected >= 1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        request r = request_for("id_FP32");
        size_t mark = vly_pb_open(&r.b, 6);
        vly_pb_put_bytes(&r.b, 1, VLY_STR("y"));
        put_param(&r, 2, rows[i].key, rows[i].kind, vly_str_from(rows[i].value));
        vly_pb_close(&r.b, mark);
        assert_fails(infer(&r), "3", rows[i].message);
    }
}

static void refuses_bad_loads(void **state)
{
    static const struct {
        const char *method, *key;
        uint32_t kind;
        const char *value, *code, *message;
    } rows[] = {
        {"RepositoryModelLoad", "config", 2, "1", "3",
         "invalid value type for load parameter 'config', expected string_param."},
        {"RepositoryModelLoad", "file:1/model.onnx", 3, "1", "3",
         "invalid value type for load parameter 'file:1/model.onnx', expected bytes_param."},
        {"RepositoryModelLoad", "x", 3, "1", "3", "unrecognized load parameter 'x'."},
        {"RepositoryModelUnload", "unload_dependents", 3, "1", "3",
         "invalid value type for 'unload_dependents' parameter, expected bool_param."},
        {"RepositoryModelUnload", "unload_dependents", 1, "1", "14",
         "explicit model load / unload is not allowed if polling is enabled"},
    };
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        request r = {.b = {.len = 0}};
        vly_buf_init(&r.b, VLY_MEM_NET, 1 << 20);
        vly_pb_put_bytes(&r.b, 2, VLY_STR("simple"));
        put_param(&r, 3, rows[i].key, rows[i].kind, vly_str_from(rows[i].value));
        snprintf(path, sizeof(path), SERVICE "%s", rows[i].method);
        assert_fails(call(path, vly_buf_str(&r.b)), rows[i].code, rows[i].message);
        vly_buf_release(&r.b);
    }
    assert_fails(call(SERVICE "RepositoryModelLoad", VLY_STR("\x0a\x01r")), "12",
                 "'repository_name' specification is not supported");
    assert_fails(call(SERVICE "RepositoryIndex", VLY_STR("\x0a\x01r")), "12",
                 "'repository_name' specification is not supported");
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, service_start, service_stop)

UNIT_TESTS(SERVED(answers_readiness), SERVED(describes_models), SERVED(refuses_bad_calls),
           SERVED(escapes_messages), SERVED(infers_raw), cmocka_unit_test(finds_the_first_tensor),
           SERVED(infers_large), SERVED(infers_typed), SERVED(classifies),
           SERVED(refuses_bad_requests), SERVED(refuses_bad_parameters),
           SERVED(refuses_bad_regions), SERVED(refuses_bad_loads))

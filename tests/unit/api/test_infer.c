/* SPDX-License-Identifier: MIT */
/* Inference by JSON, by binary tensors and raw. What comes back is written out by hand. */
#include "base/assert.h"
#include "service.h"

#include <stdio.h>
#include <string.h>

#define ROW "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"
#define NAMED(name)                                                                                \
    "{\"name\":\"" name "\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":[" ROW "]}"
#define SIMPLE "/v2/models/simple/infer"

static void adds_and_subtracts(void **state)
{
    (void)state;
    reply r = post(SIMPLE, "{\"inputs\":[" NAMED("INPUT0") "," NAMED("INPUT1") "]}");
    assert_reply(r, 200,
                 "{\"model_name\":\"simple\",\"model_version\":\"1\",\"outputs\":["
                 "{\"name\":\"OUTPUT0\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":["
                 "2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32]},"
                 "{\"name\":\"OUTPUT1\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":["
                 "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}");
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    assert_null(header(&r, "Inference-Header-Content-Length"));
}

static void answers_what_is_asked(void **state)
{
    (void)state;
    assert_reply(
        post("/v2/models/simple/versions/1/infer",
             "{\"id\":\"a\\\"b\",\"inputs\":[" NAMED("INPUT1") "," NAMED(
                 "INPUT0") "],"
                           "\"outputs\":[{\"name\":\"OUTPUT1\"}]}"),
        200,
        "{\"id\":\"a\\\"b\",\"model_name\":\"simple\",\"model_version\":\"1\",\"outputs\":["
        "{\"name\":\"OUTPUT1\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":["
        "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}");
}

/* JSON data of each type go out as they came in. */
static void json_of_every_datatype(void **state)
{
    (void)state;
    static const struct {
        const char *type, *data;
    } rows[] = {
        {"BOOL", "true,false,true"},
        {"UINT8", "0,255,7"},
        {"UINT16", "0,65535,7"},
        {"UINT32", "0,4294967295,7"},
        {"UINT64", "0,18446744073709551615,7"},
        {"INT8", "-128,127,0"},
        {"INT16", "-32768,32767,0"},
        {"INT32", "-2147483648,2147483647,0"},
        {"INT64", "-9223372036854775808,9223372036854775807,0"},
        {"FP32", "0.1,-1.5,3.4028235e+38"},
        {"FP32", "16777216,1.4013e-45,0.33333334"},
        {"FP64", "0.1,-1.5,0.3333333333333333"},
        {"BYTES", "\"\",\"a\\\"\\\\\\u0001\xc3\xa9\",\"b\""},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        char target[64], body[512], want[512];
        snprintf(target, sizeof(target), "/v2/models/id_%s/infer", rows[i].type);
        snprintf(
            body, sizeof(body),
            "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"%s\",\"shape\":[3,1],\"data\":[%s]}]}",
            rows[i].type, rows[i].data);
        snprintf(want, sizeof(want),
                 "{\"model_name\":\"id_%s\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                 "\"datatype\":\"%s\",\"shape\":[3,1],\"data\":[%s]}]}",
                 rows[i].type, rows[i].type, rows[i].data);
        assert_reply(post(target, body), 200, want);
    }
}

/* Posts JSON and the bytes behind it. */
static reply post_binary(const char *target, const char *json, const void *bytes, size_t len)
{
    char headers[128];
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, 1 << 20);
    vly_buf_puts(&body, json);
    vly_buf_add(&body, bytes, len);
    snprintf(headers, sizeof(headers),
             "Content-Type: application/octet-stream\r\n"
             "inference-header-content-length: %zu\r\n",
             strlen(json));
    reply r = ask("POST", target, headers, body.ptr, body.len);
    vly_buf_release(&body);
    return r;
}

static void assert_binary(reply r, const char *json, const void *bytes, size_t len)
{
    char want[24];

    if (r.status != 200)
        fail_msg("got %d: %s", r.status, r.body);
    snprintf(want, sizeof(want), "%zu", strlen(json));
    assert_string_equal(header(&r, "Inference-Header-Content-Length"), want);
    assert_string_equal(header(&r, "Content-Type"), "application/octet-stream");
    assert_int_equal(r.body_len, strlen(json) + len);
    assert_memory_equal(r.body, json, strlen(json));
    assert_memory_equal(r.body + strlen(json), bytes, len);
}

/* Binary data of each type come back byte for byte; an odd length of the JSON leaves them
 * unaligned. */
static void binary_of_every_datatype(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        size_t bytes;
    } rows[] = {{"UINT8", 1}, {"UINT16", 2}, {"UINT32", 4}, {"UINT64", 8},
                {"INT8", 1},  {"INT16", 2},  {"INT32", 4},  {"INT64", 8},
                {"FP16", 2},  {"FP32", 4},   {"FP64", 8},   {"BF16", 2}};
    unsigned char data[24];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 37 + 1);
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        char target[64], body[512], want[512];
        size_t len = 3 * rows[i].bytes;
        snprintf(target, sizeof(target), "/v2/models/id_%s/infer", rows[i].type);
        snprintf(body, sizeof(body),
                 "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"%s\",\"shape\":[1,3],"
                 "\"parameters\":{\"binary_data_size\":%zu}}],"
                 "\"parameters\":{\"binary_data_output\":true}}%s",
                 rows[i].type, len, i % 2 == 0 ? "" : " ");
        snprintf(want, sizeof(want),
                 "{\"model_name\":\"id_%s\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
                 "\"datatype\":\"%s\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":%zu}}]}",
                 rows[i].type, rows[i].type, len);
        assert_binary(post_binary(target, body, data, len), want, data, len);
    }
}

static void binary_bool_and_bytes(void **state)
{
    (void)state;
    const char bools[] = {0, 1, 2};
    const char texts[] = "\0\0\0\0\3\0\0\0a\0b\1\0\0\0c";

    /* Any value but 0 is true. */
    assert_binary(
        post_binary("/v2/models/id_BOOL/infer",
                    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BOOL\",\"shape\":[1,3],"
                    "\"parameters\":{\"binary_data_size\":3}}],"
                    "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}",
                    bools, 3),
        "{\"model_name\":\"id_BOOL\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"BOOL\",\"shape\":[1,3],\"parameters\":{\"binary_data_size\":3}}]}",
        "\0\1\1", 3);
    assert_binary(
        post_binary("/v2/models/id_BYTES/infer",
                    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[3,1],"
                    "\"parameters\":{\"binary_data_size\":16}}],"
                    "\"parameters\":{\"binary_data_output\":true}}",
                    texts, 16),
        "{\"model_name\":\"id_BYTES\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"BYTES\",\"shape\":[3,1],\"parameters\":{\"binary_data_size\":16}}]}",
        texts, 16);
}

/* One input of each kind, one output of each kind. */
static void mixes_json_and_binary(void **state)
{
    (void)state;
    int32_t in[16], sum[16];

    for (int i = 0; i < 16; i++) {
        in[i] = 100 * i;
        sum[i] = 101 * i + 1;
    }
    assert_binary(
        post_binary(SIMPLE,
                    "{\"inputs\":[" NAMED(
                        "INPUT1") ",{\"name\":\"INPUT0\",\"datatype\":\"INT32\","
                                  "\"shape\":[1,16],\"parameters\":{\"binary_data_size\":64}}],"
                                  "\"outputs\":["
                                  "{\"name\":\"OUTPUT1\"},"
                                  "{\"name\":\"OUTPUT0\",\"parameters\":{\"binary_data\":true}}]}",
                    in, sizeof(in)),
        "{\"model_name\":\"simple\",\"model_version\":\"1\",\"outputs\":["
        "{\"name\":\"OUTPUT0\",\"datatype\":\"INT32\",\"shape\":[1,16],"
        "\"parameters\":{\"binary_data_size\":64}},"
        "{\"name\":\"OUTPUT1\",\"datatype\":\"INT32\",\"shape\":[1,16],\"data\":["
        "-1,98,197,296,395,494,593,692,791,890,989,1088,1187,1286,1385,1484]}]}",
        sum, sizeof(sum));
}

#define NOTHING(rest)                                                                              \
    "{\"model_name\":\"id_FP32\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","            \
    "\"datatype\":\"FP32\",\"shape\":[0,2]," rest "}]}"

static void empty_tensors(void **state)
{
    (void)state;
    assert_reply(post("/v2/models/id_FP32/infer",
                      "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[0,2],"
                      "\"data\":[]}]}"),
                 200, NOTHING("\"data\":[]"));
    /* Nothing is binary that has no bytes: the body is JSON alone, and says so. */
    reply r = post_binary("/v2/models/id_FP32/infer",
                          "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[0,2],"
                          "\"parameters\":{\"binary_data_size\":0}}],"
                          "\"parameters\":{\"binary_data_output\":true}}",
                          NULL, 0);
    assert_reply(r, 200, NOTHING("\"parameters\":{\"binary_data_size\":0}"));
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    assert_null(header(&r, "Inference-Header-Content-Length"));
}

static reply post_raw(const char *target, const void *bytes, size_t len)
{
    return ask("POST", target, "Inference-Header-Content-Length: 0\r\n", bytes, len);
}

static void raw_requests(void **state)
{
    (void)state;
    const float six[6] = {1, 2, 3, 4, 5, 6};

    /* The batch is 1, the open dimension follows from the size. */
    assert_binary(
        post_raw("/v2/models/id_FP32/infer", six, 24),
        "{\"model_name\":\"id_FP32\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[1,6],\"parameters\":{\"binary_data_size\":24}}]}",
        six, 24);
    assert_binary(
        post_raw("/v2/models/fixed/infer", six, 24),
        "{\"model_name\":\"fixed\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[2,3],\"parameters\":{\"binary_data_size\":24}}]}",
        six, 24);
    assert_says(post_raw("/v2/models/fixed/infer", six, 20), 400,
                "input byte size mismatch for input 'x' for model 'fixed'. Expected 24, got 20");
    assert_says(post_raw("/v2/models/id_FP32/infer", six, 23), 400,
                "input byte size mismatch for input 'x' for model 'id_FP32'. Expected 20, got 23");
    assert_says(post_raw(SIMPLE, six, 24), 400,
                "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in "
                "'simple' model configuration");
    assert_says(post_raw("/v2/models/id_BYTES/infer", "abc", 3), 400,
                "For BYTE datatype raw input 'x', the model must have input shape [1]");
}

#define RANK(how)                                                                                  \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,3],"                          \
    "\"data\":[0.5,2,0.5,-1,-3,-2]}],\"outputs\":[{\"name\":\"y\","                                \
    "\"parameters\":{\"classification\":2" how "}}]}"
#define RANKED(rest)                                                                               \
    "{\"model_name\":\"id_FP32\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","            \
    "\"datatype\":\"BYTES\",\"shape\":[2,2]," rest "}]}"

static void classifies(void **state)
{
    (void)state;
    const char packed[] = "\012\0\0\0002.000000:1\012\0\0\0000.500000:0"
                          "\013\0\0\0-1.000000:0\013\0\0\0-2.000000:2";

    assert_reply(post("/v2/models/id_FP32/infer", RANK("")), 200,
                 RANKED("\"data\":[\"2.000000:1\",\"0.500000:0\",\"-1.000000:0\","
                        "\"-2.000000:2\"]"));
    assert_binary(post("/v2/models/id_FP32/infer", RANK(",\"binary_data\":true")),
                  RANKED("\"parameters\":{\"binary_data_size\":58}"), packed, sizeof(packed) - 1);
    /* A model that does not batch has one row; there are no more classes than elements. */
    assert_says(post("/v2/models/fixed/infer",
                     "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[2,3],"
                     "\"data\":[0,1,2,3,4,5]}],\"outputs\":[{\"name\":\"y\","
                     "\"parameters\":{\"classification\":99}}]}"),
                200,
                "\"shape\":[6],\"data\":[\"5.000000:5\",\"4.000000:4\",\"3.000000:3\","
                "\"2.000000:2\",\"1.000000:1\",\"0.000000:0\"]");
}

static void class_names(void **state)
{
    (void)state;
    char json[] = "{\"inputs\":[{\"name\":\"images\",\"datatype\":\"FP32\",\"shape\":[1,3,8,8],"
                  "\"parameters\":{\"binary_data_size\":768}}],\"outputs\":[{\"name\":\"scores\","
                  "\"parameters\":{\"classification\":1}}]}";
    float image[192] = {0};

    for (int i = 64; i < 128; i++)
        image[i] = 1;
    assert_says(post_binary("/v2/models/colour/infer", json, image, sizeof(image)), 200,
                "\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"1.000000:1:green\"]");
}

#define X(members) "{\"inputs\":[{\"name\":\"x\"," members "}]}"

static void refuses_in_tritons_words(void **state)
{
    (void)state;
    static const struct {
        const char *model, *body, *message;
        int status;
    } rows[] = {
        {"nobody", "{}", "Request for unknown model: 'nobody' is not found", 404},
        {"broken", "{}", "requested model 'broken' is not available", 503},
        {"simple", "", "failed to parse the request JSON buffer: ", 400},
        {"simple", "{\"inputs\":[" NAMED("INPUT0") "]}",
         "expected 2 inputs but got 1 inputs for model 'simple'. Got inputs ['INPUT0'], but "
         "missing "
         "required inputs ['INPUT1']. Please provide all required inputs.",
         400},
        {"simple", "{\"inputs\":[]}",
         "Got inputs [], but missing required inputs ['INPUT0','INPUT1']", 400},
        {"simple", "{\"inputs\":[" NAMED("INPUT2") "]}",
         "unexpected inference input 'INPUT2' for model 'simple'", 400},
        {"simple", "{\"inputs\":[" NAMED("INPUT0") "," NAMED("INPUT0") "]}",
         "input 'INPUT0' already exists in request", 400},
        {"simple", "{\"inputs\":[],\"outputs\":[{\"name\":\"OUTPUT2\"}]}",
         "unexpected inference output 'OUTPUT2' for model 'simple'", 400},
        {"id_FP32", X("\"datatype\":\"INT32\",\"shape\":[1,1],\"data\":[1]"),
         "inference input 'x' data-type is 'INT32', but model 'id_FP32' expects 'FP32'", 400},
        {"id_INT4", X("\"datatype\":\"\",\"shape\":[1,1],\"data\":[1]"),
         "input 'x' has a type that the protocol has no name for", 400},
        {"id_FP32", X("\"datatype\":\"FLOAT\",\"shape\":[1,1],\"data\":[1]"),
         "inference input 'x' data-type is 'FLOAT'", 400},
        {"id_FP32", X("\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]"),
         "{\"error\":\"[request id: <id_unknown>] unexpected shape for input 'x' for model "
         "'id_FP32'. "
         "Expected [-1,-1], got [1]. NOTE: Setting a non-zero max_batch_size in the model config "
         "requires a batch dimension to be prepended to each input shape. ",
         400},
        {"id_FP32",
         "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],"
         "\"data\":[1]}]}",
         "{\"error\":\"[request id: 7] unexpected shape for input 'x'", 400},
        {"fixed", X("\"datatype\":\"FP32\",\"shape\":[3,2],\"data\":[1,2,3,4,5,6]"),
         "unexpected shape for input 'x' for model 'fixed'. Expected [2,3], got [3,2]", 400},
        {"fixed", X("\"datatype\":\"FP32\",\"shape\":[2,3],\"data\":[1,2,3,4,5]"),
         "{\"error\":\"Unable to parse 'data': Shape does not match true shape of 'data' field\"}",
         400},
        {"id_FP32", X("\"datatype\":\"FP32\",\"shape\":[1000000,1000000],\"data\":[1]"),
         "Unable to parse 'data': Shape does not match true shape of 'data' field", 400},
        {"id_FP32", X("\"datatype\":\"FP32\",\"shape\":[4294967296,4294967296],\"data\":[1]"),
         "input 'x' causes total element count to exceed maximum size of", 400},
        {"id_FP32",
         X("\"datatype\":\"FP32\",\"shape\":[4611686018427387904,1],"
           "\"parameters\":{\"binary_data_size\":0}"),
         "byte size overflow for input 'x' for model 'id_FP32'", 400},
        {"id_FP32",
         X("\"datatype\":\"FP32\",\"shape\":[1,1],"
           "\"parameters\":{\"binary_data_size\":4}"),
         "unexpected size for input 'x', expecting 4 additional bytes for model 'id_FP32'", 400},
        {"id_FP16", X("\"datatype\":\"FP16\",\"shape\":[1,1],\"data\":[1]"),
         "receiving FP16 data via JSON is not supported. Please use the binary data format for "
         "input x",
         400},
        {"batches", X("\"datatype\":\"FP32\",\"shape\":[3],\"data\":[1,2,3]"),
         "inference request batch-size must be <= 2 for 'batches'", 400},
        {"simple",
         "{\"inputs\":[" NAMED("INPUT0") ",{\"name\":\"INPUT1\",\"datatype\":\"INT32\","
                                         "\"shape\":[2,16],\"data\":[" ROW "," ROW "]}]}",
         "input 'INPUT1' batch size does not match other inputs for 'simple'", 400},
    };
    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        char target[64];
        snprintf(target, sizeof(target), "/v2/models/%s/infer", rows[i].model);
        assert_says(post(target, rows[i].body), rows[i].status, rows[i].message);
    }
}

static void refuses_bad_binary(void **state)
{
    (void)state;
    const char *fp32 = X("\"datatype\":\"FP32\",\"shape\":[1,2],"
                         "\"parameters\":{\"binary_data_size\":8}");
    const char *bytes = X("\"datatype\":\"BYTES\",\"shape\":[2,1],"
                          "\"parameters\":{\"binary_data_size\":10}");
    const char *fp16 = X("\"datatype\":\"FP16\",\"shape\":[1,1],"
                         "\"parameters\":{\"binary_data_size\":2}");

    assert_says(post_binary("/v2/models/id_FP32/infer", fp32, "1234567", 7), 400,
                "unexpected size for input 'x', expecting 1 additional bytes for model 'id_FP32'");
    assert_says(post_binary("/v2/models/id_FP32/infer", fp32, "123456789", 9), 400,
                "unexpected additional input data for model 'id_FP32'");
    assert_says(post_binary("/v2/models/id_FP32/infer",
                            X("\"datatype\":\"FP32\",\"shape\":[1,2],"
                              "\"parameters\":{\"binary_data_size\":4}"),
                            "1234", 4),
                400,
                "input byte size mismatch for input 'x' for model 'id_FP32'. Expected 8, got 4");
    assert_says(post_binary("/v2/models/id_BYTES/infer", bytes, "\1\0\0\0a\7\0\0\0b", 10), 400,
                "incomplete string data for inference input 'x' for model 'id_BYTES'");
    assert_says(
        post_binary("/v2/models/id_BYTES/infer", bytes, "\0\0\0\0\1\0\0\0ab", 10), 400,
        "unexpected number of string elements for inference input 'x' for model 'id_BYTES'");
    assert_says(
        post_binary("/v2/models/id_FP16/infer", fp16, "ab", 2), 400,
        "sending FP16 data via JSON is not supported. Please use the binary data format for "
        "output");
    assert_says(
        ask("POST", "/v2/models/id_INT4/infer", "Inference-Header-Content-Length: 0\r\n", "ab", 2),
        400, "input 'x' has a type that the protocol has no name for");
    assert_says(ask("POST", SIMPLE, "Inference-Header-Content-Length: 99\r\n", "{}", 2), 400,
                "unexpected size for request JSON, expecting 97 more bytes");
    assert_says(ask("POST", SIMPLE, "Inference-Header-Content-Length: x\r\n", "{}", 2), 400,
                "'Inference-Header-Content-Length': expected a number, got 'x'");
    assert_says(ask("POST", SIMPLE, "Content-Encoding: br\r\n", "{}", 2), 501,
                "Unsupported compression type");
}

static void honours_timeout(void **state)
{
    (void)state;
    const char *body = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,1],"
                       "\"data\":[1]}],\"parameters\":{\"timeout\":60000000}}";

    assert_int_equal(post("/v2/models/id_FP32/infer", body).status, 200);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, service_start, service_stop)

UNIT_TESTS(SERVED(adds_and_subtracts), SERVED(answers_what_is_asked),
           SERVED(json_of_every_datatype), SERVED(binary_of_every_datatype),
           SERVED(binary_bool_and_bytes), SERVED(mixes_json_and_binary), SERVED(empty_tensors),
           SERVED(raw_requests), SERVED(classifies), SERVED(class_names),
           SERVED(refuses_in_tritons_words), SERVED(refuses_bad_binary), SERVED(honours_timeout))

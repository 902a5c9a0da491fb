/* SPDX-License-Identifier: MIT */
/* Which path answers what to whom; health, metadata, configuration, metrics. */
#include "service.h"

#include <string.h>

static void unknown_paths(void **state)
{
    (void)state;
    assert_reply(get("/v2/nothing"), 404, "{\"error\":\"Not Found\"}");
    assert_reply(get("/v2/models/simple/versions/x/ready"), 404, "{\"error\":\"Not Found\"}");
    assert_reply(get("/v2/models//ready"), 404, "{\"error\":\"Not Found\"}");
    assert_reply(get("/v2/"), 404, "{\"error\":\"Not Found\"}");
    assert_reply(get("/nothing?x=1"), 404, "{\"error\":\"nothing is served at '/nothing'\"}");
    assert_reply(get("/nothing"), 404, "{\"error\":\"nothing is served at '/nothing'\"}");
    assert_int_equal(get("/health/").status, 404);
}

static void wrong_methods(void **state)
{
    (void)state;
    reply r = post("/health", "");
    assert_reply(r, 405, "{\"error\":\"Method Not Allowed\"}");
    assert_string_equal(header(&r, "Allow"), "GET, HEAD");
    r = get("/v2/models/simple/infer");
    assert_reply(r, 405, "{\"error\":\"Method Not Allowed\"}");
    assert_string_equal(header(&r, "Allow"), "POST");
    r = ask("DELETE", "/v1/images:detect", "", NULL, 0);
    assert_int_equal(r.status, 405);
    r = ask("OPTIONS", "/v2", "", NULL, 0);
    assert_int_equal(r.status, 405);
    r = ask("HEAD", "/v2", "", NULL, 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 0);
}

static void health(void **state)
{
    (void)state;
    reply r = get("/health");
    assert_says(r, 200, "\"status\":\"ok\"");
    assert_says(r, 200, "\"models\":{\"ready\":22,\"unavailable\":1}");
    assert_string_equal(header(&r, "Content-Type"), "application/json");
    assert_says(get("/health/ready"), 200, "\"status\":\"ready\"");
    assert_reply(get("/v2/health/live"), 200, "");
    assert_reply(get("/v2/health/ready"), 200, "");

    atomic_store(&svc.api.is_draining, true);
    assert_says(get("/health"), 200, "\"status\":\"ok\"");
    assert_says(get("/health/ready"), 503, "\"status\":\"draining\"");
    assert_reply(get("/v2/health/live"), 200, "");
    assert_reply(get("/v2/health/ready"), 400, "");
}

/* The history is written behind the answer, so only what does not move is compared. */
static void tells_how_models_run(void **state)
{
    (void)state;
    static const char queue[] =
        "\"queue\":{\"waiting\":0,\"max_waiting\":16,\"max_batch_size\":2,"
        "\"preferred_batch_size\":[2],\"max_queue_delay_microseconds\":0,"
        "\"preserve_ordering\":false,\"default_priority_level\":1,\"levels\":[{"
        "\"timeout_action\":\"REJECT\",\"default_timeout_microseconds\":0,"
        "\"allow_timeout_override\":false,\"max_queue_size\":0}]}";

    assert_says(get("/v1/models/batches/explain"), 200, queue);
    assert_says(get("/v1/models/batches/versions/1/explain"), 200,
                "\"execution\":{\"mode\":\"inline\",\"why\":\"a run takes ");
    assert_says(get("/v1/models/boxes/explain"), 200, "\"instances\":{\"count\":2,");
    assert_says(get("/v1/models/nobody/explain"), 404,
                "{\"error\":\"Request for unknown model: 'nobody' is not found\"}");
    assert_int_equal(get("/v1/models/broken/explain").status, 503);
}

static void model_list(void **state)
{
    (void)state;
    reply r = get("/v1/models");
    assert_says(r, 200,
                "{\"models\":[{\"name\":\"batches\",\"version\":\"1\",\"state\":\"ready\","
                "\"task\":\"tensor\",\"kind\":\"tensor\",\"load_ms\":");
    assert_says(r, 200,
                "{\"name\":\"boxes\",\"version\":\"1\",\"state\":\"ready\","
                "\"task\":\"end2end-detect\",\"kind\":\"detect\",\"load_ms\":");
    assert_says(r, 200,
                "{\"name\":\"broken\",\"version\":\"1\",\"state\":\"unavailable\","
                "\"error\":\"");
}

static void v2_server(void **state)
{
    (void)state;
    assert_says(get("/v2"), 200, "{\"name\":\"volley\",\"version\":\"");
    assert_says(get("/v2"), 200, "\"binary_tensor_data\"");
}

static void v2_metadata(void **state)
{
    (void)state;
    const char *simple =
        "{\"name\":\"simple\",\"versions\":[\"1\"],\"platform\":\"onnxruntime_onnx\",\"inputs\":["
        "{\"name\":\"INPUT0\",\"datatype\":\"INT32\",\"shape\":[-1,16]},"
        "{\"name\":\"INPUT1\",\"datatype\":\"INT32\",\"shape\":[-1,16]}],\"outputs\":["
        "{\"name\":\"OUTPUT0\",\"datatype\":\"INT32\",\"shape\":[-1,16]},"
        "{\"name\":\"OUTPUT1\",\"datatype\":\"INT32\",\"shape\":[-1,16]}]}";

    assert_reply(get("/v2/models/simple"), 200, simple);
    assert_reply(get("/v2/models/simple/versions/1"), 200, simple);
    assert_reply(get("/v2/models/id_BYTES"), 200,
                 "{\"name\":\"id_BYTES\",\"versions\":[\"1\"],\"platform\":\"onnxruntime_onnx\","
                 "\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[-1,-1]}],"
                 "\"outputs\":[{\"name\":\"y\",\"datatype\":\"BYTES\",\"shape\":[-1,-1]}]}");
    assert_says(get("/v2/models/odd%20name"), 200, "{\"name\":\"odd name\",");
    assert_reply(get("/v2/models/nobody"), 404,
                 "{\"error\":\"Request for unknown model: 'nobody' is not found\"}");
    assert_reply(get("/v2/models/simple/versions/7"), 404,
                 "{\"error\":\"Request for unknown model: 'simple' version 7 is not found\"}");
    assert_says(get("/v2/models/broken"), 503,
                "{\"error\":\"requested model 'broken' is not available: ");
}

static void v2_ready(void **state)
{
    (void)state;
    assert_reply(get("/v2/models/simple/ready"), 200, "");
    assert_reply(get("/v2/models/simple/versions/1/ready"), 200, "");
    assert_reply(get("/v2/models/simple/versions/2/ready"), 400,
                 "{\"error\":\"Model version not ready\"}");
    assert_reply(get("/v2/models/nobody/ready"), 400, "{\"error\":\"Model version not ready\"}");
    assert_reply(get("/v2/models/broken/ready"), 400, "{\"error\":\"Model version not ready\"}");
}

static void v2_config(void **state)
{
    (void)state;
    assert_reply(
        get("/v2/models/simple/config"), 200,
        "{\"name\":\"simple\",\"platform\":\"onnxruntime_onnx\",\"backend\":\"onnxruntime\","
        "\"runtime\":\"\",\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":"
        "4,\"input\":["
        "{\"name\":\"INPUT0\",\"data_type\":\"TYPE_INT32\",\"format\":\"FORMAT_NONE\",\"dims\":[16]"
        ","
        "\"is_shape_tensor\":false,\"allow_ragged_batch\":false,\"optional\":false,"
        "\"is_non_linear_format_io\":false},"
        "{\"name\":\"INPUT1\",\"data_type\":\"TYPE_INT32\",\"format\":\"FORMAT_NONE\",\"dims\":[16]"
        ","
        "\"is_shape_tensor\":false,\"allow_ragged_batch\":false,\"optional\":false,"
        "\"is_non_linear_format_io\":false}],\"output\":["
        "{\"name\":\"OUTPUT0\",\"data_type\":\"TYPE_INT32\",\"dims\":[16],\"label_filename\":\"\","
        "\"is_shape_tensor\":false,\"is_non_linear_format_io\":false},"
        "{\"name\":\"OUTPUT1\",\"data_type\":\"TYPE_INT32\",\"dims\":[16],\"label_filename\":\"\","
        "\"is_shape_tensor\":false,\"is_non_linear_format_io\":false}],\"batch_input\":[],"
        "\"batch_output\":[],\"dynamic_batching\":{\"preferred_batch_size\":[],"
        "\"max_queue_delay_microseconds\":0,\"preserve_ordering\":false,\"priority_levels\":0,"
        "\"default_priority_level\":0,\"priority_queue_policy\":{}},\"instance_group\":["
        "{\"name\":\"simple\",\"kind\":\"KIND_CPU\",\"count\":2,\"gpus\":[],"
        "\"secondary_devices\":[],\"profile\":[],\"passive\":false,\"host_policy\":\"\"}],"
        "\"default_model_filename\":\"simple.onnx\",\"cc_model_filenames\":{},\"metric_tags\":{},"
        "\"parameters\":{},\"model_warmup\":[]}");
    assert_says(get("/v2/models/id_BYTES/config"), 200, "\"data_type\":\"TYPE_STRING\"");
    assert_says(get("/v2/models/fixed/config"), 200, "\"max_batch_size\":0");
    assert_says(get("/v2/models/fixed/config"), 200, "\"dims\":[2,3]");
    assert_says(get("/v2/models/batches/config"), 200, "\"max_batch_size\":2");
    assert_says(get("/v2/models/nobody/config"), 404, "unknown model");
}

static void metrics(void **state)
{
    (void)state;
    const char *body = "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[3],"
                       "\"data\":[1,2,3]}]}";

    assert_int_equal(post("/v2/models/batches/infer", body).status, 400); /* more than 2 */
    assert_int_equal(post("/v2/models/id_FP32/infer",
                          "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[3,1],"
                          "\"data\":[1,2,3]}]}")
                         .status,
                     200);
    reply r = get("/metrics");
    assert_string_equal(header(&r, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_says(r, 200, "\nnv_inference_request_success{model=\"id_FP32\",version=\"1\"} 1\n");
    assert_says(r, 200, "\nnv_inference_count{model=\"id_FP32\",version=\"1\"} 3\n");
    assert_says(r, 200, "\nnv_inference_exec_count{model=\"id_FP32\",version=\"1\"} 1\n");
    assert_says(r, 200,
                "\nnv_inference_request_failure{model=\"batches\",version=\"1\","
                "reason=\"OTHER\"} 1\n");
    assert_says(r, 200,
                "\nvolley_request_duration_seconds_bucket{model=\"id_FP32\",version=\"1\","
                "le=\"+Inf\"} 1\n");
    assert_says(r, 200,
                "\nvolley_request_duration_seconds_count{model=\"id_FP32\",version=\"1\"} "
                "1\n");
    assert_says(r, 200, "\n# TYPE volley_request_duration_seconds histogram\n");
    assert_says(r, 200, "\nvolley_http_connections_open 1\n");
    assert_says(r, 200, "\nvolley_http_responses_total{code=\"4xx\"} 1\n");
    assert_says(r, 200, "\nprocess_resident_memory_bytes ");
    assert_null(strstr(r.body, "model=\"broken\""));
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(unknown_paths, service_start, service_stop),
           cmocka_unit_test_setup_teardown(wrong_methods, service_start, service_stop),
           cmocka_unit_test_setup_teardown(health, service_start, service_stop),
           cmocka_unit_test_setup_teardown(tells_how_models_run, service_start, service_stop),
           cmocka_unit_test_setup_teardown(model_list, service_start, service_stop),
           cmocka_unit_test_setup_teardown(v2_server, service_start, service_stop),
           cmocka_unit_test_setup_teardown(v2_metadata, service_start, service_stop),
           cmocka_unit_test_setup_teardown(v2_ready, service_start, service_stop),
           cmocka_unit_test_setup_teardown(v2_config, service_start, service_stop),
           cmocka_unit_test_setup_teardown(metrics, service_start, service_stop))

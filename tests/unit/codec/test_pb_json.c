/* SPDX-License-Identifier: MIT */
/* The messages as bytes: what Python's protobuf makes of the same JSON with tritonclient's
 * descriptors. It writes fields in the order of their numbers, so the JSON here has that order. */
#include "codec/pb_json.h"

#include "api/grpc_descriptors.h"
#include "codec/pb_schema.h"

#include "unit.h"

static const char config_json[] =
    "{\"name\":\"m\",\"platform\":\"onnxruntime_onnx\",\"version_policy\":{\"specific\""
    ":{\"versions\":[\"1\",300]}},"
    "\"max_batch_size\":8,"
    "\"input\":[{\"name\":\"x\",\"data_type\":\"TYPE_FP32\",\"format\":\"FORMAT_NCHW\",\"d"
    "ims\":[3,-1],\"reshape\":{\"shape\":[]},\"optional\":true}],"
    "\"output\":[{\"name\":\"y\",\"data_type\":13,\"dims\":[\"4\"],\"label_filename\":\"la"
    "bels.txt\"}],"
    "\"instance_group\":[{\"name\":\"m_0\",\"count\":2,\"gpus\":[],\"kind\":\"KIND_CPU\"}"
    "],"
    "\"metric_tags\":{\"k\":\"\"},"
    "\"dynamic_batching\":{\"preferred_batch_size\":[2,4],\"max_queue_delay_micr"
    "oseconds\":100,\"preserve_ordering\":false,\"priority_queue_policy\":{\"7\":{"
    "\"timeout_action\":\"DELAY\"}}},"
    "\"parameters\":{\"p\":{\"string_value\":\"v\"}},"
    "\"model_warmup\":[{\"name\":\"w\",\"inputs\":{\"x\":{\"data_type\":\"TYPE_INT8\",\"ze"
    "ro_data\":false}}}],"
    "\"backend\":\"onnxruntime\",\"response_cache\":null,"
    "\"model_metrics\":{\"metric_control\":[{\"metric_identifier\":{\"family\":\"f\"}"
    ",\"histogram_options\":{\"buckets\":[0.1,5]}}]}}";

static const char config[] =
    "\012\001m\022\020onnxruntime_onnx\032\007\032\005\012\003\001\254\002 \010*\030\012"
    "\001x\020\013\030\002\042\013\003\377\377\377\377\377\377\377\377\377\001*\000@\0012"
    "\024\012\001y\020\015\032\001\004\042\012labels.txt:\011\012\003m_0\020\002 \002R"
    "\005\012\001k\022\000Z\016\012\002\002\004\020d:\006\010\007\022\002\010\001r\010"
    "\012\001p\022\003\012\001v\202\001\016\012\001w\032\011\012\001x\022\004\010\006\030"
    "\000\212\001\013onnxruntime\322\001\033\012\031\012\003\012\001f\022\022\012\020\232"
    "\231\231\231\231\231\271\077\000\000\000\000\000\000\024@";

static const char statistics_json[] =
    "{\"model_stats\":[{\"name\":\"m\",\"version\":\"1\",\"last_inference\":17000000000"
    "00,\"inference_count\":3,\"execution_count\":0,\"inference_stats\":{\"success"
    "\":{\"count\":3,\"ns\":900},\"fail\":{\"count\":0,\"ns\":0}},\"batch_stats\":[{\"bat"
    "ch_size\":1,\"compute_input\":{\"count\":3,\"ns\":1}}],\"memory_usage\":[{\"type"
    "\":\"CPU\",\"id\":0,\"byte_size\":18446744073709551615}],\"response_stats\":{\"0"
    "\":{\"success\":{\"count\":3,\"ns\":2}}}}]}";

static const char statistics[] =
    "\012C\012\001m\022\0011\030\200\320\225\377\2741 \0032\011\012\005\010\003\020\204"
    "\007\022\000:\010\010\001\022\004\010\003\020\001B\020\012\003CPU\030\377\377\377"
    "\377\377\377\377\377\377\001J\013\012\0010\022\006\032\004\010\003\020\002";

static void expect_message(const char *type, const char *json, const char *want, size_t len)
{
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_CODEC, 4096);
    vly_status st = vly_pb_from_json(vly_grpc_descriptors(), type, vly_str_from(json), &b, &err);
    if (st != VLY_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(b.len, len);
    assert_memory_equal(b.ptr, want, len);
    vly_buf_release(&b);
}

static void writes_messages(void **state)
{
    (void)state;
    expect_message("inference.ModelConfig", config_json, config, sizeof(config) - 1);
    expect_message("inference.ModelStatisticsResponse", statistics_json, statistics,
                   sizeof(statistics) - 1);
    expect_message("inference.ModelConfig", "{}", "", 0);
}

static void expect_refused(const char *type, const char *json, vly_status status, const char *text)
{
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_CODEC, 4096);
    assert_int_equal(vly_pb_from_json(vly_grpc_descriptors(), type, vly_str_from(json), &b, &err),
                     status);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s', got '%s'", text, err.msg);
    vly_buf_release(&b);
}

static void refuses_what_does_not_fit(void **state)
{
    static const char type[] = "inference.ModelConfig";

    (void)state;
    expect_refused(type, "{", VLY_EINVAL, "at");
    expect_refused(type, "[]", VLY_EINVAL, "another type");
    expect_refused(type, "{\"nmae\":1}", VLY_EINVAL,
                   "inference.ModelConfig: 'nmae': unknown field");
    expect_refused(type, "{\"name\":1}", VLY_EINVAL, "'name'");
    expect_refused(type, "{\"input\":{}}", VLY_EINVAL, "'input'");
    expect_refused(type, "{\"input\":[1]}", VLY_EINVAL, "'input'");
    expect_refused(type, "{\"input\":[{\"dims\":[true]}]}", VLY_EINVAL, "'dims'");
    expect_refused(type, "{\"input\":[{\"data_type\":\"FP32\"}]}", VLY_EINVAL, "'data_type'");
    expect_refused(type, "{\"parameters\":[]}", VLY_EINVAL, "'parameters'");
    expect_refused(type, "{\"parameters\":{\"a\":\"b\"}}", VLY_EINVAL, "'parameters'");
    expect_refused(type, "{\"max_batch_size\":1.5}", VLY_EINVAL, "'max_batch_size'");
    expect_refused("inference.Nothing", "{}", VLY_EINTERNAL, "no message");
}

static void finds_symbols(void **state)
{
    static const struct {
        const char *symbol, *file;
    } rows[] = {
        {"inference.GRPCInferenceService", "grpc_service.proto"},
        {"inference.GRPCInferenceService.ModelInfer", "grpc_service.proto"},
        {"inference.ModelInferRequest.InferInputTensor", "grpc_service.proto"},
        {"inference.ModelInferRequest.InferInputTensor.shape", "grpc_service.proto"},
        {"inference.DataType", "model_config.proto"},
        {"inference.ModelInput.Format", "model_config.proto"},
        {"grpc.health.v1.Health", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"},
        {"grpc.reflection.v1alpha.ErrorResponse", "grpc/reflection/v1alpha/reflection.proto"},
        {"inference", NULL},
        {"inference.", NULL},
        {"inference.Model", NULL},
        {"inference.DataType.x", NULL},
        {"", NULL},
    };
    vly_str set = vly_grpc_descriptors(), file, same;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_there = vly_pb_schema_file_of(set, vly_str_from(rows[i].symbol), &file);
        assert_int_equal(is_there, rows[i].file != NULL);
        if (!is_there)
            continue;
        assert_true(vly_pb_schema_file(set, vly_str_from(rows[i].file), &same));
        assert_ptr_equal(file.ptr, same.ptr);
    }
    assert_false(vly_pb_schema_file(set, VLY_STR("nothing.proto"), &same));
}

UNIT_TESTS(cmocka_unit_test(writes_messages), cmocka_unit_test(refuses_what_does_not_fit),
           cmocka_unit_test(finds_symbols))

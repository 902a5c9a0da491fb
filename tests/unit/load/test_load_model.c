/* SPDX-License-Identifier: MIT */
/* Requests to models: what the parsers of the server's room read back. */
#include "codec/grpc_infer.h"
#include "codec/npy.h"
#include "load/load_model.h"
#include "unit.h"

static const char metadata[] =
    "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"onnx\",\"inputs\":["
    "{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,3]},"
    "{\"name\":\"n\",\"datatype\":\"INT16\",\"shape\":[2]}],\"outputs\":[]}";

static vly_arena arena;
static vly_buf buf;
static vly_err err;
static vly_load_model m;

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CLI, 4096, (size_t)1 << 24);
    vly_buf_init(&buf, VLY_MEM_CLI, (size_t)1 << 20);
    return vly_load_model_from_json(vly_str_from(metadata), &arena, &m, &err) == VLY_OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    vly_buf_release(&buf);
    vly_arena_release(&arena);
    return 0;
}

static void reads_metadata(void **state)
{
    (void)state;
    assert_true(vly_str_is(m.name, "m"));
    assert_int_equal(m.n_inputs, 2);
    assert_int_equal(m.inputs[0].rank, 2);
    assert_int_equal(m.inputs[0].dims[0], -1);
    assert_int_equal(m.inputs[1].dtype, VLY_DTYPE_I16);
}

/* By protoc: name: "m" inputs { name: "x" datatype: "FP32" shape: [-1, 3] } */
static void reads_metadata_of_grpc(void **state)
{
    (void)state;
    static const char message[] = "\n\x01m\"\x16\n\x01x\x12\x04"
                                  "FP32\x1a\x0b"
                                  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x03";
    vly_load_model got;

    assert_int_equal(
        vly_load_model_from_grpc((vly_str){message, sizeof(message) - 1}, &arena, &got, &err),
        VLY_OK);
    assert_true(vly_str_is(got.name, "m"));
    assert_int_equal(got.n_inputs, 1);
    assert_int_equal(got.inputs[0].dims[0], -1);
    assert_int_equal(got.inputs[0].dims[1], 3);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"name\":\"m\"}",
        "{\"inputs\":[{}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP99\",\"shape\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"BYTES\",\"shape\":[1]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-2]}]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,1,1,1,1,1,1,1,1]}]}"};
    vly_load_model got;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_not_equal(vly_load_model_from_json(vly_str_from(bad[i]), &arena, &got, &err),
                             VLY_OK);
    m.inputs[0].dims[1] = -1;
    assert_int_equal(vly_load_model_fill(&m, 1, 1, &arena, &err), VLY_EINVAL);
    m.inputs[0].dims[1] = INT64_MAX / 2;
    assert_int_equal(vly_load_model_fill(&m, 8, 1, &arena, &err), VLY_ELIMIT);
}

static void writes_json(void **state)
{
    (void)state;
    const vly_infer_json_limits limits = {.max_depth = 8, .max_memory_bytes = (size_t)1 << 20};
    vly_infer_json got;
    vly_load_body body;
    size_t head;
    double values[6];

    assert_int_equal(vly_load_model_fill(&m, 2, 1, &arena, &err), VLY_OK);
    assert_int_equal(vly_load_model_request(&m, VLY_LOAD_FORM_JSON, &buf, &body, &head, &err),
                     VLY_OK);
    assert_int_equal(body.mark, VLY_LOAD_MARK_DECIMAL);
    (void)vly_load_body_mark(&body, 5000, buf.ptr + body.at);
    assert_int_equal(vly_infer_json_parse(body.bytes, &limits, &arena, &got, &err), VLY_OK);
    assert_int_equal(got.n_inputs, 2);
    assert_true(vly_str_is(got.inputs[0].datatype, "FP32"));
    assert_int_equal(got.inputs[0].shape[0], 2);
    assert_int_equal(vly_infer_json_read(&got.inputs[0], VLY_INFER_JSON_FLOAT, sizeof(values[0]), 6,
                                         values, &err),
                     VLY_OK);
    assert_float_equal(values[0], 5000e-16, 1e-20);
    for (size_t i = 1; i < 6; i++)
        assert_true((float)values[i] == ((const float *)m.inputs[0].data)[i]);
    int16_t ints[2];
    assert_int_equal(
        vly_infer_json_read(&got.inputs[1], VLY_INFER_JSON_INT, sizeof(ints[0]), 2, ints, &err),
        VLY_OK);
    assert_memory_equal(ints, m.inputs[1].data, sizeof(ints));
    vly_infer_json_release(&got);
}

static void writes_binary(void **state)
{
    (void)state;
    const vly_infer_json_limits limits = {.max_depth = 8, .max_memory_bytes = (size_t)1 << 20};
    vly_infer_json got;
    vly_load_body body;
    size_t head;

    assert_int_equal(vly_load_model_fill(&m, 1, 1, &arena, &err), VLY_OK);
    assert_int_equal(vly_load_model_request(&m, VLY_LOAD_FORM_BINARY, &buf, &body, &head, &err),
                     VLY_OK);
    assert_int_equal(body.bytes.len, head + 12 + 4);
    assert_int_equal(body.at, head);
    assert_memory_equal(body.bytes.ptr + head, m.inputs[0].data, 12);
    assert_memory_equal(body.bytes.ptr + head + 12, m.inputs[1].data, 4);
    assert_int_equal(
        vly_infer_json_parse((vly_str){body.bytes.ptr, head}, &limits, &arena, &got, &err), VLY_OK);
    assert_true(got.is_binary_output);
    assert_int_equal(got.inputs[0].binary_bytes, 12);
    assert_int_equal(got.inputs[1].binary_bytes, 4);
    vly_infer_json_release(&got);
}

static void writes_grpc(void **state)
{
    (void)state;
    vly_grpc_infer_request got;
    vly_load_body body;
    size_t head;

    assert_int_equal(vly_load_model_fill(&m, 1, 1, &arena, &err), VLY_OK);
    assert_int_equal(vly_load_model_request(&m, VLY_LOAD_FORM_GRPC, &buf, &body, &head, &err),
                     VLY_OK);
    assert_int_equal(vly_grpc_infer_request_parse(body.bytes, &arena, &got, &err), VLY_OK);
    assert_true(vly_str_is(got.model_name, "m"));
    assert_int_equal(got.n_inputs, 2);
    assert_int_equal(got.inputs[0].shape[1], 3);
    assert_int_equal(got.n_raw, 2);
    assert_int_equal(got.raw[0].len, 12);
    assert_ptr_equal(got.raw[0].ptr, body.bytes.ptr + body.at);
    assert_memory_equal(got.raw[0].ptr, m.inputs[0].data, 12);
}

static void takes_arrays(void **state)
{
    (void)state;
    static const float data[] = {1, 2, 3, 4, 5, 6};
    static const int64_t dims[] = {2, 3}, turned[] = {3, 2};
    vly_buf npy;

    vly_buf_init(&npy, VLY_MEM_CLI, 4096);
    assert_int_equal(vly_npy_write(&npy, VLY_DTYPE_F32, 2, dims, data, sizeof(data), &err), VLY_OK);
    assert_int_equal(vly_load_model_set(&m, 1, vly_buf_str(&npy), &arena, &err), VLY_EINVAL);
    assert_int_equal(vly_load_model_set(&m, 0, vly_buf_str(&npy), &arena, &err), VLY_OK);
    assert_int_equal(m.inputs[0].dims[0], 2);
    assert_memory_equal(m.inputs[0].data, data, sizeof(data));
    vly_buf_clear(&npy);
    assert_int_equal(vly_npy_write(&npy, VLY_DTYPE_F32, 2, turned, data, sizeof(data), &err),
                     VLY_OK);
    assert_int_equal(vly_load_model_set(&m, 0, vly_buf_str(&npy), &arena, &err), VLY_EINVAL);
    vly_buf_release(&npy);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(reads_metadata, set_up, tear_down),
           cmocka_unit_test_setup_teardown(reads_metadata_of_grpc, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
           cmocka_unit_test_setup_teardown(writes_json, set_up, tear_down),
           cmocka_unit_test_setup_teardown(writes_binary, set_up, tear_down),
           cmocka_unit_test_setup_teardown(writes_grpc, set_up, tear_down),
           cmocka_unit_test_setup_teardown(takes_arrays, set_up, tear_down))

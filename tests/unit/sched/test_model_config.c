/* SPDX-License-Identifier: MIT */
/* What is filled in and what is refused, by the rules and in the words of Triton's ONNX backend. */
#include "sched/model_config.h"
#include "unit.h"

#include <string.h>

static vly_arena arena; /* of the running test */

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

#define IO(name_, type, ...)                                                                       \
    {                                                                                              \
        .name = (name_), .dtype = VLY_DTYPE_##type, .shape = VLY_SHAPE(__VA_ARGS__),               \
        .has_shape = true                                                                          \
    }
#define ANY VLY_DIM_UNKNOWN

static const vly_model_io batch_in[] = {IO("a", F32, ANY, 3, ANY), IO("b", STRING, ANY)};
static const vly_model_io batch_out[] = {IO("y", I64, ANY, 5)};
static const vly_model_info batches = {
    .n_inputs = 2, .n_outputs = 1, .inputs = batch_in, .outputs = batch_out};

static const vly_model_io fixed_in[] = {IO("x", F32, 1, 16)};
static const vly_model_io fixed_out[] = {IO("y", F32, 1, 16)};
static const vly_model_info fixed = {
    .n_inputs = 1, .n_outputs = 1, .inputs = fixed_in, .outputs = fixed_out};

static vly_status complete(const char *text, const vly_model_info *info,
                           const vly_triton_config **ret, vly_err *err)
{
    const vly_triton_config *given = NULL;
    vly_triton_config *c = NULL;

    if (text != NULL && vly_triton_config_parse(vly_str_from(text), &arena, &given, err) != VLY_OK)
        fail_msg("%s", err->msg);
    vly_status st = vly_model_config_start(given, "m", "dir/m/1/model.onnx", info, &arena, &c, err);
    if (st == VLY_OK)
        st = vly_model_config_finish(c, info, &arena, err);
    *ret = c;
    return st;
}

static const vly_triton_config *whole(const char *text, const vly_model_info *info)
{
    const vly_triton_config *c;
    vly_err err = VLY_ERR_INIT;

    if (complete(text, info, &c, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void fills_everything_in(void **state)
{
    (void)state;
    const vly_triton_config *c = whole(NULL, &batches);

    assert_true(vly_str_is(c->name, "m"));
    assert_true(vly_str_is(c->platform, "onnxruntime_onnx"));
    assert_true(vly_str_is(c->backend, "onnxruntime"));
    assert_true(vly_str_is(c->default_model_filename, "model.onnx"));
    assert_int_equal(c->version_policy->latest->n_versions, 1);
    assert_int_equal(c->max_batch_size, 4);
    assert_false(c->has_max_batch_size);
    assert_non_null(c->dynamic_batching);
    assert_int_equal(c->n_inputs, 2);
    assert_true(vly_str_is(c->inputs[0].name, "a"));
    assert_true(vly_str_is(c->inputs[0].datatype, "FP32"));
    assert_int_equal(c->inputs[0].n_dims, 2);
    assert_int_equal(c->inputs[0].dims[0], 3);
    assert_int_equal(c->inputs[0].dims[1], -1);
    /* nothing but the batch: one element, reshaped from no dimension */
    assert_true(vly_str_is(c->inputs[1].datatype, "BYTES"));
    assert_int_equal(c->inputs[1].n_dims, 1);
    assert_int_equal(c->inputs[1].dims[0], 1);
    assert_int_equal(c->inputs[1].reshape->n_dims, 0);
    assert_int_equal(c->n_outputs, 1);
    assert_int_equal(c->outputs[0].dims[0], 5);

    c = whole(NULL, &fixed);
    assert_int_equal(c->max_batch_size, 0);
    assert_null(c->dynamic_batching);
    assert_int_equal(c->inputs[0].n_dims, 2);
    assert_int_equal(c->inputs[0].dims[0], 1);
}

static void keeps_what_is_given(void **state)
{
    (void)state;
    const vly_triton_config *c = whole("max_batch_size: 0", &batches);

    assert_int_equal(c->max_batch_size, 0);
    assert_null(c->dynamic_batching);
    assert_int_equal(c->inputs[0].n_dims, 3);
    c = whole("max_batch_size: 1", &batches);
    assert_int_equal(c->max_batch_size, 1);
    assert_null(c->dynamic_batching);
    c = whole("max_batch_size: 8 sequence_batching { }", &batches);
    assert_null(c->dynamic_batching);
    /* with inputs and outputs given nothing is added, as with Triton */
    c = whole("input { name: 'x' data_type: TYPE_FP32 dims: [ 1, 16 ] }\n"
              "output { name: 'y' data_type: TYPE_FP32 dims: [ 1, 16 ] }",
              &fixed);
    assert_int_equal(c->max_batch_size, 0);
    assert_null(c->dynamic_batching);
    c = whole("version_policy { all { } } default_model_filename: 'net.onnx'", &fixed);
    assert_non_null(c->version_policy->all);
    assert_true(vly_str_is(c->default_model_filename, "net.onnx"));
}

static void fills_in_what_is_listed_in_part(void **state)
{
    (void)state;
    const vly_triton_config *c = whole("max_batch_size: 2 input { name: 'b' } input { name: 'a'\n"
                                       "dims: [ 3, -1 ] } output { name: 'y' label_filename: 'l' }",
                                       &batches);

    assert_true(vly_str_is(c->inputs[0].name, "b"));
    assert_true(vly_str_is(c->inputs[0].datatype, "BYTES"));
    assert_true(vly_str_is(c->inputs[1].datatype, "FP32"));
    assert_true(vly_str_is(c->outputs[0].datatype, "INT64"));
    assert_int_equal(c->outputs[0].dims[0], 5);
    assert_true(vly_str_is(c->outputs[0].label_filename, "l"));
    /* a reshape is what the model sees */
    c = whole("input { name: 'x' data_type: TYPE_FP32 dims: 16 reshape { shape: [ 1, 16 ] } }",
              &fixed);
    assert_int_equal(c->inputs[0].n_dims, 1);
}

static void tells_of_gpus(void **state)
{
    (void)state;
    const vly_triton_config *c = whole("instance_group { kind: KIND_GPU gpus: 0 }", &batches);

    assert_int_equal(c->n_ignored, 2);
    assert_true(vly_str_is(c->ignored[0].path, "instance_group.gpus"));
    assert_true(vly_str_is(c->ignored[1].path, "instance_group.kind"));
}

static void refuses_in_tritons_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const vly_model_info *info;
        const char *message;
    } cases[] = {
        {"max_batch_size: 8", &fixed,
         "autofill failed for model 'm': model does not support batching while non-zero "
         "max_batch_size is specified"},
        {"platform: 'tensorrt_plan'", &fixed, "unexpected platform type 'tensorrt_plan' for m"},
        {"platform: 'x' backend: 'onnxruntime'", &fixed,
         "unexpected 'platform' and 'backend' pair, got:x, onnxruntime"},
        {"backend: 'python'", &fixed,
         "unable to find backend library for backend 'python', try specifying runtime on the model "
         "configuration."},
        {"input { name: 'z' data_type: TYPE_FP32 dims: 1 }", &fixed,
         "unexpected inference input 'z', allowed inputs are: x"},
        {"output { name: 'z' data_type: TYPE_FP32 dims: 1 }", &fixed,
         "unexpected inference output 'z', allowed outputs are: y"},
        {"input { name: 'a' data_type: TYPE_FP32 dims: [ 3, 1 ] }", &batches,
         "unable to load model 'm', configuration expects 1 inputs, model provides 2"},
        {"input { name: 'x' data_type: TYPE_STRING dims: [ 1, 16 ] }", &fixed,
         "unable to load model 'm', configuration expects datatype TYPE_STRING for input 'x', "
         "model "
         "provides TYPE_FP32"},
        {"input { name: 'x' data_type: TYPE_FP32 dims: 16 }", &fixed,
         "model 'm', tensor 'x': the model expects 2 dimensions (shape [1,16]) but the model "
         "configuration specifies 1 dimensions (shape [16])"},
        {"input { name: 'x' data_type: TYPE_FP32 dims: [ 1, 17 ] }", &fixed,
         "model 'm', tensor 'x': the model expects shape [1,16] but the model configuration "
         "specifies shape [1,17]"},
        {"max_batch_size: 2 output { name: 'y' data_type: TYPE_INT64 dims: 6 }", &batches,
         "model 'm', tensor 'y': the model expects shape [-1,5] but the model configuration "
         "specifies shape [6] (an initial batch dimension because max_batch_size > 0 followed by "
         "the explicit tensor shape, making complete shape [-1,6])"},
        {"max_batch_size: 2 input { name: 'x' data_type: TYPE_FP32 dims: 16 }\n"
         "output { name: 'y' data_type: TYPE_FP32 dims: 16 }",
         &fixed,
         "model 'm', tensor 'x': for the model to support batching the shape should have at least "
         "1 dimension and the first dimension must be -1; but shape expected by the model is "
         "[1,16]"},
        {"dynamic_batching { preferred_batch_size: 0 }", &batches,
         "dynamic batching preferred size must be positive for m"},
        {"dynamic_batching { preferred_batch_size: 5 }", &batches,
         "dynamic batching preferred size must be <= max batch size for m"},
        {"dynamic_batching { priority_levels: 3 }", &batches,
         "default priority level must be in range [1, 3] for m"},
        {"dynamic_batching { priority_levels: 3 default_priority_level: 1\n"
         "priority_queue_policy { key: 4 value { } } }",
         &batches, "priority queue policy must have priority level in range [1, 3] for m"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 1 preserve_ordering: true "
         "}",
         &batches, "Only one priority level is allowed when 'preserve_ordering' is true for m"},
        {"dynamic_batching { preserve_ordering: true default_queue_policy { timeout_action: DELAY\n"
         "default_timeout_microseconds: 1 } }",
         &batches,
         "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for "
         "m"},
        {"sequence_batching { oldest { preferred_batch_size: 9 } }", &batches,
         "sequence batching preferred batch size must be <= max batch size for m"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const vly_triton_config *c;
        vly_err err = VLY_ERR_INIT;
        assert_int_equal(complete(cases[i].text, cases[i].info, &c, &err), VLY_EINVAL);
        assert_string_equal(err.msg, cases[i].message);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(fills_everything_in), TEST(keeps_what_is_given),
           TEST(fills_in_what_is_listed_in_part), TEST(tells_of_gpus),
           TEST(refuses_in_tritons_words))

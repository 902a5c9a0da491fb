/* SPDX-License-Identifier: MIT */
/* The valid texts were also parsed with tritonclient's model_config_pb2, which took them. */
#include "codec/triton_config.h"
#include "unit.h"

#include <string.h>

static const char full[] =
    "name: \"detector\"\n"
    "platform: \"onnxruntime_onnx\"\n"
    "backend: 'onnxruntime'\n"
    "max_batch_size: 8\n"
    "default_model_filename: \"model.onnx\"\n"
    "input [\n"
    "  {\n"
    "    name: \"images\"\n"
    "    data_type: TYPE_FP32\n"
    "    format: FORMAT_NCHW\n"
    "    dims: [ 3, 640, -1 ]\n"
    "    reshape { shape: [ 1, 3, 640, -1 ] }\n"
    "  },\n"
    "  { name: \"text\" data_type: TYPE_STRING dims: 1 dims: 2 optional: true }\n"
    "]\n"
    "output { name: \"out\" data_type: 14 dims: [] label_filename: \"coco.txt\"\n"
    "  reshape { } }\n"
    "instance_group [ { name: \"a\" count: 2 kind: KIND_CPU },\n"
    "                 { kind: KIND_GPU gpus: [ 0, 1 ] } ]\n"
    "version_policy: { specific { versions: [ 1, 3 ] } }\n"
    "parameters { key: \"task\" value { string_value: \"detect\" } }\n"
    "parameters: { key: \"empty\" }\n"
    "dynamic_batching { preferred_batch_size: [ 4, 8 ]\n"
    "  max_queue_delay_microseconds: 100 }\n"
    "response_cache { enable: true }\n"
    "model_warmup { name: \"w\" } model_warmup { name: \"v\" }\n"
    "optimization { cuda { graphs: true } }\n";

static vly_arena arena; /* of the running test */

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

static const vly_triton_config *parse(const char *text)
{
    const vly_triton_config *c = NULL;
    vly_err err = VLY_ERR_INIT;

    if (vly_triton_config_parse(vly_str_from(text), &arena, &c, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void reads_scalars_and_trees(void **state)
{
    (void)state;
    const vly_triton_config *c = parse(full);

    assert_true(vly_str_is(c->name, "detector"));
    assert_true(vly_str_is(c->platform, "onnxruntime_onnx"));
    assert_true(vly_str_is(c->backend, "onnxruntime"));
    assert_true(vly_str_is(c->default_model_filename, "model.onnx"));
    assert_true(c->has_max_batch_size);
    assert_int_equal(c->max_batch_size, 8);
    assert_int_equal(c->dynamic_batching->max_queue_delay_us, 100);
    assert_int_equal(c->dynamic_batching->n_preferred_batch_sizes, 2);
    assert_int_equal(c->dynamic_batching->preferred_batch_sizes[1], 8);
    assert_true(c->response_cache->enable);
    assert_null(c->sequence_batching);
    assert_null(c->ensemble_scheduling);
    assert_true(c->optimization->cuda->graphs);
    assert_int_equal(c->n_warmups, 2);
    assert_true(vly_str_is(c->warmups[1].name, "v"));
    assert_int_equal(c->n_unknown, 0);
}

static void reads_inputs_and_outputs(void **state)
{
    (void)state;
    const vly_triton_config *c = parse(full);

    assert_int_equal(c->n_inputs, 2);
    assert_true(vly_str_is(c->inputs[0].name, "images"));
    assert_true(vly_str_is(c->inputs[0].datatype, "FP32"));
    assert_int_equal(c->inputs[0].format, VLY_TRITON_FORMAT_NCHW);
    assert_int_equal(c->inputs[0].n_dims, 3);
    assert_int_equal(c->inputs[0].dims[1], 640);
    assert_int_equal(c->inputs[0].dims[2], -1);
    assert_int_equal(c->inputs[0].reshape->n_dims, 4);
    assert_int_equal(c->inputs[0].reshape->dims[3], -1);
    assert_false(c->inputs[0].is_optional);
    assert_true(vly_str_is(c->inputs[1].datatype, "BYTES"));
    assert_int_equal(c->inputs[1].n_dims, 2);
    assert_int_equal(c->inputs[1].dims[1], 2);
    assert_true(c->inputs[1].is_optional);
    assert_null(c->inputs[1].reshape);

    assert_int_equal(c->n_outputs, 1);
    assert_true(vly_str_is(c->outputs[0].datatype, "BF16"));
    assert_int_equal(c->outputs[0].n_dims, 0);
    assert_true(vly_str_is(c->outputs[0].label_filename, "coco.txt"));
    assert_int_equal(c->outputs[0].reshape->n_dims, 0); /* to a scalar */
}

static void reads_groups_policy_parameters(void **state)
{
    (void)state;
    const vly_triton_config *c = parse(full);

    assert_int_equal(c->n_instance_groups, 2);
    assert_int_equal(c->instance_groups[0].count, 2);
    assert_int_equal(c->instance_groups[0].kind, VLY_TRITON_KIND_CPU);
    assert_int_equal(c->instance_groups[1].count, 0);
    assert_int_equal(c->instance_groups[1].kind, VLY_TRITON_KIND_GPU);
    assert_int_equal(c->instance_groups[1].n_gpus, 2);
    assert_int_equal(c->instance_groups[1].gpus[1], 1);
    assert_int_equal(c->version_policy->specific->n_versions, 2);
    assert_int_equal(c->version_policy->specific->versions[1], 3);
    assert_null(c->version_policy->latest);
    assert_null(c->version_policy->all);
    assert_int_equal(c->n_params, 2);
    assert_true(vly_str_is(c->params[0].key, "task"));
    assert_true(vly_str_is(c->params[0].value, "detect"));
    assert_true(vly_str_is(c->params[1].key, "empty"));
    assert_int_equal(c->params[1].value.len, 0);
}

static void reads_defaults(void **state)
{
    (void)state;
    const vly_triton_config *c = parse("");

    assert_false(c->has_max_batch_size);
    assert_int_equal(c->max_batch_size, 0);
    assert_null(c->version_policy);
    c = parse("version_policy { latest { num_versions: 3 } } max_batch_size: 0");
    assert_true(c->has_max_batch_size);
    assert_int_equal(c->version_policy->latest->n_versions, 3);
    assert_non_null(parse("version_policy { all { } }")->version_policy->all);
}

static void lists_unknown_fields(void **state)
{
    (void)state;
    const vly_triton_config *c = parse("nmae: 'x' input { dims: 1 shape: 2 reshape { dims: 1 } }\n"
                                       "parameters { key: 'k' value { int_value: 1 } } foo { }");

    assert_int_equal(c->n_unknown, 5);
    assert_true(vly_str_is(c->unknown[0], "nmae"));
    assert_true(vly_str_is(c->unknown[1], "foo"));
    bool has_nested = false;
    for (size_t i = 0; i < c->n_unknown; i++)
        has_nested = has_nested || vly_str_is(c->unknown[i], "parameters.value.int_value");
    assert_true(has_nested);
}

static void rejects_wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"name: 1", "1:1: 'name': expected a string"},
        {"name: 'a'\nname: 'b'", "2:1: 'name' is given twice"},
        {"max_batch_size: -1", "1:1: 'max_batch_size': expected 0 to 2147483647, got -1"},
        {"max_batch_size: 'x'", "1:1: 'max_batch_size': expected an integer"},
        {"max_batch_size: 1.5", "1:1: 'max_batch_size': expected an integer"},
        {"input: 1", "1:1: 'input': expected a message in braces"},
        {"input {\n dims: -2 }", "2:2: 'dims': expected -1 to 9223372036854775807, got -2"},
        {"input { data_type: FP32 }",
         "1:9: 'data_type': expected one of TYPE_INVALID ... TYPE_BF16"},
        {"input { data_type: 15 }", "1:9: 'data_type': expected one of TYPE_INVALID ... TYPE_BF16"},
        {"input { data_type: 'TYPE_FP32' }",
         "1:9: 'data_type': expected one of TYPE_INVALID ... TYPE_BF16"},
        {"input { format: NCHW }", "1:9: 'format': expected one of FORMAT_NONE ... FORMAT_NCHW"},
        {"input { optional: 2 }", "1:9: 'optional': expected true or false"},
        {"input { reshape { shape: 1 } reshape { shape: 1 } }", "1:30: 'reshape' is given twice"},
        {"instance_group { kind: GPU }", "1:18: 'kind': expected one of KIND_AUTO ... KIND_MODEL"},
        {"dynamic_batching: true", "1:1: 'dynamic_batching': expected a message in braces"},
        {"version_policy { all {} specific { versions: 1 } }",
         "1:1: 'all' and 'specific': expected one of them"},
        {"name: ", "1:7: expected a value, got the end"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const vly_triton_config *c = NULL;
        vly_err err = VLY_ERR_INIT;
        assert_int_equal(vly_triton_config_parse(vly_str_from(cases[i].text), &arena, &c, &err),
                         VLY_EFORMAT);
        assert_string_equal(err.msg, cases[i].message);
        assert_null(c);
    }
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    for (int64_t n = 0;; n++) {
        vly_arena small;
        const vly_triton_config *c = NULL;
        vly_arena_init(&small, VLY_MEM_CODEC, 64, 1 << 20); /* many blocks */
        vly_mem_fail_after(n);
        vly_status st = vly_triton_config_parse(vly_str_from(full), &small, &c, NULL);
        vly_mem_fail_after(-1);
        vly_arena_release(&small);
        assert_true(st == VLY_OK ? c != NULL : c == NULL && st == VLY_ENOMEM);
        if (st == VLY_OK) {
            assert_true(n > 50);
            return;
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(reads_scalars_and_trees), TEST(reads_inputs_and_outputs),
           TEST(reads_groups_policy_parameters), TEST(reads_defaults), TEST(lists_unknown_fields),
           TEST(rejects_wrong_values), TEST(survives_every_failing_allocation))

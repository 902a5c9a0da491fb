/* SPDX-License-Identifier: MIT */
/*
 * Configurations as JSON: what is written equals what protobuf writes (triton_truth.py), and what
 * is read from JSON equals what is read from text.
 */
#include "codec/triton_config.h"
#include "codec/triton_config_write.h"
#include "support/file_bytes.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yyjson.h>

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

static char *read_file(const char *name)
{
    char path[128];
    size_t len;

    snprintf(path, sizeof(path), "tests/unit/codec/triton/%s", name);
    unsigned char *bytes = file_bytes(unit_source(path), &len);
    char *text = vly_arena_strdup(&arena, (vly_str){(const char *)bytes, len});
    free(bytes);
    return text;
}

static const vly_triton_config *parse(const char *text, bool is_json)
{
    const vly_triton_config *c = NULL;
    vly_err err = VLY_ERR_INIT;
    vly_status st = is_json ? vly_triton_config_parse_json(vly_str_from(text), &arena, &c, &err)
                            : vly_triton_config_parse(vly_str_from(text), &arena, &c, &err);

    if (st != VLY_OK)
        fail_msg("%s", err.msg);
    return c;
}

static void assert_json(const vly_triton_config *c, const char *want)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    vly_triton_config_put_json(c, &b);
    assert_false(b.failed);
    yyjson_doc *got = yyjson_read(b.ptr, b.len, 0);
    yyjson_doc *truth = yyjson_read(want, strlen(want), 0);
    assert_non_null(got);
    assert_non_null(truth);
    if (!yyjson_equals(yyjson_doc_get_root(got), yyjson_doc_get_root(truth)))
        fail_msg("got %s\nwant %s", b.ptr, want);
    yyjson_doc_free(got);
    yyjson_doc_free(truth);
    vly_buf_release(&b);
}

static void writes_what_protobuf_writes(void **state)
{
    (void)state;
    assert_json(parse(read_file("full.pbtxt"), false), read_file("full.json"));
    assert_json(parse(read_file("seq.pbtxt"), false), read_file("seq.json"));
    assert_json(parse(read_file("ens.pbtxt"), false), read_file("ens.json"));
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    assert_json(parse(read_file("full.json"), true), read_file("full.json"));
    assert_json(parse(read_file("seq.json"), true), read_file("seq.json"));
    assert_json(parse(read_file("ens.json"), true), read_file("ens.json"));
}

/* protobuf's other ways to say the same */
static void reads_every_form(void **state)
{
    (void)state;
    const vly_triton_config *c = parse(
        "{\"maxBatchSize\": \"8\", \"versionPolicy\": {\"specific\": {\"versions\": [\"3\", 4]}},"
        "\"input\": [{\"name\": \"x\", \"dataType\": \"type_fp32\", \"dims\": [-1]}],"
        "\"output\": null, \"parameters\": {\"k\": {\"stringValue\": \"v\"}},"
        "\"instance_group\": [{\"kind\": 2}],"
        "\"dynamic_batching\": {\"priority_queue_policy\": {\"2\": {\"timeout_action\": 1}}},"
        "\"model_metrics\": {\"metric_control\": [{\"histogram_options\": {\"buckets\":"
        " [1, 2.5, \"Infinity\", \"-Infinity\"]}}]}}",
        true);

    assert_int_equal(c->max_batch_size, 8);
    assert_true(c->has_max_batch_size);
    assert_int_equal(c->version_policy->specific->versions[0], 3);
    assert_int_equal(c->version_policy->specific->versions[1], 4);
    assert_true(vly_str_is(c->inputs[0].datatype, "FP32"));
    assert_int_equal(c->inputs[0].dims[0], -1);
    assert_int_equal(c->n_outputs, 0);
    assert_true(vly_str_is(vly_triton_config_param(c, "k"), "v"));
    assert_null(vly_triton_config_param(c, "K").ptr);
    assert_int_equal(c->instance_groups[0].kind, VLY_TRITON_KIND_CPU);
    assert_int_equal(c->dynamic_batching->priority_queue_policies[0].key, 2);
    assert_int_equal(c->dynamic_batching->priority_queue_policies[0].value.timeout_action,
                     VLY_TRITON_TIMEOUT_DELAY);
    const double *buckets = c->model_metrics->metric_controls[0].histogram_options->buckets;
    assert_true(buckets[1] > 2.4 && buckets[1] < 2.6 && buckets[2] > 1e300 && buckets[3] < -1e300);
}

static void rejects(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{", "failed to parse the configuration as JSON at byte 1"},
        {"[]", "expected a configuration as a JSON object"},
        {"{\"nmae\": \"x\"}", "nmae: Cannot find field."},
        {"{\"input\": [{\"nmae\": \"x\"}]}", "input.nmae: Cannot find field."},
        {"{\"name\": 1}", "'name': expected a string"},
        {"{\"name\": {}}", "'name': not a value of this field"},
        {"{\"input\": {}}", "'input': expected an array"},
        {"{\"input\": [1]}", "'input': expected a message"},
        {"{\"parameters\": []}", "'parameters': expected an object"},
        {"{\"parameters\": {\"a\": 1}}", "'value': expected a message"},
        {"{\"max_batch_size\": 1.5}", "'max_batch_size': expected an integer"},
        {"{\"max_batch_size\": -1}", "'max_batch_size': expected 0 to 2147483647, got -1"},
        {"{\"max_batch_size\": true}", "'max_batch_size': expected an integer"},
        {"{\"model_transaction_policy\": {\"decoupled\": \"true\"}}",
         "'decoupled': expected true or false"},
        {"{\"input\": [{\"data_type\": \"FP32\"}]}", "'data_type': expected one of TYPE_INVALID"},
        {"{\"name\": \"a\", \"name\": \"b\"}", "'name' is given twice"},
        {"{\"dynamic_batching\": {}, \"sequence_batching\": {}}",
         "'dynamic_batching' and 'sequence_batching': expected one of them"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const vly_triton_config *c = NULL;
        vly_err err = VLY_ERR_INIT;
        assert_int_equal(
            vly_triton_config_parse_json(vly_str_from(cases[i].text), &arena, &c, &err),
            VLY_EFORMAT);
        if (strncmp(err.msg, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: expected '%s', got '%s'", cases[i].text, cases[i].message, err.msg);
        assert_null(c);
    }
}

static void tells_what_it_ignores(void **state)
{
    (void)state;
    const vly_triton_config *c = parse(read_file("full.pbtxt"), false);
    static const char *const want[] = {
        "runtime",
        "batch_input",
        "batch_output",
        "cc_model_filenames",
        "metric_tags",
        "model_operations",
        "model_repository_agents",
        "model_metrics",
        "input.is_shape_tensor",
        "input.allow_ragged_batch",
        "input.is_non_linear_format_io",
        "optimization.graph",
        "optimization.priority",
        "optimization.cuda",
        "optimization.execution_accelerators",
        "optimization.input_pinned_memory",
        "optimization.output_pinned_memory",
        "optimization.gather_kernel_buffer_threshold",
        "optimization.eager_batching",
        "instance_group.gpus",
        "instance_group.secondary_devices",
        "instance_group.profile",
        "instance_group.passive",
        "instance_group.host_policy",
        "model_transaction_policy.decoupled",
    };

    assert_int_equal(c->n_unknown, 0);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        size_t k = 0;
        while (k < c->n_ignored && !vly_str_is(c->ignored[k].path, want[i]))
            k++;
        if (k == c->n_ignored)
            fail_msg("'%s' is not told", want[i]);
        assert_true(strlen(c->ignored[k].reason) > 0);
    }
    assert_int_equal(c->n_ignored, sizeof(want) / sizeof(want[0]));
    /* what asks for nothing is not told */
    assert_int_equal(parse("instance_group { passive: false host_policy: '' } runtime: ''\n"
                           "model_transaction_policy { decoupled: false }",
                           false)
                         ->n_ignored,
                     0);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    vly_buf b;
    const vly_triton_config *c = NULL;
    vly_err err = VLY_ERR_INIT;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 20);
    vly_buf_puts(&b, "cc_model_filenames { } ");
    for (int i = 0; i < VLY_TRITON_ELEMS_MAX; i++)
        vly_buf_puts(&b, "cc_model_filenames { } ");
    assert_int_equal(vly_triton_config_parse(vly_buf_str(&b), &arena, &c, &err), VLY_ELIMIT);
    assert_string_equal(err.msg, "1:1: 'cc_model_filenames': expected at most 4096 elements, got "
                                 "4097");
    vly_buf_release(&b);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    const char *text = read_file("full.json");

    for (int64_t n = 0;; n++) {
        vly_arena small;
        const vly_triton_config *c = NULL;
        vly_arena_init(&small, VLY_MEM_CODEC, 64, 1 << 20); /* many blocks */
        vly_mem_fail_after(n);
        vly_status st = vly_triton_config_parse_json(vly_str_from(text), &small, &c, NULL);
        vly_mem_fail_after(-1);
        vly_arena_release(&small);
        assert_true(st == VLY_OK ? c != NULL : c == NULL && st == VLY_ENOMEM);
        if (st == VLY_OK) {
            assert_true(n > 100);
            return;
        }
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(writes_what_protobuf_writes), TEST(reads_what_it_writes), TEST(reads_every_form),
           TEST(rejects), TEST(tells_what_it_ignores), TEST(lists_are_bounded),
           TEST(survives_every_failing_allocation))

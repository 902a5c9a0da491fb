/* SPDX-License-Identifier: MIT */
/* Requests as in Triton's protocol documents; expected values by hand, texts from Triton's server.
 */
#include "codec/infer_json.h"

#include "base/buf.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

static vly_arena arena;
static vly_infer_json r;
static vly_err err;

static int begin(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    r = (vly_infer_json){.doc = NULL};
    return 0;
}

static int end(void **state)
{
    (void)state;
    vly_infer_json_release(&r);
    vly_arena_release(&arena);
    return 0;
}

static vly_status parse(const char *text)
{
    const vly_infer_json_limits limits = {.max_depth = 8, .max_memory_bytes = 1 << 20};

    vly_infer_json_release(&r);
    return vly_infer_json_parse(vly_str_from(text), &limits, &arena, &r, &err);
}

static void reads_every_member(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"id\":\"42\",\"ignored\":[{}],"
              "\"parameters\":{\"binary_data_output\":true,\"timeout\":1500,\"sequence_id\":7},"
              "\"inputs\":[{\"name\":\"a\",\"shape\":[2,3],\"datatype\":\"FP32\",\"data\":[1]},"
              "{\"parameters\":{\"binary_data_size\":24},\"datatype\":\"INT64\",\"shape\":[],"
              "\"name\":\"b\"}],"
              "\"outputs\":[{\"name\":\"x\",\"parameters\":{\"binary_data\":true}},"
              "{\"name\":\"y\",\"parameters\":{\"classification\":3}},{\"name\":\"z\"}]}"),
        VLY_OK);
    assert_true(vly_str_is(r.id, "42"));
    assert_true(r.is_binary_output);
    assert_int_equal(r.timeout_us, 1500);
    assert_int_equal(r.n_inputs, 2);
    assert_true(vly_str_is(r.inputs[0].name, "a"));
    assert_true(vly_str_is(r.inputs[0].datatype, "FP32"));
    assert_int_equal(r.inputs[0].rank, 2);
    assert_int_equal(r.inputs[0].shape[0], 2);
    assert_int_equal(r.inputs[0].shape[1], 3);
    assert_non_null(r.inputs[0].data);
    assert_int_equal(r.inputs[1].rank, 0);
    assert_null(r.inputs[1].data);
    assert_int_equal(r.inputs[1].binary_bytes, 24);
    assert_int_equal(r.n_outputs, 3);
    assert_true(r.outputs[0].is_binary);
    assert_int_equal(r.outputs[1].n_classes, 3);
    assert_false(r.outputs[2].is_binary);
    assert_int_equal(r.outputs[2].n_classes, 0);
}

static void members_may_be_absent(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"inputs\":[]}"), VLY_OK);
    assert_null(r.id.ptr);
    assert_false(r.is_binary_output);
    assert_int_equal(r.timeout_us, 0);
    assert_int_equal(r.n_inputs, 0);
    assert_int_equal(r.n_outputs, 0);
}

#define INPUT(members) "{\"inputs\":[{\"name\":\"a\"," members "}]}"

static void refuses_in_tritons_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message; /* the message begins so */
        vly_status st;
    } cases[] = {
        {"", "failed to parse the request JSON buffer: ", VLY_EINVAL},
        {"{\"inputs\":[}", "failed to parse the request JSON buffer: ", VLY_EINVAL},
        {"[]", "failed to parse the request JSON buffer: ", VLY_EINVAL},
        {"{}", "Unable to parse 'inputs': attempt to access non-existing object member 'inputs'",
         VLY_EINVAL},
        {"{\"inputs\":3}", "Unable to parse 'inputs': ", VLY_EINVAL},
        {"{\"inputs\":[3]}", "Unable to parse 'name': ", VLY_EINVAL},
        {"{\"inputs\":[],\"outputs\":{}}", "Unable to parse 'outputs': ", VLY_EINVAL},
        {"{\"inputs\":[],\"outputs\":[{}]}", "Unable to parse 'name': ", VLY_EINVAL},
        {"{\"inputs\":[],\"id\":3}", "Unable to parse 'id': ", VLY_EINVAL},
        {"{\"inputs\":[],\"parameters\":[]}", "Unable to parse 'parameters': ", VLY_EINVAL},
        {"{\"inputs\":[],\"parameters\":{\"timeout\":-1}}",
         "Unable to parse 'timeout': ", VLY_EINVAL},
        {"{\"inputs\":[],\"parameters\":{\"binary_data_output\":1}}",
         "Unable to parse 'binary_data_output': ", VLY_EINVAL},
        {"{\"inputs\":[],\"parameters\":{\"triton_x\":1}}",
         "parameter keys starting with 'triton_' are reserved for Triton usage and should not be "
         "specified.",
         VLY_EINVAL},
        {INPUT("\"shape\":[1],\"data\":[1]"), "Unable to parse 'datatype': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"data\":[1]"), "Unable to parse 'shape': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[-1],\"data\":[1]"),
         "Unable to parse 'shape': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1.5],\"data\":[1]"),
         "Unable to parse 'shape': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[9223372036854775808],\"data\":[1]"),
         "Unable to parse 'shape': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data\":[1]"),
         "Unable to parse 'shape': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1],\"data\":1"),
         "Unable to parse 'data': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1],"
               "\"parameters\":{\"binary_data_size\":4}"),
         "Input must set only one of the following fields: 'data', 'binary_data_size' in "
         "'parameters', 'shared_memory_region' in 'parameters'. But set 'data' 'binary_data_size'",
         VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1],\"parameters\":{\"binary_data_size\":\"4\"}"),
         "Unable to parse 'binary_data_size': ", VLY_EINVAL},
        {INPUT("\"datatype\":\"FP32\",\"shape\":[1],"
               "\"parameters\":{\"binary_data_size\":4,\"shared_memory_region\":\"r\"}"),
         "Input must set only one of the following fields: 'data', 'binary_data_size' in "
         "'parameters', 'shared_memory_region' in 'parameters'. But set 'binary_data_size' "
         "'shared_memory_region'",
         VLY_EINVAL},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":1,"
         "\"shared_memory_region\":\"r\"}}]}",
         "Output can't set both 'shared_memory_region' and 'classification'", VLY_EINVAL},
        {"{\"inputs\":[],\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true,"
         "\"shared_memory_region\":\"r\"}}]}",
         "Output can't set both 'shared_memory_region' and 'binary_data'", VLY_EINVAL},
        {"{\"inputs\":[],\"parameters\":{\"sequence_id\":-1}}",
         "Unable to parse 'sequence_id': ", VLY_EINVAL},
        {"{\"inputs\":[],\"x\":[[[[[[[[1]]]]]]]]}",
         "failed to parse the request JSON buffer: nested", VLY_ELIMIT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(cases[i].text), cases[i].st);
        assert_null(r.doc);
        if (strncmp(err.msg, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("case %zu: got '%s'", i, err.msg);
    }
}

static void sequences_and_shared_memory(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[1],\"parameters\":{"
              "\"shared_memory_region\":\"r\",\"shared_memory_offset\":8,"
              "\"shared_memory_byte_size\":4}},"
              "{\"name\":\"b\",\"datatype\":\"FP32\",\"shape\":[1]}],"
              "\"parameters\":{\"sequence_id\":\"s\",\"sequence_start\":true,\"priority\":2}}"),
        VLY_OK);
    assert_true(vly_str_is(r.inputs[0].region.name, "r"));
    assert_int_equal(r.inputs[0].region.offset, 8);
    assert_int_equal(r.inputs[0].region.bytes, 4);
    assert_false(r.inputs[0].has_binary);
    assert_null(r.inputs[1].region.name.ptr); /* nothing is said: for the caller to judge */
    assert_null(r.inputs[1].data);
    assert_true(vly_str_is(r.sequence_name, "s"));
    assert_true(r.is_sequence_start);
    assert_false(r.is_sequence_end);
    assert_int_equal(r.priority, 2);
    vly_infer_json_release(&r);
    assert_int_equal(parse("{\"inputs\":[],\"parameters\":{\"sequence_id\":18446744073709551615,"
                           "\"sequence_end\":true}}"),
                     VLY_OK);
    assert_int_equal(r.sequence_id, UINT64_MAX);
    assert_null(r.sequence_name.ptr);
    assert_true(r.is_sequence_end);
    vly_infer_json_release(&r);
}

static void depth_looks_past_strings(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"inputs\":[],\"x\":\"[[[[[[[[[[\\\"[[[[[[[[[[[[\"}"), VLY_OK);
    assert_int_equal(parse("{\"inputs\":[],\"x\":[[[[[[[1]]]]]]]}"), VLY_OK); /* 8 deep */
}

static void memory_is_bounded(void **state)
{
    (void)state;
    const vly_infer_json_limits limits = {.max_depth = 8, .max_memory_bytes = 1 << 16};
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_CODEC, 1 << 20);
    vly_buf_puts(&text, "{\"inputs\":[],\"x\":[1");
    for (int i = 0; i < 5000; i++)
        vly_buf_puts(&text, ",1");
    vly_buf_puts(&text, "]}");
    assert_int_equal(vly_infer_json_parse(vly_buf_str(&text), &limits, &arena, &r, &err),
                     VLY_ELIMIT);
    vly_buf_release(&text);
}

/* Without memory every step fails cleanly, and nothing is left behind (the sanitizer looks). */
static void survives_without_memory(void **state)
{
    (void)state;
    vly_status st = VLY_ENOMEM;
    int n = 0;

    for (; st != VLY_OK && n < 100; n++) {
        vly_arena_release(&arena);
        vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
        vly_mem_fail_after(n);
        st = parse(INPUT("\"datatype\":\"FP32\",\"shape\":[1],\"data\":[1]"));
        vly_mem_fail_after(-1);
        if (st != VLY_OK)
            assert_int_equal(st, VLY_ENOMEM);
    }
    assert_true(n > 1 && n < 100);
}

static vly_status read_as(const char *data, const char *datatype, vly_infer_json_class class,
                          size_t elem_bytes, size_t n, void *dst)
{
    char text[512];

    snprintf(text, sizeof(text),
             "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"%s\",\"shape\":[1],\"data\":%s}]}",
             datatype, data);
    assert_int_equal(parse(text), VLY_OK);
    return vly_infer_json_read(&r.inputs[0], class, elem_bytes, n, dst, &err);
}

static void reads_nested_and_flat(void **state)
{
    (void)state;
    static const char *const same[] = {"[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]", "[[1,2],[3,4],[5,6]]",
                                       "[[[1],[2],[3]],[[4],[5],[6]]]", "[1,[2,[],[3,4]],[[5]],6]"};
    const int32_t want[] = {1, 2, 3, 4, 5, 6};
    int32_t got[6];

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        memset(got, 0, sizeof(got));
        assert_int_equal(read_as(same[i], "INT32", VLY_INFER_JSON_INT, 4, 6, got), VLY_OK);
        assert_memory_equal(got, want, sizeof(want));
    }
}

static void counts_elements(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]", "[1]", "[[1],[2],[3]]", "[1,2,3]"};
    int32_t got[2];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_as(bad[i], "INT32", VLY_INFER_JSON_INT, 4, 2, got), VLY_EINVAL);
        assert_string_equal(
            err.msg, "Unable to parse 'data': Shape does not match true shape of 'data' field");
    }
    assert_int_equal(read_as("[]", "INT32", VLY_INFER_JSON_INT, 4, 0, NULL), VLY_OK);
}

static void bounds_nesting_of_data(void **state)
{
    (void)state;
    const vly_infer_json_limits deep = {.max_depth = 64, .max_memory_bytes = 1 << 20};
    const char *text = INPUT("\"datatype\":\"INT8\",\"shape\":[1],"
                             "\"data\":[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]");
    int8_t got;

    assert_int_equal(vly_infer_json_parse(vly_str_from(text), &deep, &arena, &r, &err), VLY_OK);
    assert_int_equal(vly_infer_json_read(&r.inputs[0], VLY_INFER_JSON_INT, 1, 1, &got, &err),
                     VLY_EINVAL);
}

/* Each integer type at its edges and one past them. */
static void integers_keep_their_range(void **state)
{
    (void)state;
    static const struct {
        const char *low, *below, *high, *above;
        vly_infer_json_class class;
        size_t bytes;
    } types[] = {
        {"-128", "-129", "127", "128", VLY_INFER_JSON_INT, 1},
        {"-32768", "-32769", "32767", "32768", VLY_INFER_JSON_INT, 2},
        {"-2147483648", "-2147483649", "2147483647", "2147483648", VLY_INFER_JSON_INT, 4},
        {"-9223372036854775808", "-9223372036854775809", "9223372036854775807",
         "9223372036854775808", VLY_INFER_JSON_INT, 8},
        {"0", "-1", "255", "256", VLY_INFER_JSON_UINT, 1},
        {"0", "-1", "65535", "65536", VLY_INFER_JSON_UINT, 2},
        {"0", "-1", "4294967295", "4294967296", VLY_INFER_JSON_UINT, 4},
        {"0", "-1", "18446744073709551615", "18446744073709551616", VLY_INFER_JSON_UINT, 8},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        size_t bytes = types[i].bytes;
        char text[64];
        uint64_t all = UINT64_MAX >> (64 - 8 * bytes);
        bool is_signed = types[i].class == VLY_INFER_JSON_INT;
        unsigned char got[16] = {0};
        uint64_t low = 0, high = 0;

        snprintf(text, sizeof(text), "[%s,%s]", types[i].low, types[i].high);
        assert_int_equal(read_as(text, "T", types[i].class, bytes, 2, got), VLY_OK);
        memcpy(&low, got, bytes);
        memcpy(&high, got + bytes, bytes);
        assert_true(low == (is_signed ? (all >> 1) + 1 : 0));
        assert_true(high == (is_signed ? all >> 1 : all));
        snprintf(text, sizeof(text), "[%s]", types[i].below);
        assert_int_equal(read_as(text, "T", types[i].class, bytes, 1, got), VLY_EINVAL);
        snprintf(text, sizeof(text), "[%s]", types[i].above);
        assert_int_equal(read_as(text, "T", types[i].class, bytes, 1, got), VLY_EINVAL);
    }
}

static void reads_floats_exactly(void **state)
{
    (void)state;
    float f[5];
    double d[2];

    assert_int_equal(read_as("[0.1,-1,3.4028234663852886e38,1e-45,16777217]", "FP32",
                             VLY_INFER_JSON_FLOAT, 4, 5, f),
                     VLY_OK);
    assert_true(f[0] == 0.1f && f[1] == -1.0f && f[2] == 3.4028234663852886e38f && f[3] == 1e-45f &&
                f[4] == 16777216.0f);
    assert_int_equal(read_as("[0.1,18446744073709551615]", "FP64", VLY_INFER_JSON_FLOAT, 8, 2, d),
                     VLY_OK);
    assert_true(d[0] == 0.1 && d[1] == 18446744073709551616.0);
}

static void reads_bools_and_texts(void **state)
{
    (void)state;
    unsigned char b[2] = {9, 9};
    vly_str s[2];

    assert_int_equal(read_as("[true,false]", "BOOL", VLY_INFER_JSON_BOOL, 1, 2, b), VLY_OK);
    assert_true(b[0] == 1 && b[1] == 0);
    assert_int_equal(
        read_as("[\"a\\u0000b\",\"\"]", "BYTES", VLY_INFER_JSON_TEXT, sizeof(s[0]), 2, s), VLY_OK);
    assert_int_equal(s[0].len, 3);
    assert_memory_equal(s[0].ptr, "a\0b", 3);
    assert_int_equal(s[1].len, 0);
}

static void refuses_other_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        vly_infer_json_class class;
    } cases[] = {
        {"[1]", VLY_INFER_JSON_BOOL},     {"[1.0]", VLY_INFER_JSON_INT},
        {"[true]", VLY_INFER_JSON_INT},   {"[\"1\"]", VLY_INFER_JSON_UINT},
        {"[null]", VLY_INFER_JSON_FLOAT}, {"[{}]", VLY_INFER_JSON_FLOAT},
        {"[1]", VLY_INFER_JSON_TEXT},     {"[null]", VLY_INFER_JSON_TEXT},
    };
    unsigned char got[16];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_as(cases[i].data, "T", cases[i].class, 1, 1, got), VLY_EINVAL);
        assert_non_null(strstr(err.msg, "input 'a': element 0"));
    }
}

static vly_status parse_samples(const char *text, vly_infer_json_input *samples)
{
    const vly_infer_json_limits limits = {.max_depth = 8, .max_memory_bytes = 1 << 20};

    vly_infer_json_release(&r);
    r = (vly_infer_json){.doc = NULL};
    return vly_infer_json_parse_samples(vly_str_from(text), &limits, &arena, &r, samples, &err);
}

static void samples(void **state)
{
    static const char *const bad[] = {
        "", "3", "{}", "{\"samples\":{}}", "{\"samples\":[1],\"id\":7}", "[1",
    };
    vly_infer_json_input in;
    float got[4];

    (void)state;
    assert_int_equal(parse_samples("[[1,2],[3.5,-4]]", &in), VLY_OK);
    assert_null(r.id.ptr);
    assert_int_equal(vly_infer_json_count(&in), 4);
    assert_int_equal(vly_infer_json_read(&in, VLY_INFER_JSON_FLOAT, 4, 4, got, &err), VLY_OK);
    assert_true(got[0] == 1 && got[1] == 2 && got[2] == 3.5F && got[3] == -4);
    assert_int_equal(parse_samples("{\"samples\":[],\"id\":\"q\"}", &in), VLY_OK);
    assert_true(vly_str_is(r.id, "q"));
    assert_int_equal(vly_infer_json_count(&in), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse_samples(bad[i], &in), VLY_EINVAL);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(samples, begin, end),
           cmocka_unit_test_setup_teardown(sequences_and_shared_memory, begin, end),
           cmocka_unit_test_setup_teardown(reads_every_member, begin, end),
           cmocka_unit_test_setup_teardown(members_may_be_absent, begin, end),
           cmocka_unit_test_setup_teardown(refuses_in_tritons_words, begin, end),
           cmocka_unit_test_setup_teardown(depth_looks_past_strings, begin, end),
           cmocka_unit_test_setup_teardown(memory_is_bounded, begin, end),
           cmocka_unit_test_setup_teardown(survives_without_memory, begin, end),
           cmocka_unit_test_setup_teardown(reads_nested_and_flat, begin, end),
           cmocka_unit_test_setup_teardown(counts_elements, begin, end),
           cmocka_unit_test_setup_teardown(bounds_nesting_of_data, begin, end),
           cmocka_unit_test_setup_teardown(integers_keep_their_range, begin, end),
           cmocka_unit_test_setup_teardown(reads_floats_exactly, begin, end),
           cmocka_unit_test_setup_teardown(reads_bools_and_texts, begin, end),
           cmocka_unit_test_setup_teardown(refuses_other_kinds, begin, end))

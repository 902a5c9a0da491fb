/* SPDX-License-Identifier: MIT */
#include "codec/repository_json.h"

#include "base/buf.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

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

static vly_repository_json parse(const char *text)
{
    vly_repository_json r = {.is_ready = false};
    vly_err err = VLY_ERR_INIT;

    if (vly_repository_json_parse(vly_str_from(text), &arena, &r, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return r;
}

static void reads_bodies(void **state)
{
    (void)state;
    vly_repository_json r = parse("");

    assert_true(!r.is_ready && !r.unload_dependents && r.config.ptr == NULL && r.n_files == 0);
    vly_repository_json_release(&r);
    r = parse("{\"ready\": true, \"unknown\": [1, {}]}");
    assert_true(r.is_ready);
    vly_repository_json_release(&r);
    r = parse("{\"parameters\": {\"unload_dependents\": true}}");
    assert_true(r.unload_dependents);
    vly_repository_json_release(&r);
    r = parse(
        "{\"parameters\": {\"config\": \"{\\\"a\\\":1}\", \"file:1/model.onnx\": \"AAECAw==\","
        "\"file:1/x\": \"\"}}");
    assert_true(vly_str_is(r.config, "{\"a\":1}"));
    assert_int_equal(r.n_files, 2);
    assert_true(vly_str_is(r.files[0].name, "1/model.onnx"));
    assert_int_equal(r.files[0].bytes.len, 4);
    assert_memory_equal(r.files[0].bytes.ptr, "\0\1\2\3", 4);
    assert_true(vly_str_is(r.files[1].name, "1/x"));
    assert_int_equal(r.files[1].bytes.len, 0);
    vly_repository_json_release(&r);
}

/* RFC 4648, section 10 */
static void decodes_base64(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes;
    } cases[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\373\377\277"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"parameters\":{\"file:x\":\"%s\"}}", cases[i].text);
        vly_repository_json r = parse(body);
        if (!vly_str_is(r.files[0].bytes, cases[i].bytes))
            fail_msg("%s", cases[i].text);
        vly_repository_json_release(&r);
    }
}

static void rejects(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        vly_status status;
        const char *message;
    } cases[] = {
        {"nonsense", VLY_EINVAL, "failed to parse the request JSON buffer"},
        {"[]", VLY_EINVAL, "Unable to parse 'body': expected an object, got array"},
        {"{\"ready\": 1}", VLY_EINVAL, "Unable to parse 'ready': expected a boolean"},
        {"{\"parameters\": 1}", VLY_EINVAL, "Unable to parse 'parameters': expected an object"},
        {"{\"parameters\": {\"config\": {}}}", VLY_EINVAL,
         "Unable to parse 'config': expected a string, got object"},
        {"{\"parameters\": {\"unload_dependents\": \"true\"}}", VLY_EINVAL,
         "Unable to parse 'unload_dependents': expected a boolean"},
        {"{\"parameters\": {\"colour\": \"x\"}}", VLY_EINTERNAL,
         "unexpected error on creating Triton parameter"},
        {"{\"parameters\": {\"file:x\": 1}}", VLY_EINVAL, "Unable to parse 'file:x'"},
        {"{\"parameters\": {\"file:x\": \"A\"}}", VLY_EINVAL, "Unable to decode base64"},
        {"{\"parameters\": {\"file:x\": \"AA=A\"}}", VLY_EINVAL, "Unable to decode base64"},
        {"{\"parameters\": {\"file:x\": \"A===\"}}", VLY_EINVAL, "Unable to decode base64"},
        {"{\"parameters\": {\"file:x\": \"AA-_\"}}", VLY_EINVAL, "Unable to decode base64"},
        {"{\"parameters\": {\"file:x\": \"Zh==\"}}", VLY_EINVAL, "Unable to decode base64"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_repository_json r = {.memory = NULL};
        vly_err err = VLY_ERR_INIT;
        assert_int_equal(vly_repository_json_parse(vly_str_from(cases[i].text), &arena, &r, &err),
                         cases[i].status);
        if (strstr(err.msg, cases[i].message) == NULL)
            fail_msg("%s: expected '%s', got '%s'", cases[i].text, cases[i].message, err.msg);
        assert_null(r.memory);
    }
}

static void many_values_and_files(void **state)
{
    (void)state;
    vly_repository_json r = {.memory = NULL};
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 22);
    vly_buf_puts(&b, "{\"x\":[0");
    for (int i = 0; i < 200000; i++)
        vly_buf_puts(&b, ",0");
    vly_buf_puts(&b, "]}");
    assert_int_equal(vly_repository_json_parse(vly_buf_str(&b), &arena, &r, &err), VLY_ELIMIT);
    vly_buf_clear(&b);
    vly_buf_puts(&b, "{\"parameters\":{\"file:0\":\"\"");
    for (int i = 1; i <= VLY_REPOSITORY_FILES_MAX; i++)
        vly_buf_printf(&b, ",\"file:%d\":\"\"", i);
    vly_buf_puts(&b, "}}");
    assert_int_equal(vly_repository_json_parse(vly_buf_str(&b), &arena, &r, &err), VLY_ELIMIT);
    vly_buf_release(&b);
}

/* A file of 8 MiB is let in: most of what it takes is its text. */
static void large_files(void **state)
{
    (void)state;
    vly_repository_json r;
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_CODEC, 1 << 25);
    vly_buf_puts(&b, "{\"parameters\":{\"config\":\"{}\",\"file:1/model.onnx\":\"");
    for (int i = 0; i < 1 << 20; i++)
        vly_buf_puts(&b, "AAAAAAAA");
    vly_buf_puts(&b, "\"}}");
    if (vly_repository_json_parse(vly_buf_str(&b), &arena, &r, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(r.files[0].bytes.len, 6 << 20);
    vly_repository_json_release(&r);
    vly_buf_release(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(reads_bodies), TEST(decodes_base64), TEST(rejects), TEST(many_values_and_files),
           TEST(large_files))

/* SPDX-License-Identifier: MIT */
#include "sys/config_text.h"
#include "sys/file.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static vly_config c;
static vly_err err;

static int setup(void **state)
{
    (void)state;
    vly_config_init(&c);
    err = (vly_err)VLY_ERR_INIT;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_config_release(&c);
    return 0;
}

static vly_status yaml(const char *text)
{
    return vly_config_load_yaml(&c, "v.yaml", vly_str_from(text), &err);
}

/* Loading text fails with this status and a message that holds each of the parts. */
static void yaml_fails(const char *text, vly_status st, const char *part1, const char *part2)
{
    assert_int_equal(yaml(text), st);
    if (strstr(err.msg, part1) == NULL || strstr(err.msg, part2) == NULL)
        fail_msg("expected '%s' and '%s' in: %s", part1, part2, err.msg);
}

static void defaults_lie_in_their_ranges(void **state)
{
    (void)state;
    vly_buf text;
    vly_buf_init(&text, VLY_MEM_BASE, 8192);
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        const vly_config_row *row = vly_config_row_at(i);
        assert_true(strlen(row->doc) > 0 && strlen(row->name) < 40);
        assert_int_equal(c.origins[i], VLY_CONFIG_DEFAULT);
        vly_buf_clear(&text);
        vly_config_format(&c, i, &text);
        /* what it prints, it takes */
        if (vly_config_set(&c, vly_str_from(row->name), vly_buf_str(&text), VLY_CONFIG_ARG, &err) !=
            VLY_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(c.origins[i], VLY_CONFIG_ARG);
    }
    vly_buf_release(&text);
}

static void yaml_nested_and_dotted(void **state)
{
    (void)state;
    assert_int_equal(yaml("# comment\n"
                          "http:\n"
                          "  port: 9000\n"
                          "  address: '::1'\n"
                          "  max_body_bytes: 8 MiB\n"
                          "http.idle_timeout_ms: 5000\n"
                          "log: {level: debug}\n"
                          "picture:\n" /* a group with nothing in it */
                          "threads: 3\n"
                          "http.abort_on_close: off\n"),
                     VLY_OK);
    assert_int_equal(c.http_port, 9000);
    assert_string_equal(c.http_address, "::1");
    assert_int_equal(c.http_max_body_bytes, 8 << 20);
    assert_int_equal(c.http_idle_timeout_ms, 5000);
    assert_int_equal(c.log_level, VLY_LOG_DEBUG);
    assert_int_equal(c.threads, 3);
    assert_false(c.http_abort_on_close);
    assert_int_equal(c.origins[VLY_CONFIG_IDX_http_port], VLY_CONFIG_FILE);
    assert_int_equal(c.origins[VLY_CONFIG_IDX_queue_max], VLY_CONFIG_DEFAULT);
}

static void yaml_empty(void **state)
{
    (void)state;
    assert_int_equal(yaml(""), VLY_OK);
    assert_int_equal(yaml("# nothing\n"), VLY_OK);
    assert_int_equal(yaml("---\n...\n"), VLY_OK);
    assert_int_equal(yaml("{}\n"), VLY_OK);
}

static void yaml_errors_name_the_place(void **state)
{
    (void)state;
    yaml_fails("http:\n  prot: 1\n", VLY_ENOTFOUND,
               "v.yaml:2: ", "'http.prot': did you mean 'http.port'");
    yaml_fails("\n\nthreds: 1\n", VLY_ENOTFOUND, "v.yaml:3: ", "did you mean 'threads'");
    yaml_fails("http.port: 65536\n", VLY_EINVAL,
               "v.yaml:1: http.port: ", "from 0 to 65535, got '65536'");
    yaml_fails("http.port: 80x\n", VLY_EINVAL, "expected an integer", "got '80x'");
    yaml_fails("http.port:\n", VLY_EINVAL, "expected an integer", "got ''");
    yaml_fails("http.max_body_bytes: 65 GiB\n", VLY_EINVAL, "1 to 64 GiB", "got '65 GiB'");
    yaml_fails("http.abort_on_close: maybe\n", VLY_EINVAL, "true or false", "got 'maybe'");
    yaml_fails("log.level: loud\n", VLY_EINVAL, "debug, info, warn or error", "got 'loud'");
    yaml_fails("http.address: ''\n", VLY_EINVAL, "1 to 64 bytes", "http.address");
    yaml_fails("http.address: \"a\\0b\"\n", VLY_EINVAL, "http.address", "expected a text");
    yaml_fails("http: 1\n", VLY_ENOTFOUND, "unknown setting 'http'", "v.yaml:1");
    yaml_fails("http.port: 1\nhttp: {port: 2}\n", VLY_EFORMAT, "v.yaml:2: ", "given before");
    yaml_fails("http.port: [1, 2]\n", VLY_EFORMAT, "v.yaml:1: ", "got a list");
    yaml_fails("- 1\n", VLY_EFORMAT, "v.yaml:1: ", "got a list");
    yaml_fails("8000\n", VLY_EFORMAT, "v.yaml:1: ", "name: value");
    yaml_fails("? {a: b}\n: 1\n", VLY_EFORMAT, "v.yaml:1: ", "name of a setting");
    yaml_fails("a: {b: {c: {d: {e: 1}}}}\n", VLY_EFORMAT, "v.yaml:1: ", "too deep");
    yaml_fails("threads: &x 1\nqueue.max: *x\n", VLY_EFORMAT, "v.yaml:2: ", "alias");
    yaml_fails("threads: 1\n---\nthreads: 2\n", VLY_EFORMAT, "v.yaml:2: ", "single document");
    yaml_fails("threads: 1\n\t- :\n", VLY_EFORMAT, "v.yaml:2: ", "");
    yaml_fails("\"\": 1\n", VLY_EFORMAT, "v.yaml:1: ", "name of a setting");
}

static void a_failed_value_changes_nothing(void **state)
{
    (void)state;
    yaml_fails("http.port: 70000\n", VLY_EINVAL, "http.port", "");
    assert_int_equal(c.http_port, 8000);
    assert_int_equal(c.origins[VLY_CONFIG_IDX_http_port], VLY_CONFIG_DEFAULT);
}

static void from_a_file(void **state)
{
    char path[] = "/tmp/volley-config-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(vly_file_write(path, "threads: 5\n", 11, NULL), VLY_OK);
    assert_int_equal(vly_config_load_file(&c, path, &err), VLY_OK);
    assert_int_equal(c.threads, 5);
    assert_int_equal(vly_file_write(path, "threads: x\n", 11, NULL), VLY_OK);
    assert_int_equal(vly_config_load_file(&c, path, &err), VLY_EINVAL);
    assert_ptr_equal(strstr(err.msg, path), err.msg);
    unlink(path);
    assert_int_equal(vly_config_load_file(&c, path, &err), VLY_ENOTFOUND);
}

static void from_the_environment(void **state)
{
    char *env[] = {(char[]){"PATH=/bin"},
                   (char[]){"VOLLEY_HTTP_PORT=1234"},
                   (char[]){"VOLLEY_DRAIN_TIMEOUT_MS=7"},
                   (char[]){"VOLLEY_CPU=avx2"},
                   (char[]){"VOLLEY_MODELS_DIR=/a=b"},
                   (char[]){"VOLLEY_THREADS"},
                   NULL};
    char *bad[] = {(char[]){"VOLLEY_QUEUE_MAX=0"}, NULL};

    (void)state;
    assert_int_equal(vly_config_load_env(&c, env, &err),
                     VLY_EINVAL); /* "VOLLEY_THREADS" is empty */
    env[5] = NULL;
    assert_int_equal(vly_config_load_env(&c, env, &err), VLY_OK);
    assert_int_equal(c.http_port, 1234);
    assert_int_equal(c.drain_timeout_ms, 7);
    assert_string_equal(c.models_dir, "/a=b");
    assert_int_equal(c.origins[VLY_CONFIG_IDX_http_port], VLY_CONFIG_ENV);
    assert_int_equal(vly_config_load_env(&c, bad, &err), VLY_EINVAL);
    assert_string_equal(
        err.msg, "VOLLEY_QUEUE_MAX: queue.max: expected an integer from 1 to 1000000, got '0'");
}

static void from_the_command_line(void **state)
{
    (void)state;
    assert_int_equal(vly_config_set_arg(&c, "http.port=81", &err), VLY_OK);
    assert_int_equal(vly_config_set_arg(&c, "http.address=1.2.3.4", &err), VLY_OK);
    assert_int_equal(vly_config_set_arg(&c, "http.address=5.6.7.8", &err), VLY_OK);
    assert_int_equal(c.http_port, 81);
    assert_string_equal(c.http_address, "5.6.7.8");
    assert_string_equal(vly_config_origin_name(c.origins[VLY_CONFIG_IDX_http_port]),
                        "command line");
    assert_int_equal(vly_config_set_arg(&c, "http.port", &err), VLY_EINVAL);
    assert_string_equal(err.msg, "--set 'http.port': expected name=value");
    assert_int_equal(vly_config_set_arg(&c, "x=1", &err), VLY_ENOTFOUND);
    assert_int_equal(vly_config_set_arg(&c, "=1", &err), VLY_ENOTFOUND);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        long long bytes; /* -1: refused */
    } cases[] = {{"1024", 1024},
                 {"1KiB", 1024},
                 {"3 KiB", 3072},
                 {"2 MiB", 2 << 20},
                 {"1 GiB", 1 << 30},
                 {"KiB", -1},
                 {"-1 KiB", -1},
                 {"1 kB", -1},
                 {"1.5 MiB", -1},
                 {"", -1},
                 {"99999999999 GiB", -1},
                 {"0x10", -1},
                 {"9223372036854775808", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_status st = vly_config_set(&c, VLY_STR("http.max_body_bytes"),
                                       vly_str_from(cases[i].text), VLY_CONFIG_ARG, NULL);
        if ((st == VLY_OK) != (cases[i].bytes >= 0))
            fail_msg("'%s' gave %s", cases[i].text, vly_status_name(st));
        if (st == VLY_OK)
            assert_int_equal(c.http_max_body_bytes, cases[i].bytes);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(defaults_lie_in_their_ranges), TEST(yaml_nested_and_dotted), TEST(yaml_empty),
           TEST(yaml_errors_name_the_place), TEST(a_failed_value_changes_nothing),
           TEST(from_a_file), TEST(from_the_environment), TEST(from_the_command_line), TEST(sizes))

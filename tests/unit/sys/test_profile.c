/* SPDX-License-Identifier: MIT */
/* Profiles, what settings have in common, and every problem of a file at once. */
#include "base/assert.h"
#include "sys/config_text.h"
#include "sys/profile.h"
#include "unit.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PROBLEMS_MAX 32

static vly_config c;
static vly_err err;

static struct {
    size_t n, line[PROBLEMS_MAX];
    bool is_warning[PROBLEMS_MAX];
    char msg[PROBLEMS_MAX][VLY_ERR_MSG_MAX];
} found;

static void keep(void *ctx, const vly_config_problem *p)
{
    (void)ctx;
    assert_true(found.n < PROBLEMS_MAX);
    found.line[found.n] = p->line;
    found.is_warning[found.n] = p->is_warning;
    snprintf(found.msg[found.n++], VLY_ERR_MSG_MAX, "%s", p->msg);
}

static const vly_config_report to = {keep, NULL};

static int setup(void **state)
{
    (void)state;
    vly_config_init(&c);
    err = (vly_err)VLY_ERR_INIT;
    found.n = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_config_release(&c);
    return 0;
}

static void load(const char *yaml)
{
    assert_int_equal(vly_config_load_yaml(&c, "v.yaml", vly_str_from(yaml), &err), VLY_OK);
}

static const char *origin(size_t idx)
{
    static char text[128];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, sizeof(text));
    vly_config_put_origin(&c, idx, &b);
    snprintf(text, sizeof(text), "%.*s", VLY_STR_ARG(vly_buf_str(&b)));
    vly_buf_release(&b);
    return text;
}

/* Each row: its profile exists, the value is taken, and no two rows are for the same setting. */
static void every_row_takes_effect(void **state)
{
    (void)state;
    for (size_t i = 0; vly_profile_row_at(i) != NULL; i++) {
        const vly_profile_row *row = vly_profile_row_at(i);
        for (size_t k = 0; k < i; k++) {
            const vly_profile_row *other = vly_profile_row_at(k);
            assert_true(other->idx != row->idx || strcmp(other->profile, row->profile) != 0);
        }
        setup(NULL);
        assert_int_equal(vly_config_set(&c, VLY_STR("profile"), vly_str_from(row->profile),
                                        VLY_CONFIG_ARG, &err),
                         VLY_OK);
        if (vly_config_complete(&c, &err) != VLY_OK)
            fail_msg("%s: %s", row->profile, err.msg);
        assert_int_equal(c.origins[row->idx], VLY_CONFIG_PROFILE);
        vly_config_release(&c);
    }
}

static void a_profile_ranks_above_defaults_only(void **state)
{
    char *env[] = {(char[]){"VOLLEY_PROFILE=production"}, (char[]){"VOLLEY_QUEUE_MAX=5"}, NULL};

    (void)state;
    load("\nhttp.max_connections: 12\n");
    assert_int_equal(vly_config_load_env(&c, env, &err), VLY_OK);
    assert_int_equal(vly_config_complete(&c, &err), VLY_OK);
    assert_int_equal(c.log_level, VLY_LOG_WARN);
    assert_int_equal(c.http_idle_timeout_ms, 75000);
    assert_int_equal(c.http_max_connections, 12);
    assert_int_equal(c.queue_max, 5);
    assert_string_equal(origin(VLY_CONFIG_IDX_log_level), "profile production");
    assert_string_equal(origin(VLY_CONFIG_IDX_http_max_connections), "file v.yaml:2");
    assert_string_equal(origin(VLY_CONFIG_IDX_queue_max), "environment VOLLEY_QUEUE_MAX");
    assert_string_equal(origin(VLY_CONFIG_IDX_threads), "default");
}

static void no_profile_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(vly_config_complete(&c, &err), VLY_OK);
    for (size_t i = 0; i < VLY_CONFIG_N; i++)
        assert_int_equal(c.origins[i], VLY_CONFIG_DEFAULT);
}

static void settings_that_do_not_go_together(void **state)
{
    (void)state;
    load("tls.key: a.pem\n");
    assert_int_equal(vly_config_complete(&c, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "v.yaml:1: setting 'tls.key' is there without "
                                 "'tls.certificate'");
    load("tls.certificate: b.pem\nstream.idle_ms: 20\nmodels.load: x\n");
    vly_config_complete_all(&c, &to);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.line[0], 3);
    assert_false(found.is_warning[0]);
    assert_non_null(strstr(found.msg[0], "models.load"));
    assert_int_equal(found.line[1], 2);
    assert_true(found.is_warning[1]);
    assert_non_null(strstr(found.msg[1], "stream.idle_ms"));
}

static void where_redis_is(void **state)
{
    (void)state;
    load("\ncache.redis_url: redis://:hidden@h:x\n");
    assert_int_equal(vly_config_complete(&c, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "v.yaml:2: setting 'cache.redis_url'"));
    assert_null(strstr(err.msg, "hidden"));
    load("cache.redis_url: unix:/run/redis.sock\n");
    assert_int_equal(vly_config_complete(&c, &err), VLY_OK);
}

static void all_problems_at_once(void **state)
{
    static const struct {
        size_t line;
        const char *part;
    } want[] = {{2, "did you mean 'http.port'"},
                {3, "http.port: expected an integer"},
                {4, "threads: expected a single value, got a list"},
                {5, "profile: expected none, development, staging, production, low-memory, gpu or "
                    "high-concurrency, got 'prod'"},
                {6, "expected the name of a setting"},
                {8, "models.control: expected none, poll or explicit"},
                {9, "a.b.c.d: settings are nested too deep"},
                {12, "drain_timeout_ms: this setting was given before"},
                {13, "queue.max: aliases are not supported"},
                {16, ""}};

    (void)state;
    vly_config_check_yaml(&c, "v.yaml",
                          VLY_STR("http:\n"
                                  "  prot: 1\n"
                                  "  port: 99999\n"
                                  "threads: [1, {x: [2]}]\n"
                                  "profile: prod\n"
                                  "? {a: [b]}\n"
                                  ": {http.port: 3}\n"
                                  "models.control: never\n"
                                  "a: {b: {c: {d: {e: 1}}}}\n"
                                  "sequence.max: 3\n"
                                  "drain_timeout_ms: &x 7\n"
                                  "drain_timeout_ms: 8\n"
                                  "queue.max: *x\n"
                                  "imu.rate_hz: 50\n"
                                  "imu.idle_ms: 2000\n"
                                  "\t- :\n"),
                          &to);
    for (size_t i = 0; i < VLY_COUNT(want) && i < found.n; i++)
        if (found.line[i] != want[i].line || strstr(found.msg[i], want[i].part) == NULL)
            fail_msg("expected line %zu '%s', got line %zu '%s'", want[i].line, want[i].part,
                     found.line[i], found.msg[i]);
    assert_int_equal(found.n, VLY_COUNT(want));
    assert_int_equal(c.http_port, 8000);
    assert_int_equal(c.sequence_max, 3);
    assert_int_equal(c.drain_timeout_ms, 7);
    assert_int_equal(c.imu_rate_hz, 50);
}

/* Each setting is read from VOLLEY_ and its name in capitals, '_' for '.'; and no two share one. */
static void every_setting_by_environment(void **state)
{
    char names[VLY_CONFIG_N][64];

    (void)state;
    for (size_t i = 0; i < VLY_CONFIG_N; i++) {
        char entry[32768];
        vly_buf value;
        const char *name = vly_config_row_at(i)->name;
        size_t n = strlen(name);

        assert_true(n < sizeof(names[i]));
        for (size_t k = 0; k <= n; k++)
            names[i][k] = (char)(name[k] == '.' ? '_' : toupper((unsigned char)name[k]));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
        vly_buf_init(&value, VLY_MEM_BASE, 8192);
        vly_config_format(&c, i, &value);
        snprintf(entry, sizeof(entry), "VOLLEY_%s=%.*s", names[i],
                 VLY_STR_ARG(vly_buf_str(&value)));
        vly_buf_release(&value);
        char *env[] = {entry, NULL};
        if (vly_config_load_env(&c, env, &err) != VLY_OK)
            fail_msg("%s: %s", entry, err.msg);
        assert_int_equal(c.origins[i], VLY_CONFIG_ENV);
    }
}

static void problems_of_the_environment(void **state)
{
    char *env[] = {(char[]){"VOLLEY_THREADS=x"}, (char[]){"VOLLEY_HTTP_PROT=1"},
                   (char[]){"VOLLEY_QUEUE_MAX=9"}, (char[]){"HOME=/"}, NULL};

    (void)state;
    vly_config_check_env(&c, env, &to);
    assert_int_equal(found.n, 2);
    assert_false(found.is_warning[0]);
    assert_string_equal(found.msg[0],
                        "VOLLEY_THREADS: threads: expected an integer from 0 to 1024, got 'x'");
    assert_true(found.is_warning[1]);
    assert_string_equal(found.msg[1],
                        "VOLLEY_HTTP_PROT names no setting: did you mean VOLLEY_HTTP_PORT?");
    assert_int_equal(c.queue_max, 9);
    assert_non_null(strstr(vly_guide_name_find(VLY_STR("INFERENCE_QUEUE_SIZE")), "queue.max"));
    assert_null(vly_guide_name_find(VLY_STR("HOME")));
}

static void passwords_are_hidden(void **state)
{
    static const char *const cases[][2] = {
        {"mqtts://me:secret@b:8883", "mqtts://***@b:8883"},
        {"redis://:p@ss@h/0", "redis://***@h/0"},
        {"mqtt://host/a@b", "mqtt://***@b"},
        {"mqtt://host", "mqtt://host"},
        {"a@b", "a@b"},
    };
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_BASE, (size_t)1 << 17);
    for (size_t i = 0; i < VLY_COUNT(cases); i++) {
        assert_int_equal(vly_config_set(&c, VLY_STR("mqtt.url"), vly_str_from(cases[i][0]),
                                        VLY_CONFIG_ARG, &err),
                         VLY_OK);
        vly_buf_clear(&b);
        vly_config_format_public(&c, VLY_CONFIG_IDX_mqtt_url, &b);
        assert_true(vly_str_is(vly_buf_str(&b), cases[i][1]));
        assert_int_equal(vly_config_is_public(&c, VLY_CONFIG_IDX_mqtt_url),
                         strcmp(cases[i][0], cases[i][1]) == 0);
        vly_buf_clear(&b);
        vly_config_put_json(&c, false, &b);
        assert_null(memmem(b.ptr, b.len, "secret", 6));
        assert_null(memmem(b.ptr, b.len, "p@ss", 4));
    }
    vly_buf_release(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(every_row_takes_effect), TEST(a_profile_ranks_above_defaults_only),
           TEST(no_profile_changes_nothing), TEST(settings_that_do_not_go_together),
           TEST(where_redis_is), TEST(all_problems_at_once), TEST(every_setting_by_environment),
           TEST(problems_of_the_environment), TEST(passwords_are_hidden))

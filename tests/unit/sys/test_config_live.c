/* SPDX-License-Identifier: MIT */
/* Settings that are read again: all or nothing, hot ones at once, the others named. */
#include "base/assert.h"
#include "sys/config_live.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char *text; /* the file, as it is read next */
static int64_t applied_queue, applied_parts;
static int n_applied;
static vly_config_live *live;
static vly_buf report;
static vly_err err;

static vly_status read_text(void *ctx, vly_config *c, vly_err *e)
{
    (void)ctx;
    return vly_config_load_yaml(c, "v.yaml", vly_str_from(text), e);
}

static void apply(void *ctx, const vly_config *old, const vly_config *c)
{
    (void)ctx;
    n_applied++;
    assert_int_equal(old->queue_max, applied_queue);
    applied_queue = c->queue_max;
    applied_parts = c->multipart_max_parts;
}

static int setup(void **state)
{
    vly_config c;

    (void)state;
    text = "queue.max: 5\nhttp.port: 81\n";
    applied_queue = 5;
    n_applied = 0;
    vly_config_init(&c);
    assert_int_equal(read_text(NULL, &c, &err), VLY_OK);
    const vly_config_live_opts o = {.read = read_text, .apply = apply};
    assert_int_equal(vly_config_live_new(&o, &c, &live, &err), VLY_OK);
    vly_config_release(&c);
    vly_buf_init(&report, VLY_MEM_BASE, (size_t)1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_buf_release(&report);
    vly_config_live_free(live);
    return 0;
}

static void expect_report(const char *want)
{
    if (!vly_str_is(vly_buf_str(&report), want))
        fail_msg("expected %s, got %.*s", want, VLY_STR_ARG(vly_buf_str(&report)));
    vly_buf_clear(&report);
}

/* What is in force, of what is not the default. */
static void expect_shown(const char *part)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_BASE, (size_t)1 << 20);
    vly_config_live_put_json(live, true, &b);
    vly_buf_putc(&b, '\0');
    if (strstr(b.ptr, part) == NULL)
        fail_msg("expected %s in %s", part, b.ptr);
    vly_buf_release(&b);
}

static void hot_settings_change_the_others_are_named(void **state)
{
    (void)state;
    text = "\nqueue.max: 7\nhttp.port: 82\nmultipart.max_parts: 3\nhttp.loops: 2\n";
    assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_OK);
    expect_report("{\"changed\":[{\"name\":\"queue.max\",\"from\":\"5\",\"to\":\"7\"},"
                  "{\"name\":\"multipart.max_parts\",\"from\":\"64\",\"to\":\"3\"}],"
                  "\"needs_restart\":[\"http.port\",\"http.loops\"]}");
    assert_int_equal(applied_queue, 7);
    assert_int_equal(applied_parts, 3);
    expect_shown("{\"name\":\"queue.max\",\"value\":7,\"default\":64,\"origin\":\"file\","
                 "\"file\":\"v.yaml\",\"line\":2,");
    expect_shown("{\"name\":\"http.port\",\"value\":81,");
    /* what needs a restart is said each time; a hot one goes back to its default */
    text = "http.port: 82\nqueue.max: 7\n";
    assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_OK);
    expect_report("{\"changed\":[{\"name\":\"multipart.max_parts\",\"from\":\"3\",\"to\":\"64\"}],"
                  "\"needs_restart\":[\"http.port\"]}");
    assert_int_equal(applied_parts, 64);
}

static void a_wrong_file_changes_nothing(void **state)
{
    (void)state;
    text = "queue.max: 9\nmultipart.max_parts: 0\n";
    assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_EINVAL);
    assert_string_equal(
        err.msg, "v.yaml:2: multipart.max_parts: expected an integer from 1 to 10000, got '0'");
    assert_int_equal(n_applied, 0);
    assert_int_equal(report.len, 0);
    expect_shown("{\"name\":\"queue.max\",\"value\":5,");
    vly_config_live_stats stats = vly_config_live_stats_of(live);
    assert_false(stats.is_ok);
    assert_int_equal(stats.n_failures, 1);
    text = "queue.max: 9\nhttp.port: 81\n";
    assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_OK);
    assert_int_equal(applied_queue, 9);
    stats = vly_config_live_stats_of(live);
    assert_true(stats.is_ok && stats.reloaded_unix_ms > 0);
    assert_int_equal(stats.n_reloads, 1);
}

static void who_comes_later_hears_what_is_in_force(void **state)
{
    (void)state;
    text = "queue.max: 7\nhttp.port: 81\n";
    assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_OK);
    vly_config_live_apply(live);
    assert_int_equal(n_applied, 2);
    assert_int_equal(applied_queue, 7);
}

/* One with other options than those of the fixture, on the same text. */
static vly_config_live *open_own(const vly_config_live_opts *o, vly_config *c)
{
    vly_config_live *own = NULL;

    vly_config_init(c);
    assert_int_equal(read_text(NULL, c, &err), VLY_OK);
    assert_int_equal(vly_config_live_new(o, c, &own, &err), VLY_OK);
    return own;
}

static const char *more; /* NULL: it is wrong */

static vly_status read_more(void *ctx, vly_buf *members, vly_err *e)
{
    (void)ctx;
    if (more == NULL)
        return vly_fail(e, VLY_EINVAL, "more: wrong");
    vly_buf_puts(members, more);
    return VLY_OK;
}

/* What else is read comes with the settings, or neither does. */
static void more_is_read(void **state)
{
    const vly_config_live_opts o = {.read = read_text, .read_more = read_more, .apply = apply};
    vly_config c;

    (void)state;
    vly_config_live *own = open_own(&o, &c);
    text = "queue.max: 6\nhttp.port: 81\n";
    more = NULL;
    assert_int_equal(vly_config_live_reload(own, &report, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "more: wrong");
    assert_int_equal(n_applied, 0);
    assert_false(vly_config_live_stats_of(own).is_ok);
    more = ",\"x\":true";
    assert_int_equal(vly_config_live_reload(own, &report, &err), VLY_OK);
    expect_report("{\"changed\":[{\"name\":\"queue.max\",\"from\":\"5\",\"to\":\"6\"}],"
                  "\"needs_restart\":[],\"x\":true}");
    assert_int_equal(n_applied, 1);
    vly_config_live_free(own);
    vly_config_release(&c);
}

static bool is_cold(void *ctx, size_t idx)
{
    (void)ctx;
    return idx == VLY_CONFIG_IDX_multipart_max_parts;
}

static void a_hot_setting_may_be_cold_here(void **state)
{
    const vly_config_live_opts o = {.read = read_text, .apply = apply, .is_cold = is_cold};
    vly_config c;

    (void)state;
    vly_config_live *own = open_own(&o, &c);
    text = "queue.max: 6\nhttp.port: 81\nmultipart.max_parts: 3\n";
    assert_int_equal(vly_config_live_reload(own, &report, &err), VLY_OK);
    expect_report("{\"changed\":[{\"name\":\"queue.max\",\"from\":\"5\",\"to\":\"6\"}],"
                  "\"needs_restart\":[\"multipart.max_parts\"]}");
    assert_int_equal(applied_queue, 6);
    assert_int_equal(applied_parts, 64);
    vly_config_live_free(own);
    vly_config_release(&c);
}

static void *read_often(void *arg)
{
    vly_buf b;

    (void)arg;
    vly_buf_init(&b, VLY_MEM_BASE, (size_t)1 << 20);
    for (int i = 0; i < 100; i++) {
        vly_buf_clear(&b);
        vly_config_live_put_json(live, true, &b);
        assert_false(b.failed);
    }
    vly_buf_release(&b);
    return NULL;
}

static void it_is_shown_while_it_changes(void **state)
{
    pthread_t reader;

    (void)state;
    text = "http.address: '::1'\nhttp.port: 81\nqueue.max: 6\n";
    assert_int_equal(pthread_create(&reader, NULL, read_often, NULL), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(vly_config_live_reload(live, &report, &err), VLY_OK);
    pthread_join(reader, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(hot_settings_change_the_others_are_named), TEST(a_wrong_file_changes_nothing),
           TEST(who_comes_later_hears_what_is_in_force), TEST(a_hot_setting_may_be_cold_here),
           TEST(more_is_read), TEST(it_is_shown_while_it_changes))

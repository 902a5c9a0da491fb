/* SPDX-License-Identifier: MIT */
/* The oracle is a session that gets the same readings without MQTT. */
#include "api/steps_mqtt.h"

#include "codec/imu_packet.h"
#include "support/imu_walk.h"
#include "tasks/steps/step_json.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define READINGS 1600 /* 20 s */
#define PIECE    80

static vly_step_model *model;
static vly_imu_sessions *sessions;
static vly_steps_mqtt *mqtt;
static const vly_steps_mqtt_stats *stats;
static vly_nsec clock_ns;
static vly_imu_reading walk[READINGS];
static vly_buf sent, expected; /* payloads, one in a line */
static char last_topic[128];

static vly_nsec now(void)
{
    return clock_ns;
}

static bool publish(void *ctx, vly_str topic, vly_str payload)
{
    (void)ctx;
    snprintf(last_topic, sizeof(last_topic), "%.*s", VLY_STR_ARG(topic));
    vly_buf_add_str(&sent, payload);
    vly_buf_putc(&sent, '\n');
    return true;
}

static void expect_events(void *ctx, const vly_step_event *events, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        vly_step_json_event(&expected, &events[i]);
        vly_buf_putc(&expected, '\n');
    }
}

static int n_replaced;

static void count_replaced(void *ctx)
{
    (void)ctx;
    n_replaced++;
}

static const vly_imu_session_events direct_events = {.on_events = expect_events,
                                                     .on_replaced = count_replaced};

static vly_imu_session *open_direct(const char *user)
{
    const vly_imu_open open = {.user = vly_str_from(user),
                               .device = VLY_STR("phone"),
                               .has_gyro = true,
                               .events = &direct_events};
    vly_imu_session *a = NULL;

    assert_int_equal(vly_imu_session_open(sessions, &open, &a, NULL, NULL), VLY_OK);
    return a;
}

static void turn(void)
{
    while (vly_steps_mqtt_turn(mqtt))
        continue;
}

static int begin(void **state)
{
    const vly_imu_sessions_opts opts = {.n_loops = 1,
                                        .max_sessions = 10,
                                        .max_waiting = 4096,
                                        .max_waiting_all = 40960,
                                        .idle_ns = 100 * VLY_NSEC_PER_SEC,
                                        .now = now};
    vly_imu_sessions_opts o = opts;

    (void)state;
    clock_ns = 1000 * VLY_NSEC_PER_SEC;
    n_replaced = 0;
    assert_int_equal(vly_step_model_load(NULL, -1, &model, NULL), VLY_OK);
    o.model = model;
    assert_int_equal(vly_imu_sessions_new(&o, &sessions, NULL), VLY_OK);
    const vly_steps_mqtt_opts m = {.sessions = sessions,
                                   .loop = 0,
                                   .rate_hz = 80,
                                   .max_devices = 3,
                                   .max_readings = 4096,
                                   .idle_ns = 100 * VLY_NSEC_PER_SEC,
                                   .events = "volley/steps",
                                   .publish = publish,
                                   .now = now};
    assert_int_equal(vly_steps_mqtt_new(&m, &mqtt, NULL), VLY_OK);
    stats = vly_steps_mqtt_get_stats(mqtt);
    vly_buf_init(&sent, VLY_MEM_NET, 1 << 20);
    vly_buf_init(&expected, VLY_MEM_NET, 1 << 20);
    imu_walk(walk, READINGS, 1);
    return 0;
}

static int end(void **state)
{
    (void)state;
    vly_steps_mqtt_free(mqtt);
    vly_imu_sessions_free(sessions);
    vly_step_model_unref(model);
    vly_buf_release(&sent);
    vly_buf_release(&expected);
    return 0;
}

static void feed_direct(vly_imu_session *a)
{
    for (size_t i = 0; i < READINGS; i += PIECE) {
        assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk + i, PIECE, NULL), VLY_OK);
        turn();
    }
}

static void check_events(const char *topic)
{
    assert_true(sent.len > 0);
    assert_string_equal(sent.ptr, expected.ptr);
    assert_string_equal(last_topic, topic);
    vly_buf_clear(&sent);
}

static void take(const char *topic, vly_str payload)
{
    vly_steps_mqtt_take(mqtt, vly_str_from(topic), payload);
}

static void put_packet(vly_buf *b, size_t first, size_t n)
{
    const vly_imu_packet_opts opts = {
        .has_gyro = true, .has_first = true, .first = first, .period_us = 12500};
    assert_int_equal(vly_imu_packet_write(&opts, walk + first, n, b, NULL), VLY_OK);
}

static void put_text(vly_buf *b, size_t first, bool is_json)
{
    if (is_json)
        vly_buf_puts(b, "{\"readings\":[");
    for (size_t i = first; i < first + PIECE; i++) {
        const vly_imu_reading *r = &walk[i];
        if (is_json)
            vly_buf_puts(b, i == first ? "[" : ",[");
        vly_buf_printf(b, "%.9g,%.9g,%.9g,%.9g,%.9g,%.9g", (double)r->acc[0], (double)r->acc[1],
                       (double)r->acc[2], (double)r->gyro[0], (double)r->gyro[1],
                       (double)r->gyro[2]);
        vly_buf_puts(b, is_json ? "]" : "\n");
    }
    vly_buf_puts(b, is_json ? "]}" : "");
}

static void takes_every_form(void **state)
{
    (void)state;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 1 << 20);
    vly_imu_session *direct = open_direct("direct");
    feed_direct(direct);
    vly_imu_session_close(direct);
    for (size_t i = 0; i < READINGS; i += PIECE) {
        vly_buf_clear(&b);
        put_packet(&b, i, PIECE / 2);
        put_packet(&b, i + PIECE / 2, PIECE / 2);
        take("volley/imu/ann/phone", vly_buf_str(&b));
        take("volley/imu/ann/phone", vly_buf_str(&b)); /* sent twice, as QoS 1 may */
        turn();
    }
    check_events("volley/steps/ann/phone");
    for (size_t i = 0; i < READINGS; i += PIECE) {
        vly_buf_clear(&b);
        put_text(&b, i, true);
        take("a/b/c/bob/watch", vly_buf_str(&b));
        turn();
    }
    check_events("volley/steps/bob/watch");
    for (size_t i = 0; i < READINGS; i += PIECE) {
        vly_buf_clear(&b);
        vly_buf_puts(&b, i % 160 == 0 ? "ax,ay,az,gx,gy,gz\n" : "");
        put_text(&b, i, false);
        take("cid/ring", vly_buf_str(&b));
        turn();
    }
    check_events("volley/steps/cid/ring");
    assert_int_equal(vly_counter_get(&stats->readings), 4 * READINGS);
    assert_int_equal(vly_counter_get(&stats->malformed), 0);
    assert_int_equal(vly_counter_get(&stats->messages), 4 * READINGS / PIECE);
    assert_int_equal(vly_gauge_get(&stats->devices), 3);
    vly_buf_release(&b);
}

static void counts_what_it_leaves_out(void **state)
{
    (void)state;
    static const struct {
        const char *topic, *payload;
    } bad[] = {
        {"phone", "1,2,9\n"},
        {"v/ann/phone", ""},
        {"v/ann/phone", "garbage"},
        {"v/ann/phone", "{\"readings\":[[0,0]]}"},
        {"v/ann/phone", "{\"action\":\"stop\"}"},
        {"v/ann/phone", "{"},
        {"v/ann/phone", "VIMU"},
        {"v//", "0,0,9,0,0,0\n"},
        {"v/ann/", "0,0,9,0,0,0\n"},
        {"v/dan/phone", "garbage"},
        {"v/ann/phone", "{\"readings\":[[0,0,0,9]],\"first\":7}"}, /* after none */
    };
    size_t n = sizeof(bad) / sizeof(bad[0]);

    for (size_t i = 0; i < n; i++) {
        take(bad[i].topic, vly_str_from(bad[i].payload));
        if (vly_counter_get(&stats->malformed) != i + 1)
            fail_msg("'%s' '%s'", bad[i].topic, bad[i].payload);
    }
    assert_int_equal(vly_counter_get(&stats->readings), 0);
    take("v/ann/phone", VLY_STR("t_ms,ax,ay,az\n0,0,0,9\n12.5,x,0,9\n25,0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->readings), 2);
    assert_int_equal(vly_counter_get(&stats->bad_rows), 1);
    take("v/bob/phone", VLY_STR("0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->refused), 0);
    take("v/cid/phone", VLY_STR("0,0,9\n")); /* that of dan is the third device */
    assert_int_equal(vly_counter_get(&stats->refused), 1);
    clock_ns += 60 * VLY_NSEC_PER_SEC; /* it has no session: forgotten first */
    turn();
    assert_int_equal(vly_gauge_get(&stats->devices), 2);
    take("v/cid/phone", VLY_STR("0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->refused), 1);
    take("v/cid/phone", VLY_STR("VIMU"));
    assert_int_equal(vly_counter_get(&stats->malformed), n + 1);
}

static void lets_silent_devices_go(void **state)
{
    (void)state;
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    take("v/bob/phone", VLY_STR("0,0,9\n"));
    turn();
    clock_ns += 90 * VLY_NSEC_PER_SEC;
    take("v/bob/phone", VLY_STR("0,0,9\n"));
    clock_ns += 61 * VLY_NSEC_PER_SEC;
    turn();
    assert_int_equal(vly_gauge_get(&stats->devices), 1);
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->readings), 4);
}

static void yields_to_another_connection(void **state)
{
    (void)state;
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    turn();
    vly_imu_session *a = open_direct("ann");
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    clock_ns += VLY_STEPS_MQTT_YIELD_NS - 1;
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->yielded), 2);
    assert_int_equal(n_replaced, 0);
    clock_ns++;
    take("v/ann/phone", VLY_STR("0,0,9\n"));
    assert_int_equal(vly_counter_get(&stats->readings), 2);
    assert_int_equal(n_replaced, 1);
    vly_imu_session_close(a);
}

#define MQTT_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

UNIT_TESTS(MQTT_TEST(takes_every_form), MQTT_TEST(counts_what_it_leaves_out),
           MQTT_TEST(lets_silent_devices_go), MQTT_TEST(yields_to_another_connection))

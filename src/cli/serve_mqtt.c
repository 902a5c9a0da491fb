/* SPDX-License-Identifier: MIT */
#include "cli/serve_mqtt.h"

#include "base/log.h"

#include <stdio.h>

unsigned vly_serve_mqtt_loops(const vly_config *c)
{
    return c->mqtt_url[0] != '\0' ? 1 : 0;
}

static void on_message(void *ctx, vly_str topic, vly_str payload)
{
    const vly_serve_mqtt *m = ctx;
    vly_steps_mqtt_take(m->steps, topic, payload);
}

static bool on_turn(void *ctx)
{
    const vly_serve_mqtt *m = ctx;
    return vly_steps_mqtt_turn(m->steps);
}

static void on_state(void *ctx, bool is_on, const char *why)
{
    (void)ctx;
    if (is_on)
        vly_info("mqtt: connected");
    else
        vly_warn("mqtt: no connection: %s; it is tried again", why);
}

static bool publish(void *ctx, vly_str topic, vly_str payload)
{
    const vly_serve_mqtt *m = ctx;
    return vly_mqtt_publish(m->client, topic, payload);
}

static vly_status open_steps(const vly_config *c, vly_imu_sessions *sessions, vly_serve_mqtt *m,
                             vly_err *err)
{
    const vly_steps_mqtt_opts opts = {
        .sessions = sessions,
        .loop = (unsigned)c->http_loops,
        .rate_hz = (double)c->imu_rate_hz,
        .max_devices = (size_t)c->mqtt_max_devices,
        .max_readings = (size_t)c->imu_max_waiting,
        .idle_ns = (vly_nsec)c->imu_idle_ms * VLY_NSEC_PER_MS,
        .events = c->mqtt_events,
        .publish = publish,
        .ctx = m,
    };
    return vly_steps_mqtt_new(&opts, &m->steps, err);
}

static vly_status open_client(const vly_config *c, vly_serve_mqtt *m, vly_err *err)
{
    const vly_mqtt_opts opts = {
        .url = c->mqtt_url,
        .topic = c->mqtt_topic,
        .client_id = c->mqtt_client_id,
        .user = c->mqtt_user,
        .password_file = c->mqtt_password_file,
        .ca = c->mqtt_ca,
        .max_payload_bytes = c->mqtt_max_payload_bytes,
        .on_message = on_message,
        .on_state = on_state,
        .on_turn = on_turn,
        .ctx = m,
    };
    vly_status st = vly_mqtt_new(&opts, &m->client, err);
    return st == VLY_OK ? vly_mqtt_start(m->client, err) : st;
}

vly_status vly_serve_mqtt_open(const vly_config *c, vly_imu_sessions *sessions, vly_serve_mqtt *m,
                               vly_err *err)
{
    if (vly_serve_mqtt_loops(c) == 0)
        return VLY_OK;
    if (sessions == NULL)
        return vly_fail(err, VLY_EINVAL, "setting 'mqtt.url': there is no step model to serve");
    vly_status st = open_steps(c, sessions, m, err);
    if (st == VLY_OK)
        st = open_client(c, m, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "settings 'mqtt.*'");
    printf("readings from %s, topic '%s'\n", c->mqtt_url, c->mqtt_topic);
    return VLY_OK;
}

void vly_serve_mqtt_close(vly_serve_mqtt *m)
{
    vly_mqtt_free(m->client);
    vly_steps_mqtt_free(m->steps);
}

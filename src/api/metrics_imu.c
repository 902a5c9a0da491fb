/* SPDX-License-Identifier: MIT */
/* Motion sensors: their sessions, and what comes of them over MQTT. */
#include "api/metrics_families.h"
#include "api/metrics_text.h"
#include "api/steps_mqtt.h"
#include "base/assert.h"
#include "net/mqtt.h"

static void put_levels(const vly_metrics_out *o, const vly_imu_sessions_stats *s,
                       size_t max_sessions)
{
    vly_metrics_value(o, "volley_imu_sessions", "gauge", "Sessions of motion sensors",
                      (double)vly_gauge_get(&s->sessions));
    vly_metrics_value(o, "volley_imu_sessions_limit", "gauge",
                      "Sessions that there may be (imu.max_sessions)", (double)max_sessions);
    vly_metrics_value(o, "volley_imu_sessions_attached", "gauge",
                      "Of these, sessions with a connection", (double)vly_gauge_get(&s->attached));
    vly_metrics_value(o, "volley_imu_readings_waiting", "gauge", "Readings that wait to be run",
                      (double)vly_gauge_get(&s->waiting));
    vly_metrics_head(o, "volley_imu_snapshot_duration_seconds", "summary",
                     "Time of one transaction that saves sessions");
    vly_buf_printf(o->b, "volley_imu_snapshot_duration_seconds_sum %.9g\n",
                   (double)vly_histogram_sum(&s->snapshot_duration) / 1e9);
    vly_buf_printf(o->b, "volley_imu_snapshot_duration_seconds_count %llu\n",
                   (unsigned long long)vly_histogram_count(&s->snapshot_duration));
}

static void put_sessions(const vly_metrics_out *o, const vly_imu_sessions_stats *s,
                         size_t max_sessions)
{
    const vly_metrics_row rows[] = {
        {"volley_imu_sessions_opened_total", "Times that somebody attached to a session",
         &s->opened},
        {"volley_imu_sessions_replaced_total", "Of these, times that it was taken from another",
         &s->replaced},
        {"volley_imu_sessions_expired_total", "Sessions that were forgotten, for they were idle",
         &s->expired},
        {"volley_imu_sessions_restored_total", "Sessions that went on after the start",
         &s->restored},
        {"volley_imu_sessions_refused_total", "Stored sessions that could not go on", &s->refused},
        {"volley_imu_readings_total", "Readings that were run", &s->readings},
        {"volley_imu_steps_total", "Steps that were completed", &s->steps},
        {"volley_imu_events_total", "Beginnings and ends of steps", &s->events},
        {"volley_imu_turns_total", "Turns of loops in which readings were run", &s->turns},
        {"volley_imu_batches_total", "Batches in these turns", &s->batches},
        {"volley_imu_batch_sessions_total", "Sessions in these batches", &s->batch_streams},
        {"volley_imu_run_errors_total", "Batches that failed", &s->run_errors},
        {"volley_imu_snapshots_total", "Transactions that saved sessions", &s->snapshots},
        {"volley_imu_snapshot_sessions_total", "Sessions in these transactions", &s->snapshot_rows},
        {"volley_imu_snapshot_errors_total", "Transactions that failed", &s->snapshot_errors},
    };

    put_levels(o, s, max_sessions);
    vly_metrics_counters(o, rows, VLY_COUNT(rows));
}

static void put_broker(const vly_metrics_out *o, const vly_mqtt_stats *c,
                       const vly_steps_mqtt_stats *s)
{
    const vly_metrics_row rows[] = {
        {"volley_mqtt_connects_total", "Times that the broker was reached", &c->connects},
        {"volley_mqtt_failures_total", "Connections lost, and attempts that failed", &c->failures},
        {"volley_mqtt_messages_total", "Messages that came", &c->messages},
        {"volley_mqtt_received_bytes_total", "Bytes of these", &c->bytes},
        {"volley_mqtt_too_large_total", "Messages left out: too large", &c->too_large},
        {"volley_mqtt_malformed_total", "Messages left out: no readings", &s->malformed},
        {"volley_mqtt_refused_total", "Messages left out: past a limit", &s->refused},
        {"volley_mqtt_yielded_total", "Messages left out: somebody else has the session",
         &s->yielded},
        {"volley_mqtt_bad_rows_total", "Rows of CSV left out", &s->bad_rows},
        {"volley_mqtt_readings_total", "Readings taken", &s->readings},
        {"volley_mqtt_published_total", "Events sent", &c->published},
        {"volley_mqtt_dropped_total", "Events that could not be sent", &c->dropped},
    };

    vly_metrics_value(o, "volley_mqtt_connected", "gauge", "1: the broker is there",
                      (double)vly_gauge_get(&c->connected));
    vly_metrics_value(o, "volley_mqtt_devices", "gauge", "Devices attached",
                      (double)vly_gauge_get(&s->devices));
    vly_metrics_counters(o, rows, VLY_COUNT(rows));
}

static bool is_wanted(const vly_api *api)
{
    return (api->metrics.names & VLY_METRICS_VOLLEY) != 0;
}

void vly_metrics_put_imu(const vly_metrics_page *p)
{
    if (is_wanted(p->api) && p->api->imu_sessions != NULL)
        put_sessions(p->out, vly_imu_sessions_get_stats(p->api->imu_sessions),
                     p->api->metrics.max_sessions);
}

void vly_metrics_put_mqtt(const vly_metrics_page *p)
{
    if (is_wanted(p->api) && p->api->mqtt != NULL)
        put_broker(p->out, vly_mqtt_get_stats(p->api->mqtt),
                   vly_steps_mqtt_get_stats(p->api->steps_mqtt));
}

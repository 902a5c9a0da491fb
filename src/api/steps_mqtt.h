/* SPDX-License-Identifier: MIT */
/*
 * Motion sensors over MQTT: a message holds readings of the device that its topic names, steps go
 * out under the device's name.
 *
 *     volley/imu/ann/phone   IMU packets (codec/imu_packet.h), JSON (codec/imu_message.h) or CSV
 *  -> volley/steps/ann/phone {"type":"step.end","step":17,...} (tasks/steps/step_json.h)
 *
 * The last two levels of the topic are the user and the device, and so the session
 * (sched/imu_sessions.h), which a connection of another kind may take over: then the device's
 * messages are left out for VLY_STEPS_MQTT_YIELD_NS, and the next one takes it back. A message is
 * taken whole or not at all; of CSV bad rows are left out, as in a file. What is left out is
 * counted, and told in the log, at most every ten seconds.
 *
 * Threads: all on the one that hands the messages on, the loop of that number in its sessions;
 * stats may be read by any.
 */
#ifndef VLY_API_STEPS_MQTT_H
#define VLY_API_STEPS_MQTT_H

#include "sched/imu_sessions.h"

#define VLY_STEPS_MQTT_YIELD_NS (10 * VLY_NSEC_PER_SEC)

typedef struct vly_steps_mqtt vly_steps_mqtt;

typedef struct vly_steps_mqtt_opts {
    vly_imu_sessions *sessions; /* borrowed, as the texts */
    unsigned loop;
    double rate_hz;      /* of readings that bring no times */
    size_t max_devices;  /* attached; messages of one more are left out */
    size_t max_readings; /* of one message */
    vly_nsec idle_ns;    /* a device silent this long is let go; its session stays */
    const char *events;  /* topic above those of the events: "volley/steps" */
    bool (*publish)(void *ctx, vly_str topic, vly_str payload);
    void *ctx;
    vly_nsec (*now)(void); /* NULL: vly_clock_now */
} vly_steps_mqtt_opts;

typedef struct vly_steps_mqtt_stats {
    vly_gauge devices;
    vly_counter messages, readings;
    vly_counter malformed; /* messages: no readings, numbers that skip, not such a topic */
    vly_counter bad_rows;  /* of CSV, left out */
    vly_counter refused;   /* messages: too many devices or sessions, too fast */
    vly_counter yielded;   /* messages: somebody else has the session */
} vly_steps_mqtt_stats;

/* ENOMEM. */
vly_status vly_steps_mqtt_new(const vly_steps_mqtt_opts *opts, vly_steps_mqtt **ret,
                              vly_err *err) VLY_MUST_CHECK;
/* Closes its attachments; the sessions stay. Accepts NULL. */
void vly_steps_mqtt_free(vly_steps_mqtt *s);

void vly_steps_mqtt_take(vly_steps_mqtt *s, vly_str topic, vly_str payload);
/* Runs what was taken; true: there is more, call it again soon. */
bool vly_steps_mqtt_turn(vly_steps_mqtt *s);

const vly_steps_mqtt_stats *vly_steps_mqtt_get_stats(const vly_steps_mqtt *s);

#endif

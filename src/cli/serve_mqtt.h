/* SPDX-License-Identifier: MIT */
/* What `volley serve` needs to take readings from an MQTT broker. */
#ifndef VLY_CLI_SERVE_MQTT_H
#define VLY_CLI_SERVE_MQTT_H

#include "api/steps_mqtt.h"
#include "net/mqtt.h"
#include "sys/config.h"

/* Both NULL: there is no broker. */
typedef struct vly_serve_mqtt {
    vly_steps_mqtt *steps;
    vly_mqtt *client;
} vly_serve_mqtt;

/* Threads that push readings beside the loops: 1 when there is a broker. */
unsigned vly_serve_mqtt_loops(const vly_config *c);

/* As the settings mqtt.* say. sessions NULL, and a broker: EINVAL. m is zeroed, stays where it is,
 * and is to be closed whatever comes back. */
vly_status vly_serve_mqtt_open(const vly_config *c, vly_imu_sessions *sessions, vly_serve_mqtt *m,
                               vly_err *err) VLY_MUST_CHECK;
void vly_serve_mqtt_close(vly_serve_mqtt *m);

#endif

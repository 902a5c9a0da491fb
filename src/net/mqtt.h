/* SPDX-License-Identifier: MIT */
/*
 * An MQTT client (3.1.1, libmosquitto) on a thread of its own: subscribes to one topic filter,
 * hands on what comes, publishes. It knows no models.
 *
 * It connects in the background and, when the broker is not there or goes away, again after 1 s,
 * 2 s, 4 s .. 60 s. With a client id of its own the broker keeps what is sent meanwhile (a session
 * that is not clean, QoS 1), without one it does not (QoS 0). Looking up the broker's name waits
 * for the system's resolver; nothing else blocks the thread.
 *
 * Where the build lacks libmosquitto, new fails with EUNSUPPORTED.
 */
#ifndef VLY_NET_MQTT_H
#define VLY_NET_MQTT_H

#include "base/metrics.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define VLY_MQTT_UNSENT_MAX 4096 /* messages the socket has not taken; more are dropped */

typedef struct vly_mqtt vly_mqtt;

/* Strings are borrowed until free. NULL or empty: none. */
typedef struct vly_mqtt_opts {
    const char *url;           /* mqtt://host[:1883] or mqtts://host[:8883] */
    const char *topic;         /* filter to subscribe to, may hold + and # */
    const char *client_id;     /* none: another one each time */
    const char *user;          /* and password_file, whose first line is the password */
    const char *password_file; /* read by new */
    const char *ca; /* PEM file, mqtts: who the broker is vouched for by; none: the system's */
    /* Of a message that comes; larger ones are left out, counted. libmosquitto has allocated such a
     * payload whole by then, up to the 256 MiB of the protocol: the broker is to set a limit. */
    size_t max_payload_bytes;
    /* On the client's thread. topic and payload are borrowed for the call. */
    void (*on_message)(void *ctx, vly_str topic, vly_str payload);
    /* Connected and subscribed, or not any more and why; of attempts that fail in a row the first.
     */
    void (*on_state)(void *ctx, bool is_on, const char *why);
    /* What came in one go has been handed on, or a second has passed. True: call it again at once.
     */
    bool (*on_turn)(void *ctx);
    void *ctx;
} vly_mqtt_opts;

typedef struct vly_mqtt_stats {
    vly_gauge connected;                    /* 0 or 1 */
    vly_counter connects, failures;         /* failures: to connect, and connections lost */
    vly_counter messages, bytes, too_large; /* that came */
    vly_counter published, dropped;         /* dropped: not connected, or too many unsent */
} vly_mqtt_stats;

/* EINVAL: an option is wrong; ENOTFOUND, EIO: the password file; ENOMEM. */
vly_status vly_mqtt_new(const vly_mqtt_opts *opts, vly_mqtt **ret, vly_err *err) VLY_MUST_CHECK;
/* Starts the thread. The broker need not be there. EIO: no thread can be had. */
vly_status vly_mqtt_start(vly_mqtt *m, vly_err *err) VLY_MUST_CHECK;
/* Says goodbye to the broker and ends the thread; no callback comes after it. Accepts NULL. */
void vly_mqtt_free(vly_mqtt *m);

/* QoS 0. False: dropped, and counted. Only within the callbacks. */
bool vly_mqtt_publish(vly_mqtt *m, vly_str topic, vly_str payload);

const vly_mqtt_stats *vly_mqtt_get_stats(const vly_mqtt *m);

/* "mqtts://broker:8883" as its parts; host: at most 255 bytes, with a NUL. EINVAL. */
vly_status vly_mqtt_parse_url(vly_str url, char host[256], int *ret_port, bool *ret_is_tls,
                              vly_err *err) VLY_MUST_CHECK;

#endif

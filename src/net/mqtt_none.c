/* SPDX-License-Identifier: MIT */
/* The client of a build without libmosquitto. */
#include "net/mqtt.h"

#include "base/assert.h"

vly_status vly_mqtt_new(const vly_mqtt_opts *opts, vly_mqtt **ret, vly_err *err)
{
    (void)opts;
    (void)ret;
    return vly_fail(err, VLY_EUNSUPPORTED, "this build has no MQTT: it lacks libmosquitto");
}

vly_status vly_mqtt_start(vly_mqtt *m, vly_err *err)
{
    (void)m;
    return vly_fail(err, VLY_EUNSUPPORTED, "this build has no MQTT");
}

void vly_mqtt_free(vly_mqtt *m)
{
    VLY_ASSERT(m == NULL);
}

bool vly_mqtt_publish(vly_mqtt *m, vly_str topic, vly_str payload)
{
    (void)m;
    (void)topic;
    (void)payload;
    return false;
}

const vly_mqtt_stats *vly_mqtt_get_stats(const vly_mqtt *m)
{
    (void)m;
    return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "net/mqtt.h"
#include "unit.h"

#include <string.h>

static void reads_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        int port;
        bool is_tls;
    } rows[] = {
        {"mqtt://broker", "broker", 1883, false},
        {"mqtt://127.0.0.1:1", "127.0.0.1", 1, false},
        {"mqtts://broker.example", "broker.example", 8883, true},
        {"mqtts://[::1]:65535", "::1", 65535, true},
        {"mqtt://[fe80::1%25eth0]", "fe80::1%25eth0", 1883, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char host[256];
        int port;
        bool is_tls;
        vly_err err;
        if (vly_mqtt_parse_url(vly_str_from(rows[i].url), host, &port, &is_tls, &err) != VLY_OK)
            fail_msg("%s", err.msg);
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
        assert_int_equal(is_tls, rows[i].is_tls);
    }
}

static void refuses_others(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",          "broker",      "http://broker",  "mqtt://",          "mqtt://:1883",
        "mqtt://b:", "mqtt://b:0",  "mqtt://b:65536", "mqtt://b:1x",      "mqtt://b/topic",
        "mqtts://",  "mqtt://[::1", "mqtt://[]:1883", "mqtt://[::1]1883", "mqtt://u:p@b",
    };
    char host[256], long_url[400];
    int port = 7;
    bool is_tls;
    vly_err err;

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        if (vly_mqtt_parse_url(vly_str_from(urls[i]), host, &port, &is_tls, &err) != VLY_EINVAL)
            fail_msg("'%s'", urls[i]);
    }
    assert_int_equal(port, 7);
    assert_string_equal(err.msg, "a user belongs into mqtt.user, not into the URL");
    memset(long_url, 'a', sizeof(long_url));
    memcpy(long_url, "mqtt://", 7);
    assert_int_equal(vly_mqtt_parse_url((vly_str){long_url, 7 + 256}, host, &port, &is_tls, &err),
                     VLY_EINVAL);
    assert_int_equal(vly_mqtt_parse_url((vly_str){long_url, 7 + 255}, host, &port, &is_tls, &err),
                     VLY_OK);
    assert_int_equal(strlen(host), 255);
}

UNIT_TESTS(cmocka_unit_test(reads_urls), cmocka_unit_test(refuses_others))

/* SPDX-License-Identifier: MIT */
#include "sys/url.h"
#include "unit.h"

static void no_user_is_shown(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"http://host:4318/v1/traces", "http://host:4318/v1/traces"},
        {"http://me:pw@host/x", "http://***@host/x"},
        {"redis://:pw@host", "redis://***@host"},
        {"mqtt://host/a@b", "mqtt://***@b"}, /* it may be a password with a slash */
        {"http://me:s3/cr3t@host/v1?api-key=k", "http://***@host/v1?***"},
        {"http://host/v1?api-key=k@home", "http://***@home"},
        {"http://host/v1?api-key=k", "http://host/v1?***"},
        {"http://host/v1?", "http://host/v1?"},
        {"http://me:p?w@host?a?b", "http://***@host?***"},
        {"unix:/run/redis?db=2", "unix:/run/redis?db=2"},
        {"http://me:p@w@host", "http://***@host"},
        {"http://me:p?w#@host", "http://***@host"},
        {"me@host", "me@host"}, /* no URL at all */
        {"http://", "http://"},
        {"http://@", "http://***@"},
        {"", ""},
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(vly_url_public(cases[i].url, text, sizeof(text)), cases[i].shown);
    assert_string_equal(vly_url_public("http://me:pw@host", text, 9), "http://*");
}

UNIT_TESTS(cmocka_unit_test(no_user_is_shown))

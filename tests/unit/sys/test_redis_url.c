/* SPDX-License-Identifier: MIT */
#include "sys/redis_url.h"
#include "unit.h"

static vly_redis_url parsed(const char *text)
{
    vly_redis_url u;
    vly_err err = VLY_ERR_INIT;

    if (vly_redis_parse_url(vly_str_from(text), &u, &err) != VLY_OK)
        fail_msg("%s: %s", text, err.msg);
    return u;
}

static void urls_are_understood(void **state)
{
    (void)state;
    vly_redis_url u = parsed("redis://cache.example");
    assert_string_equal(u.host, "cache.example");
    assert_int_equal(u.port, 6379);
    assert_int_equal(u.db, 0);
    assert_string_equal(u.user, "");
    assert_string_equal(u.password, "");
    u = parsed("redis://ann:se%63ret%40@[::1]:7000/12");
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 7000);
    assert_int_equal(u.db, 12);
    assert_string_equal(u.user, "ann");
    assert_string_equal(u.password, "secret@");
    u = parsed("redis://:pass:word@h/");
    assert_string_equal(u.user, "");
    assert_string_equal(u.password, "pass:word");
    u = parsed("unix:/run/redis.sock?db=3");
    assert_string_equal(u.path, "/run/redis.sock");
    assert_int_equal(u.db, 3);
    u = parsed("unix://:pw@/run/re%20dis.sock");
    assert_string_equal(u.path, "/run/re dis.sock");
    assert_string_equal(u.password, "pw");
}

static void other_urls_are_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "redis",
                                      "redis://",
                                      "redis://:6379",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:",
                                      "redis://h:6379x",
                                      "redis://h/x",
                                      "redis://h/65536",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://:@h",
                                      "redis://user@h",
                                      "redis://:%4@h",
                                      "redis://:%00@h",
                                      "rediss://h",
                                      "unix:",
                                      "unix:/p?x=1",
                                      "unix:/p?db=",
                                      "http://h"};
    char path[5 + 108];
    vly_redis_url u;
    vly_err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (vly_redis_parse_url(vly_str_from(bad[i]), &u, &err) == VLY_OK)
            fail_msg("accepted: '%s'", bad[i]);
    memset(path, 'x', sizeof(path)); /* a socket's has at most 107 bytes */
    memcpy(path, "unix:", 5);
    assert_int_equal(vly_redis_parse_url((vly_str){path, 5 + 107}, &u, &err), VLY_OK);
    assert_int_equal(vly_redis_parse_url((vly_str){path, 5 + 108}, &u, &err), VLY_EINVAL);
    assert_int_not_equal(vly_redis_parse_url(VLY_STR("redis://:hidden@h:x"), &u, &err), VLY_OK);
    assert_null(strstr(err.msg, "hidden"));
}

UNIT_TESTS(cmocka_unit_test(urls_are_understood), cmocka_unit_test(other_urls_are_refused))

/* SPDX-License-Identifier: MIT */
/* What lies in Redis: values and their headers; and where Redis is: its URL. */
#include "cache/redis_url.h"
#include "cache/redis_value.h"
#include "unit.h"

static const vly_cache_key key = {.lo = 1, .hi = 2};

static size_t write_value(char *out)
{
    const vly_redis_value v = {.tags = {.ids = {7, 8}, .tokens = {70, 80}, .n = 2},
                               .meta = 3,
                               .stored_ms = 5,
                               .bytes = VLY_STR("some result")};

    return vly_redis_value_write(&v, key, out);
}

static void values_come_back(void **state)
{
    char raw[VLY_REDIS_HEADER_MAX + 16];
    vly_redis_value v;

    (void)state;
    size_t len = write_value(raw);
    assert_int_equal(len, 32 + 2 * 16 + 11);
    assert_memory_equal(raw, "VLYC\x01\x02\0\0\x03\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0", 24);
    assert_true(vly_redis_value_read((vly_str){raw, len}, key, &v));
    assert_true(vly_str_eq(v.bytes, VLY_STR("some result")));
    assert_int_equal(v.meta, 3);
    assert_int_equal(v.stored_ms, 5);
    assert_int_equal(v.tags.n, 2);
    assert_int_equal(v.tags.ids[1], 8);
    assert_int_equal(v.tags.tokens[1], 80);
}

static void every_bit_counts(void **state)
{
    char raw[VLY_REDIS_HEADER_MAX + 16];
    vly_redis_value v;

    (void)state;
    size_t len = write_value(raw);
    for (size_t bit = 0; bit < len * 8; bit++) {
        raw[bit / 8] = (char)(raw[bit / 8] ^ 1 << bit % 8);
        assert_false(vly_redis_value_read((vly_str){raw, len}, key, &v));
        raw[bit / 8] = (char)(raw[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t n = 0; n < len; n++)
        assert_false(vly_redis_value_read((vly_str){raw, n}, key, &v));
    assert_false(vly_redis_value_read((vly_str){raw, len + 1}, key, &v));
    assert_true(vly_redis_value_read((vly_str){raw, len}, key, &v));
}

static void values_belong_to_their_key(void **state)
{
    char raw[VLY_REDIS_HEADER_MAX + 16];
    vly_redis_value v;

    (void)state;
    size_t len = write_value(raw);
    assert_false(vly_redis_value_read((vly_str){raw, len}, (vly_cache_key){.lo = 3, .hi = 2}, &v));
    assert_false(vly_redis_value_read((vly_str){raw, len}, (vly_cache_key){.lo = 1, .hi = 3}, &v));
}

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

UNIT_TESTS(cmocka_unit_test(values_come_back), cmocka_unit_test(every_bit_counts),
           cmocka_unit_test(values_belong_to_their_key), cmocka_unit_test(urls_are_understood),
           cmocka_unit_test(other_urls_are_refused))

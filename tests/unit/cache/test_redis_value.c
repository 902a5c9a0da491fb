/* SPDX-License-Identifier: MIT */
/* What lies in Redis: values and their headers. */
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

UNIT_TESTS(cmocka_unit_test(values_come_back), cmocka_unit_test(every_bit_counts),
           cmocka_unit_test(values_belong_to_their_key))

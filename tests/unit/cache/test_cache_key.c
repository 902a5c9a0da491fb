/* SPDX-License-Identifier: MIT */
/*
 * Keys: equal for equal requests, different for all others.
 */
#include "base/assert.h"
#include "cache/cache_key.h"
#include "unit.h"

#include <stdlib.h>

static vly_cache_key key_of(const char *kind, const char *model, const char *version,
                            uint64_t stamp, const char *a, const char *b)
{
    vly_cache_hash h;

    vly_cache_hash_begin(&h, 7, kind, model, version, stamp);
    vly_cache_hash_str(&h, vly_str_from(a));
    vly_cache_hash_str(&h, vly_str_from(b));
    return vly_cache_hash_end(&h);
}

/* No part can take bytes from its neighbour, and each counts. */
static void parts_do_not_run_together(void **state)
{
    (void)state;
    const vly_cache_key keys[] = {
        key_of("tensors", "m", "1", 9, "ab", "c"), key_of("tensors", "m", "1", 9, "a", "bc"),
        key_of("tensors", "m", "1", 9, "abc", ""), key_of("tensors", "m", "1", 9, "", "abc"),
        key_of("tensors", "m1", "", 9, "ab", "c"), key_of("tensors", "", "m1", 9, "ab", "c"),
        key_of("tensorsm", "", "1", 9, "ab", "c"), key_of("tensors", "m", "1", 8, "ab", "c"),
        key_of("tensors", "m", "2", 9, "ab", "c"), key_of("drawn", "m", "1", 9, "ab", "c"),
    };

    for (size_t i = 0; i < VLY_COUNT(keys); i++)
        for (size_t j = 0; j < VLY_COUNT(keys); j++)
            assert_int_equal(vly_cache_key_eq(keys[i], keys[j]), i == j);
    assert_true(vly_cache_key_eq(keys[0], key_of("tensors", "m", "1", 9, "ab", "c")));
}

static void seed_counts(void **state)
{
    (void)state;
    vly_cache_hash a, b;

    vly_cache_hash_begin(&a, 1, "tensors", "m", "1", 0);
    vly_cache_hash_begin(&b, 2, "tensors", "m", "1", 0);
    assert_false(vly_cache_key_eq(vly_cache_hash_end(&a), vly_cache_hash_end(&b)));
    assert_int_not_equal(vly_cache_seed_of(VLY_STR("a")), vly_cache_seed_of(VLY_STR("b")));
}

/* Each bit of a picture counts, at any length, also where the hash changes its method. */
static void every_byte_counts(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 3, 8, 16, 17, 128, 129, 240, 241, 256, 1024, 4099};

    for (size_t i = 0; i < VLY_COUNT(lens); i++) {
        char *bytes = calloc(1, lens[i]);
        assert_non_null(bytes);
        vly_cache_hash h;
        vly_cache_hash_begin(&h, 7, "drawn", "m", "1", 1);
        vly_cache_hash_str(&h, (vly_str){bytes, lens[i]});
        vly_cache_key zero = vly_cache_hash_end(&h);
        for (size_t at = 0; at < lens[i]; at++) {
            bytes[at] = 1;
            vly_cache_hash_begin(&h, 7, "drawn", "m", "1", 1);
            vly_cache_hash_str(&h, (vly_str){bytes, lens[i]});
            assert_false(vly_cache_key_eq(zero, vly_cache_hash_end(&h)));
            bytes[at] = 0;
        }
        free(bytes);
    }
}

/* The parts as they lie behind each other, through the reference build of the same library. */
static void is_xxh3_of_the_parts(void **state)
{
    (void)state;
    char flat[8 + 7 + 8 + 1 + 8 + 1 + 8 + 8 + 1000], *at = flat;
    char data[1000];
    vly_cache_hash h;

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 31 + 5);
    const vly_str parts[] = {VLY_STR("tensors"), VLY_STR("m"), VLY_STR("1")};
    for (size_t i = 0; i < VLY_COUNT(parts); i++) {
        uint64_t len = parts[i].len;
        at = mempcpy(mempcpy(at, &len, 8), parts[i].ptr, parts[i].len);
    }
    at = mempcpy(at, &(uint64_t){42}, 8);
    at = mempcpy(mempcpy(at, &(uint64_t){sizeof(data)}, 8), data, sizeof(data));
    assert_int_equal(at - flat, sizeof(flat));
    XXH128_hash_t want = XXH3_128bits_withSeed(flat, sizeof(flat), 7);
    vly_cache_hash_begin(&h, 7, "tensors", "m", "1", 42);
    vly_cache_hash_str(&h, (vly_str){data, sizeof(data)});
    assert_true(vly_cache_key_eq(vly_cache_hash_end(&h), (vly_cache_key){want.low64, want.high64}));
}

UNIT_TESTS(cmocka_unit_test(parts_do_not_run_together), cmocka_unit_test(seed_counts),
           cmocka_unit_test(every_byte_counts), cmocka_unit_test(is_xxh3_of_the_parts))

/* SPDX-License-Identifier: MIT */
/* Values: compressed and back, and what shared tiers may bring. */
#include "base/assert.h"
#include "base/bits.h"
#include "base/rng.h"
#include "cache/cache_value.h"
#include "unit.h"

static vly_cache_value *value_of(size_t len, bool is_noise)
{
    vly_cache_value *v = vly_cache_value_new(len, 1234567);
    vly_rng rng;

    vly_rng_init(&rng, 3, 0);
    assert_non_null(v);
    for (size_t i = 0; i < len; i++)
        v->bytes[i] = is_noise ? (char)vly_rng_next(&rng) : (char)("observation"[i % 11]);
    return v;
}

static const vly_cache_packing packings[] = {VLY_CACHE_PACKING_LZ4, VLY_CACHE_PACKING_ZSTD};

static void packs_and_unpacks(void **state)
{
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(packings); i++) {
        vly_cache_value *v = value_of(100000, false);
        vly_cache_value *packed = vly_cache_value_pack(v, packings[i]);
        assert_non_null(packed);
        assert_true(packed->len < v->len / 10);
        assert_int_equal(packed->plain_len, v->len);
        assert_int_equal(packed->made_unix_ms, v->made_unix_ms);
        vly_cache_value *plain = vly_cache_value_unpack(packed);
        assert_non_null(plain);
        assert_int_equal(plain->len, v->len);
        assert_memory_equal(plain->bytes, v->bytes, v->len);
        vly_cache_value_unref(plain);
        vly_cache_value_unref(packed);
        vly_cache_value_unref(v);
    }
}

/* What does not shrink stays as it is. */
static void leaves_noise_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < VLY_COUNT(packings); i++) {
        static const size_t lens[] = {0, 1, 100, 65536};
        for (size_t k = 0; k < VLY_COUNT(lens); k++) {
            vly_cache_value *v = value_of(lens[k], true);
            assert_null(vly_cache_value_pack(v, packings[i]));
            assert_null(vly_cache_value_pack(v, VLY_CACHE_PACKING_OFF));
            vly_cache_value *same = vly_cache_value_unpack(v);
            assert_ptr_equal(same, v);
            vly_cache_value_unref(same);
            vly_cache_value_unref(v);
        }
    }
}

static void travels(void **state)
{
    (void)state;
    vly_cache_value *v = value_of(5000, false);
    vly_cache_value *packed = vly_cache_value_pack(v, VLY_CACHE_PACKING_LZ4);
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CACHE, 1 << 20);
    vly_cache_value_write(packed, &b);
    vly_cache_value *back = vly_cache_value_read(vly_buf_str(&b), packed->packing, 5000);
    assert_non_null(back);
    assert_int_equal(back->made_unix_ms, 1234567);
    vly_cache_value *plain = vly_cache_value_unpack(back);
    assert_non_null(plain);
    assert_memory_equal(plain->bytes, v->bytes, 5000);
    assert_int_equal(plain->len, 5000);
    vly_cache_value_unref(plain);
    vly_cache_value_unref(back);
    assert_null(vly_cache_value_read(vly_buf_str(&b), packed->packing, 4999)); /* too large */
    assert_null(vly_cache_value_read(vly_buf_str(&b), VLY_CACHE_PACKING_OFF, 5000));
    assert_null(vly_cache_value_read(vly_buf_str(&b), 3, 5000));
    for (size_t len = 0; len < 16; len++)
        assert_null(vly_cache_value_read((vly_str){b.ptr, len}, packed->packing, 5000));
    vly_buf_release(&b);
    vly_cache_value_unref(packed);
    vly_cache_value_unref(v);
}

/* Read but not what pack made: nothing comes out, and nothing is read or written beyond. */
static void nonsense_does_not_unpack(void **state)
{
    (void)state;
    char bytes[16 + 64];
    vly_rng rng;

    vly_rng_init(&rng, 5, 0);
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (char)vly_rng_next(&rng);
        vly_store_le64(bytes + 8, 300);
        uint32_t packing = 1 + (uint32_t)round % 2;
        vly_cache_value *v =
            vly_cache_value_read((vly_str){bytes, 16 + vly_rng_next(&rng) % 65}, packing, 1000);
        assert_non_null(v);
        vly_cache_value *plain = vly_cache_value_unpack(v);
        assert_true(plain == NULL || plain->len == 300);
        vly_cache_value_unref(plain);
        vly_cache_value_unref(v);
    }
}

/* Put down by hand from the two formats: literals and a match, a block of one byte repeated. */
static void unpacks_what_others_pack(void **state)
{
    (void)state;
    static const char lz4[] = "\0\0\0\0\0\0\0\0\317\0\0\0\0\0\0\0" /* 1 + 201 + 5 */
                              "\37a\1\0\266\120bcdef";
    static const char zstd[] = "\0\0\0\0\0\0\0\0\144\0\0\0\0\0\0\0" /* 100 */
                               "\50\265\57\375\40\144\43\3\0z";

    vly_cache_value *v = vly_cache_value_read((vly_str){lz4, sizeof(lz4) - 1}, 1, 1000);
    vly_cache_value *plain = vly_cache_value_unpack(v);
    assert_non_null(plain);
    assert_int_equal(plain->len, 207);
    for (size_t i = 0; i < 202; i++)
        assert_int_equal(plain->bytes[i], 'a');
    assert_memory_equal(plain->bytes + 202, "bcdef", 5);
    vly_cache_value_unref(plain);
    vly_cache_value_unref(v);
    v = vly_cache_value_read((vly_str){zstd, sizeof(zstd) - 1}, 2, 1000);
    plain = vly_cache_value_unpack(v);
    assert_non_null(plain);
    assert_int_equal(plain->len, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(plain->bytes[i], 'z');
    vly_cache_value_unref(plain);
    vly_cache_value_unref(v);
}

static void parses_names(void **state)
{
    (void)state;
    vly_cache_packing p;
    vly_err err;

    assert_int_equal(vly_cache_packing_parse(VLY_STR("zstd"), &p, &err), VLY_OK);
    assert_int_equal(p, VLY_CACHE_PACKING_ZSTD);
    assert_int_equal(vly_cache_packing_parse(VLY_STR("gzip"), &p, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "expected lz4, zstd or off, got 'gzip'");
}

UNIT_TESTS(cmocka_unit_test(packs_and_unpacks), cmocka_unit_test(leaves_noise_alone),
           cmocka_unit_test(travels), cmocka_unit_test(nonsense_does_not_unpack),
           cmocka_unit_test(unpacks_what_others_pack), cmocka_unit_test(parses_names))

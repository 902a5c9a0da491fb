/* SPDX-License-Identifier: MIT */
#include "base/map.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { N = 5000 };

static void sets_and_gets_many(void **state)
{
    (void)state;
    static char keys[N][16];
    static int values[N];
    vly_map m;
    vly_map_init(&m, VLY_MEM_BASE);
    assert_null(vly_map_get(&m, VLY_STR("x")));
    for (int i = 0; i < N; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
        assert_true(vly_map_set(&m, vly_str_from(keys[i]), &values[i]));
    }
    assert_int_equal(m.n_items, N);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(vly_map_get(&m, vly_str_from(keys[i])), &values[i]);
    assert_null(vly_map_get(&m, VLY_STR("key-5000")));
    assert_null(vly_map_get(&m, VLY_STR("key-")));

    assert_true(vly_map_set(&m, VLY_STR("key-7"), &values[8])); /* replaces */
    assert_int_equal(m.n_items, N);
    assert_ptr_equal(vly_map_get(&m, VLY_STR("key-7")), &values[8]);
    vly_map_release(&m);
    assert_null(vly_map_get(&m, VLY_STR("key-7")));
}

/* Keys that differ only in length, in zero bytes or behind the eighth byte are different keys. */
static void compares_whole_keys(void **state)
{
    (void)state;
    static const char zeros[32];
    static int values[32];
    vly_map m;
    vly_map_init(&m, VLY_MEM_BASE);
    for (size_t n = 0; n < 32; n++)
        assert_true(vly_map_set(&m, (vly_str){zeros, n}, &values[n]));
    assert_true(vly_map_set(&m, VLY_STR("12345678a"), &values[0]));
    assert_true(vly_map_set(&m, VLY_STR("12345678b"), &values[1]));
    for (size_t n = 0; n < 32; n++)
        assert_ptr_equal(vly_map_get(&m, (vly_str){zeros, n}), &values[n]);
    assert_ptr_equal(vly_map_get(&m, VLY_STR("12345678a")), &values[0]);
    assert_ptr_equal(vly_map_get(&m, VLY_STR("12345678b")), &values[1]);
    vly_map_release(&m);
}

static void allocation_failure_changes_nothing(void **state)
{
    (void)state;
    static int value;
    vly_map m;
    vly_map_init(&m, VLY_MEM_BASE);
    vly_mem_fail_after(0);
    assert_false(vly_map_set(&m, VLY_STR("a"), &value));
    vly_mem_fail_after(-1);
    assert_null(vly_map_get(&m, VLY_STR("a")));
    assert_true(vly_map_set(&m, VLY_STR("a"), &value));
    assert_ptr_equal(vly_map_get(&m, VLY_STR("a")), &value);
    vly_map_release(&m);
}

UNIT_TESTS(cmocka_unit_test(sets_and_gets_many), cmocka_unit_test(compares_whole_keys),
           cmocka_unit_test(allocation_failure_changes_nothing))

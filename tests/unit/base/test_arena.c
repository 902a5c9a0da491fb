/* SPDX-License-Identifier: MIT */
#include "base/arena.h"
#include "unit.h"

#include <string.h>

static void alloc_is_aligned_and_distinct(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 256, 1 << 20);
    char *prev = NULL;
    for (size_t i = 1; i < 200; i++) {
        char *p = vly_arena_alloc(&a, i);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, (int)i, i);
        if (prev != NULL)
            assert_int_equal(prev[i - 2], (char)(i - 1)); /* the new one has not overwritten it */
        prev = p;
    }
    vly_arena_release(&a);
}

static void budget_bounds_all_blocks(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 1024, 4096);
    size_t got = 0;
    while (vly_arena_alloc(&a, 100) != NULL)
        got += 100;
    assert_in_range(got, 2000, 4096);
    assert_true(a.used_bytes <= 4096);
    assert_null(vly_arena_alloc(&a, 8192));
    assert_int_equal(vly_arena_fail(&a, NULL), VLY_ELIMIT);
    assert_null(vly_arena_alloc(&a, SIZE_MAX));
    assert_null(vly_arena_alloc(&a, SIZE_MAX - 8));
    assert_null(vly_arena_calloc(&a, SIZE_MAX / 2, 3));

    vly_arena_reset(&a);
    assert_non_null(vly_arena_alloc(&a, 100)); /* the budget is there again */
    vly_arena_release(&a);
}

static void reset_keeps_the_first_block(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 1024, 1 << 20);
    assert_non_null(vly_arena_alloc(&a, 512));
    vly_arena_reset(&a);
    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 1000; i++) {
        assert_non_null(vly_arena_alloc(&a, 512));
        vly_arena_reset(&a);
    }
    assert_int_equal(vly_mem_count_all(), before);
    vly_arena_release(&a);
}

static void large_request_gets_its_own_block(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 256, 1 << 20);
    char *small = vly_arena_alloc(&a, 16);
    char *large = vly_arena_alloc(&a, 100000);
    assert_non_null(small);
    assert_non_null(large);
    memset(large, 1, 100000);
    vly_arena_release(&a);
    vly_arena_release(&a); /* a released arena may be released again */
}

static void strings(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 256, 4096);
    assert_string_equal(vly_arena_strdup(&a, (vly_str){"abcdef", 3}), "abc");
    assert_string_equal(vly_arena_strdup(&a, (vly_str){NULL, 0}), "");
    assert_string_equal(vly_arena_printf(&a, "%s-%d", "x", 42), "x-42");
    char *zeros = vly_arena_calloc(&a, 10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    assert_null(vly_arena_printf(&a, "%5000d", 1)); /* past the budget */
    vly_arena_release(&a);
}

static void allocation_failure_is_null(void **state)
{
    (void)state;
    vly_arena a;
    vly_arena_init(&a, VLY_MEM_ARENA, 256, 4096);
    vly_mem_fail_after(0);
    assert_null(vly_arena_alloc(&a, 16));
    assert_int_equal(vly_arena_fail(&a, NULL), VLY_ENOMEM);
    vly_mem_fail_after(-1);
    assert_non_null(vly_arena_alloc(&a, 16));
    vly_arena_release(&a);
}

UNIT_TESTS(cmocka_unit_test(alloc_is_aligned_and_distinct),
           cmocka_unit_test(budget_bounds_all_blocks),
           cmocka_unit_test(reset_keeps_the_first_block),
           cmocka_unit_test(large_request_gets_its_own_block), cmocka_unit_test(strings),
           cmocka_unit_test(allocation_failure_is_null))

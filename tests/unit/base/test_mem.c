/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "unit.h"

#include <string.h>

static void counts_by_kind(void **state)
{
    (void)state;
    uint64_t model = vly_mem_count(VLY_MEM_MODEL);
    uint64_t all = vly_mem_count_all();
    void *a = vly_alloc(VLY_MEM_MODEL, 10);
    void *b = vly_calloc(VLY_MEM_TENSOR, 2, 5);
    assert_int_equal(vly_mem_count(VLY_MEM_MODEL) - model, 1);
    assert_int_equal(vly_mem_count_all() - all, 2);
    vly_free(a);
    vly_free(b);
    vly_free(NULL);
    assert_string_equal(vly_mem_kind_name(VLY_MEM_MODEL), "MODEL");
}

static void sizes_at_the_edges(void **state)
{
    (void)state;
    void *zero = vly_alloc(VLY_MEM_BASE, 0);
    assert_non_null(zero);
    vly_free(zero);
    size_t huge = SIZE_MAX;
    assert_null(vly_alloc_aligned(VLY_MEM_BASE, huge));
    assert_null(vly_calloc(VLY_MEM_BASE, huge, 2));
    for (size_t n = 0; n < 200; n += 13) {
        char *p = vly_alloc_aligned(VLY_MEM_BASE, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        memset(p, 1, n);
        vly_free(p);
    }
    char *copy = vly_strndup(VLY_MEM_BASE, "abc", 2);
    assert_string_equal(copy, "ab");
    vly_free(copy);
    copy = vly_strndup(VLY_MEM_BASE, NULL, 0);
    assert_string_equal(copy, "");
    vly_free(copy);
}

static void nth_allocation_fails(void **state)
{
    (void)state;
    vly_mem_fail_after(2);
    void *a = vly_alloc(VLY_MEM_BASE, 1);
    void *b = vly_alloc_aligned(VLY_MEM_BASE, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(vly_alloc(VLY_MEM_BASE, 1));
    assert_null(vly_calloc(VLY_MEM_BASE, 1, 1));
    assert_null(vly_alloc_aligned(VLY_MEM_BASE, 1));
    assert_null(vly_strndup(VLY_MEM_BASE, "x", 1));
    assert_null(vly_realloc(VLY_MEM_BASE, a, 100)); /* a stays valid */
    vly_mem_fail_after(-1);
    a = vly_realloc(VLY_MEM_BASE, a, 100);
    assert_non_null(a);
    vly_free(a);
    vly_free(b);
}

static void checked_sizes(void **state)
{
    (void)state;
    size_t r = 7;
    assert_true(vly_size_add(SIZE_MAX - 1, 1, &r));
    assert_true(r == SIZE_MAX);
    r = 7;
    assert_false(vly_size_add(SIZE_MAX, 1, &r));
    assert_false(vly_size_mul((SIZE_MAX >> 1) + 1, 2, &r));
    assert_int_equal(r, 7); /* untouched */
    assert_true(vly_size_mul(3, 5, &r));
    assert_int_equal(r, 15);
    assert_int_equal(vly_align_up(0, 64), 0);
    assert_int_equal(vly_align_up(1, 64), 64);
    assert_int_equal(vly_align_up(64, 64), 64);
    const unsigned char bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    assert_true(vly_load_le32(bytes + 1) == 0x04030201);
    assert_true(vly_load_le64(bytes + 1) == UINT64_C(0x0807060504030201));
    assert_true(vly_load_be32(bytes + 1) == 0x01020304);
}

static void pool_reuses_up_to_its_limit(void **state)
{
    (void)state;
    vly_pool p;
    void *objects[4];
    vly_pool_init(&p, VLY_MEM_BASE, 100, 2);
    for (int i = 0; i < 4; i++) {
        objects[i] = vly_pool_take(&p);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 64, 0);
        memset(objects[i], i, 100);
    }
    for (int i = 0; i < 4; i++)
        vly_pool_put(&p, objects[i]);
    vly_pool_put(&p, NULL);
    size_t kept = p.n_free; /* 2, or 0 under AddressSanitizer */
    assert_true(kept == 2 || p.max_free == 0);

    uint64_t before = vly_mem_count_all();
    for (int i = 0; i < 3; i++)
        objects[i] = vly_pool_take(&p);
    assert_int_equal(vly_mem_count_all() - before, 3 - kept);
    vly_mem_fail_after(0);
    assert_null(vly_pool_take(&p));
    vly_mem_fail_after(-1);
    for (int i = 0; i < 3; i++)
        vly_pool_put(&p, objects[i]);
    vly_pool_release(&p);
}

UNIT_TESTS(cmocka_unit_test(counts_by_kind), cmocka_unit_test(sizes_at_the_edges),
           cmocka_unit_test(nth_allocation_fails), cmocka_unit_test(checked_sizes),
           cmocka_unit_test(pool_reuses_up_to_its_limit))

/* SPDX-License-Identifier: MIT */
#include "codec/json_budget.h"

#include "base/assert.h"
#include "unit.h"

static void memory_is_counted(void **state)
{
    (void)state;
    vly_json_budget b = {.left = 100};
    yyjson_alc alc = vly_json_budget_alc(&b);
    void *p = alc.malloc(alc.ctx, 60);

    assert_non_null(p);
    assert_null(alc.malloc(alc.ctx, 41));
    assert_true(b.is_spent);
    p = alc.realloc(alc.ctx, p, 60, 90);
    assert_non_null(p);
    assert_null(alc.realloc(alc.ctx, p, 90, 101));
    p = alc.realloc(alc.ctx, p, 90, 10); /* what shrinks does not count back */
    assert_null(alc.malloc(alc.ctx, 11));
    void *q = alc.malloc(alc.ctx, 10);
    assert_non_null(q);
    assert_int_equal(b.left, 0);
    alc.free(alc.ctx, p);
    alc.free(alc.ctx, q);
}

static void depth_is_that_of_brackets_outside_strings(void **state)
{
    (void)state;
    static const struct {
        vly_str json;
        size_t depth;
    } rows[] = {
        {VLY_STR(""), 0},
        {VLY_STR("7"), 0},
        {VLY_STR("[]"), 1},
        {VLY_STR("[[],{}]"), 2},
        {VLY_STR("{\"[[\":[1]}"), 2},
        {VLY_STR("[\"\\\"[[\",[]]"), 2},
        {VLY_STR("]]]["), 1},
        {VLY_STR("[\"[[["), 1},
        {VLY_STR("[\"\\"), 1},
    };

    for (size_t i = 0; i < VLY_COUNT(rows); i++) {
        assert_false(vly_json_is_deeper(rows[i].json, rows[i].depth));
        if (rows[i].depth > 0)
            assert_true(vly_json_is_deeper(rows[i].json, rows[i].depth - 1));
    }
}

UNIT_TESTS(cmocka_unit_test(memory_is_counted),
           cmocka_unit_test(depth_is_that_of_brackets_outside_strings))

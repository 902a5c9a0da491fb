/* SPDX-License-Identifier: MIT */
/*
 * Settings of routes, as bodies of requests and as a file: what is read is within its bounds, and
 * reads back as the same when it is written; promoting and rolling back keeps it valid. And lines
 * of the log of shadows.
 */
#include "base/assert.h"
#include "sched/model_routes_line.h"
#include "sched/model_routes_spec.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define ARENA_BUDGET ((size_t)1 << 24)

static void print(const vly_route_spec *s, vly_buf *b)
{
    vly_buf_init(b, VLY_MEM_SCHED, SIZE_MAX);
    vly_buf_putc(b, '{');
    vly_route_spec_put(b, s);
    vly_buf_putc(b, '}');
    VLY_ASSERT(!b->failed);
}

/* Bytes that are not UTF-8 do not come through the reader, so the first print is the same. */
static void check_again(const vly_route_spec *s, vly_arena *arena)
{
    vly_route_spec again;
    vly_buf first, second;

    print(s, &first);
    VLY_ASSERT(vly_route_spec_read(vly_buf_str(&first), (vly_str){NULL, 0}, arena, &again, NULL) ==
               VLY_OK);
    print(&again, &second);
    VLY_ASSERT(vly_str_eq(vly_buf_str(&first), vly_buf_str(&second)));
    vly_buf_release(&first);
    vly_buf_release(&second);
}

static void check_changes(const vly_route_spec *s, vly_arena *arena)
{
    for (size_t i = 0; i < s->n_arms; i++) {
        vly_route_spec changed = *s;
        double share = vly_route_spec_share(s, i);
        VLY_ASSERT(share >= 0 && share <= 1);
        vly_route_spec_promote(&changed, i, 0.25);
        check_again(&changed, arena);
        if (vly_route_spec_roll_back(&changed, i, VLY_ROUTE_ERRORS, "a \"reason\"", 1))
            check_again(&changed, arena);
    }
}

static void check(vly_str text, vly_str name)
{
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    vly_route_spec s;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, ARENA_BUDGET);
    vly_status st = vly_route_spec_read(text, name, &arena, &s, &err);
    VLY_ASSERT(st == err.status);
    if (st == VLY_OK) {
        VLY_ASSERT(s.n_arms > 0 && s.n_arms <= VLY_ROUTE_ARMS_MAX);
        check_again(&s, &arena);
        check_changes(&s, &arena);
    }
    vly_arena_release(&arena);
}

static void check_file(vly_str text)
{
    vly_route_spec *specs = NULL;
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    size_t n = 0;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, ARENA_BUDGET);
    vly_status st = vly_route_specs_read(text, 3, &arena, &specs, &n, &err);
    VLY_ASSERT(st == err.status && n <= 3);
    for (size_t i = 0; i < n; i++)
        check_again(&specs[i], &arena);
    vly_arena_release(&arena);
}

static void check_line(vly_str text)
{
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    vly_route_line l;

    vly_arena_init(&arena, VLY_MEM_SCHED, 4096, ARENA_BUDGET);
    vly_status st = vly_route_line_read(text, &arena, &l, &err);
    VLY_ASSERT(st == err.status);
    VLY_ASSERT(st != VLY_OK || (l.route != NULL && l.arm != NULL && l.shadow != NULL));
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str text = {(const char *)bytes, n};

    if (n > 1 << 16)
        return 0;
    check(text, (vly_str){NULL, 0});
    check(text, VLY_STR("a"));
    check_file(text);
    check_line(text);
    return 0;
}

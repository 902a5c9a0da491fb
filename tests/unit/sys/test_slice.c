/* SPDX-License-Identifier: MIT */
#include "sys/slice.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of sched_getattr(2). */
typedef struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} attributes;

typedef struct seen {
    attributes before, after;
    long status;
} seen;

static void *shorten(void *arg)
{
    seen *s = arg;

    s->status = syscall(SYS_sched_getattr, 0, &s->before, sizeof(s->before), 0);
    vly_slice_shorten();
    if (s->status == 0)
        s->status = syscall(SYS_sched_getattr, 0, &s->after, sizeof(s->after), 0);
    return NULL;
}

/* The slice becomes 0.1 ms where the kernel has slices; the nice value and the policy stay. */
static void slice_alone_changes(void **state)
{
    (void)state;
    seen s = {.status = -1};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, shorten, &s), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (s.status != 0 || s.before.policy != SCHED_OTHER || s.before.runtime == 0) {
        printf("# no slices here: not checked\n");
        skip();
    }
    assert_true(s.before.runtime > 100000);
    assert_int_equal(s.after.runtime, 100000);
    assert_int_equal(s.after.policy, s.before.policy);
    assert_int_equal(s.after.nice, s.before.nice);
}

UNIT_TESTS(cmocka_unit_test(slice_alone_changes))

/* SPDX-License-Identifier: MIT */
#include "sys/usage.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work_shows(void **state)
{
    (void)state;
    vly_usage before, after;

    vly_usage_read(&before);
    double begun = cpu_seconds();
    while (cpu_seconds() < begun + 0.2)
        ;
    vly_usage_read(&after);
    double used = after.process_cpu_seconds - before.process_cpu_seconds;
    assert_true(used >= 0.15 && used <= cpu_seconds());
    assert_true(after.machine_busy_ticks > before.machine_busy_ticks);
    assert_true(after.machine_all_ticks - before.machine_all_ticks >=
                after.machine_busy_ticks - before.machine_busy_ticks);
}

static void memory_shows(void **state)
{
    (void)state;
    enum { BYTES = 64 << 20 };
    vly_usage before, after;

    vly_usage_read(&before);
    char *block = malloc(BYTES);
    assert_non_null(block);
    memset(block, 1, BYTES);
    __asm__ volatile("" : : "r"(block) : "memory"); /* it is written, whoever reads it */
    vly_usage_read(&after);
    free(block);
    assert_true(after.process_resident_bytes >= before.process_resident_bytes + BYTES / 2);
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(after.machine_memory_bytes > machine / 2 &&
                after.machine_memory_bytes < machine + machine / 2);
    assert_true(after.machine_used_bytes > BYTES &&
                after.machine_used_bytes <= after.machine_memory_bytes);
}

UNIT_TESTS(cmocka_unit_test(work_shows), cmocka_unit_test(memory_shows))

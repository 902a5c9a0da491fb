/* SPDX-License-Identifier: MIT */
#include "sys/core_count.h"
#include "sys/file.h"
#include "sys/memory_limit.h"
#include "unit.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A false /sys/fs/cgroup, built from a table: each row one file. */
typedef struct cgroup_file {
    const char *path;
    const char *text;
} cgroup_file;

static char root[64];

static void make_parents(char *path)
{
    for (char *p = path + strlen(root) + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            mkdir(path, 0700);
            *p = '/';
        }
    }
}

static int remove_entry(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
    (void)sb;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* What limit says of it. */
static uint64_t ask(uint64_t (*limit)(const char *self, const char *mount), const char *self_cgroup,
                    const cgroup_file *files, size_t n_files)
{
    char path[256];

    snprintf(root, sizeof(root), "/tmp/volley-cgroup-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (size_t i = 0; i < n_files; i++) {
        snprintf(path, sizeof(path), "%s/%s", root, files[i].path);
        make_parents(path);
        assert_int_equal(vly_file_write(path, files[i].text, strlen(files[i].text), NULL), VLY_OK);
    }
    snprintf(path, sizeof(path), "%s/self", root);
    assert_int_equal(vly_file_write(path, self_cgroup, strlen(self_cgroup), NULL), VLY_OK);
    uint64_t answer = limit(path, root);
    assert_int_equal(nftw(root, remove_entry, 8, FTW_DEPTH), 0);
    return answer;
}

static uint64_t cores(const char *self, const char *mount)
{
    return vly_core_count_quota(self, mount);
}

#define ASK(limit, self, ...)                                                                      \
    ask(limit, self, (const cgroup_file[]){__VA_ARGS__},                                           \
        sizeof((const cgroup_file[]){__VA_ARGS__}) / sizeof(cgroup_file))
#define QUOTA(self, ...)  ASK(cores, self, __VA_ARGS__)
#define MEMORY(self, ...) ASK(vly_memory_limit_quota, self, __VA_ARGS__)

static void v2(void **state)
{
    (void)state;
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "200000 100000\n"}), 2);
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "150000 100000\n"}), 2);
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "10000 100000\n"}), 1);
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "max 100000\n"}), 0);
    assert_int_equal(QUOTA("0::/\n", {"other", ""}), 0);
}

static void v2_every_level_counts(void **state)
{
    (void)state;
    assert_int_equal(QUOTA("0::/pod/app\n", {"pod/app/cpu.max", "max 100000\n"},
                           {"pod/cpu.max", "300000 100000\n"}),
                     3);
    assert_int_equal(QUOTA("0::/pod/app\n", {"pod/app/cpu.max", "200000 100000\n"},
                           {"pod/cpu.max", "300000 100000\n"}),
                     2);
}

/* In a container the path is the host's, the mount shows the own group as root. */
static void v2_path_of_the_host(void **state)
{
    (void)state;
    assert_int_equal(QUOTA("0::/docker/0123\n", {"cpu.max", "400000 100000\n"}), 4);
}

static void v1(void **state)
{
    (void)state;
    assert_int_equal(QUOTA("5:memory:/x\n4:cpu,cpuacct:/app\n",
                           {"cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n"},
                           {"cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"}),
                     3);
    assert_int_equal(QUOTA("4:cpu,cpuacct:/app\n", {"cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n"},
                           {"cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"}),
                     0);
    assert_int_equal(QUOTA("4:cpuset:/app\n", {"cpuset/app/cpu.cfs_quota_us", "100000\n"},
                           {"cpuset/app/cpu.cfs_period_us", "100000\n"}),
                     0);
}

static void memory(void **state)
{
    (void)state;
    assert_int_equal(MEMORY("0::/\n", {"memory.max", "1073741824\n"}), 1073741824);
    assert_int_equal(MEMORY("0::/\n", {"memory.max", "max\n"}), 0);
    assert_int_equal(
        MEMORY("0::/pod/app\n", {"pod/app/memory.max", "3000\n"}, {"pod/memory.max", "2000\n"}),
        2000);
    assert_int_equal(MEMORY("4:memory:/app\n", {"memory/app/memory.limit_in_bytes", "500\n"}), 500);
    assert_int_equal(
        MEMORY("4:memory:/app\n", {"memory/app/memory.limit_in_bytes", "9223372036854771712\n"}),
        0);
    assert_int_equal(MEMORY("4:cpu:/app\n", {"cpu/app/memory.limit_in_bytes", "500\n"}), 0);
    assert_int_equal(MEMORY("0::/\n", {"memory.max", "lots\n"}), 0);
    assert_true(vly_memory_limit() > 0);
}

static void nonsense_is_no_quota(void **state)
{
    (void)state;
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "100000 0\n"}), 0);
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "-5 100000\n"}), 0);
    assert_int_equal(QUOTA("0::/\n", {"cpu.max", "\n"}), 0);
    assert_int_equal(QUOTA("no colons\n0\n::\n", {"cpu.max", "junk\n"}), 0);
    assert_int_equal(vly_core_count_quota("/nonexistent", "/nonexistent"), 0);
}

static void follows_affinity(void **state)
{
    cpu_set_t all, one;
    int cpu = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    assert_in_range(vly_core_count(), 1, (unsigned)CPU_COUNT(&all));
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    unsigned cores = vly_core_count();
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    assert_int_equal(cores, 1);
}

UNIT_TESTS(cmocka_unit_test(v2), cmocka_unit_test(v2_every_level_counts),
           cmocka_unit_test(v2_path_of_the_host), cmocka_unit_test(v1), cmocka_unit_test(memory),
           cmocka_unit_test(nonsense_is_no_quota), cmocka_unit_test(follows_affinity))

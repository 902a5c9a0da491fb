/* SPDX-License-Identifier: MIT */
#include "sys/core_count.h"

#include "sys/cgroup.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t cores_of(long long quota_us, long long period_us)
{
    return quota_us <= 0 || period_us <= 0 ? 0 : (uint64_t)((quota_us - 1) / period_us + 1);
}

/* Quota of one cgroup: "max 100000" or "150000 100000" in v2, two files in v1. 0: none. */
static uint64_t quota_at(const char *mount, const char *cgroup, bool is_v2)
{
    char line[128];
    long long quota, period;

    if (is_v2) {
        if (!vly_cgroup_line(mount, cgroup, "cpu.max", line, sizeof(line)) ||
            sscanf(line, "%lld %lld", &quota, &period) != 2)
            return 0;
        return cores_of(quota, period);
    }
    if (!vly_cgroup_line(mount, cgroup, "cpu.cfs_quota_us", line, sizeof(line)) ||
        sscanf(line, "%lld", &quota) != 1 ||
        !vly_cgroup_line(mount, cgroup, "cpu.cfs_period_us", line, sizeof(line)) ||
        sscanf(line, "%lld", &period) != 1)
        return 0;
    return cores_of(quota, period);
}

unsigned vly_core_count_quota(const char *cgroup_file, const char *cgroup_mount)
{
    uint64_t cores = vly_cgroup_least(cgroup_file, cgroup_mount, "cpu", quota_at);

    return cores > UINT_MAX ? 0 : (unsigned)cores;
}

unsigned vly_core_count(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned cores = online > 0 ? (unsigned)online : 1;

    /* Fails on machines with more than CPU_SETSIZE (1024) cores; the online count stands then. */
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && (unsigned)CPU_COUNT(&set) < cores)
        cores = (unsigned)CPU_COUNT(&set);
    unsigned quota = vly_core_count_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota != 0 && quota < cores)
        cores = quota;
    return cores > 0 ? cores : 1;
}

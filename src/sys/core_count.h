/* SPDX-License-Identifier: MIT */
/*
 * How many cores this process may use: the smallest of the online cores, the scheduler affinity and
 * the CPU quota of the cgroups it lives in (v2 cpu.max or v1 cfs_quota, each level up to the root),
 * a fraction rounded up. Never less than 1. Reads files: call it at start. Thread: any.
 */
#ifndef VLY_SYS_CORE_COUNT_H
#define VLY_SYS_CORE_COUNT_H

unsigned vly_core_count(void);

/* The quota alone, in cores rounded up; 0 when there is none. cgroup_file has the format of
 * /proc/self/cgroup; cgroup_mount stands for /sys/fs/cgroup. Apart for tests. */
unsigned vly_core_count_quota(const char *cgroup_file, const char *cgroup_mount);

#endif

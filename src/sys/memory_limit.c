/* SPDX-License-Identifier: MIT */
#include "sys/memory_limit.h"

#include "base/str.h"
#include "sys/cgroup.h"

#include <unistd.h>

/* A number of bytes; v2 writes "max" for none, v1 a number that no machine has. */
static uint64_t limit_at(const char *mount, const char *cgroup, bool is_v2)
{
    char line[128];
    uint64_t bytes;

    if (!vly_cgroup_line(mount, cgroup, is_v2 ? "memory.max" : "memory.limit_in_bytes", line,
                         sizeof(line)) ||
        !vly_str_to_u64(vly_str_trim(vly_str_from(line)), &bytes) || bytes >= INT64_MAX / 2)
        return 0;
    return bytes;
}

uint64_t vly_memory_limit_quota(const char *cgroup_file, const char *cgroup_mount)
{
    return vly_cgroup_least(cgroup_file, cgroup_mount, "memory", limit_at);
}

uint64_t vly_memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t machine = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    uint64_t quota = vly_memory_limit_quota("/proc/self/cgroup", "/sys/fs/cgroup");

    return quota != 0 && (machine == 0 || quota < machine) ? quota : machine;
}

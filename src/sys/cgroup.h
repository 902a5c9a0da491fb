/* SPDX-License-Identifier: MIT */
/* What the control groups of this process allow it. Reads files: for the start. Thread: any. */
#ifndef VLY_SYS_CGROUP_H
#define VLY_SYS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* A limit of one cgroup, whose directory is mount/cgroup; 0: it has none. */
typedef uint64_t (*vly_cgroup_limit_fn)(const char *mount, const char *cgroup, bool is_v2);

/* The least limit of the cgroups that the process is in, each level up to the root, of v2 and of
 * this controller of v1; 0: none. cgroup_file has the format of /proc/self/cgroup; mount stands for
 * /sys/fs/cgroup. */
uint64_t vly_cgroup_least(const char *cgroup_file, const char *mount, const char *controller,
                          vly_cgroup_limit_fn limit);

/* First line of mount/cgroup/file; false when it cannot be read. */
bool vly_cgroup_line(const char *mount, const char *cgroup, const char *file, char *line, int size);

#endif

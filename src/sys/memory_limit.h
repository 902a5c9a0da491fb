/* SPDX-License-Identifier: MIT */
/*
 * How much memory this process may use: the least of the machine's and of the limits of the cgroups
 * it lives in (v2 memory.max or v1 memory.limit_in_bytes, each level up to the root). Reads files:
 * call it at start. Thread: any.
 */
#ifndef VLY_SYS_MEMORY_LIMIT_H
#define VLY_SYS_MEMORY_LIMIT_H

#include <stdint.h>

uint64_t vly_memory_limit(void); /* in bytes; 0: not known */

/* The limit of the cgroups alone; 0: there is none. As vly_core_count_quota. Apart for tests. */
uint64_t vly_memory_limit_quota(const char *cgroup_file, const char *cgroup_mount);

#endif

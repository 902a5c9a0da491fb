/* SPDX-License-Identifier: MIT */
/*
 * What this process and the machine use of processors and memory, from files that the kernel makes
 * from memory. Takes some 100 us, more with hundreds of cores: not on a loop thread. Thread: any.
 */
#ifndef VLY_SYS_USAGE_H
#define VLY_SYS_USAGE_H

#include <stdint.h>

/* Since the start of each, but for the bytes. 0: not known. */
typedef struct vly_usage {
    double process_cpu_seconds;
    uint64_t process_resident_bytes, process_virtual_bytes;
    uint64_t process_open_fds, process_max_fds;
    uint64_t disk_read_bytes, disk_written_bytes;   /* of the process, past the page cache */
    uint64_t machine_busy_ticks, machine_all_ticks; /* of all cores */
    uint64_t machine_memory_bytes, machine_used_bytes;
} vly_usage;

void vly_usage_read(vly_usage *ret);
/* When the process was started, in seconds since 1970; 0: not known. By clocks that are adjusted:
 * ask once. */
double vly_usage_process_start(void);
/* The processors and the memory of the process alone, which takes some 10 us; 0 in the others. */
void vly_usage_read_process(vly_usage *ret);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * How long a thread runs before the kernel looks for another. Threads that answer want short
 * slices: one that wakes up then comes before others that compute, instead of when these have used
 * up theirs (Linux 6.12 and later; by default 0.7 ms and more by the number of
 * processors, 2.8 ms from 8 on).
 */
#ifndef VLY_SYS_SLICE_H
#define VLY_SYS_SLICE_H

/* The calling thread's slices become as short as they get, 0.1 ms. Its share of the processor stays
 * the same, so does everything on a kernel that knows no slices, and with a real-time policy. */
void vly_slice_shorten(void);

#endif

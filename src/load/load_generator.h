/* SPDX-License-Identifier: MIT */
/*
 * One thread of a run: its loop, its connections, its recorder. Private to load_run.c, which tells
 * it what to do, one segment after the other.
 *
 *     new -> opens -> done -> begin(segment) -> sends, waits for answers -> done -> begin ... free
 *
 * Each `done` adds one to the eventfd of the run. Thread: new, begin, stop and free on the run's;
 * the counters from any.
 */
#ifndef VLY_LOAD_LOAD_GENERATOR_H
#define VLY_LOAD_LOAD_GENERATOR_H

#include "load/load_run.h"

typedef struct vly_load_generator vly_load_generator;

/* Phases first .. first + n - 1 of the plan, from begin_ns on. */
typedef struct vly_load_segment {
    const vly_load_plan *plan;
    size_t first, n;
    vly_nsec begin_ns, duration_ns;
} vly_load_segment;

/* Starts the thread that is the index-th of the run, which connects. opts is borrowed. */
vly_status vly_load_generator_new(const vly_load_run_opts *opts, unsigned index, int done_fd,
                                  vly_load_generator **ret, vly_err *err) VLY_MUST_CHECK;
/* After the first `done`: whether connections could be made. */
vly_status vly_load_generator_opened(vly_load_generator *g, vly_err *err) VLY_MUST_CHECK;
void vly_load_generator_begin(vly_load_generator *g, const vly_load_segment *segment);
/* Sends no more; answers are waited for a little, and then forgotten. */
void vly_load_generator_stop(vly_load_generator *g);
void vly_load_generator_free(vly_load_generator *g); /* accepts NULL; not within a segment */

vly_load_recorder *vly_load_generator_recorder(vly_load_generator *g);
/* The most that were under way since the last call. */
size_t vly_load_generator_take_in_flight(vly_load_generator *g);
/* Not in a segment, both. Trouble: why the last connection could not be made; empty: all could. */
vly_load_counts vly_load_generator_sockets(const vly_load_generator *g);
const char *vly_load_generator_trouble(const vly_load_generator *g);

#endif

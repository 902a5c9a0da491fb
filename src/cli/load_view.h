/* SPDX-License-Identifier: MIT */
/*
 * A load as it goes on, on stderr: a block that is drawn again each second when stderr is a
 * terminal, a line each second when it is not. Owner: one thread.
 */
#ifndef VLY_CLI_LOAD_VIEW_H
#define VLY_CLI_LOAD_VIEW_H

#include "load/load_run.h"

#define VLY_LOAD_VIEW_POINTS 60

typedef struct vly_load_view {
    double duration_s; /* of the plan; 0: not known */
    bool is_terminal, is_drawn;
    double p99_ns[VLY_LOAD_VIEW_POINTS], rates[VLY_LOAD_VIEW_POINTS]; /* the latest last */
    size_t n;
} vly_load_view;

void vly_load_view_begin(vly_load_view *v, double duration_s);
void vly_load_view_show(vly_load_view *v, const vly_load_moment *m);
void vly_load_view_end(vly_load_view *v);

#endif

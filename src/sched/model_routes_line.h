/* SPDX-License-Identifier: MIT */
/* One line of the log of shadows (sched/model_routes_shadow.h), read back. Outside data. */
#ifndef VLY_SCHED_MODEL_ROUTES_LINE_H
#define VLY_SCHED_MODEL_ROUTES_LINE_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>

typedef enum vly_route_line_kind {
    VLY_ROUTE_LINE_ERROR, /* the shadow gave no answer */
    VLY_ROUTE_LINE_BOXES,
    VLY_ROUTE_LINE_CLASS,
    VLY_ROUTE_LINE_TENSORS,
} vly_route_line_kind;

typedef struct vly_route_line {
    vly_route_line_kind kind;
    const char *route, *arm, *shadow; /* in the arena */
    bool agrees;
    double arm_ms, shadow_ms;
    double n_arm, n_shadow, matched, mean_iou, mean_score_diff; /* boxes */
    double max_abs, cosine;                                     /* tensors */
} vly_route_line;

/* EINVAL: it is none; ELIMIT. Numbers that are missing are 0. */
vly_status vly_route_line_read(vly_str line, vly_arena *arena, vly_route_line *ret,
                               vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/* How good steps are, as figures that people and programs read. */
#ifndef VLY_CLI_STEP_FIGURES_H
#define VLY_CLI_STEP_FIGURES_H

#include "base/buf.h"
#include "tasks/steps/step_score.h"

/* All of them doubles, so that means can be taken of all alike. */
typedef struct vly_step_figures {
    double n_true, n_found;
    double f1[2][VLY_STEP_TOLERANCES];
    double count_error, bias; /* shares of the true steps */
    double false_per_minute;  /* of standing */
    double standing_s;
    double delay_p50, delay_p95, delay_max; /* ms */
    double
        late; /* share of the events that were known later than delay_ms; no member of the JSON */
    double offset_ms[2];
} vly_step_figures;

#define VLY_STEP_FIGURES_N (sizeof(vly_step_figures) / sizeof(double))

/* delay_ms: what the detector takes; of an event that is later, the end of the step told. */
vly_step_figures vly_step_figures_of(const vly_step_score *s, size_t delay_ms);
/* "true" to "offset_ms": members of an object, without its braces. */
void vly_step_figures_json(vly_buf *b, const vly_step_figures *f);

#endif

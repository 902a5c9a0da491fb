/* SPDX-License-Identifier: MIT */
/*
 * What a training has to tell: the table of persons left out, the model card, learning curves.
 * Markdown, which a terminal shows as well as a page.
 */
#ifndef VLY_TRAIN_STEP_REPORT_H
#define VLY_TRAIN_STEP_REPORT_H

#include "base/buf.h"
#include "train/checkpoint.h"
#include "train/steps/step_cross.h"

/* Columns of a row of the history (train/checkpoint.h). */
enum {
    VLY_STEP_CURVE_EVENTS, /* losses */
    VLY_STEP_CURVE_ACTIVITY,
    VLY_STEP_CURVE_RATE,
    VLY_STEP_CURVE_F1_50, /* mean of start and end, of who was left out; else of who is learned
                             from; NaN: not measured after this epoch */
    VLY_STEP_CURVE_F1_100,
};

typedef struct vly_step_report {
    const vly_step_origin *origin;
    const vly_step_tracks *tracks;
    uint64_t persons; /* bit i: the person i was learned from */
    const vly_step_fit_opts *opts;
    size_t n_params;
    const vly_step_cross *cross; /* NULL: was not run */
    const vly_train_history *history;
    const char *judged; /* whom the curves of F1 speak of */
} vly_step_report;

void vly_step_report_row(const char *name, const vly_step_score *s, vly_buf *out);
/* The table with its head: a row for each person, the mean, all pooled. */
void vly_step_report_table(const vly_step_tracks *tracks, const vly_step_cross *cross,
                           vly_buf *out);
void vly_step_report_card(const vly_step_report *r, vly_buf *out);
vly_status vly_step_report_curves(const vly_step_report *r, vly_buf *out,
                                  vly_err *err) VLY_MUST_CHECK;

#endif

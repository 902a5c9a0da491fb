/* SPDX-License-Identifier: MIT */
/*
 * Service level objectives, as text and against figures:
 *
 *     p99<50ms  p99.9<=100ms  mean<5ms  max<1s     latency from when requests were due
 *     errors<0.1%  errors<=0.001                   share of all requests
 *     rate>=1000                                   successes a second
 *
 * A latency objective is over all requests: one that was refused, failed, timed out, or was never
 * sent, counts as slower than any that was answered well, and makes a mean infinite.
 */
#ifndef VLY_LOAD_SLO_H
#define VLY_LOAD_SLO_H

#include "load/recorder.h"

#define VLY_LOAD_SLOS_MAX 16

typedef enum vly_load_slo_kind {
    VLY_LOAD_SLO_QUANTILE,
    VLY_LOAD_SLO_MEAN,
    VLY_LOAD_SLO_ERRORS,
    VLY_LOAD_SLO_RATE,
} vly_load_slo_kind;

typedef struct vly_load_slo {
    vly_str text; /* borrowed */
    vly_load_slo_kind kind;
    double quantile;
    bool is_above;    /* the figure must be above the limit, not below */
    bool takes_limit; /* or equal to it */
    double limit;     /* ns, share, or requests a second */
} vly_load_slo;

/* EINVAL: none of the forms above. */
vly_status vly_load_slo_parse(vly_str text, vly_load_slo *ret, vly_err *err) VLY_MUST_CHECK;

/* Whether it is kept; *ret_figure: what was measured, in the unit of the limit; a latency that is
 * one of a request not answered well: infinity. */
bool vly_load_slo_check(const vly_load_slo *slo, const vly_load_tally *tally, double ok_per_s,
                        double *ret_figure);

#endif

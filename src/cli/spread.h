/* SPDX-License-Identifier: MIT */
/* Repeated measurements in three numbers. */
#ifndef VLY_CLI_SPREAD_H
#define VLY_CLI_SPREAD_H

#include "base/buf.h"

#include <stddef.h>

typedef struct vly_spread {
    double min, median, p95;
} vly_spread;

/* values: [n], n >= 1; sorts them. Quantiles are values measured: those of the nearest rank. */
vly_spread vly_spread_of(double *values, size_t n);

/* {"min":...,"median":...,"p95":...} */
void vly_spread_json(vly_buf *out, vly_spread s);

#endif

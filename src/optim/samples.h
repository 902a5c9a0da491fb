/* SPDX-License-Identifier: MIT */
/*
 * What a model is observed on: real inputs, from wherever the caller has them (pictures through
 * the model's own preparation, windows of sensor data). Nothing here ever makes inputs up.
 */
#ifndef VLY_OPTIM_SAMPLES_H
#define VLY_OPTIM_SAMPLES_H

#include "base/status.h"
#include "tensor/tensor.h"

#include <stddef.h>

struct vly_worker_pool;

typedef struct vly_samples {
    size_t n; /* > 0 */
    /* Input tensors of sample i, in the model's order; each a new reference for the caller to
     * release. May be called for the same i again: the tensors are the same then. */
    vly_status (*get)(void *arg, size_t i, vly_tensor *inputs, vly_err *err);
    /* Optional: one of `total` steps of what is being done, for a progress bar. */
    void (*progress)(void *arg, const char *what, size_t done, size_t total);
    void *arg;
    struct vly_worker_pool *pool; /* cores to run on; may be NULL */
} vly_samples;

#endif

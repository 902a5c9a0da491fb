/* SPDX-License-Identifier: MIT */
/*
 * Warm-up: a model runs before it serves, so that the first client does not pay for packing its
 * weights and planning its shapes.
 *
 * With model_warmup in the configuration these samples run, count times each; else one of zeros,
 * with 1 for the batch, when everything but the first dimension is known.
 */
#ifndef VLY_SCHED_WARMUP_H
#define VLY_SCHED_WARMUP_H

#include "sched/servable.h"
#include "sys/worker_pool.h"

/* Blocking. Fails when a sample of the configuration does not fit the model or cannot be run. */
vly_status vly_warmup(const vly_servable *s, vly_worker_pool *pool, vly_err *err) VLY_MUST_CHECK;

#endif

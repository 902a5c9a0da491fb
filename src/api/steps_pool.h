/* SPDX-License-Identifier: MIT */
/*
 * What finding the steps of whole recordings needs on the workers: batchers, one for each that is
 * at work, made when first needed and kept; and a bound on the recordings that wait.
 *
 * Thread: any.
 */
#ifndef VLY_API_STEPS_POOL_H
#define VLY_API_STEPS_POOL_H

#include "tasks/steps/step_stream.h"

typedef struct vly_steps_pool vly_steps_pool;

/* References the model. max_at_once: recordings that wait or are in work; max_kept: batchers that
 * are kept for later. */
vly_status vly_steps_pool_new(vly_step_model *m, size_t max_at_once, size_t max_kept,
                              vly_steps_pool **ret, vly_err *err) VLY_MUST_CHECK;
void vly_steps_pool_free(vly_steps_pool *p); /* nobody is in it. Accepts NULL */

/* EBUSY: too many recordings wait. Each enter is followed by a leave. */
vly_status vly_steps_pool_enter(vly_steps_pool *p, vly_err *err) VLY_MUST_CHECK;
void vly_steps_pool_leave(vly_steps_pool *p);

/* A batcher of the pool's model, to be given back. Errors: of vly_step_batcher_new. */
vly_status vly_steps_pool_take(vly_steps_pool *p, vly_step_batcher **ret,
                               vly_err *err) VLY_MUST_CHECK;
void vly_steps_pool_give(vly_steps_pool *p, vly_step_batcher *b); /* accepts NULL */

#endif

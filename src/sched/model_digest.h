/* SPDX-License-Identifier: MIT */
/*
 * What a model is made of, as one number: the bytes that it was loaded from, wherever they lay, so
 * that servers with copies of the same files agree. Private to the scheduler.
 */
#ifndef VLY_SCHED_MODEL_DIGEST_H
#define VLY_SCHED_MODEL_DIGEST_H

#include "sched/servable.h"

/* Of its configuration, model file and external data, as they are in memory; never 0. Takes some
 * 0.2 s a gigabyte; thread: the loader. */
uint64_t vly_model_digest(const vly_servable *s);

#endif

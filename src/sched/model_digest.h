/* SPDX-License-Identifier: MIT */
/*
 * What a model is made of, as one number: the bytes of its files by their names, wherever they lie,
 * so that servers with copies of the same files agree. Private to the scheduler.
 */
#ifndef VLY_SCHED_MODEL_DIGEST_H
#define VLY_SCHED_MODEL_DIGEST_H

#include "sched/repository.h"

/* Reads every file of the version and of the model's directory; blocks. 0: there is no telling, a
 * file cannot be read or is larger than max_file_bytes, or a request stands in for the files. */
uint64_t vly_model_digest(const vly_repository_entry *e, size_t max_file_bytes);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Triton's classification extension: instead of a tensor, the k highest values of it (of each row,
 * if the model batches) as BYTES "value:index" or "value:index:label". Thread: any.
 */
#ifndef VLY_API_V2_CLASSIFY_H
#define VLY_API_V2_CLASSIFY_H

#include "base/arena.h"
#include "tasks/labels.h"
#include "tensor/tensor.h"

/* Fewer classes than k: all of them. Equal values stand in order of index, NaN last. *ret is for
 * the caller to release and borrows its texts from arena. EINVAL: not a tensor of numbers; ELIMIT:
 * the arena is full; ENOMEM. */
vly_status vly_v2_classify(const vly_tensor *t, bool is_batched, uint64_t k,
                           const vly_labels *labels, vly_arena *arena, vly_tensor *ret,
                           vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A training that can be gone on with: all floats of a trainer's state, its step and plateau, and
 * the figures of the epochs so far, as bytes. A training that was stopped and gone on with gives
 * the same numbers to the bit as one that was not.
 *
 *     "VLYTRN01"  purpose (8)  step (8)  best, scale (8 each)  n_bad (4)  n_epochs (4)  n_floats
 * (8) figures [n_epochs, VLY_TRAIN_FIGURES] float32   floats [n_floats] float32   sum (8)
 *
 * little-endian. purpose tells what is trained with what options and data (any 64-bit hash that the
 * caller makes); sum is FNV-1a over all before it. Thread: any.
 */
#ifndef VLY_TRAIN_CHECKPOINT_H
#define VLY_TRAIN_CHECKPOINT_H

#include "base/buf.h"
#include "train/trainer.h"

#define VLY_TRAIN_FIGURES    8
#define VLY_TRAIN_EPOCHS_MAX 100000

/* Figures of each epoch; what they mean is the caller's business. */
typedef struct vly_train_history {
    float (*rows)[VLY_TRAIN_FIGURES]; /* [cap] */
    size_t n, cap;
} vly_train_history;

/* Appends the bytes. ELIMIT: out is full. */
vly_status vly_checkpoint_write(const vly_trainer_state *s, uint64_t purpose,
                                const vly_train_history *history, vly_buf *out,
                                vly_err *err) VLY_MUST_CHECK;
/* Takes them back. Nothing is changed unless all is well. EFORMAT: no checkpoint, a damaged one,
 * or a parameter that is no number; EINVAL: of another training (purpose, sizes); ELIMIT: more
 * epochs than history has room for. Whether step goes with n_epochs is for the caller to check. */
vly_status vly_checkpoint_read(vly_str bytes, uint64_t purpose, vly_trainer_state *s,
                               vly_train_history *history, vly_err *err) VLY_MUST_CHECK;

#endif

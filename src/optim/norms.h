/* SPDX-License-Identifier: MIT */
/* BatchNormalization behind a Conv goes into the Conv's weights, where quantising and pruning see
 * it. */
#ifndef VLY_OPTIM_NORMS_H
#define VLY_OPTIM_NORMS_H

#include "optim/edit.h"

/* Folds where it can: weights are float32 constants, and only the norm reads the Conv. Others stay.
 * ret_n: how many were folded; may be NULL. */
vly_status vly_optim_fold_norms(vly_edit *e, size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

#endif

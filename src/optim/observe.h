/* SPDX-License-Identifier: MIT */
/*
 * Looks at values inside a model: a copy of it that puts them out is run on every sample.
 */
#ifndef VLY_OPTIM_OBSERVE_H
#define VLY_OPTIM_OBSERVE_H

#include "optim/edit.h"
#include "optim/samples.h"

/* values: [n] of sample i, borrowed until return. */
typedef vly_status (*vly_observe_fn)(void *arg, size_t sample, const vly_tensor *values,
                                     vly_err *err);

/* names: [n] values of e, all different, made by nodes or inputs of the graph; the nodes that none
 * of them needs are not run. what: names the work for the progress bar. Errors: as vly_edit_write,
 * vly_model_load_bytes, vly_instance_run, samples->get and fn. */
vly_status vly_observe(const vly_edit *e, const vly_str *names, size_t n,
                       const vly_samples *samples, const char *what, vly_observe_fn fn, void *arg,
                       vly_err *err) VLY_MUST_CHECK;

#endif

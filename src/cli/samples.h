/* SPDX-License-Identifier: MIT */
/*
 * A directory of real inputs for a model.
 *
 *   pictures   DIR or DIR/images: *.jpg, *.jpeg, *.png, *.webp, prepared exactly as `volley detect`
 *              does; for models that a picture task fits
 *   windows    DIR: *.npy whose shape is the model's input, or that and one dimension in front; and
 *              *.csv, whose rows of numbers fill the input one window after the other (as many
 *              columns as the input has channels; a header is skipped); for all others
 *
 * Large sets are thinned evenly. Owner: one thread.
 */
#ifndef VLY_CLI_SAMPLES_H
#define VLY_CLI_SAMPLES_H

#include "base/arena.h"
#include "cli/progress.h"
#include "optim/samples.h"
#include "sys/worker_pool.h"
#include "tasks/task.h"
#include "tasks/truth_set.h"

typedef struct vly_cli_samples {
    vly_samples base; /* hand this to optim; its arg is this struct */
    const vly_model_info *info;
    const vly_decoder *decoder;
    vly_truth_set truth; /* n_images 0: no labels in the directory */
    const char **paths;  /* pictures; truth image i is path i */
    vly_tensor *windows; /* or these */
    size_t n_windows, windows_cap;
    vly_letterbox letterbox;
    vly_letterbox_map map; /* of the picture last got */
    vly_worker_pool *pool;
    vly_arena arena;
    vly_buf file;
    vly_progress progress;
} vly_cli_samples;

/* info and decoder are borrowed. limit 0: all; threads 0: one for each core. ENOTFOUND: nothing
 * there that fits. Labels are read when the directory has them (tasks/truth_set.h). */
vly_status vly_cli_samples_open(vly_cli_samples *s, const char *dir, const vly_model_info *info,
                                const vly_decoder *decoder, int64_t limit, int64_t threads,
                                vly_err *err) VLY_MUST_CHECK;
void vly_cli_samples_close(vly_cli_samples *s); /* accepts a zeroed or half-opened one */
bool vly_cli_samples_are_pictures(const vly_cli_samples *s);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Progress of long work on stderr: a bar with the rest of the time when stderr is a terminal, a
 * line every ten per cent when it is not. Owner: one thread.
 */
#ifndef VLY_CLI_PROGRESS_H
#define VLY_CLI_PROGRESS_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_progress {
    const char *label; /* borrowed */
    size_t n_total, n_done;
    vly_nsec began, shown;
    bool is_terminal;
    int percent_shown;
} vly_progress;

void vly_progress_begin(vly_progress *p, const char *label, size_t n_total);
void vly_progress_step(vly_progress *p); /* one more is done */
void vly_progress_end(vly_progress *p);

#endif

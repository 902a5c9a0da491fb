/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 32

void vly_progress_begin(vly_progress *p, const char *label, size_t n_total)
{
    *p = (vly_progress){.label = label,
                        .n_total = n_total,
                        .began = vly_clock_now(),
                        .is_terminal = isatty(STDERR_FILENO) == 1};
}

static void draw_bar(const vly_progress *p, double done, double left_s)
{
    char bar[BAR_WIDTH + 1];
    size_t filled = (size_t)(done * BAR_WIDTH);

    memset(bar, '#', filled);
    memset(bar + filled, '.', BAR_WIDTH - filled);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %zu/%zu  %.0f s left ", p->label, bar, p->n_done, p->n_total,
            left_s);
    fflush(stderr);
}

void vly_progress_step(vly_progress *p)
{
    vly_nsec now = vly_clock_now();
    p->n_done++;
    double done = p->n_total > 0 ? (double)p->n_done / (double)p->n_total : 1;
    double left_s = (double)(now - p->began) / 1e9 * (1 - done) / done;

    if (p->is_terminal && (now - p->shown > 100 * VLY_NSEC_PER_MS || p->n_done == p->n_total)) {
        p->shown = now;
        draw_bar(p, done, left_s);
    } else if (!p->is_terminal && (int)(done * 10) * 10 > p->percent_shown) {
        p->percent_shown = (int)(done * 10) * 10;
        fprintf(stderr, "%s: %d %% (%zu/%zu), %.0f s left\n", p->label, p->percent_shown, p->n_done,
                p->n_total, left_s);
    }
}

void vly_progress_end(vly_progress *p)
{
    if (p->is_terminal)
        fprintf(stderr, "\r\033[K");
}

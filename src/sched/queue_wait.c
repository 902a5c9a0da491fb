/* SPDX-License-Identifier: MIT */
#include "sched/queue_wait.h"

#include <stdbool.h>

#define WEIGHT     8 /* the last sample counts for an eighth: some ten jobs follow a change */
#define SAMPLE_MAX 4 /* times the average: one stall is not the pace */

static void learn(vly_queue_wait *w, vly_nsec gap, bool was_left)
{
    vly_nsec max;

    if (!was_left) { /* they could have left as fast at least */
        if (gap < w->gap_ns)
            w->gap_ns -= (w->gap_ns - gap) / 2;
        return;
    }
    if (w->gap_ns == 0) {
        w->gap_ns = gap;
        return;
    }
    if (!__builtin_mul_overflow(w->gap_ns, (vly_nsec)SAMPLE_MAX, &max) && gap > max)
        gap = max;
    w->gap_ns = w->gap_ns - w->gap_ns / WEIGHT + gap / WEIGHT;
}

void vly_queue_wait_taken(vly_queue_wait *w, vly_nsec now, size_t n_taken, size_t n_left)
{
    if (n_taken == 0)
        return;
    if (w->taken_ns != 0 && now >= w->taken_ns)
        learn(w, (now - w->taken_ns) / n_taken, w->since_ns != 0);
    w->taken_ns = now;
    w->since_ns = n_left > 0 ? now : 0;
    w->n_taken = n_taken;
}

vly_nsec vly_queue_wait_behind(const vly_queue_wait *w, vly_nsec now, size_t n_ahead)
{
    bool is_going = w->since_ns != 0;
    vly_nsec batch = is_going ? w->n_taken : 1, each, wait;
    vly_nsec past = is_going && now > w->since_ns ? now - w->since_ns : 0;

    if (n_ahead == 0)
        return 0;
    if (__builtin_mul_overflow(w->gap_ns, batch, &each))
        return UINT64_MAX;
    if (past > each)
        each = past;
    /* Those before it, in batches as the last; and the one in which it leaves, when there is one to
     * wait for. */
    vly_nsec n_batches = n_ahead / batch + is_going;
    return __builtin_mul_overflow(each, n_batches, &wait) ? UINT64_MAX : wait - past;
}

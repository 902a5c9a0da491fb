/* SPDX-License-Identifier: MIT */
#include "sched/queue_wait.h"

#define WEIGHT 8 /* the last sample counts for an eighth: some ten jobs follow a change */

void vly_queue_wait_taken(vly_queue_wait *w, vly_nsec now, size_t n_taken, size_t n_left)
{
    if (n_taken == 0)
        return;
    if (w->since_ns != 0 && now >= w->since_ns) {
        vly_nsec gap = (now - w->since_ns) / n_taken;
        w->gap_ns = w->gap_ns == 0 ? gap : w->gap_ns - w->gap_ns / WEIGHT + gap / WEIGHT;
    }
    w->since_ns = n_left > 0 ? now : 0;
}

vly_nsec vly_queue_wait_behind(const vly_queue_wait *w, vly_nsec now, size_t n_ahead)
{
    vly_nsec gap = w->gap_ns, wait;

    if (n_ahead == 0)
        return 0;
    if (w->since_ns != 0 && now > w->since_ns && now - w->since_ns > gap)
        gap = now - w->since_ns;
    return __builtin_mul_overflow(gap, (vly_nsec)n_ahead, &wait) ? UINT64_MAX : wait;
}

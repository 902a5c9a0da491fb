/* SPDX-License-Identifier: MIT */
#include "api/metrics_window.h"

#include "base/mem.h"

#include <pthread.h>

struct vly_metrics_window {
    pthread_mutex_t lock;
    vly_metrics_sample older,
        newer; /* guarded by lock; newer becomes older when it is old enough */
};

vly_status vly_metrics_window_new(vly_nsec now, vly_metrics_window **ret, vly_err *err)
{
    vly_metrics_window *w = vly_calloc(VLY_MEM_NET, 1, sizeof(*w));

    if (w == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the window of metrics");
    pthread_mutex_init(&w->lock, NULL);
    w->older.at = w->newer.at = now;
    *ret = w;
    return VLY_OK;
}

void vly_metrics_window_free(vly_metrics_window *w)
{
    if (w == NULL)
        return;
    pthread_mutex_destroy(&w->lock);
    vly_free(w);
}

vly_metrics_sample vly_metrics_window_take(vly_metrics_window *w, const vly_metrics_sample *now)
{
    pthread_mutex_lock(&w->lock);
    if (now->at >= w->newer.at + VLY_METRICS_WINDOW_NS) {
        w->older = w->newer;
        w->newer = *now;
    }
    vly_metrics_sample since = w->older;
    pthread_mutex_unlock(&w->lock);
    return since;
}

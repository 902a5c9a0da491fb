/* SPDX-License-Identifier: MIT */
#include "api/steps_pool.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

struct vly_steps_pool {
    vly_step_model *model;
    size_t max_at_once, max_kept; /* immutable */
    _Atomic size_t n_inside;
    pthread_mutex_t lock;
    size_t n_kept;            /* guarded by lock, as the next */
    vly_step_batcher *kept[]; /* [max_kept] */
};

vly_status vly_steps_pool_new(vly_step_model *m, size_t max_at_once, size_t max_kept,
                              vly_steps_pool **ret, vly_err *err)
{
    vly_steps_pool *p = vly_calloc(VLY_MEM_NET, 1, sizeof(*p) + max_kept * sizeof(p->kept[0]));

    if (p == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the step detectors");
    p->model = vly_step_model_ref(m);
    p->max_at_once = max_at_once;
    p->max_kept = max_kept;
    pthread_mutex_init(&p->lock, NULL);
    *ret = p;
    return VLY_OK;
}

void vly_steps_pool_free(vly_steps_pool *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n_kept; i++)
        vly_step_batcher_free(p->kept[i]);
    pthread_mutex_destroy(&p->lock);
    vly_step_model_unref(p->model);
    vly_free(p);
}

vly_status vly_steps_pool_enter(vly_steps_pool *p, vly_err *err)
{
    if (atomic_fetch_add(&p->n_inside, 1) < p->max_at_once)
        return VLY_OK;
    vly_steps_pool_leave(p);
    return vly_fail(err, VLY_EBUSY, "%zu recordings are waiting already", p->max_at_once);
}

void vly_steps_pool_leave(vly_steps_pool *p)
{
    atomic_fetch_sub(&p->n_inside, 1);
}

vly_status vly_steps_pool_take(vly_steps_pool *p, vly_step_batcher **ret, vly_err *err)
{
    vly_step_batcher *b = NULL;

    pthread_mutex_lock(&p->lock);
    if (p->n_kept > 0)
        b = p->kept[--p->n_kept];
    pthread_mutex_unlock(&p->lock);
    if (b == NULL)
        return vly_step_batcher_new(p->model, ret, err);
    *ret = b;
    return VLY_OK;
}

void vly_steps_pool_give(vly_steps_pool *p, vly_step_batcher *b)
{
    pthread_mutex_lock(&p->lock);
    if (b != NULL && p->n_kept < p->max_kept) {
        p->kept[p->n_kept++] = b;
        b = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    vly_step_batcher_free(b);
}

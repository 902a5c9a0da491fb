/* SPDX-License-Identifier: MIT */
#include "sys/alarm.h"

#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

struct vly_alarms {
    pthread_mutex_t lock;
    pthread_cond_t is_sooner; /* there is an earlier alarm than before, or is_stopping */
    pthread_cond_t has_rung;
    vly_heap waiting;         /* guarded by lock, as are the next two */
    const vly_alarm *ringing; /* may have been freed by its ring: compared only */
    bool is_stopping;
    pthread_t thread; /* immutable */
};

/* ---- the thread ---- */

static void sleep_until(vly_alarms *s, vly_nsec at_ns)
{
    const struct timespec t = {.tv_sec = (time_t)(at_ns / VLY_NSEC_PER_SEC),
                               .tv_nsec = (long)(at_ns % VLY_NSEC_PER_SEC)};
    pthread_cond_timedwait(&s->is_sooner, &s->lock, &t);
}

static void ring_first(vly_alarms *s)
{
    vly_alarm *a = (vly_alarm *)s->waiting.first; /* the node is its first member */

    vly_heap_remove(&s->waiting, &a->node);
    s->ringing = a;
    pthread_mutex_unlock(&s->lock);
    a->ring(a);
    pthread_mutex_lock(&s->lock);
    s->ringing = NULL;
    pthread_cond_broadcast(&s->has_rung);
}

static void *alarms_main(void *arg)
{
    vly_alarms *s = arg;

    pthread_setname_np(pthread_self(), "volley-alarms");
    pthread_mutex_lock(&s->lock);
    while (!s->is_stopping) {
        if (s->waiting.first == NULL)
            pthread_cond_wait(&s->is_sooner, &s->lock);
        else if (s->waiting.first->at_ns > vly_clock_now())
            sleep_until(s, s->waiting.first->at_ns);
        else
            ring_first(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

vly_status vly_alarms_new(vly_alarms **ret, vly_err *err)
{
    vly_alarms *s = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*s));
    pthread_condattr_t monotonic;

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the alarms");
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* that of vly_clock_now */
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->is_sooner, &monotonic);
    pthread_cond_init(&s->has_rung, NULL);
    pthread_condattr_destroy(&monotonic);
    int rc = pthread_create(&s->thread, NULL, alarms_main, s);
    if (rc != 0) {
        pthread_cond_destroy(&s->has_rung);
        pthread_cond_destroy(&s->is_sooner);
        pthread_mutex_destroy(&s->lock);
        vly_free(s);
        return vly_fail(err, VLY_EUNAVAILABLE, "alarms: thread: %s", strerror(rc));
    }
    *ret = s;
    return VLY_OK;
}

void vly_alarms_free(vly_alarms *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    VLY_ASSERT(s->waiting.first == NULL);
    s->is_stopping = true;
    pthread_cond_signal(&s->is_sooner);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->has_rung);
    pthread_cond_destroy(&s->is_sooner);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}

/* ---- alarms ---- */

void vly_alarm_set(vly_alarms *s, vly_alarm *a, vly_nsec at_ns)
{
    pthread_mutex_lock(&s->lock);
    vly_heap_remove(&s->waiting, &a->node);
    vly_heap_add(&s->waiting, &a->node, at_ns);
    if (s->waiting.first == &a->node)
        pthread_cond_signal(&s->is_sooner);
    pthread_mutex_unlock(&s->lock);
}

void vly_alarm_clear(vly_alarms *s, vly_alarm *a)
{
    pthread_mutex_lock(&s->lock);
    vly_heap_remove(&s->waiting, &a->node);
    pthread_mutex_unlock(&s->lock);
}

/* A ring may set its alarm again while this waits for it, hence the loop. */
void vly_alarm_end(vly_alarms *s, vly_alarm *a)
{
    bool is_ring = pthread_equal(s->thread, pthread_self()) != 0;

    pthread_mutex_lock(&s->lock);
    vly_heap_remove(&s->waiting, &a->node);
    while (s->ringing == a && !is_ring) {
        pthread_cond_wait(&s->has_rung, &s->lock);
        vly_heap_remove(&s->waiting, &a->node);
    }
    pthread_mutex_unlock(&s->lock);
}

/* SPDX-License-Identifier: MIT */
#include "sys/mpsc.h"

#include "base/assert.h"

#include <stddef.h>

void vly_mpsc_init(vly_mpsc *q, void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_init(&q->lock, NULL);
    q->wake = wake;
    q->ctx = ctx;
    q->head = NULL;
    q->tail = &q->head;
}

void vly_mpsc_release(vly_mpsc *q)
{
    VLY_ASSERT(q->head == NULL);
    pthread_mutex_destroy(&q->lock);
}

void vly_mpsc_push(vly_mpsc *q, vly_mpsc_node *node)
{
    node->next = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->head == NULL)
        q->wake(q->ctx);
    *q->tail = node;
    q->tail = &node->next;
    pthread_mutex_unlock(&q->lock);
}

vly_mpsc_node *vly_mpsc_take_all(vly_mpsc *q)
{
    pthread_mutex_lock(&q->lock);
    vly_mpsc_node *all = q->head;
    q->head = NULL;
    q->tail = &q->head;
    pthread_mutex_unlock(&q->lock);
    return all;
}

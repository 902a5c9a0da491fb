/* SPDX-License-Identifier: MIT */
/*
 * Queue from many producers to one consumer, of intrusive nodes: how answers return to the loop
 * thread that waits for them. Bounded by what is in flight: a node is in one queue at a time.
 *
 * A push holds the lock for a few instructions; the consumer takes everything at once and works on
 * it outside the lock. Rejected: a lock-free list. The wake-up that follows a push is a system
 * call, beside which an uncontended lock does not show.
 */
#ifndef VLY_SYS_MPSC_H
#define VLY_SYS_MPSC_H

#include <pthread.h>

typedef struct vly_mpsc_node {
    struct vly_mpsc_node *next;
} vly_mpsc_node;

typedef struct vly_mpsc {
    pthread_mutex_t lock;
    vly_mpsc_node *head;  /* guarded by lock */
    vly_mpsc_node **tail; /* guarded by lock: the link that the next push fills */
    void (*wake)(void *ctx);
    void *ctx;
} vly_mpsc;

/* wake is called by the push that finds the queue empty, under the lock: so when take_all has
 * returned the last node, no producer still touches the queue or ctx, and the consumer may end
 * both. It must not block or touch the queue. */
void vly_mpsc_init(vly_mpsc *q, void (*wake)(void *ctx), void *ctx);
void vly_mpsc_release(vly_mpsc *q);                   /* the queue must be empty */
void vly_mpsc_push(vly_mpsc *q, vly_mpsc_node *node); /* thread: any */
/* Thread: the consumer. All nodes in the order pushed, linked by next, or NULL. */
vly_mpsc_node *vly_mpsc_take_all(vly_mpsc *q);

#endif

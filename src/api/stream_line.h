/* SPDX-License-Identifier: MIT */
/*
 * The requests of one stream, answered in the order in which they came.
 *
 * Some are in work at once; the others wait here, so that one client cannot fill the queue of a
 * model, and sequences keep their order.
 *
 *     push -> [items, oldest first: WAITING -> RUNNING -> READY] -> send, free
 *
 * Whatever happens makes the line go on, on one thread at a time: it starts what may start and
 * sends what is ready at the head. Items that take long to start are started on a worker; then all
 * of it moves there, that order be kept.
 *
 * The line is a member of its owner's object, which goes when the last reference on the line does:
 * the owner's, and one of each item. Thread: any.
 */
#ifndef VLY_API_STREAM_LINE_H
#define VLY_API_STREAM_LINE_H

#include "sys/worker_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_line vly_line;

typedef enum vly_line_state { VLY_LINE_WAITING, VLY_LINE_RUNNING, VLY_LINE_READY } vly_line_state;

/* A member of a request; private. */
typedef struct vly_line_item {
    vly_line *line;
    struct vly_line_item *next; /* guarded by the line's lock, as the state */
    vly_line_state state;
} vly_line_item;

/* None is called with a lock held. */
typedef struct vly_line_ops {
    bool (*is_light)(const vly_line_item *it); /* may be started on a loop thread */
    /* Must lead to vly_line_ready, once, on whatever thread, this call included. */
    void (*start)(vly_line_item *it);
    bool (*send)(vly_line_item *it); /* false: the client is behind; go_on when it no longer is */
    void (*free)(vly_line_item *it); /* sent, or never to be */
    void (*drained)(vly_line *line); /* closed, and all items have gone; may be NULL */
    void (*gone)(vly_line *line);    /* the last reference was given back */
} vly_line_ops;

struct vly_line {
    const vly_line_ops *ops; /* immutable, as the next three */
    vly_worker_pool *pool;
    size_t max_items;
    size_t max_started; /* RUNNING and READY */
    _Atomic unsigned n_refs;
    vly_work work;
    pthread_mutex_t lock;
    vly_line_item *head, **tail;  /* guarded by lock, as all below */
    vly_line_item *first_waiting; /* NULL: none */
    size_t n_items, n_started;
    uint64_t n_wanted; /* calls of go_on so far */
    bool is_going;
    bool is_closed;
    bool is_ended;
};

void vly_line_init(vly_line *line, const vly_line_ops *ops, vly_worker_pool *pool, size_t max_items,
                   size_t max_started); /* with the owner's reference */
void vly_line_unref(vly_line *line);

/* Puts the item at the end, and the line goes on. False: there are max_items, or the line has
 * ended; the item is still the caller's. */
bool vly_line_push(vly_line *line, vly_line_item *it);
void vly_line_ready(vly_line_item *it);
void vly_line_go_on(vly_line *line);
void vly_line_close(vly_line *line); /* no further push follows */
/* Nothing is started or sent any more; items go without, RUNNING ones once they are ready. */
void vly_line_end(vly_line *line);

#endif

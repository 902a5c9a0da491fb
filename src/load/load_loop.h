/* SPDX-License-Identifier: MIT */
/*
 * Event loop of the load generator: epoll and a heap of timers, to the nanosecond.
 *
 * Not libuv, whose timers count milliseconds: an open loop of 20,000 requests a second has one due
 * every 50 us. And the client shares its cores with the server: a turn costs one system call.
 *
 *     while (goes on) { hand over what is due; vly_load_loop_turn(loop, when the next is due); }
 *
 * Owner: one thread.
 */
#ifndef VLY_LOAD_LOAD_LOOP_H
#define VLY_LOAD_LOAD_LOOP_H

#include "base/clock.h"
#include "base/heap.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct vly_load_loop vly_load_loop;

typedef struct vly_load_loop_opts {
    /* The last so many ns before a time are spent looking, not sleeping: to wake up takes the
     * kernel some 50 us, and looking takes a core. 0: never. */
    vly_nsec spin_ns;
    /* What time it is; NULL: vly_clock_now. Tests drive it. */
    vly_nsec (*now)(void *ctx);
    void *ctx;
} vly_load_loop_opts;

/* opts is copied; NULL: zeroes. */
vly_status vly_load_loop_new(const vly_load_loop_opts *opts, vly_load_loop **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_load_loop_free(vly_load_loop *l); /* accepts NULL; nothing may be in it any more */

vly_nsec vly_load_loop_now(const vly_load_loop *l);

/* Calls what is due and what is ready; waits for the first of them, but not past until_ns. Returns
 * after one round. */
void vly_load_loop_turn(vly_load_loop *l, vly_nsec until_ns);

/* A member of the setter's object; zeroed but for on_due. */
typedef struct vly_load_timer {
    vly_heap_node node; /* private */
    void (*on_due)(struct vly_load_timer *t);
} vly_load_timer;

/* on_due is called once, in a turn at or after at_ns; of 0 in the next one. One that waits is
 * moved. */
void vly_load_timer_set(vly_load_loop *l, vly_load_timer *t, vly_nsec at_ns);
void vly_load_timer_clear(vly_load_loop *l, vly_load_timer *t);

/* A socket, or whatever epoll takes. A member of the setter's object. */
typedef struct vly_load_watch {
    void (*on_ready)(struct vly_load_watch *w, uint32_t events); /* of epoll */
    int fd;
} vly_load_watch;

/* Edge-triggered, reading and writing. on_ready may remove any watch, its own too. */
vly_status vly_load_watch_add(vly_load_loop *l, vly_load_watch *w, vly_err *err) VLY_MUST_CHECK;
void vly_load_watch_remove(vly_load_loop *l, vly_load_watch *w); /* before its fd is closed */

#endif

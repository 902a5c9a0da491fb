/* SPDX-License-Identifier: MIT */
/*
 * Pool of equal-sized objects: put() keeps an object for the next take(), up to max_free of them.
 * Under AddressSanitizer a pool is plain malloc and free, so that use-after-put is found.
 * Thread: any (one mutex). Objects come 64-byte aligned and not zeroed.
 */
#ifndef VLY_BASE_POOL_H
#define VLY_BASE_POOL_H

#include "base/mem.h"

#include <pthread.h>
#include <stddef.h>

typedef struct vly_pool {
    pthread_mutex_t lock;
    struct vly_pool_item *free_list; /* guarded by lock */
    size_t n_free;                   /* guarded by lock */
    size_t object_bytes;             /* immutable */
    size_t max_free;                 /* immutable */
    vly_mem_kind kind;               /* immutable */
} vly_pool;

void vly_pool_init(vly_pool *p, vly_mem_kind kind, size_t object_bytes, size_t max_free);
void vly_pool_release(vly_pool *p);
void *vly_pool_take(vly_pool *p) __attribute__((warn_unused_result)); /* NULL: out of memory */
void vly_pool_put(vly_pool *p, void *object);                         /* accepts NULL */

#endif

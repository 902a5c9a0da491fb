/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include "base/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define KEEP_FREE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEP_FREE 0
#endif
#endif
#ifndef KEEP_FREE
#define KEEP_FREE 1
#endif

typedef struct vly_pool_item {
    struct vly_pool_item *next;
} vly_pool_item;

void vly_pool_init(vly_pool *p, vly_mem_kind kind, size_t object_bytes, size_t max_free)
{
    VLY_ASSERT(object_bytes >= sizeof(vly_pool_item));
    *p = (vly_pool){
        .kind = kind, .object_bytes = object_bytes, .max_free = KEEP_FREE ? max_free : 0};
    pthread_mutex_init(&p->lock, NULL);
}

void vly_pool_release(vly_pool *p)
{
    while (p->free_list != NULL) {
        vly_pool_item *next = p->free_list->next;
        vly_free(p->free_list);
        p->free_list = next;
    }
    pthread_mutex_destroy(&p->lock);
}

void *vly_pool_take(vly_pool *p)
{
    pthread_mutex_lock(&p->lock);
    vly_pool_item *item = p->free_list;
    if (item != NULL) {
        p->free_list = item->next;
        p->n_free--;
    }
    pthread_mutex_unlock(&p->lock);
    return item != NULL ? item : vly_alloc_aligned(p->kind, p->object_bytes);
}

void vly_pool_put(vly_pool *p, void *object)
{
    vly_pool_item *item = object;

    if (item == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    if (p->n_free < p->max_free) {
        item->next = p->free_list;
        p->free_list = item;
        p->n_free++;
        item = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    vly_free(item);
}

/* SPDX-License-Identifier: MIT */
/*
 * Blocks form a list from first to current; only current has room. reset() frees all but the first.
 *
 *   first            current
 *   [hdr|data....]-->[hdr|data..|free]
 */
#include "base/arena.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define REDZONE        16 /* poisoned bytes behind each allocation */
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#define REDZONE        0
#endif

struct vly_arena_block {
    vly_arena_block *next;
    size_t cap;
    size_t len;
    _Alignas(16) unsigned char data[];
};

void vly_arena_init(vly_arena *a, vly_mem_kind kind, size_t block_bytes, size_t budget_bytes)
{
    VLY_ASSERT(block_bytes > 0);
    *a = (vly_arena){.kind = kind, .block_bytes = block_bytes, .budget_bytes = budget_bytes};
}

static void free_blocks(vly_arena_block *b)
{
    while (b != NULL) {
        vly_arena_block *next = b->next;
        UNPOISON(b->data, b->cap);
        vly_free(b);
        b = next;
    }
}

void vly_arena_release(vly_arena *a)
{
    free_blocks(a->first);
    a->first = a->current = NULL;
    a->used_bytes = 0;
}

void vly_arena_reset(vly_arena *a)
{
    if (a->first == NULL)
        return;
    free_blocks(a->first->next);
    a->first->next = NULL;
    a->first->len = 0;
    a->current = a->first;
    a->used_bytes = sizeof(*a->first) + a->first->cap;
    POISON(a->first->data, a->first->cap);
}

static vly_arena_block *add_block(vly_arena *a, size_t min_bytes)
{
    size_t cap = min_bytes > a->block_bytes ? min_bytes : a->block_bytes;
    size_t total;

    a->is_over_budget = !vly_size_add(cap, sizeof(vly_arena_block), &total) ||
                        total > a->budget_bytes || a->used_bytes > a->budget_bytes - total;
    if (a->is_over_budget)
        return NULL;
    vly_arena_block *b = vly_alloc(a->kind, total);
    if (b == NULL)
        return NULL;
    *b = (vly_arena_block){.cap = cap};
    POISON(b->data, b->cap);
    a->used_bytes += total;
    if (a->current != NULL)
        a->current->next = b;
    else
        a->first = b;
    a->current = b;
    return b;
}

void *vly_arena_alloc(vly_arena *a, size_t size)
{
    vly_arena_block *b = a->current;

    if (size > SIZE_MAX / 2)
        return NULL;
    size_t step = vly_align_up(size + REDZONE, 16);
    if (b == NULL || b->cap - b->len < step)
        b = add_block(a, step);
    if (b == NULL)
        return NULL;
    void *p = b->data + b->len;
    b->len += step;
    UNPOISON(p, size);
    return p;
}

void *vly_arena_calloc(vly_arena *a, size_t n, size_t size)
{
    size_t total;
    if (!vly_size_mul(n, size, &total))
        return NULL;
    void *p = vly_arena_alloc(a, total);
    if (p != NULL)
        memset(p, 0, total);
    return p;
}

char *vly_arena_strdup(vly_arena *a, vly_str s)
{
    char *copy = s.len < SIZE_MAX / 2 ? vly_arena_alloc(a, s.len + 1) : NULL;
    if (copy == NULL)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

char *vly_arena_printf(vly_arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = len < 0 ? NULL : vly_arena_alloc(a, (size_t)len + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    va_end(ap);
    return text;
}

vly_status vly_arena_fail(const vly_arena *a, vly_err *err)
{
    if (a->is_over_budget)
        return vly_fail(err, VLY_ELIMIT, "needs more than %zu bytes of memory", a->budget_bytes);
    return vly_fail(err, VLY_ENOMEM, "out of memory");
}

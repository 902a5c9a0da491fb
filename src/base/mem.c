/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include "base/bits.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t n_allocs[VLY_MEM_N_KINDS];
static _Atomic int64_t fail_countdown = -1; /* -1: never fail */

/* Counts the allocation; false when a test asked for it to fail. */
static int admit(vly_mem_kind kind)
{
    /* relaxed: independent statistics, nothing is published through them */
    atomic_fetch_add_explicit(&n_allocs[kind], 1, memory_order_relaxed);
    if (__builtin_expect(atomic_load_explicit(&fail_countdown, memory_order_relaxed) < 0, 1))
        return 1;
    int64_t left = atomic_load(&fail_countdown);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1))
            return 1;
    return left < 0;
}

void *vly_alloc(vly_mem_kind kind, size_t size)
{
    return admit(kind) ? malloc(size != 0 ? size : 1) : NULL;
}

void *vly_calloc(vly_mem_kind kind, size_t n, size_t size)
{
    return admit(kind) ? calloc(n != 0 ? n : 1, size != 0 ? size : 1) : NULL;
}

void *vly_realloc(vly_mem_kind kind, void *p, size_t size)
{
    return admit(kind) ? realloc(p, size != 0 ? size : 1) : NULL;
}

void *vly_alloc_aligned(vly_mem_kind kind, size_t size)
{
    if (size > SIZE_MAX - 128 || !admit(kind))
        return NULL;
    return aligned_alloc(64, vly_align_up(size != 0 ? size : 1, 64));
}

char *vly_strndup(vly_mem_kind kind, const char *s, size_t len)
{
    char *copy = vly_alloc(kind, len + 1);
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void vly_free(void *p)
{
    free(p);
}

uint64_t vly_mem_count(vly_mem_kind kind)
{
    return atomic_load_explicit(&n_allocs[kind], memory_order_relaxed);
}

uint64_t vly_mem_count_all(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < VLY_MEM_N_KINDS; i++)
        sum += vly_mem_count((vly_mem_kind)i);
    return sum;
}

const char *vly_mem_kind_name(vly_mem_kind kind)
{
    static const char *const names[] = {
#define MEM_NAME(name) #name,
        VLY_MEM_KINDS(MEM_NAME)
#undef MEM_NAME
    };
    return names[kind];
}

void vly_mem_fail_after(int64_t n)
{
    atomic_store(&fail_countdown, n);
}

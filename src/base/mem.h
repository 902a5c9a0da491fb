/* SPDX-License-Identifier: MIT */
/*
 * The only door to the heap. Each allocation names its kind, so that metrics can tell who grows,
 * and tests can count allocations (steady state must show none) or make the n-th one fail.
 *
 * Thread: any. Errors: NULL when memory is out, when the size overflows, or by vly_mem_fail_after.
 */
#ifndef VLY_BASE_MEM_H
#define VLY_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#define VLY_MEM_KINDS(X)                                                                           \
    X(BASE) X(MODEL) X(TENSOR) X(ARENA) X(CODEC) X(NET) X(SCHED) X(STORE) X(CACHE) X(CLI)

typedef enum vly_mem_kind {
#define VLY_MEM_ENUM(name) VLY_MEM_##name,
    VLY_MEM_KINDS(VLY_MEM_ENUM)
#undef VLY_MEM_ENUM
        VLY_MEM_N_KINDS
} vly_mem_kind;

void *vly_alloc(vly_mem_kind kind, size_t size) __attribute__((malloc, warn_unused_result));
/* n * size bytes, zeroed; NULL on overflow of the product. */
void *vly_calloc(vly_mem_kind kind, size_t n, size_t size) __attribute__((warn_unused_result));
/* Grows or shrinks p (NULL: allocates). On failure p stays valid. */
void *vly_realloc(vly_mem_kind kind, void *p, size_t size) __attribute__((warn_unused_result));
/* 64-byte aligned, for tensor storage and SIMD scratch. Not zeroed. */
void *vly_alloc_aligned(vly_mem_kind kind, size_t size) __attribute__((warn_unused_result));
char *vly_strndup(vly_mem_kind kind, const char *s, size_t len) __attribute__((warn_unused_result));
void vly_free(void *p); /* accepts NULL */

/* Number of allocations of this kind since start. */
uint64_t vly_mem_count(vly_mem_kind kind);
uint64_t vly_mem_count_all(void);
const char *vly_mem_kind_name(vly_mem_kind kind);

/* Test hook: the next n allocations succeed, every later one fails, until called with -1. */
void vly_mem_fail_after(int64_t n);

#endif

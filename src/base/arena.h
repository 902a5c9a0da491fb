/* SPDX-License-Identifier: MIT */
/*
 * Arena: many small allocations with one lifetime, freed by one reset.
 *
 * Grows by blocks up to budget_bytes; past that vly_arena_alloc returns NULL and the caller answers
 * ELIMIT. reset() keeps the first block, so a request that fits in it allocates nothing after the
 * first one. Under AddressSanitizer freed and unused ranges are poisoned.
 *
 * Owner: one thread at a time. Pointers stay valid until reset or release; nothing is freed singly.
 */
#ifndef VLY_BASE_ARENA_H
#define VLY_BASE_ARENA_H

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_arena_block vly_arena_block;

typedef struct vly_arena {
    vly_arena_block *first;
    vly_arena_block *current;
    size_t used_bytes; /* of all blocks, headers included */
    size_t budget_bytes;
    size_t block_bytes;
    vly_mem_kind kind;
    bool is_over_budget; /* why the last allocation failed, when one did */
} vly_arena;

/* Allocates nothing. block_bytes: size of an ordinary block (a larger request gets its own). */
void vly_arena_init(vly_arena *a, vly_mem_kind kind, size_t block_bytes, size_t budget_bytes);
void vly_arena_release(vly_arena *a);
void vly_arena_reset(vly_arena *a);

/* 16-byte aligned, not zeroed; NULL when the budget or memory is out. */
void *vly_arena_alloc(vly_arena *a, size_t size) __attribute__((warn_unused_result));
/* n * size bytes, zeroed; NULL on overflow too. */
void *vly_arena_calloc(vly_arena *a, size_t n, size_t size) __attribute__((warn_unused_result));
/* NUL-terminated copy. */
char *vly_arena_strdup(vly_arena *a, vly_str s) __attribute__((warn_unused_result));
char *vly_arena_printf(vly_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* For the caller that just got NULL: ELIMIT when the budget is used up, ENOMEM when the system is
 * out of memory (or the size overflowed). */
vly_status vly_arena_fail(const vly_arena *a, vly_err *err);

#endif

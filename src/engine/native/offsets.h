/* SPDX-License-Identifier: MIT */
/*
 * Offsets into one block of memory whose final size is not known yet: the memory planner's heap.
 * Best fit, adjacent free ranges joined; every offset is a multiple of 64.
 * Owner: one thread.
 */
#ifndef VLY_ENGINE_NATIVE_OFFSETS_H
#define VLY_ENGINE_NATIVE_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_offset_range {
    size_t begin, end;
} vly_offset_range;

typedef struct vly_offsets {
    vly_offset_range *free; /* sorted by begin, none adjacent */
    size_t n_free, cap;
    size_t peak_bytes; /* size the block must have */
} vly_offsets;

/* Zero-initialise before the first call. False: out of memory, or the block would overflow. */
bool vly_offsets_take(vly_offsets *o, size_t bytes, size_t *ret)
    __attribute__((warn_unused_result));
/* Gives back what vly_offsets_take(bytes) returned. False: out of memory. */
bool vly_offsets_give(vly_offsets *o, size_t offset, size_t bytes)
    __attribute__((warn_unused_result));
void vly_offsets_release(vly_offsets *o);

#endif

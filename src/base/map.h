/* SPDX-License-Identifier: MIT */
/*
 * Hash map from string view to pointer, open addressing, insertion only (plus release). Keys are
 * borrowed: they must outlive the map. The hash is seeded per process (outside strings are keys).
 * Owner: one thread at a time; concurrent lookups of a map that no longer changes are fine.
 */
#ifndef VLY_BASE_MAP_H
#define VLY_BASE_MAP_H

#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_map_slot vly_map_slot;

typedef struct vly_map {
    vly_map_slot *slots;
    size_t n_slots; /* power of two, or 0 */
    size_t n_items;
    vly_mem_kind kind;
} vly_map;

/* The map's hash, for tables that also delete. */
uint64_t vly_map_hash(vly_str key);

void vly_map_init(vly_map *m, vly_mem_kind kind); /* allocates nothing */
void vly_map_release(vly_map *m);
/* Sets key to value (not NULL), replacing an earlier value. False: out of memory. */
bool vly_map_set(vly_map *m, vly_str key, void *value) __attribute__((warn_unused_result));
void *vly_map_get(const vly_map *m, vly_str key); /* NULL: absent */

#endif

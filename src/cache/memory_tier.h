/* SPDX-License-Identifier: MIT */
/*
 * Memory tier: one shard of the cache's entries, within a budget of bytes.
 *
 *     new entry -> window (a sixteenth of the budget, LRU) -> candidate -> main (LRU)
 *
 * What falls out of the window comes into main when it has been asked for more often, lately, than
 * all that would have to go for it together; else it is dropped (W-TinyLFU, Einziger et al. 2017;
 * sizes: Einziger, Eytan, Friedman, Manes 2021). So a scan of keys asked for once passes through
 * the window, and what is asked for often stays.
 *
 * The budget covers entries, values, the table and the sketch. Owner: who holds the shard's lock.
 */
#ifndef VLY_CACHE_MEMORY_TIER_H
#define VLY_CACHE_MEMORY_TIER_H

#include "cache/cache_value.h"
#include "cache/frequency.h"

#define VLY_CACHE_TAGS_MAX 4

/* What an entry is, besides its bytes. */
typedef struct vly_cache_entry_info {
    vly_cache_key key;
    vly_nsec expires_ns;
    uint64_t epoch; /* of the cache when its computation began */
    uint64_t tags[VLY_CACHE_TAGS_MAX];
    size_t n_tags;
} vly_cache_entry_info;

typedef struct vly_cache_entry {
    vly_cache_entry_info info; /* immutable, as the next */
    vly_cache_value *value;
    /* Private. */
    size_t bytes;
    struct vly_cache_entry *chain, *newer, *older;
    bool is_in_main;
} vly_cache_entry;

typedef struct vly_cache_list {
    vly_cache_entry *newest, *oldest;
    size_t bytes, max_bytes;
} vly_cache_list;

typedef struct vly_memory_tier {
    vly_cache_list window, main;
    size_t n_entries;
    uint64_t n_insertions, n_evictions, n_refused, n_expired;
    size_t n_buckets; /* a power of two */
    /* Private. */
    size_t fixed_bytes;
    size_t max_entry_bytes;
    vly_cache_entry **table;
    vly_frequency frequency;
} vly_memory_tier;

/* ENOMEM. A budget too small for anything is a tier that keeps nothing. */
vly_status vly_memory_tier_init(vly_memory_tier *t, size_t budget_bytes,
                                vly_err *err) VLY_MUST_CHECK;
void vly_memory_tier_release(vly_memory_tier *t); /* accepts a zeroed one */

/* The entry of this key, which counts as asked for; NULL: none. Borrowed until the next call. */
vly_cache_entry *vly_memory_tier_find(vly_memory_tier *t, vly_cache_key key);
/* Takes the reference to the value; in place of an entry of the same key. False: not kept, though
 * others may have gone. A value that is too long when unpacked never is. */
bool vly_memory_tier_insert(vly_memory_tier *t, const vly_cache_entry_info *info,
                            vly_cache_value *value, vly_nsec now);
void vly_memory_tier_remove(vly_memory_tier *t, vly_cache_entry *e);
/* Removes every entry that is_dead says is from n buckets, begin and those behind it, as far as
 * there are so many; returns how many went. */
size_t vly_memory_tier_sweep(vly_memory_tier *t, size_t begin, size_t n,
                             bool (*is_dead)(const void *ctx, const vly_cache_entry *e),
                             const void *ctx);

static inline size_t vly_memory_tier_bytes(const vly_memory_tier *t)
{
    return t->fixed_bytes + t->window.bytes + t->main.bytes;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Key of a cached result: XXH3-128 over everything that the result depends on. Each part is hashed
 * behind its length, so that no two lists of parts look alike. The key begins with the model's
 * name, version and the stamp of its files: a reloaded model never answers from its former self.
 *
 * XXH3 is no cryptographic hash. The seed, which clients do not know, keeps them from preparing two
 * requests of one key.
 */
#ifndef VLY_CACHE_CACHE_KEY_H
#define VLY_CACHE_CACHE_KEY_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#define XXH_STATIC_LINKING_ONLY /* the state by value */
#include <xxhash.h>

typedef struct vly_cache_key {
    uint64_t lo, hi;
} vly_cache_key;

static inline bool vly_cache_key_eq(vly_cache_key a, vly_cache_key b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

typedef struct vly_cache_hash {
    XXH3_state_t state;
} vly_cache_hash;

/* kind tells apart what is cached of one model: "tensors", "observations", "drawn". */
void vly_cache_hash_begin(vly_cache_hash *h, uint64_t seed, const char *kind, const char *model,
                          const char *version, uint64_t stamp);
void vly_cache_hash_str(vly_cache_hash *h, vly_str part);
void vly_cache_hash_u64(vly_cache_hash *h, uint64_t value);
vly_cache_key vly_cache_hash_end(vly_cache_hash *h);

/* A seed from settings that must be the same for keys to be: of all servers that share a tier. */
uint64_t vly_cache_seed_of(vly_str text);

#endif

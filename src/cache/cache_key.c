/* SPDX-License-Identifier: MIT */
#include "cache/cache_key.h"

/* The same hash by the widest vectors of this CPU, where the library has been built with it. */
#ifdef VLY_HAVE_XXH_DISPATCH
XXH_errorcode XXH3_128bits_update_dispatch(XXH3_state_t *state, const void *input, size_t len);
#define HASH_UPDATE XXH3_128bits_update_dispatch
#else
#define HASH_UPDATE XXH3_128bits_update
#endif

/* Its only error is a state of NULL. */
static void update(vly_cache_hash *h, const void *bytes, size_t len)
{
    if (len > 0)
        (void)HASH_UPDATE(&h->state, bytes, len);
}

void vly_cache_hash_u64(vly_cache_hash *h, uint64_t value)
{
    update(h, &value, sizeof(value));
}

void vly_cache_hash_str(vly_cache_hash *h, vly_str part)
{
    vly_cache_hash_u64(h, part.len);
    update(h, part.ptr, part.len);
}

void vly_cache_hash_begin(vly_cache_hash *h, uint64_t seed, const char *kind, const char *model,
                          const char *version, uint64_t stamp)
{
    XXH3_INITSTATE(&h->state);
    (void)XXH3_128bits_reset_withSeed(&h->state, seed);
    vly_cache_hash_str(h, vly_str_from(kind));
    vly_cache_hash_str(h, vly_str_from(model));
    vly_cache_hash_str(h, vly_str_from(version));
    vly_cache_hash_u64(h, stamp);
}

vly_cache_key vly_cache_hash_end(vly_cache_hash *h)
{
    XXH128_hash_t sum = XXH3_128bits_digest(&h->state);

    return (vly_cache_key){sum.low64, sum.high64};
}

uint64_t vly_cache_seed_of(vly_str text)
{
    return XXH3_64bits(text.ptr, text.len);
}

/* SPDX-License-Identifier: MIT */
#include "sched/model_digest.h"

#include "cache/cache_key.h"

uint64_t vly_model_digest(const vly_servable *s)
{
    vly_cache_hash h;

    vly_cache_hash_begin(&h, 0, "model", s->name, s->version, 0);
    vly_cache_hash_str(&h, s->config_text);
    if (s->model != NULL) {
        const vly_model_info *info = vly_model_describe(s->model);
        for (size_t i = 0; i < info->n_files; i++) {
            vly_cache_hash_str(&h, info->files[i].name);
            vly_cache_hash_str(&h, info->files[i].bytes);
        }
    }
    uint64_t digest = vly_cache_hash_end(&h).lo;
    return digest != 0 ? digest : 1;
}

/* SPDX-License-Identifier: MIT */
#include "cache/cache_key.h"
#include "sched/ensemble.h"

static bool add_model(vly_cache_hash *h, const vly_served *m)
{
    const vly_servable *s = m->servable;

    if (s == NULL || s->sequence != NULL || s->ensemble != NULL)
        return false;
    vly_cache_hash_str(h, vly_str_from(m->name));
    vly_cache_hash_str(h, vly_str_from(m->version));
    vly_cache_hash_u64(h, vly_served_identity(m));
    return true;
}

bool vly_ensemble_identity(vly_scheduler *scheduler, const vly_ensemble_plan *plan, uint64_t *ret)
{
    vly_cache_hash h;
    bool ok = true;

    vly_cache_hash_begin(&h, 0, "ensemble", "", "", plan->n_steps);
    for (size_t i = 0; ok && i < plan->n_steps; i++) {
        const vly_ensemble_step *step = &plan->steps[i];
        vly_served *m =
            vly_scheduler_find(scheduler, vly_str_from(step->model), vly_str_from(step->version));
        ok = m != NULL && add_model(&h, m);
        vly_served_unref(m);
    }
    if (ok)
        *ret = vly_cache_hash_end(&h).lo;
    return ok;
}

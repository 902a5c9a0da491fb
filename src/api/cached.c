/* SPDX-License-Identifier: MIT */
#include "api/cached.h"

#include "sched/ensemble.h"

/* ---- what requests say ---- */

static bool is_tag(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return s.len > 0 && s.len <= VLY_CACHED_TAG_BYTES_MAX;
}

static int compare(vly_str a, vly_str b)
{
    int c = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* In order, each once. False: no room. */
static bool add_tag(vly_cache_wish *w, vly_str tag)
{
    size_t at = 0;

    while (at < w->n_tags && compare(w->tags[at], tag) < 0)
        at++;
    if (at < w->n_tags && vly_str_eq(w->tags[at], tag))
        return true;
    if (w->n_tags == VLY_CACHED_TAGS_MAX)
        return false;
    memmove(&w->tags[at + 1], &w->tags[at], (w->n_tags - at) * sizeof(w->tags[0]));
    w->tags[at] = tag;
    w->n_tags++;
    return true;
}

static vly_status read_tags(vly_str list, vly_cache_wish *w, vly_err *err)
{
    while (list.ptr != NULL) {
        vly_str tag = vly_str_trim(vly_str_split(&list, ','));
        if (!is_tag(tag))
            return vly_fail(err, VLY_EINVAL,
                            "'Volley-Cache-Tags': expected tags of 1 to %d printable characters "
                            "by commas, got '%.*s'",
                            VLY_CACHED_TAG_BYTES_MAX, VLY_STR_ARG(tag));
        if (!add_tag(w, tag))
            return vly_fail(err, VLY_EINVAL, "'Volley-Cache-Tags': expected at most %d tags",
                            VLY_CACHED_TAGS_MAX);
    }
    return VLY_OK;
}

vly_status vly_cached_wish(const vly_api *api, const vly_http_msg *msg, vly_cache_wish *ret,
                           vly_err *err)
{
    if (api->cache == NULL) {
        *ret = (vly_cache_wish){.n_tags = 0};
        return VLY_OK;
    }
    vly_str control = vly_http_msg_header(msg, "Cache-Control");
    vly_cache_wish w = {.n_tags = 0};

    while (control.ptr != NULL) {
        vly_str item = vly_str_trim(vly_str_split(&control, ','));
        w.no_cache = w.no_cache || vly_str_eq_nocase(item, VLY_STR("no-cache"));
        w.no_store = w.no_store || vly_str_eq_nocase(item, VLY_STR("no-store"));
    }
    vly_status st = read_tags(vly_http_msg_header(msg, "Volley-Cache-Tags"), &w, err);
    if (st == VLY_OK)
        *ret = w;
    return st;
}

/* ---- which models ---- */

static bool is_listed(vly_str list, const char *name)
{
    while (list.ptr != NULL) {
        vly_str item = vly_str_trim(vly_str_split(&list, ','));
        if (vly_str_is(item, "*") || vly_str_is(item, name))
            return true;
    }
    return false;
}

bool vly_cached_has(const vly_api *api, const vly_served *m)
{
    const vly_servable *s = m->servable;

    if (api->cache == NULL || s->sequence != NULL || s->step != NULL)
        return false;
    if (api->cache_models[0] != '\0')
        return is_listed(vly_str_from(api->cache_models), m->name);
    return s->config != NULL && s->config->response_cache != NULL &&
           s->config->response_cache->enable;
}

/* ---- keys and lookups ---- */

/* 0: m is no ensemble. */
static bool find_members(const vly_api *api, const vly_served *m, uint64_t *ret)
{
    const vly_ensemble_plan *ensemble = m->servable->ensemble;

    *ret = 0;
    return ensemble == NULL || vly_ensemble_identity(api->scheduler, ensemble, ret);
}

bool vly_cached_begin_key(const vly_api *api, const vly_served *m, const char *kind,
                          const vly_cache_wish *wish, vly_cache_hash *h, vly_cached_key *ret)
{
    size_t n_tags = wish != NULL ? wish->n_tags : 0;
    uint64_t members;

    if (!find_members(api, m, &members))
        return false;
    ret->members = members;
    vly_cache_hash_begin(h, api->cache_seed, kind, m->name, m->version, vly_served_identity(m));
    vly_cache_hash_u64(h, members);
    vly_cache_hash_u64(h, n_tags);
    for (size_t i = 0; i < n_tags; i++)
        vly_cache_hash_str(h, wish->tags[i]);
    return true;
}

bool vly_cached_begin_get(vly_served *m, const vly_cache_wish *wish, vly_arena *arena,
                          vly_cache_get *g)
{
    vly_str *tags = vly_arena_calloc(arena, VLY_CACHE_TAGS_MAX, sizeof(*tags));
    const char *model = vly_arena_printf(arena, "model:%s", m->name);

    if (tags == NULL || model == NULL)
        return false;
    *g = (vly_cache_get){.stats = &m->stats.cache, .tags = tags};
    tags[g->n_tags++] = vly_str_from(model);
    for (size_t i = 0; wish != NULL && i < wish->n_tags; i++)
        tags[g->n_tags++] = wish->tags[i];
    return true;
}

vly_cache_found vly_cached_ask(const vly_api *api, const vly_cache_wish *wish, vly_cache_get *g)
{
    if (wish == NULL || !wish->no_cache)
        return vly_cache_lookup(api->cache, g);
    return vly_cache_lead(api->cache, g);
}

void vly_cached_complete(const vly_api *api, const vly_served *m, uint64_t members,
                         vly_cache_get *g, vly_str bytes)
{
    uint64_t now;

    if (find_members(api, m, &now) && now == members)
        vly_cache_complete(api->cache, g, bytes);
    else
        vly_cache_share(api->cache, g, bytes);
}

/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/cache: what the cache holds and how it does. POST /v1/cache:invalidate {"tags": [...]},
 * POST /v1/cache:clear: nothing of that is found any more, answered when its memory is free.
 *
 * Looking at every entry takes milliseconds, so it is done at the desk.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/cached.h"
#include "api/desk.h"
#include "codec/json_doc.h"

#define TAGS_MAX 64 /* of one request */

/* Lives in the arena of the request until it is answered. */
typedef struct cache_call {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_api *api;
    vly_http_request *req;
    vly_str tags[TAGS_MAX];
    size_t n_tags; /* 0: everything */
} cache_call;

static bool has_cache(const vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (api->cache != NULL)
        return true;
    vly_fail(&err, VLY_EUNAVAILABLE, "there is no cache: cache.memory_bytes is 0");
    vly_answer_err(req, &err);
    return false;
}

/* ---- figures ---- */

static void put_u64(vly_buf *b, const char *key, uint64_t v)
{
    vly_buf_printf(b, "\"%s\":%llu", key, (unsigned long long)v);
}

static void put_totals(vly_buf *b, const vly_cache_totals *t)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {{"entries", t->entries},
                {"bytes", t->bytes},
                {"max_bytes", t->max_bytes},
                {"lookups", t->lookups},
                {"hits", t->hits},
                {"misses", t->misses},
                {"insertions", t->insertions},
                {"refused", t->refused},
                {"evictions", t->evictions},
                {"expired", t->expired},
                {"invalidated", t->invalidated}};

    vly_buf_puts(b, "\"memory\":{");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_u64(b, rows[i].name, rows[i].value);
    }
    vly_buf_putc(b, '}');
}

static void put_ttl(vly_buf *b, const vly_cache_opts *o)
{
    static const char *const names[] = {[VLY_CACHE_PREDICTION] = "prediction",
                                        [VLY_CACHE_VIDEO] = "video",
                                        [VLY_CACHE_SESSION] = "session",
                                        [VLY_CACHE_RESPONSE] = "response"};

    vly_buf_puts(b, ",\"ttl_s\":{");
    for (int i = 0; i < VLY_CACHE_CLASS_N; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_u64(b, names[i], o->ttl_ns[i] / VLY_NSEC_PER_SEC);
    }
    vly_buf_printf(b, "},\"ttl_dynamic\":%s", o->is_ttl_dynamic ? "true" : "false");
}

static void put_model(vly_buf *b, const vly_served *m)
{
    const vly_cache_stats *s = &m->stats.cache;
    const struct {
        const char *name;
        const vly_counter *value;
    } rows[] = {{"memory_hits", &s->memory_hits}, {"redis_hits", &s->redis_hits},
                {"shared", &s->shared},           {"misses", &s->misses},
                {"insertions", &s->insertions},   {"refused", &s->refused}};

    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, vly_str_from(m->version));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vly_buf_putc(b, ',');
        put_u64(b, rows[i].name, vly_counter_get(rows[i].value));
    }
    vly_buf_putc(b, ',');
    put_u64(b, "executions", vly_counter_get(&m->stats.executions));
    vly_buf_putc(b, '}');
}

static void put_models(vly_buf *b, const vly_api *api)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    size_t n = 0;

    vly_buf_puts(b, ",\"models\":[");
    for (size_t i = 0; i < set->n; i++) {
        if (set->models[i]->servable == NULL || !vly_cached_has(api, set->models[i]))
            continue;
        vly_buf_puts(b, n++ > 0 ? "," : "");
        put_model(b, set->models[i]);
    }
    vly_buf_putc(b, ']');
    vly_model_set_unref(set);
}

void vly_route_v1_cache(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_cache_totals totals;
    vly_buf b;

    (void)captures;
    if (!has_cache(api, req))
        return;
    vly_cache_get_totals(api->cache, &totals);
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_putc(&b, '{');
    put_totals(&b, &totals);
    put_ttl(&b, vly_cache_get_opts(api->cache));
    put_models(&b, api);
    vly_buf_putc(&b, '}');
    vly_answer_json(req, 200, &b);
}

/* ---- what is to be forgotten ---- */

static void forget_at_desk(vly_work *work)
{
    cache_call *c = (cache_call *)work;
    size_t n = 0;
    vly_buf b;

    if (c->n_tags == 0)
        n = vly_cache_clear(c->api->cache);
    else
        n = vly_cache_invalidate(c->api->cache, c->tags, c->n_tags);
    vly_buf_init(&b, VLY_MEM_NET, VLY_ERR_MSG_MAX);
    vly_buf_printf(&b, "{\"removed\":%zu}", n);
    vly_answer_json(c->req, 200, &b);
}

static vly_status read_tags(vly_http_msg *msg, cache_call *c, vly_err *err)
{
    yyjson_val *root, *tag;
    size_t i, n;
    vly_status st = vly_json_doc_read(vly_buf_str(&msg->body), &msg->arena, &root, err);

    if (st != VLY_OK)
        return st;
    yyjson_val *tags = yyjson_obj_get(root, "tags");
    n = yyjson_arr_size(tags);
    if (n == 0 || n > TAGS_MAX)
        return vly_fail(err, VLY_EINVAL, "'tags': expected an array of 1 to %d tags", TAGS_MAX);
    yyjson_arr_foreach(tags, i, n, tag)
    {
        if (!yyjson_is_str(tag) || yyjson_get_len(tag) == 0)
            return vly_fail(err, VLY_EINVAL, "'tags': expected text at %zu, got %s", i,
                            yyjson_is_str(tag) ? "none" : "another type");
        c->tags[c->n_tags++] = (vly_str){yyjson_get_str(tag), yyjson_get_len(tag)};
    }
    return VLY_OK;
}

static void forget(vly_api *api, vly_http_request *req, bool is_all)
{
    cache_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    if (!has_cache(api, req))
        return;
    if (c == NULL) {
        vly_arena_fail(&req->msg.arena, &err);
        vly_answer_err(req, &err);
        return;
    }
    vly_status st = is_all ? VLY_OK : read_tags(&req->msg, c, &err);
    if (st != VLY_OK) {
        vly_answer_err(req, &err);
        return;
    }
    c->work.run = forget_at_desk;
    c->api = api;
    c->req = req;
    vly_desk_submit(api, &c->work);
}

void vly_route_v1_cache_invalidate(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    forget(api, req, false);
}

void vly_route_v1_cache_clear(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    forget(api, req, true);
}

/* SPDX-License-Identifier: MIT */
#include "cli/serve_cache.h"

#include "api/cache_warm.h"
#include "sys/file.h"
#include "volley/version.h"

#include <stdio.h>

/* Servers that share results must compute them alike. */
static uint64_t shared_seed(const vly_config *c)
{
    char text[1200];

    snprintf(text, sizeof(text), "volley " VOLLEY_VERSION " %s", c->model_precision);
    return vly_cache_seed_of(vly_str_from(text));
}

void vly_serve_cache_times(const vly_config *c, vly_cache_opts *o)
{
    o->ttl_ns[VLY_CACHE_PREDICTION] = (vly_nsec)c->cache_ttl_prediction_s * VLY_NSEC_PER_SEC;
    o->ttl_ns[VLY_CACHE_VIDEO] = (vly_nsec)c->cache_ttl_video_s * VLY_NSEC_PER_SEC;
    o->ttl_ns[VLY_CACHE_SESSION] = (vly_nsec)c->cache_ttl_session_s * VLY_NSEC_PER_SEC;
    o->ttl_ns[VLY_CACHE_RESPONSE] = (vly_nsec)c->cache_ttl_response_s * VLY_NSEC_PER_SEC;
    o->is_ttl_dynamic = c->cache_ttl_dynamic;
}

vly_status vly_serve_cache_open(const vly_config *c, vly_redis *redis, vly_alarms *alarms,
                                uint64_t random, vly_serve_cache *s, vly_err *err)
{
    vly_cache_opts o = {
        .memory_bytes = c->cache_memory_bytes,
        .pack_min_bytes = c->cache_compress_min_bytes,
        .max_plain_bytes = c->http_max_answer_bytes,
        .redis = redis,
        .alarms = alarms,
    };

    if (c->cache_memory_bytes == 0 && redis == NULL)
        return VLY_OK;
    vly_status st = vly_cache_packing_parse(vly_str_from(c->cache_compression), &o.packing, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "setting 'cache.compression'");
    vly_serve_cache_times(c, &o);
    s->seed = redis != NULL ? shared_seed(c) : random;
    return vly_cache_new(&o, &s->cache, err);
}

void vly_serve_cache_detach(vly_serve_cache *s)
{
    if (s->cache != NULL)
        vly_cache_detach(s->cache);
}

void vly_serve_cache_end_warm_up(vly_serve_cache *s)
{
    vly_cache_warmer_free(s->warmer);
    s->warmer = NULL;
    vly_buf_release(&s->list);
}

void vly_serve_cache_close(vly_serve_cache *s)
{
    vly_cache_free(s->cache);
    s->cache = NULL;
}

/* ---- the warm-up list ---- */

/* Length of the directory that a path begins with, its slash included. */
static int dir_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (int)(slash + 1 - path) : 0;
}

static vly_status read_picture(void *ctx, vly_str name, vly_buf *ret, vly_err *err)
{
    const vly_config *c = ctx;
    char path[4096];

    int n =
        snprintf(path, sizeof(path), "%.*s%.*s", name.ptr[0] == '/' ? 0 : dir_len(c->cache_warmup),
                 c->cache_warmup, VLY_STR_ARG(name));
    if (n < 0 || (size_t)n >= sizeof(path))
        return vly_fail(err, VLY_EINVAL, "the name of the picture is too long");
    return vly_file_read(path, c->picture_max_bytes, ret, err);
}

static vly_status read_list(const vly_config *c, vly_serve_cache *s, vly_err *err)
{
    vly_buf_init(&s->list, VLY_MEM_CLI, VLY_CACHE_WARM_BYTES_MAX);
    vly_status st = vly_file_read(c->cache_warmup, VLY_CACHE_WARM_BYTES_MAX, &s->list, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "setting 'cache.warmup'");
}

vly_status vly_serve_cache_prepare(vly_config *c, vly_api *api, unsigned n_threads,
                                   vly_serve_cache *s, vly_err *err)
{
    if (c->cache_warmup[0] == '\0' || api->cache == NULL)
        return VLY_OK;
    vly_status st = read_list(c, s, err);
    const vly_cache_warmer_opts o = {.api = api,
                                     .name = c->cache_warmup,
                                     .list = vly_buf_str(&s->list),
                                     .n_threads = n_threads,
                                     .max_bytes = c->picture_max_bytes,
                                     .read = read_picture,
                                     .ctx = c};
    return st == VLY_OK ? vly_cache_warmer_new(&o, &s->warmer, err) : st;
}

vly_status vly_serve_cache_warm(vly_serve_cache *s, vly_err *err)
{
    return s->warmer != NULL ? vly_cache_warmer_start(s->warmer, err) : VLY_OK;
}

/* SPDX-License-Identifier: MIT */
#include "cli/serve_cache.h"

#include "api/cache_warm.h"
#include "base/log.h"
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

static vly_status warm_line(const vly_config *c, vly_api *api, const vly_cache_warm_line *line,
                            vly_err *err)
{
    bool is_absolute = line->picture.ptr[0] == '/';
    char path[4096];
    vly_buf picture;

    int n = snprintf(path, sizeof(path), "%.*s%.*s", is_absolute ? 0 : dir_len(c->cache_warmup),
                     c->cache_warmup, VLY_STR_ARG(line->picture));
    if (n < 0 || (size_t)n >= sizeof(path))
        return vly_fail(err, VLY_EINVAL, "the name of the picture is too long");
    vly_buf_init(&picture, VLY_MEM_CLI, c->picture_max_bytes);
    vly_status st = vly_file_read(path, c->picture_max_bytes, &picture, err);
    if (st == VLY_OK)
        st = vly_cache_warm(api, line->model, vly_buf_str(&picture), err);
    vly_buf_release(&picture);
    return st;
}

static void warm_all(const vly_config *c, vly_api *api, vly_str list)
{
    vly_cache_warm_line line = {.number = 0};
    size_t n_done = 0, n_failed = 0;

    while (list.ptr != NULL) {
        vly_err err;
        vly_status st = vly_cache_warm_next(&list, &line, &err);
        if (st == VLY_OK && line.model.ptr == NULL)
            break;
        if (st == VLY_OK)
            st = warm_line(c, api, &line, &err);
        if (st != VLY_OK)
            vly_warn("%s:%zu: %s", c->cache_warmup, line.number, err.msg);
        *(st == VLY_OK ? &n_done : &n_failed) += 1;
    }
    printf("cache: %zu answers of '%s', %zu failed\n", n_done, c->cache_warmup, n_failed);
}

vly_status vly_serve_cache_warm(const vly_config *c, vly_api *api, vly_err *err)
{
    vly_buf list;

    if (c->cache_warmup[0] == '\0' || api->cache == NULL)
        return VLY_OK;
    vly_buf_init(&list, VLY_MEM_CLI, VLY_CACHE_WARM_BYTES_MAX);
    vly_status st = vly_file_read(c->cache_warmup, VLY_CACHE_WARM_BYTES_MAX, &list, err);
    if (st == VLY_OK)
        warm_all(c, api, vly_buf_str(&list));
    else
        vly_fail_in(err, st, "setting 'cache.warmup'");
    vly_buf_release(&list);
    return st;
}

/* SPDX-License-Identifier: MIT */
#include "cli/session.h"

#include "sys/core_count.h"
#include "sys/file.h"

#define ARENA_BUDGET ((size_t)1 << 30)

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

vly_status vly_session_open(vly_session *s, const vly_session_options *opts, vly_err *err)
{
    vly_servable_spec spec = {
        .path = opts->model, .task = opts->task, .options = VLY_MODEL_OPTIONS_DEFAULT};
    unsigned n = opts->threads > 0 ? (unsigned)opts->threads : vly_core_count();
    vly_status st = VLY_OK;

    *s = (vly_session){0};
    vly_arena_init(&s->arena, VLY_MEM_CLI, 1 << 20, ARENA_BUDGET);
    vly_buf_init(&s->file, VLY_MEM_CLI, limits.max_bytes);
    if (opts->threads < 0 || n > 1024)
        return vly_fail(err, VLY_EINVAL, "option --threads: expected 0 to 1024");
    st = vly_precision_parse(vly_str_from(opts->precision != NULL ? opts->precision : "auto"),
                             &spec.options, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "option --precision");
    st = vly_servable_open(&spec, &s->servable, err);
    if (st == VLY_OK && n > 1)
        st = vly_worker_pool_new(n - 1, 1, &s->pool, err); /* the calling thread takes part */
    if (st == VLY_OK)
        st = vly_vision_new(s->servable, &limits, s->pool, &s->vision, err);
    return st;
}

void vly_session_close(vly_session *s)
{
    vly_vision_free(s->vision);
    vly_worker_pool_free(s->pool);
    vly_servable_unref(s->servable);
    vly_arena_release(&s->arena);
    vly_buf_release(&s->file);
}

vly_status vly_session_run(vly_session *s, const char *path, const vly_detector_options *opts,
                           vly_observations *ret, vly_picture *ret_picture,
                           vly_vision_times *ret_times, vly_err *err)
{
    vly_arena_reset(&s->arena);
    vly_buf_clear(&s->file);
    vly_status st = vly_file_read(path, limits.max_bytes, &s->file, err);
    if (st != VLY_OK)
        return st;
    st = vly_vision_run(s->vision, s->file.ptr, s->file.len, opts, &s->arena, ret, ret_picture,
                        ret_times, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'%s'", path);
}

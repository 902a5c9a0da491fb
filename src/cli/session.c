/* SPDX-License-Identifier: MIT */
#include "cli/session.h"

#include "sched/control.h"
#include "sched/repository.h"
#include "sys/core_count.h"
#include "sys/file.h"

#include <semaphore.h>
#include <string.h>

#define ARENA_BUDGET ((size_t)1 << 30)

static const vly_picture_limits limits = VLY_PICTURE_LIMITS_INIT;

/* ---- a model by itself ---- */

static vly_status open_alone(vly_session *s, const vly_servable_spec *spec, unsigned n_threads,
                             vly_err *err)
{
    vly_status st = vly_servable_open(spec, &s->servable, err);

    if (st == VLY_OK && n_threads > 1)
        st = vly_worker_pool_new(n_threads - 1, 1, &s->pool, err); /* the caller takes part */
    if (st == VLY_OK)
        st = vly_vision_new(s->servable, &limits, s->pool, &s->vision, err);
    return st;
}

/* ---- a model of a repository ---- */

/* "models/both/" -> "models" and "both" */
static vly_status split_path(vly_arena *arena, const char *path, const char **ret_dir,
                             const char **ret_name, vly_err *err)
{
    vly_str text = vly_str_from(path);

    while (text.len > 1 && text.ptr[text.len - 1] == '/')
        text.len--;
    char *copy = vly_arena_strdup(arena, text);
    if (copy == NULL)
        return vly_arena_fail(arena, err);
    char *slash = strrchr(copy, '/');
    *ret_name = slash != NULL ? slash + 1 : copy;
    *ret_dir = slash == copy ? "/" : slash != NULL ? copy : ".";
    if (slash != NULL && slash != copy)
        *slash = '\0';
    return VLY_OK;
}

static vly_status open_ensemble(vly_session *s, const char *dir, const char *name,
                                const vly_model_options *model, unsigned n_threads, vly_err *err)
{
    const vly_scheduler_opts opts = {.n_threads = n_threads,
                                     .max_waiting = 1,
                                     .max_scratch_bytes = ARENA_BUDGET,
                                     .picture_limits = limits};
    const vly_control_opts control = {
        .dir = dir, .mode = VLY_CONTROL_EXPLICIT, .load = name, .max_waiting = 1, .model = *model};
    vly_status st = vly_scheduler_new(&opts, &s->scheduler, err);

    if (st == VLY_OK)
        st = vly_control_new(s->scheduler, &control, &s->control, err);
    if (st != VLY_OK)
        return st;
    s->served = vly_scheduler_find(s->scheduler, vly_str_from(name), VLY_STR(""));
    if (s->served == NULL)
        return vly_fail(err, VLY_ENOTFOUND, "there is no model '%s' in '%s'", name, dir);
    if (s->served->servable == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, "model '%s': %s", name, s->served->error);
    s->servable = vly_servable_ref(s->served->servable);
    return VLY_OK;
}

static vly_status open_directory(vly_session *s, const vly_servable_spec *like, unsigned n_threads,
                                 vly_err *err)
{
    vly_servable_spec spec = *like;
    const char *dir = NULL, *name = NULL;
    vly_repository repo = {.n_entries = 0};
    vly_status st = split_path(&s->names, like->path, &dir, &name, err);

    if (st == VLY_OK)
        st = vly_repository_scan_model(dir, name, NULL, &s->names, &repo, err);
    if (st != VLY_OK)
        return st;
    const vly_repository_entry *e = &repo.entries[repo.n_entries - 1]; /* the latest version */
    if (e->error != NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, "model '%s': %s", name, e->error);
    if (e->path == NULL)
        return open_ensemble(s, dir, name, &spec.options, n_threads, err);
    spec.path = e->path;
    spec.name = e->name;
    spec.version = e->version;
    spec.config_path = e->config_path;
    return open_alone(s, &spec, n_threads, err);
}

/* One picture on its way through the scheduler. */
typedef struct pass {
    vly_job job;
    vly_session *session;
    vly_observations *seen;
    vly_picture *picture; /* NULL: not wanted */
    sem_t done;
} pass;

/* What the job sees is gone with it, so it is copied. An ensemble's detections are boxes alone. */
static vly_status keep_seen(vly_job *job, vly_err *err)
{
    pass *p = job->ctx;
    size_t n = job->observations.n_detections;
    vly_detection *copy = vly_arena_calloc(&p->session->arena, n + 1, sizeof(*copy));

    if (copy == NULL)
        return vly_arena_fail(&p->session->arena, err);
    if (n > 0)
        memcpy(copy, job->observations.detections, n * sizeof(*copy));
    *p->seen = job->observations;
    p->seen->detections = copy;
    if (p->picture != NULL) {
        *p->picture = job->pixels;
        job->pixels = (vly_picture){0};
    }
    return VLY_OK;
}

static void pass_done(vly_job *job)
{
    sem_post(&((pass *)job->ctx)->done);
}

static vly_status run_ensemble(vly_session *s, const vly_detector_options *opts,
                               vly_observations *ret, vly_picture *ret_picture,
                               vly_vision_times *ret_times, vly_err *err)
{
    pass p = {.session = s, .seen = ret, .picture = ret_picture};
    vly_job *job = &p.job;

    *job = (vly_job){.kind = VLY_JOB_PICTURE,
                     .ctx = &p,
                     .encode = keep_seen,
                     .done = pass_done,
                     .picture = vly_buf_str(&s->file),
                     .options = *opts,
                     .wants_pixels = ret_picture != NULL};
    sem_init(&p.done, 0, 0);
    vly_status st = vly_scheduler_submit(s->served, &job, 1, err);
    if (st == VLY_OK) {
        while (sem_wait(&p.done) != 0)
            continue; /* a signal came */
        st = job->status;
        if (st != VLY_OK && err != NULL)
            *err = job->err;
    }
    sem_destroy(&p.done);
    if (st == VLY_OK && ret_times != NULL)
        *ret_times = (vly_vision_times){
            .prep = job->times.input, .infer = job->times.infer, .post = job->times.output};
    return st;
}

/* ---- both ---- */

vly_status vly_session_open(vly_session *s, const vly_session_options *opts, vly_err *err)
{
    vly_servable_spec spec = {
        .path = opts->model, .task = opts->task, .options = VLY_MODEL_OPTIONS_DEFAULT};
    unsigned n = opts->threads > 0 ? (unsigned)opts->threads : vly_core_count();

    *s = (vly_session){0};
    vly_arena_init(&s->arena, VLY_MEM_CLI, 1 << 20, ARENA_BUDGET);
    vly_arena_init(&s->names, VLY_MEM_CLI, 1 << 14, ARENA_BUDGET);
    vly_buf_init(&s->file, VLY_MEM_CLI, limits.max_bytes);
    if (opts->threads < 0 || n > 1024)
        return vly_fail(err, VLY_EINVAL, "option --threads: expected 0 to 1024");
    vly_status st = vly_precision_parse(
        vly_str_from(opts->precision != NULL ? opts->precision : "auto"), &spec.options, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "option --precision");
    return vly_dir_exists(spec.path) ? open_directory(s, &spec, n, err)
                                     : open_alone(s, &spec, n, err);
}

void vly_session_close(vly_session *s)
{
    vly_vision_free(s->vision);
    vly_worker_pool_free(s->pool);
    vly_servable_unref(s->servable);
    vly_served_unref(s->served);
    vly_control_free(s->control);
    vly_scheduler_free(s->scheduler);
    vly_arena_release(&s->names);
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
    st = s->vision != NULL ? vly_vision_run(s->vision, s->file.ptr, s->file.len, opts, &s->arena,
                                            ret, ret_picture, ret_times, err)
                           : run_ensemble(s, opts, ret, ret_picture, ret_times, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'%s'", path);
}

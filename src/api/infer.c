/* SPDX-License-Identifier: MIT */
#include "api/infer.h"

#include "api/cached.h"
#include "api/call.h"
#include "api/infer_cache.h"
#include "api/infer_inputs.h"
#include "api/infer_outputs.h"
#include "api/infer_pictures.h"
#include "base/assert.h"
#include "sched/model_routes_shadow.h"

#include <stdio.h>

static vly_status find_model(const vly_api *api, vly_str name, vly_str version, vly_served **ret,
                             vly_err *err)
{
    vly_served *m = vly_scheduler_find(api->scheduler, name, version);

    if (m == NULL && version.len > 0)
        return vly_fail(err, VLY_ENOTFOUND,
                        "Request for unknown model: '%.*s' version %.*s is not found",
                        VLY_STR_ARG(name), VLY_STR_ARG(version));
    if (m == NULL)
        return vly_fail(err, VLY_ENOTFOUND, "Request for unknown model: '%.*s' is not found",
                        VLY_STR_ARG(name));
    if (m->servable != NULL) {
        *ret = m;
        return VLY_OK;
    }
    vly_status st = vly_fail(err, VLY_EUNAVAILABLE, "requested model '%s' is not available: %s",
                             m->name, m->error);
    vly_served_unref(m);
    return st;
}

/* ---- routes ---- */

static vly_model_route *find_route(const vly_api *api, vly_str name, vly_str version)
{
    return version.len == 0 ? vly_model_routes_find(api->model_routes, name) : NULL;
}

vly_status vly_infer_find(const vly_api *api, vly_str name, vly_str version, vly_served **ret,
                          vly_err *err)
{
    vly_model_route *route = find_route(api, name, version);

    if (route == NULL)
        return find_model(api, name, version, ret, err);
    vly_status st = vly_model_route_first(api->model_routes, route, ret, err);
    vly_model_route_unref(route);
    return st;
}

vly_status vly_infer_pick(const vly_api *api, vly_str name, vly_str version, uint64_t session,
                          vly_route_pick *ret, vly_err *err)
{
    vly_model_route *route = find_route(api, name, version);

    if (route == NULL) {
        *ret = (vly_route_pick){.model = NULL};
        return find_model(api, name, version, &ret->model, err);
    }
    vly_status st = vly_model_route_pick(api->model_routes, route, session, ret, err);
    vly_model_route_unref(route);
    return st;
}

uint64_t vly_infer_session(vly_http_msg *msg)
{
    vly_str session = vly_http_msg_header(msg, "Volley-Session");

    if (session.len == 0 && vly_http_msg_query(msg, "session", &session) != VLY_OK)
        return 0;
    return session.len > 0 ? vly_route_session_hash(session) : 0;
}

uint64_t vly_infer_stream(const vly_http_request *req)
{
    const vly_call *call = vly_call_of(req);

    return call != NULL && call->id.len > 0 ? vly_route_session_hash(call->id) : 0;
}

vly_str vly_infer_name(const vly_infer *call)
{
    return vly_str_from(call->route != NULL ? call->route->spec.name : call->served->name);
}

/* A number is the session of its digits, whichever way the protocol sends it. */
static uint64_t session_of(const vly_infer *call)
{
    const vly_infer_request *r = &call->request;
    char digits[24];

    if (call->session != 0)
        return call->session;
    if (r->session.len > 0)
        return vly_route_session_hash(r->session);
    if (r->sequence.name.len > 0)
        return vly_route_session_hash(r->sequence.name);
    if (r->sequence.id == 0)
        return call->stream;
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)r->sequence.id);
    return vly_route_session_hash(vly_str_from(digits));
}

/* The request is read: its arm takes the place of the one that stood in for it. */
static vly_status take_arm(vly_infer *call, vly_err *err)
{
    vly_route_pick pick;

    if (call->route == NULL)
        return VLY_OK;
    vly_status st =
        vly_model_route_pick(call->api->model_routes, call->route, session_of(call), &pick, err);
    if (st != VLY_OK)
        return st;
    vly_served_unref(call->model);
    call->served = call->model = pick.model;
    call->arm = pick.arm;
    call->copied = pick.shadow;
    return VLY_OK;
}

static vly_status find_target(vly_infer *call, vly_err *err)
{
    const vly_infer_request *r = &call->request;

    call->route = find_route(call->api, r->model, r->version);
    if (call->route == NULL)
        return find_model(call->api, r->model, r->version, &call->model, err);
    return vly_model_route_first(call->api->model_routes, call->route, &call->model, err);
}

/* Says whether it is late, and counts for its arm. */
static void count_arm(vly_infer *call, vly_status st)
{
    vly_nsec deadline = call->job.deadline_ns;
    vly_nsec now = vly_clock_now();

    call->is_late = call->is_late || (st == VLY_EDEADLINE && deadline != 0 && deadline <= now);
    if (call->arm != NULL && call->is_late)
        vly_route_arm_count_late(call->arm, now);
    else if (call->arm != NULL && call->was_known && st == VLY_OK)
        vly_route_arm_count_known(call->arm);
    else if (call->arm != NULL)
        vly_route_arm_count(call->arm, now, st, call->job.is_model_failure, call->received_ns);
}

/* ---- the call ---- */

static void release(vly_infer *call)
{
    vly_infer__leave(call);
    vly_infer__release_inputs(call);
    vly_infer__release_results(call);
    vly_infer__release_regions(call);
}

/* The end of every call that was started. The model may go with done. */
static void finish(vly_infer *call, vly_status st, const vly_err *err)
{
    vly_served *m = call->model;
    vly_model_route *route = call->route, *copied = call->copied;
    vly_route_shadow *shadow = call->shadow;
    vly_route_arm *arm = call->arm;

    release(call);
    count_arm(call, st);
    call->status = st;
    call->err = err;
    call->times = call->job.times;
    call->times.input += call->read_ns;
    call->done(call);
    vly_served_unref(m);
    vly_model_route_unref(route);
    vly_route_arm_unref(arm);
    vly_model_route_unref(copied);
    if (st == VLY_OK)
        vly_route_shadow_go(shadow);
    else
        vly_route_shadow_drop(shadow);
}

static void copy_to_shadow(vly_infer *call)
{
    vly_str id = call->request.id.len > 0 ? call->request.id : call->call_id;

    if (call->copied != NULL)
        call->shadow = vly_route_shadow_take(call->api->model_routes, call->copied, call->model,
                                             &call->job, id);
}

static vly_status encode(vly_job *job, vly_err *err)
{
    vly_infer *call = job->ctx;
    vly_status st = vly_infer__collect(call, err);

    if (st == VLY_OK)
        vly_infer__keep(call);
    if (st == VLY_OK && call->write != NULL)
        st = call->write(call, err);
    if (st == VLY_OK)
        copy_to_shadow(call);
    return st;
}

static void done(vly_job *job)
{
    finish(job->ctx, job->status, &job->err);
}

/* The earlier of what the protocol and what the request say. */
static vly_nsec deadline_of(const vly_infer *call)
{
    uint64_t us = call->request.timeout_us;
    vly_nsec since = call->received_ns;

    if (us == 0 || us > (UINT64_MAX - since) / VLY_NSEC_PER_US)
        return call->deadline_ns;
    vly_nsec own = since + us * VLY_NSEC_PER_US;
    return call->deadline_ns != 0 && call->deadline_ns < own ? call->deadline_ns : own;
}

static vly_status fail_late(vly_err *err)
{
    return vly_fail(err, VLY_EDEADLINE, "Request timeout expired");
}

static vly_status check_time(const vly_infer *call, vly_err *err)
{
    if (call->job.deadline_ns != 0 && vly_clock_now() > call->job.deadline_ns)
        return fail_late(err);
    return VLY_OK;
}

static vly_status count_failure(vly_infer *call, vly_status st)
{
    vly_job_failure why = st == VLY_EDEADLINE ? VLY_JOB_FAILURE_CANCELED
                          : st == VLY_EBUSY   ? VLY_JOB_FAILURE_REJECTED
                                              : VLY_JOB_FAILURE_OTHER;

    vly_counter_add(&call->model->stats.failures[why], 1);
    return st;
}

/* ---- to the scheduler ---- */

static void go_to_worker(vly_infer *call, void (*run)(vly_work *work))
{
    call->work = (vly_work){.run = run};
    vly_status st = vly_worker_pool_submit(vly_scheduler_pool(call->api->scheduler), &call->work);
    VLY_ASSERT(st == VLY_OK); /* the pool's line has no bound of its own: see scheduler.c */
}

static vly_infer *call_of(vly_work *work)
{
    return (vly_infer *)(void *)((char *)work - offsetof(vly_infer, work));
}

/* Nobody knows the results. */
static vly_status run(vly_infer *call, vly_err *err)
{
    vly_job *job = &call->job;
    vly_nsec began = vly_clock_now();
    vly_status st = call->inputs == NULL ? vly_infer__bind(call, err) : VLY_OK;

    job->inputs = call->inputs;
    call->read_ns += vly_clock_now() - began;
    if (st == VLY_OK)
        return vly_scheduler_submit(call->model, &job, 1, err);
    return count_failure(call, st);
}

static void run_on_worker(vly_work *work)
{
    vly_infer *call = call_of(work);
    vly_err err;
    vly_status st = run(call, &err);

    if (st != VLY_OK)
        finish(call, st, &err);
}

/* ---- what is known already ---- */

static void answer_known(vly_infer *call)
{
    vly_err err;
    vly_status st = call->write != NULL ? call->write(call, &err) : VLY_OK;

    call->was_known = true;
    if (st == VLY_OK)
        vly_served_count_known(call->model, call->received_ns);
    else
        count_failure(call, st);
    finish(call, st, &err);
}

static void use_on_worker(vly_work *work)
{
    vly_infer *call = call_of(work);
    vly_err err;

    if (check_time(call, &err) != VLY_OK) /* he has waited for another */
        finish(call, count_failure(call, VLY_EDEADLINE), &err);
    else if (vly_infer__use(call))
        answer_known(call);
    else
        run_on_worker(work);
}

/* Who has computed the same is done: his thread is not to write our answer, and a long line of
 * those who fail is not to become a deep stack. What is late is answered at once: the workers may
 * be busy for long. */
static void resume(vly_infer *call, vly_cache_found how)
{
    vly_err err;

    if (how == VLY_CACHE_LATE)
        finish(call, count_failure(call, fail_late(&err)), &err);
    else
        go_to_worker(call, how == VLY_CACHE_HIT ? use_on_worker : run_on_worker);
}

static void use(vly_infer *call)
{
    if (vly_infer__is_much(call)) {
        go_to_worker(call, use_on_worker);
        return;
    }
    if (vly_infer__use(call))
        answer_known(call);
    else
        go_to_worker(call, run_on_worker);
}

/* ---- from the request ---- */

static vly_status check(vly_infer *call, vly_err *err)
{
    vly_status st = check_time(call, err);

    return st == VLY_OK ? vly_infer__choose(call, err) : st;
}

static void init_job(vly_infer *call)
{
    const vly_infer_request *r = &call->request;

    call->job = (vly_job){.kind = VLY_JOB_TENSORS,
                          .ctx = call,
                          .loop = call->loop,
                          .is_cancelled = call->is_cancelled,
                          .deadline_ns = deadline_of(call),
                          .received_ns = call->received_ns,
                          .priority = r->priority,
                          .timeout_us = r->timeout_us,
                          .sequence = r->sequence,
                          .encode = encode,
                          .done = done};
}

/* The request is read: checks it, and answers it with what is known, or submits the job. What is
 * refused before the scheduler sees it counts as a failure of the model all the same. Pictures are
 * decoded on a worker, and only when the cache does not know them. */
static vly_status submit(vly_infer *call, bool is_on_loop, vly_err *err)
{
    bool has_pictures = vly_infer__has_pictures(call);

    init_job(call);
    vly_status st = check(call, err);
    if (st == VLY_OK && !has_pictures)
        st = vly_infer__bind(call, err);
    call->read_ns = vly_clock_now() - call->read_ns;
    if (st != VLY_OK)
        return count_failure(call, st);
    vly_cache_found found = vly_infer__ask(call, resume);
    if (found == VLY_CACHE_HIT)
        use(call);
    if (found == VLY_CACHE_LATE) {
        call->is_late = true; /* he would be */
        return count_failure(call, vly_fail(err, VLY_EBUSY,
                                            "model '%s': the wait for an equal "
                                            "request would be past the deadline",
                                            call->model->name));
    }
    if (found != VLY_CACHE_LEAD)
        return VLY_OK;
    if (!has_pictures || !is_on_loop)
        return run(call, err);
    go_to_worker(call, run_on_worker);
    return VLY_OK;
}

static vly_status read_request(vly_infer *call, vly_err *err)
{
    vly_status st = VLY_OK;

    call->read_ns = vly_clock_now();
    if (call->read != NULL)
        st = call->read(call, err);
    if (st == VLY_OK)
        st = take_arm(call, err);
    return st == VLY_OK ? st : count_failure(call, st);
}

static void work_on_worker(vly_work *work)
{
    vly_infer *call = call_of(work);
    vly_err err;
    vly_status st = call->is_heavy ? read_request(call, &err) : VLY_OK;

    if (st == VLY_OK)
        st = submit(call, false, &err);
    if (st != VLY_OK)
        finish(call, st, &err);
}

static vly_status begin(vly_infer *call, vly_err *err)
{
    if (call->is_heavy) {
        go_to_worker(call, work_on_worker);
        return VLY_OK;
    }
    vly_status st = read_request(call, err);
    if (st != VLY_OK)
        return st;
    bool is_hashed = vly_infer__has_pictures(call) || vly_cached_has(call->api, call->served);
    if (!is_hashed || vly_infer__is_quick(call))
        return submit(call, true, err);
    go_to_worker(call, work_on_worker);
    return VLY_OK;
}

vly_status vly_infer_start(vly_infer *call, vly_err *err)
{
    vly_status st = find_target(call, err);

    if (st == VLY_OK) {
        call->served = call->model;
        st = begin(call, err);
    }
    if (st != VLY_OK) {
        release(call);
        count_arm(call, st);
        vly_served_unref(call->model);
        vly_model_route_unref(call->route);
        vly_route_arm_unref(call->arm);
        vly_model_route_unref(call->copied);
    }
    return st;
}

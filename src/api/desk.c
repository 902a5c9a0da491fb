/* SPDX-License-Identifier: MIT */
#include "api/desk.h"

#include "api/answer.h"
#include "base/assert.h"

typedef struct desk_call {
    vly_work work; /* first */
    vly_api *api;
    vly_http_request *req;
    void (*answer)(vly_api *api, vly_http_request *req);
} desk_call;

static void run(vly_work *work)
{
    const desk_call *c = (desk_call *)work;

    c->answer(c->api, c->req);
}

static vly_worker_pool *unless_workers(const vly_api *api, vly_worker_pool *pool,
                                       vly_key_scope scope)
{
    bool is_for_workers = scope == VLY_SCOPE_INFER || pool == NULL;

    return is_for_workers ? vly_scheduler_pool(api->scheduler) : pool;
}

vly_worker_pool *vly_desk_or_workers(const vly_api *api, vly_key_scope scope)
{
    return unless_workers(api, api->desk, scope);
}

vly_worker_pool *vly_files_or_workers(const vly_api *api, vly_key_scope scope)
{
    return unless_workers(api, api->files, scope);
}

static void submit(vly_worker_pool *pool, vly_work *work)
{
    vly_status st = vly_worker_pool_submit(pool, work);

    VLY_ASSERT(st == VLY_OK); /* no line has a bound of its own: one item of each request */
}

void vly_desk_submit(const vly_api *api, vly_work *work)
{
    submit(vly_files_or_workers(api, VLY_SCOPE_READ), work);
}

void vly_desk_answer(vly_api *api, vly_http_request *req,
                     void (*answer)(vly_api *api, vly_http_request *req))
{
    desk_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (desk_call){.work.run = run, .api = api, .req = req, .answer = answer};
    submit(vly_desk_or_workers(api, VLY_SCOPE_READ), &c->work);
}

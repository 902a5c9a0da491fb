/* SPDX-License-Identifier: MIT */
#include "api/on_worker.h"

#include "api/answer.h"

typedef struct worker_call {
    vly_work work; /* first */
    vly_api *api;
    vly_http_request *req;
    void (*answer)(vly_api *api, vly_http_request *req);
} worker_call;

static void run(vly_work *work)
{
    const worker_call *c = (worker_call *)work;

    c->answer(c->api, c->req);
}

void vly_on_worker(vly_api *api, vly_http_request *req,
                   void (*answer)(vly_api *api, vly_http_request *req))
{
    worker_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (worker_call){.work.run = run, .api = api, .req = req, .answer = answer};
    if (vly_worker_pool_submit(vly_scheduler_pool(api->scheduler), &c->work) != VLY_OK)
        run(&c->work);
}

/* SPDX-License-Identifier: MIT */
/*
 * POST /v1/store:backup: a copy of the session store, answered when it is whole and on the disk.
 * GET /v1/store: how far it is, and which was made last.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "store/store_backup.h"

#include <inttypes.h>

static bool is_here(const vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (api->backup != NULL)
        return true;
    vly_fail(&err, VLY_EUNAVAILABLE, "there is no store: store.path is not set");
    vly_answer_err(req, &err);
    return false;
}

static void answer_info(vly_api *api, vly_http_request *req)
{
    vly_store_backup_info info;
    vly_buf b;

    vly_store_backup_get(api->backup, &info);
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_puts(&b, "{\"backup\":{\"path\":");
    vly_buf_json_str(&b, vly_str_from(info.path));
    vly_buf_printf(
        &b,
        ",\"running\":%s,\"pages\":%zu,\"pages_done\":%zu,\"made\":%" PRIu64 ",\"failed\":%" PRIu64,
        info.is_running ? "true" : "false", info.n_pages, info.n_done, info.n_made, info.n_failed);
    if (info.made_ms > 0)
        vly_buf_printf(&b, ",\"made_ms\":%" PRId64, info.made_ms);
    vly_buf_puts(&b, "}}");
    vly_answer_json(req, 200, &b);
}

void vly_route_v1_store(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    if (is_here(api, req))
        answer_info(api, req);
}

/* Lives in the arena of the request until it is answered. */
typedef struct backup_call {
    vly_work work; /* first: a desk hands out a pointer to it */
    vly_api *api;
    vly_http_request *req;
} backup_call;

static void done(void *ctx, vly_status st, const vly_err *why)
{
    const backup_call *c = ctx;

    if (st == VLY_OK)
        answer_info(c->api, c->req);
    else
        vly_answer_err(c->req, why);
}

/* At the desk: it may have to wait for the thread of the last one to end. */
static void start(vly_work *work)
{
    backup_call *c = (backup_call *)work;
    vly_err err;

    if (vly_store_backup_start(c->api->backup, done, c, &err) != VLY_OK)
        vly_answer_err(c->req, &err);
}

void vly_route_v1_store_backup(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    backup_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    (void)captures;
    if (!is_here(api, req))
        return;
    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (backup_call){.work = {.run = start}, .api = api, .req = req};
    vly_desk_submit(api, &c->work);
}

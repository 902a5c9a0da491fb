/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/config: the settings in force; ?changed=true: those alone that are not the default.
 * POST /v1/config:reload: reads them again, all or nothing, and says what has changed.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "sys/config_live.h"

/* Lives in the arena of the request until it is answered. */
typedef struct reload_call {
    vly_work work; /* first: the pool hands out a pointer to it */
    vly_api *api;
    vly_http_request *req;
} reload_call;

static void refuse(vly_http_request *req)
{
    vly_err err;

    vly_fail(&err, VLY_EUNAVAILABLE, "the settings of this server cannot be seen here");
    vly_answer_err(req, &err);
}

static bool wants_changed(vly_http_request *req)
{
    vly_str text;

    return vly_http_msg_query(&req->msg, "changed", &text) == VLY_OK && vly_str_is(text, "true");
}

void vly_route_v1_config(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_buf b;

    (void)captures;
    if (api->config == NULL) {
        refuse(req);
        return;
    }
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_puts(&b, "{\"settings\":");
    vly_config_live_put_json(api->config, wants_changed(req), &b);
    vly_buf_putc(&b, '}');
    vly_answer_json(req, 200, &b);
}

static void reload(vly_work *work)
{
    reload_call *c = (reload_call *)work;
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    if (vly_config_live_reload(c->api->config, &b, &err) == VLY_OK) {
        vly_answer_json(c->req, 200, &b);
        return;
    }
    vly_buf_release(&b);
    vly_answer_err(c->req, &err);
}

void vly_route_v1_config_reload(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    if (api->config == NULL) {
        refuse(req);
        return;
    }
    reload_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (reload_call){.work = {.run = reload}, .api = api, .req = req};
    vly_desk_submit(api, &c->work);
}

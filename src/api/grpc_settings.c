/* SPDX-License-Identifier: MIT */
/* TraceSetting and LogSettings: api/settings.h by way of its JSON. */
#include "codec/grpc_settings.h"
#include "api/grpc_methods.h"
#include "api/infer.h"
#include "api/settings.h"

/* Which of the two extensions. */
typedef vly_status (*apply_fn)(const vly_grpc_call *call, vly_str model, vly_str update,
                               vly_buf *json, vly_err *err);
typedef vly_status (*put_fn)(vly_str json, vly_arena *arena, vly_buf *out, vly_err *err);

/* update is given up. */
static vly_status run(vly_grpc_call *call, apply_fn apply, put_fn put, vly_str model,
                      vly_buf *update, vly_buf *out, vly_err *err)
{
    vly_status st = VLY_ENOMEM;
    vly_buf json;

    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    if (!update->failed)
        st = apply(call, model, vly_buf_str(update), &json, err);
    if (st == VLY_OK && !json.failed)
        st = put(vly_buf_str(&json), &call->req->msg.arena, out, err);
    if (update->failed || json.failed)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for the settings");
    vly_buf_release(&json);
    vly_buf_release(update);
    return st;
}

static vly_status apply_trace(const vly_grpc_call *call, vly_str model, vly_str update,
                              vly_buf *json, vly_err *err)
{
    return vly_settings_trace(call->api->settings, model, update, &call->req->msg.arena, json, NULL,
                              err);
}

static vly_status apply_log(const vly_grpc_call *call, vly_str model, vly_str update, vly_buf *json,
                            vly_err *err)
{
    (void)model;
    return vly_settings_log(call->api->settings, update, &call->req->msg.arena, json, err);
}

vly_status vly_grpc_trace_settings(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_arena *arena = &call->req->msg.arena;
    vly_grpc_trace_request r;
    vly_served *m = NULL;
    vly_buf update;
    vly_status st = vly_grpc_trace_request_parse(call->message, arena, &r, err);

    if (st == VLY_OK && r.model.len > 0)
        st = vly_infer_find(call->api, r.model, (vly_str){NULL, 0}, &m, err);
    vly_served_unref(m);
    if (st != VLY_OK)
        return st;
    vly_buf_init(&update, VLY_MEM_NET, call->api->max_answer_bytes);
    if (r.n_settings > 0)
        vly_grpc_put_trace_update(&r, &update);
    return run(call, apply_trace, vly_grpc_put_trace_settings, r.model, &update, out, err);
}

vly_status vly_grpc_log_settings(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_params p;
    vly_buf update;
    vly_status st = vly_grpc_log_request_parse(call->message, &call->req->msg.arena, &p, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&update, VLY_MEM_NET, call->api->max_answer_bytes);
    if (p.n > 0)
        vly_grpc_put_log_update(&p, &update);
    return run(call, apply_log, vly_grpc_put_log_settings, (vly_str){NULL, 0}, &update, out, err);
}

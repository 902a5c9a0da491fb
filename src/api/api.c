/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include "api/access.h"
#include "api/access_log.h"
#include "api/answer.h"
#include "api/call.h"
#include "api/cors.h"
#include "api/grpc.h"
#include "api/grpc_infer.h"
#include "api/origin.h"
#include "api/route_stats.h"
#include "api/routes.h"
#include "api/v2.h"
#include "base/assert.h"

/* Else every page that a browser shows could read what is streamed here, take sessions over, and
 * have models run or unloaded by a form. Where keys are asked for, a form has none to send. */
static bool is_foreign_page(const vly_api *api, const vly_http_request *req)
{
    bool is_looking = req->msg.method == VLY_HTTP_GET || req->msg.method == VLY_HTTP_HEAD;
    bool matters = req->stream_kind == VLY_STREAM_WEBSOCKET || (!is_looking && !api->needs_keys);

    return matters && !vly_origin_is_allowed(&req->msg, api->origins);
}

static void refuse_page(vly_api *api, vly_http_request *req)
{
    vly_err err;

    vly_counter_add(&api->access_stats.denied[VLY_ACCESS_ORIGIN], 1);
    vly_fail(&err, VLY_EDENIED,
             "pages of this origin may not come here: see the setting "
             "http.origins");
    vly_answer_err(req, &err);
}

static void handle(vly_api *api, vly_http_request *req)
{
#define ROW(method, scope, pattern, name)                                                          \
    {VLY_HTTP_##method, VLY_SCOPE_##scope, pattern, vly_route_##name},
    static const vly_route routes[] = {VLY_ROUTES(ROW)};
#undef ROW

    if (vly_grpc_handle(api, req) || vly_cors_preflight(api, req))
        return;
    if (is_foreign_page(api, req)) {
        refuse_page(api, req);
        return;
    }
    vly_router_dispatch(routes, VLY_COUNT(routes), api, req);
}

void vly_api_handle(void *ctx, vly_http_request *req)
{
    vly_call_begin(ctx, req);
    handle(ctx, req);
}

void vly_api_handle_admin(void *ctx, vly_http_request *req)
{
    vly_call_begin(ctx, req);
    vly_call *call = vly_call_of(req);
    if (call != NULL)
        call->is_admin = true;
    handle(ctx, req);
}

bool vly_api_turn(void *ctx, unsigned loop_idx)
{
    const vly_api *api = ctx;

    vly_scheduler_turn(api->scheduler, loop_idx);
    return api->imu_sessions != NULL && vly_imu_sessions_turn(api->imu_sessions, loop_idx);
}

void vly_api_finished(void *ctx, const vly_http_request *req, const vly_http_finished *f)
{
    const vly_api *api = ctx;

    vly_access_finished(api, req);
    if (f->status == 0)
        return; /* nothing was answered, and nobody is there to hear it */
    vly_trace_finished(api->tracer, req, f); /* decides whether it was traced */
    vly_route_stats_count(api->route_stats, req, f);
    vly_access_log_finished(api, req, f);
}

size_t vly_api_body_aligned_at(const vly_http_msg *msg)
{
    vly_str text = vly_http_msg_header(msg, VLY_V2_HEADER_LENGTH);
    vly_str body = vly_buf_str(&msg->body);
    uint64_t len = 0;

    if (!vly_grpc_is_type(vly_http_msg_header(msg, "content-type")))
        return text.ptr != NULL && vly_str_to_u64(text, &len) ? (size_t)len : 0;
    if (body.len < VLY_GRPC_HEAD_BYTES || body.ptr[0] != 0)
        return 0;
    len = vly_grpc_infer_raw_at(
        (vly_str){body.ptr + VLY_GRPC_HEAD_BYTES, body.len - VLY_GRPC_HEAD_BYTES});
    return len > 0 ? (size_t)len + VLY_GRPC_HEAD_BYTES : 0;
}

/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include "api/access_log.h"
#include "api/answer.h"
#include "api/call.h"
#include "api/grpc.h"
#include "api/grpc_infer.h"
#include "api/origin.h"
#include "api/route_stats.h"
#include "api/routes.h"
#include "api/v2.h"
#include "base/assert.h"

#define HTTP_FORBIDDEN 403

/* Else every page that a browser shows could read what is streamed here, and take sessions over. */
static bool is_foreign_page(const vly_api *api, const vly_http_request *req)
{
    return req->stream_kind == VLY_STREAM_WEBSOCKET &&
           !vly_origin_is_allowed(&req->msg, api->origins);
}

static void refuse_page(vly_http_request *req)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, VLY_ERR_MSG_MAX);
    vly_buf_puts(&b, "{\"error\":\"pages of this origin may not open streams here: see the setting "
                     "http.origins\"}");
    vly_answer_json(req, HTTP_FORBIDDEN, &b);
}

void vly_api_handle(void *ctx, vly_http_request *req)
{
#define ROW(method, scope, pattern, name)                                                          \
    {VLY_HTTP_##method, VLY_SCOPE_##scope, pattern, vly_route_##name},
    static const vly_route routes[] = {VLY_ROUTES(ROW)};
#undef ROW

    vly_call_begin(ctx, req);
    if (vly_grpc_handle(ctx, req))
        return;
    if (is_foreign_page(ctx, req)) {
        refuse_page(req);
        return;
    }
    vly_router_dispatch(routes, VLY_COUNT(routes), ctx, req);
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

    vly_route_stats_count(api->route_stats, req, f);
    vly_access_log_finished(api, req, f);
    vly_trace_finished(api->tracer, req, f);
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

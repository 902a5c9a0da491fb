/* SPDX-License-Identifier: MIT */
#include "api/api.h"

#include "api/call.h"
#include "api/grpc.h"
#include "api/routes.h"
#include "base/assert.h"

void vly_api_handle(void *ctx, vly_http_request *req)
{
#define ROW(method, pattern, name) {VLY_HTTP_##method, pattern, vly_route_##name},
    static const vly_route routes[] = {VLY_ROUTES(ROW)};
#undef ROW

    vly_call_begin(ctx, req);
    if (vly_grpc_handle(ctx, req))
        return;
    vly_router_dispatch(routes, VLY_COUNT(routes), ctx, req);
}

void vly_api_turn(void *ctx, unsigned loop_idx)
{
    const vly_api *api = ctx;
    vly_scheduler_turn(api->scheduler, loop_idx);
}

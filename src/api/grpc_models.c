/* SPDX-License-Identifier: MIT */
/* Readiness of server and models. */
#include "api/grpc_methods.h"
#include "codec/grpc_admin.h"
#include "codec/pbwire.h"

/* {live, ready} = 1: what is false is left out. */
static void put_flag(vly_buf *out, bool flag)
{
    if (flag)
        vly_pb_put_varint(out, 1, 1);
}

vly_status vly_grpc_server_live(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    (void)call;
    (void)err;
    put_flag(out, true);
    return VLY_OK;
}

vly_status vly_grpc_server_ready(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    (void)err;
    put_flag(out, vly_api_is_ready(call->api));
    return VLY_OK;
}

vly_status vly_grpc_model_ready(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_model_request r;
    vly_status st = vly_grpc_model_request_parse(call->message, &r, err);

    if (st != VLY_OK)
        return st;
    vly_served *m = vly_scheduler_find(call->api->scheduler, r.name, r.version);
    put_flag(out, m != NULL && m->servable != NULL);
    vly_served_unref(m);
    return VLY_OK;
}

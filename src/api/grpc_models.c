/* SPDX-License-Identifier: MIT */
/* Readiness of server and models, and what there is to know of them: the JSON of REST's answers as
 * messages. */
#include "api/grpc_descriptors.h"
#include "api/grpc_infer.h"
#include "api/grpc_methods.h"
#include "api/v2.h"
#include "codec/grpc_admin.h"
#include "codec/pb_json.h"
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

static vly_status read_request(const vly_grpc_call *call, vly_grpc_model_request *ret, vly_err *err)
{
    vly_status st = vly_grpc_model_request_parse(call->message, ret, err);

    return st == VLY_OK ? vly_grpc_check_version(ret->version, err) : st;
}

vly_status vly_grpc_model_ready(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_model_request r;
    vly_status st = read_request(call, &r, err);

    if (st != VLY_OK)
        return st;
    vly_served *m = NULL;
    put_flag(out, vly_infer_find(call->api, r.name, r.version, &m, NULL) == VLY_OK);
    vly_served_unref(m);
    return VLY_OK;
}

vly_status vly_grpc_put_json(const char *type, const vly_buf *json, vly_buf *out, vly_err *err)
{
    if (json->failed)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the answer");
    return vly_pb_from_json(vly_grpc_descriptors(), type, vly_buf_str(json), out, err);
}

vly_status vly_grpc_server_metadata(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_buf json;

    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_v2_put_server(&json);
    vly_status st = vly_grpc_put_json("inference.ServerMetadataResponse", &json, out, err);
    vly_buf_release(&json);
    return st;
}

static vly_status find_model(const vly_grpc_call *call, vly_served **ret, vly_err *err)
{
    vly_grpc_model_request r;
    vly_status st = read_request(call, &r, err);

    return st == VLY_OK ? vly_infer_find(call->api, r.name, r.version, ret, err) : st;
}

vly_status vly_grpc_model_metadata(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_served *m;
    vly_buf json;
    vly_status st = find_model(call, &m, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_v2_put_model(call->api, m, &json);
    vly_served_unref(m);
    st = vly_grpc_put_json("inference.ModelMetadataResponse", &json, out, err);
    vly_buf_release(&json);
    return st;
}

vly_status vly_grpc_model_config(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_served *m;
    vly_buf json;
    vly_status st = find_model(call, &m, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_buf_puts(&json, "{\"config\":");
    vly_v2_put_config(call->api, m, &json);
    vly_buf_putc(&json, '}');
    vly_served_unref(m);
    st = vly_grpc_put_json("inference.ModelConfigResponse", &json, out, err);
    vly_buf_release(&json);
    return st;
}

vly_status vly_grpc_model_statistics(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_grpc_model_request r;
    vly_buf json;
    vly_status st = read_request(call, &r, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    st = vly_v2_put_stats(call->api, r.name, r.version, &json, err);
    if (st == VLY_OK)
        st = vly_grpc_put_json("inference.ModelStatisticsResponse", &json, out, err);
    vly_buf_release(&json);
    return st;
}

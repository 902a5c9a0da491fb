/* SPDX-License-Identifier: MIT */
/* volley.v1.Steps: recordings and sessions. Answers are made from the JSON of their REST twins. */
#include "codec/grpc_steps.h"
#include "api/access.h"
#include "api/grpc_methods.h"
#include "api/imu_json.h"
#include "api/imu_list.h"
#include "api/steps_detect.h"
#include "codec/grpc_admin.h"

#define LIST_DEFAULT   100
#define LIST_MAX       1000
#define RATE_MAX_HZ    10000
#define LOOK_AHEAD_MAX 60000 /* ms */

static vly_status answer_json(const char *type, vly_status st, vly_buf *json, vly_buf *out,
                              vly_err *err)
{
    if (st == VLY_OK)
        st = vly_grpc_put_json(type, json, out, err);
    vly_buf_release(json);
    return st;
}

/* ---- Detect ---- */

static vly_status read_detect(const vly_grpc_call *call, vly_grpc_detect_request *r, vly_err *err)
{
    vly_status st = vly_grpc_detect_request_parse(call->message, r, err);

    if (st != VLY_OK)
        return st;
    if (r->recording.len == 0)
        return vly_fail(err, VLY_EINVAL, "'recording': expected a recording, got nothing");
    if (!(r->rate_hz == 0 || (r->rate_hz >= 1 && r->rate_hz <= RATE_MAX_HZ)))
        return vly_fail(err, VLY_EINVAL, "'rate_hz': expected 1 to %d, got %g", RATE_MAX_HZ,
                        r->rate_hz);
    if (r->look_ahead_ms < -1 || r->look_ahead_ms > LOOK_AHEAD_MAX)
        return vly_fail(err, VLY_EINVAL, "'look_ahead_ms': expected at most %d", LOOK_AHEAD_MAX);
    return VLY_OK;
}

vly_status vly_grpc_steps_detect(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    vly_api *api = call->api;
    vly_grpc_detect_request r;
    vly_buf json;

    if (api->steps_pool == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    vly_status st = read_detect(call, &r, err);
    if (st == VLY_OK)
        st = vly_steps_pool_enter(api->steps_pool, err);
    if (st != VLY_OK)
        return st;
    const vly_steps_detect detect = {.api = api,
                                     .reader = {.rate_hz = r.rate_hz,
                                                .is_rate_forced = r.rate_hz > 0,
                                                .columns = r.columns,
                                                .acc_unit = r.acc_unit,
                                                .gyro_unit = r.gyro_unit,
                                                .time_unit = r.time_unit},
                                     .look_ahead_ms = (int)r.look_ahead_ms,
                                     .is_without_events = r.is_without_events,
                                     .is_cancelled = &call->req->is_cancelled};
    vly_buf_init(&json, VLY_MEM_NET, api->max_answer_bytes);
    st = vly_steps_detect_run(&detect, r.recording, VLY_STEPS_JSON, &json, err);
    vly_steps_pool_leave(api->steps_pool);
    return answer_json("volley.v1.DetectResponse", st, &json, out, err);
}

/* ---- sessions ---- */

static vly_status read_id(const vly_grpc_call *call, vly_str *ret, vly_err *err)
{
    if (call->api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    return vly_grpc_name_parse(call->message, ret, err);
}

typedef vly_status (*session_fn)(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                 vly_imu_session_info *ret, vly_err *err);

static vly_status on_session(vly_grpc_call *call, session_fn fn, vly_buf *out, vly_err *err)
{
    const vly_imu_who who = vly_access_who(call->api, call->req);
    vly_imu_session_info info;
    vly_buf json;
    vly_str id;
    vly_status st = read_id(call, &id, err);

    if (st == VLY_OK)
        st = fn(call->api->imu_sessions, &who, id, &info, err);
    if (st != VLY_OK)
        return st;
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_imu_put_session(&json, &info);
    return answer_json("volley.v1.Session", st, &json, out, err);
}

vly_status vly_grpc_steps_get(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    return on_session(call, vly_imu_sessions_find, out, err);
}

vly_status vly_grpc_steps_reset(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    return on_session(call, vly_imu_sessions_reset, out, err);
}

vly_status vly_grpc_steps_delete(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    return on_session(call, vly_imu_sessions_remove, out, err);
}

vly_status vly_grpc_steps_list(vly_grpc_call *call, vly_buf *out, vly_err *err)
{
    const vly_imu_who who = vly_access_who(call->api, call->req);
    vly_grpc_sessions_request r;
    char last[VLY_IMU_ID_LEN + 1];
    vly_buf json;

    if (call->api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    vly_status st = vly_grpc_sessions_request_parse(call->message, &r, err);
    if (st != VLY_OK)
        return st;
    if (r.limit > LIST_MAX)
        return vly_fail(err, VLY_EINVAL, "'limit': expected at most %d, got %llu", LIST_MAX,
                        (unsigned long long)r.limit);
    vly_buf_init(&json, VLY_MEM_NET, call->api->max_answer_bytes);
    vly_buf_puts(&json, "{\"sessions\":[");
    st = vly_imu_list_json(call->api->imu_sessions, &who, r.after,
                           r.limit > 0 ? r.limit : LIST_DEFAULT, &json, last, err);
    vly_buf_puts(&json, "]}");
    return answer_json("volley.v1.ListSessionsResponse", st, &json, out, err);
}

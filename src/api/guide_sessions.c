/* SPDX-License-Identifier: MIT */
/*
 * GET /sessions, GET and DELETE /sessions/{id}: the sessions of /v1/sessions in the guide's shapes,
 * whatever they come by.
 */
#include "api/routes.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/desk.h"
#include "api/guide.h"
#include "api/imu_list.h"
#include "base/clock.h"

#include <inttypes.h>

#define LIST_MAX 10000 /* sessions in one answer; "active_sessions" counts all */

/* Lives in the arena of the request until it is answered. */
typedef struct list_call {
    vly_work work;
    vly_api *api;
    vly_http_request *req;
} list_call;

static double seconds(int64_t ms)
{
    return (double)ms / 1e3;
}

static double age(int64_t since_ms)
{
    return seconds((int64_t)vly_clock_unix_ms() - since_ms);
}

typedef struct rows {
    vly_buf *b;
    uint64_t sum; /* of readings */
} rows;

static void put_row(void *ctx, const vly_imu_session_info *info, size_t idx)
{
    rows *r = ctx;

    vly_buf_puts(r->b, idx > 0 ? "," : "");
    vly_buf_json_str(r->b, vly_str_from(info->id));
    vly_buf_printf(r->b, ":{\"duration\":%.3f,\"requests\":%" PRIu64 ",\"last_activity\":%.3f}",
                   age(info->begun_ms), info->totals.n_readings, seconds(info->heard_ms));
    r->sum += info->totals.n_readings;
}

static void list(vly_work *work)
{
    list_call *c = (list_call *)work;
    vly_imu_sessions *sessions = c->api->imu_sessions;
    const vly_imu_who who = vly_access_who(c->api, c->req);
    size_t n = 0, n_attached = 0;
    char last[VLY_IMU_ID_LEN + 1];
    vly_err err = VLY_ERR_INIT;
    vly_buf b;
    rows r = {.b = &b};

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_imu_sessions_count(sessions, &who, &n, &n_attached);
    vly_buf_printf(&b, "{\"active_sessions\":%zu,\"sessions\":{", n);
    (void)!vly_imu_list(sessions, &who, VLY_STR(""), LIST_MAX, put_row, &r, last, &err);
    vly_buf_printf(&b, "},\"total_requests\":%" PRIu64 "}", r.sum);
    vly_guide_answer(c->req, &err, &b);
}

/* At the desk: there may be many. */
void vly_route_guide_sessions(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    list_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));

    (void)captures;
    if (api->imu_sessions == NULL || c == NULL) {
        vly_guide_fail(req, vly_status_http(VLY_EUNAVAILABLE),
                       c == NULL ? "out of memory for the request" : VLY_STEPS_NOT_HERE);
        return;
    }
    *c = (list_call){.work = {.run = list}, .api = api, .req = req};
    vly_desk_submit(api, &c->work);
}

/* ENOTFOUND as the guide says it. */
static vly_status not_found(vly_status st, vly_err *err)
{
    return st == VLY_ENOTFOUND || st == VLY_EINVAL
               ? vly_fail(err, VLY_ENOTFOUND, "Session not found")
               : st;
}

static vly_status find(const vly_api *api, const vly_imu_who *who, vly_str id,
                       vly_imu_session_info *ret, vly_err *err)
{
    if (api->imu_sessions == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, VLY_STEPS_NOT_HERE);
    return not_found(vly_imu_sessions_find(api->imu_sessions, who, id, ret, err), err);
}

void vly_route_guide_session(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    const vly_imu_who who = vly_access_who(api, req);
    vly_imu_session_info info;
    vly_err err = VLY_ERR_INIT;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (find(api, &who, captures[0], &info, &err) == VLY_OK) {
        vly_buf_puts(&b, "{\"session_id\":");
        vly_buf_json_str(&b, vly_str_from(info.id));
        vly_buf_printf(&b,
                       ",\"created_at\":%.3f,\"last_activity\":%.3f,\"duration\":%.3f,"
                       "\"total_requests\":%" PRIu64 ",\"is_active\":%s}",
                       seconds(info.begun_ms), seconds(info.heard_ms), age(info.begun_ms),
                       info.totals.n_readings, info.is_attached ? "true" : "false");
    }
    vly_guide_answer(req, &err, &b);
}

void vly_route_guide_session_end(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    const vly_imu_who who = vly_access_who(api, req);
    vly_imu_session_info info;
    vly_err err = VLY_ERR_INIT;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_status st = find(api, &who, captures[0], &info, &err);
    if (st == VLY_OK)
        st = not_found(vly_imu_sessions_remove(api->imu_sessions, &who, captures[0], NULL, &err),
                       &err);
    if (st == VLY_OK) {
        vly_buf_printf(&b, "{\"message\":\"Session %s terminated successfully\",\"timestamp\":\"",
                       info.id);
        vly_guide_put_time(&b);
        vly_buf_puts(&b, "\"}");
    }
    vly_guide_answer(req, &err, &b);
}

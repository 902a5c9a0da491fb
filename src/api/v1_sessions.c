/* SPDX-License-Identifier: MIT */
/*
 * /v1/sessions: sessions of motion sensors. A key sees those that it has begun, an admin's all
 * (vly_access_who). Without keys an id is the key to its session, so whoever may list them may do
 * everything: a proxy is to guard the list.
 */
#include "api/routes.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/desk.h"
#include "api/imu_json.h"
#include "api/imu_list.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

/* False when it was answered: steps are not detected here. */
static bool is_here(const vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (api->imu_sessions != NULL)
        return true;
    vly_fail(&err, VLY_EUNAVAILABLE, "steps are not detected here: steps.model is off");
    vly_answer_err(req, &err);
    return false;
}

static void answer_session(const vly_api *api, vly_http_request *req,
                           const vly_imu_session_info *info)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_imu_put_session(&b, info);
    vly_answer_json(req, 200, &b);
}

/* ---- the list ---- */

static vly_status read_limit(vly_http_msg *msg, size_t *ret, vly_err *err)
{
    vly_str text;
    uint64_t limit = LIMIT_DEFAULT;
    vly_status st = vly_http_msg_query(msg, "limit", &text);

    if (st == VLY_OK && (!vly_str_to_u64(text, &limit) || limit < 1 || limit > LIMIT_MAX))
        st = VLY_EINVAL;
    if (st != VLY_OK && st != VLY_ENOTFOUND)
        return vly_fail(err, VLY_EINVAL, "limit: expected a number from 1 to %d", LIMIT_MAX);
    *ret = (size_t)limit;
    return VLY_OK;
}

static vly_status read_after(vly_http_msg *msg, vly_str *ret, vly_err *err)
{
    vly_status st = vly_http_msg_query(msg, "after", ret);

    if (st == VLY_ENOTFOUND)
        *ret = (vly_str){NULL, 0};
    else if (st != VLY_OK)
        return vly_fail(err, VLY_EINVAL, "after: expected the id of a session");
    return VLY_OK;
}

/* Lives in the arena of the request until it is answered. */
typedef struct list_call {
    vly_work work; /* first */
    vly_api *api;
    vly_http_request *req;
    vly_str after;
    size_t limit;
} list_call;

static void list(vly_work *work)
{
    const list_call *c = (const list_call *)work;
    const vly_imu_who who = vly_access_who(c->api, c->req);
    size_t n = 0, n_attached = 0;
    char last[VLY_IMU_ID_LEN + 1];
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_buf_puts(&b, "{\"sessions\":[");
    if (vly_imu_list_json(c->api->imu_sessions, &who, c->after, c->limit, &b, last, &err) !=
        VLY_OK) {
        vly_buf_release(&b);
        vly_answer_err(c->req, &err);
        return;
    }
    vly_imu_sessions_count(c->api->imu_sessions, &who, &n, &n_attached);
    vly_buf_printf(&b, "],\"count\":%zu,\"attached\":%zu", n, n_attached);
    if (last[0] != '\0')
        vly_buf_printf(&b, ",\"after\":\"%s\"", last);
    vly_buf_putc(&b, '}');
    vly_answer_json(c->req, 200, &b);
}

/* At the desk: thousands of sessions take longer than a loop may. */
void vly_route_v1_sessions(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    list_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_status st = VLY_OK;
    vly_err err;

    (void)captures;
    if (!is_here(api, req))
        return;
    if (c == NULL)
        st = vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
    if (st == VLY_OK)
        st = read_limit(&req->msg, &c->limit, &err);
    if (st == VLY_OK)
        st = read_after(&req->msg, &c->after, &err);
    if (st == VLY_OK) {
        c->work.run = list;
        c->api = api;
        c->req = req;
        vly_desk_submit(api, &c->work);
        return;
    }
    vly_answer_err(req, &err);
}

/* ---- one ---- */

typedef vly_status (*session_fn)(vly_imu_sessions *s, const vly_imu_who *who, vly_str id,
                                 vly_imu_session_info *ret_info, vly_err *err);

static void do_to_one(const vly_api *api, vly_http_request *req, vly_str id, session_fn fn)
{
    const vly_imu_who who = vly_access_who(api, req);
    vly_imu_session_info info;
    vly_err err;

    if (!is_here(api, req))
        return;
    if (fn(api->imu_sessions, &who, id, &info, &err) == VLY_OK)
        answer_session(api, req, &info);
    else
        vly_answer_err(req, &err);
}

void vly_route_v1_session(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    do_to_one(api, req, captures[0], vly_imu_sessions_find);
}

void vly_route_v1_session_reset(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    do_to_one(api, req, captures[0], vly_imu_sessions_reset);
}

void vly_route_v1_session_remove(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    do_to_one(api, req, captures[0], vly_imu_sessions_remove);
}

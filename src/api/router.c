/* SPDX-License-Identifier: MIT */
#include "api/router.h"

#include "api/access.h"
#include "api/answer.h"
#include "api/call.h"
#include "api/route_stats.h"
#include "base/assert.h"

#include <stdio.h>

static bool is_number(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

/* What the segment of a pattern takes of got, as a capture; literal segments take nothing. */
static bool match_segment(vly_str want, vly_str got, bool *ret_is_capture, vly_str *ret)
{
    *ret_is_capture = vly_str_starts(want, VLY_STR("{}")) || vly_str_is(want, "{n}");
    *ret = got;
    if (!*ret_is_capture)
        return vly_str_eq(want, got);
    if (vly_str_is(want, "{n}"))
        return is_number(got);
    vly_str verb = {want.ptr + 2, want.len - 2};
    if (!vly_str_ends(got, verb))
        return false;
    ret->len -= verb.len;
    return ret->len > 0;
}

static bool match(const char *pattern, vly_str path, vly_str captures[VLY_ROUTE_CAPTURES])
{
    vly_str rest = vly_str_from(pattern);
    size_t n = 0;

    while (rest.ptr != NULL && path.ptr != NULL) {
        vly_str want = vly_str_split(&rest, '/');
        vly_str got = vly_str_split(&path, '/');
        vly_str taken;
        bool is_capture;
        if (!match_segment(want, got, &is_capture, &taken))
            return false;
        VLY_ASSERT(!is_capture || n < VLY_ROUTE_CAPTURES);
        if (is_capture)
            captures[n++] = taken;
    }
    for (; n < VLY_ROUTE_CAPTURES; n++)
        captures[n] = (vly_str){NULL, 0}; /* of a pattern that matched in part */
    return rest.ptr == NULL && path.ptr == NULL;
}

/* Triton's words below /v2, where its clients may look for them. */
static void answer_unknown_path(vly_http_request *req)
{
    vly_str path = req->msg.path;
    vly_err err;

    if (vly_str_starts(path, VLY_STR("/v2")))
        vly_fail(&err, VLY_ENOTFOUND, "Not Found");
    else
        vly_fail(&err, VLY_ENOTFOUND, "nothing is served at '%.*s'", VLY_STR_ARG(path));
    vly_answer_err(req, &err);
}

static const char *method_text(vly_http_method m)
{
    switch ((int)m) { /* those that the table has */
    case VLY_HTTP_GET:
        return "GET, HEAD";
    case VLY_HTTP_POST:
        return "POST";
    case VLY_HTTP_PUT:
        return "PUT";
    default:
        return "DELETE";
    }
}

static void run(const vly_route *r, vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    if (vly_access_admit(api, req, r->scope, &err) == VLY_OK)
        r->fn(api, req, captures);
    else
        vly_answer_err(req, &err);
}

void vly_router_dispatch(const vly_route *routes, size_t n, vly_api *api, vly_http_request *req)
{
    vly_http_method method = req->msg.method == VLY_HTTP_HEAD ? VLY_HTTP_GET : req->msg.method;
    vly_str captures[VLY_ROUTE_CAPTURES] = {{NULL, 0}};
    char allow[64] = "";
    vly_err err;

    for (size_t i = 0; i < n; i++) {
        if (!match(routes[i].pattern, req->msg.path, captures))
            continue;
        if (routes[i].method == method) {
            vly_call_set_route(req, VLY_ROUTE_IDX_HTTP(i));
            run(&routes[i], api, req, captures);
            return;
        }
        size_t len = strlen(allow);
        snprintf(allow + len, sizeof(allow) - len, "%s%s", len > 0 ? ", " : "",
                 method_text(routes[i].method));
    }
    if (vly_access_count(api, req, &err) != VLY_OK)
        vly_answer_err(req, &err);
    else if (allow[0] == '\0')
        answer_unknown_path(req);
    else
        vly_answer_not_allowed(req, allow);
}

/* SPDX-License-Identifier: MIT */
#include "api/cors.h"

#include "api/answer.h"
#include "api/call.h"
#include "api/origin.h"
#include "base/assert.h"

static vly_str origin_of(const vly_http_request *req)
{
    return vly_http_msg_header(&req->msg, "Origin");
}

bool vly_cors_preflight(const vly_api *api, vly_http_request *req)
{
    static const vly_http_header allowed[] = {
        {VLY_STR("Access-Control-Allow-Methods"), VLY_STR("GET, HEAD, POST, PUT, PATCH, DELETE")},
        {VLY_STR("Access-Control-Allow-Headers"),
         VLY_STR("Accept, Authorization, Content-Encoding, Content-Type, "
                 "Inference-Header-Content-Length, X-Api-Key, X-Request-Id, traceparent, "
                 "tracestate")},
        {VLY_STR("Access-Control-Max-Age"), VLY_STR("600")},
    };
    vly_str method = vly_http_msg_header(&req->msg, "Access-Control-Request-Method");
    vly_err err;

    if (req->msg.method != VLY_HTTP_OPTIONS || method.ptr == NULL || origin_of(req).ptr == NULL)
        return false;
    if (!vly_origin_is_allowed(&req->msg, api->origins)) {
        vly_fail(&err, VLY_EDENIED,
                 "pages of this origin may not come here: see the setting "
                 "http.origins");
        vly_answer_err(req, &err);
        return true;
    }
    vly_answer(req, &(vly_http_answer){
                        .status = 204, .headers = allowed, .n_headers = VLY_COUNT(allowed)});
    return true;
}

/* An answer that depends on Origin says so also when there was none: a cache keeps it for those who
 * send one. */
size_t vly_cors_put_headers(const vly_http_request *req, vly_http_header to[VLY_CORS_HEADERS_MAX])
{
    const vly_call *call = vly_call_of(req);
    const char *list = call != NULL && call->api->origins != NULL ? call->api->origins : "";
    bool is_for_all = list[0] != '\0' && vly_origin_is_listed(VLY_STR(""), list);
    vly_str origin = origin_of(req);
    size_t n = 0;

    if (list[0] == '\0')
        return 0;
    if (!is_for_all)
        to[n++] = (vly_http_header){VLY_STR("Vary"), VLY_STR("Origin")};
    if (origin.ptr == NULL || !vly_origin_is_listed(origin, list))
        return n;
    to[n++] = (vly_http_header){VLY_STR("Access-Control-Allow-Origin"),
                                is_for_all ? VLY_STR("*") : origin};
    to[n++] = (vly_http_header){
        VLY_STR("Access-Control-Expose-Headers"),
        VLY_STR("Inference-Header-Content-Length, RateLimit, RateLimit-Policy, Retry-After, "
                "Server-Timing, WWW-Authenticate, X-Request-Id")};
    return n;
}

/* SPDX-License-Identifier: MIT */
/* GET and POST of /v2/trace/setting, /v2/models/{m}/trace/setting and /v2/logging. */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "api/settings.h"

#include <stdio.h>

static vly_str update_of(const vly_http_request *req)
{
    return req->msg.method == VLY_HTTP_POST ? vly_buf_str(&req->msg.body) : VLY_STR("");
}

static vly_status trace(vly_api *api, vly_http_request *req, vly_str model, vly_buf *b,
                        const char **ret_warning, vly_err *err)
{
    vly_served *m = NULL;

    if (model.len > 0) {
        vly_status st = vly_infer_find(api, model, VLY_STR(""), &m, err);
        if (st != VLY_OK)
            return st;
    }
    vly_served_unref(m);
    return vly_settings_trace(api->settings, model, update_of(req), &req->msg.arena, b, ret_warning,
                              err);
}

void vly_route_v2_trace(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    const char *warning = NULL;
    char text[64];
    vly_err err;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_status st = trace(api, req, captures[0], &b, &warning, &err);
    if (st == VLY_OK && b.failed)
        st = vly_fail(&err, VLY_ENOMEM, "out of memory for the answer");
    snprintf(text, sizeof(text), "199 - \"%s\"", warning != NULL ? warning : "");
    const vly_http_header header = {VLY_STR("Warning"), vly_str_from(text)};
    if (st == VLY_OK)
        vly_answer(req, &(vly_http_answer){.status = 200,
                                           .content_type = "application/json",
                                           .headers = &header,
                                           .n_headers = warning != NULL ? 1 : 0,
                                           .parts = &b,
                                           .n_parts = 1});
    else
        vly_answer_err(req, &err);
    vly_buf_release(&b);
}

void vly_route_v2_logging(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (vly_settings_log(api->settings, update_of(req), &req->msg.arena, &b, &err) == VLY_OK) {
        vly_answer_json(req, 200, &b);
        return;
    }
    vly_answer_err(req, &err);
    vly_buf_release(&b);
}

/* SPDX-License-Identifier: MIT */
#include "api/answer.h"

static void answer_error(vly_http_request *req, int status, const char *msg,
                         const vly_http_header *header)
{
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_NET, (size_t)16 * VLY_ERR_MSG_MAX);
    vly_buf_puts(&body, "{\"error\":");
    vly_buf_json_str(&body, vly_str_from(msg));
    vly_buf_putc(&body, '}');
    vly_http_respond(req, &(vly_http_answer){.status = status,
                                             .content_type = "application/json",
                                             .headers = header,
                                             .n_headers = header != NULL,
                                             .parts = &body,
                                             .n_parts = body.failed ? 0 : 1});
    vly_buf_release(&body);
}

void vly_answer_err(vly_http_request *req, const vly_err *err)
{
    const vly_http_header retry = {VLY_STR("Retry-After"), VLY_STR("1")};

    answer_error(req, vly_status_http(err->status), err->msg,
                 err->status == VLY_EBUSY ? &retry : NULL);
}

void vly_answer_not_allowed(vly_http_request *req, const char *allow)
{
    answer_error(req, 405, "Method Not Allowed",
                 &(vly_http_header){VLY_STR("Allow"), vly_str_from(allow)});
}

void vly_answer_empty(vly_http_request *req, int status)
{
    vly_http_respond(req, &(vly_http_answer){.status = status});
}

void vly_answer_body(vly_http_request *req, int status, const char *content_type, vly_buf *body)
{
    if (body->failed)
        answer_error(req, 503, "out of memory for the answer", NULL);
    else
        vly_http_respond(
            req, &(vly_http_answer){
                     .status = status, .content_type = content_type, .parts = body, .n_parts = 1});
    vly_buf_release(body);
}

void vly_answer_json(vly_http_request *req, int status, vly_buf *body)
{
    vly_answer_body(req, status, "application/json", body);
}

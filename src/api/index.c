/* SPDX-License-Identifier: MIT */
/* GET /: where to look. */
#include "api/routes.h"

#include "api/answer.h"
#include "base/assert.h"
#include "volley/version.h"

static const struct {
    const char *name, *path;
} links[] = {
    {"openapi", "/openapi.json"},       {"models", "/v1/models"},
    {"detect", "/v1/images:detect"},    {"inference", "/v2"},
    {"statistics", "/v2/models/stats"}, {"health", "/health"},
    {"ready", "/health/ready"},         {"metrics", "/metrics"},
    {"settings", "/v1/config"},         {"steps", "/steps"},
    {"performance", "/performance"},    {"cache", "/v1/cache"},
};

/* Text for who names it and does not name JSON: a browser or a person with curl. */
static bool wants_text(const vly_http_request *req)
{
    vly_str accept = vly_http_msg_header(&req->msg, "Accept");

    return accept.len > 0 && memmem(accept.ptr, accept.len, "text/", 5) != NULL &&
           memmem(accept.ptr, accept.len, "json", 4) == NULL;
}

static void put_text(vly_buf *b)
{
    vly_buf_puts(b, "volley " VOLLEY_VERSION "\n\n");
    for (size_t i = 0; i < VLY_COUNT(links); i++)
        vly_buf_printf(b, "%-12s%s\n", links[i].name, links[i].path);
}

static void put_json(vly_buf *b)
{
    vly_buf_puts(b, "{\"name\":\"volley\",\"version\":\"" VOLLEY_VERSION "\",\"links\":{");
    for (size_t i = 0; i < VLY_COUNT(links); i++)
        vly_buf_printf(b, "%s\"%s\":\"%s\"", i > 0 ? "," : "", links[i].name, links[i].path);
    vly_buf_puts(b, "}}");
}

void vly_route_index(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    bool is_text = wants_text(req);
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    if (is_text)
        put_text(&b);
    else
        put_json(&b);
    vly_answer_body(req, 200, is_text ? "text/plain; charset=utf-8" : "application/json", &b);
}

/* SPDX-License-Identifier: MIT */
/*
 * GET /steps: the page on which a phone's browser streams its sensor, or a recording is looked at.
 * GET /performance: what models do, second by second.
 * GET /web/NAME: what pages are made of.
 * GET /openapi.json: every path, for programs.
 *
 * A browser asks each time whether its copy is still the one (no-cache): names carry no version,
 * and a page must never meet the scripts of another build. Pages load from this server only.
 */
#include "api/pages.h"

#include "api/answer.h"
#include "api/routes.h"
#include "base/assert.h"

/* Of every answer below. A page has no inline script or style, so none can be smuggled in. */
static const vly_http_header headers[] = {
    {VLY_STR("Cache-Control"), VLY_STR("no-cache")},
    {VLY_STR("Content-Security-Policy"),
     VLY_STR("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
             "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
    {VLY_STR("Permissions-Policy"), VLY_STR("accelerometer=(self), gyroscope=(self)")},
    {VLY_STR("Referrer-Policy"), VLY_STR("no-referrer")},
    {VLY_STR("X-Content-Type-Options"), VLY_STR("nosniff")},
};

static const vly_page *find(vly_str name)
{
    for (size_t i = 0; i < vly_n_pages; i++)
        if (vly_str_eq(vly_str_from(vly_pages[i].name), name))
            return &vly_pages[i];
    return NULL;
}

/* If-None-Match (RFC 9110 13.1.2): a list of tags, or "*". Tags hold no quotes, so that one in the
 * list is found as text. */
static bool has_copy(const vly_http_request *req, const vly_page *page)
{
    vly_str tags = vly_http_msg_header(&req->msg, "If-None-Match");
    vly_str tag = vly_str_from(page->etag + 2); /* compared without W/ */

    return vly_str_eq(tags, VLY_STR("*")) ||
           (tags.len > 0 && memmem(tags.ptr, tags.len, tag.ptr, tag.len) != NULL);
}

static void answer(vly_http_request *req, const vly_page *page)
{
    vly_http_header all[VLY_COUNT(headers) + 1];
    bool is_known = has_copy(req, page);

    memcpy(all, headers, sizeof(headers));
    all[VLY_COUNT(headers)] = (vly_http_header){VLY_STR("ETag"), vly_str_from(page->etag)};
    vly_http_answer a = {.status = 304, .headers = all, .n_headers = VLY_COUNT(all)};
    if (is_known) {
        vly_answer(req, &a);
        return;
    }
    a.status = 200;
    a.content_type = page->content_type;
    vly_answer_made(req, &a, (vly_str){page->bytes, page->len},
                    (vly_str){page->gzip, page->gzip_len});
}

static void answer_own(vly_http_request *req, vly_str name)
{
    const vly_page *page = find(name);

    VLY_ASSERT(page != NULL);
    answer(req, page);
}

void vly_route_steps(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)api;
    (void)captures;
    answer_own(req, VLY_STR("steps.html"));
}

void vly_route_performance(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)api;
    (void)captures;
    answer_own(req, VLY_STR("performance.html"));
}

void vly_route_openapi(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)api;
    (void)captures;
    answer_own(req, VLY_STR("openapi.json"));
}

void vly_route_web(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    const vly_page *page = find(captures[0]);
    vly_err err;

    (void)api;
    if (page != NULL) {
        answer(req, page);
        return;
    }
    (void)!vly_fail(&err, VLY_ENOTFOUND, "nothing is served at '/web/%.*s'",
                    VLY_STR_ARG(captures[0]));
    vly_answer_err(req, &err);
}

/* SPDX-License-Identifier: MIT */
/*
 * GET /metrics: Prometheus text format 0.0.4, or OpenMetrics 1.0.0 for who likes that better in
 * Accept, as Prometheus does.
 *
 * nv_* are Triton's names, for dashboards that exist; volley_* our own, with true histograms in
 * seconds; and those that the guides name. Reading takes no lock: a histogram that is written
 * meanwhile may be a few events behind its count, never inconsistent in itself.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "api/metrics_families.h"
#include "base/assert.h"
#include "codec/deflate.h"

#define OPEN_TYPE "application/openmetrics-text"

static void (*const subjects[])(const vly_metrics_page *p) = {
    vly_metrics_put_models, vly_metrics_put_access,  vly_metrics_put_cache, vly_metrics_put_redis,
    vly_metrics_put_http,   vly_metrics_put_imu,     vly_metrics_put_mqtt,  vly_metrics_put_routes,
    vly_metrics_put_otlp,   vly_metrics_put_process,
};

vly_status vly_metrics_names_parse(vly_str text, uint32_t *ret, vly_err *err)
{
    static const struct {
        const char *name;
        uint32_t names;
    } groups[] = {{"all", VLY_METRICS_ALL},
                  {"triton", VLY_METRICS_TRITON},
                  {"volley", VLY_METRICS_VOLLEY},
                  {"guides", VLY_METRICS_GUIDES}};
    uint32_t names = 0;

    while (text.ptr != NULL) {
        vly_str one = vly_str_trim(vly_str_split(&text, ','));
        uint32_t found = 0;
        for (size_t i = 0; i < VLY_COUNT(groups); i++)
            if (vly_str_is(one, groups[i].name))
                found = groups[i].names;
        if (found == 0)
            return vly_fail(err, VLY_EINVAL,
                            "expected all, or some of triton, volley and guides by commas, got "
                            "'%.*s'",
                            VLY_STR_ARG(one));
        names |= found;
    }
    *ret = names;
    return VLY_OK;
}

/* Of OpenMetrics there is 1.0.0, which who names no version gets too. */
static bool is_our_version(vly_str params)
{
    bool is_ours = true;

    while (params.ptr != NULL) {
        vly_str value = vly_str_split(&params, ';');
        vly_str key = vly_str_trim(vly_str_split(&value, '='));
        if (vly_str_eq_nocase(key, VLY_STR("version")))
            is_ours = vly_str_is(vly_str_trim(value), "1.0.0");
    }
    return is_ours;
}

/* The type of Accept with the highest quality of those that there are here, the first of equals. */
static bool wants_open(vly_str accept)
{
    bool is_open = false;
    double most = 0;

    while (accept.ptr != NULL) {
        vly_str params = vly_str_split(&accept, ',');
        vly_str type = vly_str_trim(vly_str_split(&params, ';'));
        double quality = vly_accept_quality(params);
        bool is_text = vly_str_eq_nocase(type, VLY_STR("text/plain")) || vly_str_is(type, "*/*");
        bool is_known =
            is_text || (vly_str_eq_nocase(type, VLY_STR(OPEN_TYPE)) && is_our_version(params));
        if (is_known && quality > most) {
            most = quality;
            is_open = !is_text;
        }
    }
    return is_open;
}

static void answer(vly_api *api, vly_http_request *req)
{
    static const vly_http_header vary = {VLY_STR("Vary"), VLY_STR("Accept")};
    vly_buf b;
    const vly_metrics_out out = {.b = &b,
                                 .is_open = wants_open(vly_http_msg_header(&req->msg, "Accept"))};
    const vly_metrics_page page = {.out = &out,
                                   .api = api,
                                   .http = vly_http_server_stats(req->server),
                                   .arena = &req->msg.arena};

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    for (size_t i = 0; i < VLY_COUNT(subjects); i++)
        subjects[i](&page);
    if (out.is_open)
        vly_buf_puts(&b, "# EOF\n");
    const char *type = out.is_open ? OPEN_TYPE "; version=1.0.0; charset=utf-8"
                                   : "text/plain; version=0.0.4; charset=utf-8";
    if (b.failed) {
        vly_answer_body(req, 200, type, &b); /* which says so */
        return;
    }
    vly_answer(req, &(vly_http_answer){.status = 200,
                                       .content_type = type,
                                       .headers = &vary,
                                       .n_headers = 1,
                                       .parts = &b,
                                       .n_parts = 1});
    vly_buf_release(&b);
}

/* At the desk: hundreds of models take longer than a loop may. */
void vly_route_metrics(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    vly_desk_answer(api, req, answer);
}

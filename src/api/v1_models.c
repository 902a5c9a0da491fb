/* SPDX-License-Identifier: MIT */
/* GET /v1/models: what is served, and what is not and why. */
#include "api/routes.h"

#include "api/answer.h"

static void put_member(vly_buf *b, const char *key, const char *value)
{
    vly_buf_printf(b, ",\"%s\":", key);
    vly_buf_json_str(b, vly_str_from(value));
}

static void put_model(vly_buf *b, const vly_served *m)
{
    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    put_member(b, "version", m->version);
    put_member(b, "state", m->servable != NULL ? "ready" : "unavailable");
    if (m->servable != NULL) {
        put_member(b, "task", m->servable->decoder.name);
        put_member(b, "kind", vly_task_kind_name(m->servable->decoder.kind));
    } else {
        put_member(b, "error", m->error);
    }
    vly_buf_putc(b, '}');
}

void vly_route_v1_models(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_puts(&b, "{\"models\":[");
    for (size_t i = 0; i < set->n; i++) {
        if (i > 0)
            vly_buf_putc(&b, ',');
        put_model(&b, set->models[i]);
    }
    vly_model_set_unref(set);
    vly_buf_puts(&b, "]}");
    vly_answer_json(req, 200, &b);
}

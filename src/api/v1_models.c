/* SPDX-License-Identifier: MIT */
/*
 * GET /v1/models: what is served, and what is not and why; of a repository also what lies there
 * unloaded, and what could not be reloaded.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "base/clock.h"

#define INDEX_ARENA_BYTES ((size_t)16 << 20)

/* Lives in the arena of the request until it is answered. */
typedef struct models_call {
    vly_work work;
    vly_api *api;
    vly_http_request *req;
} models_call;

static void put_member(vly_buf *b, const char *key, const char *value)
{
    vly_buf_printf(b, ",\"%s\":", key);
    vly_buf_json_str(b, vly_str_from(value));
}

static const char *state_text(vly_served_state state)
{
    switch (state) {
    case VLY_SERVED_LOADING:
        return "loading";
    case VLY_SERVED_READY:
        return "ready";
    case VLY_SERVED_UNLOADING:
        return "unloading";
    case VLY_SERVED_UNAVAILABLE:
        break;
    }
    return "unavailable";
}

static void put_config_notes(vly_buf *b, const vly_triton_config *config)
{
    if (config->n_ignored > 0)
        vly_buf_puts(b, ",\"ignored\":{");
    for (size_t i = 0; i < config->n_ignored; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        vly_buf_json_str(b, config->ignored[i].path);
        vly_buf_putc(b, ':');
        vly_buf_json_str(b, vly_str_from(config->ignored[i].reason));
    }
    vly_buf_puts(b, config->n_ignored > 0 ? "}" : "");
    if (config->n_unknown > 0)
        vly_buf_puts(b, ",\"unknown_fields\":[");
    for (size_t i = 0; i < config->n_unknown; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        vly_buf_json_str(b, config->unknown[i]);
    }
    vly_buf_puts(b, config->n_unknown > 0 ? "]" : "");
}

static void put_servable(vly_buf *b, const vly_served *m)
{
    const vly_servable *s = m->servable;

    put_member(b, "task", s->decoder.name);
    put_member(b, "kind", vly_task_kind_name(s->decoder.kind));
    vly_buf_printf(b, ",\"load_ms\":%.1f", vly_clock_ms(m->load_ns));
    if (s->model != NULL)
        vly_buf_printf(b, ",\"file_bytes\":%zu", vly_model_describe(s->model)->file_bytes);
    put_config_notes(b, s->config);
}

/* note: why the files that are there now are not what serves; NULL: they are. */
static void put_model(vly_buf *b, const vly_served *m, const char *note)
{
    vly_served_state state = atomic_load(&m->state);

    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    put_member(b, "version", m->version);
    put_member(b, "state", state_text(state));
    if (m->servable != NULL)
        put_servable(b, m);
    else if (m->error != NULL && state == VLY_SERVED_UNAVAILABLE)
        put_member(b, "error", m->error);
    if (note != NULL)
        put_member(b, "reload_error", note);
    vly_buf_putc(b, '}');
}

static void put_row(vly_buf *b, const vly_control_row *row)
{
    if (row->model != NULL) {
        put_model(b, row->model, row->note);
        return;
    }
    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(row->name));
    vly_buf_puts(b, ",\"state\":\"unloaded\"}");
}

static vly_status put_index(const vly_api *api, vly_buf *b, vly_err *err)
{
    vly_control_index index;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_NET, 1 << 14, INDEX_ARENA_BYTES);
    vly_status st = vly_control_list(api->control, &arena, &index, err);
    for (size_t i = 0; st == VLY_OK && i < index.n_rows; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_row(b, &index.rows[i]);
    }
    if (st == VLY_OK)
        vly_model_set_unref(index.models);
    vly_arena_release(&arena);
    return st;
}

static void put_set(const vly_api *api, vly_buf *b)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);

    for (size_t i = 0; i < set->n; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_model(b, set->models[i], NULL);
    }
    vly_model_set_unref(set);
}

static void run(vly_work *work)
{
    models_call *c = (models_call *)work;
    vly_status st = VLY_OK;
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_buf_puts(&b, "{\"models\":[");
    if (c->api->control != NULL)
        st = put_index(c->api, &b, &err);
    else
        put_set(c->api, &b);
    vly_buf_puts(&b, "]}");
    if (st == VLY_OK) {
        vly_answer_json(c->req, 200, &b);
        return;
    }
    vly_buf_release(&b);
    vly_answer_err(c->req, &err);
}

/* At the desk: the directory of the models is read. */
void vly_route_v1_models(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    models_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    (void)captures;
    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (models_call){.work = {.run = run}, .api = api, .req = req};
    vly_desk_submit(api, &c->work);
}

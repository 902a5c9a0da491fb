/* SPDX-License-Identifier: MIT */
/*
 * POST /v2/repository/...: index, load and unload (Triton's extension_model_repository.md), and
 * what gRPC shares of it. Bodies are parsed on a worker, loads wait on the loader thread.
 */
#include "api/repository_ops.h"
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "codec/repository_json.h"

#define INDEX_ARENA_BYTES ((size_t)16 << 20)

/* Lives in the arena of the request until it is answered. */
typedef struct repository_call {
    vly_control_request request; /* first: a pointer to it is a pointer to the call */
    vly_work work;
    vly_api *api;
    vly_http_request *req;
    vly_repository_json body;
} repository_call;

/* ---- for every protocol ---- */

static void put_member(vly_buf *b, const char *key, const char *value)
{
    vly_buf_printf(b, ",\"%s\":", key);
    vly_buf_json_str(b, vly_str_from(value));
}

static void put_row(vly_buf *b, const vly_control_row *row)
{
    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(row->name));
    if (row->version != NULL)
        put_member(b, "version", row->version);
    if (row->state != NULL)
        put_member(b, "state", row->state);
    if (row->reason != NULL)
        put_member(b, "reason", row->reason);
    vly_buf_putc(b, '}');
}

static void put_rows(const vly_control_row *rows, size_t n, bool is_ready_only, vly_buf *b)
{
    bool is_first = true;

    vly_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (is_ready_only && (rows[i].state == NULL || strcmp(rows[i].state, "READY") != 0))
            continue;
        vly_buf_puts(b, is_first ? "" : ",");
        put_row(b, &rows[i]);
        is_first = false;
    }
    vly_buf_putc(b, ']');
}

vly_status vly_repository_put_index(const vly_api *api, bool is_ready_only, vly_buf *b,
                                    vly_err *err)
{
    vly_control_index index;
    vly_arena arena;

    if (api->control == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE, "the models of this server are not of a repository");
    vly_arena_init(&arena, VLY_MEM_NET, 1 << 14, INDEX_ARENA_BYTES);
    vly_status st = vly_control_list(api->control, &arena, &index, err);
    if (st == VLY_OK) {
        put_rows(index.rows, index.n_rows, is_ready_only, b);
        vly_model_set_unref(index.models);
    }
    vly_arena_release(&arena);
    return st;
}

vly_status vly_repository_submit(const vly_api *api, vly_control_request *r, vly_err *err)
{
    if (api->control == NULL)
        return vly_fail(err, VLY_EUNAVAILABLE,
                        "explicit model load / unload is not allowed if polling is enabled");
    return vly_control_submit(api->control, r, err);
}

/* ---- HTTP ---- */

static void answer_failure(repository_call *c, const vly_err *err)
{
    vly_repository_json_release(&c->body);
    vly_answer_err(c->req, err);
}

static repository_call *call_of(vly_work *work)
{
    return (repository_call *)((char *)work - offsetof(repository_call, work));
}

static vly_status read_body(repository_call *c, vly_err *err)
{
    return vly_repository_json_parse(vly_buf_str(&c->req->msg.body), &c->req->msg.arena, &c->body,
                                     err);
}

static void run_index(vly_work *work)
{
    repository_call *c = call_of(work);
    vly_buf b;
    vly_err err;

    vly_buf_init(&b, VLY_MEM_NET, c->api->max_answer_bytes);
    vly_status st = read_body(c, &err);
    if (st == VLY_OK)
        st = vly_repository_put_index(c->api, c->body.is_ready, &b, &err);
    if (st != VLY_OK) {
        vly_buf_release(&b);
        answer_failure(c, &err);
        return;
    }
    vly_repository_json_release(&c->body);
    vly_answer_json(c->req, 200, &b);
}

/* On the loader thread. */
static void control_done(vly_control_request *r)
{
    repository_call *c = (repository_call *)r;

    if (r->status != VLY_OK) {
        vly_err err = r->err; /* the call ends with its answer */
        answer_failure(c, &err);
        return;
    }
    vly_repository_json_release(&c->body);
    vly_answer_empty(c->req, 200);
}

static vly_status add_files(repository_call *c, vly_err *err)
{
    size_t n = c->body.n_files;
    vly_control_file *files = vly_arena_calloc(&c->req->msg.arena, n, sizeof(*files));

    if (files == NULL)
        return vly_arena_fail(&c->req->msg.arena, err);
    for (size_t i = 0; i < n; i++)
        files[i] = (vly_control_file){c->body.files[i].name, c->body.files[i].bytes};
    c->request.files = files;
    c->request.n_files = n;
    return VLY_OK;
}

static void run_control(vly_work *work)
{
    repository_call *c = call_of(work);
    vly_err err;
    vly_status st = read_body(c, &err);

    c->request.config = c->body.config;
    c->request.unload_dependents = c->body.unload_dependents;
    if (st == VLY_OK && c->body.n_files > 0)
        st = add_files(c, &err);
    if (st == VLY_OK)
        st = vly_repository_submit(c->api, &c->request, &err);
    if (st != VLY_OK)
        answer_failure(c, &err);
}

static void start(vly_api *api, vly_http_request *req, vly_control_action action, vly_str name,
                  void (*run)(vly_work *work))
{
    repository_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    vly_err err;

    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (repository_call){.request = {.action = action, .name = name, .done = control_done},
                           .work = {.run = run},
                           .api = api,
                           .req = req};
    vly_desk_submit(api, &c->work);
}

void vly_route_v2_repository_index(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    start(api, req, VLY_CONTROL_LOOK, VLY_STR(""), run_index);
}

void vly_route_v2_repository_load(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    start(api, req, VLY_CONTROL_LOAD, captures[0], run_control);
}

void vly_route_v2_repository_unload(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    start(api, req, VLY_CONTROL_UNLOAD, captures[0], run_control);
}

/* Triton's paths have room for the name of a repository, and its server has no use for it. */
void vly_route_v2_repository_named(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    (void)api;
    (void)captures;
    vly_fail(&err, VLY_EUNSUPPORTED, "'repository_name' specification is not supported");
    vly_answer_err(req, &err);
}

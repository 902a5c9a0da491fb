/* SPDX-License-Identifier: MIT */
/*
 * /v1/routes: what routes there are and how their arms fare; setting, removing, promoting, rolling
 * back. Changes are made at the desk, because they write a file.
 *
 * The ETag of a route is its revision: of its settings, that is; figures do not change it. Changes
 * take If-Match, and If-None-Match: *, so that nobody undoes what they have not seen.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/desk.h"
#include "base/assert.h"
#include "codec/json_doc.h"
#include "sched/model_routes.h"

#include <stdio.h>

#define TAG_BYTES (VLY_ROUTE_REVISION + 2)

/* Lives in the arena of the request until it is answered. */
typedef struct route_call {
    vly_work work; /* first */
    vly_api *api;
    vly_http_request *req;
    vly_str name;
    vly_route_terms terms;
    void (*run)(struct route_call *c);
} route_call;

/* ---- what there is ---- */

static bool serves(const vly_api *api, const vly_route_target *t)
{
    vly_served *m =
        vly_scheduler_find(api->scheduler, vly_str_from(t->model), vly_str_from(t->version));
    bool is_there = m != NULL && m->servable != NULL;

    vly_served_unref(m);
    return is_there;
}

static void put_stats(vly_buf *b, const vly_route_arm *a)
{
    vly_buf_puts(b, ",\"stats\":{");
    for (int o = 0; o < VLY_ROUTE_OUTCOMES; o++)
        vly_buf_printf(b, "\"%s\":%llu,", vly_route_outcome_name((vly_route_outcome)o),
                       (unsigned long long)vly_counter_get(&a->outcomes[o]));
    vly_buf_printf(b, "\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f}",
                   vly_clock_ms(vly_histogram_quantile(&a->latency, 0.5)),
                   vly_clock_ms(vly_histogram_quantile(&a->latency, 0.95)),
                   vly_clock_ms(vly_histogram_quantile(&a->latency, 0.99)));
}

static void put_shadow(vly_buf *b, const vly_route_arm *shadow)
{
    vly_buf_puts(b, ",\"shadow_stats\":{");
    for (int o = 0; o < VLY_ROUTE_SHADOW_OUTCOMES; o++)
        vly_buf_printf(b, "\"%s\":%llu,", vly_route_shadow_name((vly_route_shadow_outcome)o),
                       (unsigned long long)vly_counter_get(&shadow->shadow[o]));
    vly_buf_printf(b, "\"p50_ms\":%.3f,\"p95_ms\":%.3f}",
                   vly_clock_ms(vly_histogram_quantile(&shadow->latency, 0.5)),
                   vly_clock_ms(vly_histogram_quantile(&shadow->latency, 0.95)));
}

static void put_route(const vly_api *api, const vly_model_route *route, vly_buf *b)
{
    const vly_route_spec *s = &route->spec;
    char revision[VLY_ROUTE_REVISION];

    vly_route_revision_print(route->revision, revision);
    vly_buf_putc(b, '{');
    vly_route_spec_put_rest(b, s);
    vly_buf_printf(b, ",\"revision\":\"%s\"", revision);
    if (route->shadow != NULL)
        put_shadow(b, route->shadow);
    vly_buf_puts(b, ",\"arms\":[");
    for (size_t i = 0; i < s->n_arms; i++) {
        vly_buf_puts(b, i > 0 ? ",{" : "{");
        vly_route_arm_spec_put(b, &s->arms[i]);
        vly_buf_printf(b, ",\"share\":%.6g,\"is_available\":%s", vly_route_spec_share(s, i),
                       serves(api, &s->arms[i].target) ? "true" : "false");
        put_stats(b, route->arms[i]);
        vly_buf_putc(b, '}');
    }
    vly_buf_puts(b, "]}");
}

/* False when it was answered. */
static bool is_here(const vly_api *api, vly_http_request *req)
{
    vly_err err;

    if (api->model_routes != NULL)
        return true;
    vly_fail(&err, VLY_EUNAVAILABLE, "there are no routes here");
    vly_answer_err(req, &err);
    return false;
}

static void answer_all(vly_api *api, vly_http_request *req)
{
    vly_buf b;

    vly_route_table *t = vly_model_routes_table(api->model_routes);
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_buf_puts(&b, "{\"routes\":[");
    for (size_t i = 0; i < t->n; i++) {
        vly_buf_puts(&b, i > 0 ? "," : "");
        put_route(api, t->routes[i], &b);
    }
    vly_buf_puts(&b, "]}");
    vly_route_table_unref(t);
    vly_answer_json(req, 200, &b);
}

/* The quantiles of a thousand arms take longer than a loop may. */
void vly_route_v1_routes(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    if (is_here(api, req))
        vly_desk_answer(api, req, answer_all);
}

static void print_tag(const vly_model_route *route, char tag[TAG_BYTES])
{
    char revision[VLY_ROUTE_REVISION];

    vly_route_revision_print(route->revision, revision);
    snprintf(tag, TAG_BYTES, "\"%s\"", revision);
}

/* All header lines of this name as one list (RFC 9110 5.3); ptr NULL: there is none. */
static vly_status read_list(vly_http_msg *msg, const char *name, vly_str *ret, vly_err *err)
{
    vly_str all = {0};

    for (size_t i = 0; i < msg->n_headers; i++) {
        vly_str line = msg->headers[i].value;
        if (!vly_str_eq_nocase(msg->headers[i].name, vly_str_from(name)))
            continue;
        char *text = vly_arena_alloc(&msg->arena, all.len + line.len + 2);
        if (text == NULL)
            return vly_arena_fail(&msg->arena, err);
        int n = snprintf(text, all.len + line.len + 2, "%.*s%s%.*s", VLY_STR_ARG(all),
                         all.ptr != NULL ? "," : "", VLY_STR_ARG(line));
        all = (vly_str){text, (size_t)n};
    }
    *ret = all;
    return VLY_OK;
}

/* route: a reference that ends here. */
static void answer_route(const vly_api *api, vly_http_request *req, vly_model_route *route,
                         int status)
{
    char tag[TAG_BYTES];
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    put_route(api, route, &b);
    print_tag(route, tag);
    vly_model_route_unref(route);
    const vly_http_header header = {VLY_STR("ETag"), vly_str_from(tag)};
    if (b.failed) {
        vly_answer_json(req, status, &b); /* which says so */
        return;
    }
    vly_answer(req, &(vly_http_answer){.status = status,
                                       .content_type = "application/json",
                                       .headers = &header,
                                       .n_headers = 1,
                                       .parts = &b,
                                       .n_parts = 1});
    vly_buf_release(&b);
}

/* RFC 9110 13.1.2: whoever has the route of this tag needs no body. route: a reference that ends
 * here. */
static void answer_unless_known(const vly_api *api, vly_http_request *req, vly_model_route *route)
{
    char tag[TAG_BYTES];
    vly_str known = {0};
    vly_err err;

    print_tag(route, tag);
    if (read_list(&req->msg, "If-None-Match", &known, &err) != VLY_OK) {
        vly_model_route_unref(route);
        vly_answer_err(req, &err);
        return;
    }
    if (!vly_str_is(known, "*") &&
        (known.len == 0 || memmem(known.ptr, known.len, tag, strlen(tag)) == NULL)) {
        answer_route(api, req, route, 200);
        return;
    }
    vly_model_route_unref(route);
    const vly_http_header header = {VLY_STR("ETag"), vly_str_from(tag)};
    vly_answer(req, &(vly_http_answer){.status = 304, .headers = &header, .n_headers = 1});
}

void vly_route_v1_route(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_err err;

    if (!is_here(api, req))
        return;
    vly_model_route *route = vly_model_routes_find(api->model_routes, captures[0]);
    if (route != NULL) {
        answer_unless_known(api, req, route);
        return;
    }
    vly_fail(&err, VLY_ENOTFOUND, "there is no route '%.*s'", VLY_STR_ARG(captures[0]));
    vly_answer_err(req, &err);
}

/* ---- changes ---- */

static void run_change(vly_work *work)
{
    route_call *c = (route_call *)work;
    c->run(c);
}

static bool has_flag(vly_http_msg *msg, const char *name)
{
    vly_str text;

    return vly_http_msg_query(msg, name, &text) == VLY_OK && vly_str_is(text, "true");
}

/* RFC 9110 13.1. A weak tag is as good: a proxy that compresses makes ours weak. */
static vly_status read_terms(vly_http_msg *msg, vly_route_terms *ret, vly_err *err)
{
    vly_str match = {0}, none = vly_http_msg_header(msg, "If-None-Match");
    vly_status st = read_list(msg, "If-Match", &match, err);

    if (st != VLY_OK)
        return st;
    vly_route_terms t = {.must_be_new = vly_str_is(none, "*"),
                         .must_exist = vly_str_is(match, "*"),
                         .may_revive = has_flag(msg, "revive"),
                         .any_revision = has_flag(msg, "overwrite"),
                         .any_interface = has_flag(msg, "force")};

    if (none.ptr != NULL && !t.must_be_new)
        return vly_fail(err, VLY_EINVAL, "'If-None-Match': expected *, got '%.*s'",
                        VLY_STR_ARG(none));
    if (!t.must_exist)
        t.revisions = match;
    *ret = t;
    return VLY_OK;
}

static void change(vly_api *api, vly_http_request *req, vly_str name, void (*run)(route_call *c))
{
    vly_route_terms terms;
    vly_err err;

    if (!is_here(api, req))
        return;
    if (read_terms(&req->msg, &terms, &err) != VLY_OK) {
        vly_answer_err(req, &err);
        return;
    }
    route_call *c = vly_arena_calloc(&req->msg.arena, 1, sizeof(*c));
    if (c == NULL) {
        vly_fail(&err, VLY_ENOMEM, "out of memory for the request");
        vly_answer_err(req, &err);
        return;
    }
    *c = (route_call){
        .work.run = run_change, .api = api, .req = req, .name = name, .terms = terms, .run = run};
    vly_desk_submit(api, &c->work);
}

/* The route as it is after a change, or why there was none. */
static void finish(const route_call *c, vly_status st, vly_model_route *route, int status,
                   const vly_err *err)
{
    if (st == VLY_OK)
        answer_route(c->api, c->req, route, status);
    else
        vly_answer_err(c->req, err);
}

static void set(route_call *c)
{
    vly_http_msg *msg = &c->req->msg;
    vly_route_spec *spec = vly_arena_alloc(&msg->arena, sizeof(*spec));
    vly_model_route *route = NULL;
    bool is_new = false;
    vly_err err;
    vly_status st = spec != NULL ? VLY_OK : vly_arena_fail(&msg->arena, &err);

    if (st == VLY_OK)
        st = vly_route_spec_read(vly_buf_str(&msg->body), c->name, &msg->arena, spec, &err);
    if (st == VLY_OK)
        st = vly_model_routes_set(c->api->model_routes, spec, &c->terms, &route, &is_new, &err);
    finish(c, st, route, is_new ? 201 : 200, &err);
}

/* Answers with the route as it was. */
static void remove_route(route_call *c)
{
    vly_model_route *route = NULL;
    vly_err err;
    vly_status st = vly_model_routes_remove(c->api->model_routes, c->name, &c->terms, &route, &err);

    finish(c, st, route, 200, &err);
}

static vly_status read_member(yyjson_val *key, yyjson_val *value, vly_route_order *o, vly_err *err)
{
    const char *text = yyjson_get_str(value);
    vly_str s = {text, yyjson_get_len(value)};

    if (yyjson_equals_str(key, "share") && yyjson_is_num(value))
        o->share = yyjson_get_num(value);
    else if (yyjson_equals_str(key, "model") && text != NULL)
        o->model = s;
    else if (yyjson_equals_str(key, "version") && text != NULL)
        o->version = s;
    else if (yyjson_equals_str(key, "why") && text != NULL)
        o->why = text;
    else
        return vly_fail(err, VLY_EINVAL,
                        "'%.64s': expected model, version and why as strings, share as a number",
                        yyjson_get_str(key));
    return VLY_OK;
}

/* The body of :promote and :rollback. */
static vly_status read_order(const route_call *c, vly_route_order *ret, vly_err *err)
{
    vly_http_msg *msg = &c->req->msg;
    vly_route_order o = {.share = 1, .why = "no reason was given"};
    yyjson_val *root = NULL, *key, *value;
    size_t i, n;
    vly_status st = vly_json_doc_read(vly_buf_str(&msg->body), &msg->arena, &root, err);

    if (st != VLY_OK)
        return st;
    yyjson_obj_foreach(root, i, n, key, value)
    {
        st = read_member(key, value, &o, err);
        if (st != VLY_OK)
            return st;
    }
    *ret = o;
    return VLY_OK;
}

static void promote(route_call *c)
{
    vly_model_route *route = NULL;
    vly_route_order o;
    vly_err err;
    vly_status st = read_order(c, &o, &err);

    if (st == VLY_OK)
        st = vly_model_routes_promote(c->api->model_routes, c->name, &o, &c->terms, &route, &err);
    finish(c, st, route, 200, &err);
}

static void roll_back(route_call *c)
{
    vly_model_route *route = NULL;
    vly_route_order o;
    vly_err err;
    vly_status st = read_order(c, &o, &err);

    if (st == VLY_OK)
        st = vly_model_routes_roll_back(c->api->model_routes, c->name, &o, &c->terms, &route, &err);
    finish(c, st, route, 200, &err);
}

void vly_route_v1_route_set(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    change(api, req, captures[0], set);
}

void vly_route_v1_route_remove(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    change(api, req, captures[0], remove_route);
}

void vly_route_v1_route_promote(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    change(api, req, captures[0], promote);
}

void vly_route_v1_route_rollback(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    change(api, req, captures[0], roll_back);
}

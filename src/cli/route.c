/* SPDX-License-Identifier: MIT */
/* `volley route ...`: the routes of a running server, over HTTP. */
#include "base/assert.h"
#include "cli/ask_server.h"
#include "cli/command.h"
#include "cli/route_edit.h"
#include "cli/route_table.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define BODY_BYTES_MAX   ((size_t)1 << 20)
#define TIMEOUT_MS       30000
#define PATH_BYTES       256
#define NOT_FOUND        404

typedef struct route_opts {
    const char *server;
    const char *key; /* NULL: VOLLEY_API_KEY, when it is set */
    const char *ca;
    bool is_json;
    /* set */
    const char *file;
    const char *salt;
    const char *probation;
    const char *shadow;
    vly_opt_list guard;
    const char *shares;
    double hold_s; /* 0: not named */
    bool may_revive;
    bool overwrites;
    bool is_forced; /* promote, too */
    /* promote, rollback */
    double share;
    const char *why;
} route_opts;

static const route_opts defaults = {.server = "http://127.0.0.1:8000", .share = 1};

/* ---- asking ---- */

/* What is asked for; every part is borrowed. */
typedef struct question {
    const char *method, *path;
    vly_http_header condition; /* empty: none */
    vly_str body;
} question;

static vly_status send_request(const route_opts *o, const question *q, int *ret_status,
                               vly_buf *answer, vly_err *err)
{
    const vly_ask ask = {.server = o->server,
                         .key = o->key,
                         .ca = o->ca,
                         .timeout_ms = TIMEOUT_MS,
                         .method = q->method,
                         .path = q->path,
                         .condition = q->condition,
                         .body = q->body};

    return vly_ask_server(&ask, ret_status, answer, err);
}

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

/* Sends, and prints the answer. */
static int ask(const route_opts *o, const question *q)
{
    int status = 0;
    vly_buf answer;
    vly_err err;

    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_BYTES_MAX);
    vly_status st = send_request(o, q, &status, &answer, &err);
    if (st == VLY_OK && !is_success(status))
        st = vly_ask_refused(status, &answer, &err);
    if (st == VLY_OK && o->is_json)
        printf("%.*s\n", VLY_STR_ARG(vly_buf_str(&answer)));
    else if (st == VLY_OK)
        st = vly_route_print(vly_buf_str(&answer), &err);
    vly_buf_release(&answer);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

/* The name goes into the path as it is, so it must be one. */
static vly_status put_path(char path[PATH_BYTES], const char *name, const char *rest, vly_err *err)
{
    if (!vly_route_name_is_valid(vly_str_from(name)))
        return vly_fail(err, VLY_EINVAL,
                        "'%s' is no name of a route: letters, digits, '.', '_', '-'", name);
    snprintf(path, PATH_BYTES, "/v1/routes/%s%s", name, rest);
    return VLY_OK;
}

static int ask_of(const route_opts *o, const char *method, const char *name, const char *verb,
                  vly_str body)
{
    char path[PATH_BYTES];
    vly_err err;

    if (put_path(path, name, verb, &err) != VLY_OK)
        return vly_command_fail(&err);
    return ask(o, &(question){.method = method, .path = path, .body = body});
}

static int run_list(const void *opts, int n_args, char *const *args)
{
    (void)n_args, (void)args;
    return ask(opts, &(question){.method = "GET", .path = "/v1/routes"});
}

static int run_show(const void *opts, int n_args, char *const *args)
{
    (void)n_args;
    return ask_of(opts, "GET", args[0], "", VLY_STR(""));
}

static int run_remove(const void *opts, int n_args, char *const *args)
{
    (void)n_args;
    return ask_of(opts, "DELETE", args[0], "", VLY_STR(""));
}

/* ---- set ---- */

/* The route as it is; false: there is none of that name. */
static vly_status get_route(const route_opts *o, const char *name, vly_route_spec *ret,
                            bool *ret_is_there, vly_err *err)
{
    char path[PATH_BYTES];
    vly_arena arena;
    vly_buf answer;
    int status = 0;
    vly_status st = put_path(path, name, "", err);

    if (st != VLY_OK)
        return st;
    vly_arena_init(&arena, VLY_MEM_CLI, (size_t)64 << 10, ANSWER_BYTES_MAX);
    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_BYTES_MAX);
    st = send_request(o, &(question){.method = "GET", .path = path}, &status, &answer, err);
    *ret_is_there = st == VLY_OK && is_success(status);
    if (*ret_is_there)
        st = vly_route_spec_read(vly_buf_str(&answer), vly_str_from(name), &arena, ret, err);
    else if (st == VLY_OK && status != NOT_FOUND)
        st = vly_ask_refused(status, &answer, err);
    vly_buf_release(&answer);
    vly_arena_release(&arena);
    return st;
}

static int put_route(const route_opts *o, const char *name, vly_http_header condition, vly_str body)
{
    char path[PATH_BYTES], query[64];
    vly_err err;

    snprintf(query, sizeof(query), "?%s%s%s", o->may_revive ? "revive=true&" : "",
             o->overwrites ? "overwrite=true&" : "", o->is_forced ? "force=true" : "");
    if (put_path(path, name, query, &err) != VLY_OK)
        return vly_command_fail(&err);
    return ask(o, &(question){.method = "PUT", .path = path, .condition = condition, .body = body});
}

/* Of the route as it is, so that nothing that came meanwhile is lost. */
static int set_parts(const route_opts *o, const char *name, int n_arms, char *const *arms,
                     vly_buf *body)
{
    const vly_route_edits edits = {.arms = arms,
                                   .n_arms = (size_t)n_arms,
                                   .probation = o->probation,
                                   .guard = &o->guard,
                                   .shadow = o->shadow,
                                   .shares = o->shares,
                                   .hold_s = o->hold_s,
                                   .salt = o->salt};
    vly_http_header condition = {VLY_STR("If-None-Match"), VLY_STR("*")};
    char tag[VLY_ROUTE_REVISION + 2];
    vly_route_spec s = {.n_arms = 0};
    bool is_there = false;
    vly_err err;
    vly_status st = get_route(o, name, &s, &is_there, &err);

    if (st == VLY_OK)
        st = vly_route_edit(&edits, &s, &err);
    if (st != VLY_OK)
        return vly_command_fail(&err);
    if (is_there) {
        snprintf(tag, sizeof(tag), "\"%s\"", s.revision);
        condition = (vly_http_header){VLY_STR("If-Match"), vly_str_from(tag)};
    }
    snprintf(s.name, sizeof(s.name), "%s", name);
    vly_buf_putc(body, '{');
    vly_route_spec_put(body, &s);
    vly_buf_putc(body, '}');
    return put_route(o, name, condition, vly_buf_str(body));
}

static int set_file(const route_opts *o, const char *name, vly_buf *body)
{
    vly_err err;

    if (vly_file_read(o->file, BODY_BYTES_MAX, body, &err) != VLY_OK)
        return vly_command_fail(&err);
    return put_route(o, name, (vly_http_header){.name = VLY_STR("")}, vly_buf_str(body));
}

/* An option that says what the file says; NULL: there is none. */
static const char *beside_file(const route_opts *o)
{
    const struct {
        const char *name;
        bool is_given;
    } rows[] = {{"--probation", o->probation != NULL}, {"--guard", o->guard.n > 0},
                {"--schedule", o->shares != NULL},     {"--hold", o->hold_s > 0},
                {"--shadow", o->shadow != NULL},       {"--salt", o->salt != NULL}};

    for (size_t i = 0; i < VLY_COUNT(rows); i++)
        if (rows[i].is_given)
            return rows[i].name;
    return NULL;
}

static vly_status check_set(const route_opts *o, int n_args, vly_err *err)
{
    if (o->file == NULL)
        return !o->overwrites ? VLY_OK
                              : vly_fail(err, VLY_EINVAL, "--overwrite: it goes with --file");
    if (n_args > 1)
        return vly_fail(err, VLY_EINVAL, "--file holds the arms: name none");
    if (beside_file(o) != NULL)
        return vly_fail(err, VLY_EINVAL, "%s: --file holds the whole route", beside_file(o));
    return VLY_OK;
}

static int run_set(const void *opts, int n_args, char *const *args)
{
    const route_opts *o = opts;
    vly_buf body;
    vly_err err;

    if (check_set(o, n_args, &err) != VLY_OK)
        return vly_command_fail(&err);
    vly_buf_init(&body, VLY_MEM_CLI, BODY_BYTES_MAX);
    int rc = o->file != NULL ? set_file(o, args[0], &body)
                             : set_parts(o, args[0], n_args - 1, args + 1, &body);
    vly_buf_release(&body);
    return rc;
}

/* ---- promote, rollback ---- */

/* "model/version" or "model": "model":"...","version":"..." */
static void put_target(vly_buf *b, vly_str text)
{
    vly_str model = vly_str_split(&text, '/');

    vly_buf_puts(b, "\"model\":");
    vly_buf_json_str(b, model);
    if (text.ptr == NULL)
        return;
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, text);
}

static int order(const route_opts *o, int n_args, char *const *args, const char *verb,
                 void (*put)(const route_opts *o, vly_buf *b))
{
    vly_buf body;

    vly_buf_init(&body, VLY_MEM_CLI, BODY_BYTES_MAX);
    vly_buf_putc(&body, '{');
    put(o, &body);
    if (n_args > 1) {
        vly_buf_putc(&body, ',');
        put_target(&body, vly_str_from(args[1]));
    }
    vly_buf_putc(&body, '}');
    int rc = ask_of(o, "POST", args[0], verb, vly_buf_str(&body));
    vly_buf_release(&body);
    return rc;
}

static void put_share(const route_opts *o, vly_buf *b)
{
    vly_buf_printf(b, "\"share\":%.17g", o->share);
}

static void put_why(const route_opts *o, vly_buf *b)
{
    vly_buf_puts(b, "\"why\":");
    vly_buf_json_str(b, vly_str_from(o->why != NULL ? o->why : "no reason was given"));
}

static int run_promote(const void *opts, int n_args, char *const *args)
{
    const route_opts *o = opts;
    return order(o, n_args, args, o->is_forced ? ":promote?force=true" : ":promote", put_share);
}

static int run_rollback(const void *opts, int n_args, char *const *args)
{
    return order(opts, n_args, args, ":rollback", put_why);
}

/* ---- the commands ---- */

#define COMMON                                                                                     \
    VLY_OPT(route_opts, server, 's', TEXT, "server", "URL",                                        \
            "the running server (default: http://127.0.0.1:8000)"),                                \
        VLY_OPT(route_opts, key, 'k', TEXT, "key", "KEY",                                          \
                "API key (default: the environment's VOLLEY_API_KEY)"),                            \
        VLY_OPT(route_opts, ca, 0, TEXT, "ca", "FILE",                                             \
                "PEM file, https: who the server is vouched for by"),                              \
        VLY_OPT(route_opts, is_json, 'j', FLAG, "json", NULL, "print the answer as JSON")

#define FORCE                                                                                      \
    VLY_OPT(route_opts, is_forced, 0, FLAG, "force", NULL,                                         \
            "though arms differ in what they take "                                                \
            "and give")

static const vly_opt options[] = {COMMON, VLY_OPT_END};

static const vly_opt set_options[] = {
    COMMON,
    VLY_OPT(route_opts, file, 'f', TEXT, "file", "FILE",
            "the whole route as JSON, in place of all others"),
    VLY_OPT(route_opts, probation, 0, TEXT, "probation", "ARM",
            "the arm that the guard watches; or none, which ends a schedule, too"),
    VLY_OPT(route_opts, guard, 'g', LIST, "guard", "NAME=NUMBER",
            "max_error_rate, max_error_increase, max_latency_ms, max_latency_ratio; window_s, "
            "min_requests, confidence, quantile; or none"),
    VLY_OPT(route_opts, shares, 0, TEXT, "schedule", "SHARES",
            "of the arm on probation, one after the other while it is healthy: 0.01,0.1,0.5,1; "
            "or none"),
    VLY_OPT(route_opts, hold_s, 0, FLOAT, "hold", "SECONDS",
            "of each share (default of a new schedule: 600)"),
    VLY_OPT(route_opts, shadow, 0, TEXT, "shadow", "ARM=SHARE",
            "model that gets a copy of this share of the requests; or none"),
    VLY_OPT(route_opts, salt, 0, TEXT, "salt", "TEXT", "another one deals the sessions anew"),
    VLY_OPT(route_opts, may_revive, 0, FLAG, "revive", NULL,
            "give an arm that was rolled back traffic again"),
    VLY_OPT(route_opts, overwrites, 0, FLAG, "overwrite", NULL,
            "with --file: though the route has changed since FILE was saved"),
    FORCE,
    VLY_OPT_END,
};

static const vly_opt promote_options[] = {
    COMMON,
    VLY_OPT(route_opts, share, 0, FLOAT, "share", "SHARE", "of the requests (default: 1, all)"),
    FORCE,
    VLY_OPT_END,
};

static const vly_opt rollback_options[] = {
    COMMON,
    VLY_OPT(route_opts, why, 'w', TEXT, "why", "TEXT", "for the log, and whoever looks"),
    VLY_OPT_END,
};

const vly_command vly_command_route_list = {
    .name = "route list",
    .args = "",
    .summary = "show the routes of a running server",
    .details = "A route is one name over several models or versions, its arms. Shows what each\n"
               "arm gets, how it is, and what has become of its requests.\n",
    .examples = "  volley route list\n"
                "  volley route list --server https://volley:8443 --json\n",
    .opts = options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .run = run_list,
};

const vly_command vly_command_route_show = {
    .name = "route show",
    .args = "NAME",
    .summary = "show one route of a running server",
    .details = "With --json it prints what `volley route set --file` takes back.\n",
    .examples = "  volley route show detector\n"
                "  volley route show detector --json > detector.json\n",
    .opts = options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run_show,
};

const vly_command vly_command_route_set = {
    .name = "route set",
    .args = "NAME [ARM=WEIGHT...]",
    .summary = "set a route of a running server",
    .details =
        "An arm is MODEL or MODEL/VERSION; it gets its weight over the sum of all. Sessions keep\n"
        "their arm, and a change of weights moves no more of them than it must. An arm on\n"
        "probation that is worse than the guard allows loses its traffic.\n"
        "What is not named stays as it is, arms too; ARM=none takes one away. When the route\n"
        "changes meanwhile, nothing is set. The change is made as a whole, and outlives the\n"
        "server when it has a routes.file.\n",
    .examples = "  volley route set detector yolov8n/1=90 yolov8n/2=10\n"
                "  volley route set detector yolov8n/1=99 yolov8n/2=1 --probation yolov8n/2 \\\n"
                "      --guard max_error_increase=0.01 --guard max_latency_ratio=1.5 \\\n"
                "      --schedule 0.01,0.1,0.5,1 --hold 600\n"
                "  volley route set detector --shadow yolov8s=0.05\n"
                "  volley route set detector yolov8n/1=none yolov8n/3=10\n"
                "  volley route set detector --file detector.json\n",
    .opts = set_options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1 + VLY_ROUTE_ARMS_MAX,
    .run = run_set,
};

const vly_command vly_command_route_promote = {
    .name = "route promote",
    .args = "NAME [ARM]",
    .summary = "give an arm the traffic of its route",
    .details = "Ends its probation. Without ARM it is the one on probation.\n",
    .examples = "  volley route promote detector\n"
                "  volley route promote detector yolov8n/2 --share 0.5\n",
    .opts = promote_options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 2,
    .run = run_promote,
};

const vly_command vly_command_route_rollback = {
    .name = "route rollback",
    .args = "NAME [ARM]",
    .summary = "take all traffic from an arm",
    .details = "The others share it; when they had none, they get what they were set to. Without\n"
               "ARM it is the one on probation.\n",
    .examples = "  volley route rollback detector --why 'boxes are shifted'\n"
                "  volley route rollback detector yolov8n/2\n",
    .opts = rollback_options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 2,
    .run = run_rollback,
};

const vly_command vly_command_route_remove = {
    .name = "route remove",
    .args = "NAME",
    .summary = "remove a route; its models stay",
    .details = "Prints the route as it was.\n",
    .examples = "  volley route remove detector\n",
    .opts = options,
    .opts_bytes = sizeof(route_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run_remove,
};

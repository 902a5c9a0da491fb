/* SPDX-License-Identifier: MIT */
/* `volley route ...`: the routes of a running server, over HTTP. */
#include "cli/command.h"
#include "cli/route_table.h"
#include "net/http_client.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define BODY_BYTES_MAX   ((size_t)1 << 20)
#define TIMEOUT_MS       30000

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
    double hold_s;
    /* promote, rollback */
    double share;
    const char *why;
} route_opts;

static const route_opts defaults = {.server = "http://127.0.0.1:8000", .hold_s = 600, .share = 1};

/* ---- asking ---- */

/* {"error": "..."} of an answer that is none of success. */
static vly_status told(int status, const vly_buf *answer, vly_err *err)
{
    char text[VLY_ERR_MSG_MAX];

    if (vly_route_error(vly_buf_str(answer), text, sizeof(text)))
        return vly_fail(err, VLY_EINVAL, "the server says: %s", text);
    return vly_fail(err, VLY_EIO, "the server answered with status %d", status);
}

static vly_status send_request(const route_opts *o, const char *method, const char *path,
                               vly_str body, vly_buf *answer, vly_err *err)
{
    const char *key = o->key != NULL ? o->key : getenv("VOLLEY_API_KEY");
    vly_http_header headers[2] = {{VLY_STR("Content-Type"), VLY_STR("application/json")}};
    vly_http_client *client = NULL;
    vly_buf url, token;
    int status = 0;

    vly_buf_init(&url, VLY_MEM_CLI, VLY_HTTP_CLIENT_URL_MAX);
    vly_buf_init(&token, VLY_MEM_CLI, 4096);
    vly_buf_printf(&url, "%s%s", o->server, path);
    vly_buf_printf(&token, "Bearer %s", key != NULL ? key : "");
    headers[1] = (vly_http_header){VLY_STR("Authorization"), vly_buf_str(&token)};
    const vly_http_client_request r = {.method = method,
                                       .url = url.ptr,
                                       .headers = headers,
                                       .n_headers = key != NULL ? 2 : 1,
                                       .body = body,
                                       .ca = o->ca,
                                       .timeout_ms = TIMEOUT_MS};
    vly_status st = url.failed || token.failed
                        ? vly_fail(err, VLY_EINVAL, "--server or --key is too long")
                        : vly_http_client_new(&client, err);
    if (st == VLY_OK)
        st = vly_http_client_send(client, &r, &status, answer, err);
    if (st == VLY_OK && (status < 200 || status > 299))
        st = told(status, answer, err);
    vly_http_client_free(client);
    vly_buf_release(&token);
    vly_buf_release(&url);
    return st;
}

/* Sends, and prints the answer. */
static int ask(const route_opts *o, const char *method, const char *path, vly_str body)
{
    vly_buf answer;
    vly_err err;

    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_BYTES_MAX);
    vly_status st = send_request(o, method, path, body, &answer, &err);
    if (st == VLY_OK && o->is_json)
        printf("%.*s\n", VLY_STR_ARG(vly_buf_str(&answer)));
    else if (st == VLY_OK)
        st = vly_route_print(vly_buf_str(&answer), &err);
    vly_buf_release(&answer);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

/* The name goes into the path as it is, so it must be one. */
static int ask_of(const route_opts *o, const char *method, const char *name, const char *verb,
                  vly_str body)
{
    char path[256];
    vly_err err;

    if (!vly_route_name_is_valid(vly_str_from(name))) {
        vly_fail(&err, VLY_EINVAL, "'%s' is no name of a route: letters, digits, '.', '_', '-'",
                 name);
        return vly_command_fail(&err);
    }
    snprintf(path, sizeof(path), "/v1/routes/%s%s", name, verb);
    return ask(o, method, path, body);
}

static int run_list(const void *opts, int n_args, char *const *args)
{
    (void)n_args, (void)args;
    return ask(opts, "GET", "/v1/routes", VLY_STR(""));
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

/* "ARM=NUMBER" as its two parts. */
static vly_status split(const char *text, vly_str *ret_arm, vly_str *ret_number, vly_err *err)
{
    vly_str rest = vly_str_from(text);
    double unused;

    *ret_arm = vly_str_split(&rest, '=');
    *ret_number = rest;
    if (rest.ptr == NULL || !vly_str_to_f64(rest, &unused))
        return vly_fail(err, VLY_EINVAL, "'%s': expected NAME=NUMBER", text);
    return VLY_OK;
}

static vly_status put_arms(const route_opts *o, int n, char *const *arms, vly_buf *b, vly_err *err)
{
    bool has_probation = o->probation == NULL;

    vly_buf_puts(b, "{\"arms\":[");
    for (int i = 0; i < n; i++) {
        vly_str arm, weight;
        vly_status st = split(arms[i], &arm, &weight, err);
        if (st != VLY_OK)
            return st;
        bool is_on = o->probation != NULL && vly_str_is(arm, o->probation);
        has_probation = has_probation || is_on;
        vly_buf_puts(b, i > 0 ? ",{" : "{");
        put_target(b, arm);
        vly_buf_printf(b, ",\"weight\":%.*s%s}", VLY_STR_ARG(weight),
                       is_on ? ",\"state\":\"probation\"" : "");
    }
    vly_buf_putc(b, ']');
    if (!has_probation)
        return vly_fail(err, VLY_EINVAL, "--probation %s: none of the arms", o->probation);
    return VLY_OK;
}

static vly_status put_guard(const vly_opt_list *guard, vly_buf *b, vly_err *err)
{
    for (size_t i = 0; i < guard->n; i++) {
        vly_str key, value;
        vly_status st = split(guard->item[i], &key, &value, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "--guard");
        vly_buf_puts(b, i > 0 ? "," : ",\"guard\":{");
        vly_buf_json_str(b, key);
        vly_buf_printf(b, ":%.*s", VLY_STR_ARG(value));
    }
    vly_buf_puts(b, guard->n > 0 ? "}" : "");
    return VLY_OK;
}

static vly_status put_shadow(const char *text, vly_buf *b, vly_err *err)
{
    vly_str arm, share;
    vly_status st = split(text, &arm, &share, err);

    if (st != VLY_OK)
        return vly_fail_in(err, st, "--shadow");
    vly_buf_puts(b, ",\"shadow\":{");
    put_target(b, arm);
    vly_buf_printf(b, ",\"share\":%.*s}", VLY_STR_ARG(share));
    return VLY_OK;
}

static vly_status put_route(const route_opts *o, int n, char *const *arms, vly_buf *b, vly_err *err)
{
    vly_status st = put_arms(o, n, arms, b, err);

    if (st == VLY_OK)
        st = put_guard(&o->guard, b, err);
    if (st == VLY_OK && o->shadow != NULL)
        st = put_shadow(o->shadow, b, err);
    if (st != VLY_OK)
        return st;
    if (o->salt != NULL) {
        vly_buf_puts(b, ",\"salt\":");
        vly_buf_json_str(b, vly_str_from(o->salt));
    }
    if (o->shares != NULL)
        vly_buf_printf(b, ",\"schedule\":{\"shares\":[%s],\"hold_s\":%g}", o->shares, o->hold_s);
    vly_buf_putc(b, '}');
    return b->failed ? vly_fail(err, VLY_ELIMIT, "the route is too long") : VLY_OK;
}

static int run_set(const void *opts, int n_args, char *const *args)
{
    const route_opts *o = opts;
    vly_buf body;
    vly_err err;
    vly_status st;

    vly_buf_init(&body, VLY_MEM_CLI, BODY_BYTES_MAX);
    if (o->file != NULL && n_args > 1)
        st = vly_fail(&err, VLY_EINVAL, "--file holds the arms: name none");
    else if (o->file != NULL)
        st = vly_file_read(o->file, BODY_BYTES_MAX, &body, &err);
    else if (n_args < 2)
        st = vly_fail(&err, VLY_EINVAL, "expected arms, as yolov8n/1=90 yolov8n/2=10, or --file");
    else
        st = put_route(o, n_args - 1, args + 1, &body, &err);
    int rc =
        st == VLY_OK ? ask_of(o, "PUT", args[0], "", vly_buf_str(&body)) : vly_command_fail(&err);
    vly_buf_release(&body);
    return rc;
}

/* ---- promote, rollback ---- */

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
    return order(opts, n_args, args, ":promote", put_share);
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

static const vly_opt options[] = {COMMON, VLY_OPT_END};

static const vly_opt set_options[] = {
    COMMON,
    VLY_OPT(route_opts, file, 'f', TEXT, "file", "FILE", "the route as JSON, in place of arms"),
    VLY_OPT(route_opts, probation, 0, TEXT, "probation", "ARM", "the arm that the guard watches"),
    VLY_OPT(route_opts, guard, 'g', LIST, "guard", "NAME=NUMBER",
            "max_error_rate, max_error_increase, max_latency_ms, max_latency_ratio; window_s, "
            "min_requests, confidence, quantile"),
    VLY_OPT(route_opts, shares, 0, TEXT, "schedule", "SHARES",
            "of the arm on probation, one after the other while it is healthy: 0.01,0.1,0.5,1"),
    VLY_OPT(route_opts, hold_s, 0, FLOAT, "hold", "SECONDS", "of each share (default: 600)"),
    VLY_OPT(route_opts, shadow, 0, TEXT, "shadow", "ARM=SHARE",
            "model that gets a copy of this share of the requests"),
    VLY_OPT(route_opts, salt, 0, TEXT, "salt", "TEXT", "another one deals the sessions anew"),
    VLY_OPT_END,
};

static const vly_opt promote_options[] = {
    COMMON,
    VLY_OPT(route_opts, share, 0, FLOAT, "share", "SHARE", "of the requests (default: 1, all)"),
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
        "probation that is worse than the guard allows loses its traffic. The change is made as\n"
        "a whole, and outlives the server when it has a routes.file.\n",
    .examples = "  volley route set detector yolov8n/1=90 yolov8n/2=10\n"
                "  volley route set detector yolov8n/1=99 yolov8n/2=1 --probation yolov8n/2 \\\n"
                "      --guard max_error_increase=0.01 --guard max_latency_ratio=1.5 \\\n"
                "      --schedule 0.01,0.1,0.5,1 --hold 600\n"
                "  volley route set detector yolov8n=1 --shadow yolov8s=0.05\n"
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

/* SPDX-License-Identifier: MIT */
/* `volley store backup`: a copy of a running server's sessions, over HTTP. */
#include "cli/ask_server.h"
#include "cli/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <yyjson.h>

#define ANSWER_BYTES_MAX ((size_t)1 << 20)
#define TIMEOUT_S_MAX    1000000

typedef struct store_opts {
    const char *server, *key, *ca;
    int64_t timeout_s;
    bool is_json;
} store_opts;

static const store_opts defaults = {.server = "http://127.0.0.1:8000", .timeout_s = 3600};

static vly_status print_backup(vly_str json, vly_err *err)
{
    yyjson_doc *doc = yyjson_read(json.ptr, json.len, YYJSON_READ_NOFLAG);
    yyjson_val *backup = yyjson_obj_get(yyjson_doc_get_root(doc), "backup");
    const char *path = yyjson_get_str(yyjson_obj_get(backup, "path"));
    vly_status st = VLY_OK;

    if (path != NULL)
        printf("%s: %" PRIu64 " pages\n", path, yyjson_get_uint(yyjson_obj_get(backup, "pages")));
    else
        st = vly_fail(err, VLY_EFORMAT, "the server does not tell of a backup");
    yyjson_doc_free(doc);
    return st;
}

static int run_backup(const void *opts, int n_args, char *const *args)
{
    const store_opts *o = opts;
    const vly_ask ask = {.server = o->server,
                         .key = o->key,
                         .ca = o->ca,
                         .timeout_ms = (unsigned)(o->timeout_s * 1000),
                         .method = "POST",
                         .path = "/v1/store:backup"};
    int status = 0;
    vly_buf answer;
    vly_err err;

    (void)n_args, (void)args;
    vly_buf_init(&answer, VLY_MEM_CLI, ANSWER_BYTES_MAX);
    vly_status st = VLY_OK;
    if (o->timeout_s < 1 || o->timeout_s > TIMEOUT_S_MAX)
        st = vly_fail(&err, VLY_EINVAL, "option --timeout: expected 1 to %d", TIMEOUT_S_MAX);
    if (st == VLY_OK)
        st = vly_ask_server(&ask, &status, &answer, &err);
    if (st == VLY_OK && status != 200)
        st = vly_ask_refused(status, &answer, &err);
    if (st == VLY_OK && o->is_json)
        printf("%.*s\n", VLY_STR_ARG(vly_buf_str(&answer)));
    else if (st == VLY_OK)
        st = print_backup(vly_buf_str(&answer), &err);
    vly_buf_release(&answer);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

static const vly_opt options[] = {
    VLY_OPT(store_opts, server, 's', TEXT, "server", "URL",
            "the running server (default: http://127.0.0.1:8000)"),
    VLY_OPT(store_opts, key, 'k', TEXT, "key", "KEY",
            "API key of scope admin (default: the environment's VOLLEY_API_KEY)"),
    VLY_OPT(store_opts, ca, 0, TEXT, "ca", "FILE",
            "PEM file, https: who the server is vouched for by"),
    VLY_OPT(store_opts, timeout_s, 't', INT, "timeout", "SECONDS",
            "how long to wait for it (default: 3600)"),
    VLY_OPT(store_opts, is_json, 'j', FLAG, "json", NULL, "print the answer as JSON"),
    VLY_OPT_END,
};

const vly_command vly_command_store_backup = {
    .name = "store backup",
    .args = "",
    .summary = "copy the session store of a running server",
    .details = "The server writes the copy to its setting store.backup_path, beside the store by\n"
               "custom, and replaces the last one when it is whole. It serves on meanwhile; GET\n"
               "/v1/store tells how far it is.\n",
    .examples = "  volley store backup\n"
                "  volley store backup --server https://volley:8443 --json\n",
    .opts = options,
    .opts_bytes = sizeof(store_opts),
    .defaults = &defaults,
    .run = run_backup,
};

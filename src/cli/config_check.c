/* SPDX-License-Identifier: MIT */
/* `volley config check`: everything that is wrong with files of settings, and the environment. */
#include "cli/command.h"
#include "sys/profile.h"

#include <stdio.h>
#include <unistd.h>

typedef struct check_opts {
    bool is_env;
    bool is_strict;
    bool is_json;
} check_opts;

static const vly_opt options[] = {
    VLY_OPT(check_opts, is_env, 'e', FLAG, "env", NULL,
            "the environment, too: on top of each file, or alone"),
    VLY_OPT(check_opts, is_strict, 0, FLAG, "strict", NULL, "warnings count as errors"),
    VLY_OPT(check_opts, is_json, 'j', FLAG, "json", NULL, "as JSON"),
    VLY_OPT_END,
};

typedef struct check {
    const check_opts *opts;
    vly_buf json;
    size_t n_errors, n_warnings;
} check;

static void print_problem(const vly_config_problem *p)
{
    if (p->file != NULL)
        printf("%s:", p->file);
    if (p->line > 0)
        printf("%zu:", p->line);
    printf("%s%s: %s\n", p->file != NULL ? " " : "", p->is_warning ? "warning" : "error", p->msg);
}

static void put_problem(vly_buf *out, const vly_config_problem *p)
{
    vly_buf_printf(out, "%s{\"severity\":\"%s\"", out->len > 0 ? ",\n" : "",
                   p->is_warning ? "warning" : "error");
    if (p->file != NULL) {
        vly_buf_puts(out, ",\"file\":");
        vly_buf_json_str(out, vly_str_from(p->file));
    }
    if (p->line > 0)
        vly_buf_printf(out, ",\"line\":%zu", p->line);
    vly_buf_puts(out, ",\"message\":");
    vly_buf_json_str(out, vly_str_from(p->msg));
    vly_buf_putc(out, '}');
}

static void on_problem(void *ctx, const vly_config_problem *p)
{
    check *k = ctx;

    if (p->is_warning)
        k->n_warnings++;
    else
        k->n_errors++;
    if (k->opts->is_json)
        put_problem(&k->json, p);
    else
        print_problem(p);
}

/* A name of the guides is left to others, but whoever set it should know. */
static void check_guide_names(check *k)
{
    vly_err msg;

    for (char *const *e = environ; *e != NULL; e++) {
        vly_str value = vly_str_from(*e);
        vly_str name = vly_str_split(&value, '=');
        const char *instead = vly_guide_name_find(name);
        if (instead == NULL)
            continue;
        vly_fail(&msg, VLY_ENOTFOUND, "%.*s is not read; in its place: %s", VLY_STR_ARG(name),
                 instead);
        on_problem(k, &(vly_config_problem){.is_warning = true, .msg = msg.msg});
    }
}

/* path NULL: the environment alone. */
static void check_one(check *k, const char *path)
{
    const vly_config_report to = {on_problem, k};
    vly_config c;

    vly_config_init(&c);
    if (path != NULL)
        vly_config_check_file(&c, path, &to);
    if (k->opts->is_env)
        vly_config_check_env(&c, environ, &to);
    vly_config_complete_all(&c, &to);
    vly_config_release(&c);
}

static void print_sum(const check *k)
{
    if (k->opts->is_json)
        printf("{\"problems\":[%.*s],\"errors\":%zu,\"warnings\":%zu}\n",
               VLY_STR_ARG(vly_buf_str(&k->json)), k->n_errors, k->n_warnings);
    else if (k->n_errors + k->n_warnings > 0)
        printf("%zu errors, %zu warnings\n", k->n_errors, k->n_warnings);
    else
        printf("ok\n");
}

static int run(const void *opts, int n_args, char *const *args)
{
    check k = {.opts = opts};

    if (n_args == 0 && !k.opts->is_env) {
        fprintf(stderr, "volley config check: expected FILE, or --env\n");
        return VLY_EXIT_USAGE;
    }
    vly_buf_init(&k.json, VLY_MEM_CLI, (size_t)64 << 20);
    for (int i = 0; i < n_args; i++)
        check_one(&k, args[i]);
    if (n_args == 0)
        check_one(&k, NULL);
    if (k.opts->is_env)
        check_guide_names(&k);
    print_sum(&k);
    vly_buf_release(&k.json);
    bool is_bad = k.n_errors > 0 || (k.opts->is_strict && k.n_warnings > 0);
    return is_bad ? VLY_EXIT_FAILURE : VLY_EXIT_OK;
}

const vly_command vly_command_config_check = {
    .name = "config check",
    .args = "[FILE...]",
    .summary = "tell everything that is wrong with settings",
    .details =
        "Reads each file as `volley serve --config` does and tells every problem with its line:\n"
        "settings that do not exist, with the one that is nearest, values out of range, and\n"
        "settings that do not go together. With --env the environment comes on top, as it does\n"
        "for `volley serve`, and names that others use for such settings are told what to use.\n"
        "\n"
        "Exits with 1 when there are errors, with 0 when there are at most warnings.\n",
    .examples = "  volley config check volley.yaml\n"
                "  volley config check --env\n"
                "  volley config check --json volley.yaml | jq .problems\n",
    .opts = options,
    .opts_bytes = sizeof(check_opts),
    .n_args_max = VLY_ARGS_ANY,
    .run = run,
};

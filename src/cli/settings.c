/* SPDX-License-Identifier: MIT */
/* `volley config show`: every setting with its value, where that comes from, range and meaning. */
#include "cli/command.h"
#include "sys/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

typedef struct show_opts {
    const char *file;
    vly_opt_list set;
} show_opts;

static const vly_opt options[] = {
    VLY_OPT(show_opts, file, 'c', TEXT, "config", "FILE", "settings, in YAML"),
    VLY_OPT(show_opts, set, 's', LIST, "set", "NAME=VALUE", "one setting"),
    VLY_OPT_END,
};

static vly_status load(vly_config *c, const show_opts *o, vly_err *err)
{
    vly_status st = VLY_OK;

    if (o->file != NULL)
        st = vly_config_load_file(c, o->file, err);
    if (st == VLY_OK)
        st = vly_config_load_env(c, environ, err);
    for (size_t i = 0; i < o->set.n && st == VLY_OK; i++)
        st = vly_config_set_arg(c, o->set.item[i], err);
    return st;
}

/* Valid YAML: what it prints may be saved and given back with --config. */
static void print_setting(const vly_config *c, size_t idx, vly_buf *value)
{
    const vly_config_row *row = vly_config_row_at(idx);

    vly_buf_clear(value);
    if (row->kind == VLY_CONFIG_TEXT) {
        vly_buf text;
        vly_buf_init(&text, VLY_MEM_CLI, 1 << 16);
        vly_config_format(c, idx, &text);
        vly_buf_json_str(value, vly_buf_str(&text));
        vly_buf_release(&text);
    } else {
        vly_config_format(c, idx, value);
    }
    printf("# %s\n", row->doc);
    if (row->kind == VLY_CONFIG_INT || row->kind == VLY_CONFIG_BYTES)
        printf("# %" PRId64 " to %" PRId64 "%s\n", row->min, row->max,
               row->kind == VLY_CONFIG_BYTES ? " bytes" : "");
    printf("%s: %.*s  # %s\n\n", row->name, VLY_STR_ARG(vly_buf_str(value)),
           vly_config_origin_name(c->origins[idx]));
}

static int run(const void *opts, int n_args, char *const *args)
{
    vly_config config;
    vly_buf value;
    vly_err err;

    (void)n_args, (void)args;
    vly_config_init(&config);
    vly_buf_init(&value, VLY_MEM_CLI, 1 << 16);
    vly_status st = load(&config, opts, &err);
    for (size_t i = 0; i < VLY_CONFIG_N && st == VLY_OK; i++)
        print_setting(&config, i, &value);
    vly_buf_release(&value);
    vly_config_release(&config);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

const vly_command vly_command_config_show = {
    .name = "config show",
    .args = "",
    .summary = "show every setting: value, origin, range, meaning",
    .details =
        "Prints the settings of `volley serve` as YAML with comments. A value comes from its\n"
        "default, then the file, then the environment (http.port is VOLLEY_HTTP_PORT), then "
        "--set;\n"
        "the comment behind it says which. A wrong setting is an error that names its place.\n",
    .examples = "  volley config show\n"
                "  volley config show --set http.port=9000 > volley.yaml\n"
                "  volley serve --config volley.yaml\n",
    .opts = options,
    .opts_bytes = sizeof(show_opts),
    .run = run,
};

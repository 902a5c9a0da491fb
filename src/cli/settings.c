/* SPDX-License-Identifier: MIT */
/* `volley config show`: every setting with its value, where that comes from, range and meaning. */
#include "cli/command.h"
#include "cli/read_settings.h"
#include "sys/config_text.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct show_opts {
    const char *file;
    const char *profile;
    vly_opt_list set;
    bool is_changed_only;
    bool is_json;
} show_opts;

static const vly_opt options[] = {
    VLY_OPT(show_opts, file, 'c', TEXT, "config", "FILE", "settings, in YAML"),
    VLY_OPT(show_opts, profile, 'P', TEXT, "profile", "NAME", "defaults for a purpose"),
    VLY_OPT(show_opts, set, 's', LIST, "set", "NAME=VALUE", "one setting"),
    VLY_OPT(show_opts, is_changed_only, 0, FLAG, "changed", NULL,
            "only what differs from the defaults"),
    VLY_OPT(show_opts, is_json, 'j', FLAG, "json", NULL, "as JSON"),
    VLY_OPT_END,
};

static vly_status load(vly_config *c, const show_opts *o, vly_err *err)
{
    vly_status st = vly_read_settings_begin(c, o->file, err);

    return st == VLY_OK ? vly_read_settings_end(c, o->profile, &o->set, err) : st;
}

/* Valid YAML: what it prints may be saved and given back with --config. A value with a password in
 * it is not shown, and so stays a comment. */
static void print_setting(const vly_config *c, size_t idx, vly_buf *text)
{
    const vly_config_row *row = vly_config_row_at(idx);
    vly_buf value;

    vly_buf_clear(text);
    vly_buf_init(&value, VLY_MEM_CLI, (size_t)1 << 17);
    vly_config_format_public(c, idx, &value);
    printf("# %s\n", row->doc);
    if (row->kind == VLY_CONFIG_INT || row->kind == VLY_CONFIG_NUMBER ||
        row->kind == VLY_CONFIG_BYTES)
        printf("# %" PRId64 " to %" PRId64 "%s\n", row->min, row->max,
               row->kind == VLY_CONFIG_BYTES ? " bytes" : "");
    if (row->kind == VLY_CONFIG_TEXT)
        vly_buf_json_str(text, vly_buf_str(&value));
    else
        vly_buf_add_str(text, vly_buf_str(&value));
    vly_buf_puts(text, "  # ");
    vly_config_put_origin(c, idx, text);
    printf("%s%s: %.*s\n\n", vly_config_is_public(c, idx) ? "" : "# ", row->name,
           VLY_STR_ARG(vly_buf_str(text)));
    vly_buf_release(&value);
}

static void print_all(const vly_config *c, const show_opts *o)
{
    vly_config defaults;
    vly_buf text;

    vly_config_init(&defaults);
    vly_buf_init(&text, VLY_MEM_CLI, (size_t)1 << 20);
    for (size_t i = 0; i < VLY_CONFIG_N && !o->is_json; i++)
        if (!o->is_changed_only || !vly_config_is_same(c, &defaults, i))
            print_setting(c, i, &text);
    if (o->is_json) {
        vly_config_put_json(c, o->is_changed_only, &text);
        printf("{\"settings\":%.*s}\n", VLY_STR_ARG(vly_buf_str(&text)));
    }
    vly_buf_release(&text);
}

static int run(const void *opts, int n_args, char *const *args)
{
    vly_config config;
    vly_err err;

    (void)n_args, (void)args;
    vly_config_init(&config);
    vly_status st = load(&config, opts, &err);
    if (st == VLY_OK)
        print_all(&config, opts);
    vly_config_release(&config);
    return st == VLY_OK ? VLY_EXIT_OK : vly_command_fail(&err);
}

const vly_command vly_command_config_show = {
    .name = "config show",
    .args = "",
    .summary = "show every setting: value, origin, range, meaning",
    .details =
        "Prints the settings of `volley serve` as YAML with comments. A value comes from its\n"
        "default, then the profile, then the file, then the environment (http.port is\n"
        "VOLLEY_HTTP_PORT), then --set; the comment behind it says which, with the line of a "
        "file.\n"
        "A wrong setting is an error that names its place; `volley config check` tells all of\n"
        "them at once. What others may not see, as a password in a URL, is not shown.\n",
    .examples = "  volley config show\n"
                "  volley config show --profile production --changed\n"
                "  volley config show --set http.port=9000 > volley.yaml\n"
                "  volley serve --config volley.yaml\n",
    .opts = options,
    .opts_bytes = sizeof(show_opts),
    .run = run,
};

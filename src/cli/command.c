/* SPDX-License-Identifier: MIT */
#include "cli/command.h"

#include "base/assert.h"
#include "base/str.h"
#include "cli/command_list.h"
#include "volley/version.h"

#include <stdio.h>

static const vly_command *const commands[] = {
#define COMMAND_ROW(id) &vly_command_##id,
    VLY_COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

void vly_command_each(void (*visit)(const vly_command *c, void *arg), void *arg)
{
    for (size_t i = 0; i < VLY_COUNT(commands); i++)
        visit(commands[i], arg);
}

int vly_command_fail(const vly_err *err)
{
    fprintf(stderr, "volley: %s\n", err->msg);
    return VLY_EXIT_FAILURE;
}

/* ---- help --------------------------------------------------------------------------------- */

static void print_options(const vly_opt *opts, FILE *out)
{
    for (const vly_opt *o = opts; o != NULL && o->name != NULL; o++) {
        char left[64];
        char letter[8] = "    ";
        if (o->letter != 0)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->metavar != NULL ? " " : "",
                 o->metavar != NULL ? o->metavar : "");
        fprintf(out, "  %-30s %s\n", left, o->doc);
    }
    fprintf(out, "  %-30s %s\n", "-h, --help", "show this help");
}

static void print_help(const vly_command *c, FILE *out)
{
    fprintf(out, "volley %s: %s\n\nUsage: volley %s [OPTION...]%s%s\n\n%s\nOptions:\n", c->name,
            c->summary, c->name, c->args[0] != '\0' ? " " : "", c->args, c->details);
    print_options(c->opts, out);
    if (c->examples != NULL)
        fprintf(out, "\nExamples:\n%s", c->examples);
}

static void print_overview(FILE *out)
{
    fprintf(out,
            "volley %s: serves ONNX models over images, video and motion sensors\n\n"
            "Usage: volley COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n",
            VOLLEY_VERSION);
    for (size_t i = 0; i < VLY_COUNT(commands); i++)
        fprintf(out, "  %-16s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n`volley COMMAND --help` explains a command, with examples.\n");
}

/* ---- parsing ------------------------------------------------------------------------------ */

static int usage_error(const vly_command *c, const char *what, const char *word)
{
    fprintf(stderr, "volley %s: %s '%s'; see `volley %s --help`\n", c->name, what, word, c->name);
    return VLY_EXIT_USAGE;
}

static const vly_opt *find_option(const vly_command *c, vly_str name, char letter)
{
    for (const vly_opt *o = c->opts; o != NULL && o->name != NULL; o++)
        if (letter != 0 ? o->letter == letter : vly_str_is(name, o->name))
            return o;
    return NULL;
}

/* Stores value in the option struct; false when it is not of the option's kind. */
static bool store(const vly_opt *o, const char *value, void *opts)
{
    void *field = (char *)opts + o->offset;
    vly_opt_list *list = field;

    switch (o->kind) {
    case VLY_OPT_FLAG:
        *(bool *)field = true;
        return true;
    case VLY_OPT_TEXT:
        *(const char **)field = value;
        return true;
    case VLY_OPT_INT:
        return vly_str_to_i64(vly_str_from(value), field);
    case VLY_OPT_FLOAT:
        return vly_str_to_f64(vly_str_from(value), field);
    case VLY_OPT_LIST:
        if (list->n == VLY_OPT_LIST_MAX)
            return false;
        list->item[list->n++] = value;
        return true;
    }
    return false;
}

static int bad_value(const vly_command *c, const vly_opt *o, const char *value)
{
    static const char *const wants[] = {"no value", "a text", "an integer", "a number",
                                        "at most 64 values"};
    fprintf(stderr, "volley %s: option --%s: expected %s, got '%s'; see `volley %s --help`\n",
            c->name, o->name, wants[o->kind], value, c->name);
    return VLY_EXIT_USAGE;
}

/* One option at argv[*at], with its value; moves *at to its last word. 0, or an exit status. */
static int parse_option(const vly_command *c, int argc, char **argv, int *at, void *opts)
{
    const char *word = argv[*at];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t len = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const vly_opt *o = is_long ? find_option(c, (vly_str){word + 2, len}, 0)
                               : find_option(c, VLY_STR(""), word[1]);
    const char *value = NULL;

    if (o == NULL)
        return usage_error(c, "unknown option", word);
    if (o->kind == VLY_OPT_FLAG) {
        if (equals != NULL || (!is_long && word[2] != '\0'))
            return usage_error(c, "no value belongs to the option", word);
    } else if (equals != NULL) {
        value = equals + 1;
    } else if (!is_long && word[2] != '\0') {
        value = word + 2;
    } else if (*at + 1 < argc) {
        value = argv[++*at];
    } else {
        return usage_error(c, "a value is missing after the option", word);
    }
    return store(o, value, opts) ? 0 : bad_value(c, o, value);
}

/* Options into opts; the other words move to the front of argv, their number to *ret_n_args. */
static int parse(const vly_command *c, int argc, char **argv, void *opts, int *ret_n_args)
{
    bool only_args = false;
    int n_args = 0;

    for (int i = 0; i < argc; i++) {
        if (!only_args && strcmp(argv[i], "--") == 0) {
            only_args = true;
        } else if (!only_args && argv[i][0] == '-' && argv[i][1] != '\0') {
            int status = parse_option(c, argc, argv, &i, opts);
            if (status != 0)
                return status;
        } else {
            argv[n_args++] = argv[i];
        }
    }
    *ret_n_args = n_args;
    return 0;
}

static bool wants_help(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run_command(const vly_command *c, int argc, char **argv)
{
    _Alignas(16) unsigned char opts[VLY_COMMAND_OPTS_MAX] = {0};
    int n_args;

    VLY_ASSERT(c->opts_bytes <= sizeof(opts));
    if (wants_help(argc, argv)) {
        print_help(c, stdout);
        return VLY_EXIT_OK;
    }
    if (c->defaults != NULL)
        memcpy(opts, c->defaults, c->opts_bytes);
    int status = parse(c, argc, argv, opts, &n_args);
    if (status != 0)
        return status;
    if (n_args < c->n_args_min)
        return usage_error(c, "expected the argument", c->args);
    if (n_args > c->n_args_max)
        return usage_error(c, "unexpected argument", argv[c->n_args_max]);
    return c->run(opts, n_args, argv);
}

/* The command that the first one or two words name; *ret_words: how many. */
static const vly_command *find_command(int argc, char *const *argv, int *ret_words)
{
    for (size_t i = 0; i < VLY_COUNT(commands); i++) {
        vly_str rest = vly_str_from(commands[i]->name);
        int words = 0;
        bool matches = true;
        while (rest.ptr != NULL && matches) {
            vly_str word = vly_str_split(&rest, ' ');
            matches = words < argc && vly_str_is(word, argv[words]);
            words++;
        }
        if (matches) {
            *ret_words = words;
            return commands[i];
        }
    }
    return NULL;
}

/* `volley model`: the commands that begin with this word. */
static bool print_group(const char *word, FILE *out)
{
    vly_str name = vly_str_from(word);
    bool any = false;

    for (size_t i = 0; i < VLY_COUNT(commands); i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): &extern in a table is never NULL */
        vly_str full = vly_str_from(commands[i]->name);
        if (!vly_str_starts(full, name) || commands[i]->name[name.len] != ' ')
            continue;
        fprintf(out, "volley %-16s %s\n", commands[i]->name, commands[i]->summary);
        any = true;
    }
    return any;
}

int vly_command_main(int argc, char **argv)
{
    int words;

    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_overview(argc < 2 ? stderr : stdout);
        return argc < 2 ? VLY_EXIT_USAGE : VLY_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("volley %s\n", VOLLEY_VERSION);
        return VLY_EXIT_OK;
    }
    bool is_help = strcmp(argv[1], "help") == 0;
    const vly_command *c = find_command(argc - 1 - is_help, argv + 1 + is_help, &words);
    if (c != NULL && is_help) {
        print_help(c, stdout);
        return VLY_EXIT_OK;
    }
    if (c != NULL)
        return run_command(c, argc - 1 - words, argv + 1 + words);
    if (print_group(argv[1], stderr))
        return VLY_EXIT_USAGE;
    fprintf(stderr, "volley: unknown command '%s'; see `volley --help`\n", argv[1]);
    return VLY_EXIT_USAGE;
}

/* SPDX-License-Identifier: MIT */
/*
 * `volley completion` and `volley manual`: the bash completion and the man page, printed from the
 * command tables, so that they are never out of date. The build installs what they print.
 */
#include "base/str.h"
#include "cli/command.h"
#include "volley/version.h"

#include <stdio.h>
#include <string.h>

static bool takes_path(const vly_opt *o)
{
    return o->metavar != NULL &&
           (strcmp(o->metavar, "FILE") == 0 || strcmp(o->metavar, "DIR") == 0);
}

static void complete_paths(const vly_command *c, void *arg)
{
    (void)arg;
    for (const vly_opt *o = c->opts; o != NULL && o->name != NULL; o++)
        if (takes_path(o))
            printf("|--%s", o->name);
}

static void complete_command(const vly_command *c, void *arg)
{
    (void)arg;
    printf("  \"%s \"*) words=\"--help", c->name);
    for (const vly_opt *o = c->opts; o != NULL && o->name != NULL; o++)
        printf(" --%s", o->name);
    printf("\" ;;\n");
}

/* "model ") words="inspect run" ;; : the arms of a group are merged by appending to words. */
static void complete_group(const vly_command *c, void *arg)
{
    vly_str rest = vly_str_from(c->name);
    vly_str word = vly_str_split(&rest, ' ');

    (void)arg;
    if (rest.ptr != NULL)
        printf("  [ \"$line\" = \"%.*s \" ] && words+=\" %.*s\"\n", VLY_STR_ARG(word),
               VLY_STR_ARG(rest));
}

static void complete_word(const vly_command *c, void *arg)
{
    vly_str rest = vly_str_from(c->name);
    vly_str word = vly_str_split(&rest, ' ');

    (void)arg;
    printf(" %.*s", VLY_STR_ARG(word));
}

static int run_completion(const void *opts, int n_args, char *const *args)
{
    (void)opts, (void)n_args, (void)args;
    printf("# bash completion for volley %s: eval \"$(volley completion)\"\n"
           "_volley() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "  local line=\"${COMP_WORDS[*]:1:COMP_CWORD-1} \"\n"
           "  case $prev in\n  --",
           VOLLEY_VERSION);
    vly_command_each(complete_paths, NULL);
    printf(") COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n  esac\n  case $line in\n");
    vly_command_each(complete_command, NULL);
    printf("  \" \") words=\"--help --version help");
    vly_command_each(complete_word, NULL);
    printf("\" ;;\n  esac\n");
    vly_command_each(complete_group, NULL);
    printf("  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "  [[ $cur == -* ]] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
           "}\ncomplete -o filenames -F _volley volley\n");
    return VLY_EXIT_OK;
}

/* Text for roff: a backslash and a dot or quote at the start of a line need care. */
static void print_roff(const char *text)
{
    bool line_start = true;

    for (const char *p = text; *p != '\0'; p++) {
        if (line_start && (*p == '.' || *p == '\''))
            printf("\\&");
        if (*p == '\\')
            printf("\\e");
        else if (*p == '-')
            printf("\\-");
        else
            putchar(*p);
        line_start = *p == '\n';
    }
}

static void describe_command(const vly_command *c, void *arg)
{
    (void)arg;
    printf(".SS volley %s [OPTION...] %s\n", c->name, c->args);
    print_roff(c->details);
    for (const vly_opt *o = c->opts; o != NULL && o->name != NULL; o++) {
        printf(".TP\n.B ");
        if (o->letter != 0)
            printf("\\-%c, ", o->letter);
        printf("\\-\\-%s", o->name);
        if (o->metavar != NULL)
            printf(" \\fI%s\\fR", o->metavar);
        putchar('\n');
        print_roff(o->doc);
        putchar('\n');
    }
    if (c->examples != NULL) {
        printf(".P\nExamples:\n.nf\n");
        print_roff(c->examples);
        printf(".fi\n");
    }
}

static int run_manual(const void *opts, int n_args, char *const *args)
{
    (void)opts, (void)n_args, (void)args;
    printf(".TH VOLLEY 1 \"\" \"volley %s\"\n.SH NAME\nvolley \\- serves ONNX models over images, "
           "video and motion sensors\n.SH SYNOPSIS\n.B volley\n.I COMMAND\n[OPTION...] "
           "[ARGUMENT...]\n.SH COMMANDS\n",
           VOLLEY_VERSION);
    vly_command_each(describe_command, NULL);
    printf(".SH EXIT STATUS\n0 success; 1 failure; 2 wrong usage; 3 the model needs an operator "
           "that the engine does not have.\n");
    return VLY_EXIT_OK;
}

static const vly_opt no_options[] = {VLY_OPT_END};

const vly_command vly_command_completion = {
    .name = "completion",
    .args = "",
    .summary = "print the bash completion",
    .details = "Prints a script that completes commands, options and paths in bash.\n",
    .examples = "  eval \"$(volley completion)\"\n",
    .opts = no_options,
    .run = run_completion,
};

const vly_command vly_command_manual = {
    .name = "manual",
    .args = "",
    .summary = "print the man page",
    .details = "Prints the manual of every command in the format of man(7).\n",
    .examples = "  volley manual | man -l -\n",
    .opts = no_options,
    .run = run_manual,
};

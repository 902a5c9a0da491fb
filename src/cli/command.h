/* SPDX-License-Identifier: MIT */
/*
 * Commands and their options. A command is one row: what --help, the man page and the shell
 * completion show comes from the same tables that parse the arguments.
 *
 * To add a command: write src/cli/<name>.c with a `const vly_command vly_command_<name>` and name
 * it in command_list.h.
 */
#ifndef VLY_CLI_COMMAND_H
#define VLY_CLI_COMMAND_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VLY_EXIT_OK = 0,
    VLY_EXIT_FAILURE = 1,
    VLY_EXIT_USAGE = 2,
    VLY_EXIT_UNSUPPORTED = 3, /* the model needs an operator that the engine does not have */
    VLY_EXIT_SLO = 4,         /* a stated objective was missed */
};

typedef enum vly_opt_kind {
    VLY_OPT_FLAG,  /* bool, no value */
    VLY_OPT_TEXT,  /* const char *, borrowed from argv */
    VLY_OPT_INT,   /* int64_t */
    VLY_OPT_FLOAT, /* double */
    VLY_OPT_LIST,  /* vly_opt_list: may be given several times */
} vly_opt_kind;

#define VLY_OPT_LIST_MAX 64

typedef struct vly_opt_list {
    const char *item[VLY_OPT_LIST_MAX];
    size_t n;
} vly_opt_list;

typedef struct vly_opt {
    const char *name; /* "--model" without the dashes; NULL ends the table */
    char letter;      /* 'm' for -m; 0: none */
    vly_opt_kind kind;
    size_t offset;       /* of the field in the command's option struct */
    const char *metavar; /* "FILE"; NULL for flags. FILE and DIR complete as paths */
    const char *doc;
} vly_opt;

#define VLY_OPT(type, field, letter_, kind_, name_, metavar_, doc_)                                \
    {                                                                                              \
        .name = (name_), .letter = (letter_), .kind = VLY_OPT_##kind_,                             \
        .offset = offsetof(type, field), .metavar = (metavar_), .doc = (doc_)                      \
    }
#define VLY_OPT_END                                                                                \
    {                                                                                              \
        NULL                                                                                       \
    }

typedef struct vly_command {
    const char *name;     /* "detect", or two words: "model inspect" */
    const char *args;     /* "IMAGE..." for the usage line; "" when it takes none */
    const char *summary;  /* one line, lower case, no full stop */
    const char *details;  /* a paragraph or more for --help and the man page */
    const char *examples; /* lines, each a command that works */
    const vly_opt *opts;
    size_t opts_bytes;    /* of the option struct, at most VLY_COMMAND_OPTS_MAX */
    const void *defaults; /* initial option struct; NULL: zeroes */
    int n_args_min, n_args_max;
    /* Returns the exit status. opts: the filled option struct. What it prints on stdout need not be
     * checked: when not all of that can be written, the command fails. */
    int (*run)(const void *opts, int n_args, char *const *args);
} vly_command;

#define VLY_COMMAND_OPTS_MAX 4096
#define VLY_ARGS_ANY         1000000

/* Runs the command that argv names; argv[0] is the program; reorders argv. Returns the exit status.
 */
int vly_command_main(int argc, char **argv);

/* Visits every command in the order of command_list.h. */
void vly_command_each(void (*visit)(const vly_command *c, void *arg), void *arg);

/* "volley: message" on stderr; returns VLY_EXIT_FAILURE. */
int vly_command_fail(const vly_err *err);

#endif

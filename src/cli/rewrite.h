/* SPDX-License-Identifier: MIT */
/*
 * What the commands that make a model file of a model file share: options, opening, measuring
 * before and after, the table, and a file that never replaces another unasked.
 */
#ifndef VLY_CLI_REWRITE_H
#define VLY_CLI_REWRITE_H

#include "cli/command.h"
#include "cli/quality.h"
#include "sys/file.h"

typedef struct vly_rewrite_opts {
    const char *out, *eval, *task;
    int64_t samples, threads;
    bool json, force;
} vly_rewrite_opts;

/* Rows for a table of options whose struct has a vly_rewrite_opts named `common`. */
#define VLY_REWRITE_OPTIONS(type)                                                                  \
    VLY_OPT(type, common.out, 'o', TEXT, "out", "FILE", "where to write the model (required)"),    \
        VLY_OPT(type, common.eval, 'e', TEXT, "eval", "DIR",                                       \
                "measure accuracy and time here: pictures, best with labels, or windows"),         \
        VLY_OPT(type, common.samples, 'n', INT, "samples", "N",                                    \
                "use at most so many of a directory, evenly spread (default 200; 0: all)"),        \
        VLY_OPT(type, common.task, 0, TEXT, "task", "NAME", "how to read the model's outputs"),    \
        VLY_OPT(type, common.threads, 't', INT, "threads", "N", "cores to use (default: all)"),    \
        VLY_OPT(type, common.force, 'f', FLAG, "force", NULL, "replace the output file"),          \
        VLY_OPT(type, common.json, 0, FLAG, "json", NULL, "print JSON")

#define VLY_REWRITE_OPTS_INIT                                                                      \
    {                                                                                              \
        .samples = 200                                                                             \
    }

typedef struct vly_rewrite {
    const vly_rewrite_opts *opts;
    const char *path; /* of the input */
    const char *dir;  /* where it lies */
    vly_mmap file;
    vly_model *model;
    const vly_model_info *info;
    vly_decoder decoder;
    vly_arena arena;
    vly_cli_samples samples; /* to calibrate and, without --eval, to measure on */
    vly_cli_samples eval;
    bool has_samples, has_eval;
    vly_quality_bench bench;
    bool has_bench; /* there is something to measure on */
    vly_buf out;    /* the new file */
    vly_quality before, after;
} vly_rewrite;

/* calibrate: directory of samples; NULL: none. Errors name what is wrong; EEXIST: the output file
 * is there already. */
vly_status vly_rewrite_open(vly_rewrite *r, const char *path, const char *calibrate,
                            const vly_rewrite_opts *opts, vly_err *err) VLY_MUST_CHECK;
void vly_rewrite_close(vly_rewrite *r);

/* Without a bench only sizes and FLOPs are filled. */
vly_status vly_rewrite_measure_before(vly_rewrite *r, vly_err *err) VLY_MUST_CHECK;
vly_status vly_rewrite_measure_after(vly_rewrite *r, vly_err *err) VLY_MUST_CHECK;
vly_status vly_rewrite_save(vly_rewrite *r, vly_err *err) VLY_MUST_CHECK;

/* The table before | after, or the members "before" and "after" of a JSON object (without braces).
 */
void vly_rewrite_add_table(const vly_rewrite *r, vly_buf *out);
void vly_rewrite_add_json(const vly_rewrite *r, vly_buf *out);

#endif

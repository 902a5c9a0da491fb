/* SPDX-License-Identifier: MIT */
/* `volley model prune`: a copy of a model with fewer weights or channels, and what it costs. */
#include "optim/prune.h"
#include "cli/command.h"
#include "cli/model_io.h"
#include "cli/rewrite.h"

#include <inttypes.h>
#include <stdio.h>

#define OUTPUT_MAX ((size_t)1 << 20)

typedef struct prune_opts {
    vly_rewrite_opts common;
    const char *calibrate;
    double sparsity;
    int64_t steps;
    bool structured, per_layer;
} prune_opts;

static const prune_opts defaults = {.common = VLY_REWRITE_OPTS_INIT, .sparsity = 0.5, .steps = 4};

static const vly_opt options[] = {
    VLY_OPT(prune_opts, sparsity, 's', FLOAT, "sparsity", "X",
            "share that goes, 0 to 1 (default 0.5)"),
    VLY_OPT(prune_opts, structured, 0, FLAG, "structured", NULL,
            "take out whole channels: the net becomes smaller and faster"),
    VLY_OPT(prune_opts, calibrate, 'c', TEXT, "calibrate", "DIR",
            "weigh by what counts on these real inputs, and correct the biases"),
    VLY_OPT(prune_opts, per_layer, 0, FLAG, "per-layer", NULL,
            "single weights: the same share in every layer, not over the whole net"),
    VLY_OPT(prune_opts, steps, 0, INT, "steps", "N",
            "single weights with --calibrate: steps of the polynomial schedule (default 4)"),
    VLY_REWRITE_OPTIONS(prune_opts),
    VLY_OPT_END,
};

typedef struct job {
    const prune_opts *opts;
    vly_rewrite r;
    vly_prune_report report;
} job;

static vly_status cut(job *j, vly_edit *e, vly_err *err)
{
    const prune_opts *o = j->opts;
    vly_prune_opts opts = {
        .sparsity = o->sparsity, .is_per_layer = o->per_layer, .n_steps = (size_t)o->steps};
    const vly_samples *samples = j->r.has_samples ? &j->r.samples.base : NULL;
    vly_status st = o->structured ? vly_optim_prune_channels(e, &opts, samples, &j->report, err)
                                  : vly_optim_prune_weights(e, &opts, samples, &j->report, err);

    return st == VLY_OK ? vly_edit_write(e, &j->r.out, err) : st;
}

static vly_status prune(job *j, vly_err *err)
{
    vly_edit e;
    vly_status st = vly_edit_open(&e, j->r.file.ptr, j->r.file.len, j->r.dir, err);

    if (st == VLY_OK) {
        st = cut(j, &e, err);
        vly_edit_close(&e);
    }
    if (st != VLY_OK)
        return vly_fail_in(err, st, "model '%s'", j->r.path);
    st = vly_rewrite_measure_before(&j->r, err);
    if (st == VLY_OK)
        st = vly_rewrite_measure_after(&j->r, err);
    return st == VLY_OK ? vly_rewrite_save(&j->r, err) : st;
}

static void add_text(const job *j, vly_buf *out)
{
    const vly_prune_report *p = &j->report;

    vly_rewrite_add_table(&j->r, out);
    if (j->opts->structured)
        vly_buf_printf(out,
                       "  channels: %zu of %zu that can go are gone, %" PRIu64 " weights left\n",
                       p->n_channels_gone, p->n_channels, p->n_weights);
    else
        vly_buf_printf(out,
                       "  weights: %" PRIu64 " of %" PRIu64
                       " are 0 (%.1f %%); the file keeps its size, --structured makes it smaller\n",
                       p->n_zeros, p->n_weights, 100.0 * (double)p->n_zeros / (double)p->n_weights);
}

static void add_json(const job *j, vly_buf *out)
{
    vly_buf_putc(out, '{');
    vly_rewrite_add_json(&j->r, out);
    vly_buf_printf(out, ",\"weights\":%" PRIu64 ",\"zeros\":%" PRIu64, j->report.n_weights,
                   j->report.n_zeros);
    if (j->opts->structured)
        vly_buf_printf(out, ",\"channels\":%zu,\"channels_gone\":%zu", j->report.n_channels,
                       j->report.n_channels_gone);
    vly_buf_puts(out, "}\n");
}

static void print(const job *j)
{
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CLI, OUTPUT_MAX);
    (j->opts->common.json ? add_json : add_text)(j, &out);
    fwrite(out.ptr, 1, out.len, stdout);
    vly_buf_release(&out);
}

static int run(const void *opts_, int n_args, char *const *args)
{
    const prune_opts *opts = opts_;
    job j = {.opts = opts};
    vly_err err;
    vly_status st = VLY_OK;

    (void)n_args;
    if (opts->steps < 1 || opts->steps > 1000)
        st = vly_fail(&err, VLY_EINVAL, "option --steps: expected 1 to 1000");
    if (st == VLY_OK)
        st = vly_rewrite_open(&j.r, args[0], opts->calibrate, &opts->common, &err);
    if (st == VLY_OK)
        st = prune(&j, &err);
    if (st == VLY_OK)
        print(&j);
    else
        vly_command_fail(&err);
    vly_rewrite_close(&j.r);
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_prune = {
    .name = "model prune",
    .args = "FILE",
    .summary = "make a copy of a model with fewer weights, and tell what it costs",
    .details =
        "Sets the least important weights to 0, or with --structured takes out whole channels "
        "with\n"
        "all that reads them. Importance is magnitude; with --calibrate it is what a weight or\n"
        "channel adds to the output on real inputs, and biases take over the mean of what goes.\n"
        "Nothing is trained here: large shares cost accuracy that fine-tuning has to win back.\n"
        "Prints size, work, time and accuracy before and after; for accuracy see model quantize.\n",
    .examples = "  volley model prune yolov8n.onnx --sparsity 0.3 --eval coco128 -o sparse.onnx\n"
                "  volley model prune yolov8n.onnx --structured -s 0.1 --calibrate pictures -o "
                "small.onnx\n",
    .opts = options,
    .opts_bytes = sizeof(prune_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run,
};

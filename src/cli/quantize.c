/* SPDX-License-Identifier: MIT */
/* `volley model quantize`: a smaller, faster copy of a model, and what it costs in accuracy. */
#include "optim/quantize.h"
#include "cli/command.h"
#include "cli/model_io.h"
#include "cli/rewrite.h"
#include "optim/half.h"

#include <stdio.h>
#include <stdlib.h>

#define OUTPUT_MAX  ((size_t)64 << 20)
#define WORST_SHOWN 10

typedef struct quantize_opts {
    vly_rewrite_opts common;
    const char *calibrate, *method;
    double percentile, budget;
    vly_opt_list keep_float;
    bool layers, fp16, bf16;
} quantize_opts;

static const quantize_opts defaults = {
    .common = VLY_REWRITE_OPTS_INIT, .method = "mse", .percentile = 99.99, .budget = -1};

static const vly_opt options[] = {
    VLY_OPT(quantize_opts, calibrate, 'c', TEXT, "calibrate", "DIR",
            "real inputs to find ranges on: pictures, or windows as .npy or .csv"),
    VLY_OPT(quantize_opts, method, 0, TEXT, "method", "NAME",
            "ranges by min-max, percentile, entropy or mse (default mse)"),
    VLY_OPT(quantize_opts, percentile, 0, FLOAT, "percentile", "X",
            "share of values inside for --method percentile (default 99.99)"),
    VLY_OPT(quantize_opts, budget, 0, FLOAT, "budget", "X",
            "accuracy that may be lost, 0.01 for one point: keeps as many layers float as needed"),
    VLY_OPT(quantize_opts, keep_float, 0, LIST, "keep-float", "NODE", "this layer stays float"),
    VLY_OPT(quantize_opts, layers, 0, FLAG, "layers", NULL, "print every layer, not the worst ten"),
    VLY_OPT(quantize_opts, fp16, 0, FLAG, "fp16", NULL,
            "no 8 bits: store the weights as float16; needs no --calibrate"),
    VLY_OPT(quantize_opts, bf16, 0, FLAG, "bf16", NULL, "the same as bfloat16"),
    VLY_REWRITE_OPTIONS(quantize_opts),
    VLY_OPT_END,
};

typedef struct job {
    const quantize_opts *opts;
    vly_rewrite r;
    vly_quantizer *q;
    size_t *order; /* layers by what they lose, worst first */
    bool is_within_budget;
} job;

static vly_status find_method(const char *name, vly_range_method *ret, vly_err *err)
{
    for (int m = 0; m < VLY_RANGE_METHODS; m++) {
        if (vly_str_is(vly_str_from(name), vly_range_method_name((vly_range_method)m))) {
            *ret = (vly_range_method)m;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL,
                    "option --method: expected min-max, percentile, entropy or mse, got '%s'",
                    name);
}

static vly_status keep_named(const job *j, vly_err *err)
{
    size_t n;
    const vly_quant_layer *layers = vly_quantizer_layers(j->q, &n);

    for (size_t i = 0; i < j->opts->keep_float.n; i++) {
        bool is_found = false;
        for (size_t l = 0; l < n; l++) {
            if (!vly_str_is(layers[l].name, j->opts->keep_float.item[i]))
                continue;
            vly_quantizer_keep(j->q, l, true);
            is_found = true;
        }
        if (!is_found)
            return vly_fail(err, VLY_ENOTFOUND, "option --keep-float: no layer '%s'; see --layers",
                            j->opts->keep_float.item[i]);
    }
    return VLY_OK;
}

/* Insertion: a model has hundreds of layers, not thousands. */
static vly_status sort_layers(job *j, vly_err *err)
{
    size_t n;
    const vly_quant_layer *layers = vly_quantizer_layers(j->q, &n);

    j->order = vly_arena_calloc(&j->r.arena, n, sizeof(*j->order));
    if (j->order == NULL)
        return vly_arena_fail(&j->r.arena, err);
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        for (; at > 0 && layers[j->order[at - 1]].sqnr_db > layers[i].sqnr_db; at--)
            j->order[at] = j->order[at - 1];
        j->order[at] = i;
    }
    return VLY_OK;
}

static vly_status write_and_measure(job *j, vly_err *err)
{
    vly_buf_clear(&j->r.out);
    vly_status st = vly_quantizer_write(j->q, &j->r.out, err);

    return st == VLY_OK ? vly_rewrite_measure_after(&j->r, err) : st;
}

/* Keeps the worst 1, 2, 4, ... layers float until the loss is within the budget. */
static vly_status meet_budget(job *j, vly_err *err)
{
    size_t n, kept = 0;
    const vly_quant_layer *layers = vly_quantizer_layers(j->q, &n);
    vly_status st = write_and_measure(j, err);

    for (size_t want = 1; st == VLY_OK; want *= 2) {
        j->is_within_budget = j->r.before.score - j->r.after.score <= j->opts->budget;
        if (j->is_within_budget || j->opts->budget < 0 || kept == n)
            break;
        for (; kept < n && kept < want; kept++)
            if (!layers[j->order[kept]].is_float)
                vly_quantizer_keep(j->q, j->order[kept], true);
        st = write_and_measure(j, err);
    }
    return st;
}

static vly_status halve(job *j, vly_err *err)
{
    vly_edit e;
    size_t n;
    vly_status st = vly_edit_open(&e, j->r.file.ptr, j->r.file.len, j->r.dir, err);

    if (st == VLY_OK) {
        st = vly_optim_halve(&e, j->opts->fp16 ? VLY_DTYPE_F16 : VLY_DTYPE_BF16, &n, err);
        if (st == VLY_OK)
            st = vly_edit_write(&e, &j->r.out, err);
        vly_edit_close(&e);
    }
    if (st != VLY_OK)
        return vly_fail_in(err, st, "model '%s'", j->r.path);
    st = vly_rewrite_measure_before(&j->r, err);
    if (st == VLY_OK)
        st = vly_rewrite_measure_after(&j->r, err);
    return st == VLY_OK ? vly_rewrite_save(&j->r, err) : st;
}

static vly_status quantise(job *j, vly_err *err)
{
    vly_quant_opts opts = {.percentile = j->opts->percentile};
    vly_status st = find_method(j->opts->method, &opts.method, err);

    if (st != VLY_OK)
        return st;
    st = vly_quantizer_new(j->r.file.ptr, j->r.file.len, j->r.dir, &opts, &j->q, err);
    if (st == VLY_OK)
        st = keep_named(j, err);
    if (st == VLY_OK)
        st = vly_quantizer_calibrate(j->q, &j->r.samples.base, err);
    if (st == VLY_OK)
        st = sort_layers(j, err);
    if (st == VLY_OK)
        st = vly_rewrite_measure_before(&j->r, err);
    if (st == VLY_OK)
        st = meet_budget(j, err);
    return st == VLY_OK ? vly_rewrite_save(&j->r, err)
                        : vly_fail_in(err, st, "model '%s'", j->r.path);
}

/* ---- printing ----------------------------------------------------------------------------- */

static void add_layers(const job *j, vly_buf *out)
{
    size_t n, n_float = 0;
    const vly_quant_layer *layers = vly_quantizer_layers(j->q, &n);

    for (size_t i = 0; i < n; i++)
        n_float += layers[i].is_float;
    vly_buf_printf(out, "  layers: %zu of %zu in 8 bits, %s; signal to noise when one alone is:\n",
                   n - n_float, n, j->opts->layers ? "all" : "the worst first");
    for (size_t i = 0; i < n && (j->opts->layers || i < WORST_SHOWN); i++) {
        const vly_quant_layer *l = &layers[j->order[i]];
        vly_buf_printf(out, "    %6.1f dB  %5.2f %% of the work  %s  %.*s\n", l->sqnr_db,
                       l->share * 100, l->is_float ? "float" : "int8 ", VLY_STR_ARG(l->name));
    }
    if (j->opts->budget >= 0)
        vly_buf_printf(out, "  budget: %.4f, %s\n", j->opts->budget,
                       j->is_within_budget ? "kept" : "NOT kept");
}

static void add_layers_json(const job *j, vly_buf *out)
{
    size_t n;
    const vly_quant_layer *layers = vly_quantizer_layers(j->q, &n);

    if (j->opts->budget >= 0)
        vly_buf_printf(out, ",\"is_within_budget\":%s", j->is_within_budget ? "true" : "false");
    vly_buf_puts(out, ",\"layers\":[");
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        vly_buf_json_str(out, layers[i].name);
        vly_buf_printf(out, ",\"share\":%.6f,\"sqnr_db\":%.2f,\"is_float\":%s}", layers[i].share,
                       layers[i].sqnr_db, layers[i].is_float ? "true" : "false");
    }
    vly_buf_putc(out, ']');
}

static void print(const job *j)
{
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CLI, OUTPUT_MAX);
    if (j->opts->common.json) {
        vly_buf_putc(&out, '{');
        vly_rewrite_add_json(&j->r, &out);
        if (j->q != NULL)
            add_layers_json(j, &out);
        vly_buf_puts(&out, "}\n");
    } else {
        vly_rewrite_add_table(&j->r, &out);
        if (j->q != NULL)
            add_layers(j, &out);
    }
    fwrite(out.ptr, 1, out.len, stdout);
    vly_buf_release(&out);
}

static vly_status check_options(const quantize_opts *opts, vly_err *err)
{
    bool is_half = opts->fp16 || opts->bf16;

    if (opts->fp16 && opts->bf16)
        return vly_fail(err, VLY_EINVAL, "options --fp16 and --bf16 exclude each other");
    if (is_half && (opts->budget >= 0 || opts->keep_float.n > 0))
        return vly_fail(err, VLY_EINVAL, "options --budget and --keep-float are for 8 bits");
    if (!is_half && opts->calibrate == NULL)
        return vly_fail(err, VLY_EINVAL,
                        "option --calibrate is required: a directory of real inputs");
    if (!(opts->percentile >= 50 && opts->percentile <= 100))
        return vly_fail(err, VLY_EINVAL, "option --percentile: expected 50 to 100");
    return VLY_OK;
}

static int run(const void *opts_, int n_args, char *const *args)
{
    const quantize_opts *opts = opts_;
    job j = {.opts = opts};
    vly_err err;
    vly_status st = check_options(opts, &err);

    (void)n_args;
    if (st == VLY_OK)
        st = vly_rewrite_open(&j.r, args[0], opts->calibrate, &opts->common, &err);
    if (st == VLY_OK)
        st = opts->fp16 || opts->bf16 ? halve(&j, &err) : quantise(&j, &err);
    if (st == VLY_OK)
        print(&j);
    else
        vly_command_fail(&err);
    vly_quantizer_free(j.q);
    vly_rewrite_close(&j.r);
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_quantize = {
    .name = "model quantize",
    .args = "FILE",
    .summary = "make an 8-bit (or 16-bit) copy of a model, and tell what it costs",
    .details =
        "Writes standard QDQ ONNX: int8 weights with a scale per channel, uint8 activations. The\n"
        "ranges come from running the model on the real inputs in DIR; biases are corrected for\n"
        "the mean error. Prints size, time and accuracy before and after, and what each layer\n"
        "loses. With --budget the layers that lose most stay float until the loss of accuracy is\n"
        "within it. --fp16 and --bf16 only store the weights in 16 bits. Accuracy is mAP50-95 when "
        "--eval (or else DIR) has labels, as `volley eval\n"
        "detect` wants them; otherwise agreement with the input model.\n",
    .examples =
        "  volley model quantize yolov8n.onnx --calibrate pictures -o yolov8n_int8.onnx\n"
        "  volley model quantize yolov8n.onnx --calibrate pictures --eval coco128 --budget "
        "0.005 -o "
        "q.onnx\n"
        "  volley model quantize gestures.onnx --calibrate windows --method min-max -o q.onnx "
        "--json\n",
    .opts = options,
    .opts_bytes = sizeof(quantize_opts),
    .defaults = &defaults,
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run,
};

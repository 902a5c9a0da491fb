/* SPDX-License-Identifier: MIT */
/* `volley model run` and `volley model verify`: tensors in, tensors out or compared. */
#include "cli/command.h"
#include "cli/model_io.h"
#include "cli/model_runner.h"
#include "sys/file.h"
#include "tensor/compare.h"

#include <inttypes.h>
#include <stdio.h>

#define ENTRIES_MAX 100000

/* precision NULL: fp32. */
static vly_status open_model(vly_runner *r, const char *path, const char *precision, vly_err *err)
{
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;

    *r = (vly_runner){0};
    if (precision != NULL) {
        vly_status st = vly_precision_parse(vly_str_from(precision), &options, err);
        if (st != VLY_OK)
            return st;
    }
    return vly_runner_open(r, path, &options, 0, err);
}

/* ---- run ---------------------------------------------------------------------------------- */

typedef struct run_opts {
    vly_opt_list inputs;
    const char *out, *precision;
} run_opts;

static const vly_opt run_options[] = {
    VLY_OPT(run_opts, inputs, 'i', LIST, "input", "NAME=FILE",
            "an input tensor, .npy or .pb; NAME may be left out when there is one input"),
    VLY_OPT(run_opts, out, 'o', TEXT, "out", "DIR", "write each output as DIR/NAME.npy"),
    VLY_OPT(run_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "exact, fp32, bf16, int8 or auto (default fp32)"),
    VLY_OPT_END,
};

static vly_status read_inputs(vly_runner *r, const vly_opt_list *args, vly_err *err)
{
    vly_status st = vly_runner_read_inputs(r, args, err);

    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < r->info->n_inputs; i++)
        if (r->inputs[i].dtype == VLY_DTYPE_UNDEFINED)
            return vly_fail(err, VLY_EINVAL, "input '%s' is missing: give --input %s=FILE.npy",
                            r->info->inputs[i].name, r->info->inputs[i].name);
    return VLY_OK;
}

/* Shape, dtype and the range of values, so that a person sees at a glance whether it makes sense.
 */
static void print_tensor(const char *name, const vly_tensor *t)
{
    char text[VLY_SHAPE_TEXT_MAX];
    uint64_t n = vly_tensor_count(t);
    double lo = 0, hi = 0, sum = 0;
    bool is_number = vly_dtype_is_float(t->dtype) || vly_dtype_is_int(t->dtype);

    for (uint64_t i = 0; is_number && i < n; i++) {
        double v = vly_tensor_get_f64(t, i);
        lo = i == 0 || v < lo ? v : lo;
        hi = i == 0 || v > hi ? v : hi;
        sum += v;
    }
    printf("%-20s %-8s %-20s", name, vly_dtype_name(t->dtype), vly_shape_text(&t->shape, text));
    if (is_number && n > 0)
        printf(" min %.6g  max %.6g  mean %.6g", lo, hi, sum / (double)n);
    putchar('\n');
}

static vly_status write_output(const char *dir, const char *name, const vly_tensor *t, vly_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/", dir);

    /* names such as "/model/conv" must stay inside the directory */
    for (const char *p = name; *p != '\0' && n < (int)sizeof(path) - 8; p++)
        path[n++] = *p == '/' || *p == ':' ? '_' : *p;
    snprintf(path + n, sizeof(path) - (size_t)n, ".npy");
    return vly_cli_tensor_write(path, t, err);
}

static int run_run(const void *opts_, int n_args, char *const *args)
{
    const run_opts *opts = opts_;
    vly_runner r;
    vly_err err;

    (void)n_args;
    vly_status st = open_model(&r, args[0], opts->precision, &err);
    if (st == VLY_OK)
        st = read_inputs(&r, &opts->inputs, &err);
    if (st == VLY_OK)
        st = vly_runner_run(&r, &err);
    for (size_t i = 0; st == VLY_OK && i < r.info->n_outputs; i++) {
        print_tensor(r.info->outputs[i].name, &r.outputs[i]);
        if (opts->out != NULL)
            st = write_output(opts->out, r.info->outputs[i].name, &r.outputs[i], &err);
    }
    if (st != VLY_OK)
        vly_command_fail(&err);
    vly_runner_close(&r);
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_run = {
    .name = "model run",
    .args = "FILE",
    .summary = "run a model on tensors from files",
    .details =
        "Runs an .onnx model once. Inputs are NumPy .npy files or ONNX tensors (.pb); prints\n"
        "dtype, shape and range of each output, and writes them as .npy with --out.\n",
    .examples = "  volley model run yolov8n.onnx --input x.npy --out .\n"
                "  volley model run add.onnx -i a=a.npy -i b=b.npy\n",
    .opts = run_options,
    .opts_bytes = sizeof(run_opts),
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run_run,
};

/* ---- verify ------------------------------------------------------------------------------- */

typedef struct verify_opts {
    double rtol, atol;
    const char *precision;
} verify_opts;

static const verify_opts verify_defaults = {.rtol = 1e-3, .atol = 1e-5};

static const vly_opt verify_options[] = {
    VLY_OPT(verify_opts, rtol, 0, FLOAT, "rtol", "X", "relative tolerance (default 1e-3)"),
    VLY_OPT(verify_opts, atol, 0, FLOAT, "atol", "X", "absolute tolerance (default 1e-5)"),
    VLY_OPT(verify_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "exact, fp32, bf16, int8 or auto (default fp32)"),
    VLY_OPT_END,
};

/* DIR/<what>_<i>.pb or .npy; ENOTFOUND when there is neither. */
static vly_status read_numbered(const char *dir, const char *what, size_t i, vly_tensor *ret,
                                vly_err *err)
{
    static const char *const suffixes[] = {"pb", "npy"};
    char path[4096];

    for (size_t k = 0; k < 2; k++) {
        snprintf(path, sizeof(path), "%s/%s_%zu.%s", dir, what, i, suffixes[k]);
        if (vly_file_exists(path))
            return vly_cli_tensor_read(path, ret, err);
    }
    return vly_fail(err, VLY_ENOTFOUND, "'%s': no %s_%zu.pb or .npy", dir, what, i);
}

static vly_status read_set(vly_runner *r, const char *dir, vly_err *err)
{
    vly_runner_release_tensors(r);
    for (size_t i = 0; i < r->info->n_inputs; i++) {
        vly_status st = read_numbered(dir, "input", i, &r->inputs[i], err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

static void print_comparison(const char *dir, const char *name, const vly_comparison *c,
                             const vly_tensor *got, const vly_tensor *want)
{
    char a[VLY_SHAPE_TEXT_MAX], b[VLY_SHAPE_TEXT_MAX];

    printf("%s: %s: ", dir, name);
    if (!c->is_same_type)
        printf("MISMATCH: expected %s %s, got %s %s\n", vly_dtype_name(want->dtype),
               vly_shape_text(&want->shape, a), vly_dtype_name(got->dtype),
               vly_shape_text(&got->shape, b));
    else if (c->is_match)
        printf("match, %" PRIu64 " elements, max abs error %.3g\n", c->n_elements, c->worst_abs);
    else
        printf("MISMATCH: %" PRIu64 " of %" PRIu64 " elements, worst %.3g at %" PRIu64 "\n",
               c->n_mismatches, c->n_elements, c->worst_abs, c->worst_idx);
}

/* Runs one test_data_set; *ret_match: every output is as it should be. */
static vly_status verify_set(vly_runner *r, const char *dir, const verify_opts *opts,
                             bool *ret_match, vly_err *err)
{
    vly_status st = read_set(r, dir, err);
    bool is_match = true;

    if (st == VLY_OK)
        st = vly_runner_run(r, err);
    for (size_t i = 0; st == VLY_OK && i < r->info->n_outputs; i++) {
        vly_tensor want = {0};
        st = read_numbered(dir, "output", i, &want, err);
        if (st != VLY_OK)
            break;
        vly_comparison c = vly_tensor_compare(&r->outputs[i], &want, opts->rtol, opts->atol);
        print_comparison(dir, r->info->outputs[i].name, &c, &r->outputs[i], &want);
        is_match = is_match && c.is_match;
        vly_tensor_release(&want);
    }
    if (st == VLY_OK)
        *ret_match = is_match;
    return st;
}

/* dir itself is a set, or holds test_data_set_* directories. */
static vly_status verify_all(vly_runner *r, const char *dir, const verify_opts *opts,
                             bool *ret_match, vly_err *err)
{
    vly_dir list = {0};
    char path[4096];
    size_t n_sets = 0;
    bool all = true;
    vly_status st = vly_dir_list(dir, ENTRIES_MAX, &list, err);

    for (size_t i = 0; st == VLY_OK && i < list.n_entries; i++) {
        bool is_match = false;
        if (!list.entries[i].is_dir ||
            !vly_str_starts(vly_str_from(list.entries[i].name), VLY_STR("test_data_set")))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, list.entries[i].name);
        st = verify_set(r, path, opts, &is_match, err);
        all = all && is_match;
        n_sets++;
    }
    vly_dir_release(&list);
    if (st == VLY_OK && n_sets == 0)
        return verify_set(r, dir, opts, ret_match, err);
    if (st == VLY_OK)
        *ret_match = all;
    return st;
}

static int run_verify(const void *opts_, int n_args, char *const *args)
{
    const verify_opts *opts = opts_;
    bool is_match = false;
    vly_runner r;
    vly_err err;

    (void)n_args;
    vly_status st = open_model(&r, args[0], opts->precision, &err);
    if (st == VLY_OK)
        st = verify_all(&r, args[1], opts, &is_match, &err);
    if (st != VLY_OK)
        vly_command_fail(&err);
    vly_runner_close(&r);
    if (st == VLY_OK)
        return is_match ? VLY_EXIT_OK : VLY_EXIT_FAILURE;
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_verify = {
    .name = "model verify",
    .args = "FILE DIR",
    .summary = "compare a model's outputs with reference tensors",
    .details =
        "Runs the model on DIR/input_<i>.pb (or .npy) and compares with DIR/output_<i>.pb (or\n"
        ".npy), as ONNX's own test data lie. DIR may hold several test_data_set_* directories.\n"
        "Exit status: 0 all match, 1 mismatch or error, 3 an operator is not supported.\n",
    .examples = "  volley model verify mnist/model.onnx mnist\n"
                "  volley model verify net.onnx refs --rtol 1e-4 --atol 1e-6\n",
    .opts = verify_options,
    .opts_bytes = sizeof(verify_opts),
    .defaults = &verify_defaults,
    .n_args_min = 2,
    .n_args_max = 2,
    .run = run_verify,
};

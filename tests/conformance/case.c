/* SPDX-License-Identifier: MIT */
#include "conformance/case.h"

#include "base/arena.h"
#include "codec/onnx.h"
#include "conformance/compare.h"
#include "engine/graph/constant.h"
#include "engine/model.h"
#include "sys/file.h"

#include <stdio.h>
#include <unistd.h>

enum { IO_MAX = 64, PATH_MAX_BYTES = 4096 };

/* The tensors of one test_data_set; views on mapped files. */
typedef struct data_set {
    vly_arena arena;
    vly_mmap files[2 * IO_MAX];
    size_t n_files, n_inputs, n_outputs;
    vly_tensor inputs[IO_MAX], outputs[IO_MAX];
} data_set;

static vly_status read_tensor(data_set *d, const char *path, vly_tensor *ret, vly_err *err)
{
    const vly_onnx_tensor *t;
    vly_mmap *file = &d->files[d->n_files];
    vly_status st = vly_mmap_open(path, (size_t)1 << 30, file, err);

    if (st != VLY_OK)
        return st;
    d->n_files++;
    st = vly_onnx_tensor_parse(file->ptr, file->len, &d->arena, &t, err);
    if (st == VLY_OK)
        st = vly_constant_from_onnx(t, NULL, ret, err);
    return st;
}

/* Reads input_0.pb, input_1.pb ... as far as they exist. */
static vly_status read_tensors(data_set *d, const char *dir, const char *prefix, vly_tensor *list,
                               size_t *ret_n, vly_err *err)
{
    char path[PATH_MAX_BYTES];

    for (*ret_n = 0; *ret_n < IO_MAX; ++*ret_n) {
        snprintf(path, sizeof(path), "%s/%s_%zu.pb", dir, prefix, *ret_n);
        if (access(path, R_OK) != 0)
            break;
        vly_status st = read_tensor(d, path, &list[*ret_n], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "%s_%zu.pb", prefix, *ret_n);
    }
    return VLY_OK;
}

static void release(data_set *d)
{
    for (size_t i = 0; i < d->n_inputs; i++)
        vly_tensor_release(&d->inputs[i]);
    for (size_t i = 0; i < d->n_outputs; i++)
        vly_tensor_release(&d->outputs[i]);
    for (size_t i = 0; i < d->n_files; i++)
        vly_mmap_close(&d->files[i]);
    vly_arena_release(&d->arena);
}

/* References that hold the rounding noise of a float FFT (2e-7) where the truth is 0. */
static double tolerance_of(const char *dir)
{
    static const char *const noisy[] = {"test_dft_inverse", "test_dft_inverse_opset19"};
    const char *slash = strrchr(dir, '/');
    const char *name = slash != NULL ? slash + 1 : dir;

    for (size_t i = 0; i < sizeof(noisy) / sizeof(noisy[0]); i++)
        if (strcmp(name, noisy[i]) == 0)
            return 1e-6;
    return ATOL;
}

/* Before release 1.13 the cases stored bfloat16 as uint16. */
static void fix_bf16(vly_tensor *t, vly_dtype declared)
{
    if (declared == VLY_DTYPE_BF16 && t->dtype == VLY_DTYPE_U16)
        t->dtype = declared;
}

/* Release 1.12 has cases whose input is not of the shape that their model declares: nobody can run
 * them. */
static vly_status check_case(const data_set *d, const vly_model_info *info, vly_err *err)
{
    for (size_t i = 0; i < d->n_inputs; i++) {
        const vly_shape *want = &info->inputs[i].shape, *have = &d->inputs[i].shape;
        bool fits = !info->inputs[i].has_shape || want->rank == have->rank;
        for (int k = 0; fits && info->inputs[i].has_shape && k < want->rank; k++)
            fits = want->dim[k] == VLY_DIM_UNKNOWN || want->dim[k] == have->dim[k];
        if (!fits)
            return vly_fail(err, VLY_EUNSUPPORTED,
                            "nothing: the case's input contradicts its model");
    }
    return VLY_OK;
}

static vly_status run_and_compare(data_set *d, vly_instance *inst, const vly_model_info *info,
                                  double atol, vly_err *err)
{
    vly_tensor inputs[IO_MAX] = {0}, got[IO_MAX] = {0};

    if (info->n_inputs > IO_MAX || info->n_outputs > IO_MAX || d->n_outputs != info->n_outputs ||
        d->n_inputs > info->n_inputs)
        return vly_fail(err, VLY_EINVAL,
                        "data set of %zu inputs and %zu outputs for a model of %zu and %zu",
                        d->n_inputs, d->n_outputs, info->n_inputs, info->n_outputs);
    for (size_t i = 0; i < d->n_inputs; i++)
        fix_bf16(&d->inputs[i], info->inputs[i].dtype);
    memcpy(inputs, d->inputs, d->n_inputs * sizeof(inputs[0]));
    vly_status st = check_case(d, info, err);
    if (st == VLY_OK)
        st = vly_instance_run(inst, inputs, got, err);
    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < d->n_outputs && st == VLY_OK; i++) {
        fix_bf16(&d->outputs[i], got[i].dtype);
        st = compare_tensors(&got[i], &d->outputs[i], atol, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "output '%s'", info->outputs[i].name);
    }
    for (size_t i = 0; i < info->n_outputs; i++)
        vly_tensor_release(&got[i]);
    return st;
}

/* *ret_found: there is such a data set. */
static vly_status run_data_set(const char *dir, int idx, vly_model *model, vly_instance *inst,
                               bool *ret_found, vly_err *err)
{
    static data_set d; /* one case per process */
    char path[PATH_MAX_BYTES];

    snprintf(path, sizeof(path), "%s/test_data_set_%d", dir, idx);
    *ret_found = access(path, R_OK) == 0;
    if (!*ret_found)
        return VLY_OK;
    d = (data_set){.n_files = 0};
    vly_arena_init(&d.arena, VLY_MEM_CODEC, 1 << 16, (size_t)1 << 30);
    vly_status st = read_tensors(&d, path, "input", d.inputs, &d.n_inputs, err);
    if (st == VLY_OK)
        st = read_tensors(&d, path, "output", d.outputs, &d.n_outputs, err);
    if (st == VLY_OK)
        st = run_and_compare(&d, inst, vly_model_describe(model), tolerance_of(dir), err);
    release(&d);
    return st;
}

static vly_status run_case(const char *dir, vly_err *err)
{
    char path[PATH_MAX_BYTES];
    vly_model *model = NULL;
    vly_instance *inst = NULL;
    bool found = true;
    int n = 0;

    snprintf(path, sizeof(path), "%s/model.onnx", dir);
    const vly_model_options options = {.max_file_bytes = (size_t)1 << 30,
                                       .max_memory_bytes = (size_t)1 << 30};
    vly_status st = vly_model_load(path, &options, &model, err);
    if (st == VLY_OK)
        st = vly_instance_new(model, NULL, &inst, err);
    while (st == VLY_OK && found) {
        st = run_data_set(dir, n, model, inst, &found, err);
        n += found;
    }
    if (st == VLY_OK && n == 0)
        st = vly_fail(err, VLY_EINVAL, "no test_data_set_0");
    vly_instance_free(inst);
    vly_model_unref(model);
    return st;
}

/* The part of an error that says what is missing: op names, or the message without its place. */
static void set_reason(case_result *ret, const char *msg)
{
    static const char *const marks[] = {
        "unsupported operators: ", "unsupported operator: ", "model.onnx': "};
    const char *text = msg;

    for (int i = 0; i < 3 && text == msg; i++) {
        const char *at = strstr(msg, marks[i]);
        if (at != NULL)
            text = at + strlen(marks[i]);
    }
    snprintf(ret->reason, sizeof(ret->reason), "%s", text);
    char *opset = strstr(ret->reason, " (opset ");
    if (opset != NULL)
        *opset = '\0';
}

void case_run(const char *dir, case_result *ret)
{
    vly_err err = VLY_ERR_INIT;
    vly_status st = run_case(dir, &err);

    *ret = (case_result){.verdict = CASE_PASSED};
    if (st == VLY_OK)
        return;
    ret->verdict = st == VLY_EUNSUPPORTED ? CASE_UNSUPPORTED : CASE_FAILED;
    set_reason(ret, err.msg);
}

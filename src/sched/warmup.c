/* SPDX-License-Identifier: MIT */
#include "sched/warmup.h"

#include "base/assert.h"
#include "base/mem.h"
#include "sys/file.h"

#include <string.h>

#define RUNS_MAX 1000 /* of one sample */

typedef struct warmup {
    const vly_servable *s;
    vly_instance *instance;
    vly_tensor *inputs, *outputs;
    vly_arena scratch;
} warmup;

/* ---- data ---- */

/* NAME/1/model.onnx -> NAME/warmup/file */
static vly_status read_file(warmup *w, vly_str name, vly_tensor *t, vly_err *err)
{
    const char *path = w->s->path != NULL ? w->s->path : "";
    vly_str dir = vly_str_from(path);
    vly_buf bytes;
    char *full = NULL;

    for (int up = 0; up < 2; up++) {
        while (dir.len > 0 && dir.ptr[dir.len - 1] != '/')
            dir.len--;
        dir.len -= dir.len > 0;
    }
    const char *beside = vly_arena_printf(&w->scratch, "%.*s/warmup", VLY_STR_ARG(dir));
    if (beside == NULL)
        return vly_arena_fail(&w->scratch, err);
    vly_buf_init(&bytes, VLY_MEM_SCHED, t->bytes);
    vly_status st = vly_path_join(beside, name, &full, err);
    if (st == VLY_OK)
        st = vly_file_read(full, t->bytes, &bytes, err);
    if (st == VLY_OK && bytes.len != t->bytes)
        st = vly_fail(err, VLY_EINVAL, "'%s': expected %zu bytes, got %zu", full, t->bytes,
                      bytes.len);
    if (st == VLY_OK && bytes.len > 0)
        memcpy(t->data, bytes.ptr, bytes.len);
    vly_buf_release(&bytes);
    vly_free(full);
    return st;
}

/* xorshift: bytes that are the same each time; floats of 0 to 1, that none is NaN. */
static void fill_random(vly_tensor *t)
{
    uint32_t x = 2463534242U;
    unsigned char *p = t->data;

    for (size_t i = 0; i < t->bytes; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (unsigned char)(x >> 24);
    }
    if (t->dtype == VLY_DTYPE_BOOL)
        for (size_t i = 0; i < t->bytes; i++)
            p[i] &= 1;
    if (t->dtype == VLY_DTYPE_F32)
        for (size_t i = 0; i < t->bytes / sizeof(float); i++)
            ((float *)t->data)[i] = (float)p[i * sizeof(float)] / 256.0F;
    else if (vly_dtype_is_float(t->dtype))
        memset(p, 0, t->bytes);
}

static vly_status fill(warmup *w, const vly_triton_warmup_input *in, vly_tensor *t, vly_err *err)
{
    if (t->dtype == VLY_DTYPE_STRING) {
        vly_str *elems = t->data;
        for (uint64_t i = 0; i < vly_tensor_count(t); i++)
            elems[i] = VLY_STR("");
        return VLY_OK;
    }
    memset(t->data, 0, t->bytes);
    if (in != NULL && in->random_data)
        fill_random(t);
    if (in != NULL && in->input_data_file.len > 0)
        return read_file(w, in->input_data_file, t, err);
    return VLY_OK;
}

/* ---- one sample ---- */

static const vly_triton_warmup_input *find_input(const vly_triton_warmup *sample, const char *name)
{
    for (size_t i = 0; sample != NULL && i < sample->n_inputs; i++)
        if (vly_str_is(sample->inputs[i].key, name))
            return &sample->inputs[i].value;
    return NULL;
}

/* What the sample says, or else the model's own shape, with the batch for what it leaves open. */
static vly_status shape_of(const vly_model_io *io, const vly_triton_warmup *sample,
                           const vly_triton_warmup_input *in, vly_shape *ret, vly_err *err)
{
    int64_t batch = sample != NULL ? sample->batch_size : 0;

    *ret = (vly_shape){.rank = 0};
    if (in == NULL) {
        *ret = io->shape;
        for (int d = 0; d < ret->rank; d++)
            if (ret->dim[d] == VLY_DIM_UNKNOWN)
                ret->dim[d] = d == 0 && batch > 0 ? batch : 1;
        return VLY_OK;
    }
    if (in->n_dims + (batch > 0) > VLY_RANK_MAX)
        return vly_fail(err, VLY_EINVAL, "input '%s': expected at most %d dimensions", io->name,
                        VLY_RANK_MAX);
    if (batch > 0)
        ret->dim[ret->rank++] = batch;
    for (size_t d = 0; d < in->n_dims; d++) {
        if (in->dims[d] < 0)
            return vly_fail(err, VLY_EINVAL, "input '%s': expected known dimensions", io->name);
        ret->dim[ret->rank++] = in->dims[d];
    }
    return VLY_OK;
}

static vly_status make_input(warmup *w, size_t i, const vly_triton_warmup *sample, vly_err *err)
{
    const vly_model_io *io = &w->s->run_info->inputs[i];
    const vly_triton_warmup_input *in = find_input(sample, io->name);
    vly_shape shape;

    if (in != NULL && !vly_str_is(in->datatype, vly_dtype_kserve(io->dtype)))
        return vly_fail(err, VLY_EINVAL, "input '%s': expected datatype %s, got %.*s", io->name,
                        vly_dtype_kserve(io->dtype), VLY_STR_ARG(in->datatype));
    vly_status st = shape_of(io, sample, in, &shape, err);
    if (st == VLY_OK)
        st = vly_tensor_new(io->dtype, &shape, &w->inputs[i], err);
    return st == VLY_OK ? fill(w, in, &w->inputs[i], err) : st;
}

static vly_status run_sample(warmup *w, const vly_triton_warmup *sample, vly_err *err)
{
    const vly_model_info *info = w->s->run_info;
    int64_t n_runs = sample != NULL && sample->count > 0 ? sample->count : 1;
    vly_status st = VLY_OK;

    if (n_runs > RUNS_MAX)
        n_runs = RUNS_MAX;
    for (size_t i = 0; i < info->n_inputs && st == VLY_OK; i++)
        st = make_input(w, i, sample, err);
    for (int64_t k = 0; k < n_runs && st == VLY_OK; k++) {
        st = vly_instance_run(w->instance, w->inputs, w->outputs, err);
        for (size_t i = 0; i < info->n_outputs; i++)
            vly_tensor_release(&w->outputs[i]);
    }
    for (size_t i = 0; i < info->n_inputs; i++)
        vly_tensor_release(&w->inputs[i]);
    return st;
}

/* ---- the whole ---- */

/* Whether a run can be made up from the shapes of the model. */
static bool is_closed(const vly_model_info *info)
{
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (!info->inputs[i].has_shape)
            return false;
        for (int d = 1; d < info->inputs[i].shape.rank; d++)
            if (info->inputs[i].shape.dim[d] == VLY_DIM_UNKNOWN)
                return false;
    }
    return true;
}

static vly_status run_samples(warmup *w, vly_err *err)
{
    const vly_triton_config *config = w->s->config;
    vly_status st = VLY_OK;

    if (config != NULL && config->n_warmups > 0) {
        for (size_t i = 0; i < config->n_warmups && st == VLY_OK; i++) {
            st = run_sample(w, &config->warmups[i], err);
            if (st != VLY_OK)
                vly_fail_in(err, st, "model_warmup '%.*s'", VLY_STR_ARG(config->warmups[i].name));
        }
        return st;
    }
    /* Zeros are nobody's request: a model that refuses them may still take what clients send. */
    if (is_closed(w->s->run_info) && run_sample(w, NULL, NULL) == VLY_ENOMEM)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the first run");
    return VLY_OK;
}

vly_status vly_warmup(const vly_servable *s, vly_worker_pool *pool, vly_err *err)
{
    warmup w = {.s = s};
    vly_status st = VLY_OK;

    if (s->model == NULL)
        return VLY_OK;
    vly_arena_init(&w.scratch, VLY_MEM_SCHED, 4096, (size_t)1 << 20);
    w.inputs = vly_calloc(VLY_MEM_SCHED, s->run_info->n_inputs + 1, sizeof(vly_tensor));
    w.outputs = vly_calloc(VLY_MEM_SCHED, s->run_info->n_outputs + 1, sizeof(vly_tensor));
    if (w.inputs == NULL || w.outputs == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for the warm-up");
    if (st == VLY_OK)
        st = vly_instance_new(s->model, pool, &w.instance, err);
    if (st == VLY_OK)
        st = run_samples(&w, err);
    vly_instance_free(w.instance);
    vly_free(w.inputs);
    vly_free(w.outputs);
    vly_arena_release(&w.scratch);
    return st;
}

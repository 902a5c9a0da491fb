/* SPDX-License-Identifier: MIT */
#include "sched/sample_input.h"

#include "base/buf.h"
#include "base/mem.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>

#define PATH_BYTES 4096

void vly_sample_inputs_free(const vly_servable *s, vly_tensor *inputs)
{
    for (size_t i = 0; inputs != NULL && i < s->run_info->n_inputs; i++)
        vly_tensor_release(&inputs[i]);
    vly_free(inputs);
}

static const vly_triton_io *io_config(const vly_servable *s, const char *name)
{
    for (size_t i = 0; s->config != NULL && i < s->config->n_inputs; i++)
        if (vly_str_is(s->config->inputs[i].name, name))
            return &s->config->inputs[i];
    return NULL;
}

/* Dimensions of the configuration begin behind the batch when the model has one. */
static int64_t config_dim(const vly_servable *s, const vly_triton_io *io, int rank, int i)
{
    int at = i - (s->config->max_batch_size > 0);

    if (io->reshape != NULL || at < 0 || io->n_dims != (size_t)(rank - (i - at)))
        return VLY_DIM_UNKNOWN;
    return io->dims[at];
}

static vly_status guess_shape(const vly_servable *s, const vly_model_io *io, size_t batch,
                              vly_shape *ret, vly_err *err)
{
    const vly_triton_io *config = io_config(s, io->name);
    char text[VLY_SHAPE_TEXT_MAX];

    *ret = io->shape;
    if (!io->has_shape)
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%s' is of any shape", io->name);
    for (int i = 0; i < ret->rank; i++) {
        if (ret->dim[i] != VLY_DIM_UNKNOWN)
            continue;
        if (config != NULL)
            ret->dim[i] = config_dim(s, config, ret->rank, i);
        if (i == 0 && ret->dim[i] == VLY_DIM_UNKNOWN)
            ret->dim[i] = (int64_t)batch;
    }
    if (!vly_shape_known(ret))
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%s' is of any shape %s", io->name,
                        vly_shape_text(&io->shape, text));
    return VLY_OK;
}

static bool is_whole(vly_dtype t)
{
    return t == VLY_DTYPE_I8 || t == VLY_DTYPE_U8 || t == VLY_DTYPE_I16 || t == VLY_DTYPE_U16 ||
           t == VLY_DTYPE_I32 || t == VLY_DTYPE_U32 || t == VLY_DTYPE_I64 || t == VLY_DTYPE_U64;
}

static vly_status new_zeros(const vly_model_io *io, const vly_shape *shape, vly_tensor *ret,
                            vly_err *err)
{
    if (io->dtype == VLY_DTYPE_STRING)
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%s' holds texts", io->name);
    vly_status st = vly_tensor_new(io->dtype, shape, ret, err);
    if (st == VLY_OK && ret->bytes > 0)
        memset(ret->data, 0, ret->bytes);
    return st;
}

static vly_status sample_input(const vly_servable *s, const vly_model_io *io, size_t batch,
                               vly_tensor *ret, vly_err *err)
{
    vly_shape shape;
    vly_status st = guess_shape(s, io, batch, &shape, err);

    if (st == VLY_OK)
        st = new_zeros(io, &shape, ret, err);
    if (st != VLY_OK || !is_whole(io->dtype))
        return st;
    size_t width = ret->bytes / (vly_tensor_count(ret) != 0 ? vly_tensor_count(ret) : 1);
    for (size_t at = 0; at < ret->bytes; at += width)
        ((char *)ret->data)[at] = 1; /* the low byte: every CPU served is little-endian */
    return VLY_OK;
}

static vly_tensor *new_inputs(const vly_servable *s, vly_err *err)
{
    vly_tensor *inputs = vly_calloc(VLY_MEM_SCHED, s->run_info->n_inputs + 1, sizeof(*inputs));

    if (inputs == NULL)
        vly_fail(err, VLY_ENOMEM, "out of memory for inputs of '%s'", s->name);
    return inputs;
}

vly_status vly_sample_inputs(const vly_servable *s, size_t batch, vly_tensor **ret, vly_err *err)
{
    vly_tensor *inputs = new_inputs(s, err);
    vly_status st = inputs != NULL ? VLY_OK : VLY_ENOMEM;

    for (size_t i = 0; st == VLY_OK && i < s->run_info->n_inputs; i++)
        st = sample_input(s, &s->run_info->inputs[i], batch, &inputs[i], err);
    if (st != VLY_OK) {
        vly_sample_inputs_free(s, inputs);
        return st;
    }
    *ret = inputs;
    return VLY_OK;
}

/* ---- model_warmup ---- */

static const vly_triton_warmup_input *entry_of(const vly_triton_warmup *w, const char *name)
{
    for (size_t i = 0; i < w->n_inputs; i++)
        if (vly_str_is(w->inputs[i].key, name))
            return &w->inputs[i].value;
    return NULL;
}

static vly_status entry_shape(const vly_triton_warmup *w, const vly_triton_warmup_input *in,
                              const char *name, vly_shape *ret, vly_err *err)
{
    bool has_batch = w->batch_size > 0;

    if (in->n_dims + has_batch > VLY_RANK_MAX)
        return vly_fail(err, VLY_EINVAL, "input '%s': expected at most %d dimensions", name,
                        VLY_RANK_MAX);
    *ret = (vly_shape){.rank = (int)in->n_dims + has_batch};
    if (has_batch)
        ret->dim[0] = w->batch_size;
    for (size_t i = 0; i < in->n_dims; i++)
        ret->dim[i + has_batch] = in->dims[i];
    if (!vly_shape_known(ret))
        return vly_fail(err, VLY_EINVAL, "input '%s': expected every dimension of a sample", name);
    return VLY_OK;
}

/* Bytes that look like a signal and are the same each time. */
static void fill_random(vly_tensor *t)
{
    uint32_t seed = 1;

    for (size_t i = 0; t->dtype == VLY_DTYPE_F32 && i < t->bytes / sizeof(float); i++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        ((float *)t->data)[i] = (float)(seed >> 8) / (float)(1 << 24);
    }
    for (size_t i = 0; t->dtype == VLY_DTYPE_U8 && i < t->bytes; i++) {
        seed = seed * UINT32_C(1664525) + UINT32_C(1013904223);
        ((uint8_t *)t->data)[i] = (uint8_t)(seed >> 24);
    }
}

/* DIR/NAME/1/model.onnx -> DIR/NAME/warmup/FILE */
static vly_status read_data(const vly_servable *s, vly_str file, vly_tensor *t, vly_err *err)
{
    vly_str dir = vly_str_from(s->path);
    char path[PATH_BYTES];
    vly_buf bytes;

    for (int up = 0; up < 2; up++) {
        while (dir.len > 0 && dir.ptr[dir.len - 1] != '/')
            dir.len--;
        dir.len -= dir.len > 0;
    }
    int n = snprintf(path, sizeof(path), "%.*s/warmup/%.*s", VLY_STR_ARG(dir), VLY_STR_ARG(file));
    if (n < 0 || (size_t)n >= sizeof(path) || strstr(path, "..") != NULL)
        return vly_fail(err, VLY_EINVAL, "input_data_file '%.*s': not a name of a file",
                        VLY_STR_ARG(file));
    vly_buf_init(&bytes, VLY_MEM_SCHED, t->bytes);
    vly_status st = vly_file_read(path, t->bytes, &bytes, err);
    if (st == VLY_OK && bytes.len != t->bytes)
        st = vly_fail(err, VLY_EINVAL, "'%s': expected %zu bytes, got %zu", path, t->bytes,
                      bytes.len);
    if (st == VLY_OK && t->bytes > 0)
        memcpy(t->data, bytes.ptr, t->bytes);
    vly_buf_release(&bytes);
    return st;
}

static vly_status warmup_input(const vly_servable *s, const vly_triton_warmup *w,
                               const vly_model_io *io, vly_tensor *ret, vly_err *err)
{
    const vly_triton_warmup_input *in = entry_of(w, io->name);
    vly_shape shape;

    if (in == NULL)
        return sample_input(s, io, w->batch_size > 0 ? (size_t)w->batch_size : 1, ret, err);
    vly_status st = entry_shape(w, in, io->name, &shape, err);
    if (st == VLY_OK)
        st = new_zeros(io, &shape, ret, err);
    if (st == VLY_OK && in->random_data)
        fill_random(ret);
    if (st == VLY_OK && in->input_data_file.len > 0)
        st = read_data(s, in->input_data_file, ret, err);
    return st;
}

vly_status vly_warmup_inputs(const vly_servable *s, const vly_triton_warmup *w, vly_tensor **ret,
                             vly_err *err)
{
    vly_tensor *inputs = new_inputs(s, err);
    vly_status st = inputs != NULL ? VLY_OK : VLY_ENOMEM;

    for (size_t i = 0; st == VLY_OK && i < s->run_info->n_inputs; i++)
        st = warmup_input(s, w, &s->run_info->inputs[i], &inputs[i], err);
    if (st != VLY_OK) {
        vly_sample_inputs_free(s, inputs);
        return vly_fail_in(err, st, "model_warmup '%.*s'", VLY_STR_ARG(w->name));
    }
    *ret = inputs;
    return VLY_OK;
}

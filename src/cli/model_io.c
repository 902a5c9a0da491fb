/* SPDX-License-Identifier: MIT */
#include "cli/model_io.h"

#include "codec/npy.h"
#include "codec/onnx.h"
#include "engine/graph/constant.h"
#include "sys/file.h"

#include <string.h>

#define TENSOR_FILE_MAX ((size_t)16 << 30)

int vly_cli_exit_status(vly_status st)
{
    if (st == VLY_OK)
        return VLY_EXIT_OK;
    return st == VLY_EUNSUPPORTED ? VLY_EXIT_UNSUPPORTED : VLY_EXIT_FAILURE;
}

vly_status vly_cli_input_arg(const vly_model_info *info, const char *arg, size_t *ret_index,
                             vly_str *ret_value, vly_err *err)
{
    vly_str rest = vly_str_from(arg);
    vly_str name = vly_str_split(&rest, '=');

    if (rest.ptr == NULL && info->n_inputs == 1) {
        *ret_index = 0;
        *ret_value = name;
        return VLY_OK;
    }
    if (rest.ptr == NULL)
        return vly_fail(err, VLY_EINVAL, "'%s': expected NAME=..., the model has %zu inputs", arg,
                        info->n_inputs);
    for (size_t i = 0; i < info->n_inputs; i++) {
        if (vly_str_is(name, info->inputs[i].name)) {
            *ret_index = i;
            *ret_value = rest;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_ENOTFOUND, "'%s': the model has no input '%.*s'", arg,
                    VLY_STR_ARG(name));
}

/* "1x3x640x640" */
static vly_status parse_shape(vly_str text, vly_shape *ret, vly_err *err)
{
    vly_str rest = text;
    vly_shape shape = {0};

    while (rest.ptr != NULL) {
        int64_t dim;
        vly_str word = vly_str_split(&rest, 'x');
        if (shape.rank == VLY_RANK_MAX || !vly_str_to_i64(word, &dim) || dim < 0)
            return vly_fail(err, VLY_EINVAL, "shape '%.*s': expected sizes such as 1x3x640x640",
                            VLY_STR_ARG(text));
        shape.dim[shape.rank++] = dim;
    }
    *ret = shape;
    return VLY_OK;
}

vly_status vly_cli_input_shapes(const vly_model_info *info, const vly_opt_list *args,
                                vly_arena *arena, vly_shape **ret, vly_err *err)
{
    vly_shape *shapes = vly_arena_calloc(arena, info->n_inputs, sizeof(*shapes));

    if (shapes == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    for (size_t i = 0; i < info->n_inputs; i++) {
        shapes[i] = info->inputs[i].shape;
        for (int k = 0; k < shapes[i].rank; k++)
            if (shapes[i].dim[k] == VLY_DIM_UNKNOWN)
                shapes[i].dim[k] = 1;
    }
    for (size_t i = 0; i < args->n; i++) {
        size_t at;
        vly_str value;
        vly_status st = vly_cli_input_arg(info, args->item[i], &at, &value, err);
        if (st == VLY_OK)
            st = parse_shape(value, &shapes[at], err);
        if (st != VLY_OK)
            return st;
    }
    *ret = shapes;
    return VLY_OK;
}

static vly_status tensor_from_npy(const vly_buf *file, vly_tensor *ret, vly_err *err)
{
    vly_shape shape = {0};
    vly_npy a;
    vly_status st = vly_npy_parse(file->ptr, file->len, &a, err);

    if (st != VLY_OK)
        return st;
    if (a.n_dims > VLY_RANK_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d dimensions, got %zu", VLY_RANK_MAX,
                        a.n_dims);
    shape.rank = (int)a.n_dims;
    for (size_t i = 0; i < a.n_dims; i++)
        shape.dim[i] = a.dims[i];
    st = vly_tensor_new((vly_dtype)a.data_type, &shape, ret, err);
    if (st == VLY_OK)
        vly_npy_copy(&a, ret->data);
    return st;
}

static vly_status tensor_from_pb(const vly_buf *file, vly_tensor *ret, vly_err *err)
{
    const vly_onnx_tensor *t;
    vly_tensor view;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_CLI, 1 << 16, VLY_ONNX_ARENA_BUDGET(file->len));
    vly_status st = vly_onnx_tensor_parse(file->ptr, file->len, &arena, &t, err);
    if (st == VLY_OK && t->external != NULL)
        st = vly_fail(err, VLY_EUNSUPPORTED, "a tensor with external data");
    if (st == VLY_OK)
        st = vly_constant_from_onnx(t, NULL, &view, err);
    if (st == VLY_OK) {
        st = vly_tensor_copy(&view, ret, err); /* the view borrows the file */
        vly_tensor_release(&view);
    }
    vly_arena_release(&arena);
    return st;
}

vly_status vly_cli_tensor_read(const char *path, vly_tensor *ret, vly_err *err)
{
    bool is_npy = vly_str_ends(vly_str_from(path), VLY_STR(".npy"));
    vly_buf file;

    vly_buf_init(&file, VLY_MEM_CLI, TENSOR_FILE_MAX);
    vly_status st = vly_file_read(path, TENSOR_FILE_MAX, &file, err);
    if (st == VLY_OK) {
        st = is_npy ? tensor_from_npy(&file, ret, err) : tensor_from_pb(&file, ret, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&file);
    return st;
}

vly_status vly_cli_tensor_write(const char *path, const vly_tensor *t, vly_err *err)
{
    vly_buf file;

    vly_buf_init(&file, VLY_MEM_CLI, TENSOR_FILE_MAX);
    vly_status st = vly_npy_write(&file, (int32_t)t->dtype, (size_t)t->shape.rank, t->shape.dim,
                                  t->data, t->bytes, err);
    if (st == VLY_OK && file.failed)
        st = vly_fail(err, VLY_ENOMEM, "out of memory");
    if (st == VLY_OK)
        st = vly_file_write(path, file.ptr, file.len, err);
    else
        vly_fail_in(err, st, "'%s'", path);
    vly_buf_release(&file);
    return st;
}

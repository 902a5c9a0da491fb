/* SPDX-License-Identifier: MIT */
/*
 * A whole model from bytes: load, compile, run. Whatever the file says, this ends with an answer or
 * an error, within its memory limit.
 */
#include "base/arena.h"
#include "engine/model.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define MEMORY_MAX ((size_t)16 << 20)
#define FLOPS_MAX  20000000 /* more would only be slow */

/* Inputs of the plan's shapes, filled with small values; false when they do not fit the limit. */
static bool make_inputs(const vly_model_info *info, vly_arena *arena, vly_tensor *inputs)
{
    for (size_t i = 0; i < info->n_inputs; i++) {
        vly_shape shape = info->inputs[i].shape;
        size_t bytes;
        for (int k = 0; k < shape.rank; k++)
            if (shape.dim[k] == VLY_DIM_UNKNOWN)
                shape.dim[k] = 1;
        if (info->inputs[i].dtype == VLY_DTYPE_STRING ||
            !vly_shape_bytes(&shape, info->inputs[i].dtype, &bytes) || bytes > MEMORY_MAX)
            return false;
        unsigned char *data = vly_arena_calloc(arena, 1, bytes + VLY_TENSOR_PADDING);
        if (data == NULL)
            return false;
        for (size_t k = 0; k < bytes; k++)
            data[k] = (unsigned char)(k % 7); /* a valid bool and int8, a tiny float */
        inputs[i] = vly_tensor_borrow(info->inputs[i].dtype, &shape, data);
    }
    return true;
}

static void run(vly_model *model, vly_instance *inst)
{
    const vly_model_info *info = vly_model_describe(model);
    vly_plan_summary plan;
    vly_err err;
    vly_arena arena;

    if (vly_instance_plan(inst, NULL, &plan, &err) == VLY_OK && plan.flops > FLOPS_MAX)
        return;
    vly_arena_init(&arena, VLY_MEM_TENSOR, 1 << 12, MEMORY_MAX);
    vly_tensor *inputs = vly_arena_calloc(&arena, info->n_inputs, sizeof(*inputs));
    vly_tensor *outputs = vly_arena_calloc(&arena, info->n_outputs, sizeof(*outputs));
    if (inputs != NULL && outputs != NULL && make_inputs(info, &arena, inputs) &&
        vly_instance_run(inst, inputs, outputs, &err) == VLY_OK)
        for (size_t i = 0; i < info->n_outputs; i++)
            vly_tensor_release(&outputs[i]);
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_model_options options = {.max_file_bytes = (size_t)1 << 20,
                                 .max_memory_bytes = MEMORY_MAX,
                                 .precision = (vly_precision)(n % (VLY_PRECISION_AUTO + 1))};
    vly_model *model;
    vly_instance *inst;
    vly_err err;

    if (vly_model_load_bytes(bytes, n, &options, &model, &err) != VLY_OK)
        return 0;
    if (vly_instance_new(model, NULL, &inst, &err) == VLY_OK) {
        run(model, inst);
        vly_instance_free(inst);
    }
    vly_model_unref(model);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* What match() functions ask about a model, and the tensor task, which asks nothing. */
#include "base/assert.h"
#include "tasks/decoder.h"

const int vly_strides_p5[4] = {8, 16, 32, 0};
const int vly_strides_p6[5] = {8, 16, 32, 64, 0};

const vly_shape *vly_probe__output(const vly_task_probe *p, size_t idx, int rank)
{
    if (idx >= p->model->n_outputs)
        return NULL;
    const vly_model_io *out = &p->model->outputs[idx];
    return out->has_shape && out->shape.rank == rank ? &out->shape : NULL;
}

bool vly_probe__find(const vly_task_probe *p, const char *name, uint8_t *ret_idx)
{
    for (size_t i = 0; i < p->model->n_outputs && i <= UINT8_MAX; i++) {
        if (!vly_str_is(vly_str_from(p->model->outputs[i].name), name))
            continue;
        *ret_idx = (uint8_t)i;
        return true;
    }
    return false;
}

bool vly_probe__may_be(const vly_task_probe *p, const char *task)
{
    return p->task.len == 0 || vly_str_is(p->task, task);
}

bool vly_probe__segments(const vly_task_probe *p, vly_task_params *ret)
{
    const vly_shape *prototypes = vly_probe__output(p, 1, 4);

    if (!vly_probe__may_be(p, "segment") || prototypes == NULL || prototypes->dim[1] < 1)
        return false;
    ret->n_mask_values = prototypes->dim[1];
    ret->output_idx[1] = 1;
    return true;
}

int64_t vly_probe__cells(const vly_task_probe *p, const int *strides)
{
    int64_t sum = 0;

    for (; *strides != 0; strides++)
        sum += ((int64_t)p->input_width / *strides) * ((int64_t)p->input_height / *strides);
    return sum;
}

static vly_match match(const vly_task_probe *p, vly_task_params *ret)
{
    (void)p;
    (void)ret;
    return VLY_MATCH_POSSIBLE;
}

static vly_status decode(const vly_decoder *d, const vly_decode_args *a, vly_observations *ret,
                         vly_err *err)
{
    (void)d;
    (void)a;
    (void)ret;
    return vly_fail(err, VLY_EUNSUPPORTED,
                    "the outputs have no known form, so they can only be had as tensors");
}

const vly_task vly_task_tensor = {
    .name = "tensor",
    .kind = VLY_TASK_TENSOR,
    .prep = VLY_LETTERBOX_OPTS_INIT,
    .match = match,
    .decode = decode,
};

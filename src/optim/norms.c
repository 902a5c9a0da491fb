/* SPDX-License-Identifier: MIT */
#include "optim/norms.h"

#include "tensor/dtype.h"

#include <math.h>

/* The norm's y = x * gain + shift, per channel. */
typedef struct affine_norm {
    const float *scale, *bias, *mean, *var;
    float epsilon;
} affine_norm;

static bool is_vector(const vly_onnx_tensor *t, uint64_t n)
{
    return t != NULL && t->data_type == VLY_DTYPE_F32 && t->n_dims == 1 && t->n_elems == n;
}

/* The Conv that alone feeds this norm; -1: none. */
static int64_t conv_before(const vly_edit *e, const vly_onnx_node *norm)
{
    const vly_edit_value *x = vly_edit_find(e, vly_edit_input(norm, 0));
    const vly_onnx_tensor *w;

    if (x == NULL || x->producer < 0 || x->n_uses != 1 || x->is_output || norm->n_outputs != 1 ||
        !vly_edit_is(&e->nodes[x->producer], "Conv"))
        return -1;
    w = vly_edit_tensor(e, vly_edit_input(&e->nodes[x->producer], 1));
    if (w == NULL || w->data_type != VLY_DTYPE_F32 || w->n_dims < 2)
        return -1;
    for (size_t i = 1; i <= 4; i++)
        if (!is_vector(vly_edit_tensor(e, vly_edit_input(norm, i)), (uint64_t)w->dims[0]))
            return -1;
    vly_str bias = vly_edit_input(&e->nodes[x->producer], 2);
    if (bias.len > 0 && !is_vector(vly_edit_tensor(e, bias), (uint64_t)w->dims[0]))
        return -1;
    return x->producer;
}

static vly_status read_norm(vly_edit *e, const vly_onnx_node *norm, affine_norm *ret, vly_err *err)
{
    const float **to[] = {&ret->scale, &ret->bias, &ret->mean, &ret->var};
    const vly_onnx_attr *epsilon = vly_edit_attr(norm, "epsilon");
    vly_status st = VLY_OK;

    ret->epsilon = epsilon != NULL && epsilon->type == VLY_ONNX_ATTR_FLOAT ? epsilon->f : 1e-5f;
    for (size_t i = 0; i < 4 && st == VLY_OK; i++)
        st = vly_edit_floats(e, vly_edit_tensor(e, vly_edit_input(norm, i + 1)), to[i], err);
    return st;
}

/* New weights and bias for the Conv. */
static vly_status scale_conv(vly_edit *e, size_t conv, const affine_norm *n, vly_err *err)
{
    const vly_onnx_tensor w = *vly_edit_tensor(e, vly_edit_input(&e->nodes[conv], 1));
    vly_str bias_name = vly_edit_input(&e->nodes[conv], 2), names[2];
    size_t channels = (size_t)w.dims[0], row = channels > 0 ? (size_t)w.n_elems / channels : 0;
    float *weights = vly_arena_calloc(&e->arena, w.n_elems, sizeof(*weights));
    float *biases = vly_arena_calloc(&e->arena, channels, sizeof(*biases));
    const float *old_w, *old_b = NULL;

    if (weights == NULL || biases == NULL)
        return vly_arena_fail(&e->arena, err);
    vly_status st = vly_edit_floats(e, &w, &old_w, err);
    if (st == VLY_OK && bias_name.len > 0)
        st = vly_edit_floats(e, vly_edit_tensor(e, bias_name), &old_b, err);
    for (size_t c = 0; c < channels && st == VLY_OK; c++) {
        double gain = (double)n->scale[c] / sqrt((double)n->var[c] + (double)n->epsilon);
        double before = (old_b != NULL ? (double)old_b[c] : 0) - (double)n->mean[c];
        for (size_t i = 0; i < row; i++)
            weights[c * row + i] = (float)((double)old_w[c * row + i] * gain);
        biases[c] = (float)((double)n->bias[c] + before * gain);
    }
    if (st == VLY_OK)
        st = vly_edit_name(e, w.name, "folded", &names[0], err);
    if (st == VLY_OK)
        st = vly_edit_name(e, w.name, "bias", &names[1], err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, names[0], VLY_DTYPE_F32, w.n_dims, w.dims, weights, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, names[1], VLY_DTYPE_F32, 1, &w.dims[0], biases, err);
    for (size_t i = 0; i < 2 && st == VLY_OK; i++)
        st = vly_edit_set_input(e, conv, i + 1, names[i], err);
    return st;
}

vly_status vly_optim_fold_norms(vly_edit *e, size_t *ret_n, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t n = 0;

    for (size_t i = 0; i < e->n_nodes && st == VLY_OK; i++) {
        affine_norm norm;
        int64_t conv;
        if (!vly_edit_is(&e->nodes[i], "BatchNormalization"))
            continue;
        conv = conv_before(e, &e->nodes[i]);
        if (conv < 0)
            continue;
        st = read_norm(e, &e->nodes[i], &norm, err);
        if (st == VLY_OK)
            st = scale_conv(e, (size_t)conv, &norm, err);
        if (st == VLY_OK)
            st = vly_edit_set_output(e, (size_t)conv, 0, e->nodes[i].outputs[0], err);
        vly_edit_remove_node(e, i);
        n++;
    }
    if (st == VLY_OK && ret_n != NULL)
        *ret_n = n;
    return st == VLY_OK ? vly_edit_index(e, err) : st;
}

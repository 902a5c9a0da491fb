/* SPDX-License-Identifier: MIT */
#include "optim/half.h"

#include "base/assert.h"
#include "optim/opset.h"
#include "tensor/convert.h"

#include <math.h>

#define F16_MAX 65504.0f

static bool reads_weights(const vly_onnx_node *node)
{
    static const char *const ops[] = {"Conv", "ConvTranspose", "Gemm", "MatMul",
                                      "LSTM", "GRU",           "RNN"};

    for (size_t i = 0; i < VLY_COUNT(ops); i++)
        if (vly_edit_is(node, ops[i]))
            return true;
    return false;
}

/* Is the constant read as weights by all who read it? */
static bool is_weights(const vly_edit *e, const vly_onnx_tensor *t)
{
    const vly_edit_value *v = vly_edit_find(e, t->name);

    if (t->data_type != VLY_DTYPE_F32 || t->n_elems < VLY_HALF_LEAST || v == NULL || v->is_output)
        return false;
    for (size_t i = 0; i < v->n_uses; i++)
        if (v->uses[i].input == 0 || !reads_weights(&e->nodes[v->uses[i].node]))
            return false;
    return v->n_uses > 0;
}

static bool is_in_range(const float *x, uint64_t n, vly_dtype type)
{
    bool is_in = true;

    for (uint64_t i = 0; i < n && type == VLY_DTYPE_F16; i++)
        is_in = is_in && !(fabsf(x[i]) > F16_MAX);
    return is_in;
}

/* name = Cast(the 16-bit tensor) */
static vly_status store(vly_edit *e, size_t at, const float *x, vly_dtype type, vly_err *err)
{
    const vly_onnx_tensor t = e->tensors[at];
    uint16_t *half = vly_arena_calloc(&e->arena, t.n_elems, sizeof(*half));
    vly_onnx_attr *to = vly_arena_calloc(&e->arena, 1, sizeof(*to));
    vly_str name;

    if (half == NULL || to == NULL)
        return vly_arena_fail(&e->arena, err);
    vly_convert(VLY_DTYPE_F32, x, type, half, (size_t)t.n_elems, true);
    *to = (vly_onnx_attr){.name = VLY_STR("to"), .type = VLY_ONNX_ATTR_INT, .i = VLY_DTYPE_F32};
    vly_status st =
        vly_edit_name(e, t.name, type == VLY_DTYPE_F16 ? "float16" : "bfloat16", &name, err);
    if (st != VLY_OK)
        return st;
    e->tensors[at].name = name;
    e->tensors[at].data_type = (int32_t)type;
    e->tensors[at].data = half;
    e->tensors[at].n_bytes = (size_t)t.n_elems * sizeof(*half);
    vly_onnx_node cast = {.name = t.name,
                          .op_type = VLY_STR("Cast"),
                          .n_inputs = 1,
                          .inputs = &name,
                          .n_outputs = 1,
                          .outputs = &t.name,
                          .n_attrs = 1,
                          .attrs = to};
    return vly_edit_add_node(e, &cast, err);
}

vly_status vly_optim_halve(vly_edit *e, vly_dtype type, size_t *ret_n, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t n = 0;

    VLY_ASSERT(type == VLY_DTYPE_F16 || type == VLY_DTYPE_BF16);
    if (type == VLY_DTYPE_BF16)
        st = vly_optim_raise_opset(e, err);
    for (size_t i = 0; i < e->n_tensors && st == VLY_OK; i++) {
        const float *x;
        if (!is_weights(e, &e->tensors[i]))
            continue;
        st = vly_edit_floats(e, &e->tensors[i], &x, err);
        if (st == VLY_OK && is_in_range(x, e->tensors[i].n_elems, type)) {
            st = store(e, i, x, type, err);
            n++;
        }
    }
    if (st == VLY_OK && n == 0)
        st = vly_fail(err, VLY_EUNSUPPORTED, "no float32 weights to store in 16 bits");
    if (st == VLY_OK)
        *ret_n = n;
    return st == VLY_OK ? vly_edit_index(e, err) : st;
}

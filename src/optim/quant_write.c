/* SPDX-License-Identifier: MIT */
/* The quantised file: QuantizeLinear and DequantizeLinear around what the layers read. */
#include "optim/quant.h"

#include "tensor/dtype.h"

#include <math.h>

#define BIAS_MAX 1073741824.0 /* of the int32, with room for the sums that it is added to */

/* name: scale and zero point of a Q and a DQ. */
static vly_status add_params(vly_edit *e, vly_str base, const vly_affine *a, vly_str ret[2],
                             vly_err *err)
{
    vly_status st = vly_edit_name(e, base, "scale", &ret[0], err);

    if (st == VLY_OK)
        st = vly_edit_name(e, base, "zero_point", &ret[1], err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, ret[0], VLY_DTYPE_F32, 0, NULL, &a->scale, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, ret[1], VLY_DTYPE_U8, 0, NULL, &a->zero, err);
    return st;
}

/* out = op(in, params), named after its output; axis -1: none. */
static vly_status add_linear(vly_edit *e, const char *op, vly_str in, const vly_str params[2],
                             int64_t axis, vly_str out, vly_err *err)
{
    vly_str inputs[] = {in, params[0], params[1]};
    vly_onnx_attr *attr = vly_arena_calloc(&e->arena, 1, sizeof(*attr));

    if (attr == NULL)
        return vly_arena_fail(&e->arena, err);
    *attr = (vly_onnx_attr){.name = VLY_STR("axis"), .type = VLY_ONNX_ATTR_INT, .i = axis};
    vly_onnx_node node = {.name = out,
                          .op_type = vly_str_from(op),
                          .n_inputs = 3,
                          .inputs = inputs,
                          .n_outputs = 1,
                          .outputs = &out,
                          .n_attrs = axis >= 0,
                          .attrs = attr};
    return vly_edit_add_node(e, &node, err);
}

vly_status vly_quant__add_input(const vly_quantizer *q, vly_edit *e, size_t value, vly_str *ret,
                                vly_err *err)
{
    const vly_quant_value *v = &q->values[value];
    vly_str params[2], bytes, out;
    size_t root = value;

    while (q->values[root].parent != root)
        root = q->values[root].parent;
    vly_status st = add_params(e, v->name, &q->values[root].affine, params, err);
    if (st == VLY_OK)
        st = vly_edit_name(e, v->name, "QuantizeLinear", &bytes, err);
    if (st == VLY_OK)
        st = vly_edit_name(e, v->name, "DequantizeLinear", &out, err);
    if (st == VLY_OK)
        st = add_linear(e, "QuantizeLinear", v->name, params, -1, bytes, err);
    if (st == VLY_OK)
        st = add_linear(e, "DequantizeLinear", bytes, params, -1, out, err);
    if (st == VLY_OK)
        *ret = out;
    return st;
}

/* DequantizeLinear of a constant, per channel along axis. scale: [n]. */
static vly_status add_constant(vly_edit *e, const vly_onnx_tensor *like, vly_str base,
                               vly_dtype type, const void *data, const float *scale, size_t n,
                               int64_t axis, vly_str *ret, vly_err *err)
{
    int64_t dim = (int64_t)n;
    vly_str bytes, params[2], out;
    vly_status st = vly_edit_name(e, base, "quantized", &bytes, err);

    if (st == VLY_OK)
        st = vly_edit_name(e, base, "scale", &params[0], err);
    if (st == VLY_OK)
        st = vly_edit_name(e, base, "zero_point", &params[1], err);
    if (st == VLY_OK)
        st = vly_edit_name(e, base, "DequantizeLinear", &out, err);
    if (st == VLY_OK && like != NULL)
        st = vly_edit_add_tensor(e, bytes, type, like->n_dims, like->dims, data, err);
    if (st == VLY_OK && like == NULL)
        st = vly_edit_add_tensor(e, bytes, type, 1, &dim, data, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, params[0], VLY_DTYPE_F32, 1, &dim, scale, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, params[1], type, 1, &dim, NULL, err);
    if (st == VLY_OK)
        st = add_linear(e, "DequantizeLinear", bytes, params, axis, out, err);
    if (st == VLY_OK)
        *ret = out;
    return st;
}

vly_status vly_quant__add_weights(const vly_quantizer *q, vly_edit *e, const vly_quant_node *n,
                                  vly_str *ret, vly_err *err)
{
    (void)q;
    return add_constant(e, n->layer.weight, n->layer.weight->name, VLY_DTYPE_I8, n->q, n->scale,
                        n->layer.n_channels, n->layer.axis, ret, err);
}

static float input_scale(const vly_quantizer *q, const vly_quant_node *n)
{
    size_t root = n->input;

    while (q->values[root].parent != root)
        root = q->values[root].parent;
    return q->values[root].affine.scale;
}

/* The bias with its correction in steps of input scale * weight scale. A bias too large for its
 * channel's step gets a coarser one: exactness matters less there than its size. */
static vly_status add_bias(const vly_quantizer *q, vly_edit *e, const vly_quant_node *n,
                           vly_str *ret, vly_err *err)
{
    size_t channels = n->layer.n_channels;
    int32_t *b = vly_arena_calloc(&e->arena, channels, sizeof(*b));
    float *scale = vly_arena_calloc(&e->arena, channels, sizeof(*scale));
    const float *bias = NULL;
    vly_status st = VLY_OK;

    if (b == NULL || scale == NULL)
        return vly_arena_fail(&e->arena, err);
    if (n->layer.bias != NULL)
        st = vly_edit_floats(e, n->layer.bias, &bias, err);
    for (size_t c = 0; c < channels && st == VLY_OK; c++) {
        double x = (bias != NULL ? (double)bias[c] : 0) + (n->shift != NULL ? n->shift[c] : 0);
        scale[c] = input_scale(q, n) * n->scale[c];
        if (fabs(x) > BIAS_MAX * (double)scale[c])
            scale[c] = (float)(fabs(x) / BIAS_MAX);
        b[c] = (int32_t)lrint(x / (double)scale[c]);
    }
    vly_str base = n->layer.bias != NULL ? n->layer.bias->name : n->layer.weight->name;
    if (st == VLY_OK && n->layer.bias == NULL)
        st = vly_edit_name(e, base, "bias", &base, err);
    return st == VLY_OK
               ? add_constant(e, NULL, base, VLY_DTYPE_I32, b, scale, channels, 0, ret, err)
               : st;
}

static vly_status write_layer(const vly_quantizer *q, vly_edit *e, const vly_quant_node *n,
                              vly_err *err)
{
    vly_str weights = {NULL, 0}, bias = {NULL, 0};
    vly_status st = vly_quant__add_weights(q, e, n, &weights, err);

    if (st == VLY_OK)
        st = vly_edit_set_input(e, n->layer.node, 1, weights, err);
    if (st != VLY_OK || !n->layer.has_bias_input || (n->layer.bias == NULL && n->shift == NULL))
        return st;
    st = add_bias(q, e, n, &bias, err);
    return st == VLY_OK ? vly_edit_set_input(e, n->layer.node, 2, bias, err) : st;
}

/* Which values become bytes: inputs of quantised layers, and what reaches them unchanged. */
static void mark_bytes(const vly_quantizer *q, bool *is_bytes)
{
    for (size_t i = 0; i < q->n_layers; i++)
        if (!q->layers[i].is_float)
            is_bytes[q->nodes[i].input] = true;
    for (size_t i = q->edit.n_nodes; i-- > 0;) {
        const vly_onnx_node *node = &q->edit.nodes[i];
        size_t end;
        bool is_wanted = false;
        if (node->op_type.len == 0 || !vly_quant__moves(&q->edit, node, &end))
            continue;
        for (size_t k = 0; k < node->n_outputs; k++) {
            const vly_edit_value *v = vly_edit_find(&q->edit, node->outputs[k]);
            int64_t at = v != NULL ? q->value_of[v - q->edit.values] : -1;
            is_wanted = is_wanted || (at >= 0 && is_bytes[at]);
        }
        for (size_t in = 0; in < end && in < node->n_inputs && is_wanted; in++) {
            const vly_edit_value *v = vly_edit_find(&q->edit, node->inputs[in]);
            int64_t at = v != NULL ? q->value_of[v - q->edit.values] : -1;
            if (at >= 0)
                is_bytes[at] = true;
        }
    }
}

/* Everybody who reads value reads it from its bytes. */
static vly_status write_value(const vly_quantizer *q, vly_edit *e, size_t value, vly_err *err)
{
    const vly_edit_value *v = vly_edit_find(&q->edit, q->values[value].name);
    vly_str out;
    vly_status st = vly_quant__add_input(q, e, value, &out, err);

    for (size_t i = 0; i < v->n_uses && st == VLY_OK; i++)
        st = vly_edit_set_input(e, v->uses[i].node, v->uses[i].input, out, err);
    return st;
}

static vly_status rewrite(const vly_quantizer *q, vly_edit *e, vly_err *err)
{
    bool *is_bytes = vly_arena_calloc(&e->arena, q->n_values, sizeof(*is_bytes));
    vly_status st = VLY_OK;

    if (is_bytes == NULL)
        return vly_arena_fail(&e->arena, err);
    mark_bytes(q, is_bytes);
    for (size_t i = 0; i < q->n_values && st == VLY_OK; i++)
        if (is_bytes[i])
            st = write_value(q, e, i, err);
    for (size_t i = 0; i < q->n_layers && st == VLY_OK; i++)
        if (!q->layers[i].is_float)
            st = write_layer(q, e, &q->nodes[i], err);
    return st;
}

vly_status vly_quantizer_write(const vly_quantizer *q, vly_buf *out, vly_err *err)
{
    vly_edit e;
    vly_status st = vly_edit_clone(&e, &q->edit, err);

    if (st != VLY_OK)
        return st;
    st = rewrite(q, &e, err);
    if (st == VLY_OK)
        st = vly_edit_write(&e, out, err);
    vly_edit_close(&e);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* Which layers there are to quantise, and which tensors must share a scale. */
#include "optim/quant.h"

#include "base/assert.h"

bool vly_quant__moves(const vly_edit *e, const vly_onnx_node *node, size_t *ret_end)
{
    static const char *const first_only[] = {"MaxPool",   "Split",     "Slice",
                                             "Reshape",   "Flatten",   "Squeeze",
                                             "Unsqueeze", "Transpose", "Identity"};

    (void)e;
    *ret_end = 1;
    for (size_t i = 0; i < VLY_COUNT(first_only); i++)
        if (vly_edit_is(node, first_only[i]))
            return true;
    if (vly_edit_is(node, "Resize")) {
        const vly_onnx_attr *mode = vly_edit_attr(node, "mode");
        return mode == NULL || vly_str_is(mode->s, "nearest");
    }
    *ret_end = node->n_inputs;
    return vly_edit_is(node, "Concat");
}

size_t vly_quant__root(vly_quantizer *q, size_t value)
{
    while (q->values[value].parent != value) {
        q->values[value].parent = q->values[q->values[value].parent].parent;
        value = q->values[value].parent;
    }
    return value;
}

static void tie(vly_quantizer *q, size_t a, size_t b)
{
    q->values[vly_quant__root(q, a)].parent = vly_quant__root(q, b);
}

/* The value of that name, made a candidate; false: it is a constant or nothing. */
static bool take_value(vly_quantizer *q, vly_str name, size_t *ret)
{
    const vly_edit_value *v = vly_edit_find(&q->edit, name);

    if (v == NULL || v->tensor >= 0)
        return false;
    int64_t *at = &q->value_of[v - q->edit.values];
    if (*at < 0) {
        *at = (int64_t)q->n_values;
        q->values[q->n_values] = (vly_quant_value){.name = name, .parent = q->n_values};
        q->n_values++;
    }
    *ret = (size_t)*at;
    return true;
}

static vly_status find_layers(vly_quantizer *q, vly_err *err)
{
    for (size_t i = 0; i < q->edit.n_nodes; i++) {
        const vly_onnx_node *node = &q->edit.nodes[i];
        vly_quant_node n = {0};
        if (vly_edit_is(node, "QuantizeLinear") || vly_edit_is(node, "DequantizeLinear") ||
            vly_edit_is(node, "QLinearConv") || vly_edit_is(node, "ConvInteger"))
            return vly_fail(err, VLY_EUNSUPPORTED,
                            "node '%.*s' (%.*s): the model is quantised already",
                            VLY_STR_ARG(node->name), VLY_STR_ARG(node->op_type));
        if (!vly_layer_describe(&q->edit, i, &n.layer) ||
            !take_value(q, vly_edit_input(node, 0), &n.input))
            continue;
        q->nodes[q->n_layers] = n;
        q->values[n.input].is_last = !n.layer.is_conv;
        q->layers[q->n_layers++] = (vly_quant_layer){
            .name = node->name.len > 0 ? node->name : node->outputs[0], .op = node->op_type};
    }
    if (q->n_layers == 0)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "no Conv, Gemm or MatMul with constant float32 weights to quantise");
    return VLY_OK;
}

/* From the layers back: what a moving operator gives to a quantised value comes from values of the
 * same scale. One pass, since nodes stand behind what they read. */
static void find_ties(vly_quantizer *q)
{
    for (size_t i = q->edit.n_nodes; i-- > 0;) {
        const vly_onnx_node *node = &q->edit.nodes[i];
        size_t end, from, to;
        if (node->op_type.len == 0 || !vly_quant__moves(&q->edit, node, &end))
            continue;
        for (size_t k = 0; k < node->n_outputs; k++) {
            const vly_edit_value *v = vly_edit_find(&q->edit, node->outputs[k]);
            int64_t at = v != NULL ? q->value_of[v - q->edit.values] : -1;
            if (at < 0)
                continue;
            to = (size_t)at;
            q->values[to].is_passed = true;
            for (size_t in = 0; in < end && in < node->n_inputs; in++)
                if (take_value(q, node->inputs[in], &from))
                    tie(q, from, to);
        }
    }
}

vly_status vly_quant__find(vly_quantizer *q, vly_err *err)
{
    vly_edit *e = &q->edit;

    q->layers = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(*q->layers));
    q->nodes = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(*q->nodes));
    q->values = vly_arena_calloc(&e->arena, e->n_values, sizeof(*q->values));
    q->value_of = vly_arena_calloc(&e->arena, e->n_values, sizeof(*q->value_of));
    if (q->layers == NULL || q->nodes == NULL || q->values == NULL || q->value_of == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < e->n_values; i++)
        q->value_of[i] = -1;
    vly_status st = find_layers(q, err);
    if (st == VLY_OK)
        find_ties(q);
    return st;
}

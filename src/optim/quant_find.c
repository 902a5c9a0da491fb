/* SPDX-License-Identifier: MIT */
/* Which layers there are to quantise, and which tensors must share a scale. */
#include "optim/quant.h"

#include "base/assert.h"
#include "tensor/dtype.h"

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

static const vly_onnx_tensor *float_tensor(const vly_edit *e, vly_str name, size_t n_dims_least)
{
    const vly_onnx_tensor *t = vly_edit_tensor(e, name);

    return t != NULL && t->data_type == VLY_DTYPE_F32 && t->n_dims >= n_dims_least && t->n_elems > 0
               ? t
               : NULL;
}

static bool is_one(const vly_onnx_node *node, const char *name)
{
    const vly_onnx_attr *a = vly_edit_attr(node, name);

    return a == NULL || (a->type == VLY_ONNX_ATTR_FLOAT && a->f == 1.0f);
}

/* Conv: weights [out, in / group, kernel...] */
static bool describe_conv(const vly_onnx_node *node, vly_quant_node *n)
{
    const int64_t *d = n->weight->dims;
    int64_t group = vly_edit_attr_int(node, "group", 1);

    if (group < 1 || d[0] % group != 0)
        return false;
    n->in_each = (size_t)d[1];
    n->group_out = (size_t)(d[0] / group);
    n->kernel = (size_t)n->weight->n_elems / ((size_t)d[0] * (size_t)d[1]);
    n->w = (vly_quant_weights){.n_channels = (size_t)d[0],
                               .n_each = n->in_each * n->kernel,
                               .channel_step = n->in_each * n->kernel,
                               .step = 1};
    n->has_bias_input = true;
    return true;
}

/* Gemm and MatMul: weights [in, out], or [out, in] with transB. */
static bool describe_product(const vly_onnx_node *node, vly_quant_node *n)
{
    bool is_gemm = vly_edit_is(node, "Gemm");
    bool is_out_first = is_gemm && vly_edit_attr_int(node, "transB", 0) != 0;
    size_t rows = (size_t)n->weight->dims[0], cols = (size_t)n->weight->dims[1];

    if (n->weight->n_dims != 2 || (is_gemm && (!is_one(node, "alpha") || !is_one(node, "beta") ||
                                               vly_edit_attr_int(node, "transA", 0) != 0)))
        return false;
    n->axis = is_out_first ? 0 : 1;
    n->in_each = is_out_first ? cols : rows;
    n->kernel = 1;
    n->group_out = is_out_first ? rows : cols;
    n->w = (vly_quant_weights){.n_channels = n->group_out,
                               .n_each = n->in_each,
                               .channel_step = is_out_first ? cols : 1,
                               .step = is_out_first ? 1 : cols};
    n->has_bias_input = is_gemm;
    return true;
}

/* Fills *n when the node is a layer. */
static bool describe(const vly_edit *e, const vly_onnx_node *node, vly_quant_node *n)
{
    bool is_conv = vly_edit_is(node, "Conv");

    if (!is_conv && !vly_edit_is(node, "Gemm") && !vly_edit_is(node, "MatMul"))
        return false;
    n->weight = float_tensor(e, vly_edit_input(node, 1), 2);
    if (n->weight == NULL || !(is_conv ? describe_conv(node, n) : describe_product(node, n)))
        return false;
    vly_str bias = vly_edit_input(node, 2);
    n->bias = float_tensor(e, bias, 1);
    return bias.len == 0 ||
           (n->bias != NULL && n->bias->n_dims == 1 && n->bias->n_elems == n->w.n_channels);
}

static vly_status find_layers(vly_quantizer *q, vly_err *err)
{
    for (size_t i = 0; i < q->edit.n_nodes; i++) {
        const vly_onnx_node *node = &q->edit.nodes[i];
        vly_quant_node n = {.node = i};
        if (vly_edit_is(node, "QuantizeLinear") || vly_edit_is(node, "DequantizeLinear") ||
            vly_edit_is(node, "QLinearConv") || vly_edit_is(node, "ConvInteger"))
            return vly_fail(err, VLY_EUNSUPPORTED,
                            "node '%.*s' (%.*s): the model is quantised already",
                            VLY_STR_ARG(node->name), VLY_STR_ARG(node->op_type));
        if (node->op_type.len == 0 || !describe(&q->edit, node, &n) ||
            !take_value(q, vly_edit_input(node, 0), &n.input))
            continue;
        q->nodes[q->n_layers] = n;
        q->values[n.input].is_last = !vly_edit_is(node, "Conv");
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

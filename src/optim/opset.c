/* SPDX-License-Identifier: MIT */
#include "optim/opset.h"

#include "base/assert.h"
#include "tensor/dtype.h"

#include <string.h>

#define OPSET_LEAST 9

/* An attribute that became an input. */
typedef struct moved_row {
    const char *op, *attr;
    uint8_t since; /* opset */
    uint8_t input;
} moved_row;

static const moved_row moved[] = {
    {"Clip", "min", 11, 1},      {"Clip", "max", 11, 2},       {"Slice", "starts", 10, 1},
    {"Slice", "ends", 10, 2},    {"Slice", "axes", 10, 3},     {"Pad", "pads", 11, 1},
    {"Pad", "value", 11, 2},     {"TopK", "k", 10, 1},         {"Split", "split", 13, 1},
    {"Squeeze", "axes", 13, 1},  {"Unsqueeze", "axes", 13, 1}, {"ReduceSum", "axes", 13, 1},
    {"Dropout", "ratio", 12, 1},
};

static vly_status drop_attr(vly_edit *e, vly_onnx_node *node, const vly_onnx_attr *attr,
                            vly_err *err)
{
    vly_onnx_attr *rest = vly_arena_calloc(&e->arena, node->n_attrs, sizeof(*rest));
    size_t n = 0;

    if (rest == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < node->n_attrs; i++)
        if (&node->attrs[i] != attr)
            rest[n++] = node->attrs[i];
    node->attrs = rest;
    node->n_attrs = n;
    return VLY_OK;
}

/* An initialiser with the attribute's value. */
static vly_status attr_tensor(vly_edit *e, const vly_onnx_attr *a, vly_str name, vly_err *err)
{
    int64_t dim = (int64_t)a->n, one = 1;

    if (a->type == VLY_ONNX_ATTR_FLOAT)
        return vly_edit_add_tensor(e, name, VLY_DTYPE_F32, 0, NULL, &a->f, err);
    if (a->type == VLY_ONNX_ATTR_INT)
        return vly_edit_add_tensor(e, name, VLY_DTYPE_I64, 1, &one, &a->i, err);
    if (a->type == VLY_ONNX_ATTR_INTS)
        return vly_edit_add_tensor(e, name, VLY_DTYPE_I64, 1, &dim, a->ints, err);
    return vly_fail(err, VLY_EUNSUPPORTED, "attribute '%.*s' is of type %s", VLY_STR_ARG(a->name),
                    vly_onnx_attr_type_name(a->type));
}

static vly_status move_attrs(vly_edit *e, size_t at, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < VLY_COUNT(moved) && st == VLY_OK; i++) {
        const vly_onnx_attr *a = vly_edit_attr(&e->nodes[at], moved[i].attr);
        vly_str name;
        if (a == NULL || e->model.opset >= moved[i].since ||
            !vly_edit_is(&e->nodes[at], moved[i].op))
            continue;
        st = vly_edit_name(e, e->nodes[at].outputs[0], moved[i].attr, &name, err);
        if (st == VLY_OK)
            st = attr_tensor(e, a, name, err);
        if (st == VLY_OK)
            st = drop_attr(e, &e->nodes[at], a, err);
        if (st == VLY_OK)
            st = vly_edit_set_input(e, at, moved[i].input, name, err);
    }
    return st;
}

/* Rank of a value as far as its makers tell without running anything; -1: unknown. */
static int64_t rank_of(const vly_edit *e, vly_str name)
{
    for (size_t steps = 0; steps <= e->n_nodes; steps++) {
        const vly_edit_value *v = vly_edit_find(e, name);
        if (v == NULL || (v->producer < 0 && v->tensor < 0 && !v->is_input))
            return -1;
        if (v->tensor >= 0)
            return (int64_t)e->tensors[v->tensor].n_dims;
        for (size_t i = 0; i < e->graph.n_inputs && v->is_input; i++)
            if (vly_str_eq(e->graph.inputs[i].name, name))
                return e->graph.inputs[i].has_shape ? (int64_t)e->graph.inputs[i].n_dims : -1;
        const vly_onnx_node *n = &e->nodes[v->producer];
        const vly_onnx_tensor *shape = vly_edit_tensor(e, vly_edit_input(n, 1));
        if (vly_edit_is(n, "Flatten") || vly_edit_is(n, "Gemm"))
            return 2;
        if (vly_edit_is(n, "Conv"))
            return shape != NULL ? (int64_t)shape->n_dims : -1;
        if (vly_edit_is(n, "Reshape"))
            return shape != NULL ? (int64_t)shape->n_elems : -1;
        static const char *const same[] = {"Transpose", "Concat",  "Relu",     "Sigmoid",
                                           "Softmax",   "MaxPool", "Resize",   "BatchNormalization",
                                           "Split",     "Slice",   "Identity", "AveragePool"};
        bool is_same = false;
        for (size_t i = 0; i < VLY_COUNT(same); i++)
            is_same = is_same || vly_edit_is(n, same[i]);
        if (!is_same)
            return -1;
        name = vly_edit_input(n, 0);
    }
    return -1;
}

static vly_status set_axis(vly_edit *e, vly_onnx_node *node, int64_t axis, vly_err *err)
{
    vly_onnx_attr *attr = vly_arena_calloc(&e->arena, 1, sizeof(*attr));

    if (attr == NULL)
        return vly_arena_fail(&e->arena, err);
    *attr = (vly_onnx_attr){.name = VLY_STR("axis"), .type = VLY_ONNX_ATTR_INT, .i = axis};
    node->attrs = attr;
    node->n_attrs = 1;
    return VLY_OK;
}

/* out = op(in...) */
static vly_status add_node(vly_edit *e, const char *op, const vly_str *in, size_t n_in, vly_str out,
                           vly_err *err)
{
    vly_onnx_node node = {.name = out,
                          .op_type = vly_str_from(op),
                          .n_inputs = n_in,
                          .inputs = in,
                          .n_outputs = 1,
                          .outputs = &out};
    return vly_edit_add_node(e, &node, err);
}

/* Before opset 13 the axes from `axis` on were one. That is the same only for the last; otherwise
 * they become one for the time being: y = Reshape(Softmax(Flatten(x, axis)), Shape(x)). */
static vly_status keep_softmax(vly_edit *e, size_t at, vly_err *err)
{
    int64_t axis = vly_edit_attr_int(&e->nodes[at], "axis", 1);
    vly_str x = vly_edit_input(&e->nodes[at], 0), y = e->nodes[at].outputs[0], flat, soft, shape;
    vly_status st = set_axis(e, &e->nodes[at], -1, err);

    if (st != VLY_OK || axis == -1 || axis == rank_of(e, x) - 1)
        return st;
    st = vly_edit_name(e, y, "flat", &flat, err);
    if (st == VLY_OK)
        st = vly_edit_name(e, y, "soft", &soft, err);
    if (st == VLY_OK)
        st = vly_edit_name(e, y, "shape", &shape, err);
    if (st == VLY_OK)
        st = add_node(e, "Flatten", &x, 1, flat, err);
    if (st == VLY_OK)
        st = set_axis(e, &e->nodes[e->n_nodes - 1], axis, err);
    if (st == VLY_OK)
        st = add_node(e, "Shape", &x, 1, shape, err);
    if (st == VLY_OK)
        st = add_node(e, "Reshape", (vly_str[]){soft, shape}, 2, y, err);
    if (st == VLY_OK)
        st = vly_edit_set_input(e, at, 0, flat, err);
    return st == VLY_OK ? vly_edit_set_output(e, at, 0, soft, err) : st;
}

static vly_status raise_node(vly_edit *e, size_t at, vly_err *err)
{
    vly_onnx_node *node = &e->nodes[at];
    bool is_softmax = vly_edit_is(node, "Softmax") || vly_edit_is(node, "LogSoftmax") ||
                      vly_edit_is(node, "Hardmax");

    if (vly_edit_is(node, "Upsample") || (vly_edit_is(node, "Resize") && e->model.opset < 11))
        return vly_fail(err, VLY_EUNSUPPORTED, "this operator changed with opset 11");
    if (is_softmax)
        return keep_softmax(e, at, err);
    return move_attrs(e, at, err);
}

static vly_status set_opset(vly_edit *e, vly_err *err)
{
    vly_onnx_opset *opsets = vly_arena_calloc(&e->arena, e->model.n_opsets + 1, sizeof(*opsets));
    size_t n = 0;

    if (opsets == NULL)
        return vly_arena_fail(&e->arena, err);
    opsets[n++].version = VLY_OPTIM_OPSET;
    for (size_t i = 0; i < e->model.n_opsets; i++)
        if (e->model.opsets[i].domain.len > 0)
            opsets[n++] = e->model.opsets[i];
    e->model.opsets = opsets;
    e->model.n_opsets = n;
    e->model.opset = VLY_OPTIM_OPSET;
    if (e->model.ir_version < 7) /* the IR that came with opset 13 */
        e->model.ir_version = 7;
    return VLY_OK;
}

vly_status vly_optim_raise_opset(vly_edit *e, vly_err *err)
{
    vly_status st = VLY_OK;

    if (e->model.opset >= VLY_OPTIM_OPSET)
        return VLY_OK;
    if (e->model.opset < OPSET_LEAST)
        return vly_fail(err, VLY_EUNSUPPORTED, "opset %lld: expected at least %d",
                        (long long)e->model.opset, OPSET_LEAST);
    size_t n = e->n_nodes; /* what is added is of the new opset */
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        if (e->nodes[i].op_type.len == 0)
            continue;
        st = raise_node(e, i, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "node '%.*s' (%.*s)", VLY_STR_ARG(e->nodes[i].name),
                        VLY_STR_ARG(e->nodes[i].op_type));
    }
    if (st == VLY_OK)
        st = set_opset(e, err);
    return st == VLY_OK ? vly_edit_index(e, err) : st;
}

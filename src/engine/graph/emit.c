/* SPDX-License-Identifier: MIT */
#include "engine/graph/emit.h"

#include "tensor/dtype.h"

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for the graph");
}

void *vly_emit_copy(vly_emitter *e, const void *from, size_t n, size_t size)
{
    void *to = vly_arena_calloc(e->arena, n, size);

    if (to != NULL && n > 0)
        memcpy(to, from, n * size);
    return to;
}

vly_status vly_emit_as_is(vly_emitter *e, vly_onnx_node node, vly_err *err)
{
    node.name = e->label;
    if (e->nodes.len / sizeof(node) >= VLY_ONNX_NODES_MAX)
        return vly_fail(err, VLY_ELIMIT, "the graph takes more than %u nodes", VLY_ONNX_NODES_MAX);
    vly_buf_add(&e->nodes, &node, sizeof(node));
    return e->nodes.failed ? out_of_memory(err) : VLY_OK;
}

vly_status vly_emit(vly_emitter *e, vly_onnx_node node, vly_err *err)
{
    node.inputs = vly_emit_copy(e, node.inputs, node.n_inputs, sizeof(*node.inputs));
    node.outputs = vly_emit_copy(e, node.outputs, node.n_outputs, sizeof(*node.outputs));
    node.attrs = vly_emit_copy(e, node.attrs, node.n_attrs, sizeof(*node.attrs));
    if (node.inputs == NULL || node.outputs == NULL || node.attrs == NULL)
        return vly_arena_fail(e->arena, err);
    return vly_emit_as_is(e, node, err);
}

vly_status vly_emit_name(vly_emitter *e, vly_str *ret, vly_err *err)
{
    char *name = vly_arena_printf(e->arena, "%.*s#%zu", VLY_STR_ARG(e->prefix), e->n_names);

    if (name == NULL)
        return vly_arena_fail(e->arena, err);
    e->n_names++;
    *ret = vly_str_from(name);
    return VLY_OK;
}

vly_status vly_emit_op(vly_emitter *e, const char *op, const vly_str *in, size_t n_in, vly_str out,
                       vly_err *err)
{
    vly_onnx_node node = {.op_type = vly_str_from(op),
                          .n_inputs = n_in,
                          .n_outputs = 1,
                          .inputs = in,
                          .outputs = &out};
    return vly_emit(e, node, err);
}

vly_status vly_emit_ints(vly_emitter *e, const int64_t *values, size_t n, bool is_scalar,
                         vly_str out, vly_err *err)
{
    int64_t *dims = vly_emit_copy(e, &(int64_t){(int64_t)n}, 1, sizeof(*dims));
    int64_t *data = vly_emit_copy(e, values, n, sizeof(*data));
    vly_onnx_tensor t = {.data_type = VLY_DTYPE_I64,
                         .n_dims = is_scalar ? 0 : 1,
                         .dims = dims,
                         .n_elems = n,
                         .data = data,
                         .n_bytes = n * sizeof(*data)};
    vly_onnx_attr value = {.name = VLY_STR("value"),
                           .type = VLY_ONNX_ATTR_TENSOR,
                           .t = vly_emit_copy(e, &t, 1, sizeof(t))};

    if (dims == NULL || data == NULL || value.t == NULL)
        return vly_arena_fail(e->arena, err);
    vly_onnx_node node = {.op_type = VLY_STR("Constant"),
                          .n_outputs = 1,
                          .n_attrs = 1,
                          .outputs = &out,
                          .attrs = &value};
    return vly_emit(e, node, err);
}

vly_status vly_emit_new_ints(vly_emitter *e, const int64_t *values, size_t n, bool is_scalar,
                             vly_str *ret, vly_err *err)
{
    vly_status st = vly_emit_name(e, ret, err);
    return st == VLY_OK ? vly_emit_ints(e, values, n, is_scalar, *ret, err) : st;
}

vly_status vly_emit_with_list(vly_emitter *e, const char *op, vly_str in, const int64_t *list,
                              size_t n_list, const int64_t *axis, const vly_str *out, size_t n_out,
                              vly_err *err)
{
    const bool is_input = e->opset >= 13;
    vly_onnx_attr attrs[2];
    vly_str inputs[] = {in, {NULL, 0}};
    size_t n_attrs = 0;

    if (axis != NULL)
        attrs[n_attrs++] =
            (vly_onnx_attr){.name = VLY_STR("axis"), .type = VLY_ONNX_ATTR_INT, .i = *axis};
    if (is_input) {
        vly_status st = vly_emit_new_ints(e, list, n_list, false, &inputs[1], err);
        if (st != VLY_OK)
            return st;
    } else {
        const int64_t *ints = vly_emit_copy(e, list, n_list, sizeof(*list));
        if (ints == NULL)
            return vly_arena_fail(e->arena, err);
        attrs[n_attrs++] =
            (vly_onnx_attr){.name = axis != NULL ? VLY_STR("split") : VLY_STR("axes"),
                            .type = VLY_ONNX_ATTR_INTS,
                            .n = n_list,
                            .ints = ints};
    }
    vly_onnx_node node = {.op_type = vly_str_from(op),
                          .n_inputs = is_input ? 2 : 1,
                          .n_outputs = n_out,
                          .n_attrs = n_attrs,
                          .inputs = inputs,
                          .outputs = out,
                          .attrs = attrs};
    return vly_emit(e, node, err);
}

vly_status vly_emit_at_axis(vly_emitter *e, const char *op, const vly_str *in, size_t n_in,
                            int64_t axis, vly_str out, vly_err *err)
{
    vly_onnx_attr attr = {.name = VLY_STR("axis"), .type = VLY_ONNX_ATTR_INT, .i = axis};
    vly_onnx_node node = {.op_type = vly_str_from(op),
                          .n_inputs = n_in,
                          .n_outputs = 1,
                          .n_attrs = 1,
                          .inputs = in,
                          .outputs = &out,
                          .attrs = &attr};
    return vly_emit(e, node, err);
}

void vly_emit_init(vly_emitter *e, int64_t opset, vly_arena *arena)
{
    *e = (vly_emitter){.arena = arena, .opset = opset};
    vly_buf_init(&e->nodes, VLY_MEM_MODEL, (VLY_ONNX_NODES_MAX + 1) * sizeof(vly_onnx_node));
}

void vly_emit_release(vly_emitter *e)
{
    vly_buf_release(&e->nodes);
}

vly_status vly_emit_finish(vly_emitter *e, vly_onnx_graph *g, vly_err *err)
{
    size_t n = e->nodes.len / sizeof(vly_onnx_node);
    const vly_onnx_node *nodes = vly_emit_copy(e, e->nodes.ptr, n, sizeof(*nodes));

    if (nodes == NULL)
        return vly_arena_fail(e->arena, err);
    g->n_nodes = n;
    g->nodes = nodes;
    return VLY_OK;
}

/* SPDX-License-Identifier: MIT */
/*
 * ONNX structs -> graph IR. One pass over the nodes: a name must have been defined by an input, an
 * initialiser or an earlier node, which is ONNX's own rule and makes the order topological.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "base/buf.h"
#include "base/map.h"
#include "engine/graph/constant.h"
#include "engine/graph/graph.h"
#include "engine/graph/sequence.h"

#include <inttypes.h>

typedef struct builder {
    const vly_onnx_model *onnx;
    const vly_onnx_graph *src; /* without sequences */
    vly_arena *arena;
    vly_graph *g;
    vly_map by_name; /* value index + 1 */
    size_t max_memory_bytes;
} builder;

static vly_status out_of_memory(vly_err *err)
{
    return vly_fail(err, VLY_ENOMEM, "out of memory for the graph");
}

static int find_value(const builder *b, vly_str name)
{
    return (int)(intptr_t)vly_map_get(&b->by_name, name) - 1;
}

static vly_status add_value(builder *b, vly_str name, int *ret, vly_err *err)
{
    vly_graph *g = b->g;
    char *copy;

    if (find_value(b, name) >= 0)
        return vly_fail(err, VLY_EFORMAT, "value '%.*s' is defined twice", VLY_STR_ARG(name));
    copy = vly_arena_strdup(b->arena, name);
    if (copy == NULL || !vly_map_set(&b->by_name, name, (void *)(intptr_t)(g->n_values + 1)))
        return out_of_memory(err);
    g->values[g->n_values] = (vly_value){.name = copy};
    *ret = g->n_values++;
    return VLY_OK;
}

static vly_status add_initialiser(builder *b, const vly_onnx_tensor *t, vly_err *err)
{
    const void *data = NULL;
    vly_tensor constant;
    int v;
    vly_status st = VLY_OK;

    if (t->external != NULL)
        st = vly_external_data(&b->g->external, t, &data, err);
    if (st == VLY_OK)
        st = vly_constant_from_file(t, data, &constant, err);
    if (st != VLY_OK)
        return st;
    st = add_value(b, t->name, &v, err);
    if (st != VLY_OK) {
        vly_tensor_release(&constant);
        return st;
    }
    b->g->values[v].constant = constant;
    b->g->n_parameters += vly_tensor_count(&constant);
    b->g->constant_bytes += constant.bytes;
    if (b->g->constant_bytes > b->max_memory_bytes)
        return vly_fail(err, VLY_ELIMIT, "initialisers take more than the limit of %zu bytes",
                        b->max_memory_bytes);
    return VLY_OK;
}

/* Before IR version 4 every initialiser had to be listed as an input too, and exporters went on
 * doing so. An initialiser is a constant here: that the caller may override it is given up, so that
 * it can be folded and packed (docs/decisions.md). */
static vly_status add_input(builder *b, const vly_onnx_value_info *info, vly_err *err)
{
    vly_graph *g = b->g;
    int v = find_value(b, info->name);

    if (v >= 0 && vly_value_is_constant(&g->values[v]))
        return VLY_OK;
    if (info->kind != VLY_ONNX_KIND_TENSOR || !vly_dtype_valid(info->elem_type))
        return vly_fail(err, VLY_EUNSUPPORTED, "input '%.*s': expected a tensor of a known type",
                        VLY_STR_ARG(info->name));
    if (info->has_shape && info->n_dims > VLY_RANK_MAX)
        return vly_fail(err, VLY_ELIMIT, "input '%.*s': expected at most %d dimensions, got %zu",
                        VLY_STR_ARG(info->name), VLY_RANK_MAX, info->n_dims);
    vly_status st = add_value(b, info->name, &v, err);
    if (st != VLY_OK)
        return st;
    g->values[v].is_input = true;
    g->values[v].declared = info;
    g->inputs[g->n_inputs++] = v;
    return VLY_OK;
}

static int opset_of(const builder *b, vly_str domain)
{
    for (size_t i = 0; i < b->onnx->n_opsets; i++)
        if (vly_str_eq(b->onnx->opsets[i].domain, domain))
            return (int)b->onnx->opsets[i].version;
    return domain.len == 0 ? (int)b->onnx->opset : 1;
}

static const vly_op *op_of(const builder *b, const vly_onnx_node *proto, bool *ret_has_name)
{
    return vly_op_find(proto->domain, proto->op_type, opset_of(b, proto->domain), ret_has_name);
}

/* One error with every op that is missing, so that a user learns all at once. */
static vly_status check_ops(const builder *b, vly_err *err)
{
    vly_buf missing;
    size_t n_missing = 0;

    vly_buf_init(&missing, VLY_MEM_MODEL, VLY_ERR_MSG_MAX);
    for (size_t i = 0; i < b->src->n_nodes; i++) {
        const vly_onnx_node *n = &b->src->nodes[i];
        bool has_name, seen = false;
        if (op_of(b, n, &has_name) != NULL)
            continue;
        for (size_t k = 0; k < i && !seen && n_missing < 64; k++)
            seen = vly_str_eq(b->src->nodes[k].op_type, n->op_type) &&
                   vly_str_eq(b->src->nodes[k].domain, n->domain);
        if (seen || n_missing++ >= 64)
            continue;
        vly_buf_printf(&missing, "%s%.*s%s%.*s%s", n_missing > 1 ? ", " : "",
                       VLY_STR_ARG(n->domain), n->domain.len > 0 ? "." : "",
                       VLY_STR_ARG(n->op_type), has_name ? " (in this opset version)" : "");
    }
    vly_status st = VLY_OK;
    if (n_missing > 0)
        st = vly_fail(err, VLY_EUNSUPPORTED, "unsupported operator%s: %s (opset %" PRId64 ")",
                      n_missing > 1 ? "s" : "", missing.ptr != NULL ? missing.ptr : "",
                      b->onnx->opset);
    vly_buf_release(&missing);
    return st;
}

static vly_status resolve_inputs(builder *b, vly_node *node, int *in, vly_err *err)
{
    const vly_onnx_node *proto = node->proto;
    const vly_op *op = node->op;

    if (node->n_in < op->n_in_min || node->n_in > op->n_in_max)
        return vly_fail(err, VLY_EFORMAT, "expected %d to %d inputs, got %d", op->n_in_min,
                        op->n_in_max, node->n_in);
    for (int i = 0; i < node->n_in; i++) {
        vly_str name = proto->inputs[i];
        in[i] = name.len > 0 ? find_value(b, name) : VLY_VALUE_NONE;
        if (name.len > 0 && in[i] < 0)
            return vly_fail(err, VLY_EFORMAT, "input '%.*s' is not defined by any earlier node",
                            VLY_STR_ARG(name));
        if (name.len == 0 && i < op->n_in_min)
            return vly_fail(err, VLY_EFORMAT, "required input %d is missing", i);
    }
    return VLY_OK;
}

static vly_status define_outputs(builder *b, vly_node *node, int *out, vly_err *err)
{
    int most = node->op->n_out_max > 0 ? node->op->n_out_max : 1;

    if (node->n_out < 1 || node->n_out > most)
        return vly_fail(err, VLY_EFORMAT, "expected 1 to %d outputs, got %d", most, node->n_out);
    for (int i = 0; i < node->n_out; i++) {
        out[i] = VLY_VALUE_NONE;
        if (node->proto->outputs[i].len == 0)
            continue;
        vly_status st = add_value(b, node->proto->outputs[i], &out[i], err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

static vly_status prepare(const builder *b, vly_node *node, vly_err *err)
{
    if (node->op->params_bytes > 0) {
        node->params = vly_arena_calloc(b->arena, 1, node->op->params_bytes);
        if (node->params == NULL)
            return out_of_memory(err);
    }
    if (node->op->prepare == NULL)
        return VLY_OK;
    vly_op_ctx ctx = {.op = node->op,
                      .proto = node->proto,
                      .opset = node->opset,
                      .n_in = node->n_in,
                      .n_out = node->n_out,
                      .out_ids = node->out};
    return node->op->prepare(&ctx, node->params, err);
}

static const char *label_of(const builder *b, const vly_onnx_node *proto, size_t idx)
{
    if (proto->name.len > 0)
        return vly_arena_strdup(b->arena, proto->name);
    return vly_arena_printf(b->arena, "#%zu", idx);
}

static vly_status fill_node(builder *b, vly_node *node, vly_err *err)
{
    int *in = vly_arena_calloc(b->arena, (size_t)node->n_in, sizeof(*in));
    int *out = vly_arena_calloc(b->arena, (size_t)node->n_out, sizeof(*out));
    vly_status st;

    if (in == NULL || out == NULL)
        return out_of_memory(err);
    node->in = in;
    node->out = out;
    st = resolve_inputs(b, node, in, err);
    if (st == VLY_OK)
        st = define_outputs(b, node, out, err);
    if (st == VLY_OK)
        st = prepare(b, node, err);
    return st;
}

static vly_status add_node(builder *b, size_t idx, vly_err *err)
{
    const vly_onnx_node *proto = &b->src->nodes[idx];
    vly_node *node = &b->g->nodes[b->g->n_nodes];
    size_t n_in = proto->n_inputs;
    bool has_name;

    while (n_in > 0 && proto->inputs[n_in - 1].len == 0)
        n_in--;
    if (n_in > VLY_OP_VARIADIC || proto->n_outputs > VLY_OP_VARIADIC)
        return vly_fail(err, VLY_ELIMIT, "node #%zu: too many inputs or outputs", idx);
    *node = (vly_node){.op = op_of(b, proto, &has_name),
                       .proto = proto,
                       .label = label_of(b, proto, idx),
                       .opset = opset_of(b, proto->domain),
                       .n_in = (int)n_in,
                       .n_out = (int)proto->n_outputs};
    if (node->label == NULL)
        return out_of_memory(err);
    vly_status st = fill_node(b, node, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "node '%s' (%s)", node->label, node->op->name);
    b->g->n_nodes++;
    return VLY_OK;
}

static vly_status add_output(builder *b, const vly_onnx_value_info *info, vly_err *err)
{
    int v = find_value(b, info->name);

    if (v < 0)
        return vly_fail(err, VLY_EFORMAT, "output '%.*s' is not defined by any node",
                        VLY_STR_ARG(info->name));
    if (b->g->values[v].declared == NULL)
        b->g->values[v].declared = info;
    b->g->outputs[b->g->n_outputs++] = v;
    return VLY_OK;
}

/* Room for every value, node, input and output that the file can define. */
static vly_status allocate(builder *b, vly_err *err)
{
    const vly_onnx_graph *src = b->src;
    size_t n_values = src->n_initialisers + src->n_inputs;

    for (size_t i = 0; i < src->n_nodes; i++)
        n_values += src->nodes[i].n_outputs;
    if (n_values > INT32_MAX)
        return vly_fail(err, VLY_ELIMIT, "graph of %zu values is too large", n_values);
    b->g->values = vly_arena_calloc(b->arena, n_values, sizeof(*b->g->values));
    b->g->nodes = vly_arena_calloc(b->arena, src->n_nodes, sizeof(*b->g->nodes));
    b->g->inputs = vly_arena_calloc(b->arena, src->n_inputs, sizeof(*b->g->inputs));
    b->g->outputs = vly_arena_calloc(b->arena, src->n_outputs, sizeof(*b->g->outputs));
    if (b->g->values == NULL || b->g->nodes == NULL || b->g->inputs == NULL ||
        b->g->outputs == NULL)
        return out_of_memory(err);
    return VLY_OK;
}

static vly_status build(builder *b, vly_err *err)
{
    const vly_onnx_graph *src = b->src;
    vly_status st = VLY_OK;

    if (src->n_sparse_initialisers > 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "sparse initialisers are not supported");
    if (src->n_outputs == 0)
        return vly_fail(err, VLY_EFORMAT, "graph '%.*s' has no outputs", VLY_STR_ARG(src->name));
    st = check_ops(b, err);
    if (st == VLY_OK)
        st = allocate(b, err);
    for (size_t i = 0; i < src->n_initialisers && st == VLY_OK; i++)
        st = add_initialiser(b, &src->initialisers[i], err);
    for (size_t i = 0; i < src->n_inputs && st == VLY_OK; i++)
        st = add_input(b, &src->inputs[i], err);
    for (size_t i = 0; i < src->n_nodes && st == VLY_OK; i++)
        st = add_node(b, i, err);
    for (size_t i = 0; i < src->n_outputs && st == VLY_OK; i++)
        st = add_output(b, &src->outputs[i], err);
    return st;
}

vly_status vly_graph_build(const vly_onnx_model *onnx, const vly_external *external,
                           size_t max_memory_bytes, vly_arena *arena, vly_graph *ret, vly_err *err)
{
    vly_graph g = {.external = *external};
    builder b = {.onnx = onnx, .arena = arena, .g = &g, .max_memory_bytes = max_memory_bytes};

    vly_map_init(&b.by_name, VLY_MEM_MODEL);
    vly_status st = vly_sequence_lower(onnx->graph, onnx->opset, arena, &b.src, err);
    if (st == VLY_OK)
        st = build(&b, err);
    vly_map_release(&b.by_name);
    if (st != VLY_OK) {
        vly_graph_release(&g);
        return st;
    }
    *ret = g;
    return VLY_OK;
}

void vly_graph_release(vly_graph *g)
{
    for (int i = 0; i < g->n_values; i++)
        vly_tensor_release(&g->values[i].constant);
    vly_external_release(&g->external);
    *g = (vly_graph){0};
}

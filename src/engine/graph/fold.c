/* SPDX-License-Identifier: MIT */
#include "engine/graph/graph.h"

#include "engine/graph/constant.h"
#include "engine/native/eval.h"

#include "base/bits.h"

#include <string.h>

bool vly_node_is_lazy(const vly_graph *g, const vly_node *node)
{
    if (node->op->domain != NULL || strcmp(node->op->name, "DequantizeLinear") != 0 ||
        node->n_in == 0 || node->in[0] == VLY_VALUE_NONE)
        return false;
    const vly_value *x = &g->values[node->in[0]];
    return vly_value_is_constant(x) && x->constant.shape.rank > 1;
}

static bool can_fold(const vly_graph *g, const vly_node *node)
{
    if ((node->op->flags & VLY_OP_IMPURE) != 0 || vly_node_is_lazy(g, node))
        return false;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] != VLY_VALUE_NONE && !vly_value_is_constant(&g->values[node->in[i]]))
            return false;
    return true;
}

/* Strings may lie in a constant that is dropped later on: t gets bytes of its own. */
static vly_status own_strings(vly_tensor *t, vly_err *err)
{
    vly_tensor copy;

    if (t->dtype != VLY_DTYPE_STRING)
        return VLY_OK;
    vly_status st = vly_tensor_copy(t, &copy, err);
    vly_tensor_release(t);
    if (st == VLY_OK)
        *t = copy;
    return st;
}

/* Evaluates node and makes its outputs constants. values: [n_values], where each constant lies. */
static vly_status fold_node(vly_graph *g, const vly_node *node, vly_tensor **values,
                            size_t max_memory_bytes, vly_arena *scratch, vly_err *err)
{
    vly_op_ctx *ctx = vly_eval_ctx(node, values, scratch);
    size_t left = max_memory_bytes > g->constant_bytes ? max_memory_bytes - g->constant_bytes : 0;

    vly_status st = VLY_OK;

    if (ctx == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory while folding constants");
    for (int i = 0; i < node->n_in && st == VLY_OK; i++)
        if (node->in[i] != VLY_VALUE_NONE)
            st = vly_constant_align(&g->values[node->in[i]].constant, err);
    if (st == VLY_OK)
        st = vly_eval_node(node, ctx, left, err);
    if (st != VLY_OK)
        return st;
    for (int i = 0; i < node->n_out; i++) {
        if (node->out[i] == VLY_VALUE_NONE)
            continue;
        st = own_strings(&ctx->out[i], err);
        if (st != VLY_OK) {
            for (; i < node->n_out; i++)
                vly_tensor_release(&ctx->out[i]);
            return st;
        }
        vly_value *v = &g->values[node->out[i]];
        v->constant = ctx->out[i]; /* ownership moves to the graph */
        values[node->out[i]] = &v->constant;
        g->constant_bytes += v->constant.bytes;
    }
    return VLY_OK;
}

static vly_status fold_all(vly_graph *g, vly_tensor **values, size_t max_memory_bytes,
                           vly_arena *scratch, vly_err *err)
{
    int kept = 0;

    for (int i = 0; i < g->n_values; i++)
        values[i] = &g->values[i].constant;
    for (int i = 0; i < g->n_nodes; i++) {
        vly_status st = VLY_OK;
        if (can_fold(g, &g->nodes[i]))
            st = fold_node(g, &g->nodes[i], values, max_memory_bytes, scratch, err);
        else
            g->nodes[kept++] = g->nodes[i];
        if (st != VLY_OK)
            return st;
    }
    g->n_nodes = kept;
    return VLY_OK;
}

/* is_needed: [n_values], marks what the outputs depend on; drops the other nodes and constants. */
static void drop_dead(vly_graph *g, bool *is_needed)
{
    int first = g->n_nodes;

    for (int i = 0; i < g->n_outputs; i++)
        is_needed[g->outputs[i]] = true;
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        vly_node node = g->nodes[n];
        bool is_live = false;
        for (int i = 0; i < node.n_out; i++)
            is_live |= node.out[i] != VLY_VALUE_NONE && is_needed[node.out[i]];
        if (!is_live)
            continue;
        for (int i = 0; i < node.n_in; i++)
            if (node.in[i] != VLY_VALUE_NONE)
                is_needed[node.in[i]] = true;
        g->nodes[--first] = node;
    }
    g->n_nodes -= first;
    memmove(g->nodes, g->nodes + first, (size_t)g->n_nodes * sizeof(g->nodes[0]));
    for (int i = 0; i < g->n_values; i++) {
        if (is_needed[i])
            continue;
        g->constant_bytes -= g->values[i].constant.bytes;
        vly_tensor_release(&g->values[i].constant);
    }
}

vly_status vly_graph_fold(vly_graph *g, size_t max_memory_bytes, vly_arena *scratch, vly_err *err)
{
    vly_tensor **values = vly_arena_calloc(scratch, (size_t)g->n_values, sizeof(vly_tensor *));
    bool *is_needed = vly_arena_calloc(scratch, (size_t)g->n_values, sizeof(*is_needed));

    if (values == NULL || is_needed == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory while folding constants");
    vly_status st = fold_all(g, values, max_memory_bytes, scratch, err);
    if (st == VLY_OK)
        drop_dead(g, is_needed);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* Graphs inside of attributes are written from an explicit stack, as they are read. */
#include "codec/onnx_writer.h"

#include "codec/pbwire.h"

#include <stdio.h>

/* A graph or function whose nodes are being written. */
typedef struct scope {
    const vly_onnx_graph *graph; /* NULL: a function */
    const vly_onnx_function *function;
    const vly_onnx_node *nodes;
    size_t n_nodes;
    size_t node, attr, item; /* what comes next: attribute of node, graph of attribute */
    size_t mark, node_mark, attr_mark;
    bool is_node_open, is_attr_open;
} scope;

typedef struct writer {
    vly_buf *out;
    vly_err *err;
    size_t n_scopes;
    scope scopes[VLY_ONNX_DEPTH_MAX + 1];
} writer;

/* ---- pieces without subgraphs ------------------------------------------------------------- */

static void put_str(vly_buf *out, uint32_t number, vly_str s)
{
    if (s.len > 0)
        vly_pb_put_bytes(out, number, s);
}

static void put_strs(vly_buf *out, uint32_t number, const vly_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vly_pb_put_bytes(out, number, list[i]); /* an empty one is an omitted input */
}

static void put_prop(vly_buf *out, uint32_t number, vly_str key, vly_str value)
{
    size_t mark = vly_pb_open(out, number);

    vly_pb_put_bytes(out, 1, key);
    vly_pb_put_bytes(out, 2, value);
    vly_pb_close(out, mark);
}

static void put_prop_u64(vly_buf *out, uint32_t number, const char *key, uint64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

    put_prop(out, number, vly_str_from(key), (vly_str){text, (size_t)n});
}

static void put_external(vly_buf *out, const vly_onnx_tensor *t)
{
    const vly_onnx_external *x = t->external;

    put_prop(out, 13, VLY_STR("location"), x->location);
    put_prop_u64(out, 13, "offset", x->offset);
    put_prop_u64(out, 13, "length", t->n_bytes);
    if (x->checksum.len > 0)
        put_prop(out, 13, VLY_STR("checksum"), x->checksum);
    vly_pb_put_varint(out, 14, 1); /* data_location EXTERNAL */
}

static void put_tensor(vly_buf *out, uint32_t number, const vly_onnx_tensor *t)
{
    size_t mark = vly_pb_open(out, number);

    for (size_t i = 0; i < t->n_dims; i++)
        vly_pb_put_varint(out, 1, (uint64_t)t->dims[i]);
    vly_pb_put_varint(out, 2, (uint64_t)t->data_type);
    if (t->strings != NULL)
        put_strs(out, 6, t->strings, (size_t)t->n_elems);
    put_str(out, 8, t->name);
    if (t->external != NULL)
        put_external(out, t);
    else if (t->strings == NULL)
        vly_pb_put_bytes(out, 9, (vly_str){t->data, t->n_bytes});
    vly_pb_close(out, mark);
}

static void put_shape(vly_buf *out, const vly_onnx_value_info *info)
{
    size_t mark = vly_pb_open(out, 2);

    for (size_t i = 0; i < info->n_dims; i++) {
        size_t dim = vly_pb_open(out, 1);
        if (info->dims[i].value >= 0)
            vly_pb_put_varint(out, 1, (uint64_t)info->dims[i].value);
        else
            put_str(out, 2, info->dims[i].param);
        vly_pb_close(out, dim);
    }
    vly_pb_close(out, mark);
}

static void put_value_info(vly_buf *out, uint32_t number, const vly_onnx_value_info *info)
{
    size_t mark = vly_pb_open(out, number);

    put_str(out, 1, info->name);
    if (info->kind == VLY_ONNX_KIND_TENSOR) {
        size_t type = vly_pb_open(out, 2);
        size_t tensor = vly_pb_open(out, 1);
        vly_pb_put_varint(out, 1, (uint64_t)info->elem_type);
        if (info->has_shape)
            put_shape(out, info);
        vly_pb_close(out, tensor);
        vly_pb_close(out, type);
    }
    vly_pb_close(out, mark);
}

static vly_status put_typed(writer *w, uint32_t number, const char *what,
                            const vly_onnx_value_info *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].kind != VLY_ONNX_KIND_TENSOR && list[i].kind != VLY_ONNX_KIND_NONE)
            return vly_fail(w->err, VLY_EUNSUPPORTED, "%s '%.*s' is not a tensor: cannot write it",
                            what, VLY_STR_ARG(list[i].name));
        put_value_info(w->out, number, &list[i]);
    }
    return VLY_OK;
}

/* ---- attributes --------------------------------------------------------------------------- */

static size_t attr_graphs(const vly_onnx_attr *a)
{
    if (a->type == VLY_ONNX_ATTR_GRAPHS)
        return a->n;
    return a->type == VLY_ONNX_ATTR_GRAPH && a->ref_attr_name.len == 0 ? 1 : 0;
}

static vly_status put_attr_value(writer *w, const vly_onnx_attr *a)
{
    vly_buf *out = w->out;

    switch (a->type) {
    case VLY_ONNX_ATTR_FLOAT:
        vly_pb_put_float(out, 2, a->f);
        break;
    case VLY_ONNX_ATTR_INT:
        vly_pb_put_varint(out, 3, (uint64_t)a->i);
        break;
    case VLY_ONNX_ATTR_STRING:
        vly_pb_put_bytes(out, 4, a->s);
        break;
    case VLY_ONNX_ATTR_TENSOR:
        put_tensor(out, 5, a->t);
        break;
    case VLY_ONNX_ATTR_FLOATS:
        for (size_t i = 0; i < a->n; i++)
            vly_pb_put_float(out, 7, a->floats[i]);
        break;
    case VLY_ONNX_ATTR_INTS:
        for (size_t i = 0; i < a->n; i++)
            vly_pb_put_varint(out, 8, (uint64_t)a->ints[i]);
        break;
    case VLY_ONNX_ATTR_STRINGS:
        put_strs(out, 9, a->strings, a->n);
        break;
    case VLY_ONNX_ATTR_TENSORS:
        for (size_t i = 0; i < a->n; i++)
            put_tensor(out, 10, &a->tensors[i]);
        break;
    case VLY_ONNX_ATTR_UNDEFINED:
    case VLY_ONNX_ATTR_GRAPH: /* the scope's loop writes graphs */
    case VLY_ONNX_ATTR_GRAPHS:
        break;
    case VLY_ONNX_ATTR_SPARSE_TENSOR:
    case VLY_ONNX_ATTR_SPARSE_TENSORS:
    case VLY_ONNX_ATTR_TYPE_PROTO:
    case VLY_ONNX_ATTR_TYPE_PROTOS:
        return vly_fail(w->err, VLY_EUNSUPPORTED, "attribute '%.*s' (%s): cannot write it",
                        VLY_STR_ARG(a->name), vly_onnx_attr_type_name(a->type));
    }
    return VLY_OK;
}

/* Opens the attribute and puts all but its graphs. */
static vly_status begin_attr(writer *w, uint32_t number, const vly_onnx_attr *a, size_t *ret_mark)
{
    vly_status st = VLY_OK;

    *ret_mark = vly_pb_open(w->out, number);
    vly_pb_put_bytes(w->out, 1, a->name);
    if (a->ref_attr_name.len == 0)
        st = put_attr_value(w, a);
    if (a->type != VLY_ONNX_ATTR_UNDEFINED)
        vly_pb_put_varint(w->out, 20, (uint64_t)a->type);
    put_str(w->out, 21, a->ref_attr_name);
    return st;
}

/* ---- graphs and functions ----------------------------------------------------------------- */

static vly_status push_graph(writer *w, uint32_t number, const vly_onnx_graph *g)
{
    if (w->n_scopes == VLY_ONNX_DEPTH_MAX + 1)
        return vly_fail(w->err, VLY_ELIMIT, "subgraphs are nested deeper than %d",
                        VLY_ONNX_DEPTH_MAX);
    if (g->n_sparse_initialisers > 0)
        return vly_fail(w->err, VLY_EUNSUPPORTED, "graph '%.*s': cannot write sparse initialisers",
                        VLY_STR_ARG(g->name));
    w->scopes[w->n_scopes++] = (scope){
        .graph = g, .nodes = g->nodes, .n_nodes = g->n_nodes, .mark = vly_pb_open(w->out, number)};
    return VLY_OK;
}

static vly_status put_graph_tail(writer *w, const vly_onnx_graph *g)
{
    put_str(w->out, 2, g->name);
    for (size_t i = 0; i < g->n_initialisers; i++)
        put_tensor(w->out, 5, &g->initialisers[i]);
    vly_status st = put_typed(w, 11, "input", g->inputs, g->n_inputs);
    if (st == VLY_OK)
        st = put_typed(w, 12, "output", g->outputs, g->n_outputs);
    for (size_t i = 0; i < g->n_value_infos; i++)
        if (g->value_infos[i].kind == VLY_ONNX_KIND_TENSOR)
            put_value_info(w->out, 13, &g->value_infos[i]);
    return st;
}

static void put_opsets(vly_buf *out, uint32_t number, const vly_onnx_opset *opsets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t mark = vly_pb_open(out, number);
        put_str(out, 1, opsets[i].domain);
        vly_pb_put_varint(out, 2, (uint64_t)opsets[i].version);
        vly_pb_close(out, mark);
    }
}

static vly_status put_function_tail(writer *w, const vly_onnx_function *fn)
{
    vly_status st = VLY_OK;

    put_opsets(w->out, 9, fn->opsets, fn->n_opsets);
    put_str(w->out, 10, fn->domain);
    for (size_t i = 0; i < fn->n_attr_defaults && st == VLY_OK; i++) {
        size_t mark;
        if (attr_graphs(&fn->attr_defaults[i]) > 0)
            return vly_fail(w->err, VLY_EUNSUPPORTED,
                            "function '%.*s': cannot write a graph as a default",
                            VLY_STR_ARG(fn->name));
        st = begin_attr(w, 11, &fn->attr_defaults[i], &mark);
        vly_pb_close(w->out, mark);
    }
    put_str(w->out, 13, fn->overload);
    return st;
}

static void push_function(writer *w, const vly_onnx_function *fn)
{
    w->scopes[w->n_scopes++] = (scope){.function = fn,
                                       .nodes = fn->nodes,
                                       .n_nodes = fn->n_nodes,
                                       .mark = vly_pb_open(w->out, 25)};
    put_str(w->out, 1, fn->name);
    put_strs(w->out, 4, fn->inputs, fn->n_inputs);
    put_strs(w->out, 5, fn->outputs, fn->n_outputs);
    put_strs(w->out, 6, fn->attr_names, fn->n_attr_names);
}

static void begin_node(writer *w, scope *s, const vly_onnx_node *node)
{
    s->node_mark = vly_pb_open(w->out, s->graph != NULL ? 1 : 7);
    s->is_node_open = true;
    s->attr = 0;
    put_strs(w->out, 1, node->inputs, node->n_inputs);
    put_strs(w->out, 2, node->outputs, node->n_outputs);
    put_str(w->out, 3, node->name);
    put_str(w->out, 4, node->op_type);
}

static void end_node(writer *w, scope *s, const vly_onnx_node *node)
{
    put_str(w->out, 7, node->domain);
    put_str(w->out, 8, node->overload);
    vly_pb_close(w->out, s->node_mark);
    s->is_node_open = false;
    s->node++;
}

/* Writes on at the node at hand; comes back when the node is done or a subgraph was pushed. */
static vly_status step_node(writer *w, scope *s)
{
    const vly_onnx_node *node = &s->nodes[s->node];
    vly_status st = VLY_OK;

    if (!s->is_node_open)
        begin_node(w, s, node);
    while (s->attr < node->n_attrs && st == VLY_OK) {
        const vly_onnx_attr *a = &node->attrs[s->attr];
        if (!s->is_attr_open) {
            st = begin_attr(w, 5, a, &s->attr_mark);
            s->is_attr_open = true;
            s->item = 0;
        }
        if (st == VLY_OK && s->item < attr_graphs(a)) {
            bool is_list = a->type == VLY_ONNX_ATTR_GRAPHS;
            return push_graph(w, is_list ? 11 : 6,
                              is_list ? &a->graphs[s->item++] : (s->item++, a->g));
        }
        vly_pb_close(w->out, s->attr_mark);
        s->is_attr_open = false;
        s->attr++;
    }
    if (st == VLY_OK)
        end_node(w, s, node);
    return st;
}

/* Writes the scopes on the stack until it is empty. */
static vly_status drain(writer *w)
{
    vly_status st = VLY_OK;

    while (w->n_scopes > 0 && st == VLY_OK) {
        scope *s = &w->scopes[w->n_scopes - 1];
        if (s->node < s->n_nodes) {
            st = step_node(w, s);
            if (st != VLY_OK && s->node < s->n_nodes)
                vly_fail_in(w->err, st, "node '%.*s' (%.*s)", VLY_STR_ARG(s->nodes[s->node].name),
                            VLY_STR_ARG(s->nodes[s->node].op_type));
            continue;
        }
        st = s->graph != NULL ? put_graph_tail(w, s->graph) : put_function_tail(w, s->function);
        vly_pb_close(w->out, s->mark);
        w->n_scopes--;
    }
    return st;
}

static vly_status write_model(writer *w, const vly_onnx_model *m)
{
    vly_buf *out = w->out;

    vly_pb_put_varint(out, 1, (uint64_t)m->ir_version);
    put_str(out, 2, m->producer_name);
    put_str(out, 3, m->producer_version);
    put_str(out, 4, m->domain);
    if (m->model_version != 0)
        vly_pb_put_varint(out, 5, (uint64_t)m->model_version);
    vly_status st = push_graph(w, 7, m->graph);
    if (st == VLY_OK)
        st = drain(w);
    put_opsets(out, 8, m->opsets, m->n_opsets);
    for (size_t i = 0; i < m->n_props; i++)
        put_prop(out, 14, m->props[i].key, m->props[i].value);
    for (size_t i = 0; i < m->n_functions && st == VLY_OK; i++) {
        push_function(w, &m->functions[i]);
        st = drain(w);
    }
    return st;
}

vly_status vly_onnx_model_write(const vly_onnx_model *m, vly_buf *out, vly_err *err)
{
    writer w = {.out = out, .err = err};
    size_t begin = out->len;
    vly_status st = write_model(&w, m);

    if (st == VLY_OK && (out->failed || out->len - begin > VLY_ONNX_FILE_MAX))
        st = vly_fail(err, VLY_ELIMIT,
                      "the model does not fit in memory or in the %zu bytes of a file",
                      out->max_bytes < VLY_ONNX_FILE_MAX ? out->max_bytes : VLY_ONNX_FILE_MAX);
    return st;
}

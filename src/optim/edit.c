/* SPDX-License-Identifier: MIT */
#include "optim/edit.h"

#include "base/assert.h"
#include "base/bits.h"
#include "codec/onnx_writer.h"
#include "engine/graph/external.h"
#include "tensor/dtype.h"

#include <stdalign.h>
#include <string.h>

#define NAME_TAKEN         INTPTR_MAX        /* in the map: given, but not a value of the index */
#define EXTERNAL_BYTES_MAX ((size_t)1 << 31) /* what comes inside must fit in one file */

static vly_status out_of_memory(const vly_edit *e, vly_err *err)
{
    return vly_arena_fail(&e->arena, err);
}

static void *copy(vly_edit *e, const void *from, size_t n, size_t size)
{
    void *to = vly_arena_calloc(&e->arena, n, size);

    if (to != NULL && n > 0 && from != NULL)
        memcpy(to, from, n * size);
    return to;
}

/* Room for one more in a list that lives in the arena: doubles into a new place. */
static void *grow(vly_edit *e, void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    size_t more = *cap * 2 + 16;
    void *to = vly_arena_calloc(&e->arena, more, size);
    if (to == NULL)
        return NULL;
    memcpy(to, list, n * size);
    *cap = more;
    return to;
}

/* ---- opening ------------------------------------------------------------------------------ */

static vly_status take_external(vly_edit *e, vly_onnx_tensor *t, vly_external *files, vly_err *err)
{
    const void *data;
    vly_status st = vly_external_data(files, t, &data, err);

    if (st != VLY_OK)
        return st;
    t->data = copy(e, data, t->n_bytes, 1);
    t->external = NULL;
    return t->data != NULL ? VLY_OK : out_of_memory(e, err);
}

static vly_status take_tensors(vly_edit *e, const char *dir, vly_err *err)
{
    const vly_onnx_graph *g = e->model.graph;
    vly_external files = {.dir = dir, .max_file_bytes = EXTERNAL_BYTES_MAX};
    vly_status st = VLY_OK;

    e->n_tensors = e->tensors_cap = g->n_initialisers;
    e->tensors = copy(e, g->initialisers, g->n_initialisers, sizeof(*e->tensors));
    if (e->tensors == NULL)
        return out_of_memory(e, err);
    for (size_t i = 0; i < e->n_tensors && st == VLY_OK; i++)
        if (e->tensors[i].external != NULL)
            st = take_external(e, &e->tensors[i], &files, err);
    vly_external_release(&files);
    return st;
}

/* A Constant node with a tensor becomes an initialiser; those with other values stay. */
static vly_status take_constant(vly_edit *e, vly_onnx_node *node, vly_err *err)
{
    const vly_onnx_attr *value = vly_edit_attr(node, "value");

    if (value == NULL || value->type != VLY_ONNX_ATTR_TENSOR || node->n_outputs != 1 ||
        value->t->external != NULL)
        return VLY_OK;
    e->tensors = grow(e, e->tensors, e->n_tensors, &e->tensors_cap, sizeof(*e->tensors));
    if (e->tensors == NULL)
        return out_of_memory(e, err);
    e->tensors[e->n_tensors] = *value->t;
    e->tensors[e->n_tensors++].name = node->outputs[0];
    node->op_type = (vly_str){NULL, 0};
    return VLY_OK;
}

static vly_status take_nodes(vly_edit *e, vly_err *err)
{
    const vly_onnx_graph *g = e->model.graph;
    vly_status st = VLY_OK;

    e->n_nodes = e->nodes_cap = g->n_nodes;
    e->nodes = copy(e, g->nodes, g->n_nodes, sizeof(*e->nodes));
    if (e->nodes == NULL)
        return out_of_memory(e, err);
    for (size_t i = 0; i < e->n_nodes && st == VLY_OK; i++) {
        vly_onnx_node *node = &e->nodes[i];
        for (size_t k = 0; k < node->n_attrs; k++)
            if (node->attrs[k].type == VLY_ONNX_ATTR_GRAPH ||
                node->attrs[k].type == VLY_ONNX_ATTR_GRAPHS)
                return vly_fail(err, VLY_EUNSUPPORTED,
                                "node '%.*s' (%.*s): models with subgraphs cannot be rewritten",
                                VLY_STR_ARG(node->name), VLY_STR_ARG(node->op_type));
        if (vly_edit_is(node, "Constant"))
            st = take_constant(e, node, err);
    }
    return st;
}

/* Inputs that are initialisers too are constants (docs/decisions.md). */
static vly_status take_inputs(vly_edit *e, vly_err *err)
{
    const vly_onnx_graph *g = e->model.graph;
    vly_onnx_value_info *inputs = copy(e, g->inputs, g->n_inputs, sizeof(*inputs));
    size_t n = 0;

    if (inputs == NULL)
        return out_of_memory(e, err);
    for (size_t i = 0; i < g->n_inputs; i++) {
        bool is_constant = false;
        for (size_t k = 0; k < g->n_initialisers && !is_constant; k++)
            is_constant = vly_str_eq(g->inputs[i].name, g->initialisers[k].name);
        if (!is_constant)
            inputs[n++] = g->inputs[i];
    }
    e->graph.inputs = inputs;
    e->graph.n_inputs = n;
    return VLY_OK;
}

static void init(vly_edit *e, size_t file_bytes)
{
    *e = (vly_edit){0};
    vly_arena_init(&e->arena, VLY_MEM_MODEL, 1 << 18, VLY_ONNX_ARENA_BUDGET(file_bytes) * 4);
    vly_map_init(&e->by_name, VLY_MEM_MODEL);
}

vly_status vly_edit_open(vly_edit *e, const void *bytes, size_t len, const char *dir, vly_err *err)
{
    const vly_onnx_model *m;

    init(e, len);
    vly_status st = vly_onnx_model_parse(bytes, len, &e->arena, &m, err);
    if (st == VLY_OK) {
        e->model = *m;
        e->graph = *m->graph;
        st = take_tensors(e, dir, err);
    }
    if (st == VLY_OK)
        st = take_nodes(e, err);
    if (st == VLY_OK)
        st = take_inputs(e, err);
    if (st == VLY_OK)
        st = vly_edit_index(e, err);
    if (st != VLY_OK)
        vly_edit_close(e);
    return st;
}

vly_status vly_edit_clone(vly_edit *e, const vly_edit *src, vly_err *err)
{
    init(e, src->arena.budget_bytes);
    e->model = src->model;
    e->graph = src->graph;
    e->n_names = src->n_names;
    e->n_nodes = e->nodes_cap = src->n_nodes;
    e->n_tensors = e->tensors_cap = src->n_tensors;
    e->nodes = copy(e, src->nodes, src->n_nodes, sizeof(*e->nodes));
    e->tensors = copy(e, src->tensors, src->n_tensors, sizeof(*e->tensors));
    vly_status st = VLY_OK;
    if (e->nodes == NULL || e->tensors == NULL)
        st = out_of_memory(e, err);
    if (st == VLY_OK)
        st = vly_edit_index(e, err);
    if (st != VLY_OK)
        vly_edit_close(e);
    return st;
}

void vly_edit_close(vly_edit *e)
{
    vly_map_release(&e->by_name);
    vly_arena_release(&e->arena);
    *e = (vly_edit){0};
}

/* ---- index -------------------------------------------------------------------------------- */

static int64_t find(const vly_edit *e, vly_str name)
{
    return (int64_t)(intptr_t)vly_map_get(&e->by_name, name) - 1;
}

/* The value of that name, a new one when there is none; NULL: out of memory. */
static vly_edit_value *value_of(vly_edit *e, vly_str name)
{
    int64_t at = find(e, name);

    if (at >= 0)
        return &e->values[at];
    if (!vly_map_set(&e->by_name, name, (void *)(intptr_t)(e->n_values + 1)))
        return NULL;
    e->values[e->n_values] = (vly_edit_value){.name = name, .producer = -1, .tensor = -1};
    return &e->values[e->n_values++];
}

static vly_status define_values(vly_edit *e, vly_err *err)
{
    for (size_t i = 0; i < e->n_tensors; i++) {
        vly_edit_value *v = value_of(e, e->tensors[i].name);
        if (v == NULL)
            return out_of_memory(e, err);
        v->tensor = (int64_t)i;
    }
    for (size_t i = 0; i < e->graph.n_inputs; i++) {
        vly_edit_value *v = value_of(e, e->graph.inputs[i].name);
        if (v == NULL)
            return out_of_memory(e, err);
        v->is_input = true;
    }
    for (size_t i = 0; i < e->n_nodes; i++)
        for (size_t k = 0; k < e->nodes[i].n_outputs && e->nodes[i].op_type.len > 0; k++) {
            if (e->nodes[i].outputs[k].len == 0)
                continue;
            vly_edit_value *v = value_of(e, e->nodes[i].outputs[k]);
            if (v == NULL)
                return out_of_memory(e, err);
            if (v->producer >= 0 || v->is_input || v->tensor >= 0)
                return vly_fail(err, VLY_EFORMAT, "value '%.*s' is defined twice",
                                VLY_STR_ARG(v->name));
            v->producer = (int64_t)i;
        }
    return VLY_OK;
}

/* Visits every use of a value by a node: counts them, or with lists given, files them. */
static vly_status visit_uses(vly_edit *e, vly_edit_use **lists, size_t *ret_n, vly_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < e->n_nodes; i++)
        for (size_t k = 0; k < e->nodes[i].n_inputs && e->nodes[i].op_type.len > 0; k++) {
            vly_str name = e->nodes[i].inputs[k];
            if (name.len == 0)
                continue;
            int64_t at = find(e, name);
            if (at < 0)
                return vly_fail(err, VLY_EFORMAT, "node '%.*s': nothing makes its input '%.*s'",
                                VLY_STR_ARG(e->nodes[i].name), VLY_STR_ARG(name));
            n++;
            if (lists != NULL)
                lists[at][e->values[at].n_uses] = (vly_edit_use){i, k};
            e->values[at].n_uses++;
        }
    *ret_n = n;
    return VLY_OK;
}

static vly_status file_uses(vly_edit *e, vly_err *err)
{
    size_t n = 0;
    vly_status st = visit_uses(e, NULL, &n, err);
    vly_edit_use *uses = vly_arena_calloc(&e->arena, n, sizeof(*uses));
    vly_edit_use **lists = vly_arena_calloc(&e->arena, e->n_values, sizeof(*lists));

    if (st != VLY_OK)
        return st;
    if (uses == NULL || lists == NULL)
        return out_of_memory(e, err);
    for (size_t i = 0; i < e->n_values; i++) {
        lists[i] = uses;
        e->values[i].uses = uses;
        uses += e->values[i].n_uses;
        e->values[i].n_uses = 0;
    }
    return visit_uses(e, lists, &n, err);
}

vly_status vly_edit_index(vly_edit *e, vly_err *err)
{
    size_t n = e->n_tensors + e->graph.n_inputs;

    for (size_t i = 0; i < e->n_nodes; i++)
        n += e->nodes[i].n_outputs;
    vly_map_release(&e->by_name);
    vly_map_init(&e->by_name, VLY_MEM_MODEL);
    e->n_values = 0;
    e->values = vly_arena_calloc(&e->arena, n, sizeof(*e->values));
    if (e->values == NULL)
        return out_of_memory(e, err);
    vly_status st = define_values(e, err);
    for (size_t i = 0; i < e->graph.n_outputs && st == VLY_OK; i++) {
        int64_t at = find(e, e->graph.outputs[i].name);
        if (at < 0)
            return vly_fail(err, VLY_EFORMAT, "output '%.*s' is not defined by any node",
                            VLY_STR_ARG(e->graph.outputs[i].name));
        e->values[at].is_output = true;
    }
    return st == VLY_OK ? file_uses(e, err) : st;
}

const vly_edit_value *vly_edit_find(const vly_edit *e, vly_str name)
{
    int64_t at = name.len > 0 ? find(e, name) : -1;

    return at >= 0 && (size_t)at < e->n_values ? &e->values[at] : NULL;
}

const vly_onnx_tensor *vly_edit_tensor(const vly_edit *e, vly_str name)
{
    const vly_edit_value *v = vly_edit_find(e, name);

    return v != NULL && v->tensor >= 0 ? &e->tensors[v->tensor] : NULL;
}

vly_str vly_edit_input(const vly_onnx_node *node, size_t i)
{
    return i < node->n_inputs ? node->inputs[i] : (vly_str){NULL, 0};
}

/* ---- changes ------------------------------------------------------------------------------ */

vly_status vly_edit_add_node(vly_edit *e, const vly_onnx_node *node, vly_err *err)
{
    vly_onnx_node n = *node;

    n.inputs = copy(e, node->inputs, node->n_inputs, sizeof(*node->inputs));
    n.outputs = copy(e, node->outputs, node->n_outputs, sizeof(*node->outputs));
    n.attrs = copy(e, node->attrs, node->n_attrs, sizeof(*node->attrs));
    e->nodes = grow(e, e->nodes, e->n_nodes, &e->nodes_cap, sizeof(*e->nodes));
    if (n.inputs == NULL || n.outputs == NULL || n.attrs == NULL || e->nodes == NULL)
        return out_of_memory(e, err);
    e->nodes[e->n_nodes++] = n;
    return VLY_OK;
}

vly_status vly_edit_add_tensor(vly_edit *e, vly_str name, int32_t data_type, size_t n_dims,
                               const int64_t *dims, const void *data, vly_err *err)
{
    vly_onnx_tensor t = {.name = name, .data_type = data_type, .n_dims = n_dims, .n_elems = 1};

    VLY_ASSERT(vly_dtype_valid(data_type));
    for (size_t i = 0; i < n_dims; i++)
        t.n_elems *= (uint64_t)dims[i];
    t.n_bytes = (size_t)t.n_elems * vly_dtype_bits((vly_dtype)data_type) / 8;
    t.dims = copy(e, dims, n_dims, sizeof(*dims));
    t.data = copy(e, data, t.n_bytes, 1);
    e->tensors = grow(e, e->tensors, e->n_tensors, &e->tensors_cap, sizeof(*e->tensors));
    if (t.dims == NULL || t.data == NULL || e->tensors == NULL)
        return out_of_memory(e, err);
    e->tensors[e->n_tensors++] = t;
    return VLY_OK;
}

/* A copy of a list of names with name in place i. */
static vly_status replaced(vly_edit *e, const vly_str *list, size_t *n, size_t i, vly_str name,
                           const vly_str **ret, vly_err *err)
{
    size_t more = i < *n ? *n : i + 1;
    vly_str *to = vly_arena_calloc(&e->arena, more, sizeof(*to));

    if (to == NULL)
        return out_of_memory(e, err);
    if (*n > 0)
        memcpy(to, list, *n * sizeof(*to));
    to[i] = name;
    *ret = to;
    *n = more;
    return VLY_OK;
}

vly_status vly_edit_set_input(vly_edit *e, size_t node, size_t input, vly_str name, vly_err *err)
{
    vly_onnx_node *n = &e->nodes[node];

    return replaced(e, n->inputs, &n->n_inputs, input, name, &n->inputs, err);
}

vly_status vly_edit_set_output(vly_edit *e, size_t node, size_t output, vly_str name, vly_err *err)
{
    vly_onnx_node *n = &e->nodes[node];

    return replaced(e, n->outputs, &n->n_outputs, output, name, &n->outputs, err);
}

void vly_edit_remove_node(vly_edit *e, size_t node)
{
    e->nodes[node].op_type = (vly_str){NULL, 0};
}

vly_status vly_edit_name(vly_edit *e, vly_str base, const char *suffix, vly_str *ret, vly_err *err)
{
    char *name = vly_arena_printf(&e->arena, "%.*s_%s", VLY_STR_ARG(base), suffix);

    while (name != NULL && vly_map_get(&e->by_name, vly_str_from(name)) != NULL)
        name = vly_arena_printf(&e->arena, "%.*s_%s_%zu", VLY_STR_ARG(base), suffix, e->n_names++);
    if (name == NULL)
        return out_of_memory(e, err);
    *ret = vly_str_from(name);
    return vly_map_set(&e->by_name, *ret, (void *)NAME_TAKEN) ? VLY_OK : out_of_memory(e, err);
}

/* ---- reading ------------------------------------------------------------------------------ */

vly_status vly_edit_floats(vly_edit *e, const vly_onnx_tensor *t, const float **ret, vly_err *err)
{
    if (t->data_type != VLY_DTYPE_F32)
        return vly_fail(err, VLY_EUNSUPPORTED, "tensor '%.*s': expected float32, got %s",
                        VLY_STR_ARG(t->name), vly_dtype_name((vly_dtype)t->data_type));
    const void *data = t->data;
    if (data == NULL || (uintptr_t)data % alignof(float) != 0)
        data = copy(e, t->data, t->n_bytes, 1);
    if (data == NULL)
        return out_of_memory(e, err);
    *ret = data;
    return VLY_OK;
}

bool vly_edit_ints(const vly_onnx_tensor *t, int64_t *ret, size_t max, size_t *ret_n)
{
    if (t == NULL || t->data_type != VLY_DTYPE_I64 || t->n_elems > max || t->n_dims > 1)
        return false;
    if (t->n_bytes > 0)
        memcpy(ret, t->data, t->n_bytes);
    *ret_n = (size_t)t->n_elems;
    return true;
}

const vly_onnx_attr *vly_edit_attr(const vly_onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attrs; i++)
        if (vly_str_is(node->attrs[i].name, name))
            return &node->attrs[i];
    return NULL;
}

int64_t vly_edit_attr_int(const vly_onnx_node *node, const char *name, int64_t otherwise)
{
    const vly_onnx_attr *a = vly_edit_attr(node, name);

    return a != NULL && a->type == VLY_ONNX_ATTR_INT ? a->i : otherwise;
}

bool vly_edit_is(const vly_onnx_node *node, const char *op)
{
    return node->domain.len == 0 && vly_str_is(node->op_type, op);
}

/* ---- writing ------------------------------------------------------------------------------ */

typedef struct sorter {
    vly_edit *e;
    bool *is_needed; /* [n_nodes] */
    bool *is_used;   /* [n_tensors] */
    size_t *stack;   /* [n_nodes] */
    size_t *n_waits; /* [n_nodes] inputs that are still to be made */
    vly_onnx_node *sorted;
    size_t n_sorted, n_needed;
} sorter;

static void need_value(sorter *s, vly_str name, size_t *n_stack)
{
    const vly_edit_value *v = vly_edit_find(s->e, name);

    if (v == NULL)
        return;
    if (v->tensor >= 0)
        s->is_used[v->tensor] = true;
    if (v->producer < 0 || s->is_needed[v->producer])
        return;
    s->is_needed[v->producer] = true;
    s->n_needed++;
    s->stack[(*n_stack)++] = (size_t)v->producer;
}

static void mark_needed(sorter *s)
{
    const vly_onnx_graph *g = &s->e->graph;
    size_t n_stack = 0;

    for (size_t i = 0; i < g->n_outputs; i++)
        need_value(s, g->outputs[i].name, &n_stack);
    while (n_stack > 0) {
        const vly_onnx_node *node = &s->e->nodes[s->stack[--n_stack]];
        for (size_t k = 0; k < node->n_inputs; k++)
            need_value(s, node->inputs[k], &n_stack);
    }
}

/* A node is out: those that waited for its values may be ready. */
static void release_uses(sorter *s, const vly_onnx_node *node, size_t at)
{
    for (size_t k = 0; k < node->n_outputs; k++) {
        const vly_edit_value *v = vly_edit_find(s->e, node->outputs[k]);
        if (v == NULL || v->producer != (int64_t)at)
            continue;
        for (size_t u = 0; u < v->n_uses; u++)
            s->n_waits[v->uses[u].node]--;
    }
}

/* Passes over the nodes until all are out; the order of a file that was sorted is kept, so one pass
 * does but for what was added. */
static vly_status sort(sorter *s, vly_err *err)
{
    for (size_t i = 0; i < s->e->n_nodes; i++)
        for (size_t k = 0; k < s->e->nodes[i].n_inputs && s->is_needed[i]; k++) {
            const vly_edit_value *v = vly_edit_find(s->e, s->e->nodes[i].inputs[k]);
            s->n_waits[i] += v != NULL && v->producer >= 0;
        }
    while (s->n_sorted < s->n_needed) {
        size_t before = s->n_sorted;
        for (size_t i = 0; i < s->e->n_nodes; i++) {
            if (!s->is_needed[i] || s->n_waits[i] > 0)
                continue;
            s->is_needed[i] = false;
            s->sorted[s->n_sorted++] = s->e->nodes[i];
            release_uses(s, &s->e->nodes[i], i);
        }
        if (s->n_sorted == before)
            return vly_fail(err, VLY_EFORMAT, "the graph has a cycle");
    }
    return VLY_OK;
}

static vly_status tidy(vly_edit *e, vly_onnx_graph *g, vly_err *err)
{
    sorter s = {.e = e,
                .is_needed = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(bool)),
                .is_used = vly_arena_calloc(&e->arena, e->n_tensors, sizeof(bool)),
                .stack = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(size_t)),
                .n_waits = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(size_t)),
                .sorted = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(vly_onnx_node))};
    vly_onnx_tensor *tensors = vly_arena_calloc(&e->arena, e->n_tensors, sizeof(*tensors));

    if (s.is_needed == NULL || s.is_used == NULL || s.stack == NULL || s.n_waits == NULL ||
        s.sorted == NULL || tensors == NULL)
        return out_of_memory(e, err);
    mark_needed(&s);
    vly_status st = sort(&s, err);
    if (st != VLY_OK)
        return st;
    g->nodes = s.sorted;
    g->n_nodes = s.n_sorted;
    g->initialisers = tensors;
    g->n_initialisers = 0;
    for (size_t i = 0; i < e->n_tensors; i++)
        if (s.is_used[i])
            tensors[g->n_initialisers++] = e->tensors[i];
    return VLY_OK;
}

vly_status vly_edit_write(vly_edit *e, vly_buf *out, vly_err *err)
{
    vly_onnx_graph graph = e->graph;
    vly_onnx_model model = e->model;
    vly_status st = vly_edit_index(e, err);

    if (st == VLY_OK)
        st = tidy(e, &graph, err);
    if (st != VLY_OK)
        return st;
    graph.n_value_infos = 0; /* hints that may no longer hold */
    model.graph = &graph;
    return vly_onnx_model_write(&model, out, err);
}

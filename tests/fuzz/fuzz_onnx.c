/* SPDX-License-Identifier: MIT */
/*
 * The same bytes as a model and as a tensor. Whatever is accepted must be sound: every view
 * readable, every tensor exactly as large as its shape says, no more memory than the budget.
 */
#include "base/assert.h"
#include "codec/onnx_writer.h"

/* What was read and can be written is read again. */
static void check_written(const vly_onnx_model *m)
{
    const vly_onnx_model *again = NULL;
    vly_arena arena;
    vly_buf file;

    vly_buf_init(&file, VLY_MEM_CODEC, (size_t)1 << 28);
    if (vly_onnx_model_write(m, &file, NULL) == VLY_OK) {
        vly_arena_init(&arena, VLY_MEM_CODEC, 4096, VLY_ONNX_ARENA_BUDGET(file.len));
        VLY_ASSERT(vly_onnx_model_parse(file.ptr, file.len, &arena, &again, NULL) == VLY_OK);
        VLY_ASSERT(again->graph->n_nodes == m->graph->n_nodes);
        vly_arena_release(&arena);
    }
    vly_buf_release(&file);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define GRAPHS_MAX 4096 /* graphs whose content is looked at */

typedef struct walk {
    const vly_onnx_graph *todo[GRAPHS_MAX];
    size_t n_todo;
    uint64_t sum; /* makes the reads count */
} walk;

static void touch(walk *w, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        w->sum += p[i];
}

static void touch_strs(walk *w, const vly_str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        touch(w, list[i].ptr, list[i].len);
}

static void check_tensor(walk *w, const vly_onnx_tensor *t)
{
    uint64_t n_elems = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        VLY_ASSERT(t->dims[i] >= 0);
        n_elems *= (uint64_t)t->dims[i]; /* wraps to 0 with a dimension of 0 somewhere */
    }
    VLY_ASSERT(n_elems == t->n_elems);
    VLY_ASSERT(t->data_type >= 1 && t->data_type <= 26);
    touch_strs(w, &t->name, 1);
    if (t->strings != NULL) {
        VLY_ASSERT(t->data_type == 8);
        touch_strs(w, t->strings, (size_t)t->n_elems);
    } else if (t->external != NULL) {
        VLY_ASSERT(t->data == NULL && t->external->location.len > 0);
        VLY_ASSERT(t->external->location.ptr[0] != '/');
        VLY_ASSERT(t->external->offset <= (uint64_t)INT64_MAX - t->n_bytes);
    } else {
        VLY_ASSERT(t->n_bytes <= t->n_elems * 16 && t->n_bytes >= t->n_elems / 4);
        touch(w, t->data, t->n_bytes);
    }
}

static void check_graphs(walk *w, const vly_onnx_graph *graphs, size_t n)
{
    for (size_t i = 0; i < n && w->n_todo < GRAPHS_MAX; i++)
        w->todo[w->n_todo++] = &graphs[i];
}

static void check_attr(walk *w, const vly_onnx_attr *a)
{
    bool has_value = a->ref_attr_name.len == 0;

    VLY_ASSERT(a->name.len > 0 && vly_onnx_attr_type_name(a->type)[0] != '?');
    switch (a->type) {
    case VLY_ONNX_ATTR_STRING:
        touch_strs(w, &a->s, 1);
        break;
    case VLY_ONNX_ATTR_TENSOR:
        VLY_ASSERT(a->t != NULL || !has_value);
        if (a->t != NULL)
            check_tensor(w, a->t);
        break;
    case VLY_ONNX_ATTR_GRAPH:
        VLY_ASSERT(a->g != NULL || !has_value);
        check_graphs(w, a->g, a->g != NULL);
        break;
    case VLY_ONNX_ATTR_FLOATS:
        touch(w, a->floats, a->n * sizeof(float));
        break;
    case VLY_ONNX_ATTR_INTS:
        touch(w, a->ints, a->n * sizeof(int64_t));
        break;
    case VLY_ONNX_ATTR_STRINGS:
        touch_strs(w, a->strings, a->n);
        break;
    case VLY_ONNX_ATTR_TENSORS:
        for (size_t i = 0; i < a->n; i++)
            check_tensor(w, &a->tensors[i]);
        break;
    case VLY_ONNX_ATTR_GRAPHS:
        check_graphs(w, a->graphs, a->n);
        break;
    case VLY_ONNX_ATTR_UNDEFINED:
        VLY_ASSERT(!has_value);
        break;
    case VLY_ONNX_ATTR_FLOAT:
    case VLY_ONNX_ATTR_INT:
    case VLY_ONNX_ATTR_SPARSE_TENSOR:
    case VLY_ONNX_ATTR_SPARSE_TENSORS:
    case VLY_ONNX_ATTR_TYPE_PROTO:
    case VLY_ONNX_ATTR_TYPE_PROTOS:
        break;
    }
}

static void check_nodes(walk *w, const vly_onnx_node *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        VLY_ASSERT(nodes[i].op_type.len > 0);
        touch_strs(w, &nodes[i].name, 1);
        touch_strs(w, nodes[i].inputs, nodes[i].n_inputs);
        touch_strs(w, nodes[i].outputs, nodes[i].n_outputs);
        for (size_t k = 0; k < nodes[i].n_attrs; k++)
            check_attr(w, &nodes[i].attrs[k]);
    }
}

static void check_infos(walk *w, const vly_onnx_value_info *infos, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        touch_strs(w, &infos[i].name, 1);
        VLY_ASSERT(infos[i].n_dims == 0 || infos[i].has_shape);
        for (size_t d = 0; d < infos[i].n_dims; d++) {
            VLY_ASSERT(infos[i].dims[d].value >= -1);
            touch_strs(w, &infos[i].dims[d].param, 1);
        }
    }
}

static void check_model(const vly_onnx_model *m)
{
    static walk w; /* large; one thread */

    w.n_todo = 0;
    VLY_ASSERT(m->opset >= 0 && m->opset <= VLY_ONNX_OPSET_MAX);
    for (size_t i = 0; i < m->n_functions; i++) {
        const vly_onnx_function *f = &m->functions[i];
        touch_strs(&w, f->attr_names, f->n_attr_names);
        check_nodes(&w, f->nodes, f->n_nodes);
        for (size_t k = 0; k < f->n_attr_defaults; k++)
            check_attr(&w, &f->attr_defaults[k]);
    }
    VLY_ASSERT(m->graph != NULL);
    check_graphs(&w, m->graph, 1);
    while (w.n_todo > 0) {
        const vly_onnx_graph *g = w.todo[--w.n_todo];
        check_nodes(&w, g->nodes, g->n_nodes);
        check_infos(&w, g->inputs, g->n_inputs);
        check_infos(&w, g->outputs, g->n_outputs);
        check_infos(&w, g->value_infos, g->n_value_infos);
        for (size_t i = 0; i < g->n_initialisers; i++)
            check_tensor(&w, &g->initialisers[i]);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    static walk w;
    const vly_onnx_model *m = NULL;
    const vly_onnx_tensor *t = NULL;
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, VLY_ONNX_ARENA_BUDGET(n));
    vly_status st = vly_onnx_model_parse(bytes, n, &arena, &m, &err);
    VLY_ASSERT((st == VLY_OK) == (m != NULL) && st == err.status);
    VLY_ASSERT(arena.used_bytes <= VLY_ONNX_ARENA_BUDGET(n));
    if (m != NULL) {
        check_model(m);
        check_written(m);
    }
    vly_arena_reset(&arena);
    err.status = VLY_OK;
    st = vly_onnx_tensor_parse(bytes, n, &arena, &t, &err);
    VLY_ASSERT((st == VLY_OK) == (t != NULL) && st == err.status);
    if (t != NULL)
        check_tensor(&w, t);
    vly_arena_release(&arena);
    return 0;
}

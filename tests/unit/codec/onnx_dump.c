/* SPDX-License-Identifier: MIT */
#include "codec/onnx_dump.h"

#include <inttypes.h>
#include <string.h>

uint64_t fnv1a(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Strings may hold anything: length and hash. */
static void dump_str(vly_buf *out, const char *label, vly_str s)
{
    vly_buf_printf(out, " %s=%zu:%016" PRIx64, label, s.len, fnv1a(FNV_INIT, s.ptr, s.len));
}

static void dump_strs(vly_buf *out, const char *label, const vly_str *list, size_t n)
{
    vly_buf_printf(out, " %s=%zu", label, n);
    for (size_t i = 0; i < n; i++)
        dump_str(out, "", list[i]);
}

void dump_tensor(vly_buf *out, const vly_onnx_tensor *t)
{
    vly_buf_puts(out, "tensor");
    dump_str(out, "name", t->name);
    vly_buf_printf(out, " type=%d elems=%" PRIu64 " dims=", (int)t->data_type, t->n_elems);
    for (size_t i = 0; i < t->n_dims; i++)
        vly_buf_printf(out, "%" PRId64 ",", t->dims[i]);
    if (t->external != NULL) {
        dump_str(out, "external", t->external->location);
        vly_buf_printf(out, " offset=%" PRIu64 " bytes=%zu", t->external->offset, t->n_bytes);
    } else if (t->data_type == 8) {
        dump_strs(out, "strings", t->strings, (size_t)t->n_elems);
    } else {
        vly_buf_printf(out, " bytes=%zu fnv=%016" PRIx64, t->n_bytes,
                       fnv1a(FNV_INIT, t->data, t->n_bytes));
    }
    vly_buf_putc(out, '\n');
}

static void dump_graph(vly_buf *out, const vly_onnx_graph *g);

static void dump_float(vly_buf *out, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    vly_buf_printf(out, " %08" PRIx32, bits);
}

static void dump_attr(vly_buf *out, const vly_onnx_attr *a)
{
    vly_buf_puts(out, "attr");
    dump_str(out, "name", a->name);
    dump_str(out, "ref", a->ref_attr_name);
    vly_buf_printf(out, " type=%s n=%zu", vly_onnx_attr_type_name(a->type), a->n);
    if (a->type == VLY_ONNX_ATTR_FLOAT)
        dump_float(out, a->f);
    if (a->type == VLY_ONNX_ATTR_INT)
        vly_buf_printf(out, " %" PRId64, a->i);
    if (a->type == VLY_ONNX_ATTR_STRING)
        dump_str(out, "s", a->s);
    for (size_t i = 0; i < a->n && a->type == VLY_ONNX_ATTR_FLOATS; i++)
        dump_float(out, a->floats[i]);
    for (size_t i = 0; i < a->n && a->type == VLY_ONNX_ATTR_INTS; i++)
        vly_buf_printf(out, " %" PRId64, a->ints[i]);
    if (a->type == VLY_ONNX_ATTR_STRINGS)
        dump_strs(out, "strings", a->strings, a->n);
    vly_buf_putc(out, '\n');
    if (a->type == VLY_ONNX_ATTR_TENSOR)
        dump_tensor(out, a->t);
    if (a->type == VLY_ONNX_ATTR_GRAPH)
        dump_graph(out, a->g);
    for (size_t i = 0; i < a->n && a->type == VLY_ONNX_ATTR_TENSORS; i++)
        dump_tensor(out, &a->tensors[i]);
    for (size_t i = 0; i < a->n && a->type == VLY_ONNX_ATTR_GRAPHS; i++)
        dump_graph(out, &a->graphs[i]);
}

static void dump_nodes(vly_buf *out, const vly_onnx_node *nodes, size_t n_nodes)
{
    for (size_t i = 0; i < n_nodes; i++) {
        const vly_onnx_node *node = &nodes[i];
        vly_buf_puts(out, "node");
        dump_str(out, "name", node->name);
        dump_str(out, "op", node->op_type);
        dump_str(out, "domain", node->domain);
        dump_str(out, "overload", node->overload);
        dump_strs(out, "in", node->inputs, node->n_inputs);
        dump_strs(out, "out", node->outputs, node->n_outputs);
        vly_buf_putc(out, '\n');
        for (size_t k = 0; k < node->n_attrs; k++)
            dump_attr(out, &node->attrs[k]);
    }
}

static void dump_infos(vly_buf *out, const char *label, const vly_onnx_value_info *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const vly_onnx_value_info *info = &list[i];
        vly_buf_puts(out, label);
        dump_str(out, "name", info->name);
        vly_buf_printf(out, " kind=%d type=%d shape=%d", (int)info->kind, (int)info->elem_type,
                       info->has_shape);
        for (size_t d = 0; d < info->n_dims; d++) {
            vly_buf_printf(out, " %" PRId64, info->dims[d].value);
            dump_str(out, "param", info->dims[d].param);
        }
        vly_buf_putc(out, '\n');
    }
}

static void dump_graph(vly_buf *out, const vly_onnx_graph *g)
{
    vly_buf_puts(out, "graph");
    dump_str(out, "name", g->name);
    vly_buf_printf(out, " sparse=%zu\n", g->n_sparse_initialisers);
    dump_infos(out, "input", g->inputs, g->n_inputs);
    dump_infos(out, "output", g->outputs, g->n_outputs);
    dump_infos(out, "value", g->value_infos, g->n_value_infos);
    for (size_t i = 0; i < g->n_initialisers; i++)
        dump_tensor(out, &g->initialisers[i]);
    dump_nodes(out, g->nodes, g->n_nodes);
}

static void dump_opsets(vly_buf *out, const vly_onnx_opset *opsets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(out, "opset");
        dump_str(out, "domain", opsets[i].domain);
        vly_buf_printf(out, " version=%" PRId64 "\n", opsets[i].version);
    }
}

static void dump_function(vly_buf *out, const vly_onnx_function *fn)
{
    vly_buf_puts(out, "function");
    dump_str(out, "name", fn->name);
    dump_str(out, "domain", fn->domain);
    dump_str(out, "overload", fn->overload);
    dump_strs(out, "in", fn->inputs, fn->n_inputs);
    dump_strs(out, "out", fn->outputs, fn->n_outputs);
    dump_strs(out, "attrs", fn->attr_names, fn->n_attr_names);
    vly_buf_putc(out, '\n');
    dump_opsets(out, fn->opsets, fn->n_opsets);
    for (size_t i = 0; i < fn->n_attr_defaults; i++)
        dump_attr(out, &fn->attr_defaults[i]);
    dump_nodes(out, fn->nodes, fn->n_nodes);
}

void dump_model(vly_buf *out, const vly_onnx_model *m)
{
    vly_buf_printf(out, "model ir=%" PRId64 " version=%" PRId64 " opset=%" PRId64, m->ir_version,
                   m->model_version, m->opset);
    dump_str(out, "producer", m->producer_name);
    dump_str(out, "producer_version", m->producer_version);
    dump_str(out, "domain", m->domain);
    vly_buf_putc(out, '\n');
    dump_opsets(out, m->opsets, m->n_opsets);
    for (size_t i = 0; i < m->n_props; i++) {
        vly_buf_puts(out, "prop");
        dump_str(out, "key", m->props[i].key);
        dump_str(out, "value", m->props[i].value);
        vly_buf_putc(out, '\n');
    }
    for (size_t i = 0; i < m->n_functions; i++)
        dump_function(out, &m->functions[i]);
    dump_graph(out, m->graph);
}

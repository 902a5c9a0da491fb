/* SPDX-License-Identifier: MIT */
/* The messages of onnx.proto as tables for onnx_reader.h, and what must hold within each. */
#include "codec/onnx.h"

#include "base/assert.h"
#include "codec/onnx_reader.h"

#include <string.h>

static vly_str default_domain_as_empty(vly_str domain)
{
    return vly_str_is(domain, "ai.onnx") ? (vly_str){NULL, 0} : domain;
}

/* ---- attribute ---- */

static const char *const attr_type_names[] = {
    [VLY_ONNX_ATTR_UNDEFINED] = "UNDEFINED",
    [VLY_ONNX_ATTR_FLOAT] = "FLOAT",
    [VLY_ONNX_ATTR_INT] = "INT",
    [VLY_ONNX_ATTR_STRING] = "STRING",
    [VLY_ONNX_ATTR_TENSOR] = "TENSOR",
    [VLY_ONNX_ATTR_GRAPH] = "GRAPH",
    [VLY_ONNX_ATTR_FLOATS] = "FLOATS",
    [VLY_ONNX_ATTR_INTS] = "INTS",
    [VLY_ONNX_ATTR_STRINGS] = "STRINGS",
    [VLY_ONNX_ATTR_TENSORS] = "TENSORS",
    [VLY_ONNX_ATTR_GRAPHS] = "GRAPHS",
    [VLY_ONNX_ATTR_SPARSE_TENSOR] = "SPARSE_TENSOR",
    [VLY_ONNX_ATTR_SPARSE_TENSORS] = "SPARSE_TENSORS",
    [VLY_ONNX_ATTR_TYPE_PROTO] = "TYPE_PROTO",
    [VLY_ONNX_ATTR_TYPE_PROTOS] = "TYPE_PROTOS",
};

const char *vly_onnx_attr_type_name(vly_onnx_attr_type type)
{
    return (size_t)type < VLY_COUNT(attr_type_names) ? attr_type_names[type] : "?";
}

/* The field that holds the value of each type. */
static const uint8_t attr_value_number[VLY_COUNT(attr_type_names)] = {
    [VLY_ONNX_ATTR_FLOAT] = 2,          [VLY_ONNX_ATTR_INT] = 3,
    [VLY_ONNX_ATTR_STRING] = 4,         [VLY_ONNX_ATTR_TENSOR] = 5,
    [VLY_ONNX_ATTR_GRAPH] = 6,          [VLY_ONNX_ATTR_FLOATS] = 7,
    [VLY_ONNX_ATTR_INTS] = 8,           [VLY_ONNX_ATTR_STRINGS] = 9,
    [VLY_ONNX_ATTR_TENSORS] = 10,       [VLY_ONNX_ATTR_GRAPHS] = 11,
    [VLY_ONNX_ATTR_SPARSE_TENSOR] = 22, [VLY_ONNX_ATTR_SPARSE_TENSORS] = 23,
    [VLY_ONNX_ATTR_TYPE_PROTO] = 14,    [VLY_ONNX_ATTR_TYPE_PROTOS] = 15,
};

/* The type as the file says, or, in files of IR version 1 that do not, as the value shows. */
static vly_status attr_type(vly_onnx_reader *r, const vly_onnx_frame *f, vly_onnx_attr_type *ret)
{
    const vly_onnx_raw_attr *raw = &f->raw.attr;
    int64_t type = raw->type;

    if (type < 0 || type >= (int64_t)VLY_COUNT(attr_type_names))
        return vly_fail(r->err, VLY_EFORMAT, "unknown attribute type %lld", (long long)type);
    for (int t = VLY_ONNX_ATTR_FLOAT; t < (int)VLY_COUNT(attr_type_names); t++) {
        if (!vly_onnx__has(f, attr_value_number[t]))
            continue;
        if (type == VLY_ONNX_ATTR_UNDEFINED)
            type = t;
        if (type != t)
            return vly_fail(r->err, VLY_EFORMAT, "type is %s, but the value is of type %s",
                            attr_type_names[type], attr_type_names[t]);
    }
    if (type == VLY_ONNX_ATTR_UNDEFINED && raw->ref_attr_name.len == 0)
        return vly_fail(r->err, VLY_EFORMAT, "neither type nor value");
    *ret = (vly_onnx_attr_type)type;
    return VLY_OK;
}

static void attr_value(const vly_onnx_raw_attr *raw, vly_onnx_attr *a)
{
    switch (a->type) {
    case VLY_ONNX_ATTR_FLOAT:
        a->f = raw->f;
        break;
    case VLY_ONNX_ATTR_INT:
        a->i = raw->i;
        break;
    case VLY_ONNX_ATTR_STRING:
        a->s = raw->s;
        break;
    case VLY_ONNX_ATTR_TENSOR:
        a->t = raw->t;
        break;
    case VLY_ONNX_ATTR_GRAPH:
        a->g = raw->g;
        break;
    case VLY_ONNX_ATTR_FLOATS:
        a->floats = raw->floats;
        a->n = raw->n_floats;
        break;
    case VLY_ONNX_ATTR_INTS:
        a->ints = raw->ints;
        a->n = raw->n_ints;
        break;
    case VLY_ONNX_ATTR_STRINGS:
        a->strings = raw->strings;
        a->n = raw->n_strings;
        break;
    case VLY_ONNX_ATTR_TENSORS:
        a->tensors = raw->tensors;
        a->n = raw->n_tensors;
        break;
    case VLY_ONNX_ATTR_GRAPHS:
        a->graphs = raw->graphs;
        a->n = raw->n_graphs;
        break;
    case VLY_ONNX_ATTR_UNDEFINED:
    case VLY_ONNX_ATTR_SPARSE_TENSOR:
    case VLY_ONNX_ATTR_SPARSE_TENSORS:
    case VLY_ONNX_ATTR_TYPE_PROTO:
    case VLY_ONNX_ATTR_TYPE_PROTOS:
        break;
    }
}

static vly_status attr_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    const vly_onnx_raw_attr *raw = &f->raw.attr;
    vly_onnx_attr a = {.name = raw->name, .ref_attr_name = raw->ref_attr_name};

    if (raw->name.len == 0)
        return vly_fail(r->err, VLY_EFORMAT, "attribute without a name");
    vly_status st = attr_type(r, f, &a.type);
    if (st != VLY_OK)
        return st;
    attr_value(raw, &a);
    bool is_pointer = a.type == VLY_ONNX_ATTR_TENSOR || a.type == VLY_ONNX_ATTR_GRAPH;
    if (is_pointer && a.t == NULL && raw->ref_attr_name.len == 0)
        return vly_fail(r->err, VLY_EFORMAT, "type is %s, but there is no value",
                        attr_type_names[a.type]);
    memcpy(f->dest, &a, sizeof(a));
    return VLY_OK;
}

#define AT(member) offsetof(vly_onnx_raw_attr, member)

static const vly_onnx_row attr_rows[] = {
    {1, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {2, VLY_ONNX_ROW_FLOAT, AT(f), 0, NULL, "f"},
    {3, VLY_ONNX_ROW_INT, AT(i), 0, NULL, "i"},
    {4, VLY_ONNX_ROW_STR, AT(s), 0, NULL, "s"},
    {5, VLY_ONNX_ROW_MESSAGE_PTR, AT(t), 0, &vly_onnx__tensor_schema, "tensor"},
    {6, VLY_ONNX_ROW_MESSAGE_PTR, AT(g), 0, &vly_onnx__graph_schema, "graph"},
    {7, VLY_ONNX_ROW_FLOATS, AT(floats), AT(n_floats), NULL, "floats"},
    {8, VLY_ONNX_ROW_INTS, AT(ints), AT(n_ints), NULL, "ints"},
    {9, VLY_ONNX_ROW_STRS, AT(strings), AT(n_strings), NULL, "strings"},
    {10, VLY_ONNX_ROW_MESSAGES, AT(tensors), AT(n_tensors), &vly_onnx__tensor_schema, "tensor"},
    {11, VLY_ONNX_ROW_MESSAGES, AT(graphs), AT(n_graphs), &vly_onnx__graph_schema, "graph"},
    {14, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "tp"},
    {15, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "type_protos"},
    {20, VLY_ONNX_ROW_INT, AT(type), 0, NULL, "type"},
    {21, VLY_ONNX_ROW_STR, AT(ref_attr_name), 0, NULL, "ref_attr_name"},
    {22, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "sparse_tensor"},
    {23, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "sparse_tensors"},
};
#undef AT

static const vly_onnx_schema attr_schema = {
    .rows = attr_rows,
    .n_rows = VLY_COUNT(attr_rows),
    .bytes = sizeof(vly_onnx_attr),
    .has_raw = true,
    .name_number = 1,
    .finish = attr_finish,
};

/* ---- node ---- */

static vly_status node_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_node *node = f->dest;

    if (node->op_type.len == 0)
        return vly_fail(r->err, VLY_EFORMAT, "node without an op_type");
    if (++r->n_nodes > VLY_ONNX_NODES_MAX)
        return vly_fail(r->err, VLY_ELIMIT, "more than %u nodes", VLY_ONNX_NODES_MAX);
    node->domain = default_domain_as_empty(node->domain);
    return VLY_OK;
}

#define AT(member) offsetof(vly_onnx_node, member)

static const vly_onnx_row node_rows[] = {
    {1, VLY_ONNX_ROW_STRS, AT(inputs), AT(n_inputs), NULL, "input"},
    {2, VLY_ONNX_ROW_STRS, AT(outputs), AT(n_outputs), NULL, "output"},
    {3, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {4, VLY_ONNX_ROW_STR, AT(op_type), 0, NULL, "op_type"},
    {5, VLY_ONNX_ROW_MESSAGES, AT(attrs), AT(n_attrs), &attr_schema, "attribute"},
    {7, VLY_ONNX_ROW_STR, AT(domain), 0, NULL, "domain"},
    {8, VLY_ONNX_ROW_STR, AT(overload), 0, NULL, "overload"},
};
#undef AT

static const vly_onnx_schema node_schema = {
    .rows = node_rows,
    .n_rows = VLY_COUNT(node_rows),
    .bytes = sizeof(vly_onnx_node),
    .name_number = 3,
    .op_number = 4,
    .finish = node_finish,
};

/* ---- value_info: its type, tensor_type and shape fill the same struct ---- */

static vly_status dim_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_dim *dim = f->dest;

    if (!vly_onnx__has(f, 1))
        dim->value = -1;
    if (dim->value < -1)
        return vly_fail(r->err, VLY_EFORMAT, "negative: %lld", (long long)dim->value);
    return VLY_OK;
}

static const vly_onnx_row dim_rows[] = {
    {1, VLY_ONNX_ROW_INT, offsetof(vly_onnx_dim, value), 0, NULL, "dim_value"},
    {2, VLY_ONNX_ROW_STR, offsetof(vly_onnx_dim, param), 0, NULL, "dim_param"},
};

static const vly_onnx_schema dim_schema = {
    .rows = dim_rows,
    .n_rows = VLY_COUNT(dim_rows),
    .bytes = sizeof(vly_onnx_dim),
    .finish = dim_finish,
};

static vly_status shape_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_value_info *info = f->dest;

    (void)r;
    info->has_shape = true;
    return VLY_OK;
}

#define AT(member) offsetof(vly_onnx_value_info, member)

static const vly_onnx_row shape_rows[] = {
    {1, VLY_ONNX_ROW_MESSAGES, AT(dims), AT(n_dims), &dim_schema, "dimension"},
};

static const vly_onnx_schema shape_schema = {
    .rows = shape_rows,
    .n_rows = VLY_COUNT(shape_rows),
    .bytes = sizeof(vly_onnx_value_info),
    .finish = shape_finish,
};

static const vly_onnx_row tensor_type_rows[] = {
    {1, VLY_ONNX_ROW_INT32, AT(elem_type), 0, NULL, "elem_type"},
    {2, VLY_ONNX_ROW_MESSAGE, 0, 0, &shape_schema, "shape"},
};

static const vly_onnx_schema tensor_type_schema = {
    .rows = tensor_type_rows,
    .n_rows = VLY_COUNT(tensor_type_rows),
    .bytes = sizeof(vly_onnx_value_info),
};

static vly_status type_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    static const struct {
        uint8_t number;
        vly_onnx_kind kind;
    } kinds[] = {
        {1, VLY_ONNX_KIND_TENSOR}, {4, VLY_ONNX_KIND_SEQUENCE},      {5, VLY_ONNX_KIND_MAP},
        {7, VLY_ONNX_KIND_OPAQUE}, {8, VLY_ONNX_KIND_SPARSE_TENSOR}, {9, VLY_ONNX_KIND_OPTIONAL},
    };
    vly_onnx_value_info *info = f->dest;

    for (size_t i = 0; i < VLY_COUNT(kinds); i++) {
        if (!vly_onnx__has(f, kinds[i].number))
            continue;
        if (info->kind != VLY_ONNX_KIND_NONE)
            return vly_fail(r->err, VLY_EFORMAT, "more than one kind of type");
        info->kind = kinds[i].kind;
    }
    return VLY_OK;
}

/* Types other than tensors are noted, not read: the engine has no such values. */
static const vly_onnx_row type_rows[] = {
    {1, VLY_ONNX_ROW_MESSAGE, 0, 0, &tensor_type_schema, "tensor_type"},
    {4, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "sequence_type"},
    {5, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "map_type"},
    {7, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "opaque_type"},
    {8, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "sparse_tensor_type"},
    {9, VLY_ONNX_ROW_SEEN, 0, 0, NULL, "optional_type"},
};

static const vly_onnx_schema type_schema = {
    .rows = type_rows,
    .n_rows = VLY_COUNT(type_rows),
    .bytes = sizeof(vly_onnx_value_info),
    .finish = type_finish,
};

static const vly_onnx_row value_info_rows[] = {
    {1, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {2, VLY_ONNX_ROW_MESSAGE, 0, 0, &type_schema, "type"},
};
#undef AT

static const vly_onnx_schema value_info_schema = {
    .rows = value_info_rows,
    .n_rows = VLY_COUNT(value_info_rows),
    .bytes = sizeof(vly_onnx_value_info),
    .name_number = 1,
};

/* ---- graph ---- */

#define AT(member) offsetof(vly_onnx_graph, member)

static const vly_onnx_row graph_rows[] = {
    {1, VLY_ONNX_ROW_MESSAGES, AT(nodes), AT(n_nodes), &node_schema, "node"},
    {2, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {5, VLY_ONNX_ROW_MESSAGES, AT(initialisers), AT(n_initialisers), &vly_onnx__tensor_schema,
     "initializer"},
    {11, VLY_ONNX_ROW_MESSAGES, AT(inputs), AT(n_inputs), &value_info_schema, "input"},
    {12, VLY_ONNX_ROW_MESSAGES, AT(outputs), AT(n_outputs), &value_info_schema, "output"},
    {13, VLY_ONNX_ROW_MESSAGES, AT(value_infos), AT(n_value_infos), &value_info_schema,
     "value_info"},
    {15, VLY_ONNX_ROW_COUNT, 0, AT(n_sparse_initialisers), NULL, "sparse_initializer"},
};
#undef AT

const vly_onnx_schema vly_onnx__graph_schema = {
    .rows = graph_rows,
    .n_rows = VLY_COUNT(graph_rows),
    .bytes = sizeof(vly_onnx_graph),
    .is_scope = true,
    .name_number = 2,
};

/* ---- model, with its opsets, properties and functions ---- */

static vly_status opset_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_opset *o = f->dest;

    o->domain = default_domain_as_empty(o->domain);
    bool is_known = o->version >= VLY_ONNX_OPSET_MIN && o->version <= VLY_ONNX_OPSET_MAX;
    if (o->domain.len == 0 && !is_known)
        return vly_fail(r->err, VLY_EUNSUPPORTED, "opset %lld: expected %d to %d",
                        (long long)o->version, VLY_ONNX_OPSET_MIN, VLY_ONNX_OPSET_MAX);
    return VLY_OK;
}

static const vly_onnx_row opset_rows[] = {
    {1, VLY_ONNX_ROW_STR, offsetof(vly_onnx_opset, domain), 0, NULL, "domain"},
    {2, VLY_ONNX_ROW_INT, offsetof(vly_onnx_opset, version), 0, NULL, "version"},
};

static const vly_onnx_schema opset_schema = {
    .rows = opset_rows,
    .n_rows = VLY_COUNT(opset_rows),
    .bytes = sizeof(vly_onnx_opset),
    .name_number = 1,
    .finish = opset_finish,
};

static const vly_onnx_row prop_rows[] = {
    {1, VLY_ONNX_ROW_STR, offsetof(vly_onnx_prop, key), 0, NULL, "key"},
    {2, VLY_ONNX_ROW_STR, offsetof(vly_onnx_prop, value), 0, NULL, "value"},
};

const vly_onnx_schema vly_onnx__prop_schema = {
    .rows = prop_rows,
    .n_rows = VLY_COUNT(prop_rows),
    .bytes = sizeof(vly_onnx_prop),
    .name_number = 1,
};

static vly_status function_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_function *fn = f->dest;

    if (fn->name.len == 0)
        return vly_fail(r->err, VLY_EFORMAT, "function without a name");
    fn->domain = default_domain_as_empty(fn->domain);
    return VLY_OK;
}

#define AT(member) offsetof(vly_onnx_function, member)

static const vly_onnx_row function_rows[] = {
    {1, VLY_ONNX_ROW_STR, AT(name), 0, NULL, "name"},
    {4, VLY_ONNX_ROW_STRS, AT(inputs), AT(n_inputs), NULL, "input"},
    {5, VLY_ONNX_ROW_STRS, AT(outputs), AT(n_outputs), NULL, "output"},
    {6, VLY_ONNX_ROW_STRS, AT(attr_names), AT(n_attr_names), NULL, "attribute"},
    {7, VLY_ONNX_ROW_MESSAGES, AT(nodes), AT(n_nodes), &node_schema, "node"},
    {9, VLY_ONNX_ROW_MESSAGES, AT(opsets), AT(n_opsets), &opset_schema, "opset_import"},
    {10, VLY_ONNX_ROW_STR, AT(domain), 0, NULL, "domain"},
    {11, VLY_ONNX_ROW_MESSAGES, AT(attr_defaults), AT(n_attr_defaults), &attr_schema,
     "attribute_proto"},
    {13, VLY_ONNX_ROW_STR, AT(overload), 0, NULL, "overload"},
};
#undef AT

static const vly_onnx_schema function_schema = {
    .rows = function_rows,
    .n_rows = VLY_COUNT(function_rows),
    .bytes = sizeof(vly_onnx_function),
    .is_scope = true,
    .name_number = 1,
    .finish = function_finish,
};

static vly_status model_finish(vly_onnx_reader *r, vly_onnx_frame *f)
{
    vly_onnx_model *m = f->dest;

    if (m->graph == NULL)
        return vly_fail(r->err, VLY_EFORMAT, "no graph: not an ONNX model");
    if (m->ir_version < 1 || m->ir_version > VLY_ONNX_IR_MAX)
        return vly_fail(r->err, VLY_EUNSUPPORTED, "IR version %lld: expected 1 to %d",
                        (long long)m->ir_version, VLY_ONNX_IR_MAX);
    if (m->n_opsets == 0 && m->ir_version >= 3)
        return vly_fail(r->err, VLY_EFORMAT, "no opset_import");
    m->opset = m->n_opsets == 0 ? 1 : 0; /* older files know only the first opset */
    for (size_t i = 0; i < m->n_opsets; i++) {
        if (m->opsets[i].domain.len > 0)
            continue;
        if (m->opset != 0 && m->opset != m->opsets[i].version)
            return vly_fail(r->err, VLY_EFORMAT, "imports both opset %lld and %lld",
                            (long long)m->opset, (long long)m->opsets[i].version);
        m->opset = m->opsets[i].version;
    }
    return VLY_OK;
}

#define AT(member) offsetof(vly_onnx_model, member)

static const vly_onnx_row model_rows[] = {
    {1, VLY_ONNX_ROW_INT, AT(ir_version), 0, NULL, "ir_version"},
    {2, VLY_ONNX_ROW_STR, AT(producer_name), 0, NULL, "producer_name"},
    {3, VLY_ONNX_ROW_STR, AT(producer_version), 0, NULL, "producer_version"},
    {4, VLY_ONNX_ROW_STR, AT(domain), 0, NULL, "domain"},
    {5, VLY_ONNX_ROW_INT, AT(model_version), 0, NULL, "model_version"},
    {7, VLY_ONNX_ROW_MESSAGE_PTR, AT(graph), 0, &vly_onnx__graph_schema, "graph"},
    {8, VLY_ONNX_ROW_MESSAGES, AT(opsets), AT(n_opsets), &opset_schema, "opset_import"},
    {14, VLY_ONNX_ROW_MESSAGES, AT(props), AT(n_props), &vly_onnx__prop_schema, "metadata_props"},
    {25, VLY_ONNX_ROW_MESSAGES, AT(functions), AT(n_functions), &function_schema, "function"},
};
#undef AT

static const vly_onnx_schema model_schema = {
    .rows = model_rows,
    .n_rows = VLY_COUNT(model_rows),
    .bytes = sizeof(vly_onnx_model),
    .finish = model_finish,
};

vly_status vly_onnx_model_parse(const void *bytes, size_t len, vly_arena *arena,
                                const vly_onnx_model **ret, vly_err *err)
{
    vly_onnx_model *m = vly_arena_calloc(arena, 1, sizeof(*m));

    if (m == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = vly_onnx__read(&model_schema, "model", (vly_str){bytes, len}, arena, m, err);
    if (st == VLY_OK)
        *ret = m;
    return st;
}

bool vly_onnx_model_prop(const vly_onnx_model *model, const char *key, vly_str *ret)
{
    for (size_t i = 0; i < model->n_props; i++) {
        if (vly_str_is(model->props[i].key, key)) {
            *ret = model->props[i].value;
            return true;
        }
    }
    return false;
}

/* SPDX-License-Identifier: MIT */
/* Models: what a good file gives, and what each kind of bad one is told. Tensors:
 * test_onnx_tensor.c. */
#include "base/buf.h"
#include "codec/onnx.h"
#include "codec/pbwire.h"
#include "support/onnx_builder.h"
#include "unit.h"

#include <string.h>

static vly_arena arena; /* of the running test */
static vly_buf file;

static int set_up(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    vly_buf_init(&file, VLY_MEM_CODEC, 1 << 26);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    vly_buf_release(&file);
    return 0;
}

static const vly_onnx_model *parse(vly_str bytes)
{
    const vly_onnx_model *m = NULL;
    vly_err err = VLY_ERR_INIT;

    if (vly_onnx_model_parse(bytes.ptr, bytes.len, &arena, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return m;
}

static void check_error(vly_str bytes, vly_status want, const char *message)
{
    const vly_onnx_model *m = NULL;
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_onnx_model_parse(bytes.ptr, bytes.len, &arena, &m, &err), want);
    assert_string_equal(err.msg, message);
    assert_null(m);
}

/* A graph "g" with whatever is put between the two calls, in a model of opset 17. */
static size_t begin_graph(void)
{
    vly_buf_clear(&file);
    vly_pb_put_varint(&file, 1, 8);
    size_t opset = vly_pb_open(&file, 8);
    vly_pb_put_varint(&file, 2, 17);
    vly_pb_close(&file, opset);
    size_t graph = vly_pb_open(&file, 7);
    vly_pb_put_bytes(&file, 2, VLY_STR("g"));
    return graph;
}

static vly_str end_graph(size_t graph)
{
    vly_pb_close(&file, graph);
    assert_false(file.failed);
    return vly_buf_str(&file);
}

/* The same with one node "n" (Op) that has one attribute "a", of the fields put between the calls.
 */
typedef struct attr_marks {
    size_t graph, node, attr;
} attr_marks;

static attr_marks begin_attr(void)
{
    attr_marks m;

    m.graph = begin_graph();
    m.node = vly_pb_open(&file, 1);
    vly_pb_put_bytes(&file, 3, VLY_STR("n"));
    vly_pb_put_bytes(&file, 4, VLY_STR("Op"));
    m.attr = vly_pb_open(&file, 5);
    vly_pb_put_bytes(&file, 1, VLY_STR("a"));
    return m;
}

static vly_str end_attr(attr_marks m)
{
    vly_pb_close(&file, m.attr);
    vly_pb_close(&file, m.node);
    return end_graph(m.graph);
}

static void build_classifier(onnx_builder *b)
{
    ob_init(b);
    ob_input(b, "x", OB_FLOAT, 2, (int64_t[]){-1, 3});
    ob_output(b, "y", OB_FLOAT, 2, (int64_t[]){-1, 2});
    ob_output(b, "anything", OB_INT64, -1, NULL);
    ob_floats(b, "w", 2, (int64_t[]){3, 2}, (float[]){1, 2, 3, 4, 5, 6});
    ob_ints(b, "axes", 1, (int64_t[]){2}, (int64_t[]){0, -1});
    ob_node(b, "MatMul", "x,w", "xw");
    ob_node(b, "LeakyRelu", "xw,,z", "y");
    ob_attr_float(b, "alpha", 0.5f);
    ob_attr_ints(b, "pads", 2, (int64_t[]){-1, 7});
    ob_attr_string(b, "mode", "reflect");
    ob_node_domain(b, "ai.onnx");
    ob_prop(b, "task", "classify");
    ob_opset(b, "com.example", 3);
}

static void reads_graph(void **state)
{
    (void)state;
    onnx_builder b;
    build_classifier(&b);
    const vly_onnx_model *m = parse(ob_finish(&b, 17));
    const vly_onnx_graph *g = m->graph;

    assert_int_equal(m->ir_version, 8);
    assert_int_equal(m->opset, 17);
    assert_int_equal(m->n_opsets, 2);
    assert_int_equal(g->n_inputs, 1);
    assert_true(vly_str_is(g->inputs[0].name, "x"));
    assert_int_equal(g->inputs[0].kind, VLY_ONNX_KIND_TENSOR);
    assert_int_equal(g->inputs[0].elem_type, OB_FLOAT);
    assert_true(g->inputs[0].has_shape);
    assert_int_equal(g->inputs[0].n_dims, 2);
    assert_int_equal(g->inputs[0].dims[0].value, -1);
    assert_true(vly_str_is(g->inputs[0].dims[0].param, "N"));
    assert_int_equal(g->inputs[0].dims[1].value, 3);
    assert_int_equal(g->n_outputs, 2);
    assert_false(g->outputs[1].has_shape);
    assert_int_equal(g->n_initialisers, 2);
    assert_true(vly_str_is(g->initialisers[0].name, "w"));
    assert_int_equal(g->initialisers[0].n_bytes, 24);
    float w5;
    memcpy(&w5, (const char *)g->initialisers[0].data + 20, sizeof(w5));
    assert_true(w5 == 6.0f);
    assert_int_equal(g->initialisers[1].dims[0], 2);
    b.model.ptr[0] = 0; /* views: still the builder's bytes */
    ob_release(&b);
}

static void reads_nodes_and_attributes(void **state)
{
    (void)state;
    onnx_builder b;
    build_classifier(&b);
    const vly_onnx_model *m = parse(ob_finish(&b, 17));
    const vly_onnx_node *n = &m->graph->nodes[1];

    assert_int_equal(m->graph->n_nodes, 2);
    assert_true(vly_str_is(n->op_type, "LeakyRelu"));
    assert_true(vly_str_is(n->name, "y"));
    assert_int_equal(n->domain.len, 0); /* "ai.onnx" is the default */
    assert_int_equal(n->n_inputs, 3);
    assert_int_equal(n->inputs[1].len, 0);
    assert_true(vly_str_is(n->inputs[2], "z"));
    assert_int_equal(n->n_attrs, 3);
    assert_int_equal(n->attrs[0].type, VLY_ONNX_ATTR_FLOAT);
    assert_true(n->attrs[0].f == 0.5f);
    assert_int_equal(n->attrs[1].type, VLY_ONNX_ATTR_INTS);
    assert_int_equal(n->attrs[1].n, 2);
    assert_int_equal(n->attrs[1].ints[0], -1);
    assert_int_equal(n->attrs[1].ints[1], 7);
    assert_true(vly_str_is(n->attrs[2].s, "reflect"));
    ob_release(&b);
}

static void finds_properties(void **state)
{
    (void)state;
    onnx_builder b;
    vly_str value = {NULL, 0};
    build_classifier(&b);
    const vly_onnx_model *m = parse(ob_finish(&b, 17));

    assert_true(vly_onnx_model_prop(m, "task", &value));
    assert_true(vly_str_is(value, "classify"));
    assert_false(vly_onnx_model_prop(m, "names", &value));
    ob_release(&b);
}

/* The graph is the last field: whatever is cut off, something is missing. */
static void rejects_every_cut(void **state)
{
    (void)state;
    onnx_builder b;
    build_classifier(&b);
    vly_str whole = ob_finish(&b, 17);

    for (size_t n = 0; n < whole.len; n++) {
        const vly_onnx_model *m = NULL;
        vly_err err = VLY_ERR_INIT;
        char *cut = vly_strndup(VLY_MEM_CODEC, whole.ptr, n);
        assert_int_equal(vly_onnx_model_parse(cut, n, &arena, &m, &err), VLY_EFORMAT);
        assert_true(err.msg[0] != '\0');
        vly_free(cut);
        vly_arena_reset(&arena);
    }
    ob_release(&b);
}

static void skips_unknown_fields(void **state)
{
    (void)state;
    size_t graph = begin_graph();
    vly_pb_put_varint(&file, 99, 1);
    vly_pb_put_double(&file, 98, 1);
    vly_pb_put_bytes(&file, 97, VLY_STR("\xff\xff"));
    vly_pb_put_float(&file, 96, 1);
    const vly_onnx_model *m = parse(end_graph(graph));

    assert_true(vly_str_is(m->graph->name, "g"));
}

static vly_str model_with(int64_t ir, const int64_t *opsets, size_t n_opsets, bool has_graph)
{
    vly_buf_clear(&file);
    vly_pb_put_varint(&file, 1, (uint64_t)ir);
    for (size_t i = 0; i < n_opsets; i++) {
        size_t opset = vly_pb_open(&file, 8);
        vly_pb_put_varint(&file, 2, (uint64_t)opsets[i]);
        vly_pb_close(&file, opset);
    }
    if (has_graph)
        vly_pb_put_bytes(&file, 7, (vly_str){NULL, 0});
    return vly_buf_str(&file);
}

static void checks_versions(void **state)
{
    (void)state;
    assert_int_equal(parse(model_with(3, (int64_t[]){7}, 1, true))->opset, 7);
    assert_int_equal(parse(model_with(10, (int64_t[]){21, 21}, 2, true))->opset, 21);
    assert_int_equal(parse(model_with(1, NULL, 0, true))->opset, 1);
    check_error(VLY_STR(""), VLY_EFORMAT, "model: no graph: not an ONNX model");
    check_error(model_with(8, (int64_t[]){17}, 1, false), VLY_EFORMAT,
                "model: no graph: not an ONNX model");
    check_error(model_with(0, (int64_t[]){17}, 1, true), VLY_EUNSUPPORTED,
                "model: IR version 0: expected 1 to 14");
    check_error(model_with(15, (int64_t[]){17}, 1, true), VLY_EUNSUPPORTED,
                "model: IR version 15: expected 1 to 14");
    check_error(model_with(-1, (int64_t[]){17}, 1, true), VLY_EUNSUPPORTED,
                "model: IR version -1: expected 1 to 14");
    check_error(model_with(8, (int64_t[]){0}, 1, true), VLY_EUNSUPPORTED,
                "model: opset_import 0: opset 0: expected 1 to 28");
    check_error(model_with(8, (int64_t[]){17, 29}, 2, true), VLY_EUNSUPPORTED,
                "model: opset_import 1: opset 29: expected 1 to 28");
    check_error(model_with(8, (int64_t[]){17, 18}, 2, true), VLY_EFORMAT,
                "model: imports both opset 17 and 18");
    check_error(model_with(8, NULL, 0, true), VLY_EFORMAT, "model: no opset_import");
    (void)model_with(8, (int64_t[]){17}, 1, true);
    vly_pb_put_bytes(&file, 7, (vly_str){NULL, 0});
    check_error(vly_buf_str(&file), VLY_EFORMAT, "model: field 7 (graph) appears twice");
}

static void rejects_what_is_no_protobuf(void **state)
{
    (void)state;
    check_error(VLY_STR("\xff\xd8\xff\xe0 a JPEG"), VLY_EFORMAT,
                "model: malformed protobuf in 11 bytes");
    check_error(VLY_STR("<html>"), VLY_EFORMAT, "model: malformed protobuf in 6 bytes");
}

static void rejects_wrong_wire_types(void **state)
{
    (void)state;
    size_t graph = begin_graph();
    size_t node = vly_pb_open(&file, 1);
    vly_pb_put_bytes(&file, 3, VLY_STR("n"));
    vly_pb_put_varint(&file, 4, 1);
    vly_pb_close(&file, node);
    check_error(end_graph(graph), VLY_EFORMAT,
                "graph 'g': node 0 'n': field 4 (op_type): expected wire type 2, got 0");

    attr_marks m = begin_attr();
    vly_pb_put_float(&file, 3, 1);
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': field 3 (i): expected wire type 0, "
                "got 5");
    m = begin_attr();
    vly_pb_put_bytes(&file, 7, VLY_STR("12345"));
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': field 7 (floats): last element is "
                "cut off");
    m = begin_attr();
    vly_pb_put_bytes(&file, 8, VLY_STR("\x01\x80"));
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': field 8 (ints): last element is cut "
                "off");
    m = begin_attr();
    vly_pb_put_bytes(&file, 8, VLY_STR("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': field 8: a varint is over 64 bits");
}

static void checks_attributes(void **state)
{
    (void)state;
    attr_marks m = begin_attr();
    vly_pb_put_varint(&file, 20, 2);
    vly_pb_put_float(&file, 2, 1);
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': type is INT, but the value is of "
                "type FLOAT");
    m = begin_attr();
    vly_pb_put_varint(&file, 20, 15);
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': unknown attribute type 15");
    m = begin_attr();
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': neither type nor value");
    m = begin_attr();
    vly_pb_put_varint(&file, 20, 4);
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': type is TENSOR, but there is no "
                "value");
    m = begin_attr();
    vly_pb_put_varint(&file, 3, 1);
    vly_pb_put_bytes(&file, 4, VLY_STR("x"));
    check_error(end_attr(m), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': type is INT, but the value is of "
                "type STRING");

    size_t graph = begin_graph();
    size_t node = vly_pb_open(&file, 1);
    vly_pb_put_bytes(&file, 5, (vly_str){NULL, 0});
    vly_pb_close(&file, node);
    check_error(end_graph(graph), VLY_EFORMAT,
                "graph 'g': node 0: attribute 0: attribute without a name");
    graph = begin_graph();
    vly_pb_put_bytes(&file, 1, (vly_str){NULL, 0});
    check_error(end_graph(graph), VLY_EFORMAT, "graph 'g': node 0: node without an op_type");
}

static void infers_missing_attribute_type(void **state)
{
    (void)state;
    attr_marks marks = begin_attr();
    vly_pb_put_bytes(&file, 8, VLY_STR("\x01\x02")); /* packed */
    vly_pb_put_varint(&file, 8, 3);                  /* and not */
    const vly_onnx_attr *a = parse(end_attr(marks))->graph->nodes[0].attrs;

    assert_int_equal(a->type, VLY_ONNX_ATTR_INTS);
    assert_int_equal(a->n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(a->ints[i], i + 1);

    marks = begin_attr();
    vly_pb_put_bytes(&file, 7, VLY_STR("\0\0\x80\x3f\0\0\0\x40")); /* 1, 2 */
    vly_pb_put_float(&file, 7, 3);
    a = parse(end_attr(marks))->graph->nodes[0].attrs;
    assert_int_equal(a->type, VLY_ONNX_ATTR_FLOATS);
    assert_int_equal(a->n, 3);
    for (int i = 0; i < 3; i++)
        assert_true(a->floats[i] == (float)(i + 1));
}

static void reads_lists_of_messages(void **state)
{
    (void)state;
    attr_marks marks = begin_attr();
    vly_pb_put_bytes(&file, 10, VLY_STR("\x10\x02\x4a\x01x")); /* UINT8 scalars */
    vly_pb_put_bytes(&file, 10, VLY_STR("\x10\x02\x4a\x01y"));
    const vly_onnx_attr *a = parse(end_attr(marks))->graph->nodes[0].attrs;
    assert_int_equal(a->type, VLY_ONNX_ATTR_TENSORS);
    assert_int_equal(a->n, 2);
    assert_memory_equal(a->tensors[1].data, "y", 1);

    marks = begin_attr();
    vly_pb_put_bytes(&file, 11, VLY_STR("\x12\x01x"));
    vly_pb_put_bytes(&file, 11, VLY_STR("\x12\x01y"));
    a = parse(end_attr(marks))->graph->nodes[0].attrs;
    assert_int_equal(a->type, VLY_ONNX_ATTR_GRAPHS);
    assert_int_equal(a->n, 2);
    assert_true(vly_str_is(a->graphs[1].name, "y"));

    marks = begin_attr();
    vly_pb_put_bytes(&file, 10, VLY_STR("\x10\x02\x4a\x01x"));
    vly_pb_put_bytes(&file, 10, VLY_STR("\x10\x02"));
    check_error(end_attr(marks), VLY_EFORMAT,
                "graph 'g': node 0 'n' (Op): attribute 0 'a': tensor 1: expected 1 bytes for its "
                "shape, got 0");
}

static void notes_what_it_does_not_read(void **state)
{
    (void)state;
    attr_marks marks = begin_attr();
    vly_pb_put_varint(&file, 20, VLY_ONNX_ATTR_SPARSE_TENSOR);
    vly_pb_put_bytes(&file, 22, VLY_STR("anything \xff"));
    const vly_onnx_attr *a = parse(end_attr(marks))->graph->nodes[0].attrs;
    assert_int_equal(a->type, VLY_ONNX_ATTR_SPARSE_TENSOR);

    size_t graph = begin_graph();
    vly_pb_put_bytes(&file, 15, VLY_STR("x"));
    vly_pb_put_bytes(&file, 15, VLY_STR("y"));
    assert_int_equal(parse(end_graph(graph))->graph->n_sparse_initialisers, 2);
}

static size_t begin_input(size_t *graph)
{
    *graph = begin_graph();
    size_t input = vly_pb_open(&file, 11);
    vly_pb_put_bytes(&file, 1, VLY_STR("x"));
    return input;
}

static vly_str end_input(size_t graph, size_t input)
{
    vly_pb_close(&file, input);
    return end_graph(graph);
}

static void reads_kinds_of_values(void **state)
{
    (void)state;
    static const struct {
        uint32_t number;
        vly_onnx_kind kind;
    } kinds[] = {
        {4, VLY_ONNX_KIND_SEQUENCE},      {5, VLY_ONNX_KIND_MAP},      {7, VLY_ONNX_KIND_OPAQUE},
        {8, VLY_ONNX_KIND_SPARSE_TENSOR}, {9, VLY_ONNX_KIND_OPTIONAL}, {1, VLY_ONNX_KIND_TENSOR},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t graph;
        size_t input = begin_input(&graph);
        size_t type = vly_pb_open(&file, 2);
        vly_pb_put_bytes(&file, kinds[i].number, (vly_str){NULL, 0});
        vly_pb_close(&file, type);
        const vly_onnx_graph *g = parse(end_input(graph, input))->graph;
        assert_int_equal(g->inputs[0].kind, kinds[i].kind);
        assert_false(g->inputs[0].has_shape);
    }
    size_t graph;
    size_t input = begin_input(&graph);
    assert_int_equal(parse(end_input(graph, input))->graph->inputs[0].kind, VLY_ONNX_KIND_NONE);
    input = begin_input(&graph);
    vly_pb_put_bytes(&file, 2, VLY_STR("\x0a\x00\x22\x00"));
    check_error(end_input(graph, input), VLY_EFORMAT,
                "graph 'g': input 0 'x': type: more than one kind of type");
}

/* -1 is what some exporters write for "any"; nothing else below 0 makes sense. */
static void checks_dimensions(void **state)
{
    (void)state;
    onnx_builder b;
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){5});
    vly_str model = ob_finish(&b, 17);
    char *five = memchr(model.ptr + 20, 5, model.len - 20);

    assert_non_null(five); /* the only byte 5 so far behind */
    *five = 0;
    assert_int_equal(parse(model)->graph->inputs[0].dims[0].value, 0);
    ob_release(&b);

    for (int64_t dim = -2; dim < 0; dim++) {
        size_t graph;
        size_t input = begin_input(&graph);
        size_t marks[4] = {vly_pb_open(&file, 2), vly_pb_open(&file, 1), vly_pb_open(&file, 2),
                           vly_pb_open(&file, 1)};
        vly_pb_put_varint(&file, 1, (uint64_t)dim);
        for (size_t i = 4; i-- > 0;)
            vly_pb_close(&file, marks[i]);
        vly_str bytes = end_input(graph, input);
        if (dim == -1)
            assert_int_equal(parse(bytes)->graph->inputs[0].dims[0].value, -1);
        else
            check_error(bytes, VLY_EFORMAT,
                        "graph 'g': input 0 'x': type: tensor_type: shape: dimension 0: "
                        "negative: -2");
    }
}

static void reads_functions(void **state)
{
    (void)state;
    (void)model_with(8, (int64_t[]){17}, 1, true);
    size_t function = vly_pb_open(&file, 25);
    vly_pb_put_bytes(&file, 1, VLY_STR("f"));
    vly_pb_put_bytes(&file, 4, VLY_STR("in"));
    vly_pb_put_bytes(&file, 5, VLY_STR("out"));
    vly_pb_put_bytes(&file, 6, VLY_STR("alpha"));
    vly_pb_put_bytes(&file, 9, VLY_STR("\x10\x11"));
    vly_pb_put_bytes(&file, 10, VLY_STR("dom"));
    size_t node = vly_pb_open(&file, 7);
    vly_pb_put_bytes(&file, 4, VLY_STR("Elu"));
    size_t attr = vly_pb_open(&file, 5);
    vly_pb_put_bytes(&file, 1, VLY_STR("alpha"));
    vly_pb_put_varint(&file, 20, 1);
    vly_pb_put_bytes(&file, 21, VLY_STR("alpha"));
    vly_pb_close(&file, attr);
    vly_pb_close(&file, node);
    vly_pb_close(&file, function);
    const vly_onnx_model *m = parse(vly_buf_str(&file));
    const vly_onnx_function *f = m->functions;

    assert_int_equal(m->n_functions, 1);
    assert_true(vly_str_is(f->name, "f"));
    assert_true(vly_str_is(f->domain, "dom"));
    assert_int_equal(f->n_inputs, 1);
    assert_true(vly_str_is(f->outputs[0], "out"));
    assert_true(vly_str_is(f->attr_names[0], "alpha"));
    assert_int_equal(f->opsets[0].version, 17);
    assert_true(vly_str_is(f->nodes[0].op_type, "Elu"));
    assert_true(vly_str_is(f->nodes[0].attrs[0].ref_attr_name, "alpha"));
    assert_int_equal(f->nodes[0].attrs[0].type, VLY_ONNX_ATTR_FLOAT);
    vly_pb_put_bytes(&file, 25, (vly_str){NULL, 0});
    check_error(vly_buf_str(&file), VLY_EFORMAT, "function 1: function without a name");
}

/* If inside If inside ... : `depth` subgraphs below the main graph. */
static vly_str nested_model(onnx_builder *b, int depth)
{
    onnx_builder inner;

    ob_init(&inner);
    for (int i = 0; i < depth; i++) {
        onnx_builder outer;
        ob_init(&outer);
        ob_node(&outer, "If", "c", "y");
        ob_attr_graph(&outer, "then_branch", &inner);
        ob_release(&inner);
        inner = outer;
    }
    *b = inner;
    return ob_finish(b, 17);
}

static void limits_nesting(void **state)
{
    (void)state;
    onnx_builder b;
    const vly_onnx_model *m = parse(nested_model(&b, VLY_ONNX_DEPTH_MAX));
    const vly_onnx_graph *g = m->graph;

    for (int i = 0; i < VLY_ONNX_DEPTH_MAX; i++) {
        assert_int_equal(g->n_nodes, 1);
        assert_int_equal(g->nodes[0].attrs[0].type, VLY_ONNX_ATTR_GRAPH);
        g = g->nodes[0].attrs[0].g;
    }
    assert_int_equal(g->n_nodes, 0);
    ob_release(&b);
    check_error(nested_model(&b, VLY_ONNX_DEPTH_MAX + 1), VLY_ELIMIT,
                "graph: subgraphs are nested deeper than 16");
    ob_release(&b);
    check_error(nested_model(&b, 1000), VLY_ELIMIT, "graph: subgraphs are nested deeper than 16");
    ob_release(&b);
}

/* Two bytes of file for a struct of a hundred: the budget stops it. */
static void limits_memory(void **state)
{
    (void)state;
    attr_marks marks = begin_attr();
    for (int i = 0; i < 100000; i++)
        vly_pb_put_bytes(&file, 11, (vly_str){NULL, 0}); /* graphs */
    vly_str bytes = end_attr(marks);
    vly_arena_release(&arena);
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, VLY_ONNX_ARENA_BUDGET(bytes.len));
    const vly_onnx_model *m = NULL;
    vly_err err = VLY_ERR_INIT;
    assert_int_equal(vly_onnx_model_parse(bytes.ptr, bytes.len, &arena, &m, &err), VLY_ELIMIT);
    assert_true(arena.used_bytes <= VLY_ONNX_ARENA_BUDGET(bytes.len));
}

static void limits_nodes(void **state)
{
    (void)state;
    size_t graph = begin_graph();
    for (unsigned i = 0; i <= VLY_ONNX_NODES_MAX; i++)
        vly_pb_put_bytes(&file, 1, VLY_STR("\x22\x01R"));
    vly_str bytes = end_graph(graph);
    vly_arena_release(&arena);
    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, (size_t)256 << 20);
    check_error(bytes, VLY_ELIMIT, "graph 'g': node 1000000 (R): more than 1000000 nodes");
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    onnx_builder b, inner;
    ob_init(&inner);
    ob_node(&inner, "Add", "a,b", "c");
    build_classifier(&b);
    ob_node(&b, "If", "c", "d");
    ob_attr_graph(&b, "then_branch", &inner);
    vly_str bytes = ob_finish(&b, 17);
    for (int64_t n = 0;; n++) {
        vly_arena small;
        const vly_onnx_model *m = NULL;
        vly_arena_init(&small, VLY_MEM_CODEC, 16, 1 << 20); /* a block for each */
        vly_mem_fail_after(n);
        vly_status st = vly_onnx_model_parse(bytes.ptr, bytes.len, &small, &m, NULL);
        vly_mem_fail_after(-1);
        vly_arena_release(&small);
        assert_true(st == VLY_OK ? m != NULL : m == NULL && st == VLY_ENOMEM);
        if (st == VLY_OK) {
            assert_true(n > 20);
            break;
        }
    }
    ob_release(&b);
    ob_release(&inner);
}

static void shows_long_names_cut(void **state)
{
    (void)state;
    char name[1000];
    vly_buf want;
    memset(name, 'n', sizeof(name));
    size_t graph = begin_graph();
    size_t node = vly_pb_open(&file, 1);
    vly_pb_put_bytes(&file, 3, (vly_str){name, sizeof(name)});
    vly_pb_close(&file, node);
    vly_buf_init(&want, VLY_MEM_CODEC, 1000);
    vly_buf_printf(&want, "graph 'g': node 0 '%.80s': node without an op_type", name);
    check_error(end_graph(graph), VLY_EFORMAT, want.ptr);
    vly_buf_release(&want);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

UNIT_TESTS(TEST(reads_graph), TEST(reads_nodes_and_attributes), TEST(finds_properties),
           TEST(rejects_every_cut), TEST(skips_unknown_fields), TEST(checks_versions),
           TEST(rejects_what_is_no_protobuf), TEST(rejects_wrong_wire_types),
           TEST(checks_attributes), TEST(infers_missing_attribute_type),
           TEST(reads_lists_of_messages), TEST(notes_what_it_does_not_read),
           TEST(reads_kinds_of_values), TEST(checks_dimensions), TEST(reads_functions),
           TEST(limits_nesting), TEST(limits_memory), TEST(limits_nodes),
           TEST(survives_every_failing_allocation), TEST(shows_long_names_cut))

/* SPDX-License-Identifier: MIT */
/* What the writer refuses, and the bytes of one small model; that the rest comes back as it went
 * is in test_onnx_files.c. */
#include "codec/onnx_writer.h"
#include "codec/pbwire.h"
#include "support/onnx_builder.h"
#include "unit.h"

static vly_buf out; /* of the running test */

static int set_up(void **state)
{
    (void)state;
    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_buf_release(&out);
    return 0;
}

/* By hand from onnx.proto: field << 3 | wire type, length, content. */
static void bytes(void **state)
{
    static const unsigned char want[] = {
        0x08, 8,                                                  /* ir_version */
        0x3a, 15,                                                 /* graph */
        0x0a, 10, 0x0a, 1,  'x', 0x12, 1, 'y', 0x22, 2, 'O', 'p', /* node */
        0x12, 1,  'g',                                            /* its name */
        0x42, 2,  0x10, 17,                                       /* opset_import */
    };
    vly_str x = VLY_STR("x"), y = VLY_STR("y");
    vly_onnx_node node = {
        .op_type = VLY_STR("Op"), .n_inputs = 1, .inputs = &x, .n_outputs = 1, .outputs = &y};
    vly_onnx_graph graph = {.name = VLY_STR("g"), .n_nodes = 1, .nodes = &node};
    vly_onnx_opset opset = {.version = 17};
    vly_onnx_model m = {.ir_version = 8, .graph = &graph, .n_opsets = 1, .opsets = &opset};

    (void)state;
    assert_int_equal(vly_onnx_model_write(&m, &out, NULL), VLY_OK);
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.ptr, want, sizeof(want));
}

static void check_refused(const vly_onnx_graph *graph, vly_status want, const char *message)
{
    vly_onnx_model m = {.ir_version = 8, .graph = graph};
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_onnx_model_write(&m, &out, &err), want);
    assert_string_equal(err.msg, message);
}

static void refuses(void **state)
{
    vly_onnx_attr attr = {.name = VLY_STR("a"), .type = VLY_ONNX_ATTR_SPARSE_TENSOR};
    vly_onnx_node node = {
        .name = VLY_STR("n"), .op_type = VLY_STR("Op"), .n_attrs = 1, .attrs = &attr};
    vly_onnx_value_info map = {.name = VLY_STR("m"), .kind = VLY_ONNX_KIND_MAP};

    (void)state;
    check_refused(&(vly_onnx_graph){.name = VLY_STR("g"), .n_sparse_initialisers = 1},
                  VLY_EUNSUPPORTED, "graph 'g': cannot write sparse initialisers");
    check_refused(&(vly_onnx_graph){.n_nodes = 1, .nodes = &node}, VLY_EUNSUPPORTED,
                  "node 'n' (Op): attribute 'a' (SPARSE_TENSOR): cannot write it");
    check_refused(&(vly_onnx_graph){.n_inputs = 1, .inputs = &map}, VLY_EUNSUPPORTED,
                  "input 'm' is not a tensor: cannot write it");
    check_refused(&(vly_onnx_graph){.n_outputs = 1, .outputs = &map}, VLY_EUNSUPPORTED,
                  "output 'm' is not a tensor: cannot write it");
}

/* A graph that holds itself is deeper than any limit. */
static void too_deep(void **state)
{
    vly_onnx_graph graph = {.name = VLY_STR("g")};
    vly_onnx_attr attr = {.name = VLY_STR("body"), .type = VLY_ONNX_ATTR_GRAPH, .g = &graph};
    vly_onnx_node node = {.op_type = VLY_STR("Loop"), .n_attrs = 1, .attrs = &attr};
    vly_err err = VLY_ERR_INIT;

    (void)state;
    graph.n_nodes = 1;
    graph.nodes = &node;
    vly_onnx_model m = {.ir_version = 8, .graph = &graph};
    assert_int_equal(vly_onnx_model_write(&m, &out, &err), VLY_ELIMIT);
    assert_non_null(strstr(err.msg, "subgraphs are nested deeper than 16"));
}

static void no_room(void **state)
{
    static const char weights[4096];
    static const int64_t dims[] = {4096};
    vly_onnx_tensor t = {.name = VLY_STR("w"),
                         .data_type = 2,
                         .n_dims = 1,
                         .dims = dims,
                         .n_elems = 4096,
                         .data = weights,
                         .n_bytes = 4096};
    vly_onnx_graph graph = {.n_initialisers = 1, .initialisers = &t};
    vly_onnx_model m = {.ir_version = 8, .graph = &graph};
    vly_err err = VLY_ERR_INIT;
    vly_buf small;

    (void)state;
    vly_buf_init(&small, VLY_MEM_CODEC, 64);
    assert_int_equal(vly_onnx_model_write(&m, &small, &err), VLY_ELIMIT);
    vly_buf_release(&small);
}

UNIT_TESTS(cmocka_unit_test_setup_teardown(bytes, set_up, tear_down),
           cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
           cmocka_unit_test_setup_teardown(too_deep, set_up, tear_down),
           cmocka_unit_test_setup_teardown(no_room, set_up, tear_down))

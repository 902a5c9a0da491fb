/* SPDX-License-Identifier: MIT */
/* What opening, changing and writing a model does to it. */
#include "codec/onnx.h"
#include "optim/edit.h"
#include "optim/net.h"
#include "unit.h"

#include <string.h>

static onnx_builder builder; /* of the running test */
static vly_edit edit;
static vly_buf out;

static int set_up(void **state)
{
    (void)state;
    ob_init(&builder);
    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_edit_close(&edit);
    vly_buf_release(&out);
    ob_release(&builder);
    return 0;
}

static void open_edit(int64_t opset)
{
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(&builder, opset);

    if (vly_edit_open(&edit, file.ptr, file.len, NULL, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

/* Operators of the written file, "Relu Neg ", and its initialisers. */
static void check_written(const char *ops, const char *tensors)
{
    const vly_onnx_model *m;
    vly_arena arena;
    vly_buf text;
    vly_err err = VLY_ERR_INIT;

    vly_buf_init(&text, VLY_MEM_MODEL, 1 << 12);
    vly_buf_clear(&out);
    if (vly_edit_write(&edit, &out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_arena_init(&arena, VLY_MEM_MODEL, 4096, 1 << 20);
    assert_int_equal(vly_onnx_model_parse(out.ptr, out.len, &arena, &m, &err), VLY_OK);
    for (size_t i = 0; i < m->graph->n_nodes; i++)
        vly_buf_printf(&text, "%.*s ", VLY_STR_ARG(m->graph->nodes[i].op_type));
    assert_string_equal(text.ptr != NULL ? text.ptr : "", ops);
    vly_buf_release(&text);
    vly_buf_init(&text, VLY_MEM_MODEL, 1 << 12);
    for (size_t i = 0; i < m->graph->n_initialisers; i++)
        vly_buf_printf(&text, "%.*s ", VLY_STR_ARG(m->graph->initialisers[i].name));
    assert_string_equal(text.ptr != NULL ? text.ptr : "", tensors);
    vly_buf_release(&text);
    vly_arena_release(&arena);
}

/* Constant nodes become initialisers, an input that is one too is none, what nobody needs goes. */
static void tidies(void **state)
{
    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_input(&builder, "w", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&builder, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_floats(&builder, "w", 1, (int64_t[]){2}, (float[]){1, 2});
    ob_floats(&builder, "dead", 1, (int64_t[]){2}, (float[]){1, 2});
    ob_node(&builder, "Constant", "", "c");
    ob_attr_tensor(&builder, "value", OB_FLOAT, 1, (int64_t[]){2}, (float[]){3, 4}, 8);
    ob_node(&builder, "Mul", "x,w", "m");
    ob_node(&builder, "Neg", "m", "unused");
    ob_node(&builder, "Add", "m,c", "y");
    open_edit(13);
    assert_int_equal(edit.graph.n_inputs, 1);
    const vly_edit_value *m = vly_edit_find(&edit, VLY_STR("m"));
    assert_int_equal(m->n_uses, 2);
    assert_int_equal(m->producer, 1);
    assert_null(vly_edit_find(&edit, VLY_STR("nobody")));
    check_written("Mul Add ", "w c ");
}

/* Nodes may be added in any order; y reads what is added behind it. */
static void sorts(void **state)
{
    vly_str x = VLY_STR("x"), name = {NULL, 0}, taken = {NULL, 0};
    vly_err err;

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&builder, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&builder, "Neg", "x", "x_abs"); /* the name that the new value would get */
    ob_node(&builder, "Add", "x_abs,x", "y");
    open_edit(13);
    assert_int_equal(vly_edit_name(&edit, x, "abs", &name, &err), VLY_OK);
    assert_true(vly_str_is(name, "x_abs_0"));
    assert_int_equal(vly_edit_name(&edit, x, "abs", &taken, &err), VLY_OK);
    assert_false(vly_str_eq(name, taken));
    vly_onnx_node node = {
        .op_type = VLY_STR("Abs"), .n_inputs = 1, .inputs = &x, .n_outputs = 1, .outputs = &name};
    assert_int_equal(vly_edit_add_node(&edit, &node, &err), VLY_OK);
    assert_int_equal(vly_edit_set_input(&edit, 1, 1, name, &err), VLY_OK);
    check_written("Neg Abs Add ", "");

    vly_edit copy; /* changes to a copy leave the source alone */
    assert_int_equal(vly_edit_clone(&copy, &edit, &err), VLY_OK);
    vly_edit_remove_node(&copy, 0);
    assert_int_equal(vly_edit_set_input(&copy, 1, 0, x, &err), VLY_OK);
    vly_edit_close(&copy);
    check_written("Neg Abs Add ", "");
}

static void check_write_fails(const char *text)
{
    vly_err err = VLY_ERR_INIT;

    assert_int_equal(vly_edit_write(&edit, &out, &err), VLY_EFORMAT);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.msg);
}

static void finds_cycles_and_gaps(void **state)
{
    vly_err err;

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_output(&builder, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&builder, "Neg", "x", "a");
    ob_node(&builder, "Neg", "a", "y");
    open_edit(13);
    assert_int_equal(vly_edit_set_input(&edit, 0, 0, VLY_STR("y"), &err), VLY_OK);
    check_write_fails("cycle");
    assert_int_equal(vly_edit_set_input(&edit, 0, 0, VLY_STR("gone"), &err), VLY_OK);
    check_write_fails("nothing makes its input 'gone'");
}

static void refuses_subgraphs(void **state)
{
    onnx_builder body;
    vly_err err = VLY_ERR_INIT;

    (void)state;
    ob_init(&body);
    ob_output(&body, "z", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&body, "Neg", "x", "z");
    ob_input(&builder, "x", OB_FLOAT, 1, (int64_t[]){2});
    ob_input(&builder, "c", OB_BOOL, 1, (int64_t[]){1});
    ob_output(&builder, "y", OB_FLOAT, 1, (int64_t[]){2});
    ob_node(&builder, "If", "c", "y");
    ob_attr_graph(&builder, "then_branch", &body);
    vly_str file = ob_finish(&builder, 13);
    assert_int_equal(vly_edit_open(&edit, file.ptr, file.len, NULL, &err), VLY_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "node 'y' (If): models with subgraphs cannot be rewritten"));
    ob_release(&body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
UNIT_TESTS(TEST(tidies), TEST(sorts), TEST(finds_cycles_and_gaps), TEST(refuses_subgraphs))

/* SPDX-License-Identifier: MIT */
/* Models of older opsets compute the same after they were raised to 13. */
#include "codec/onnx.h"
#include "optim/net.h"
#include "optim/opset.h"
#include "unit.h"

#include <string.h>

static onnx_builder builder; /* of the running test */
static vly_buf out;

static int set_up(void **state)
{
    (void)state;
    ob_init(&builder);
    ob_input(&builder, "x", OB_FLOAT, 4, (int64_t[]){1, 4, 6, 6});
    ob_output(&builder, "y", OB_FLOAT, -1, NULL);
    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_buf_release(&out);
    ob_release(&builder);
    return 0;
}

static vly_status raise_to_13(vly_str file, vly_err *err)
{
    vly_edit e;

    if (vly_edit_open(&e, file.ptr, file.len, NULL, err) != VLY_OK)
        fail_msg("%s", err->msg);
    vly_status st = vly_optim_raise_opset(&e, err);
    if (st == VLY_OK)
        st = vly_edit_write(&e, &out, err);
    vly_edit_close(&e);
    return st;
}

static void check_same(int64_t opset)
{
    vly_str file = ob_finish(&builder, opset);
    net_samples samples;
    vly_tensor before = {0}, after = {0};
    vly_err err = VLY_ERR_INIT;

    if (raise_to_13(file, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 4, 6, 6), -3, 3);
    net_run(file, &samples, 0, &before);
    net_run(vly_buf_str(&out), &samples, 0, &after);
    assert_int_equal(before.bytes, after.bytes);
    assert_true(net_snr(&before, &after) > 120);
    vly_tensor_release(&before);
    vly_tensor_release(&after);
}

static void opset_9(void **state)
{
    (void)state;
    ob_node(&builder, "Clip", "x", "a");
    ob_attr_float(&builder, "min", -1);
    ob_attr_float(&builder, "max", 2);
    ob_node(&builder, "Pad", "a", "b");
    ob_attr_ints(&builder, "pads", 8, (int64_t[]){0, 0, 1, 0, 0, 0, 0, 2});
    ob_attr_float(&builder, "value", 0.5f);
    ob_node(&builder, "Slice", "b", "c");
    ob_attr_ints(&builder, "axes", 1, (int64_t[]){2});
    ob_attr_ints(&builder, "starts", 1, (int64_t[]){1});
    ob_attr_ints(&builder, "ends", 1, (int64_t[]){5});
    ob_node(&builder, "Unsqueeze", "c", "d");
    ob_attr_ints(&builder, "axes", 1, (int64_t[]){0});
    ob_node(&builder, "Squeeze", "d", "y");
    ob_attr_ints(&builder, "axes", 1, (int64_t[]){0});
    check_same(9);
}

static void opset_12(void **state)
{
    (void)state;
    ob_node(&builder, "Split", "x", "a,b");
    ob_attr_int(&builder, "axis", 1);
    ob_attr_ints(&builder, "split", 2, (int64_t[]){1, 3});
    ob_node(&builder, "ReduceSum", "b", "c");
    ob_attr_ints(&builder, "axes", 1, (int64_t[]){1});
    ob_node(&builder, "Add", "a,c", "y");
    check_same(12);
}

/* The default axis is 1: of [1, 4, 6, 6] all 144 values are one distribution. */
static void softmax_over_many(void **state)
{
    (void)state;
    ob_node(&builder, "Softmax", "x", "y");
    check_same(11);
    assert_int_equal(net_count(vly_buf_str(&out), "Flatten"), 1);
}

static void softmax_over_the_last(void **state)
{
    (void)state;
    ob_node(&builder, "Relu", "x", "a");
    ob_node(&builder, "Softmax", "a", "y");
    ob_attr_int(&builder, "axis", 3);
    check_same(11);
    assert_int_equal(net_count(vly_buf_str(&out), "Flatten"), 0);
}

static void stays(void **state)
{
    (void)state;
    ob_node(&builder, "Relu", "x", "y");
    check_same(17);
    const vly_onnx_model *m;
    vly_arena arena;
    vly_arena_init(&arena, VLY_MEM_MODEL, 4096, 1 << 20);
    assert_int_equal(vly_onnx_model_parse(out.ptr, out.len, &arena, &m, NULL), VLY_OK);
    assert_int_equal(m->opset, 17);
    vly_arena_release(&arena);
}

static void refuses(void **state)
{
    vly_err err = VLY_ERR_INIT;

    (void)state;
    ob_floats(&builder, "s", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
    ob_node(&builder, "Resize", "x,s", "y");
    assert_int_equal(raise_to_13(ob_finish(&builder, 10), &err), VLY_EUNSUPPORTED);
    assert_string_equal(err.msg, "node 'y' (Resize): this operator changed with opset 11");
}

static void refuses_old(void **state)
{
    vly_err err = VLY_ERR_INIT;

    (void)state;
    ob_node(&builder, "Relu", "x", "y");
    assert_int_equal(raise_to_13(ob_finish(&builder, 8), &err), VLY_EUNSUPPORTED);
    assert_string_equal(err.msg, "opset 8: expected at least 9");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
UNIT_TESTS(TEST(opset_9), TEST(opset_12), TEST(softmax_over_many), TEST(softmax_over_the_last),
           TEST(stays), TEST(refuses), TEST(refuses_old))

/* SPDX-License-Identifier: MIT */
/* Sequences are gone when the graph is built; strings keep their bytes. Values by hand. */
#include "engine/model.h"

#include "support/onnx_builder.h"
#include "unit.h"

#include <string.h>

static const int64_t shape_23[] = {2, 3}, shape_n3[] = {-1, 3}, scalar[1], one[] = {1}, two[] = {2};
static const float x_data[] = {1, 2, 3, 4, 5, 6}, y_data[] = {7, 8, 9, 10, 11, 12};

/* Inputs x and y of [2,3], output z. */
static void begin(onnx_builder *b, int out_type)
{
    ob_init(b);
    ob_input(b, "x", OB_FLOAT, 2, shape_23);
    ob_input(b, "y", OB_FLOAT, 2, shape_23);
    ob_output(b, "z", out_type, -1, NULL);
}

static void position(onnx_builder *b, const char *name, int64_t value)
{
    ob_ints(b, name, 0, scalar, &value);
}

static vly_tensor run(onnx_builder *b, int64_t opset, const vly_tensor *inputs)
{
    vly_model *m = NULL;
    vly_instance *inst = NULL;
    vly_tensor out = {0};
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(b, opset);

    if (vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err) != VLY_OK ||
        vly_instance_new(m, NULL, &inst, &err) != VLY_OK ||
        vly_instance_run(inst, inputs, &out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(b);
    return out;
}

static void expect_run_error(onnx_builder *b, const vly_tensor *inputs, const char *text)
{
    vly_model *m = NULL;
    vly_instance *inst = NULL;
    vly_tensor out = {0};
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(b, 17);

    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err), VLY_OK);
    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_run(inst, inputs, &out, &err), VLY_EUNSUPPORTED);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.msg);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(b);
}

static void expect_floats(onnx_builder *b, int64_t opset, const vly_shape *shape,
                          const float *values)
{
    vly_tensor in[] = {vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), x_data),
                       vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), y_data)};
    vly_tensor out = run(b, opset, in);

    assert_true(vly_shape_eq(&out.shape, shape));
    assert_memory_equal(out.data, values, out.bytes);
    vly_tensor_release(&out);
}

static void expect_length(onnx_builder *b, int64_t opset, int64_t value)
{
    vly_tensor in[] = {vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), x_data),
                       vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(2, 3), y_data)};
    vly_tensor out = run(b, opset, in);

    assert_int_equal(out.dtype, VLY_DTYPE_I64);
    assert_int_equal(out.shape.rank, 0);
    assert_int_equal(vly_tensor_get_i64(&out, 0), value);
    vly_tensor_release(&out);
}

static void expect_error(onnx_builder *b, vly_status want, const char *text)
{
    vly_model *m = NULL;
    vly_err err = VLY_ERR_INIT;
    vly_str file = ob_finish(b, 17);

    assert_int_equal(vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err), want);
    assert_null(m);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.msg);
    ob_release(b);
}

/* x, y -> [x, y, xx] -> [yy, x, y, xx] -> [yy, x, xx] -> item `pos` */
static void edit_list(onnx_builder *b, int64_t pos)
{
    begin(b, OB_FLOAT);
    position(b, "front", -3);
    position(b, "third", -2);
    position(b, "pos", pos);
    ob_node(b, "Add", "x,x", "xx");
    ob_node(b, "Add", "y,y", "yy");
    ob_node(b, "SequenceEmpty", "", "s0");
    ob_node(b, "SequenceInsert", "s0,x", "s1");
    ob_node(b, "SequenceInsert", "s1,y", "s2");
    ob_node(b, "SequenceInsert", "s2,xx", "s3");
    ob_node(b, "SequenceInsert", "s3,yy,front", "s4");
    ob_node(b, "Identity", "s4", "s5");
    ob_node(b, "SequenceErase", "s5,third", "s6");
    ob_node(b, "SequenceAt", "s6,pos", "z");
}

static void test_lists(void **state)
{
    (void)state;
    const float twice_x[] = {2, 4, 6, 8, 10, 12}, twice_y[] = {14, 16, 18, 20, 22, 24};
    const float *items[] = {twice_y, x_data, twice_x};
    onnx_builder b;

    for (int i = -3; i < 3; i++) {
        edit_list(&b, i);
        expect_floats(&b, (i & 1) != 0 ? 12 : 17, &VLY_SHAPE(2, 3), items[i < 0 ? i + 3 : i]);
    }
    edit_list(&b, 3);
    expect_error(&b, VLY_EFORMAT, "node 'z' (SequenceAt): position 3 is out of range");
    edit_list(&b, -4);
    expect_error(&b, VLY_EFORMAT, "position -4 is out of range for a sequence of 3 tensors");

    begin(&b, OB_INT64);
    ob_node(&b, "SequenceConstruct", "x,y,x", "s");
    ob_node(&b, "SequenceErase", "s", "t");
    ob_node(&b, "SequenceLength", "t", "z");
    expect_length(&b, 11, 2);
}

static void test_concat(void **state)
{
    (void)state;
    const float side[] = {1, 2, 3, 7, 8, 9, 4, 5, 6, 10, 11, 12};
    const float woven[] = {1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12};
    onnx_builder b;

    for (int opset = 12; opset < 14; opset++) {
        begin(&b, OB_FLOAT);
        ob_node(&b, "SequenceConstruct", "x,y", "s");
        ob_node(&b, "ConcatFromSequence", "s", "z");
        ob_attr_int(&b, "axis", -1);
        expect_floats(&b, opset, &VLY_SHAPE(2, 6), side);

        begin(&b, OB_FLOAT);
        ob_node(&b, "SequenceConstruct", "x,y", "s");
        ob_node(&b, "ConcatFromSequence", "s", "z");
        ob_attr_int(&b, "axis", -1);
        ob_attr_int(&b, "new_axis", 1);
        expect_floats(&b, opset, &VLY_SHAPE(2, 3, 2), woven);
    }
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceEmpty", "", "s");
    ob_node(&b, "ConcatFromSequence", "s", "z");
    ob_attr_int(&b, "axis", 0);
    expect_error(&b, VLY_EFORMAT, "the sequence is empty");
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x,y", "s");
    ob_node(&b, "ConcatFromSequence", "s", "z");
    expect_error(&b, VLY_EFORMAT, "'axis' is missing");
}

/* Splits x along axis 1 and asks for part pos. */
static void split_x(onnx_builder *b, int keepdims, const char *inputs, int64_t pos)
{
    begin(b, OB_FLOAT);
    position(b, "by2", 2);
    ob_ints(b, "sizes", 1, two, (int64_t[]){1, 2});
    position(b, "pos", pos);
    ob_node(b, "SplitToSequence", inputs, "s");
    ob_attr_int(b, "axis", 1);
    ob_attr_int(b, "keepdims", keepdims);
    ob_node(b, "SequenceAt", "s,pos", "z");
}

static void test_split(void **state)
{
    (void)state;
    onnx_builder b;

    for (int opset = 11; opset <= 18; opset += 7) {
        split_x(&b, 1, "x", -1);
        expect_floats(&b, opset, &VLY_SHAPE(2, 1), (float[]){3, 6});
        split_x(&b, 0, "x", 1);
        expect_floats(&b, opset, &VLY_SHAPE(2), (float[]){2, 5});
        split_x(&b, 0, "x,by2", 0); /* with sizes the axis always stays */
        expect_floats(&b, opset, &VLY_SHAPE(2, 2), (float[]){1, 2, 4, 5});
        split_x(&b, 1, "x,by2", 1);
        expect_floats(&b, opset, &VLY_SHAPE(2, 1), (float[]){3, 6});
        split_x(&b, 1, "x,sizes", -1);
        expect_floats(&b, opset, &VLY_SHAPE(2, 2), (float[]){2, 3, 5, 6});
        /* the parts as a list */
        begin(&b, OB_FLOAT);
        ob_node(&b, "SplitToSequence", "x", "s");
        ob_attr_int(&b, "keepdims", 0);
        ob_node(&b, "ConcatFromSequence", "s", "z");
        ob_attr_int(&b, "axis", 0);
        expect_floats(&b, opset, &VLY_SHAPE(6), x_data);
    }
    split_x(&b, 1, "x,by2", 2);
    expect_error(&b, VLY_EFORMAT, "position 2 is out of range for a sequence of 2 tensors");
    begin(&b, OB_FLOAT);
    position(&b, "none", 0);
    ob_node(&b, "SplitToSequence", "x,none", "s");
    ob_node(&b, "SequenceAt", "s,none", "z");
    expect_error(&b, VLY_EFORMAT, "split: expected constant sizes");
}

/* A length is known without the number of parts being declared. */
static void test_length_of_split(void **state)
{
    (void)state;
    float x[15] = {0};
    onnx_builder b;

    for (int64_t n = 0; n <= 5; n++) {
        for (int64_t chunk = 1; chunk <= 3; chunk++) {
            ob_init(&b);
            ob_input(&b, "x", OB_FLOAT, 2, shape_n3);
            ob_output(&b, "z", OB_INT64, 0, scalar);
            position(&b, "by", chunk);
            ob_node(&b, "SplitToSequence", chunk > 1 ? "x,by" : "x", "s");
            ob_attr_int(&b, "axis", -2);
            ob_node(&b, "SequenceLength", "s", "z");
            vly_tensor in = vly_tensor_borrow(VLY_DTYPE_F32, &VLY_SHAPE(n, 3), x);
            vly_tensor out = run(&b, 17, &in);
            assert_int_equal(vly_tensor_get_i64(&out, 0), (n + chunk - 1) / chunk);
            vly_tensor_release(&out);
        }
    }
    /* sizes that only the run knows */
    ob_init(&b);
    ob_input(&b, "sizes", OB_INT64, 1, (int64_t[]){-1});
    ob_output(&b, "z", OB_INT64, 0, scalar);
    ob_floats(&b, "x", 2, shape_23, x_data);
    ob_node(&b, "SplitToSequence", "x,sizes", "s");
    ob_node(&b, "SequenceLength", "s", "z");
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_I64, &VLY_SHAPE(2), (int64_t[]){1, 1});
    vly_tensor out = run(&b, 17, &in);
    assert_int_equal(vly_tensor_get_i64(&out, 0), 2);
    vly_tensor_release(&out);
}

static void test_refused(void **state)
{
    (void)state;
    onnx_builder b;

    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x,y", "z");
    expect_error(&b, VLY_EUNSUPPORTED, "output 'z' is a sequence");
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x,y", "s");
    ob_node(&b, "Relu", "s", "z");
    expect_error(&b, VLY_EUNSUPPORTED, "node 'z' (Relu): input 's' is a sequence");
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x,y", "s");
    ob_node(&b, "SequenceConstruct", "x,s", "z");
    expect_error(&b, VLY_EUNSUPPORTED, "node 'z' (SequenceConstruct): input 's' is a sequence");
    begin(&b, OB_FLOAT);
    ob_input(&b, "pos", OB_INT64, 0, scalar);
    ob_node(&b, "SequenceConstruct", "x,y", "s");
    ob_node(&b, "SequenceAt", "s,pos", "z");
    expect_error(&b, VLY_EUNSUPPORTED, "position 'pos' is not a constant");
    begin(&b, OB_FLOAT);
    position(&b, "pos", 0);
    ob_node(&b, "SequenceAt", "x,pos", "z");
    expect_error(&b, VLY_EUNSUPPORTED, "input 'x' is not a sequence");
    begin(&b, OB_FLOAT);
    ob_node(&b, "Add", "x,y", "a");
    ob_node(&b, "SplitToSequence", "a", "s");
    ob_node(&b, "ConcatFromSequence", "s", "z");
    ob_attr_int(&b, "axis", 0);
    expect_error(&b, VLY_EUNSUPPORTED, "the number of parts is not known");
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x", "s");
    ob_node(&b, "SequenceConstruct", "y", "s");
    ob_node(&b, "Add", "x,y", "z");
    expect_error(&b, VLY_EFORMAT, "value 's' is defined twice");
    begin(&b, OB_FLOAT);
    ob_node(&b, "SequenceConstruct", "x,,y", "s");
    ob_node(&b, "Add", "x,y", "z");
    expect_error(&b, VLY_EFORMAT, "input 1 is missing");
    /* a list longer than any real model has */
    ob_init(&b);
    ob_input(&b, "x", OB_FLOAT, 1, (int64_t[]){5000});
    ob_output(&b, "z", OB_FLOAT, -1, NULL);
    ob_node(&b, "SplitToSequence", "x", "s");
    ob_node(&b, "ConcatFromSequence", "s", "z");
    ob_attr_int(&b, "axis", 0);
    expect_error(&b, VLY_ELIMIT, "'x' would fall into more than 4095 parts");
}

/* The first element of a string tensor. */
static void assert_string_is(const vly_tensor *t, const char *want)
{
    assert_non_null(t->data);
    assert_true(t->data != NULL && vly_str_is(((const vly_str *)t->data)[0], want));
}

/* The strings that come out outlive the value they were gathered from. */
static void test_strings_are_owned(void **state)
{
    (void)state;
    vly_str words[] = {VLY_STR("monday"), VLY_STR("Tuesday"), VLY_STR("friday")};
    onnx_builder b;

    ob_init(&b);
    ob_input(&b, "x", OB_STRING, 1, (int64_t[]){-1});
    ob_output(&b, "z", OB_STRING, -1, NULL);
    ob_ints(&b, "last", 1, one, (int64_t[]){-1});
    ob_node(&b, "StringNormalizer", "x", "a");
    ob_attr_string(&b, "case_change_action", "UPPER");
    ob_attr_strings(&b, "stopwords", 1, (const char *[]){"FRIDAY"});
    ob_node(&b, "Gather", "a,last", "z");
    vly_tensor in = vly_tensor_borrow(VLY_DTYPE_STRING, &VLY_SHAPE(3), words);
    vly_tensor out = run(&b, 17, &in);
    assert_int_equal(out.shape.dim[0], 1);
    assert_string_is(&out, "TUESDAY");
    vly_tensor_release(&out);

    /* the same where all of it is folded, and the lists in between are dropped */
    ob_init(&b);
    ob_output(&b, "z", OB_STRING, -1, NULL);
    ob_ints(&b, "last", 1, one, (int64_t[]){-1});
    ob_node(&b, "Constant", "", "x");
    ob_attr_strings(&b, "value_strings", 2, (const char *[]){"a", "b"});
    ob_node(&b, "StringConcat", "x,x", "xx");
    ob_node(&b, "Gather", "xx,last", "z");
    out = run(&b, 20, NULL);
    assert_string_is(&out, "bb");
    vly_tensor_release(&out);

    ob_init(&b);
    ob_input(&b, "x", OB_STRING, 1, (int64_t[]){-1});
    ob_output(&b, "z", OB_STRING, -1, NULL);
    ob_node(&b, "StringNormalizer", "x", "z");
    ob_attr_strings(&b, "stopwords", 1, (const char *[]){"a"});
    words[1] = VLY_STR("\xc3\x84");
    expect_run_error(&b, &in, "string 1 has letters beyond ASCII");
}

UNIT_TESTS(cmocka_unit_test(test_lists), cmocka_unit_test(test_concat),
           cmocka_unit_test(test_split), cmocka_unit_test(test_length_of_split),
           cmocka_unit_test(test_refused), cmocka_unit_test(test_strings_are_owned))

/* SPDX-License-Identifier: MIT */
/* What products, windows, recurrences and samplers answer to shapes, attributes and values that fit
 * nothing. Each must fail with its reason; under the sanitizers, without touching a byte outside.
 */
#include "engine/op_case.h"

#include "unit.h"

#include <math.h>
#include <string.h>

static float x[256];
static uint8_t bytes[256];

static void refuses(op_case *c, vly_status st, const char *part)
{
    assert_int_equal(oc_run(c, c->n_out > 0 ? c->n_out : 1), st);
    if (strstr(c->err.msg, part) == NULL)
        fail_msg("expected '%s' in '%s'", part, c->err.msg);
    oc_free(c);
}

static void in(op_case *c, vly_shape shape)
{
    oc_in(c, VLY_DTYPE_F32, shape, x);
}

static void conv(op_case *c, vly_shape image, vly_shape weights)
{
    oc_init(c, "Conv", 11);
    in(c, image);
    in(c, weights);
}

static void convolution_shapes(void **state)
{
    op_case c;

    (void)state;
    conv(&c, VLY_SHAPE(1, 3, 8), VLY_SHAPE(2, 4, 3));
    refuses(&c, VLY_EINVAL, "do not fit an input of 3 channels");
    conv(&c, VLY_SHAPE(1, 4, 8), VLY_SHAPE(3, 2, 3));
    oc_int(&c, "group", 2);
    refuses(&c, VLY_EINVAL, "3 output channels cannot be cut into 2 groups");
    conv(&c, VLY_SHAPE(1, 2, 8), VLY_SHAPE(3, 2, 3, 1));
    refuses(&c, VLY_EINVAL, "input 1: expected rank 3");
    conv(&c, VLY_SHAPE(1, 1, 2, 2, 2, 2), VLY_SHAPE(1, 1, 1, 1, 1, 1));
    refuses(&c, VLY_EINVAL, "expected rank 3 to 5");
    conv(&c, VLY_SHAPE(1, 2, 8), VLY_SHAPE(3, 2, 9));
    refuses(&c, VLY_EINVAL, "kernel of 9 (dilation 1) does not fit");
    conv(&c, VLY_SHAPE(1, 2, 8), VLY_SHAPE(3, 2, 3));
    in(&c, VLY_SHAPE(2));
    refuses(&c, VLY_EINVAL, "input 2: expected shape [3], got [2]");
    conv(&c, VLY_SHAPE(1, 2, 8), VLY_SHAPE(3, 2, 3));
    oc_in(&c, VLY_DTYPE_F64, VLY_SHAPE(3), x);
    refuses(&c, VLY_EINVAL, "input 2: expected float32");
}

static void convolution_attributes(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        int64_t v[8];
        vly_status st;
        const char *part;
    } cases[] = {
        {"strides", 1, {0}, VLY_EINVAL, "'strides': expected integers in 1"},
        {"strides", 2, {1, 1}, VLY_EINVAL, "'strides': expected 1 integers, got 2"},
        {"dilations", 1, {INT64_MAX}, VLY_EINVAL, "'dilations'"},
        {"dilations", 1, {4000000}, VLY_EINVAL, "does not fit"},
        {"pads", 2, {-1, 0}, VLY_EINVAL, "'pads'"},
        {"pads", 1, {1}, VLY_EINVAL, "'pads': expected 2 integers, got 1"},
        {"pads", 8, {0}, VLY_EUNSUPPORTED, "at most 3 spatial dimensions"},
        {"kernel_shape", 1, {2}, VLY_EINVAL, "differs from 3 of the weights"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        op_case c;
        conv(&c, VLY_SHAPE(1, 2, 8), VLY_SHAPE(3, 2, 3));
        oc_ints(&c, cases[i].name, cases[i].n, cases[i].v);
        refuses(&c, cases[i].st, cases[i].part);
    }
}

/* Sizes whose products overflow must be told before anything is multiplied or allocated. */
static void sizes_beyond_reason(void **state)
{
    static const int64_t huge[3] = {4000000, 4000000, 4000000}, pads[2] = {4000000, 4000000};
    op_case c;

    (void)state;
    oc_init(&c, "MaxPool", 12);
    oc_ints(&c, "kernel_shape", 3, huge);
    in(&c, VLY_SHAPE(1, 1, 2, 2, 2));
    refuses(&c, VLY_ELIMIT, "kernel of 4000000 x 4000000 x 4000000 is too big");
    oc_init(&c, "AveragePool", 11);
    oc_ints(&c, "kernel_shape", 3, (int64_t[]){1, 1, 1});
    oc_ints(&c, "pads", 6, (int64_t[]){4000000, 4000000, 4000000, 4000000, 4000000, 4000000});
    in(&c, VLY_SHAPE(1, 1, 2, 2, 2));
    refuses(&c, VLY_ELIMIT, "output of");
    oc_init(&c, "Conv", 11);
    oc_ints(&c, "pads", 2, pads);
    in(&c, VLY_SHAPE(1, 1, 2));
    in(&c, VLY_SHAPE(64, 1, 1));
    refuses(&c, VLY_ELIMIT, "memory");
    oc_init(&c, "Resize", 13);
    in(&c, VLY_SHAPE(1, 1, 2, 2));
    oc_omit(&c);
    oc_omit(&c);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(4), (int64_t[]){1, 1, 2000000000, 2000000000});
    refuses(&c, VLY_ELIMIT, "");
}

static void products_that_do_not_fit(void **state)
{
    op_case c;

    (void)state;
    oc_init(&c, "MatMul", 13);
    in(&c, VLY_SHAPE(2, 3));
    in(&c, VLY_SHAPE(2, 3));
    refuses(&c, VLY_EINVAL, "shapes [2,3] and [2,3] cannot be multiplied");
    oc_init(&c, "MatMul", 13);
    in(&c, VLY_SHAPE_SCALAR);
    in(&c, VLY_SHAPE(1));
    refuses(&c, VLY_EINVAL, "cannot be multiplied");
    oc_init(&c, "MatMul", 13);
    in(&c, VLY_SHAPE(2, 2, 3));
    in(&c, VLY_SHAPE(3, 3, 3));
    refuses(&c, VLY_EINVAL, "cannot be multiplied");
    oc_init(&c, "Gemm", 13);
    in(&c, VLY_SHAPE(2, 3));
    in(&c, VLY_SHAPE(3, 2));
    in(&c, VLY_SHAPE(3));
    refuses(&c, VLY_EINVAL, "input 2: shape [3] does not broadcast to [2,2]");
    oc_init(&c, "Gemm", 13);
    oc_float(&c, "alpha", 0.5f);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2, 2), x);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2, 2), x);
    refuses(&c, VLY_EUNSUPPORTED, "integers with alpha 0.5");
    oc_init(&c, "MatMulInteger", 10);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 3), bytes);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(3, 2), bytes);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(3), bytes);
    refuses(&c, VLY_EINVAL, "input 2: expected one value or one for each channel");
}

static void equations(void **state)
{
    static const struct {
        const char *equation, *part;
    } cases[] = {
        {"ij->ik", "cannot read"},          {"ij->ii", "cannot read"},
        {"i..j->i", "cannot read"},         {"ij-i", "cannot read"},
        {"i1->i", "cannot read"},           {"......i", "cannot read"},
        {"abcdefghijkl", "cannot read"},    {"ijk->i", "does not fit the equation"},
        {"ij,jk->ik", "expected 2 inputs"}, {"ii->i", "where another input has"},
        {"...ijk->i", "does not fit"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        op_case c;
        oc_init(&c, "Einsum", 12);
        oc_string(&c, "equation", cases[i].equation);
        in(&c, VLY_SHAPE(2, 3));
        refuses(&c, VLY_EINVAL, cases[i].part);
    }
}

static void lstm(op_case *c, vly_shape w, vly_shape r)
{
    oc_init(c, "LSTM", 14);
    in(c, VLY_SHAPE(3, 2, 2));
    in(c, w);
    in(c, r);
}

static void recurrences(void **state)
{
    static const int32_t lens[2] = {3, 4}, negative[2] = {-1, 2};
    op_case c;

    (void)state;
    lstm(&c, VLY_SHAPE(1, 8, 3), VLY_SHAPE(1, 8, 2));
    refuses(&c, VLY_EINVAL, "input 1: expected shape [1,8,2], got [1,8,3]");
    lstm(&c, VLY_SHAPE(1, 8, 2), VLY_SHAPE(1, 6, 2));
    refuses(&c, VLY_EINVAL, "input 2: expected shape [1,8,2]");
    for (int i = 0; i < 2; i++) {
        lstm(&c, VLY_SHAPE(1, 8, 2), VLY_SHAPE(1, 8, 2));
        oc_omit(&c);
        oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2), i == 0 ? lens : negative);
        refuses(&c, VLY_EINVAL, "is outside of 0..3");
    }
    lstm(&c, VLY_SHAPE(1, 8, 2), VLY_SHAPE(1, 8, 2));
    oc_string(&c, "direction", "sideways");
    refuses(&c, VLY_EINVAL, "'direction'");
}

static void resizing(void **state)
{
    static const float scales[4][2] = {{0.0f, 1.0f}, {1.0f, -1.0f}, {NAN, 1.0f}, {1.0f, INFINITY}};
    op_case c;

    (void)state;
    for (int i = 0; i < 4; i++) {
        oc_init(&c, "Resize", 13);
        in(&c, VLY_SHAPE(2, 2));
        oc_omit(&c);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), scales[i]);
        refuses(&c, VLY_EINVAL, "scale");
    }
    oc_init(&c, "Resize", 13);
    in(&c, VLY_SHAPE(2, 2));
    oc_omit(&c);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3), x);
    refuses(&c, VLY_EINVAL, "input 2: expected 2 values, got shape [3]");
    oc_init(&c, "Resize", 13);
    in(&c, VLY_SHAPE(2, 2));
    refuses(&c, VLY_EINVAL, "expected either 2 scales or 2 sizes");
    oc_init(&c, "Resize", 13);
    oc_string(&c, "coordinate_transformation_mode", "tf_crop_and_resize");
    in(&c, VLY_SHAPE(2, 2));
    oc_omit(&c);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), (float[]){1, 1});
    refuses(&c, VLY_EINVAL, "needs a region of interest");
    oc_init(&c, "Resize", 13);
    oc_string(&c, "mode", "linear");
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 2), bytes);
    oc_omit(&c);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), (float[]){2, 2});
    refuses(&c, VLY_EUNSUPPORTED, "expected float32");
}

static void regions(void **state)
{
    static const float far[4] = {0, 0, 1e9f, 1e9f}, nan_box[4] = {NAN, 0, 1, 1};
    static const int64_t zero = 0, two = 2, minus = -1;
    static const struct {
        const float *box;
        const int64_t *picture;
        vly_status st;
        const char *part;
    } cases[] = {
        {far, &zero, VLY_ELIMIT, "a region of"},
        {nan_box, &zero, VLY_ELIMIT, "a region of"},
        {x, &two, VLY_EINVAL, "picture 2 is outside of the batch"},
        {x, &minus, VLY_EINVAL, "picture -1 is outside of the batch"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        op_case c;
        oc_init(&c, "RoiAlign", 16);
        in(&c, VLY_SHAPE(2, 1, 3, 3));
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 4), cases[i].box);
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1), cases[i].picture);
        refuses(&c, cases[i].st, cases[i].part);
    }
}

/* Coordinates that are no numbers, or far away, sample nothing and crash nothing. */
static void grids_far_away(void **state)
{
    static const char *const modes[3] = {"linear", "nearest", "cubic"};
    static const char *const paddings[3] = {"zeros", "border", "reflection"};
    static const float grid[8] = {NAN, 0, INFINITY, -INFINITY, 1e30f, -1e30f, 3e9f, -7};
    op_case c;

    (void)state;
    for (int i = 0; i < 18; i++) {
        oc_init(&c, "GridSample", 20);
        oc_string(&c, "mode", modes[i % 3]);
        oc_string(&c, "padding_mode", paddings[i / 3 % 3]);
        oc_int(&c, "align_corners", i / 9);
        in(&c, VLY_SHAPE(1, 2, 3, 1));
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 2, 2, 2), grid);
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        oc_free(&c);
    }
}

static void unpooling(void **state)
{
    static const int64_t bad[2][2] = {{0, 4}, {-1, 0}}, two[1] = {2}, small[3] = {1, 1, 3};
    op_case c;

    (void)state;
    for (int i = 0; i < 2; i++) {
        oc_init(&c, "MaxUnpool", 11);
        oc_ints(&c, "kernel_shape", 1, two);
        oc_ints(&c, "strides", 1, two);
        in(&c, VLY_SHAPE(1, 1, 2));
        oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1, 1, 2), bad[i]);
        refuses(&c, VLY_EINVAL, "is outside of 0..3");
    }
    oc_init(&c, "MaxUnpool", 11);
    oc_ints(&c, "kernel_shape", 1, two);
    oc_ints(&c, "strides", 1, two);
    in(&c, VLY_SHAPE(1, 1, 2));
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(1, 1, 2), (int64_t[]){0, 1});
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(3), small);
    refuses(&c, VLY_EINVAL, "sizes not below");
}

static void quantisation(void **state)
{
    op_case c;

    (void)state;
    oc_init(&c, "QuantizeLinear", 13);
    in(&c, VLY_SHAPE(2, 3));
    in(&c, VLY_SHAPE(2));
    refuses(&c, VLY_EINVAL, "input 1: expected 3 scales, got shape [2]");
    oc_init(&c, "DequantizeLinear", 13);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 3), bytes);
    in(&c, VLY_SHAPE(3));
    oc_in(&c, VLY_DTYPE_I8, VLY_SHAPE(3), bytes);
    refuses(&c, VLY_EINVAL, "input 2: expected uint8, got int8");
    oc_init(&c, "DequantizeLinear", 21);
    oc_int(&c, "block_size", 2);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 3), bytes);
    in(&c, VLY_SHAPE(2, 3));
    refuses(&c, VLY_EINVAL, "does not fit blocks of 2");
    oc_init(&c, "QuantizeLinear", 21);
    oc_int(&c, "output_dtype", VLY_DTYPE_F64);
    in(&c, VLY_SHAPE(2));
    in(&c, VLY_SHAPE_SCALAR);
    refuses(&c, VLY_EUNSUPPORTED, "output of type float64");
}

static void columns_to_image(void **state)
{
    op_case c;

    (void)state;
    oc_init(&c, "Col2Im", 18);
    in(&c, VLY_SHAPE(1, 4, 5));
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), (int64_t[]){4, 4});
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), (int64_t[]){2, 2});
    refuses(&c, VLY_EINVAL, "does not hold 9 blocks of 4");
    oc_init(&c, "Col2Im", 18);
    in(&c, VLY_SHAPE(1, 4, 5));
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), (int64_t[]){4, 4});
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), (int64_t[]){2, 0});
    refuses(&c, VLY_EINVAL, "out of range on axis 1");
    oc_init(&c, "DepthToSpace", 13);
    oc_int(&c, "blocksize", 2);
    in(&c, VLY_SHAPE(1, 6, 1, 1));
    refuses(&c, VLY_EINVAL, "axis 1 of 6 is not a multiple of 4");
}

UNIT_TESTS(cmocka_unit_test(convolution_shapes), cmocka_unit_test(convolution_attributes),
           cmocka_unit_test(sizes_beyond_reason), cmocka_unit_test(products_that_do_not_fit),
           cmocka_unit_test(equations), cmocka_unit_test(recurrences), cmocka_unit_test(resizing),
           cmocka_unit_test(regions), cmocka_unit_test(grids_far_away), cmocka_unit_test(unpooling),
           cmocka_unit_test(quantisation), cmocka_unit_test(columns_to_image))

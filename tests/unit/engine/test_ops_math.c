/* SPDX-License-Identifier: MIT */
/*
 * Products, convolutions, recurrences and quantised ops where the ONNX cases do not reach: other
 * domains, all options of a recurrence at once, half types, threads. Expected values are ONNX
 * Runtime's (1.31) for the same inputs, or by hand.
 */
#include "engine/op_case.h"

#include "sys/worker_pool.h"
#include "unit.h"

#include <math.h>
#include <string.h>

static void init_microsoft(op_case *c, const char *op)
{
    oc_init(c, op, 1);
    c->proto.domain = VLY_STR("com.microsoft");
}

static void in_f32(op_case *c, const float *v)
{
    oc_in(c, VLY_DTYPE_F32, VLY_SHAPE_SCALAR, v);
}

static void in_u8(op_case *c, const uint8_t *v)
{
    oc_in(c, VLY_DTYPE_U8, VLY_SHAPE_SCALAR, v);
}

static void expect_bytes(op_case *c, const uint8_t *want, size_t n)
{
    assert_int_equal(oc_run(c, 1), VLY_OK);
    assert_int_equal(c->out[0].bytes, n);
    assert_memory_equal(c->out[0].data, want, n);
    oc_free(c);
}

static void expect_floats(const vly_tensor *t, const float *want, size_t n, double tolerance)
{
    assert_int_equal(vly_tensor_count(t), n);
    for (size_t i = 0; i < n; i++) {
        double got = vly_tensor_get_f64(t, i);
        if (!(fabs(got - (double)want[i]) <= tolerance))
            fail_msg("element %d: expected %g, got %g", (int)i, (double)want[i], got);
    }
}

static const uint8_t bytes_a[6] = {0, 50, 128, 200, 255, 7}, bytes_b[6] = {255, 1, 128, 99, 3, 250};

static void quantised_sum_and_product(void **state)
{
    const float a_scale = 0.1f, b_scale = 0.05f, c_scale = 0.07f;
    const uint8_t a_zero = 128, b_zero = 100, c_zero = 90;
    static const char *const ops[2] = {"QLinearAdd", "QLinearMul"};
    static const uint8_t want[2][6] = {{18, 0, 110, 192, 202, 24}, {0, 255, 90, 85, 0, 0}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        op_case c;
        init_microsoft(&c, ops[i]);
        oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(6), bytes_a);
        in_f32(&c, &a_scale);
        in_u8(&c, &a_zero);
        oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(6), bytes_b);
        in_f32(&c, &b_scale);
        in_u8(&c, &b_zero);
        in_f32(&c, &c_scale);
        in_u8(&c, &c_zero);
        expect_bytes(&c, want[i], 6);
    }
}

static void quantised_unary(void **state)
{
    const float x_scale = 0.05f, sigmoid_scale = 1.0f / 256.0f, leaky_scale = 0.04f;
    const uint8_t x_zero = 128, sigmoid_zero = 0, leaky_zero = 20;
    op_case c;

    (void)state;
    init_microsoft(&c, "QLinearSigmoid");
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(6), bytes_a);
    in_f32(&c, &x_scale);
    in_u8(&c, &x_zero);
    in_f32(&c, &sigmoid_scale);
    in_u8(&c, &sigmoid_zero);
    expect_bytes(&c, (uint8_t[]){0, 5, 128, 249, 255, 1}, 6);
    init_microsoft(&c, "QLinearLeakyRelu");
    oc_float(&c, "alpha", 0.25f);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(6), bytes_a);
    in_f32(&c, &x_scale);
    in_u8(&c, &x_zero);
    in_f32(&c, &leaky_scale);
    in_u8(&c, &leaky_zero);
    expect_bytes(&c, (uint8_t[]){0, 0, 20, 110, 179, 0}, 6);
}

static void quantised_concat(void **state)
{
    const float y_scale = 0.1f, a_scale = 0.2f, b_scale = 0.05f;
    const uint8_t y_zero = 5, a_zero = 10, b_zero = 0;
    op_case c;

    (void)state;
    init_microsoft(&c, "QLinearConcat");
    oc_int(&c, "axis", 1);
    in_f32(&c, &y_scale);
    in_u8(&c, &y_zero);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 3), bytes_a);
    in_f32(&c, &a_scale);
    in_u8(&c, &a_zero);
    oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 1), bytes_b);
    in_f32(&c, &b_scale);
    in_u8(&c, &b_zero);
    expect_bytes(&c, (uint8_t[]){0, 85, 241, 133, 255, 255, 0, 5}, 8);
}

static void quantised_pools(void **state)
{
    const float x_scale = 0.1f, y_scale = 0.2f;
    const uint8_t x_zero = 10, y_zero = 3;
    static const int64_t two[2] = {2, 2};
    uint8_t x[16];

    (void)state;
    for (int i = 0; i < 16; i++)
        x[i] = (uint8_t)(16 * i);
    for (int is_global = 0; is_global < 2; is_global++) {
        op_case c;
        init_microsoft(&c, is_global ? "QLinearGlobalAveragePool" : "QLinearAveragePool");
        if (!is_global) {
            oc_ints(&c, "kernel_shape", 2, two);
            oc_ints(&c, "strides", 2, two);
        }
        oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(1, 1, 4, 4), x);
        in_f32(&c, &x_scale);
        in_u8(&c, &x_zero);
        in_f32(&c, &y_scale);
        in_u8(&c, &y_zero);
        if (is_global)
            expect_bytes(&c, (uint8_t[]){58}, 1);
        else
            expect_bytes(&c, (uint8_t[]){18, 34, 82, 98}, 4);
    }
}

static void quantised_gemm(void **state)
{
    static const uint8_t a[6] = {1, 2, 3, 4, 5, 6}, a_zero = 2, y_zero = 100;
    static const int8_t b[6] = {1, -1, 2, 0, 3, -2}, b_zero[2] = {0, 1};
    static const int32_t bias[2] = {4, -6};
    static const float a_scale = 0.5f, b_scale[2] = {0.25f, 0.5f}, y_scale = 0.5f;

    (void)state;
    for (int is_float = 0; is_float < 2; is_float++) {
        op_case c;
        init_microsoft(&c, "QGemm");
        oc_int(&c, "transB", 1);
        oc_float(&c, "alpha", 2.0f);
        oc_in(&c, VLY_DTYPE_U8, VLY_SHAPE(2, 3), a);
        in_f32(&c, &a_scale);
        in_u8(&c, &a_zero);
        oc_in(&c, VLY_DTYPE_I8, VLY_SHAPE(2, 3), b);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), b_scale);
        oc_in(&c, VLY_DTYPE_I8, VLY_SHAPE(2), b_zero);
        oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2), bias);
        if (!is_float) {
            in_f32(&c, &y_scale);
            in_u8(&c, &y_zero);
            expect_bytes(&c, (uint8_t[]){102, 92, 106, 86}, 4);
            continue;
        }
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        expect_floats(&c.out[0], (float[]){1.25f, -4.0f, 2.75f, -7.0f}, 4, 0.0);
        oc_free(&c);
    }
}

static void fused_convolution(void **state)
{
    static const float x[4] = {1, -2, 3, 4}, w[2] = {1, -1}, bias[2] = {0.5f, 0}, alpha = 0.25f;
    static const float want[8] = {1.5f, -0.375f, 3.5f, 4.5f, -0.25f, 2.0f, -0.75f, -1.0f};
    op_case c;

    (void)state;
    init_microsoft(&c, "FusedConv");
    oc_string(&c, "activation", "LeakyRelu");
    oc_floats(&c, "activation_params", 1, &alpha);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 1, 2, 2), x);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 1, 1, 1), w);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), bias);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_floats(&c.out[0], want, 8, 0.0);
    oc_free(&c);
}

/* Two directions, lengths, initial states, peepholes and a clip. */
static void lstm_with_everything(void **state)
{
    static const float x[12] = {-0.375f, -0.625f, -0.125f, 0.25f,  0.625f, 0.0f,
                                -0.25f,  -0.375f, 0.375f,  0.875f, 0.125f, -0.625f};
    static const float w[16] = {-0.5f,   0.75f, 0.125f, -0.875f, 0.0f,  -0.625f, -0.375f, -0.25f,
                                -0.375f, 0.25f, 0.0f,   -0.25f,  0.25f, 0.375f,  -0.875f, -0.125f};
    static const float r[8] = {-0.5f, -0.125f, -0.625f, 0.0f, 0.0f, -0.125f, -0.5f, -0.25f};
    static const float b[16] = {-0.5f, -0.625f, 0.125f, -0.5f, 0.625f,  0.375f,  -1.0f, 0.125f,
                                -0.5f, 0.0f,    0.0f,   -1.0f, -0.125f, -0.125f, 0.5f,  -0.625f};
    static const int32_t lens[2] = {3, 2};
    static const float h[4] = {0.375f, -0.5f, -0.125f, -0.375f},
                       c0[4] = {0.75f, 0.25f, 1.25f, 0.375f};
    static const float p[6] = {0.375f, 0.375f, -0.25f, 0.0f, 0.625f, -0.25f};
    static const float y[12] = {0.1004628f,   -0.06468251f, -0.08605808f, -0.1136131f,
                                -0.08474099f, -0.07543911f, 0.05878448f,  -0.01302835f,
                                -0.1232563f,  0.0f,         0.2589533f,   0.0f};
    static const float last_h[4] = {-0.1232563f, -0.07543911f, -0.08605808f, -0.1136131f};
    static const float last_c[4] = {-0.4555101f, -0.1522025f, -0.1822086f, -0.2844931f};
    op_case c;

    (void)state;
    oc_init(&c, "LSTM", 14);
    oc_int(&c, "hidden_size", 1);
    oc_string(&c, "direction", "bidirectional");
    oc_float(&c, "clip", 0.9f);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(3, 2, 2), x);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 4, 2), w);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 4, 1), r);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 8), b);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2), lens);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 2, 1), h);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 2, 1), c0);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 3), p);
    assert_int_equal(oc_run(&c, 3), VLY_OK);
    expect_floats(&c.out[0], y, 12, 1e-6);
    expect_floats(&c.out[1], last_h, 4, 1e-6);
    expect_floats(&c.out[2], last_c, 4, 1e-6);
    oc_free(&c);
}

static void gru_resets_before_or_after(void **state)
{
    static const float x[4] = {0.125f, 0.0f, 0.25f, -0.125f};
    static const float w[12] = {-0.125f, 0.125f,  0.0f, -0.375f, 0.5f,  -0.625f,
                                -0.625f, -0.625f, 0.5f, -0.125f, -0.5f, -0.625f};
    static const float r[12] = {0.25f, -0.5f,  -0.625f, 0.25f,  -0.625f, -0.125f,
                                0.0f,  -0.25f, 0.0f,    0.625f, -0.25f,  -0.625f};
    static const float b[12] = {-0.875f, -0.125f, -0.125f, 0.125f, -0.25f, -0.25f,
                                -0.375f, -0.25f,  0.125f,  -0.25f, 0.0f,   1.0f};
    static const float want[2][4] = {{-0.1445586f, 0.3534507f, -0.0383697f, 0.4629975f},
                                     {-0.1445586f, 0.08062867f, -0.09341136f, 0.1136813f}};

    (void)state;
    for (int after = 0; after < 2; after++) {
        op_case c;
        oc_init(&c, "GRU", 14);
        oc_int(&c, "linear_before_reset", after);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 1, 2), x);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 6, 2), w);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 6, 2), r);
        oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(1, 12), b);
        assert_int_equal(oc_run(&c, 2), VLY_OK);
        expect_floats(&c.out[0], want[after], 4, 1e-6);
        expect_floats(&c.out[1], want[after] + 2, 2, 1e-6);
        oc_free(&c);
    }
}

/* Half types go through float: products of small integers are exact in all of them. */
static void half_products(void **state)
{
    static const vly_dtype types[2] = {VLY_DTYPE_F16, VLY_DTYPE_BF16};
    uint16_t a[6], b[6];

    (void)state;
    for (int t = 0; t < 2; t++) {
        op_case c;
        for (int i = 0; i < 6; i++) {
            float v = (float)(i - 2);
            a[i] = t == 0 ? vly_f32_to_f16(v) : vly_bf16_from_f32(v);
            b[i] = t == 0 ? vly_f32_to_f16(2 * v) : vly_bf16_from_f32(2 * v);
        }
        oc_init(&c, "MatMul", 13);
        oc_in(&c, types[t], VLY_SHAPE(2, 3), a); /* -2 -1 0; 1 2 3 */
        oc_in(&c, types[t], VLY_SHAPE(3, 2), b); /* -4 -2; 0 2; 4 6 */
        assert_int_equal(oc_run(&c, 1), VLY_OK);
        assert_int_equal(c.out[0].dtype, types[t]);
        expect_floats(&c.out[0], (float[]){8, 2, 8, 20}, 4, 0.0);
        oc_free(&c);
    }
}

static void integer_products(void **state)
{
    static const int64_t a[4] = {INT64_MAX, 1, -3, 2}, b[2] = {2, 5};
    static const int32_t bias[1] = {100}, m[4] = {1, -2, 3, -4};
    op_case c;

    (void)state;
    oc_init(&c, "MatMul", 13);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2, 2), a);
    oc_in(&c, VLY_DTYPE_I64, VLY_SHAPE(2), b);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    assert_int_equal(vly_tensor_get_i64(&c.out[0], 0), 3); /* 2^64 - 2 + 5 wraps */
    assert_int_equal(vly_tensor_get_i64(&c.out[0], 1), 4);
    oc_free(&c);
    oc_init(&c, "Gemm", 13);
    oc_int(&c, "transB", 1);
    oc_float(&c, "beta", -2.0f);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2, 2), m);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(2, 2), m);
    oc_in(&c, VLY_DTYPE_I32, VLY_SHAPE(1), bias);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vly_tensor_get_i64(&c.out[0], (uint64_t)i),
                         ((int[]){5, 11, 11, 25})[i] - 200);
    oc_free(&c);
}

enum { BIG = 96 * 96 };
static float big_x[16 * BIG], big_w[24 * 16 * 9];

static void big_convolution(op_case *c, const char *op, struct vly_worker_pool *pool)
{
    static const int64_t pads[4] = {1, 1, 1, 1};

    oc_init(c, op, 11);
    oc_ints(c, "pads", 4, pads);
    c->pool = pool;
    oc_in(c, VLY_DTYPE_F32, VLY_SHAPE(1, 16, 96, 96), big_x);
    if (strcmp(op, "Conv") == 0)
        oc_in(c, VLY_DTYPE_F32, VLY_SHAPE(24, 16, 3, 3), big_w);
    else
        oc_in(c, VLY_DTYPE_F32, VLY_SHAPE(16, 24, 3, 3), big_w);
    assert_int_equal(oc_run(c, 1), VLY_OK);
}

/* However many threads take part, every bit is the same. */
static void threads_change_no_bit(void **state)
{
    static const char *const ops[2] = {"Conv", "ConvTranspose"};
    vly_worker_pool *pool;
    vly_err err;

    (void)state;
    for (int i = 0; i < 16 * BIG; i++)
        big_x[i] = sinf((float)i);
    for (int i = 0; i < 24 * 16 * 9; i++)
        big_w[i] = cosf((float)(3 * i));
    assert_int_equal(vly_worker_pool_new(3, 8, &pool, &err), VLY_OK);
    for (int k = 0; k < 2; k++) {
        op_case alone, shared;
        big_convolution(&alone, ops[k], NULL);
        for (int i = 0; i < 5; i++) {
            big_convolution(&shared, ops[k], pool);
            assert_memory_equal(alone.out[0].data, shared.out[0].data, alone.out[0].bytes);
            oc_free(&shared);
        }
        oc_free(&alone);
    }
    vly_worker_pool_free(pool);
}

/* Sizes of 0 are sizes: nothing to sum gives the bias, nothing to write gives nothing. */
static void empty_operands(void **state)
{
    static const float bias[2] = {7, 8}, one = 1.0f;
    op_case c;

    (void)state;
    oc_init(&c, "Gemm", 13);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 0), &one);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(0, 2), &one);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2), bias);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    expect_floats(&c.out[0], (float[]){7, 8, 7, 8}, 4, 0.0);
    oc_free(&c);
    oc_init(&c, "Conv", 11);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(0, 1, 3, 3), &one);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 1, 1, 1), bias);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    assert_int_equal(vly_tensor_count(&c.out[0]), 0);
    oc_free(&c);
    oc_init(&c, "Softmax", 13);
    oc_in(&c, VLY_DTYPE_F32, VLY_SHAPE(2, 0), &one);
    assert_int_equal(oc_run(&c, 1), VLY_OK);
    assert_int_equal(vly_tensor_count(&c.out[0]), 0);
    oc_free(&c);
}

UNIT_TESTS(cmocka_unit_test(quantised_sum_and_product), cmocka_unit_test(quantised_unary),
           cmocka_unit_test(quantised_concat), cmocka_unit_test(quantised_pools),
           cmocka_unit_test(quantised_gemm), cmocka_unit_test(fused_convolution),
           cmocka_unit_test(lstm_with_everything), cmocka_unit_test(gru_resets_before_or_after),
           cmocka_unit_test(half_products), cmocka_unit_test(integer_products),
           cmocka_unit_test(threads_change_no_bit), cmocka_unit_test(empty_operands))

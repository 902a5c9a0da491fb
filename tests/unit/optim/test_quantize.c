/* SPDX-License-Identifier: MIT */
/* Quantised copies of small nets: what is in the file, and that it still answers alike. */
#include "codec/onnx.h"
#include "optim/net.h"
#include "optim/quantize.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static onnx_builder builder; /* of the running test */
static vly_quantizer *quantizer;
static vly_buf out;
static vly_arena arena;

static int set_up(void **state)
{
    (void)state;
    ob_init(&builder);
    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 24);
    vly_arena_init(&arena, VLY_MEM_MODEL, 4096, 1 << 24);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    vly_quantizer_free(quantizer);
    quantizer = NULL;
    vly_buf_release(&out);
    vly_arena_release(&arena);
    ob_release(&builder);
    return 0;
}

/* conv -> relu -> split -> two branches -> concat -> conv: what a C2f block is made of. */
static vly_str split_net(int64_t opset)
{
    onnx_builder *b = &builder;

    ob_input(b, "x", OB_FLOAT, 4, (int64_t[]){1, 3, 8, 8});
    ob_output(b, "y", OB_FLOAT, 4, (int64_t[]){1, 5, 8, 8});
    net_weights(b, "w1", 4, (int64_t[]){4, 3, 3, 3});
    net_weights(b, "w2", 4, (int64_t[]){2, 2, 3, 3});
    net_weights(b, "w3", 4, (int64_t[]){5, 6, 1, 1});
    ob_floats(b, "b1", 1, (int64_t[]){4}, (float[]){0.1f, -0.2f, 0.3f, 0});
    ob_node(b, "Conv", "x,w1,b1", "c1");
    ob_attr_ints(b, "pads", 4, (int64_t[]){1, 1, 1, 1});
    ob_node(b, "Relu", "c1", "r1");
    ob_node(b, "Split", "r1", "s1,s2");
    ob_attr_int(b, "axis", 1);
    if (opset < 13)
        ob_attr_ints(b, "split", 2, (int64_t[]){2, 2});
    ob_node(b, "Conv", "s2,w2", "c2");
    ob_attr_ints(b, "pads", 4, (int64_t[]){1, 1, 1, 1});
    ob_node(b, "Relu", "c2", "r2");
    ob_node(b, "Concat", "s1,s2,r2", "cat");
    ob_attr_int(b, "axis", 1);
    ob_node(b, "Conv", "cat,w3", "y");
    ob_prop(b, "task", "detect");
    return ob_finish(b, opset);
}

static void quantise(vly_str file, const vly_quant_opts *opts, net_samples *samples)
{
    vly_err err = VLY_ERR_INIT;

    if (vly_quantizer_new(file.ptr, file.len, NULL, opts, &quantizer, &err) != VLY_OK ||
        vly_quantizer_calibrate(quantizer, &samples->base, &err) != VLY_OK ||
        vly_quantizer_write(quantizer, &out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static const vly_onnx_model *parse(void)
{
    const vly_onnx_model *m;
    vly_err err = VLY_ERR_INIT;

    if (vly_onnx_model_parse(out.ptr, out.len, &arena, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return m;
}

static const vly_onnx_tensor *tensor(const vly_onnx_model *m, const char *name)
{
    for (size_t i = 0; i < m->graph->n_initialisers; i++)
        if (vly_str_is(m->graph->initialisers[i].name, name))
            return &m->graph->initialisers[i];
    fail_msg("no tensor '%s'", name);
    abort();
}

static void check_alike(vly_str before, const net_samples *samples, double least_db)
{
    vly_tensor a = {0}, b = {0};

    net_run(before, samples, 0, &a);
    net_run(vly_buf_str(&out), samples, 0, &b);
    if (net_snr(&a, &b) < least_db)
        fail_msg("signal to noise %.1f dB, expected %.1f", net_snr(&a, &b), least_db);
    vly_tensor_release(&a);
    vly_tensor_release(&b);
}

/* x runs from 0 to 2.55: scale 0.01, zero 0. A channel of weights is scaled by its greatest / 127.
 * Bias: steps of 0.01 * weight scale. By hand, with neither search nor correction. */
static void by_hand(void **state)
{
    vly_quant_opts opts = {.method = VLY_RANGE_MINMAX, .has_plain_weights = true};
    net_samples samples;
    float scale;

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 4, (int64_t[]){1, 1, 16, 16});
    ob_output(&builder, "y", OB_FLOAT, 4, (int64_t[]){1, 2, 16, 16});
    ob_floats(&builder, "w", 4, (int64_t[]){2, 1, 1, 2}, (float[]){1.27f, -0.635f, 0.5f, -2.54f});
    ob_floats(&builder, "b", 1, (int64_t[]){2}, (float[]){0.5f, -1});
    ob_node(&builder, "Conv", "x,w,b", "y");
    ob_attr_ints(&builder, "pads", 4, (int64_t[]){0, 0, 0, 1});
    vly_str file = ob_finish(&builder, 13);
    net_samples_init(&samples, 2, VLY_SHAPE(1, 1, 16, 16), 0, 2.55f);
    quantise(file, &opts, &samples);

    const vly_onnx_model *m = parse();
    memcpy(&scale, tensor(m, "x_scale")->data, 4);
    assert_true(fabsf(scale - 0.01f) < 1e-7f);
    assert_int_equal(*(const uint8_t *)tensor(m, "x_zero_point")->data, 0);
    assert_memory_equal(tensor(m, "w_quantized")->data, ((int8_t[]){127, -64, 25, -127}), 4);
    memcpy(&scale, (const char *)tensor(m, "w_scale")->data + 4, 4);
    assert_true(fabsf(scale - 0.02f) < 1e-7f);
    int32_t bias[2];
    memcpy(bias, tensor(m, "b_quantized")->data, 8);
    assert_int_equal(bias[0], 5000);  /* 0.5 / (0.01 * 0.01) */
    assert_int_equal(bias[1], -5000); /* -1 / (0.01 * 0.02) */
    check_alike(file, &samples, 35);
}

/* r1, s1, s2, r2 and cat share a scale, so the bytes pass through Split and Concat. */
static void one_scale_through_concat(void **state)
{
    static const char *const names[] = {"r1_scale", "s1_scale", "s2_scale", "r2_scale",
                                        "cat_scale"};
    vly_quant_opts opts = VLY_QUANT_OPTS_INIT;
    net_samples samples;

    (void)state;
    vly_str file = split_net(13);
    net_samples_init(&samples, 3, VLY_SHAPE(1, 3, 8, 8), -1, 1);
    quantise(file, &opts, &samples);
    const vly_onnx_model *m = parse();
    for (size_t i = 1; i < 5; i++)
        assert_memory_equal(tensor(m, names[i])->data, tensor(m, names[0])->data, 4);
    assert_memory_not_equal(tensor(m, "x_scale")->data, tensor(m, "r1_scale")->data, 4);
    assert_int_equal(net_count(vly_buf_str(&out), "QuantizeLinear"), 6);
    assert_int_equal(m->n_props, 1);    /* metadata stays */
    assert_int_equal(samples.n_got, 9); /* ranges, tallies, layers */
    check_alike(file, &samples, 30);
}

static void raises_the_opset(void **state)
{
    vly_quant_opts opts = VLY_QUANT_OPTS_INIT;
    net_samples samples;

    (void)state;
    vly_str file = split_net(11);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 3, 8, 8), -1, 1);
    quantise(file, &opts, &samples);
    assert_int_equal(parse()->opset, 13);
    check_alike(file, &samples, 30);
}

static void keeps_layers_float(void **state)
{
    vly_quant_opts opts = VLY_QUANT_OPTS_INIT;
    net_samples samples;
    vly_err err;
    size_t n;

    (void)state;
    vly_str file = split_net(13);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 3, 8, 8), -1, 1);
    quantise(file, &opts, &samples);
    const vly_quant_layer *layers = vly_quantizer_layers(quantizer, &n);
    assert_int_equal(n, 3);
    assert_true(vly_str_is(layers[2].name, "y"));
    /* multiply-adds: 64 pixels times 108, 36, 30 weights */
    assert_true(fabs(layers[0].share - 108.0 / 174.0) < 1e-6);
    for (size_t i = 0; i < n; i++) {
        assert_false(layers[i].is_float);
        assert_true(layers[i].sqnr_db > 30 && layers[i].sqnr_db < 60);
        vly_quantizer_keep(quantizer, i, true);
    }
    vly_buf_clear(&out);
    assert_int_equal(vly_quantizer_write(quantizer, &out, &err), VLY_OK);
    assert_int_equal(net_count(vly_buf_str(&out), "QuantizeLinear"), 0);
    check_alike(file, &samples, 120);

    vly_quantizer_keep(quantizer, 0, false); /* only x becomes bytes */
    vly_buf_clear(&out);
    assert_int_equal(vly_quantizer_write(quantizer, &out, &err), VLY_OK);
    assert_int_equal(net_count(vly_buf_str(&out), "QuantizeLinear"), 1);
}

/* Weights of 0.4 steps: rounding them shifts the mean of the output, and the correction takes that
 * out. */
static void corrects_the_bias(void **state)
{
    float w[64], mean[2] = {0, 0};
    vly_quant_opts opts = {.method = VLY_RANGE_MINMAX};
    net_samples samples;
    vly_tensor a = {0};

    (void)state;
    for (size_t i = 0; i < 64; i++)
        w[i] = i == 0 ? 1.0f : 0.4f / 127;
    ob_input(&builder, "x", OB_FLOAT, 2, (int64_t[]){1, 64});
    ob_output(&builder, "y", OB_FLOAT, 2, (int64_t[]){1, 1});
    ob_floats(&builder, "w", 2, (int64_t[]){64, 1}, w);
    ob_node(&builder, "Gemm", "x,w", "y");
    vly_str file = ob_finish(&builder, 13);
    net_samples_init(&samples, 32, VLY_SHAPE(1, 64), 0, 1);
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        opts.has_plain_weights = is_plain == 1;
        vly_quantizer_free(quantizer);
        vly_buf_clear(&out);
        quantise(file, &opts, &samples);
        size_t n;
        double sqnr_db = vly_quantizer_layers(quantizer, &n)[0].sqnr_db;
        assert_int_equal(vly_quantizer_layers(quantizer, &n)[0].is_float, sqnr_db < 24);
        vly_quantizer_keep(quantizer, 0, false); /* whatever it loses */
        vly_buf_clear(&out);
        assert_int_equal(vly_quantizer_write(quantizer, &out, NULL), VLY_OK);
        for (size_t i = 0; i < 32; i++) {
            net_run(file, &samples, i, &a);
            mean[is_plain] += *(const float *)a.data / 32;
            vly_tensor_release(&a);
            net_run(vly_buf_str(&out), &samples, i, &a);
            mean[is_plain] -= *(const float *)a.data / 32;
            vly_tensor_release(&a);
        }
    }
    assert_true(fabsf(mean[1]) > 0.05f); /* 63 weights of 0.4 / 127 round to 0 */
    assert_true(fabsf(mean[0]) < 0.002f);
}

static void check_refused(vly_str file, net_samples *samples, vly_status want, const char *text)
{
    vly_quant_opts opts = VLY_QUANT_OPTS_INIT;
    vly_err err = VLY_ERR_INIT;
    vly_status st = vly_quantizer_new(file.ptr, file.len, NULL, &opts, &quantizer, &err);

    if (st == VLY_OK)
        st = vly_quantizer_calibrate(quantizer, &samples->base, &err);
    assert_int_equal(st, want);
    if (strstr(err.msg, text) == NULL)
        fail_msg("expected '%s' in '%s'", text, err.msg);
}

static void refuses_nan(void **state)
{
    net_samples samples;

    (void)state;
    vly_str file = split_net(13);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 3, 8, 8), 0, NAN);
    check_refused(file, &samples, VLY_EINVAL, "value 'x' is not finite everywhere on sample 0");
}

static void refuses_quantised(void **state)
{
    vly_quant_opts opts = VLY_QUANT_OPTS_INIT;
    net_samples samples;

    (void)state;
    vly_str file = split_net(13);
    net_samples_init(&samples, 1, VLY_SHAPE(1, 3, 8, 8), 0, 1);
    quantise(file, &opts, &samples);
    vly_quantizer_free(quantizer);
    quantizer = NULL;
    check_refused(vly_buf_str(&out), &samples, VLY_EUNSUPPORTED, "is quantised already");
}

static void refuses_nothing_to_do(void **state)
{
    net_samples samples;

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 1, (int64_t[]){4});
    ob_output(&builder, "y", OB_FLOAT, 1, (int64_t[]){4});
    ob_node(&builder, "Relu", "x", "y");
    net_samples_init(&samples, 1, VLY_SHAPE(4), 0, 1);
    check_refused(ob_finish(&builder, 13), &samples, VLY_EUNSUPPORTED,
                  "no Conv, Gemm or MatMul with constant float32 weights");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
UNIT_TESTS(TEST(by_hand), TEST(one_scale_through_concat), TEST(raises_the_opset),
           TEST(keeps_layers_float), TEST(corrects_the_bias), TEST(refuses_nan),
           TEST(refuses_quantised), TEST(refuses_nothing_to_do))

/* SPDX-License-Identifier: MIT */
/* Pruned copies of small nets, worked out by hand. */
#include "optim/net.h"
#include "optim/prune.h"
#include "unit.h"

#include <math.h>
#include <string.h>

static onnx_builder builder; /* of the running test */
static vly_edit edit;
static vly_buf out;
static vly_str file;

static int set_up(void **state)
{
    (void)state;
    ob_init(&builder);
    vly_buf_init(&out, VLY_MEM_MODEL, 1 << 22);
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

typedef vly_status (*prune_fn)(vly_edit *e, const vly_prune_opts *opts, const vly_samples *samples,
                               vly_prune_report *ret, vly_err *err);

static vly_prune_report prune(prune_fn fn, const vly_prune_opts *opts, const vly_samples *samples)
{
    vly_prune_report report = {0};
    vly_err err = VLY_ERR_INIT;

    vly_edit_close(&edit);
    vly_buf_clear(&out);
    if (vly_edit_open(&edit, file.ptr, file.len, NULL, &err) != VLY_OK ||
        fn(&edit, opts, samples, &report, &err) != VLY_OK ||
        vly_edit_write(&edit, &out, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return report;
}

/* 1 - (1 - t)^3 of the way: 0.5 * 7/8 half way through. */
static void schedule(void **state)
{
    (void)state;
    assert_true(fabs(vly_prune_schedule(0, 0.5, 0, 1000)) < 1e-12);
    assert_true(fabs(vly_prune_schedule(0, 0.5, 500, 1000) - 0.4375) < 1e-12);
    assert_true(fabs(vly_prune_schedule(0, 0.5, 1000, 1000) - 0.5) < 1e-12);
    assert_true(fabs(vly_prune_schedule(0.2, 0.8, 1, 2) - 0.725) < 1e-12);
    assert_true(fabs(vly_prune_schedule(0, 0.5, 0, 0) - 0.5) < 1e-12);
}

static void two_products(void)
{
    ob_input(&builder, "x", OB_FLOAT, 2, (int64_t[]){1, 4});
    ob_output(&builder, "y", OB_FLOAT, 2, (int64_t[]){1, 1});
    ob_floats(&builder, "a", 2, (int64_t[]){2, 4}, (float[]){8, -7, 6, 5, 4, 3, -2, 1});
    ob_floats(&builder, "b", 2, (int64_t[]){1, 2}, (float[]){0.5f, -0.5f});
    ob_node(&builder, "Gemm", "x,a", "h");
    ob_attr_int(&builder, "transB", 1);
    ob_node(&builder, "Gemm", "h,b", "y");
    ob_attr_int(&builder, "transB", 1);
    file = ob_finish(&builder, 13);
}

static void check_floats(const char *name, const float *want, size_t n)
{
    const vly_onnx_tensor *t = vly_edit_tensor(&edit, vly_str_from(name));
    float got[64];

    assert_non_null(t);
    assert_int_equal(t->n_bytes, n * sizeof(float));
    memcpy(got, t->data, n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        if (fabsf(got[i] - want[i]) > 1e-5f)
            fail_msg("%s[%zu] is %g, expected %g", name, i, (double)got[i], (double)want[i]);
}

static void weights_of_the_net(void **state)
{
    (void)state;
    two_products();
    vly_prune_report r = prune(vly_optim_prune_weights, &(vly_prune_opts){.sparsity = 0.3}, NULL);
    assert_int_equal(r.n_weights, 10);
    assert_int_equal(r.n_zeros, 3); /* 0.5, -0.5 and 1 */
    check_floats("a", (float[]){8, -7, 6, 5, 4, 3, -2, 0}, 8);
    check_floats("b", (float[]){0, 0}, 2);
}

static void weights_of_each_layer(void **state)
{
    (void)state;
    two_products();
    vly_prune_opts opts = {.sparsity = 0.5, .is_per_layer = true};
    prune(vly_optim_prune_weights, &opts, NULL);
    check_floats("a", (float[]){8, -7, 6, 5, 0, 0, 0, 0}, 8);
    check_floats("b", (float[]){0, -0.5f}, 2); /* of equal ones the first */
}

static vly_status one_sample(void *arg, size_t i, vly_tensor *inputs, vly_err *err)
{
    const float x[] = {0.001f, 1, 1, 10};

    (void)arg, (void)i;
    vly_shape shape = VLY_SHAPE(1, 4);
    vly_status st = vly_tensor_new(VLY_DTYPE_F32, &shape, &inputs[0], err);
    if (st == VLY_OK)
        memcpy(inputs[0].data, x, sizeof(x));
    return st;
}

/* Input 0 is next to nothing, so 8 goes before 1, whose input is 10; on that one sample the bias
 * makes up for all that goes. */
static void weights_that_matter(void **state)
{
    vly_prune_opts opts = {.sparsity = 0.5, .is_per_layer = true};
    vly_samples samples = {.n = 1, .get = one_sample};

    (void)state;
    two_products();
    vly_prune_report r = prune(vly_optim_prune_weights, &opts, &samples);
    assert_int_equal(r.n_zeros, 5);
    check_floats("a", (float[]){0, -7, 6, 5, 0, 0, 0, 1}, 8);
    /* 8 * 0.001; 4 * 0.001 + 3 - 2 */
    check_floats("h_bias", (float[]){0.008f, 1.004f}, 2);
}

/* Three channels of conv a: 0 is the weakest. A depthwise conv, a Split and a Concat carry them to
 * conv c, an Add ties them to those of conv d. Channel 0 goes from all. */
static void channels(void **state)
{
    static const float a[] = {0.1f, 2, 3}, deep[] = {1, 2, 3}, c[] = {10, 20, 30, 40, 50, 60};
    vly_prune_opts opts = {.sparsity = 0.34};
    net_samples samples;
    vly_tensor y = {0};

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 4, (int64_t[]){1, 1, 2, 2});
    ob_output(&builder, "y", OB_FLOAT, 4, (int64_t[]){1, 1, 2, 2});
    ob_floats(&builder, "a", 4, (int64_t[]){3, 1, 1, 1}, a);
    ob_floats(&builder, "deep", 4, (int64_t[]){3, 1, 1, 1}, deep);
    ob_floats(&builder, "d", 4, (int64_t[]){3, 1, 1, 1}, (float[]){0.2f, 2, 2});
    ob_floats(&builder, "c", 4, (int64_t[]){1, 6, 1, 1}, c);
    ob_node(&builder, "Conv", "x,a", "va");
    ob_node(&builder, "Conv", "va,deep", "vdeep");
    ob_attr_int(&builder, "group", 3);
    ob_node(&builder, "Conv", "x,d", "vd");
    ob_node(&builder, "Add", "vdeep,vd", "sum");
    ob_node(&builder, "Split", "sum", "s0,s1");
    ob_attr_int(&builder, "axis", 1);
    ob_attr_ints(&builder, "split", 2, (int64_t[]){1, 2});
    ob_node(&builder, "Relu", "va", "ra");
    ob_node(&builder, "Concat", "s1,ra,s0", "cat");
    ob_attr_int(&builder, "axis", 1);
    ob_node(&builder, "Conv", "cat,c", "y");
    file = ob_finish(&builder, 11);
    vly_prune_report r = prune(vly_optim_prune_channels, &opts, NULL);
    assert_int_equal(r.n_channels, 3); /* tied: one unit */
    assert_int_equal(r.n_channels_gone, 1);
    check_floats("a_pruned", (float[]){2, 3}, 2);
    check_floats("deep_pruned", (float[]){2, 3}, 2);
    check_floats("d_pruned", (float[]){2, 2}, 2);
    check_floats("c_pruned", (float[]){10, 20, 40, 50}, 4); /* s1 both, ra 1 and 2, no s0 */

    /* x = 1: channels 2*2+2 = 6 and 3*3+2 = 11; 10*6 + 20*11 + 40*2 + 50*3 = 510 */
    net_samples_init(&samples, 1, VLY_SHAPE(1, 1, 2, 2), 1, 1);
    net_run(vly_buf_str(&out), &samples, 0, &y);
    assert_true(fabsf(((const float *)y.data)[0] - 510) < 1e-3f);
    vly_tensor_release(&y);
}

/* 16 channels and more keep a multiple of 8; the graph's outputs and what a Reshape reads stay. */
static void channels_that_stay(void **state)
{
    vly_prune_opts opts = {.sparsity = 0.3};
    vly_err err = VLY_ERR_INIT;
    vly_prune_report r;

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 4, (int64_t[]){1, 4, 4, 4});
    ob_output(&builder, "y", OB_FLOAT, 2, (int64_t[]){1, 512});
    ob_ints(&builder, "shape", 1, (int64_t[]){2}, (int64_t[]){1, -1});
    net_weights(&builder, "w1", 4, (int64_t[]){32, 4, 3, 3});
    net_weights(&builder, "w2", 4, (int64_t[]){32, 32, 1, 1});
    ob_node(&builder, "Conv", "x,w1", "h");
    ob_attr_ints(&builder, "pads", 4, (int64_t[]){1, 1, 1, 1});
    ob_node(&builder, "Conv", "h,w2", "z");
    ob_node(&builder, "Reshape", "z,shape", "y");
    file = ob_finish(&builder, 13);
    r = prune(vly_optim_prune_channels, &opts, NULL);
    assert_int_equal(r.n_channels, 32);     /* of w1 */
    assert_int_equal(r.n_channels_gone, 8); /* 9 would leave 23 */
    assert_int_equal(r.n_weights, 24 * 4 * 9 + 32 * 24);

    opts.sparsity = 1;
    assert_int_equal(vly_optim_prune_channels(&edit, &opts, NULL, &r, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "sparsity 1: expected 0 or more, and less than 1");
}

/* With samples the mean of a channel that goes stays in the reader's bias: here a channel is the
 * same everywhere, so nothing is lost. */
static void channels_leave_their_mean(void **state)
{
    vly_prune_opts opts = {.sparsity = 0.5};
    net_samples samples;
    vly_tensor before = {0}, after = {0};

    (void)state;
    ob_input(&builder, "x", OB_FLOAT, 4, (int64_t[]){1, 1, 4, 4});
    ob_output(&builder, "y", OB_FLOAT, 4, (int64_t[]){1, 1, 4, 4});
    ob_floats(&builder, "a", 4, (int64_t[]){2, 1, 1, 1}, (float[]){1, 0});
    ob_floats(&builder, "abias", 1, (int64_t[]){2}, (float[]){0, 0.25f});
    ob_floats(&builder, "c", 4, (int64_t[]){1, 2, 1, 1}, (float[]){3, 2});
    ob_node(&builder, "Conv", "x,a,abias", "h");
    ob_node(&builder, "Conv", "h,c", "y");
    file = ob_finish(&builder, 13);
    net_samples_init(&samples, 2, VLY_SHAPE(1, 1, 4, 4), 0, 1);
    vly_prune_report r = prune(vly_optim_prune_channels, &opts, &samples.base);
    assert_int_equal(r.n_channels_gone, 1);
    check_floats("y_bias", (float[]){0.5f}, 1);
    net_run(file, &samples, 0, &before);
    net_run(vly_buf_str(&out), &samples, 0, &after);
    assert_true(net_snr(&before, &after) > 100);
    vly_tensor_release(&before);
    vly_tensor_release(&after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
UNIT_TESTS(TEST(schedule), TEST(weights_of_the_net), TEST(weights_of_each_layer),
           TEST(weights_that_matter), TEST(channels), TEST(channels_that_stay),
           TEST(channels_leave_their_mean))

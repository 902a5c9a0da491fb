/* SPDX-License-Identifier: MIT */
/*
 * Every layer's gradients against differences of its own forward pass.
 *
 * The net's outputs are summed with fixed random factors in double; a parameter or an input moves
 * by
 * +-h and +-2h, and the four-point formula is exact but for h^4. With h = 1/32 that leaves 1e-6
 * times the fifth derivative; the rounding of float outputs, 6e-8 each over some hundred outputs,
 * leaves 2e-5 after the division by h. TOLERANCE, relative to the largest gradient, is well above
 * both, and far below what a forgotten term or a wrong sign makes.
 */
#include "train/train_net.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define TOLERANCE 5e-4

enum { T = 7, N = 3, IN = 4, ROWS = T * N, X_FLOATS = ROWS * IN, FLOATS_MAX = 4096 };

typedef struct check {
    vly_train_net *net;
    vly_train_tape *tape;
    float h;
    vly_train_input input;
    float params[FLOATS_MAX], running[FLOATS_MAX], grads[FLOATS_MAX];
    float x[X_FLOATS], dx[X_FLOATS], state[FLOATS_MAX];
    float factors[2][FLOATS_MAX];
} check;

static check c;

static double value(void)
{
    double sum = 0;

    vly_train_tape_forward(c.tape, &c.input);
    for (size_t head = 0; head < c.net->n_heads; head++) {
        const float *y = vly_train_tape_output(c.tape, head);
        for (int64_t i = 0; i < ROWS * c.net->heads[head].out; i++)
            sum += (double)c.factors[head][i] * (double)y[i];
    }
    return sum;
}

static double slope(float *at)
{
    float was = *at;
    double v[5];

    for (int i = -2; i <= 2; i++) {
        *at = was + (float)i * c.h;
        v[i + 2] = value();
    }
    *at = was;
    return (v[0] - 8 * v[1] + 8 * v[3] - v[4]) / (12 * (double)c.h);
}

/* got is the gradient by the n floats at values. */
static void compare(const char *what, float *values, const float *got, size_t n)
{
    double most = 1e-3;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)got[i]));
    for (size_t i = 0; i < n; i++) {
        double want = slope(&values[i]);
        if (!(fabs(want - (double)got[i]) <= TOLERANCE * most))
            fail_msg("%s %zu: gradient %g, differences say %g", what, i, (double)got[i], want);
    }
}

static void random_floats(float *to, size_t n, vly_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        to[i] = 2 * vly_rng_uniform(rng) - 1;
}

static void check_net(const vly_train_net_spec *spec, bool has_state, float h)
{
    vly_err err = VLY_ERR_INIT;
    vly_rng rng;

    c.h = h;
    if (vly_train_net_new(spec, &c.net, &err) != VLY_OK ||
        vly_train_tape_new(c.net, T, N, &c.tape, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_true(c.net->n_params <= FLOATS_MAX && c.net->n_running <= FLOATS_MAX);
    vly_train_net_init(c.net, 1, c.params, c.running);
    vly_rng_init(&rng, 2, 0);
    for (size_t i = 0; i < c.net->n_params; i++) /* biases and scales off their round values */
        c.params[i] += 0.2F * vly_rng_uniform(&rng);
    random_floats(c.x, X_FLOATS, &rng);
    random_floats(c.state, FLOATS_MAX, &rng);
    random_floats(c.factors[0], sizeof(c.factors) / sizeof(float), &rng);
    c.input = (vly_train_input){.t = T,
                                .n = N,
                                .x = c.x,
                                .params = c.params,
                                .running = c.running,
                                .state = has_state ? c.state : NULL,
                                .is_training = true,
                                .seed = 3};
    value();
    for (size_t head = 0; head < c.net->n_heads; head++)
        memcpy(vly_train_tape_gradient(c.tape, head), c.factors[head],
               (size_t)(ROWS * c.net->heads[head].out) * sizeof(float));
    memset(c.grads, 0, sizeof(c.grads));
    vly_train_tape_backward(c.tape, c.grads, c.dx);
    compare("parameter", c.params, c.grads, c.net->n_params);
    compare("input", c.x, c.dx, X_FLOATS);
    vly_train_tape_free(c.tape);
    vly_train_net_free(c.net);
}

static void check_layer(vly_train_spec layer, bool has_state)
{
    vly_train_spec trunk[] = {{.kind = VLY_TRAIN_DENSE, .out = 4}, layer};
    vly_train_spec out = {.kind = VLY_TRAIN_DENSE, .out = 2};
    vly_train_chain_spec head = {.name = "y", .layers = &out, .n_layers = 1};

    check_net(
        &(vly_train_net_spec){
            .in = IN, .trunk = {.layers = trunk, .n_layers = 2}, .heads = &head, .n_heads = 1},
        has_state, 0x1p-5F);
}

static void dense(void **state)
{
    (void)state;
    check_layer((vly_train_spec){.kind = VLY_TRAIN_DENSE, .out = 5}, false);
}

static void conv1d(void **state)
{
    const vly_train_spec specs[] = {
        {.kind = VLY_TRAIN_CONV1D, .out = 3, .kernel = 3},
        {.kind = VLY_TRAIN_CONV1D, .out = 3, .kernel = 3, .dilation = 2, .is_same = true},
        {.kind = VLY_TRAIN_CONV1D, .out = 6, .kernel = 2, .groups = 2},
        {.kind = VLY_TRAIN_CONV1D, .out = 4, .kernel = 3, .dilation = 2, .groups = 4},
        {.kind = VLY_TRAIN_CONV1D, .out = 4, .kernel = 5, .groups = 4, .is_same = true},
        {.kind = VLY_TRAIN_CONV1D, .out = 8, .kernel = 2, .groups = 4}, /* two from each */
        {.kind = VLY_TRAIN_CONV1D, .out = 2, .kernel = 9},              /* longer than T */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
        check_layer(specs[i], false);
}

static void gru(void **state)
{
    (void)state;
    check_layer((vly_train_spec){.kind = VLY_TRAIN_GRU, .out = 5}, false);
    check_layer((vly_train_spec){.kind = VLY_TRAIN_GRU, .out = 3}, true);
}

static void norms(void **state)
{
    (void)state;
    check_layer((vly_train_spec){.kind = VLY_TRAIN_LAYER_NORM}, false);
    check_layer((vly_train_spec){.kind = VLY_TRAIN_BATCH_NORM, .rate = 0.1F}, false);
}

static void the_rest(void **state)
{
    (void)state;
    check_layer((vly_train_spec){.kind = VLY_TRAIN_TANH}, false);
    check_layer((vly_train_spec){.kind = VLY_TRAIN_DROPOUT, .rate = 0.4F}, false);
}

/* Where relu has its corner, differences mean nothing: the values here are far from 0. */
static void relu(void **state)
{
    vly_train_spec trunk = {.kind = VLY_TRAIN_RELU}, out = {.kind = VLY_TRAIN_DENSE, .out = 1};
    vly_train_chain_spec head = {.name = "y", .layers = &out, .n_layers = 1};
    vly_train_net_spec spec = {
        .in = 2, .trunk = {.layers = &trunk, .n_layers = 1}, .heads = &head, .n_heads = 1};
    const float x[] = {0.5F, -0.5F, -1, 2};
    float params[] = {3, -4, 0}, grads[3] = {0}, dx[4];
    vly_err err = VLY_ERR_INIT;

    (void)state;
    if (vly_train_net_new(&spec, &c.net, &err) != VLY_OK ||
        vly_train_tape_new(c.net, 2, 1, &c.tape, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_train_tape_forward(c.tape, &(vly_train_input){.t = 2, .n = 1, .x = x, .params = params});
    vly_train_tape_gradient(c.tape, 0)[0] = 1;
    vly_train_tape_gradient(c.tape, 0)[1] = 10;
    vly_train_tape_backward(c.tape, grads, dx);
    assert_memory_equal(grads, ((float[]){0.5F, 20, 11}), sizeof(grads));
    assert_memory_equal(dx, ((float[]){3, 0, 0, -40}), sizeof(dx));
    vly_train_tape_free(c.tape);
    vly_train_net_free(c.net);
}

/* The shape of the step model: convolution, two GRUs with states, two heads on one trunk. */
static void whole_net(void **state)
{
    const vly_train_spec trunk[] = {{.kind = VLY_TRAIN_DENSE, .out = 5},
                                    {.kind = VLY_TRAIN_TANH},
                                    {.kind = VLY_TRAIN_GRU, .out = 4},
                                    {.kind = VLY_TRAIN_LAYER_NORM},
                                    {.kind = VLY_TRAIN_GRU, .out = 4}};
    const vly_train_spec first[] = {{.kind = VLY_TRAIN_DENSE, .out = 3}};
    const vly_train_spec second[] = {{.kind = VLY_TRAIN_DENSE, .out = 3},
                                     {.kind = VLY_TRAIN_TANH},
                                     {.kind = VLY_TRAIN_DENSE, .out = 2}};
    const vly_train_chain_spec heads[] = {{.name = "a", .layers = first, .n_layers = 1},
                                          {.name = "b", .layers = second, .n_layers = 3}};

    (void)state;
    check_net(
        &(vly_train_net_spec){
            .in = IN, .trunk = {.layers = trunk, .n_layers = 5}, .heads = heads, .n_heads = 2},
        true, 0x1p-7F);
}

static void refused(void **state)
{
    const vly_train_spec specs[] = {
        {.kind = VLY_TRAIN_DENSE},
        {.kind = VLY_TRAIN_GRU},
        {.kind = VLY_TRAIN_KINDS},
        {.kind = VLY_TRAIN_DROPOUT, .rate = 1},
        {.kind = VLY_TRAIN_CONV1D, .out = 4, .kernel = 2, .is_same = true},
        {.kind = VLY_TRAIN_CONV1D, .out = 4, .kernel = 3, .groups = 3},
        {.kind = VLY_TRAIN_CONV1D, .out = 4, .kernel = VLY_TRAIN_KERNEL_MAX + 1},
    };
    vly_train_chain_spec head = {.name = "y", .n_layers = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        vly_err err = VLY_ERR_INIT;
        head.layers = &specs[i];
        vly_train_net_spec spec = {.in = IN, .heads = &head, .n_heads = 1};
        assert_int_equal(vly_train_net_new(&spec, &c.net, &err), VLY_EINVAL);
        assert_non_null(strstr(err.msg, "y.0"));
    }
}

UNIT_TESTS(cmocka_unit_test(dense), cmocka_unit_test(conv1d), cmocka_unit_test(gru),
           cmocka_unit_test(norms), cmocka_unit_test(the_rest), cmocka_unit_test(relu),
           cmocka_unit_test(whole_net), cmocka_unit_test(refused))

/* SPDX-License-Identifier: MIT */
/*
 * GRU, LSTM and RNN with constant weights, as a plan fuses them, against the operator by itself,
 * which the ONNX conformance cases check. What has no fused form must stay the operator.
 *
 * Bound: both sum in float, in different orders (tests/kernel/test_recurrent.c).
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/recurrent.h"
#include "engine/model.h"
#include "op_case.h"
#include "support/onnx_builder.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { INPUT = 5, HIDDEN = 19, STEPS = 4, FLOATS_MAX = 1 << 16, STEPS_MAX = 8 };

static const char *const op_names[] = {
    [VLY_CELL_RNN] = "RNN", [VLY_CELL_GRU] = "GRU", [VLY_CELL_LSTM] = "LSTM"};
static const char *const kernel_names[] = {
    [VLY_CELL_RNN] = "rnn ", [VLY_CELL_GRU] = "gru ", [VLY_CELL_LSTM] = "lstm "};

typedef struct cell_case {
    vly_cell_kind kind;
    const char *direction; /* NULL: forward */
    int64_t batch;
    bool has_bias, has_state, batch_first, swaps, linear_before_reset;
    const char *attr; /* one more, which no fused step does */
    const char *acts; /* [a, b ...]: the same for each gate; NULL: as ONNX says */
    bool has_lens;
} cell_case;

static int64_t dirs_of(const cell_case *k)
{
    return k->direction != NULL && strcmp(k->direction, "bidirectional") == 0 ? 2 : 1;
}

static void fill(float *p, int64_t n, float range)
{
    static uint32_t state = 1;

    assert_true(n <= FLOATS_MAX);
    for (int64_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        p[i] = ((float)(state >> 8) * 0x1p-23f - 1.0f) * range;
    }
}

/* Everything a case needs, random. */
typedef struct cell_data {
    float x[FLOATS_MAX], swapped[FLOATS_MAX]; /* x with time and batch swapped */
    float w[FLOATS_MAX], r[FLOATS_MAX], b[FLOATS_MAX], h[FLOATS_MAX], c[FLOATS_MAX];
    int32_t lens[64];
    vly_shape x_shape, swapped_shape, w_shape, r_shape, b_shape, state_shape, y_shape;
} cell_data;

static cell_data *data_new(const cell_case *k)
{
    cell_data *d = vly_calloc(VLY_MEM_BASE, 1, sizeof(*d));
    int64_t dirs = dirs_of(k), hidden = HIDDEN, rows = vly_cell_gates(k->kind) * hidden;
    int64_t first = k->batch_first ? k->batch : STEPS, second = k->batch_first ? STEPS : k->batch;

    assert_non_null(d);
    d->x_shape = VLY_SHAPE(first, second, INPUT);
    d->swapped_shape = VLY_SHAPE(second, first, INPUT);
    d->w_shape = VLY_SHAPE(dirs, rows, INPUT);
    d->r_shape = VLY_SHAPE(dirs, rows, HIDDEN);
    d->b_shape = VLY_SHAPE(dirs, 2 * rows);
    d->state_shape =
        k->batch_first ? VLY_SHAPE(k->batch, dirs, HIDDEN) : VLY_SHAPE(dirs, k->batch, HIDDEN);
    d->y_shape = k->batch_first ? VLY_SHAPE(k->batch, STEPS, dirs, HIDDEN)
                                : VLY_SHAPE(STEPS, dirs, k->batch, HIDDEN);
    fill(d->x, first * second * INPUT, 1.0f);
    for (int64_t i = 0; i < first * second; i++)
        memcpy(d->swapped + (i % second * first + i / second) * INPUT, d->x + i * INPUT,
               INPUT * sizeof(float));
    fill(d->w, dirs * rows * INPUT, 0.5f);
    fill(d->r, dirs * rows * HIDDEN, 1.0f / HIDDEN);
    fill(d->b, dirs * 2 * rows, 0.5f);
    fill(d->h, dirs * k->batch * HIDDEN, 1.0f);
    fill(d->c, dirs * k->batch * HIDDEN, 1.0f);
    for (int64_t i = 0; i < k->batch; i++)
        d->lens[i] = STEPS - 1;
    return d;
}

/* ---- the operator ------------------------------------------------------------------------- */

static void run_plain(const cell_case *k, const cell_data *d, op_case *c)
{
    oc_init(c, op_names[k->kind], 14);
    oc_int(c, "hidden_size", HIDDEN);
    if (k->direction != NULL)
        oc_string(c, "direction", k->direction);
    if (k->batch_first)
        oc_int(c, "layout", 1);
    if (k->linear_before_reset)
        oc_int(c, "linear_before_reset", 1);
    oc_in(c, VLY_DTYPE_F32, d->x_shape, d->x);
    oc_in(c, VLY_DTYPE_F32, d->w_shape, d->w);
    oc_in(c, VLY_DTYPE_F32, d->r_shape, d->r);
    if (k->has_bias)
        oc_in(c, VLY_DTYPE_F32, d->b_shape, d->b);
    else
        oc_omit(c);
    oc_omit(c);
    if (k->has_state) {
        oc_in(c, VLY_DTYPE_F32, d->state_shape, d->h);
        if (k->kind == VLY_CELL_LSTM)
            oc_in(c, VLY_DTYPE_F32, d->state_shape, d->c);
    }
    assert_int_equal(oc_run(c, k->kind == VLY_CELL_LSTM ? 3 : 2), VLY_OK);
}

/* ---- the model ---------------------------------------------------------------------------- */

static void add_output(onnx_builder *b, const char *name, const vly_shape *s)
{
    ob_output(b, name, OB_FLOAT, s->rank, s->dim);
}

static vly_model *model_of(const cell_case *k, const cell_data *d, onnx_builder *b)
{
    char inputs[64];
    bool is_lstm = k->kind == VLY_CELL_LSTM;
    const vly_shape *x = k->swaps ? &d->swapped_shape : &d->x_shape;
    vly_model *m = NULL;
    vly_err err = VLY_ERR_INIT;

    ob_init(b);
    ob_input(b, "x", OB_FLOAT, 3, x->dim);
    if (k->has_state)
        ob_input(b, "h0", OB_FLOAT, 3, d->state_shape.dim);
    if (k->has_state && is_lstm)
        ob_input(b, "c0", OB_FLOAT, 3, d->state_shape.dim);
    add_output(b, "y", &d->y_shape);
    add_output(b, "h1", &d->state_shape);
    if (is_lstm)
        add_output(b, "c1", &d->state_shape);
    ob_floats(b, "w", 3, d->w_shape.dim, d->w);
    ob_floats(b, "r", 3, d->r_shape.dim, d->r);
    if (k->has_bias)
        ob_floats(b, "b", 2, d->b_shape.dim, d->b);
    if (k->has_lens)
        ob_tensor(b, "lens", OB_INT32, 1, &k->batch, d->lens, (size_t)k->batch * sizeof(int32_t));
    if (k->swaps) {
        ob_node(b, "Transpose", "x", "turned");
        ob_attr_ints(b, "perm", 3, (int64_t[]){1, 0, 2});
    }
    snprintf(inputs, sizeof(inputs), "%s,w,r,%s,%s,%s,%s", k->swaps ? "turned" : "x",
             k->has_bias ? "b" : "", k->has_lens ? "lens" : "", k->has_state ? "h0" : "",
             k->has_state && is_lstm ? "c0" : "");
    size_t n = strlen(inputs);
    while (inputs[n - 1] == ',')
        inputs[--n] = '\0';
    ob_node(b, op_names[k->kind], inputs, is_lstm ? "y,h1,c1" : "y,h1");
    ob_attr_int(b, "hidden_size", HIDDEN);
    if (k->direction != NULL)
        ob_attr_string(b, "direction", k->direction);
    if (k->batch_first)
        ob_attr_int(b, "layout", 1);
    if (k->linear_before_reset)
        ob_attr_int(b, "linear_before_reset", 1);
    if (k->attr != NULL && strcmp(k->attr, "clip") == 0)
        ob_attr_float(b, "clip", 0.3f);
    else if (k->attr != NULL)
        ob_attr_int(b, k->attr, 1);
    if (k->acts != NULL)
        ob_attr_strings(b, "activations", 1, &k->acts);
    vly_str file = ob_finish(b, 17);
    if (vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return m;
}

static size_t inputs_of(const cell_case *k, cell_data *d, vly_tensor in[3])
{
    size_t n = 1;

    in[0] = k->swaps ? vly_tensor_borrow(VLY_DTYPE_F32, &d->swapped_shape, d->swapped)
                     : vly_tensor_borrow(VLY_DTYPE_F32, &d->x_shape, d->x);
    if (k->has_state)
        in[n++] = vly_tensor_borrow(VLY_DTYPE_F32, &d->state_shape, d->h);
    if (k->has_state && k->kind == VLY_CELL_LSTM)
        in[n++] = vly_tensor_borrow(VLY_DTYPE_F32, &d->state_shape, d->c);
    return n;
}

/* Runs the model; the answer is in out. Returns whether its only step is a fused cell. */
static bool run_model(const cell_case *k, cell_data *d, vly_tensor out[3])
{
    onnx_builder b;
    vly_model *m = model_of(k, d, &b);
    vly_instance *inst;
    vly_plan_summary plan;
    vly_step_profile steps[STEPS_MAX];
    vly_tensor in[3];
    vly_err err = VLY_ERR_INIT;
    uint64_t before = 0;
    int n_out = k->kind == VLY_CELL_LSTM ? 3 : 2;

    inputs_of(k, d, in);
    assert_int_equal(vly_instance_new(m, NULL, &inst, &err), VLY_OK);
    assert_int_equal(vly_instance_plan(inst, NULL, &plan, &err), VLY_OK);
    assert_in_range(plan.n_steps, 1, STEPS_MAX);
    assert_int_equal(vly_instance_profile(inst, in, out, steps, &err), VLY_OK);
    bool is_fused = plan.n_steps == 1 && strncmp(steps[0].kernel, kernel_names[k->kind],
                                                 strlen(kernel_names[k->kind])) == 0;
    assert_true(steps[plan.n_steps - 1].flops > 0);
    for (int i = 0; i < 5; i++) { /* steady state allocates nothing */
        for (int o = 0; o < n_out; o++)
            vly_tensor_release(&out[o]);
        if (i == 1)
            before = vly_mem_count_all();
        assert_int_equal(vly_instance_run(inst, in, out, &err), VLY_OK);
    }
    assert_int_equal(vly_mem_count_all(), before);
    vly_instance_free(inst);
    vly_model_unref(m);
    ob_release(&b);
    return is_fused;
}

static void check_case(const cell_case *k)
{
    cell_data *d = data_new(k);
    op_case plain;
    vly_tensor out[3];
    int n_out = k->kind == VLY_CELL_LSTM ? 3 : 2;

    assert_int_equal(run_model(k, d, out), vly_cell_choose(vly_cpu_flags()) != NULL);
    run_plain(k, d, &plain);
    for (int o = 0; o < n_out; o++) {
        const float *got = out[o].data, *want = plain.out[o].data;
        assert_true(vly_shape_eq(&out[o].shape, &plain.out[o].shape));
        for (size_t i = 0; i < vly_tensor_count(&out[o]); i++)
            if (!(fabsf(got[i] - want[i]) <= 5e-6f))
                fail_msg("%s %s, batch %d, output %d, element %zu: %.9g, expected %.9g",
                         op_names[k->kind], k->direction != NULL ? k->direction : "forward",
                         (int)k->batch, o, i, (double)got[i], (double)want[i]);
        vly_tensor_release(&out[o]);
    }
    oc_free(&plain);
    vly_free(d);
}

static void test_matches_operator(void **state)
{
    static const char *const directions[] = {NULL, "reverse", "bidirectional"};
    static const int64_t batches[] = {1, 2, 7, 40};

    (void)state;
    for (unsigned i = 0; i < 3 * 3 * 4 * 32; i++) {
        unsigned bits = i / 36;
        cell_case k = {.kind = (vly_cell_kind)(i % 3),
                       .direction = directions[i / 3 % 3],
                       .batch = batches[i / 9 % 4],
                       .has_bias = (bits & 1) != 0,
                       .has_state = (bits & 2) != 0,
                       .batch_first = (bits & 4) != 0,
                       .swaps = (bits & 8) != 0,
                       .linear_before_reset = (bits & 16) != 0 && i % 3 == VLY_CELL_GRU};
        check_case(&k);
    }
}

/* What no packed kernel does stays with the operator. */
static void test_unusual_is_left_alone(void **state)
{
    static const cell_case cases[] = {
        {.kind = VLY_CELL_GRU, .batch = 2, .attr = "clip"},
        {.kind = VLY_CELL_LSTM, .batch = 2, .attr = "input_forget"},
        {.kind = VLY_CELL_RNN, .batch = 2, .acts = "Sigmoid"},
        {.kind = VLY_CELL_RNN, .batch = 2, .has_lens = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cell_data *d = data_new(&cases[i]);
        vly_tensor out[3];
        assert_false(run_model(&cases[i], d, out));
        for (int o = 0; o < (cases[i].kind == VLY_CELL_LSTM ? 3 : 2); o++)
            vly_tensor_release(&out[o]);
        vly_free(d);
    }
}

/* All weights 0: GRU halves its state each step; LSTM halves c, and h = tanh(c) / 2. */
static void test_by_hand(void **state)
{
    (void)state;
    for (int kind = VLY_CELL_GRU; kind <= VLY_CELL_LSTM; kind++) {
        cell_case k = {.kind = (vly_cell_kind)kind, .batch = 1, .has_state = true};
        cell_data *d = data_new(&k);
        vly_tensor out[3];
        memset(d->w, 0, sizeof(d->w));
        memset(d->r, 0, sizeof(d->r));
        for (int i = 0; i < HIDDEN; i++)
            d->h[i] = d->c[i] = 0.8f;
        run_model(&k, d, out);
        for (int t = 0; t < STEPS; t++) {
            float left = 0.8f / (float)(2 << t);
            float want = kind == VLY_CELL_GRU ? left : 0.5f * tanhf(left);
            for (int i = 0; i < HIDDEN; i++)
                assert_true(fabsf(((float *)out[0].data)[t * HIDDEN + i] - want) <= 1e-6f);
        }
        for (int o = 0; o < (kind == VLY_CELL_LSTM ? 3 : 2); o++)
            vly_tensor_release(&out[o]);
        vly_free(d);
    }
}

UNIT_TESTS(cmocka_unit_test(test_matches_operator), cmocka_unit_test(test_unusual_is_left_alone),
           cmocka_unit_test(test_by_hand))

/* SPDX-License-Identifier: MIT */
/*
 * Recurrent cells of the level in use against sums in double: the packed kernel where there is one
 * (vly_cell_choose), and vly_cell_forward. Random sizes around the width of vectors and tiles,
 * strides with gaps, ranges of the sequences; what is not an output must keep its pattern.
 *
 * Bound: a sum of up to 190 products below 1 / 4 each rounds to within 2e-6 of the true one, a
 * gate's function adds 3e-7, and a step passes on less error than it was given, for the sums of
 * absolute values of each row of r are below 1: 5e-6 in all, in states of at most 1, and twice
 * that in LSTM's c, which gathers those of its steps.
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/gemm.h"
#include "dsp/recurrent.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TRIALS = 300, STEPS_MAX = 9, ROWS_MAX = 120, HIDDEN_MAX = 130, INPUT_MAX = 60 };

static const float pattern = -77.0f;
static const double bound = 5e-6;

static uint32_t random_state = 1;

static int random_below(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((uint64_t)(random_state >> 8) * (uint64_t)n >> 24);
}

static float random_float(float range)
{
    return ((float)random_below(1 << 24) * 0x1p-23f - 1.0f) * range;
}

static float *floats_new(int64_t n)
{
    float *p = vly_alloc_aligned(VLY_MEM_BASE, (size_t)n * sizeof(*p) + 1);
    assert_non_null(p);
    return p;
}

static float *random_floats(int64_t n, float range)
{
    float *p = floats_new(n);
    for (int64_t i = 0; i < n; i++)
        p[i] = random_float(range);
    return p;
}

static float *pattern_floats(int64_t n)
{
    float *p = floats_new(n);
    for (int64_t i = 0; i < n; i++)
        p[i] = pattern;
    return p;
}

/* ---- the reference ------------------------------------------------------------------------ */

typedef struct weights {
    vly_cell_desc d;
    float *w, *r, *b; /* b NULL: zero */
} weights;

static double sigmoid(double v)
{
    return 1.0 / (1.0 + exp(-v));
}

/* bias + w . x of row i; side 0: the input's, 1: the state's */
static double side(const weights *k, int which, int64_t i, const double *x)
{
    int64_t n = which == 0 ? k->d.input : k->d.hidden;
    int64_t rows = vly_cell_gates(k->d.kind) * k->d.hidden;
    const float *m = (which == 0 ? k->w : k->r) + i * n;
    double sum = k->b != NULL ? (double)k->b[which * rows + i] : 0.0;

    for (int64_t j = 0; j < n; j++)
        sum += (double)m[j] * x[j];
    return sum;
}

static void step_gru(const weights *k, const double *x, double *h)
{
    int64_t n = k->d.hidden;
    double z[HIDDEN_MAX], r[HIDDEN_MAX], reset[HIDDEN_MAX] = {0}, next[HIDDEN_MAX];

    for (int64_t i = 0; i < n; i++) {
        z[i] = sigmoid(side(k, 0, i, x) + side(k, 1, i, h));
        r[i] = sigmoid(side(k, 0, n + i, x) + side(k, 1, n + i, h));
    }
    for (int64_t i = 0; i < n; i++)
        reset[i] = r[i] * h[i];
    for (int64_t i = 0; i < n; i++) {
        double from = k->d.linear_before_reset ? r[i] * side(k, 1, 2 * n + i, h)
                                               : side(k, 1, 2 * n + i, reset);
        next[i] = (1.0 - z[i]) * tanh(side(k, 0, 2 * n + i, x) + from) + z[i] * h[i];
    }
    memcpy(h, next, (size_t)n * sizeof(*h));
}

static void step_lstm(const weights *k, const double *x, double *h, double *c)
{
    int64_t n = k->d.hidden;
    double g[4][HIDDEN_MAX] = {0};

    for (int64_t i = 0; i < 4 * n; i++)
        g[i / n][i % n] = side(k, 0, i, x) + side(k, 1, i, h);
    for (int64_t i = 0; i < n; i++) {
        c[i] = sigmoid(g[2][i]) * c[i] + sigmoid(g[0][i]) * tanh(g[3][i]);
        h[i] = sigmoid(g[1][i]) * tanh(c[i]);
    }
}

static void step_rnn(const weights *k, const double *x, double *h)
{
    double next[HIDDEN_MAX];

    for (int64_t i = 0; i < k->d.hidden; i++) {
        double v = side(k, 0, i, x) + side(k, 1, i, h);
        next[i] = k->d.is_relu ? fmax(v, 0.0) : tanh(v);
    }
    memcpy(h, next, (size_t)k->d.hidden * sizeof(*h));
}

static void step_true(const weights *k, const float *x, double *h, double *c)
{
    double wide[INPUT_MAX] = {0};

    for (int64_t i = 0; i < k->d.input; i++)
        wide[i] = (double)x[i];
    if (k->d.kind == VLY_CELL_GRU)
        step_gru(k, wide, h);
    else if (k->d.kind == VLY_CELL_LSTM)
        step_lstm(k, wide, h, c);
    else
        step_rnn(k, wide, h);
}

/* ---- a trial ------------------------------------------------------------------------------ */

static weights random_weights(void)
{
    static const int hiddens[] = {1,  2,  7,  8,  9,  15, 16, 17, 24,
                                  31, 32, 33, 48, 49, 64, 65, 80, 130};
    static const int inputs[] = {1, 2, 3, 6, 8, 16, 17, 60};
    weights k = {.d = {.kind = (vly_cell_kind)random_below(3),
                       .input = inputs[random_below(8)],
                       .hidden = hiddens[random_below(18)],
                       .linear_before_reset = random_below(2) != 0}};
    int64_t rows = vly_cell_gates(k.d.kind) * k.d.hidden;

    k.d.is_relu = k.d.kind == VLY_CELL_RNN && random_below(2) != 0;
    k.w = random_floats(rows * k.d.input, 2.0f / (float)k.d.input);
    k.r = random_floats(rows * k.d.hidden, 1.0f / (float)k.d.hidden);
    k.b = random_below(4) > 0 ? random_floats(2 * rows, 0.5f) : NULL;
    return k;
}

static void weights_free(weights *k)
{
    vly_free(k->w);
    vly_free(k->r);
    vly_free(k->b);
}

/* Sequences begin..end are computed; the buffers hold `rows` of them. */
typedef struct trial {
    weights k;
    vly_cell_call call;
    int64_t rows, begin, end;
    int64_t n_y, n_states;
    float *x, *h, *c;
} trial;

static trial trial_new(void)
{
    trial t = {.k = random_weights(), .rows = 1 + random_below(random_below(2) ? 8 : ROWS_MAX)};
    vly_cell_call *call = &t.call;
    int64_t gap = random_below(2) > 0 ? random_below(20) : 0, steps = 1 + random_below(STEPS_MAX);
    bool batch_first = random_below(2) != 0;

    t.begin = random_below(2) > 0 ? random_below((int)t.rows) : 0;
    t.end = t.rows - (random_below(2) > 0 ? random_below((int)(t.rows - t.begin)) : 0);
    call->steps = steps;
    call->reverse = random_below(2) != 0;
    call->x_row = (t.k.d.input + gap) * (batch_first ? steps : 1);
    call->x_step = (t.k.d.input + gap) * (batch_first ? 1 : t.rows);
    call->y_row = (t.k.d.hidden + gap) * (batch_first ? steps : 1);
    call->y_step = (t.k.d.hidden + gap) * (batch_first ? 1 : t.rows);
    call->state_row = call->last_row = t.k.d.hidden + gap;
    t.n_y = steps * t.rows * (t.k.d.hidden + gap);
    t.n_states = t.rows * call->state_row;
    t.x = random_floats(steps * t.rows * (t.k.d.input + gap), 1.0f);
    t.h = random_floats(t.n_states, 1.0f);
    t.c = random_floats(t.n_states, 1.0f);
    call->x = t.x;
    call->h = random_below(2) ? t.h : NULL;
    call->c = random_below(2) ? t.c : NULL;
    call->y = random_below(4) > 0 ? pattern_floats(t.n_y) : NULL;
    call->h_last = call->y == NULL || random_below(2) ? pattern_floats(t.n_states) : NULL;
    call->c_last = random_below(2) ? pattern_floats(t.n_states) : NULL;
    return t;
}

static void trial_free(trial *t)
{
    weights_free(&t->k);
    vly_free(t->x);
    vly_free(t->h);
    vly_free(t->c);
    vly_free(t->call.y);
    vly_free(t->call.h_last);
    vly_free(t->call.c_last);
}

/* n values at `at` are those wanted; they become the pattern. */
static void check(const trial *t, float *at, const double *want, double within)
{
    for (int64_t i = 0; at != NULL && i < t->k.d.hidden; i++) {
        if (!(fabs((double)at[i] - want[i]) <= within))
            fail_msg("kind %d, %d-%d, %d of %d sequences, unit %d: %.9g, expected %.9g",
                     (int)t->k.d.kind, (int)t->k.d.input, (int)t->k.d.hidden,
                     (int)(t->end - t->begin), (int)t->rows, (int)i, (double)at[i], want[i]);
        at[i] = pattern;
    }
}

static void check_untouched(const float *p, int64_t n)
{
    for (int64_t i = 0; p != NULL && i < n; i++)
        assert_true(p[i] == pattern);
}

static void check_trial(const trial *t)
{
    const vly_cell_call *call = &t->call;
    int64_t n = t->k.d.hidden;

    for (int64_t row = t->begin; row < t->end; row++) {
        double h[HIDDEN_MAX] = {0}, c[HIDDEN_MAX] = {0};
        for (int64_t i = 0; i < n; i++) {
            h[i] = call->h != NULL ? (double)call->h[row * call->state_row + i] : 0.0;
            c[i] = call->c != NULL ? (double)call->c[row * call->state_row + i] : 0.0;
        }
        for (int64_t s = 0; s < call->steps; s++) {
            int64_t at = call->reverse ? call->steps - 1 - s : s;
            step_true(&t->k, call->x + row * call->x_row + at * call->x_step, h, c);
            if (call->y != NULL)
                check(t, call->y + row * call->y_row + at * call->y_step, h, bound);
        }
        if (call->h_last != NULL)
            check(t, call->h_last + row * call->last_row, h, bound);
        if (call->c_last != NULL && t->k.d.kind == VLY_CELL_LSTM)
            check(t, call->c_last + row * call->last_row, c, 2.0 * bound);
    }
    check_untouched(call->y, t->n_y);
    check_untouched(call->h_last, t->n_states);
    check_untouched(call->c_last, t->n_states);
}

static void run_packed(const vly_cell_kernel *kernel, trial *t)
{
    void *packed = vly_alloc_aligned(VLY_MEM_BASE, kernel->packed_bytes(&t->k.d));
    void *scratch = vly_alloc_aligned(VLY_MEM_BASE, kernel->scratch_bytes(&t->k.d));

    assert_non_null(packed);
    assert_non_null(scratch);
    kernel->pack(&t->k.d, t->k.w, t->k.r, t->k.b, packed);
    t->call.desc = &t->k.d;
    t->call.packed = packed;
    kernel->run(&t->call, t->begin, t->end, scratch);
    vly_free(packed);
    vly_free(scratch);
}

/* The same by the cell that does everything. */
static void run_plain(trial *t)
{
    const vly_cell_call *call = &t->call;
    const vly_gate_fn first = t->k.d.kind != VLY_CELL_RNN ? VLY_GATE_SIGMOID
                              : t->k.d.is_relu            ? VLY_GATE_RELU
                                                          : VLY_GATE_TANH;
    vly_gemm_dsp dsp;
    float h[HIDDEN_MAX], c[HIDDEN_MAX];
    float *scratch = floats_new((int64_t)vly_cell_scratch(t->k.d.kind, t->k.d.hidden));
    size_t bytes = (size_t)t->k.d.hidden * sizeof(float);

    vly_gemm_dsp_init(&dsp, vly_cpu_flags());
    vly_cell cell = {.kind = t->k.d.kind,
                     .input = t->k.d.input,
                     .hidden = t->k.d.hidden,
                     .w = t->k.w,
                     .r = t->k.r,
                     .b = t->k.b,
                     .act = {{.fn = first}, {.fn = VLY_GATE_TANH}, {.fn = VLY_GATE_TANH}},
                     .clip = INFINITY,
                     .linear_before_reset = t->k.d.linear_before_reset,
                     .dot = dsp.dot_f32};
    for (int64_t row = t->begin; row < t->end; row++) {
        memset(h, 0, bytes);
        memset(c, 0, bytes);
        if (call->h != NULL)
            memcpy(h, call->h + row * call->state_row, bytes);
        if (call->c != NULL)
            memcpy(c, call->c + row * call->state_row, bytes);
        vly_cell_run run = {.len = call->steps,
                            .reverse = call->reverse,
                            .x = call->x + row * call->x_row,
                            .x_stride = call->x_step,
                            .y = call->y != NULL ? call->y + row * call->y_row : NULL,
                            .y_stride = call->y_step,
                            .h = h,
                            .c = c};
        vly_cell_forward(&cell, &run, scratch);
        if (call->h_last != NULL)
            memcpy(call->h_last + row * call->last_row, h, bytes);
        if (call->c_last != NULL && t->k.d.kind == VLY_CELL_LSTM)
            memcpy(call->c_last + row * call->last_row, c, bytes);
    }
    vly_free(scratch);
}

static void test_packed(void **state)
{
    const vly_cell_kernel *kernel = vly_cell_choose(vly_cpu_flags());

    (void)state;
    if (kernel == NULL) {
        print_message("# no packed recurrent cells at level %s\n", vly_cpu_level());
        skip();
    }
    for (int i = 0; i < TRIALS; i++) {
        trial t = trial_new();
        run_packed(kernel, &t);
        check_trial(&t);
        trial_free(&t);
    }
}

static void test_plain(void **state)
{
    (void)state;
    for (int i = 0; i < TRIALS / 10; i++) {
        trial t = trial_new();
        run_plain(&t);
        check_trial(&t);
        trial_free(&t);
    }
}

/* ---- gate functions ----------------------------------------------------------------------- */

/* tanh of n values by a cell whose weight is 1. */
static void tanh_of(const vly_cell_kernel *kernel, const float *x, float *y, int64_t n)
{
    weights k = {.d = {.kind = VLY_CELL_RNN, .input = 1, .hidden = 1},
                 .w = (float[]){1.0f},
                 .r = (float[]){0.0f}};
    trial t = {
        .k = k, .call = {.steps = 1, .x = x, .x_row = 1, .y = y, .y_row = 1}, .rows = n, .end = n};

    run_packed(kernel, &t);
}

static void test_tanh(void **state)
{
    enum { N = 4096, ROUNDS = 200 };
    const vly_cell_kernel *kernel = vly_cell_choose(vly_cpu_flags());
    static float x[N], y[N];

    (void)state;
    if (kernel == NULL) {
        print_message("# no packed recurrent cells at level %s\n", vly_cpu_level());
        skip();
    }
    for (int round = 0; round < ROUNDS; round++) {
        float range = exp2f((float)(random_below(40) - 20));
        for (int i = 0; i < N; i++)
            x[i] = random_float(range);
        tanh_of(kernel, x, y, N);
        for (int i = 0; i < N; i++)
            if (!(fabs((double)y[i] - tanh((double)x[i])) <= 3e-7))
                fail_msg("tanh(%.9g): %.9g", (double)x[i], (double)y[i]);
    }
    const float special[] = {INFINITY, -INFINITY, 1e38f, -1e38f, 88.0f, -88.0f, 0.0f};
    const float want[] = {1.0f, -1.0f, 1.0f, -1.0f, 1.0f, -1.0f, 0.0f};
    tanh_of(kernel, special, y, 7);
    for (int i = 0; i < 7; i++)
        assert_true(fabsf(y[i] - want[i]) <= 3e-7f);
    tanh_of(kernel, (float[]){NAN}, y, 1);
    assert_true(isnan(y[0]));
}

UNIT_TESTS(cmocka_unit_test(test_packed), cmocka_unit_test(test_plain), cmocka_unit_test(test_tanh))

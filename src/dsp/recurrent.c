/* SPDX-License-Identifier: MIT */
#include "dsp/recurrent.h"

#if defined(__x86_64__)
#include "dsp/x86/recurrent_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#endif

#include <math.h>
#include <string.h>

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static float activate(const vly_gate_act *a, float x)
{
    switch (a->fn) {
    case VLY_GATE_SIGMOID:
        return sigmoid(x);
    case VLY_GATE_TANH:
        return tanhf(x);
    case VLY_GATE_RELU:
        return x > 0.0f ? x : 0.0f;
    case VLY_GATE_AFFINE:
        return a->alpha * x + a->beta;
    case VLY_GATE_LEAKY_RELU:
        return x >= 0.0f ? x : a->alpha * x;
    case VLY_GATE_THRESHOLDED_RELU:
        return x > a->alpha ? x : 0.0f;
    case VLY_GATE_SCALED_TANH:
        return a->alpha * tanhf(a->beta * x);
    case VLY_GATE_HARD_SIGMOID:
        return fminf(fmaxf(a->alpha * x + a->beta, 0.0f), 1.0f);
    case VLY_GATE_ELU:
        return x >= 0.0f ? x : a->alpha * expm1f(x);
    case VLY_GATE_SOFTSIGN:
        return x / (1.0f + fabsf(x));
    case VLY_GATE_SOFTPLUS:
        return x > 0.0f ? x + log1pf(expf(-x)) : log1pf(expf(x));
    }
    return x;
}

static float gate(const vly_cell *cell, int act, float x)
{
    x = x > cell->clip ? cell->clip : x;
    x = x < -cell->clip ? -cell->clip : x;
    return activate(&cell->act[act], x);
}

int vly_cell_gates(vly_cell_kind kind)
{
    return kind == VLY_CELL_RNN ? 1 : kind == VLY_CELL_GRU ? 3 : 4;
}

size_t vly_cell_scratch(vly_cell_kind kind, int64_t hidden)
{
    return (size_t)(vly_cell_gates(kind) + 1) * (size_t)hidden; /* gates and one more row */
}

/* out[i] = bias + w[i] . x (input side, rows begin..end of all gates). */
static void from_input(const vly_cell *cell, const float *x, int64_t rows, float *out)
{
    for (int64_t i = 0; i < rows; i++) {
        out[i] = cell->dot(cell->w + i * cell->input, x, (size_t)cell->input);
        if (cell->b != NULL)
            out[i] += cell->b[i];
    }
}

/* Recurrent side of row i of all gates: bias + r[i] . h. */
static float from_state(const vly_cell *cell, const float *h, int64_t i)
{
    int64_t rows = vly_cell_gates(cell->kind) * cell->hidden;
    float v = cell->dot(cell->r + i * cell->hidden, h, (size_t)cell->hidden);
    return cell->b != NULL ? v + cell->b[rows + i] : v;
}

static void rnn_step(const vly_cell *cell, float *gates, float *h)
{
    int64_t n = cell->hidden;

    for (int64_t i = 0; i < n; i++)
        gates[i] = gate(cell, 0, gates[i] + from_state(cell, h, i));
    memcpy(h, gates, (size_t)n * sizeof(*h));
}

/* gates: [z r h][hidden] and one more row. */
static void gru_step(const vly_cell *cell, float *gates, float *h)
{
    int64_t n = cell->hidden;
    float *z = gates, *r = gates + n, *candidate = gates + 2 * n, *reset_h = gates + 3 * n;

    for (int64_t i = 0; i < 2 * n; i++)
        gates[i] = gate(cell, 0, gates[i] + from_state(cell, h, i));
    for (int64_t i = 0; i < n; i++)
        reset_h[i] = cell->linear_before_reset ? h[i] : r[i] * h[i];
    for (int64_t i = 0; i < n; i++) {
        float state = from_state(cell, reset_h, 2 * n + i);
        candidate[i] =
            gate(cell, 1, candidate[i] + (cell->linear_before_reset ? r[i] * state : state));
    }
    for (int64_t i = 0; i < n; i++)
        h[i] = (1.0f - z[i]) * candidate[i] + z[i] * h[i];
}

static float peep(const vly_cell *cell, int row, const float *c, int64_t i)
{
    return cell->p != NULL ? cell->p[row * cell->hidden + i] * c[i] : 0.0f;
}

/* gates: [i o f c][hidden]. */
static void lstm_step(const vly_cell *cell, float *gates, float *h, float *c)
{
    int64_t n = cell->hidden;
    float *in = gates, *out = gates + n, *forget = gates + 2 * n, *candidate = gates + 3 * n;

    for (int64_t i = 0; i < 4 * n; i++)
        gates[i] += from_state(cell, h, i);
    for (int64_t i = 0; i < n; i++) {
        float a = gate(cell, 0, in[i] + peep(cell, 0, c, i));
        float f = cell->input_forget ? 1.0f - a : gate(cell, 0, forget[i] + peep(cell, 2, c, i));
        c[i] = f * c[i] + a * gate(cell, 1, candidate[i]);
        h[i] = gate(cell, 0, out[i] + peep(cell, 1, c, i)) * activate(&cell->act[2], c[i]);
    }
}

void vly_cell_forward(const vly_cell *cell, const vly_cell_run *run, float *scratch)
{
    int64_t rows = vly_cell_gates(cell->kind) * cell->hidden;

    for (int64_t step = 0; step < run->len; step++) {
        int64_t t = run->reverse ? run->len - 1 - step : step;
        from_input(cell, run->x + t * run->x_stride, rows, scratch);
        if (cell->kind == VLY_CELL_LSTM)
            lstm_step(cell, scratch, run->h, run->c);
        else if (cell->kind == VLY_CELL_GRU)
            gru_step(cell, scratch, run->h);
        else
            rnn_step(cell, scratch, run->h);
        if (run->y != NULL)
            memcpy(run->y + t * run->y_stride, run->h, (size_t)cell->hidden * sizeof(*run->h));
    }
}

const vly_cell_kernel *vly_cell_choose(unsigned cpu_flags)
{
#if defined(__x86_64__)
    return vly_cell_choose_x86(cpu_flags);
#elif defined(__aarch64__)
    return vly_cell_choose_arm(cpu_flags);
#else
    (void)cpu_flags;
    return NULL;
#endif
}

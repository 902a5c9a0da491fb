/* SPDX-License-Identifier: MIT */
/*
 * Recurrent cells of ONNX: RNN, GRU, LSTM. One direction of one sequence at a time; sequences and
 * directions are independent, so the caller may spread them over threads.
 *
 * Weights are ONNX's: w [gates * hidden, input], r [gates * hidden, hidden], b [2 * gates * hidden]
 * (of w, then of r), gates in the order RNN: i, GRU: z r h, LSTM: i o f c; peepholes p [3 *
 * hidden], order i o f.
 */
#ifndef VLY_DSP_RECURRENT_H
#define VLY_DSP_RECURRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_cell_kind { VLY_CELL_RNN, VLY_CELL_GRU, VLY_CELL_LSTM } vly_cell_kind;

typedef enum vly_gate_fn {
    VLY_GATE_SIGMOID,
    VLY_GATE_TANH,
    VLY_GATE_RELU,
    VLY_GATE_AFFINE,
    VLY_GATE_LEAKY_RELU,
    VLY_GATE_THRESHOLDED_RELU,
    VLY_GATE_SCALED_TANH,
    VLY_GATE_HARD_SIGMOID,
    VLY_GATE_ELU,
    VLY_GATE_SOFTSIGN,
    VLY_GATE_SOFTPLUS,
} vly_gate_fn;

typedef struct vly_gate_act {
    vly_gate_fn fn;
    float alpha, beta;
} vly_gate_act;

typedef struct vly_cell {
    vly_cell_kind kind;
    int64_t input, hidden;
    const float *w, *r;
    const float *b;           /* NULL: zero */
    const float *p;           /* LSTM: NULL: no peepholes */
    vly_gate_act act[3];      /* RNN: f; GRU: f g; LSTM: f g h */
    float clip;               /* the input of an activation is held within +-clip; INFINITY: not */
    bool linear_before_reset; /* GRU */
    bool input_forget;        /* LSTM: forget gate = 1 - input gate */
    float (*dot)(const float *a, const float *b, size_t n); /* vly_gemm_dsp.dot_f32 */
} vly_cell;

/* One sequence. Step t reads x + t * x_stride and writes y + t * y_stride (y NULL: nothing). */
typedef struct vly_cell_run {
    int64_t len;  /* steps */
    bool reverse; /* from the last step to the first */
    const float *x;
    int64_t x_stride;
    float *y;
    int64_t y_stride;
    float *h; /* [hidden]: the initial state, then the last one */
    float *c; /* [hidden], LSTM: likewise */
} vly_cell_run;

int vly_cell_gates(vly_cell_kind kind); /* 1, 3 or 4 */
/* Floats of scratch that vly_cell_forward needs. */
size_t vly_cell_scratch(vly_cell_kind kind, int64_t hidden);
void vly_cell_forward(const vly_cell *cell, const vly_cell_run *run, float *scratch);

#endif

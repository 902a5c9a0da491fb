/* SPDX-License-Identifier: MIT */
/*
 * Recurrent cells of ONNX: RNN, GRU, LSTM, in two ways. vly_cell_forward does everything that ONNX
 * knows, one sequence at a time. A vly_cell_kernel does the usual cells on weights packed once, for
 * many sequences at a time. Sequences and directions are independent, so the caller may spread them
 * over threads.
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

/* ---- many sequences, weights packed once -------------------------------------------------- */

/* A cell with the activations that ONNX has by default (RNN: or Relu), without clip, peepholes and
 * input_forget. Sizes are > 0. */
typedef struct vly_cell_desc {
    vly_cell_kind kind;
    int64_t input, hidden;
    bool linear_before_reset; /* GRU */
    bool is_relu;             /* RNN: Relu in place of Tanh */
} vly_cell_desc;

/* Strides are in floats; those named _row lead from one sequence to the next. */
typedef struct vly_cell_call {
    const vly_cell_desc *desc;
    const void *packed; /* what the kernel's pack made, 64-byte aligned */
    int64_t steps;
    bool reverse; /* from the last step to the first */
    const float *x;
    int64_t x_row, x_step;
    const float *h, *c; /* initial states; NULL: zero */
    int64_t state_row;
    float *y; /* of each step; NULL: nothing */
    int64_t y_row, y_step;
    float *h_last, *c_last; /* after the last step; NULL: nothing */
    int64_t last_row;
} vly_cell_call;

/* One row of constants and functions for each instruction set.
 *
 * Sums of products may be in any order, but a sequence's are the same whatever the range that it
 * is in. Sigmoid and tanh are within 1.5e-7 and 3e-7 of the true value at their float argument; NaN
 * gives NaN. Thread: any; ranges of one call may run at once, each with its own scratch. */
typedef struct vly_cell_kernel {
    const char *name;
    unsigned cpu_flags; /* all that it needs, base/cpu.h */
    size_t (*packed_bytes)(const vly_cell_desc *d);
    void (*pack)(const vly_cell_desc *d, const float *w, const float *r, const float *b,
                 void *packed);                      /* b NULL: zero */
    size_t (*scratch_bytes)(const vly_cell_desc *d); /* of one range, whatever its length */
    /* Sequences begin..end. scratch: 64-byte aligned */
    void (*run)(const vly_cell_call *call, int64_t begin, int64_t end, void *scratch);
} vly_cell_kernel;

/* The best that cpu_flags allow; NULL: none, vly_cell_forward it is. */
const vly_cell_kernel *vly_cell_choose(unsigned cpu_flags);

#endif

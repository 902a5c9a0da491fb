/* SPDX-License-Identifier: MIT */
/* What RNN, GRU and LSTM say in their attributes and shapes, for the operator and for fusion. */
#ifndef VLY_ENGINE_NATIVE_OPS_RNN_H
#define VLY_ENGINE_NATIVE_OPS_RNN_H

#include "dsp/recurrent.h"
#include "engine/op.h"

enum {
    VLY_RNN_X,
    VLY_RNN_W,
    VLY_RNN_R,
    VLY_RNN_B,
    VLY_RNN_LENS,
    VLY_RNN_H0,
    VLY_RNN_C0,
    VLY_RNN_P
};
enum { VLY_RNN_FORWARD, VLY_RNN_REVERSE, VLY_RNN_BOTH };

/* The op's params. */
typedef struct vly_rnn_params {
    vly_cell_kind kind;
    int direction;
    int64_t hidden;   /* 0: not given */
    bool batch_first; /* layout 1 */
    float clip;
    bool linear_before_reset, input_forget;
    vly_gate_act act[2][3]; /* per direction */
} vly_rnn_params;

typedef struct vly_rnn_sizes {
    int64_t steps, batch, input, hidden, dirs; /* VLY_DIM_UNKNOWN where not known */
} vly_rnn_sizes;

vly_rnn_sizes vly_rnn_sizes_of(const vly_op_ctx *ctx);

#endif

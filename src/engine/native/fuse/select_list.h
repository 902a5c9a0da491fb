/* SPDX-License-Identifier: MIT */
/*
 * The operators that fusion understands, one line each: what it makes of a step is written in
 *     bool vly_select_<name>(vly_fuser *z, const vly_step *step);
 * which makes items, or merges the step into one, and says true; or false, and the step stays as it
 * is.
 */
#ifndef VLY_ENGINE_NATIVE_FUSE_SELECT_LIST_H
#define VLY_ENGINE_NATIVE_FUSE_SELECT_LIST_H

#include "engine/native/fuse/ir.h"

#define VLY_FUSE_SELECTORS(X)                                                                      \
    X(Add, add)                                                                                    \
    X(AveragePool, mean_pool)                                                                      \
    X(BatchNormalization, batch_norm)                                                              \
    X(Clip, clip)                                                                                  \
    X(Concat, concat)                                                                              \
    X(Conv, conv)                                                                                  \
    X(DequantizeLinear, dequantize)                                                                \
    X(Flatten, reshape)                                                                            \
    X(GRU, recurrent)                                                                              \
    X(Gelu, gelu)                                                                                  \
    X(Gemm, gemm)                                                                                  \
    X(GlobalAveragePool, global_mean)                                                              \
    X(HardSigmoid, hard_sigmoid)                                                                   \
    X(HardSwish, hard_swish)                                                                       \
    X(LSTM, recurrent)                                                                             \
    X(LeakyRelu, leaky_relu)                                                                       \
    X(MatMul, matmul)                                                                              \
    X(MaxPool, max_pool)                                                                           \
    X(Mul, mul)                                                                                    \
    X(QuantizeLinear, quantize)                                                                    \
    X(RNN, recurrent)                                                                              \
    X(Relu, relu)                                                                                  \
    X(Reshape, reshape)                                                                            \
    X(Resize, resize)                                                                              \
    X(Sigmoid, sigmoid)                                                                            \
    X(Split, split)                                                                                \
    X(Squeeze, reshape)                                                                            \
    X(Sub, sub)                                                                                    \
    X(Tanh, tanh)                                                                                  \
    X(Unsqueeze, reshape)

#define VLY_SELECT_DECLARE(op, name) bool vly_select_##name(vly_fuser *z, const vly_step *step);
VLY_FUSE_SELECTORS(VLY_SELECT_DECLARE)
#undef VLY_SELECT_DECLARE

#endif

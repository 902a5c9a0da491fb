/* SPDX-License-Identifier: MIT */
/*
 * One line per family of operators: engine/native/ops/<family>.c defines
 *     const vly_op vly_ops_<family>[] = { {.name = "Relu", ...}, ..., {NULL} };
 */
#ifndef VLY_ENGINE_NATIVE_OP_LIST_H
#define VLY_ENGINE_NATIVE_OP_LIST_H

#include "engine/op.h"

#define VLY_OP_FAMILIES(X)                                                                         \
    X(activation)                                                                                  \
    X(arith)                                                                                       \
    X(cast)                                                                                        \
    X(clip)                                                                                        \
    X(compare)                                                                                     \
    X(conv)                                                                                        \
    X(conv_int)                                                                                    \
    X(conv_transpose)                                                                              \
    X(create)                                                                                      \
    X(cumulative)                                                                                  \
    X(einsum)                                                                                      \
    X(gather)                                                                                      \
    X(identity)                                                                                    \
    X(layer_norm)                                                                                  \
    X(layout)                                                                                      \
    X(logic)                                                                                       \
    X(loss)                                                                                        \
    X(math)                                                                                        \
    X(matmul)                                                                                      \
    X(matmul_int)                                                                                  \
    X(nms)                                                                                         \
    X(normalisation)                                                                               \
    X(order)                                                                                       \
    X(pool_ops)                                                                                    \
    X(pow)                                                                                         \
    X(qlinear)                                                                                     \
    X(quantisation)                                                                                \
    X(reduce)                                                                                      \
    X(resize)                                                                                      \
    X(rnn)                                                                                         \
    X(sampling)                                                                                    \
    X(scatter)                                                                                     \
    X(select)                                                                                      \
    X(shape)                                                                                       \
    X(signal)                                                                                      \
    X(slice)                                                                                       \
    X(softmax)                                                                                     \
    X(space)                                                                                       \
    X(strings)                                                                                     \
    X(transform)                                                                                   \
    X(where)

#define VLY_OP_DECLARE(family) extern const vly_op vly_ops_##family[];
VLY_OP_FAMILIES(VLY_OP_DECLARE)
#undef VLY_OP_DECLARE

#endif

/* SPDX-License-Identifier: MIT */
/* All layers: X(id, ops). The order is part of the checkpoint format: add at the end. */
#ifndef VLY_TRAIN_LAYER_LIST_H
#define VLY_TRAIN_LAYER_LIST_H

#define VLY_TRAIN_LAYERS(X)                                                                        \
    X(DENSE, vly_train_dense)                                                                      \
    X(CONV1D, vly_train_conv1d)                                                                    \
    X(GRU, vly_train_gru)                                                                          \
    X(LAYER_NORM, vly_train_layer_norm)                                                            \
    X(BATCH_NORM, vly_train_batch_norm)                                                            \
    X(DROPOUT, vly_train_dropout)                                                                  \
    X(RELU, vly_train_relu)                                                                        \
    X(TANH, vly_train_tanh)

#endif

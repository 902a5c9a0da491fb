/* SPDX-License-Identifier: MIT */
/*
 * Losses: mean over what counts, and their gradients by the numbers before the output function.
 * Targets may be soft: probabilities between 0 and 1. A weight of 0 masks its element.
 *
 * Each call handles a part of a batch and adds up; the mean is taken over the whole batch, so the
 * caller passes scale, usually 1 / the sum of the weights of all parts.
 */
#ifndef VLY_TRAIN_CROSS_ENTROPY_H
#define VLY_TRAIN_CROSS_ENTROPY_H

#include <stddef.h>

/* Sigmoid cross-entropy of n elements, each for itself. Returns the sum of weight * loss; grads [n]
 * = scale * its gradient. weights NULL: all 1. */
double vly_loss_sigmoid(const float *x, const float *targets, const float *weights, size_t n,
                        double scale, float *grads);

/* Softmax cross-entropy of rows of n_classes channels: - sum over classes of class_weights * target
 * * log p. weights [rows]; each NULL: all 1. Otherwise as above. */
double vly_loss_softmax(const float *x, const float *targets, const float *weights,
                        const float *class_weights, size_t rows, size_t n_classes, double scale,
                        float *grads);

/* What the mean is over: the sum of weights, and of weight * class weight * target. */
double vly_loss_sigmoid_weight(const float *weights, size_t n);
double vly_loss_softmax_weight(const float *targets, const float *weights,
                               const float *class_weights, size_t rows, size_t n_classes);

#endif

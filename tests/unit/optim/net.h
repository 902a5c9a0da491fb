/* SPDX-License-Identifier: MIT */
/* Small models and samples for the tests of this room. */
#ifndef VLY_TESTS_UNIT_OPTIM_NET_H
#define VLY_TESTS_UNIT_OPTIM_NET_H

#include "optim/samples.h"
#include "support/onnx_builder.h"

/* n samples of one float32 input: values run from lo to hi, another order for each sample. */
typedef struct net_samples {
    vly_samples base;
    vly_shape shape;
    float lo, hi;
    size_t n_got;
} net_samples;

void net_samples_init(net_samples *s, size_t n, vly_shape shape, float lo, float hi);

/* Runs the model on sample i; *ret is its first output, a copy to release. */
void net_run(vly_str file, const net_samples *s, size_t i, vly_tensor *ret);

/* Signal to noise of b against a, in decibels. */
double net_snr(const vly_tensor *a, const vly_tensor *b);

/* n_nodes of that type in a file. */
size_t net_count(vly_str file, const char *op);

/* An initialiser [n...] named w with values of a fixed pattern in -1..1. */
void net_weights(onnx_builder *b, const char *name, int n_dims, const int64_t *dims);

#endif

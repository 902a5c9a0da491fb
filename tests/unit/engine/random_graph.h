/* SPDX-License-Identifier: MIT */
/*
 * Random ONNX graphs of what fusion knows (convolution, batch norm, activations, sums, Concat,
 * Split, pools, Resize, Reshape, dense layers, Q and DQ) and of what it must leave alone, wired as
 * no exporter would: values read many times, Concats of Concats, outputs in the middle.
 *
 * Quantised graphs hold codes and weights whose scales are powers of two, so that float arithmetic
 * on them is exact and another order of sums changes nothing; `is_exact` tells whether that holds
 * for the whole graph.
 */
#ifndef VLY_TESTS_UNIT_ENGINE_RANDOM_GRAPH_H
#define VLY_TESTS_UNIT_ENGINE_RANDOM_GRAPH_H

#include "support/onnx_builder.h"

#include <stdbool.h>

enum { RG_VALUES_MAX = 64 };

typedef struct rg_value {
    int rank;
    int64_t dim[4];
    bool is_read;
    bool is_code; /* codes that fusion keeps as such: convolutions of them add integers */
} rg_value;

typedef struct random_graph {
    onnx_builder b;
    uint64_t state;
    bool is_quantised, is_exact;
    int n_values, n_constants;
    rg_value values[RG_VALUES_MAX]; /* named v0, v1 ... */
} random_graph;

/* The file; borrowed until rg_release. The same seed gives the same graph. */
vly_str rg_build(random_graph *g, uint64_t seed, bool is_quantised);
void rg_release(random_graph *g);

/* xorshift64*; [0, n). */
int rg_below(uint64_t *state, int n);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Inside of the quantiser: layers, the values they read, and the groups of values that share a
 * scale.
 *
 *   value --Q--> bytes --DQ--> layer (weights --DQ, bias --DQ)
 */
#ifndef VLY_OPTIM_QUANT_H
#define VLY_OPTIM_QUANT_H

#include "optim/edit.h"
#include "optim/layers.h"
#include "optim/quantize.h"

typedef struct vly_quant_node {
    vly_layer layer;
    size_t input; /* value, of vly_quantizer.values */
    double macs;
    int8_t *q;     /* the weights, in their tensor's own order */
    float *scale;  /* [n_channels] */
    double *shift; /* [n_channels] bias correction; NULL: none */
} vly_quant_node;

/* A value that is, or can be, quantised. */
typedef struct vly_quant_value {
    vly_str name;
    size_t parent;     /* union-find: values of one group share a scale */
    bool is_passed;    /* made by an operator that only moves values */
    vly_range range;   /* of the group, at its root */
    vly_tally *tally;  /* at the root */
    vly_affine affine; /* at the root */
    bool is_last;      /* channels are the last dimension, not the second */
    vly_channel_stats stats;
} vly_quant_value;

struct vly_quantizer {
    vly_edit edit;
    vly_quant_opts opts;
    vly_quant_layer *layers; /* [n_layers] what the caller sees */
    vly_quant_node *nodes;   /* [n_layers] */
    vly_quant_value *values; /* [n_values] */
    size_t n_layers, n_values;
    int64_t *value_of; /* [edit.n_values] -> values; -1 */
};

/* quant_find.c: fills layers, nodes and values. */
vly_status vly_quant__find(vly_quantizer *q, vly_err *err) VLY_MUST_CHECK;
size_t vly_quant__root(vly_quantizer *q, size_t value);
/* The inputs of a node whose values it only moves, if any: [*ret_first, *ret_end). */
bool vly_quant__moves(const vly_edit *e, const vly_onnx_node *node, size_t *ret_end);

/* quant_weights.c */
vly_status vly_quant__weights(vly_quantizer *q, vly_quant_node *n, vly_err *err) VLY_MUST_CHECK;

/* quant_write.c: pieces of the file, also used for calibration. */
vly_status vly_quant__add_input(const vly_quantizer *q, vly_edit *e, size_t value, vly_str *ret,
                                vly_err *err) VLY_MUST_CHECK; /* *ret: after Q and DQ */
vly_status vly_quant__add_weights(const vly_quantizer *q, vly_edit *e, const vly_quant_node *n,
                                  vly_str *ret, vly_err *err) VLY_MUST_CHECK;

#endif

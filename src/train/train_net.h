/* SPDX-License-Identifier: MIT */
/*
 * A net: a trunk of layers one behind the other, and heads that all read the trunk's result.
 *
 * The net is a description, immutable and shared by threads. Its numbers are two arrays that the
 * caller owns: parameters [n_params] and running statistics [n_running]. What one pass computes
 * lies on a tape, one for each thread:
 *
 *     vly_train_tape_forward(tape, &input);        x -> outputs of the heads
 *     ... a loss fills vly_train_tape_gradient(tape, head) from vly_train_tape_output(tape, head)
 *     vly_train_tape_backward(tape, grads);        grads += gradient by the parameters
 */
#ifndef VLY_TRAIN_TRAIN_NET_H
#define VLY_TRAIN_TRAIN_NET_H

#include "train/layer.h"

#define VLY_TRAIN_LAYERS_MAX 64 /* in a chain */
#define VLY_TRAIN_HEADS_MAX  8

/* What becomes of a head's numbers: by the loss in training, by a node of the ONNX file. */
typedef enum vly_train_output {
    VLY_TRAIN_LINEAR,
    VLY_TRAIN_SIGMOID, /* independent probabilities */
    VLY_TRAIN_SOFTMAX, /* one of the channels */
} vly_train_output;

/* Layers one behind the other. Borrowed while a net is made. */
typedef struct vly_train_chain_spec {
    const char *name; /* of a head: the output's name, at most 31 bytes */
    const vly_train_spec *layers;
    size_t n_layers;
    vly_train_output output; /* of a head */
} vly_train_chain_spec;

typedef struct vly_train_net_spec {
    int64_t in; /* channels */
    vly_train_chain_spec trunk;
    const vly_train_chain_spec *heads;
    size_t n_heads; /* >= 1 */
} vly_train_net_spec;

typedef struct vly_train_chain {
    char name[32];
    vly_train_output output;
    vly_train_layer *layers;
    size_t n_layers;
    int64_t in, out;
} vly_train_chain;

typedef struct vly_train_net {
    vly_train_chain trunk, heads[VLY_TRAIN_HEADS_MAX];
    size_t n_heads;
    size_t n_params, n_running;
    size_t n_state; /* floats of recurrent state for each sequence: all GRUs of the trunk */
    vly_train_layer layers[]; /* of all chains */
} vly_train_net;

/* EINVAL: a layer cannot be as asked, ELIMIT, ENOMEM. */
vly_status vly_train_net_new(const vly_train_net_spec *spec, vly_train_net **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_train_net_free(vly_train_net *net); /* accepts NULL */
/* First values of both arrays, from the seed. */
void vly_train_net_init(const vly_train_net *net, uint64_t seed, float *params, float *running);
/* A number that two nets share when their arrays mean the same. */
uint64_t vly_train_net_fingerprint(const vly_train_net *net);
/* Visits the layers in order: trunk, then heads. */
size_t vly_train_net_n_layers(const vly_train_net *net);

/* ---- one pass ------------------------------------------------------------------------------ */

typedef struct vly_train_tape vly_train_tape;

typedef struct vly_train_input {
    int64_t t, n;   /* at most what the tape was made for */
    const float *x; /* [t, n, in] */
    const float *params, *running;
    const float *state; /* [n_state / hidden, n, hidden]; NULL: zeroes */
    bool is_training;
    uint64_t seed;
} vly_train_input;

/* For passes of at most t frames of n sequences; the net outlives it. ENOMEM, ELIMIT. */
vly_status vly_train_tape_new(const vly_train_net *net, int64_t t, int64_t n, vly_train_tape **ret,
                              vly_err *err) VLY_MUST_CHECK;
void vly_train_tape_free(vly_train_tape *tape); /* accepts NULL */

/* Borrows what input points to until after backward. */
void vly_train_tape_forward(vly_train_tape *tape, const vly_train_input *input);
const float *vly_train_tape_output(const vly_train_tape *tape, size_t head); /* before its output */
float *vly_train_tape_gradient(vly_train_tape *tape, size_t head);
const float *vly_train_tape_state(const vly_train_tape *tape); /* after the last frame */
const float *vly_train_tape_seen(const vly_train_tape *tape);  /* [n_running], in training */
/* Every head's gradient has been filled in. Adds to grads [n_params]. dx [t, n, in] is written;
 * NULL: not wanted. */
void vly_train_tape_backward(vly_train_tape *tape, float *grads, float *dx);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Layers with their gradients. All work on [t, n, c]: t frames of n sequences, c channels, dense,
 * float32; a "row" is one frame of one sequence.
 *
 * A layer is a description: it owns no numbers. Its parameters are a range of the net's one array,
 * in the order weights (which weight decay pulls to zero), then the rest; its gradients are the
 * same range of another array. So the optimiser, a checkpoint and an average are loops over arrays.
 *
 * To add a layer: one file with a `const vly_train_layer_ops vly_train_<name>`, one line in
 * train/layer_list.h.
 *
 * Thread: passes of one layer may run at once, each with its own memory.
 */
#ifndef VLY_TRAIN_LAYER_H
#define VLY_TRAIN_LAYER_H

#include "base/rng.h"
#include "base/status.h"
#include "dsp/gemm.h"
#include "train/layer_list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_train_kind {
#define VLY_TRAIN_ID(id, ops) VLY_TRAIN_##id,
    VLY_TRAIN_LAYERS(VLY_TRAIN_ID)
#undef VLY_TRAIN_ID
        VLY_TRAIN_KINDS,
} vly_train_kind;

/* What a layer is asked to be. Fields that a kind does not name are 0. */
typedef struct vly_train_spec {
    vly_train_kind kind;
    int32_t out;                      /* channels: DENSE, CONV1D, GRU; others give what they get */
    int32_t kernel, dilation, groups; /* CONV1D; 0: 1 */
    bool is_same; /* CONV1D: looks as far ahead as back (odd kernels); else only back */
    float rate;   /* DROPOUT: share of channels that go; BATCH_NORM: weight of the newest batch */
} vly_train_spec;

#define VLY_TRAIN_CHANNELS_MAX 4096
#define VLY_TRAIN_KERNEL_MAX   64

typedef struct vly_train_layer_ops vly_train_layer_ops;

typedef struct vly_train_layer {
    const vly_train_layer_ops *ops;
    vly_train_spec spec;
    int64_t in, out;
    size_t n_weights, n_params;   /* of n_params the first n_weights decay */
    size_t n_running;             /* statistics of what was seen: BATCH_NORM */
    size_t params_at, running_at; /* in the net's arrays */
} vly_train_layer;

/* One pass. Pointers to parameters are to the layer's own range. Memory does not overlap. */
typedef struct vly_train_pass {
    const vly_gemm_kernel *kernel;
    int64_t t, n;
    bool is_training; /* dropout drops, batch norm looks at the batch */
    uint64_t seed;    /* of what is random in this pass */
    const float *params, *running;
    const float *x;     /* [t, n, in] */
    float *y;           /* [t, n, out]: forward writes, backward reads */
    float *cache;       /* [cache_floats]: forward writes, backward reads and may overwrite */
    float *scratch;     /* [scratch_floats], 64-byte aligned */
    const float *state; /* GRU [n, out]: before the first frame; NULL: zeroes */
    float *state_out;   /* GRU [n, out]: after the last; NULL: not wanted */
    float *seen;        /* [n_running]: this pass' statistics, in training */
    const float *dy;    /* backward only: gradient of the loss by y */
    float *dx;          /* by x, written; NULL: not wanted */
    float *grads;       /* by the parameters, added to */
} vly_train_pass;

struct vly_train_net_writer;

struct vly_train_layer_ops {
    const char *name; /* "conv1d" */
    /* Sets out and the counts from spec and in. EINVAL names what is wrong. */
    vly_status (*shape)(vly_train_layer *l, vly_err *err);
    /* Floats, multiples of 16; NULL: none. */
    size_t (*cache_floats)(const vly_train_layer *l, int64_t t, int64_t n);
    size_t (*scratch_floats)(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                             int64_t n);
    /* First values; NULL: there are no parameters. */
    void (*init)(const vly_train_layer *l, float *params, float *running, vly_rng *rng);
    void (*forward)(const vly_train_layer *l, const vly_train_pass *p);
    void (*backward)(const vly_train_layer *l, const vly_train_pass *p);
    /* The layer as nodes of ONNX (train/net_onnx.h); NULL: it does nothing there. */
    vly_status (*write)(const vly_train_layer *l, const float *params, const float *running,
                        struct vly_train_net_writer *w, vly_err *err);
};

/* l.spec and l.in are set by the caller; fills in the rest but the places in the net's arrays. */
vly_status vly_train_layer_shape(vly_train_layer *l, vly_err *err) VLY_MUST_CHECK;

#endif

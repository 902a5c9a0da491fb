/* SPDX-License-Identifier: MIT */
/*
 * Training of a net: batches from a source, gradients, steps of the optimiser.
 *
 * A batch is n_parts parts, each a block of sequences with memory and a tape of its own. Parts run
 * on any threads; what they add is summed in their order. Everything random comes from (seed, step,
 * part). So the result depends on the options and the source only: not on the number of threads,
 * nor on which of them was first, nor on whether training went on from a checkpoint. (Kernels sum
 * in another order on a CPU with other vectors: bits are the same on the same kind of CPU.)
 *
 * All that a trainer learns is one block of floats (vly_trainer_state), which checkpoints keep.
 *
 * Owner: one thread; it uses the pool that it was given while a step runs.
 */
#ifndef VLY_TRAIN_TRAINER_H
#define VLY_TRAIN_TRAINER_H

#include "train/optimiser.h"
#include "train/train_net.h"

struct vly_worker_pool;

/* One part of a batch. The trainer owns the memory; the source fills all of it. */
typedef struct vly_train_part {
    int64_t t, n;
    float *x; /* [t, n, in] */
    struct {
        float *targets; /* [t, n, out] */
        float *weights; /* SIGMOID [t, n, out], SOFTMAX [t, n] */
    } heads[VLY_TRAIN_HEADS_MAX];
} vly_train_part;

/* Where batches come from. fill is called on several threads at once; what it writes depends on
 * (step, part) only. */
typedef struct vly_train_source {
    void (*fill)(void *ctx, uint64_t step, size_t part, vly_train_part *ret);
    void *ctx;
} vly_train_source;

typedef struct vly_train_head_loss {
    double weight;              /* of this head in the sum */
    const float *class_weights; /* SOFTMAX [out]; NULL: all 1 */
} vly_train_head_loss;

typedef struct vly_trainer_opts {
    uint64_t seed;
    size_t n_parts;
    int64_t t, n; /* frames, and sequences in a part */
    vly_adamw adamw;
    vly_schedule schedule;
    double clip_norm; /* 0: none */
    float average;    /* share of the old average that each step keeps; 0: the average is the
                         parameters themselves */
    bool keep_zeros;  /* parameters that are 0 when training begins stay 0 */
    vly_train_head_loss heads[VLY_TRAIN_HEADS_MAX];
} vly_trainer_opts;

typedef struct vly_trainer vly_trainer;

/* What training has come to. Arrays are the trainer's, in one block of n_floats from params on. */
typedef struct vly_trainer_state {
    uint64_t step; /* how many were made */
    vly_plateau plateau;
    size_t n_floats;
    float *params, *running;          /* as they are now */
    float *average, *average_running; /* what a model is made of */
    float *mean, *square;             /* moments of the optimiser */
} vly_trainer_state;

/* What a step tells. */
typedef struct vly_train_told {
    double loss; /* of the heads, weighted */
    double head_loss[VLY_TRAIN_HEADS_MAX];
    double norm; /* of the gradient, before it was clipped */
    double rate; /* learning rate */
} vly_train_told;

/* Begins with the net's first values. net, source and pool (NULL: this thread only) outlive it. */
vly_status vly_trainer_new(const vly_train_net *net, const vly_trainer_opts *opts,
                           const vly_train_source *source, struct vly_worker_pool *pool,
                           vly_trainer **ret, vly_err *err) VLY_MUST_CHECK;
void vly_trainer_free(vly_trainer *t); /* accepts NULL */
vly_trainer_state *vly_trainer_state_of(vly_trainer *t);
/* Begins with these values instead [n_params], [n_running]; before the first step. */
void vly_trainer_begin_from(vly_trainer *t, const float *params, const float *running);
/* One batch, one step. */
void vly_trainer_step(vly_trainer *t, vly_train_told *ret);
/* An epoch ended with this figure, the larger the better. */
void vly_trainer_tell(vly_trainer *t, double figure);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * How parameters follow their gradients: AdamW, learning rates over time, clipping, averaging.
 * Plain loops over arrays; the caller owns all of them. Thread: any.
 */
#ifndef VLY_TRAIN_OPTIMISER_H
#define VLY_TRAIN_OPTIMISER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adam with decoupled weight decay (Loshchilov and Hutter 2019). */
typedef struct vly_adamw {
    float rate, beta1, beta2, epsilon;
    float decay; /* a step takes rate * decay of a parameter away */
} vly_adamw;

#define VLY_ADAMW_INIT                                                                             \
    {                                                                                              \
        .rate = 1e-3F, .beta1 = 0.9F, .beta2 = 0.999F, .epsilon = 1e-8F, .decay = 0                \
    }

/* One step; step counts from 1. mean and square [n]: moments, zero before the first step. */
void vly_adamw_step(const vly_adamw *o, uint64_t step, size_t n, const float *grads, float *params,
                    float *mean, float *square);

/* Scales grads down so that their Euclidean norm is at most max_norm (<= 0: no limit); returns the
 * norm before. */
double vly_clip_norm(float *grads, size_t n, double max_norm);

/* average += (1 - keep) * (values - average) */
void vly_average(float *average, const float *values, size_t n, float keep);

typedef enum vly_schedule_kind {
    VLY_SCHEDULE_CONSTANT,
    VLY_SCHEDULE_COSINE,  /* half a wave from 1 to floor */
    VLY_SCHEDULE_PLATEAU, /* times factor after patience epochs without a better figure */
} vly_schedule_kind;

typedef struct vly_schedule {
    vly_schedule_kind kind;
    uint64_t n_warmup; /* steps from 0 to 1, on a line */
    uint64_t n_steps;  /* COSINE: of the whole training */
    double floor;      /* least factor */
    double factor;     /* PLATEAU */
    uint32_t patience; /* PLATEAU: epochs */
} vly_schedule;

/* What a plateau remembers; part of a checkpoint. */
typedef struct vly_plateau {
    double best, scale; /* begins as {-HUGE_VAL, 1} */
    uint32_t n_bad;
} vly_plateau;

/* Factor on the learning rate at a step, which counts from 0. */
double vly_schedule_at(const vly_schedule *s, const vly_plateau *p, uint64_t step);
/* An epoch's figure, the larger the better. */
void vly_plateau_tell(const vly_schedule *s, vly_plateau *p, double figure);

#endif

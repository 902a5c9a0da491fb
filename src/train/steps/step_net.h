/* SPDX-License-Identifier: MIT */
/*
 * The step net (tasks/steps/step_model.h): a dense layer with relu over the readings of a frame,
 * GRUs over the frames, two heads. And the file that is made of it.
 */
#ifndef VLY_TRAIN_STEP_NET_H
#define VLY_TRAIN_STEP_NET_H

#include "base/buf.h"
#include "tasks/steps/step_decoder.h"
#include "train/steps/step_windows.h"
#include "train/train_net.h"

enum { VLY_STEP_HEAD_EVENTS, VLY_STEP_HEAD_ACTIVITY, VLY_STEP_HEADS };

typedef struct vly_step_net_opts {
    int32_t hop;
    int32_t dense;    /* channels of the first layer */
    int32_t hidden;   /* of each GRU */
    int32_t n_layers; /* GRUs */
    float dropout;    /* behind each GRU */
} vly_step_net_opts;

vly_status vly_step_net_new(const vly_step_net_opts *opts, vly_train_net **ret,
                            vly_err *err) VLY_MUST_CHECK;
/* First values; events begin as rare as they are. */
void vly_step_net_init(const vly_train_net *net, uint64_t seed, float *params, float *running);

/* Where a model comes from, in words of its metadata. */
typedef struct vly_step_origin {
    const char *command; /* that made it */
    vly_str persons;     /* whom it learned from, separated by commas */
    const char *credit;  /* whose the recordings are, and their licence; NULL: not stated */
} vly_step_origin;

/* Appends the ONNX file with its metadata. */
vly_status vly_step_net_write(const vly_train_net *net, const float *params, const float *running,
                              const vly_step_shape *shape, const vly_step_decoder_rule *rule,
                              const vly_step_origin *origin, vly_buf *out,
                              vly_err *err) VLY_MUST_CHECK;
#endif

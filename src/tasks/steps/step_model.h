/* SPDX-License-Identifier: MIT */
/*
 * The step model: an ONNX recurrent net over frames of readings, and what must be known to use it.
 *
 * Graph, all float32:
 *     in   frames    [t, n, hop * VLY_IMU_FEATURES + 1]  t frames of n sources: the features of
 *                    hop readings in order, then 1 where there is a gyroscope, else 0
 *          state     [layers, n, hidden]             zeroes at the beginning of a segment
 *     out  events    [t, n, hop * 2]                 probabilities: for each reading start, end
 *          activity  [t, n, VLY_ACTIVITIES]          probabilities, sum 1
 *          state_out [layers, n, hidden]
 * Outputs of the frame of readings hop * k .. hop * k + hop - 1 speak of the readings delay before
 * them: the look-ahead of the net.
 *
 * metadata_props (strings): volley.task "steps"; volley.steps.NAME, numbers, where NAME is
 *     features, rate_hz, hop, delay    of the net; delay in readings
 *     smooth, confirm                  of the decoder (vly_step_decoder_rule), readings
 *     threshold_first, threshold_early, threshold_due, threshold_missed, share, standing_max
 *     fall_from_ms, fall_to_ms, min_gap_ms, max_step_ms, missed_step_ms, missed_gap_ms
 * of which smooth, threshold_missed, standing_max and missed_* may be left out: that part of the
 * decoder is off. volley.steps.trained (text): what command made it.
 *
 * Immutable after load, shared by threads, reference-counted.
 */
#ifndef VLY_TASKS_STEP_MODEL_H
#define VLY_TASKS_STEP_MODEL_H

#include "engine/model.h"
#include "tasks/steps/step_decoder.h"
#include "tasks/steps/step_event.h"

#define VLY_STEP_HOP_MAX    8
#define VLY_STEP_HIDDEN_MAX 96 /* floats of recurrent state, all layers together */

typedef struct vly_step_model {
    vly_model *model;
    unsigned features, rate_hz, hop, delay; /* version; delay in readings */
    unsigned n_layers, n_hidden;            /* state floats = layers * hidden */
    vly_step_decoder_rule rule;
    uint64_t tag;  /* of its bytes: states of streams belong to one model */
    char name[64]; /* "steps", or the file */
    _Atomic int n_refs;
} vly_step_model;

/* path NULL: the one that is built in. look_ahead_ms: at most so much later an event is known, by
 * vly_step_model_delay_us; -1: the model's own. EINVAL names the least that the net, its frames and
 * the decoder need. EFORMAT: not a step model, and what is missing. */
vly_status vly_step_model_load(const char *path, int64_t look_ahead_ms, vly_step_model **ret,
                               vly_err *err) VLY_MUST_CHECK;
/* The same net with another look-ahead. EINVAL: as above. */
vly_status vly_step_model_variant(const vly_step_model *m, int64_t look_ahead_ms,
                                  vly_step_model **ret, vly_err *err) VLY_MUST_CHECK;
/* The same of a file in memory, which is copied. */
vly_status vly_step_model_load_bytes(const void *bytes, size_t n, int64_t look_ahead_ms,
                                     vly_step_model **ret, vly_err *err) VLY_MUST_CHECK;
vly_step_model *vly_step_model_ref(vly_step_model *m);
void vly_step_model_unref(vly_step_model *m); /* accepts NULL */

/* Numbers of the metadata, for who writes a model: of m all that the names above stand for is set.
 */
#define VLY_STEP_PROPERTIES 18

typedef struct vly_step_property {
    char key[40], value[24];
} vly_step_property;

void vly_step_model_properties(const vly_step_model *m, vly_step_property ret[VLY_STEP_PROPERTIES]);

unsigned vly_step_model_width(const vly_step_model *m); /* floats of a frame */
/* From an event to the reading that makes it known, at most; but for the start of a step that was
 * missed (vly_step_decoder_rule). */
int64_t vly_step_model_delay_us(const vly_step_model *m);

#endif

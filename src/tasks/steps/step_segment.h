/* SPDX-License-Identifier: MIT */
/*
 * The way of one stream through a segment, for the batcher alone: readings of the grid become
 * frames, what the net says of them becomes events. Frames and outputs go in turn: each frame is
 * decoded before the stream breaks.
 */
#ifndef VLY_TASKS_STEP_SEGMENT_H
#define VLY_TASKS_STEP_SEGMENT_H

#include "tasks/steps/step_stream.h"

/* The next reading of the grid. Hop of them complete a frame: true, and vly_step_segment_frame is
 * to be called before the next one. */
bool vly_step_segment_take(vly_step_stream *s, const vly_step_model *m,
                           const vly_imu_reading *point);
/* As if the last reading stayed. Returns as take. */
bool vly_step_segment_pad(vly_step_stream *s, const vly_step_model *m);
/* The frame as the net wants it, [vly_step_model_width]. */
void vly_step_segment_frame(vly_step_stream *s, const vly_step_model *m, float *ret);
/* How many pads it takes until all that can be known of the segment is known; 0: it is too short
 * for an event, and need only be broken.
 */
unsigned vly_step_segment_pads(const vly_step_stream *s, const vly_step_model *m);
/* The net's outputs for the next frame, [hop * 2] and [VLY_ACTIVITIES]. */
void vly_step_segment_decode(vly_step_stream *s, const vly_step_model *m, const float *events,
                             const float *activity, vly_step_event_fn on_events, void *arg);
/* The segment is over. */
void vly_step_segment_break(vly_step_stream *s);

#endif

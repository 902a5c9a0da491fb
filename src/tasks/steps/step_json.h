/* SPDX-License-Identifier: MIT */
/*
 * Steps as JSON: the one writer behind the command line, HTTP and streams, so that all give the
 * same bytes. Each appends to b without a newline; failure is b->failed. Thread: any.
 */
#ifndef VLY_TASKS_STEP_JSON_H
#define VLY_TASKS_STEP_JSON_H

#include "base/buf.h"
#include "tasks/steps/step_scan.h"

/* Microseconds as milliseconds, exactly: -1500 is -1.5. */
void vly_step_json_ms(vly_buf *b, int64_t us);

/* {"type":"step.start","step":1,"t_ms":812.5,"confidence":0.97,"activity":"walking",
 * "known_ms":1012.5} */
void vly_step_json_event(vly_buf *b, const vly_step_event *e);
/* [event, ...] */
void vly_step_json_events(vly_buf *b, const vly_step_event *events, size_t n);
/* The same as lines of CSV, and the line above them. */
#define VLY_STEP_CSV_HEAD "type,step,t_ms,confidence,activity\n"
void vly_step_csv_event(vly_buf *b, const vly_step_event *e);
/* {"standing":12.5,"walking":...}: seconds */
void vly_step_json_activity(vly_buf *b, const vly_step_totals *t, unsigned rate_hz);

/*
 * A recording:
 *   {"samples":35055,"steps":683,"duration_s":438.175,"cadence":103.4,
 *    "activity_s":{"standing":12.5,...},
 *    "input":{"rows":35055,"rate_hz":80,"format":"csv","columns":"-,acc_x,...","acc_unit":"m/s2",
 *             "gyro_unit":"rad/s","time_unit":"none","guessed":["acc"],"is_rate_assumed":true},
 *    "left_out":{"not_a_number":{"n":1,"first_line":17},...,"duplicates":0,"out_of_order":0},
 *    "gaps":0,"bridged":0,"warnings":["..."],"model":"steps","look_ahead_ms":200,
 *    "events":[event, ...]}
 * samples: readings that were used; cadence is null where nobody walks; first_line 0: there is
 * none.
 */
void vly_step_json_summary(vly_buf *b, const vly_step_summary *s);

#endif

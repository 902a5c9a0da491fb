/* SPDX-License-Identifier: MIT */
/*
 * The JSON body of observations: the one writer behind the command line and HTTP, so that both give
 * the same bytes.
 *
 *   {"detections":[{"class_id":0,"class_name":"person","confidence":0.86,
 *                   "bbox":[x1,y1,x2,y2],
 *                   "keypoints":[[x,y,conf],...],                       (pose)
 *                   "mask":{"size":[height,width],"counts":"...",       (segmentation: COCO RLE,
 *                           "polygons":[[x,y,x,y,...],...]}},...],       compressed, and polygons)
 *    "image":{"width":810,"height":1080},"model":{"name":"yolov8n","version":"1"}}
 *
 * A classification has "classifications":[{"class_id","class_name","confidence"},...] instead of
 * "detections".
 *
 * Numbers: a float is printed as the shortest of %.6g, %.7g, %.8g and %.9g that reads back as the
 * same float, so nothing is lost and equal values give equal bytes; what is not finite is null
 * (decoders produce none).
 */
#ifndef VLY_TASKS_OBSERVATION_JSON_H
#define VLY_TASKS_OBSERVATION_JSON_H

#include "base/buf.h"
#include "base/str.h"
#include "tasks/labels.h"
#include "tasks/observation.h"

/* Appends the object, without a newline. Failure is b->failed, as with every append. */
void vly_observations_json(vly_buf *b, const vly_observations *o, const vly_labels *labels,
                           vly_str model_name, vly_str model_version);

/* One float by the rule above. */
void vly_json_f32(vly_buf *b, float v);

#endif

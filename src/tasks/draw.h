/* SPDX-License-Identifier: MIT */
/*
 * Draws observations on the picture they were made from: masks under boxes, keypoints with the
 * skeleton (17 points: the COCO body), and labels "person 0.86" on top. A classification is written
 * line by line in the upper left corner. Thread: any, one per picture.
 */
#ifndef VLY_TASKS_DRAW_H
#define VLY_TASKS_DRAW_H

#include "codec/picture.h"
#include "tasks/labels.h"
#include "tasks/observation.h"

/* picture: RGB8, upright, of the size the observations speak of (asserted). */
void vly_draw_observations(vly_picture *picture, const vly_observations *o,
                           const vly_labels *labels);

#endif

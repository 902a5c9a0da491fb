/* SPDX-License-Identifier: MIT */
/*
 * The tasks, one line each: the symbol of a vly_task in a file of its own. Order breaks ties
 * between equally good matches.
 */
#ifndef VLY_TASKS_TASK_LIST_H
#define VLY_TASKS_TASK_LIST_H

#define VLY_TASK_LIST(X)                                                                           \
    X(yolov8_detect)                                                                               \
    X(yolov8_pose)                                                                                 \
    X(yolov8_segment)                                                                              \
    X(yolov5_detect)                                                                               \
    X(yolov5_segment)                                                                              \
    X(end2end_detect)                                                                              \
    X(end2end_pose)                                                                                \
    X(end2end_segment)                                                                             \
    X(yolox)                                                                                       \
    X(yolox_decoded)                                                                               \
    X(fastestdet)                                                                                  \
    X(fastestdet_decoded)                                                                          \
    X(ultraface)                                                                                   \
    X(yunet)                                                                                       \
    X(classify)                                                                                    \
    X(tensor)

#endif

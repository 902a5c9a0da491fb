/* SPDX-License-Identifier: MIT */
/*
 * Class names: from the model's metadata, the configuration, or a built-in set.
 * Thread: immutable after it is made; borrows the names' storage.
 */
#ifndef VLY_TASKS_LABELS_H
#define VLY_TASKS_LABELS_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vly_labels {
    const vly_str *names; /* [count]; an empty view where a class has no name */
    size_t count;
} vly_labels;

#define VLY_LABEL_TEXT_MAX 24

extern const vly_labels vly_labels_coco; /* the 80 classes of COCO detection, in YOLO order */
extern const vly_labels vly_labels_face; /* "face" */

/* The name of a class; "class 7" (written into text) where it has none. */
vly_str vly_label(const vly_labels *labels, int32_t class_id, char text[VLY_LABEL_TEXT_MAX]);

/* The class of a name, ASCII case ignored; -1 when there is none. */
int32_t vly_label_find(const vly_labels *labels, vly_str name);

/* The classes of a list such as "person, 2": names or numbers with commas between. ids: [max].
 * EINVAL names what is neither; ELIMIT: more than max. */
vly_status vly_label_list(const vly_labels *labels, vly_str list, int32_t *ids, size_t max,
                          size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

#endif

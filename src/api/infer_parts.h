/* SPDX-License-Identifier: MIT */
/*
 * The body of an answer with tensors: text and small outputs are gathered in parts of its own,
 * large outputs are sent from where the model left them. A small answer allocates nothing.
 * Owner: one thread at a time.
 */
#ifndef VLY_API_INFER_PARTS_H
#define VLY_API_INFER_PARTS_H

#include "api/infer.h"
#include "base/buf.h"

typedef struct vly_infer_parts {
    vly_buf buf[VLY_HTTP_MAX_PARTS];
    size_t n;
} vly_infer_parts;

/* The part to append to; of a zeroed p, the first one. */
vly_buf *vly_infer_parts_open(const vly_infer *call, vly_infer_parts *p);
/* Appends the bytes of t as the protocols send them. */
void vly_infer_parts_put(const vly_infer *call, const vly_tensor *t, vly_infer_parts *p);
size_t vly_infer_parts_bytes(const vly_infer_parts *p);
/* ENOMEM: a part has failed, or all are larger than api.max_answer_bytes. */
vly_status vly_infer_parts_check(const vly_infer *call, const vly_infer_parts *p,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_infer_parts_release(vly_infer_parts *p); /* accepts a zeroed one */

#endif

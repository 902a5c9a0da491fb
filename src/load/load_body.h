/* SPDX-License-Identifier: MIT */
/*
 * Bodies of requests, sent in turn, and how each can be made distinct: a mark in the body takes the
 * number of the request, so that no cache of the server knows it, and what it means stays the same
 * (a comment of a picture), or nearly so (one number of a tensor).
 *
 * Pure; thread: any, once the set is made.
 */
#ifndef VLY_LOAD_LOAD_BODY_H
#define VLY_LOAD_LOAD_BODY_H

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define VLY_LOAD_BODIES_MAX 4096
#define VLY_LOAD_MARK_MAX   20 /* bytes */

typedef enum vly_load_mark {
    VLY_LOAD_MARK_NONE,
    VLY_LOAD_MARK_HEX,     /* 16 hexadecimal digits */
    VLY_LOAD_MARK_PNG,     /* the same, and the chunk's checksum behind them */
    VLY_LOAD_MARK_DECIMAL, /* 16 decimal digits: those behind the point of a JSON number */
    VLY_LOAD_MARK_FLOAT,   /* a float of 4 bytes, 0.5 .. 1: 8,388,608 different ones */
    VLY_LOAD_MARK_BYTES,   /* an integer, or some: 4 bytes */
} vly_load_mark;

typedef struct vly_load_body {
    vly_str bytes;
    vly_load_mark mark;
    size_t at; /* of the mark */
} vly_load_body;

/* Of a JPEG, a PNG or a WebP, a copy in arena with a comment for the mark. EUNSUPPORTED: it is none
 * of them. */
vly_status vly_load_body_picture(vly_str picture, vly_arena *arena, vly_load_body *ret,
                                 vly_err *err) VLY_MUST_CHECK;

/* The mark of request `number`, which stands in the body at body->at. Returns its bytes; 0: none.
 */
size_t vly_load_body_mark(const vly_load_body *body, uint64_t number, char mark[VLY_LOAD_MARK_MAX]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The parameter maps of the inference service: map<string, ...> whose values are messages with one
 * oneof. InferParameter, ModelRepositoryParameter and the SettingValue of LogSettings number their
 * members alike but for 4, which the wire type tells apart; so one reader serves all of them.
 *
 * Owns nothing: arrays live in the caller's arena, strings in the message. Thread: any.
 */
#ifndef VLY_CODEC_GRPC_PARAM_H
#define VLY_CODEC_GRPC_PARAM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_GRPC_PARAMS_MAX 1024 /* of one map */

typedef enum vly_grpc_kind {
    VLY_GRPC_NONE, /* the oneof is not set */
    VLY_GRPC_BOOL,
    VLY_GRPC_INT, /* int64, uint32 in LogSettings */
    VLY_GRPC_STRING,
    VLY_GRPC_DOUBLE,
    VLY_GRPC_BYTES,
    VLY_GRPC_UINT, /* uint64 */
} vly_grpc_kind;

typedef struct vly_grpc_param {
    vly_str key;
    vly_grpc_kind kind;
    uint64_t number; /* BOOL, UINT, and the two's complement of INT */
    double real;     /* DOUBLE */
    vly_str text;    /* STRING, BYTES */
} vly_grpc_param;

typedef struct vly_grpc_params {
    const vly_grpc_param *items;
    size_t n;
} vly_grpc_params;

/* All entries of the map that is field `number` of message. EFORMAT: not a message; ELIMIT: past
 * VLY_GRPC_PARAMS_MAX, or the arena is full; ENOMEM. */
vly_status vly_grpc_params_read(vly_str message, uint32_t number, vly_arena *arena,
                                vly_grpc_params *ret, vly_err *err) VLY_MUST_CHECK;

/* NULL: there is none. Of a key that comes more than once the last one counts, as in protobuf. */
const vly_grpc_param *vly_grpc_params_find(const vly_grpc_params *p, const char *key);

/* Appends one entry of the map that is field `number`. */
void vly_grpc_put_param(vly_buf *b, uint32_t number, const vly_grpc_param *p);

#endif

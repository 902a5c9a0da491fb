/* SPDX-License-Identifier: MIT */
/*
 * Triton's model configuration -> JSON, as Triton answers GET /v2/models/{m}/config: names as in
 * the .proto, in its order, enumerators by name, 64-bit integers as numbers; scalars, lists and
 * maps always, messages and members of a oneof when they are there. Thread: any.
 */
#ifndef VLY_CODEC_TRITON_CONFIG_WRITE_H
#define VLY_CODEC_TRITON_CONFIG_WRITE_H

#include "base/buf.h"
#include "codec/triton_config.h"

/* Appends an object; out of memory is in b->failed. */
void vly_triton_config_put_json(const vly_triton_config *config, vly_buf *b);

#endif

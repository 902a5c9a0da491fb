/* SPDX-License-Identifier: MIT */
/*
 * JSON to protobuf by a compiled .proto file, as protobuf's own JSON mapping has it for the types
 * that the inference service uses: members have the fields' own names, enums are names or numbers,
 * 64-bit integers numbers or strings, maps objects, null is absence.
 *
 * So what a REST answer says, its gRPC twin says from the same text: metadata, configuration,
 * statistics and the repository's index have one writer each.
 */
#ifndef VLY_CODEC_PB_JSON_H
#define VLY_CODEC_PB_JSON_H

#include "base/buf.h"
#include "base/status.h"

/* Appends the message of this type (a symbol of set, see pb_schema.h) that json, an object, says.
 * EINVAL: not JSON, a member that the message has not, or a value of another type; ELIMIT: nested
 * too deep; ENOMEM: out of memory, or of room in out. */
vly_status vly_pb_from_json(vly_str set, const char *type, vly_str json, vly_buf *out,
                            vly_err *err) VLY_MUST_CHECK;

#endif

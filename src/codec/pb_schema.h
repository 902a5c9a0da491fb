/* SPDX-License-Identifier: MIT */
/*
 * Look-ups in compiled .proto files: a google.protobuf.FileDescriptorSet, read in place.
 *
 * A symbol is a full name without a leading dot: "inference.ModelConfig". Each look-up walks the
 * set from its begin, which is meant for cold paths. The set is our own (api/proto): a malformed
 * one finds nothing. Owns nothing: what is found is views of the set. Thread: any.
 */
#ifndef VLY_CODEC_PB_SCHEMA_H
#define VLY_CODEC_PB_SCHEMA_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Values of FieldDescriptorProto.Type. */
typedef enum vly_pb_type {
    VLY_PB_TYPE_DOUBLE = 1,
    VLY_PB_TYPE_FLOAT = 2,
    VLY_PB_TYPE_INT64 = 3,
    VLY_PB_TYPE_UINT64 = 4,
    VLY_PB_TYPE_INT32 = 5,
    VLY_PB_TYPE_BOOL = 8,
    VLY_PB_TYPE_STRING = 9,
    VLY_PB_TYPE_MESSAGE = 11,
    VLY_PB_TYPE_UINT32 = 13,
    VLY_PB_TYPE_ENUM = 14,
} vly_pb_type;

typedef struct vly_pb_schema_field {
    uint64_t number;
    uint64_t type;     /* vly_pb_type, or one that is not listed there */
    vly_str type_name; /* MESSAGE, ENUM: symbol */
    bool is_repeated;
    bool is_in_oneof;
} vly_pb_schema_field;

/* FileDescriptorProto by its name ("grpc_service.proto"), or by a symbol that it defines: message,
 * field, enum, service or method. */
bool vly_pb_schema_file(vly_str set, vly_str name, vly_str *ret);
bool vly_pb_schema_file_of(vly_str set, vly_str symbol, vly_str *ret);

/* DescriptorProto of a message; is it the entry of a map? */
bool vly_pb_schema_message(vly_str set, vly_str symbol, vly_str *ret);
bool vly_pb_schema_is_map_entry(vly_str message);
bool vly_pb_schema_field_of(vly_str message, vly_str name, vly_pb_schema_field *ret);
/* Number of a value of an enum. */
bool vly_pb_schema_enum_value(vly_str set, vly_str symbol, vly_str name, uint64_t *ret);

#endif

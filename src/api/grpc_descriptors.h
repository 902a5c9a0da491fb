/* SPDX-License-Identifier: MIT */
/* The compiled files of proto/, for reflection and for answers that are made from JSON. */
#ifndef VLY_API_GRPC_DESCRIPTORS_H
#define VLY_API_GRPC_DESCRIPTORS_H

#include "base/str.h"

/* A google.protobuf.FileDescriptorSet; see codec/pb_schema.h. Thread: any. */
vly_str vly_grpc_descriptors(void);

#endif

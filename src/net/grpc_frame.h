/* SPDX-License-Identifier: MIT */
/*
 * What gRPC adds to HTTP/2: messages in a body, each behind five bytes, and texts in headers. Bytes
 * in, bytes out; knows no connection.
 *
 *     a message: 1 byte, is it compressed | 4 bytes, its length, big endian | the message
 */
#ifndef VLY_NET_GRPC_FRAME_H
#define VLY_NET_GRPC_FRAME_H

#include "base/buf.h"
#include "base/status.h"
#include "codec/inflate.h"

#include <stdbool.h>

#define VLY_GRPC_HEAD_BYTES 5

/* What stands before a message of len bytes, which are to follow; len fits 32 bits. */
void vly_grpc_frame_head(unsigned char head[VLY_GRPC_HEAD_BYTES], bool is_compressed, size_t len);

/* Cuts messages out of a body that comes in pieces. Owner: one thread at a time. */
typedef struct vly_grpc_reader {
    vly_encoding encoding;    /* of messages that say they are compressed: grpc-encoding */
    size_t max_message_bytes; /* compressed or not */
    unsigned char head[VLY_GRPC_HEAD_BYTES];
    size_t n_head; /* bytes of it that have come */
    size_t left;   /* of the message */
    vly_buf wire;  /* what has come of the message */
} vly_grpc_reader;

void vly_grpc_reader_init(vly_grpc_reader *r, vly_encoding encoding, size_t max_message_bytes);
void vly_grpc_reader_release(vly_grpc_reader *r);
/* Takes bytes from the front of *in until a message is whole, which moves, uncompressed, into
 * *message, released memory before; or until *in is empty. *ret_is_message: which of the two.
 * EFORMAT: not framed by the rules, or damaged; EUNSUPPORTED: compressed, and the call has said no
 * encoding; ELIMIT: longer than max_message_bytes; ENOMEM. Feed no more after a failure. */
vly_status vly_grpc_reader_feed(vly_grpc_reader *r, vly_str *in, vly_buf *message,
                                bool *ret_is_message, vly_err *err) VLY_MUST_CHECK;
/* Gives a message of feed back, whose memory serves the next one. */
void vly_grpc_reader_recycle(vly_grpc_reader *r, vly_buf *message);
/* Nothing is left of a message: the body may end here. */
bool vly_grpc_reader_is_between(const vly_grpc_reader *r);

/* Is this content type gRPC's? "application/grpc", "application/grpc+proto"; not that of gRPC-Web.
 */
bool vly_grpc_is_type(vly_str content_type);

/* grpc-message: appends text with everything but printable ASCII, and '%', as %XX. */
void vly_grpc_escape(vly_buf *out, vly_str text);

#endif

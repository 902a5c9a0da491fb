/* SPDX-License-Identifier: MIT */
/*
 * Compressing bodies: the other half of codec/inflate.h, and which encoding a client wants.
 *
 * Levels are those that cost the least time: the aim is a smaller answer, not the smallest. A
 * megabyte takes some 10 ms with zlib and 2 ms with zstd, so it is work for a worker, not for a
 * loop thread. Thread: any.
 */
#ifndef VLY_CODEC_DEFLATE_H
#define VLY_CODEC_DEFLATE_H

#include "codec/inflate.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends the compressed concatenation of the n parts to out, as one gzip member, zlib stream or
 * zstd frame; VLY_ENCODING_LZ4 is only read. ELIMIT: it does not fit out's max_bytes; ENOMEM. */
vly_status vly_deflate(vly_encoding encoding, const vly_str *parts, size_t n, vly_buf *out,
                       vly_err *err) VLY_MUST_CHECK;

/* The quality (RFC 9110 12.4.2) among the parameters, divided by ';', of one element of an Accept
 * header: 0 to 1, 1 when there is none; -1 when it is malformed. */
double vly_accept_quality(vly_str params);

/* What an Accept-Encoding header (RFC 9110 12.5.3) likes best: the highest quality, and of equal
 * ones zstd, gzip, deflate, identity in this order. ptr NULL: no header, so IDENTITY. IDENTITY also
 * when nothing here is acceptable: then the client gets the body as it is. */
vly_encoding vly_encoding_choose(vly_str accept);
/* Whether it takes this one at all, liked best or not. */
bool vly_encoding_takes(vly_str accept, vly_encoding encoding);

#endif

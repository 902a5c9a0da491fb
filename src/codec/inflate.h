/* SPDX-License-Identifier: MIT */
/*
 * Compressed bodies, by the names that HTTP has for them: "gzip" (RFC 1952), "deflate", which is
 * the zlib format (RFC 1950), and "zstd" (RFC 8878); and "lz4", the LZ4 frame format, which HTTP
 * has no name for: it is read, as small senders like it, and never written.
 *
 * Outside data: what comes out is bounded, whatever went in. More than VLY_INFLATE_FREE_BYTES come
 * out only of a body of a reasonable size: no more than VLY_INFLATE_RATIO_MAX times its own.
 * Thread: any.
 */
#ifndef VLY_CODEC_INFLATE_H
#define VLY_CODEC_INFLATE_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

typedef enum vly_encoding {
    VLY_ENCODING_IDENTITY,
    VLY_ENCODING_GZIP,
    VLY_ENCODING_DEFLATE,
    VLY_ENCODING_ZSTD,
    VLY_ENCODING_LZ4,
    VLY_ENCODING_N
} vly_encoding;

#define VLY_INFLATE_RATIO_MAX  200
#define VLY_INFLATE_FREE_BYTES ((size_t)8 << 20)

const char *vly_encoding_name(vly_encoding encoding); /* "gzip" */

/* The value of a Content-Encoding header, empty for none. EUNSUPPORTED: another one, or several. */
vly_status vly_encoding_parse(vly_str name, vly_encoding *ret, vly_err *err) VLY_MUST_CHECK;

/* Appends what the whole of bytes stands for to out. EFORMAT: damaged, cut short, or followed by
 * more; ELIMIT: it does not fit out's max_bytes, or the ratio is too high; ENOMEM. On failure out
 * holds what came before. */
vly_status vly_inflate(vly_encoding encoding, vly_str bytes, vly_buf *out,
                       vly_err *err) VLY_MUST_CHECK;

#endif

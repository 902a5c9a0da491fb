/* SPDX-License-Identifier: MIT */
/*
 * Pictures: JPEG, PNG and WebP bytes in, upright RGB out; JPEG and PNG out again for drawings.
 *
 * The first bytes decide the format, never a file name. Every size is checked against the caller's
 * limits before anything is allocated for the picture, the decoder's own memory included (estimated
 * from the header: coefficients of a progressive JPEG, the argb plane of a lossless WebP).
 *
 * What comes out is what Pillow's Image.open(f), ImageOps.exif_transpose, convert('RGB') gives, but
 * where it says otherwise:
 *   orientation   EXIF orientation 1..8 is applied (JPEG APP1, PNG eXIf, WebP EXIF); bad EXIF is
 *                 ignored and reads as 1
 *   colour        samples are taken as sRGB: ICC profiles and gamma chunks are ignored
 *   alpha         dropped, not composited; tRNS is ignored
 *   16 bit        the high byte is kept (Pillow saturates 16-bit grey)
 *   CMYK, YCCK    read as Adobe writes them: inverted, as browsers and Pillow do
 *   animation     the first frame (APNG: the default image)
 *   damage        data that ends early is refused; damage that the decoder can step over (bad
 *                 Huffman codes, garbage between segments) is accepted, as Pillow does. A PNG with
 *                 a wrong checksum in its picture data is refused, where Pillow does not look.
 *
 * Thread: any, no shared state. Adding a codec: one file, one line in the table of picture.c.
 */
#ifndef VLY_CODEC_PICTURE_H
#define VLY_CODEC_PICTURE_H

#include "base/buf.h"
#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Owns pixels (after decode or new); release frees them. A view on somebody else's pixels is made
 * by filling the members, and is never released. */
typedef struct vly_picture {
    uint8_t *pixels; /* RGBRGB...; row y begins at pixels + y * stride */
    size_t stride;   /* bytes from one row to the next, >= 3 * width */
    uint32_t width;
    uint32_t height;
} vly_picture;

typedef struct vly_picture_limits {
    size_t max_bytes;        /* of the encoded picture */
    uint64_t max_pixels;     /* width * height */
    uint32_t max_dim;        /* width, height */
    size_t max_memory_bytes; /* peak of the decoded picture and all that its decoder needs */
} vly_picture_limits;

/* An 8K photo passes; a 4 gigapixel header does not. */
#define VLY_PICTURE_LIMITS_INIT                                                                    \
    {                                                                                              \
        .max_bytes = (size_t)64 << 20, .max_pixels = (uint64_t)64 << 20, .max_dim = 32768,         \
        .max_memory_bytes = (size_t)768 << 20                                                      \
    }

typedef struct vly_picture_info {
    const char *format; /* "jpeg", "png", "webp"; static */
    uint32_t width;     /* of the upright picture */
    uint32_t height;
    int orientation;      /* EXIF, 1..8; 1: stored upright */
    size_t decoder_bytes; /* estimate of what the decoder needs beside the pixels */
} vly_picture_info;

/* Reads the header only; allocates nothing. EMEDIA: not a format of ours (the message names what
 * came when it is known, and what is accepted); EFORMAT: damaged header; ELIMIT: beyond limits. */
vly_status vly_picture_probe(const void *bytes, size_t len, const vly_picture_limits *limits,
                             vly_picture_info *ret_info, vly_err *err) VLY_MUST_CHECK;

/* Decodes to a new picture that the caller releases. Errors as probe; EFORMAT also for damaged or
 * truncated data, EMEDIA for a kind of the format that nobody here decodes (lossless JPEG, 12 bit),
 * ENOMEM. On failure *ret_picture is untouched. */
vly_status vly_picture_decode(const void *bytes, size_t len, const vly_picture_limits *limits,
                              vly_picture *ret_picture, vly_err *err) VLY_MUST_CHECK;

/* width, height >= 1. Pixels are not zeroed. */
vly_status vly_picture_new(uint32_t width, uint32_t height, vly_picture *ret_picture,
                           vly_err *err) VLY_MUST_CHECK;
void vly_picture_release(vly_picture *p); /* accepts a zeroed picture; zeroes it */

/* Appends one file to out, whose max_bytes bounds it (ELIMIT). quality 1..100, 4:2:0 below 90. */
vly_status vly_picture_encode_jpeg(const vly_picture *p, int quality, vly_buf *out,
                                   vly_err *err) VLY_MUST_CHECK;
vly_status vly_picture_encode_png(const vly_picture *p, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif

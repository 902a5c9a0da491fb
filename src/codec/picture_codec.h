/* SPDX-License-Identifier: MIT */
/*
 * What a picture format gives to picture.c; inside the codec room only.
 *
 * Orientation, limits and allocation of the pixels are picture.c's: a codec reads its header and
 * fills rows. Each function gets the whole file.
 */
#ifndef VLY_CODEC_PICTURE_CODEC_H
#define VLY_CODEC_PICTURE_CODEC_H

#include "codec/picture.h"

#include <stdbool.h>

typedef struct vly_picture_codec {
    const char *name;
    /* Do the first bytes belong to this format? */
    bool (*sniff)(const uint8_t *bytes, size_t len);
    /* Fills all but format. width, height: as stored, before orientation. Allocates nothing. */
    vly_status (*probe)(const uint8_t *bytes, size_t len, vly_picture_info *ret_info, vly_err *err);
    /* Fills p, which has the size that probe found. The decoder may use max_bytes of memory. */
    vly_status (*decode)(const uint8_t *bytes, size_t len, size_t max_bytes, vly_picture *p,
                         vly_err *err);
} vly_picture_codec;

extern const vly_picture_codec vly_picture__jpeg;
extern const vly_picture_codec vly_picture__png;
extern const vly_picture_codec vly_picture__webp;

/* Turns and mirrors p from EXIF orientation 1..8 to upright. ENOMEM leaves p as it was. */
vly_status vly_picture__upright(vly_picture *p, int orientation, vly_err *err) VLY_MUST_CHECK;

#endif

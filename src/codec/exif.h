/* SPDX-License-Identifier: MIT */
/*
 * The one thing Volley needs of EXIF: which way is up.
 */
#ifndef VLY_CODEC_EXIF_H
#define VLY_CODEC_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Orientation 1..8 from an EXIF block (a TIFF header and its first directory, with or without the
 * "Exif\0\0" that JPEG puts before it). 1 when the tag is absent or anything is wrong. Thread: any.
 */
int vly_exif_orientation(const uint8_t *bytes, size_t len);

#endif

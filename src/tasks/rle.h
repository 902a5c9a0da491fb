/* SPDX-License-Identifier: MIT */
/* COCO run lengths (see vly_mask) as the compressed string of the COCO tools. */
#ifndef VLY_TASKS_RLE_H
#define VLY_TASKS_RLE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Appends the string: each count (from the fourth on, minus the count two before it) as a signed
 * number of 5-bit digits, low digits first, bit 5 set on all but the last, each digit plus '0'.
 * All characters are printable ASCII and none is a quote; '\' may occur and is doubled with
 * is_json, which makes the text the inside of a JSON string. Failure: b->failed.
 */
void vly_rle_compress(const uint32_t *counts, size_t n, bool is_json, vly_buf *b);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A float as text: the shortest of %.6g, %.7g, %.8g and %.9g that reads back as the same float, so
 * nothing is lost and equal values give equal bytes. Tensors as JSON hold a million of them, which
 * is why this is not a loop over snprintf: some 20 times as fast, with the same result.
 */
#ifndef VLY_BASE_FLOAT_TEXT_H
#define VLY_BASE_FLOAT_TEXT_H

#include <stddef.h>

#define VLY_F32_TEXT_MAX 24

/* Writes the text with a NUL and returns its length. v is finite. "C" locale. Thread: any. */
size_t vly_f32_text(float v, char text[VLY_F32_TEXT_MAX]);

#endif

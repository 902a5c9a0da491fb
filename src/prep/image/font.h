/* SPDX-License-Identifier: MIT */
/*
 * The built-in bitmap font: printable ASCII in cells of 8 x 12, two-pixel stems, drawn for this
 * project. The table is its own source: what font.c shows is what comes out.
 */
#ifndef VLY_PREP_IMAGE_FONT_H
#define VLY_PREP_IMAGE_FONT_H

#include <stdbool.h>

#define VLY_FONT_WIDTH  8 /* of a cell, the gap to the next one included */
#define VLY_FONT_HEIGHT 12

/* Is pixel (x, y) of the cell ink? x < VLY_FONT_WIDTH, y < VLY_FONT_HEIGHT. A byte that is not
 * printable ASCII is an empty box. */
bool vly_font_ink(unsigned char byte, int x, int y);

#endif

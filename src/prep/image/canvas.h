/* SPDX-License-Identifier: MIT */
/*
 * Drawing on an RGB8 picture: lines, boxes, circles, masks, labels.
 *
 * Coordinates are pixels of the picture, floats as the tasks give them; everything is clipped, so
 * any value is accepted (a coordinate that is not finite draws nothing). Thickness and scale are at
 * least
 * 1. Nothing allocates but the mask, which needs one small table.
 * Owner: one thread per picture.
 */
#ifndef VLY_PREP_IMAGE_CANVAS_H
#define VLY_PREP_IMAGE_CANVAS_H

#include "base/status.h"
#include "base/str.h"
#include "codec/picture.h"
#include "prep/image/font.h"

#include <stddef.h>
#include <stdint.h>

typedef struct vly_color {
    uint8_t r, g, b;
} vly_color;

typedef struct vly_point {
    float x, y;
} vly_point;

/* A colour per class, far apart for neighbours; any index. */
vly_color vly_canvas_palette(unsigned idx);
/* Black or white, whichever is easier to read on background. */
vly_color vly_canvas_ink(vly_color background);
/* Line thickness and font scale that suit a picture of this size: 2 and 1 at 640 x 640, 5
 * and 3 at 1920 x 1080.
 */
int vly_canvas_thickness(const vly_picture *p);
int vly_canvas_font_scale(const vly_picture *p);

void vly_canvas_line(vly_picture *p, vly_point a, vly_point b, int thickness, vly_color color);
/* Outline, thickness centred on the edge. x1 <= x2, y1 <= y2. */
void vly_canvas_rect(vly_picture *p, const float box[4], int thickness, vly_color color);
void vly_canvas_fill_rect(vly_picture *p, const float box[4], vly_color color);
void vly_canvas_disc(vly_picture *p, vly_point centre, float radius, vly_color color);
/* Blends color over the inside of the closed polygon (even-odd rule). alpha 0..255, 255 covers.
 * Fewer than 3 points draw nothing. ENOMEM. */
vly_status vly_canvas_blend_polygon(vly_picture *p, const vly_point *points, size_t n_points,
                                    vly_color color, uint8_t alpha, vly_err *err) VLY_MUST_CHECK;

/* Printable ASCII; any other byte is drawn as a small box. One line: no wrapping. (x, y) is the top
 * left corner. Width of n bytes: n * VLY_FONT_WIDTH * scale. */
void vly_canvas_text(vly_picture *p, int x, int y, int scale, vly_color color, vly_str text);
/* Text on a filled tab that stands on the top edge of the box, moved inside where it would leave
 * the picture. */
void vly_canvas_label(vly_picture *p, const float box[4], int scale, vly_color background,
                      vly_str text);

#endif

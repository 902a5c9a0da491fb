/* SPDX-License-Identifier: MIT */
/*
 * Picture to input tensor in one pass: resize, pad, normalise, reorder.
 *
 * RGB8 picture -> float32 [3, height, width] (one picture of an NCHW tensor), written straight into
 * the caller's memory. Bilinear with half-pixel centres, no antialiasing: what the YOLO families
 * were trained with. Before normalisation the samples are those of cv2.resize with INTER_LINEAR,
 * bit for bit (compared with OpenCV 4.11 and 5.0 on 1200 random shapes).
 *
 *   LETTERBOX  Ultralytics: scale = min(W/w, H/h), size rounded, centred, the rest is padding
 *   TOP_LEFT   YOLOX: the same scale, size truncated, picture in the top left corner
 *   STRETCH    both axes to full size, no padding
 *   COVER      scale = max(W/w, H/h), centred, what stands over is cut off (classifiers)
 *
 * A sample becomes (sample / 255 - mean[c]) / std[c] when `unit` is true, (sample - mean[c]) /
 * std[c] otherwise. Padding is the sample value `pad`, normalised alike.
 */
#ifndef VLY_PREP_IMAGE_LETTERBOX_H
#define VLY_PREP_IMAGE_LETTERBOX_H

#include "base/status.h"
#include "codec/picture.h"
#include "dsp/letterbox.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum vly_fit {
    VLY_FIT_LETTERBOX,
    VLY_FIT_TOP_LEFT,
    VLY_FIT_STRETCH,
    VLY_FIT_COVER,
} vly_fit;

typedef struct vly_letterbox_opts {
    vly_fit fit;
    bool is_bgr; /* channel 0 is blue */
    bool unit;   /* divide by 255 first */
    uint8_t pad;
    float mean[3]; /* in the tensor's channel order */
    float std[3];  /* > 0 */
} vly_letterbox_opts;

/* Ultralytics' YOLOv5, v8, 11. */
#define VLY_LETTERBOX_OPTS_INIT                                                                    \
    {                                                                                              \
        .fit = VLY_FIT_LETTERBOX, .unit = true, .pad = 114, .std = { 1.0f, 1.0f, 1.0f }            \
    }

/* Where the picture lies in the tensor: tensor = picture * scale + pad, per axis, in pixels whose
 * edges are integers. */
typedef struct vly_letterbox_map {
    float scale_x;
    float scale_y;
    float pad_x;
    float pad_y;
    uint32_t width; /* of the picture */
    uint32_t height;
} vly_letterbox_map;

/* Reusable work area: row buffers and tables, grown on demand, so that a server that keeps one per
 * worker allocates nothing in steady state. Owner: one thread at a time. */
typedef struct vly_letterbox {
    vly_letterbox_dsp dsp;
    void *scratch;
    size_t scratch_bytes;
} vly_letterbox;

void vly_letterbox_init(vly_letterbox *lb); /* allocates nothing */
void vly_letterbox_release(vly_letterbox *lb);

/* Fills dst[3 * height * width] and *ret_map (may be NULL). width, height: of the tensor, >= 1, at
 * most 65536. EINVAL: a std that is not > 0. ENOMEM. On failure dst is untouched. */
vly_status vly_letterbox_run(vly_letterbox *lb, const vly_picture *picture,
                             const vly_letterbox_opts *opts, uint32_t width, uint32_t height,
                             float *dst, vly_letterbox_map *ret_map, vly_err *err) VLY_MUST_CHECK;

/* The same map without touching pixels. */
vly_letterbox_map vly_letterbox_map_of(uint32_t picture_width, uint32_t picture_height, vly_fit fit,
                                       uint32_t width, uint32_t height);

/* Tensor -> picture. A box is x1, y1, x2, y2 and is clipped to the picture; a point is not. */
void vly_letterbox_unmap_box(const vly_letterbox_map *map, float box[4]);
void vly_letterbox_unmap_point(const vly_letterbox_map *map, float *x, float *y);

#endif

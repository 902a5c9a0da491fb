/* SPDX-License-Identifier: MIT */
#include "tasks/draw.h"

#include "base/assert.h"
#include "prep/image/canvas.h"

#include <stdbool.h>
#include <stdio.h>

#define MASK_ALPHA        110 /* of 255: the object stays visible under its mask */
#define KEYPOINT_CONF_MIN 0.5f
#define LABEL_TEXT_MAX    96

/* Bones of the COCO person: pairs of keypoints, from the ankles to the ears. */
static const uint8_t coco_bones[][2] = {
    {15, 13}, {13, 11}, {16, 14}, {14, 12}, {11, 12}, {5, 11}, {6, 12}, {5, 6}, {5, 7}, {6, 8},
    {7, 9},   {8, 10},  {1, 2},   {0, 1},   {0, 2},   {1, 3},  {2, 4},  {3, 5}, {4, 6},
};
#define COCO_N_KEYPOINTS 17

static vly_color color_of(int32_t class_id)
{
    return vly_canvas_palette((unsigned)class_id);
}

static uint8_t blend(uint8_t below, uint8_t above)
{
    return (uint8_t)((below * (255 - MASK_ALPHA) + above * MASK_ALPHA + 127) / 255);
}

/* One run of mask pixels: downwards from pixel `at` of the column-wise order, over column ends. */
static void blend_run(vly_picture *p, uint64_t at, uint32_t len, vly_color c)
{
    for (uint32_t i = 0; i < len; i++, at++) {
        uint8_t *px = p->pixels + (at % p->height) * p->stride + 3 * (at / p->height);
        px[0] = blend(px[0], c.r);
        px[1] = blend(px[1], c.g);
        px[2] = blend(px[2], c.b);
    }
}

static void draw_mask(vly_picture *p, const vly_mask *m, vly_color c)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < m->n_counts; i++) {
        if (i % 2 == 1)
            blend_run(p, at, m->counts[i], c);
        at += m->counts[i];
    }
}

static bool is_visible(const vly_keypoint *k)
{
    return k->conf >= KEYPOINT_CONF_MIN;
}

static void draw_keypoints(vly_picture *p, const vly_detection *d, int thickness)
{
    const vly_keypoint *k = d->keypoints;

    if (d->n_keypoints == COCO_N_KEYPOINTS) {
        for (unsigned i = 0; i < VLY_COUNT(coco_bones); i++) {
            const vly_keypoint *a = &k[coco_bones[i][0]];
            const vly_keypoint *b = &k[coco_bones[i][1]];
            if (is_visible(a) && is_visible(b))
                vly_canvas_line(p, (vly_point){a->x, a->y}, (vly_point){b->x, b->y}, thickness,
                                vly_canvas_palette(i));
        }
    }
    for (uint32_t i = 0; i < d->n_keypoints; i++)
        if (is_visible(&k[i]))
            vly_canvas_disc(p, (vly_point){k[i].x, k[i].y}, (float)thickness * 1.5f,
                            vly_canvas_palette(i));
}

static vly_str label_text(const vly_labels *labels, int32_t class_id, float confidence,
                          char text[LABEL_TEXT_MAX])
{
    char unnamed[VLY_LABEL_TEXT_MAX];
    vly_str name = vly_label(labels, class_id, unnamed);

    name.len = name.len < LABEL_TEXT_MAX - 8 ? name.len : LABEL_TEXT_MAX - 8;
    snprintf(text, LABEL_TEXT_MAX, "%.*s %.2f", VLY_STR_ARG(name), (double)confidence);
    return vly_str_from(text);
}

static void draw_classes(vly_picture *p, const vly_observations *o, const vly_labels *labels)
{
    int scale = vly_canvas_font_scale(p);
    int line = (VLY_FONT_HEIGHT + 4) * scale;
    char text[LABEL_TEXT_MAX];

    for (size_t i = 0; i < o->n_classes; i++) {
        vly_str label = label_text(labels, o->classes[i].class_id, o->classes[i].confidence, text);
        float y = (float)line * (float)i;
        float width = (float)(label.len + 1) * (float)(VLY_FONT_WIDTH * scale);
        const float box[4] = {0.0f, y, width, y + (float)line};
        vly_color c = color_of(o->classes[i].class_id);
        vly_canvas_fill_rect(p, box, c);
        vly_canvas_text(p, VLY_FONT_WIDTH * scale / 2, (int)y + 2 * scale, scale, vly_canvas_ink(c),
                        label);
    }
}

void vly_draw_observations(vly_picture *picture, const vly_observations *o,
                           const vly_labels *labels)
{
    int thickness = vly_canvas_thickness(picture);
    char text[LABEL_TEXT_MAX];

    VLY_ASSERT(picture->width == o->width && picture->height == o->height);
    for (size_t i = 0; i < o->n_detections; i++)
        if (o->detections[i].mask != NULL)
            draw_mask(picture, o->detections[i].mask, color_of(o->detections[i].class_id));
    for (size_t i = 0; i < o->n_detections; i++) {
        const vly_detection *d = &o->detections[i];
        vly_canvas_rect(picture, d->bbox, thickness, color_of(d->class_id));
        draw_keypoints(picture, d, thickness);
    }
    for (size_t i = 0; i < o->n_detections; i++) {
        const vly_detection *d = &o->detections[i];
        vly_canvas_label(picture, d->bbox, vly_canvas_font_scale(picture), color_of(d->class_id),
                         label_text(labels, d->class_id, d->confidence, text));
    }
    draw_classes(picture, o, labels);
}

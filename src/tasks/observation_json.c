/* SPDX-License-Identifier: MIT */
#include "tasks/observation_json.h"

#include "base/float_text.h"
#include "tasks/rle.h"

#include <math.h>

void vly_json_f32(vly_buf *b, float v)
{
    char text[VLY_F32_TEXT_MAX];

    if (!isfinite(v)) {
        vly_buf_puts(b, "null");
        return;
    }
    vly_buf_add(b, text, vly_f32_text(v, text));
}

/* "," before every item of a list but the first. */
static void separate(vly_buf *b, size_t idx)
{
    if (idx > 0)
        vly_buf_putc(b, ',');
}

static void put_floats(vly_buf *b, const float *v, size_t n)
{
    vly_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        separate(b, i);
        vly_json_f32(b, v[i]);
    }
    vly_buf_putc(b, ']');
}

static void put_class(vly_buf *b, const vly_labels *labels, int32_t class_id, float confidence)
{
    char text[VLY_LABEL_TEXT_MAX];

    vly_buf_printf(b, "\"class_id\":%d,\"class_name\":", (int)class_id);
    vly_buf_json_str(b, vly_label(labels, class_id, text));
    vly_buf_puts(b, ",\"confidence\":");
    vly_json_f32(b, confidence);
}

static void put_keypoints(vly_buf *b, const vly_keypoint *points, size_t n)
{
    vly_buf_puts(b, ",\"keypoints\":[");
    for (size_t i = 0; i < n; i++) {
        const float v[3] = {points[i].x, points[i].y, points[i].conf};
        separate(b, i);
        put_floats(b, v, 3);
    }
    vly_buf_putc(b, ']');
}

static void put_mask(vly_buf *b, const vly_mask *m)
{
    vly_buf_printf(b, ",\"mask\":{\"size\":[%u,%u],\"counts\":\"", m->height, m->width);
    vly_rle_compress(m->counts, m->n_counts, true, b);
    vly_buf_puts(b, "\",\"polygons\":[");
    for (uint32_t i = 0; i < m->n_polygons; i++) {
        separate(b, i);
        put_floats(b, m->polygons[i].xy, 2 * (size_t)m->polygons[i].n_points);
    }
    vly_buf_puts(b, "]}");
}

static void put_detection(vly_buf *b, const vly_detection *d, const vly_labels *labels)
{
    vly_buf_putc(b, '{');
    put_class(b, labels, d->class_id, d->confidence);
    vly_buf_puts(b, ",\"bbox\":");
    put_floats(b, d->bbox, 4);
    if (d->n_keypoints > 0)
        put_keypoints(b, d->keypoints, d->n_keypoints);
    if (d->mask != NULL)
        put_mask(b, d->mask);
    vly_buf_putc(b, '}');
}

static void put_classes(vly_buf *b, const vly_observations *o, const vly_labels *labels)
{
    vly_buf_puts(b, "\"classifications\":[");
    for (size_t i = 0; i < o->n_classes; i++) {
        separate(b, i);
        vly_buf_putc(b, '{');
        put_class(b, labels, o->classes[i].class_id, o->classes[i].confidence);
        vly_buf_putc(b, '}');
    }
    vly_buf_putc(b, ']');
}

static void put_detections(vly_buf *b, const vly_observations *o, const vly_labels *labels)
{
    vly_buf_puts(b, "\"detections\":[");
    for (size_t i = 0; i < o->n_detections; i++) {
        separate(b, i);
        put_detection(b, &o->detections[i], labels);
    }
    vly_buf_putc(b, ']');
}

void vly_observations_json(vly_buf *b, const vly_observations *o, const vly_labels *labels,
                           vly_str model_name, vly_str model_version)
{
    vly_buf_putc(b, '{');
    if (o->kind == VLY_TASK_CLASSIFY)
        put_classes(b, o, labels);
    else
        put_detections(b, o, labels);
    vly_buf_printf(b, ",\"image\":{\"width\":%u,\"height\":%u},\"model\":{\"name\":", o->width,
                   o->height);
    vly_buf_json_str(b, model_name);
    vly_buf_puts(b, ",\"version\":");
    vly_buf_json_str(b, model_version);
    vly_buf_puts(b, "}}");
}

/* SPDX-License-Identifier: MIT */
/*
 * Lines and discs are one shape, the points within a radius of a segment, and their edges are
 * smoothed by the distance; boxes and text fall on whole pixels; masks are filled by scan lines.
 */
#include "prep/image/canvas.h"

#include "base/assert.h"
#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

vly_color vly_canvas_palette(unsigned idx)
{
    static const vly_color colors[] = {
        {255, 64, 64},   {64, 160, 255}, {64, 208, 96},   {255, 176, 32},  {176, 96, 255},
        {32, 208, 208},  {255, 96, 176}, {160, 208, 32},  {255, 128, 80},  {96, 112, 255},
        {32, 176, 144},  {224, 208, 64}, {208, 64, 224},  {128, 192, 255}, {192, 144, 96},
        {144, 224, 144}, {240, 80, 128}, {160, 160, 224}, {112, 176, 80},  {224, 160, 208},
    };

    return colors[idx % VLY_COUNT(colors)];
}

vly_color vly_canvas_ink(vly_color c)
{
    int luma = (299 * c.r + 587 * c.g + 114 * c.b) / 1000;
    return luma > 130 ? (vly_color){0, 0, 0} : (vly_color){255, 255, 255};
}

int vly_canvas_thickness(const vly_picture *p)
{
    uint32_t t = ((p->width + p->height) * 3 + 1000) / 2000;
    return t < 2 ? 2 : (int)t;
}

int vly_canvas_font_scale(const vly_picture *p)
{
    uint32_t s = (p->width + p->height) / 900;
    return s < 1 ? 1 : (int)s;
}

static bool is_finite(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

/* Nearest integer; far outside any picture is brought near, so that sums do not overflow. */
static int to_int(float v)
{
    return (int)lrintf(fminf(fmaxf(v, -1e8f), 1e8f));
}

/* lo..hi within 0..n; empty when hi <= lo. */
static void clip(int *lo, int *hi, uint32_t n)
{
    if (*lo < 0)
        *lo = 0;
    if (*hi > (int)n)
        *hi = (int)n;
}

static uint8_t mix(uint8_t under, uint8_t over, unsigned alpha)
{
    return (uint8_t)((under * (255 - alpha) + over * alpha + 127) / 255);
}

/* alpha 0..255 */
static void blend_pixel(uint8_t *px, vly_color c, unsigned alpha)
{
    px[0] = mix(px[0], c.r, alpha);
    px[1] = mix(px[1], c.g, alpha);
    px[2] = mix(px[2], c.b, alpha);
}

/* Pixels x0..x1-1 of rows y0..y1-1. */
static void fill_pixels(vly_picture *p, int x0, int y0, int x1, int y1, vly_color c, unsigned alpha)
{
    clip(&x0, &x1, p->width);
    clip(&y0, &y1, p->height);
    for (int y = y0; y < y1; y++) {
        uint8_t *row = p->pixels + (size_t)y * p->stride;
        for (int x = x0; x < x1; x++)
            blend_pixel(row + (size_t)3 * (size_t)x, c, alpha);
    }
}

/* ---- strokes ---- */

/* Columns of the part of segment ab whose height is within reach of y, widened by reach. */
static void row_span(vly_point a, vly_point b, float y, float reach, int *ret_x0, int *ret_x1)
{
    float t0 = 0.0f, t1 = 1.0f, dy = b.y - a.y;

    if (fabsf(dy) > reach) {
        float ta = (y - reach - a.y) / dy, tb = (y + reach - a.y) / dy;
        t0 = fmaxf(t0, fminf(ta, tb));
        t1 = fminf(t1, fmaxf(ta, tb));
    }
    float xa = a.x + t0 * (b.x - a.x), xb = a.x + t1 * (b.x - a.x);
    *ret_x0 = to_int(floorf(fminf(xa, xb) - reach));
    *ret_x1 = to_int(ceilf(fmaxf(xa, xb) + reach)) + 1;
}

static float distance(vly_point a, vly_point b, float x, float y)
{
    float dx = b.x - a.x, dy = b.y - a.y, length2 = dx * dx + dy * dy;
    float t = length2 > 0.0f ? ((x - a.x) * dx + (y - a.y) * dy) / length2 : 0.0f;

    t = fminf(fmaxf(t, 0.0f), 1.0f);
    return hypotf(x - a.x - t * dx, y - a.y - t * dy);
}

static void stroke(vly_picture *p, vly_point a, vly_point b, float radius, vly_color c)
{
    float reach = radius + 1.0f;
    int y0 = to_int(floorf(fminf(a.y, b.y) - reach)), y1 = to_int(fmaxf(a.y, b.y) + reach) + 1;

    clip(&y0, &y1, p->height);
    for (int y = y0; y < y1; y++) {
        uint8_t *row = p->pixels + (size_t)y * p->stride;
        float yc = (float)y + 0.5f;
        int x0, x1;
        row_span(a, b, yc, reach, &x0, &x1);
        clip(&x0, &x1, p->width);
        for (int x = x0; x < x1; x++) {
            float cover = radius + 0.5f - distance(a, b, (float)x + 0.5f, yc);
            if (cover > 0.0f)
                blend_pixel(row + (size_t)3 * (size_t)x, c,
                            cover >= 1.0f ? 255 : (unsigned)(cover * 255.0f));
        }
    }
}

void vly_canvas_line(vly_picture *p, vly_point a, vly_point b, int thickness, vly_color color)
{
    if (is_finite((float[]){a.x, a.y, b.x, b.y}, 4))
        stroke(p, a, b, (float)thickness / 2.0f, color);
}

void vly_canvas_disc(vly_picture *p, vly_point centre, float radius, vly_color color)
{
    if (is_finite((float[]){centre.x, centre.y, radius}, 3))
        stroke(p, centre, centre, radius, color);
}

/* ---- boxes ---- */

void vly_canvas_rect(vly_picture *p, const float box[4], int thickness, vly_color color)
{
    if (!is_finite(box, 4))
        return;
    float half = (float)thickness / 2.0f;
    int x0 = to_int(box[0] - half), y0 = to_int(box[1] - half);
    int x1 = to_int(box[2] - half), y1 = to_int(box[3] - half); /* of the far edges */
    int t = thickness;

    fill_pixels(p, x0, y0, x1 + t, y0 + t, color, 255);
    fill_pixels(p, x0, y1, x1 + t, y1 + t, color, 255);
    fill_pixels(p, x0, y0 + t, x0 + t, y1, color, 255);
    fill_pixels(p, x1, y0 + t, x1 + t, y1, color, 255);
}

void vly_canvas_fill_rect(vly_picture *p, const float box[4], vly_color color)
{
    if (is_finite(box, 4))
        fill_pixels(p, to_int(box[0]), to_int(box[1]), to_int(box[2]), to_int(box[3]), color, 255);
}

/* ---- masks ---- */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Where the polygon's edges cross height y; an edge owns its upper end, so a vertex counts once. */
static size_t find_crossings(const vly_point *points, size_t n, float y, float *crossings)
{
    size_t n_crossings = 0;

    for (size_t i = 0; i < n; i++) {
        vly_point a = points[i], b = points[i + 1 < n ? i + 1 : 0];
        if ((a.y <= y) != (b.y <= y))
            crossings[n_crossings++] = a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);
    }
    qsort(crossings, n_crossings, sizeof(crossings[0]), by_value);
    return n_crossings;
}

vly_status vly_canvas_blend_polygon(vly_picture *p, const vly_point *points, size_t n_points,
                                    vly_color color, uint8_t alpha, vly_err *err)
{
    float top = INFINITY, bottom = -INFINITY;

    if (n_points < 3)
        return VLY_OK;
    for (size_t i = 0; i < n_points; i++) {
        if (!is_finite((float[]){points[i].x, points[i].y}, 2))
            return VLY_OK;
        top = fminf(top, points[i].y);
        bottom = fmaxf(bottom, points[i].y);
    }
    float *crossings = vly_calloc(VLY_MEM_CODEC, n_points, sizeof(crossings[0]));
    if (crossings == NULL)
        return vly_fail(err, VLY_ENOMEM, "mask: no memory for %zu points", n_points);

    int y0 = to_int(floorf(top)), y1 = to_int(ceilf(bottom));
    clip(&y0, &y1, p->height);
    for (int y = y0; y < y1; y++) {
        size_t n = find_crossings(points, n_points, (float)y + 0.5f, crossings);
        for (size_t i = 0; i + 1 < n; i += 2) /* pixels whose centres lie between */
            fill_pixels(p, to_int(ceilf(crossings[i] - 0.5f)), y,
                        to_int(ceilf(crossings[i + 1] - 0.5f)), y + 1, color, alpha);
    }
    vly_free(crossings);
    return VLY_OK;
}

/* ---- text ---- */

static void draw_glyph(vly_picture *p, int x, int y, int scale, vly_color c, unsigned char byte)
{
    for (int gy = 0; gy < VLY_FONT_HEIGHT; gy++)
        for (int gx = 0; gx < VLY_FONT_WIDTH; gx++)
            if (vly_font_ink(byte, gx, gy))
                fill_pixels(p, x + gx * scale, y + gy * scale, x + (gx + 1) * scale,
                            y + (gy + 1) * scale, c, 255);
}

void vly_canvas_text(vly_picture *p, int x, int y, int scale, vly_color color, vly_str text)
{
    VLY_ASSERT(scale >= 1 && scale <= 1000);
    for (size_t i = 0; i < text.len && x < (int)p->width; i++, x += VLY_FONT_WIDTH * scale)
        draw_glyph(p, x, y, scale, color, (unsigned char)text.ptr[i]);
}

void vly_canvas_label(vly_picture *p, const float box[4], int scale, vly_color background,
                      vly_str text)
{
    if (!is_finite(box, 4) || text.len == 0)
        return;
    int half = vly_canvas_thickness(p) / 2, height = (VLY_FONT_HEIGHT + 1) * scale;
    size_t max_chars = p->width / (VLY_FONT_WIDTH * (unsigned)scale) + 1;
    size_t n = text.len < max_chars ? text.len : max_chars;
    int width = ((int)n * VLY_FONT_WIDTH + 2) * scale;
    int x = to_int(box[0]) - half, y = to_int(box[1]) - half - height;

    if (x + width > (int)p->width)
        x = (int)p->width - width;
    if (x < 0)
        x = 0;
    if (y < 0) /* no room above: inside the box */
        y = to_int(fmaxf(box[1], 0.0f));
    fill_pixels(p, x, y, x + width, y + height, background, 255);
    vly_canvas_text(p, x + 3 * scale / 2, y + scale / 2, scale, vly_canvas_ink(background), text);
}

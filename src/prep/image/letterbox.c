/* SPDX-License-Identifier: MIT */
/*
 * Row by row: each output row needs two source rows resized across; the last two are kept, so going
 * up no source row is resized twice. Work area, one block:
 *
 *   packed taps of the visible columns | row 0: r g b planes | row 1: r g b planes
 *
 * The taps themselves stand in the rows' place until they are packed.
 *
 * Arithmetic follows cv2.resize (double scale, float position, weights rounded to 1/2048) and
 * Ultralytics' letterbox (Python's round, half to even), so that a model sees what it was trained
 * on.
 */
#include "prep/image/letterbox.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/cpu.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

#define MAX_SIDE 65536u

/* One axis: the picture's n pixels become `resized` pixels, the first of them at `offset` of the
 * tensor's axis; begin..end of the axis is covered. */
typedef struct axis {
    uint32_t n;
    int64_t resized;
    int64_t offset;
    uint32_t begin;
    uint32_t end;
    double step; /* source pixels per output pixel */
} axis;

static axis axis_of(uint32_t n, double resized, uint32_t size, bool is_centred)
{
    axis a = {.n = n, .resized = resized < 1.0 ? 1 : (int64_t)resized};

    if (is_centred) /* floor, also when the picture stands over */
        a.offset = ((int64_t)size - a.resized) >> 1;
    a.begin = a.offset > 0 ? (uint32_t)a.offset : 0;
    a.end = a.offset + a.resized < (int64_t)size ? (uint32_t)(a.offset + a.resized) : size;
    a.step = 1.0 / ((double)a.resized / n);
    return a;
}

static void fit_axes(uint32_t w, uint32_t h, vly_fit fit, uint32_t to_w, uint32_t to_h, axis *ret_x,
                     axis *ret_y)
{
    double rx = (double)to_w / w, ry = (double)to_h / h;
    double r = fit == VLY_FIT_COVER ? fmax(rx, ry) : fmin(rx, ry);
    bool is_centred = fit == VLY_FIT_LETTERBOX || fit == VLY_FIT_COVER;

    if (fit == VLY_FIT_STRETCH) {
        *ret_x = axis_of(w, to_w, to_w, false);
        *ret_y = axis_of(h, to_h, to_h, false);
    } else if (fit == VLY_FIT_TOP_LEFT) {
        *ret_x = axis_of(w, floor(w * r), to_w, false);
        *ret_y = axis_of(h, floor(h * r), to_h, false);
    } else {
        *ret_x = axis_of(w, rint(w * r), to_w, is_centred);
        *ret_y = axis_of(h, rint(h * r), to_h, is_centred);
    }
}

static vly_letterbox_map map_of(const axis *x, const axis *y)
{
    return (vly_letterbox_map){
        .scale_x = (float)((double)x->resized / x->n),
        .scale_y = (float)((double)y->resized / y->n),
        .pad_x = (float)x->offset,
        .pad_y = (float)y->offset,
        .width = x->n,
        .height = y->n,
    };
}

/* Where output pixel i of the axis samples: the left source pixel (-1 before the first) and the
 * weight of the one behind it. */
static int64_t sample_at(const axis *a, uint32_t i, int *ret_weight)
{
    float at = (float)(((double)(i - a->offset) + 0.5) * a->step - 0.5);
    float left = floorf(at);

    *ret_weight = (int)lrintf((at - left) * VLY_LETTERBOX_ONE);
    return (int64_t)left;
}

static uint32_t clamp_index(int64_t i, uint32_t n)
{
    return i < 0 ? 0 : i >= (int64_t)n ? n - 1 : (uint32_t)i;
}

static void fill_taps(vly_letterbox_tap *taps, const axis *x)
{
    for (uint32_t i = x->begin; i < x->end; i++) {
        vly_letterbox_tap *tap = &taps[i - x->begin];
        int64_t left = sample_at(x, i, &tap->weight);
        tap->left = 3 * clamp_index(left, x->n);
        tap->right = 3 * clamp_index(left + 1, x->n);
    }
}

/* What one run works with; everything is borrowed. */
typedef struct job {
    const vly_letterbox_dsp *dsp;
    const vly_picture *picture;
    axis x;
    axis y;
    const void *packed; /* taps */
    size_t plane;       /* samples between the planes of a resized row */
    int16_t *row[2];    /* the two resized rows */
    int64_t row_y[2];   /* of the picture; -1: none yet */
    float scale[3];     /* tensor = sample * scale + bias, by the tensor's channel */
    float bias[3];
    float pad[3];
} job;

/* Resized source row y; keep: the buffer that must survive (NULL: none). */
static const int16_t *resized_row(job *j, uint32_t y, const int16_t *keep)
{
    for (int i = 0; i < 2; i++)
        if (j->row_y[i] == (int64_t)y)
            return j->row[i];
    int victim = j->row[0] == keep || (keep == NULL && j->row_y[1] < j->row_y[0]);
    j->row_y[victim] = y;
    j->dsp->across(j->row[victim], j->plane, j->picture->pixels + y * j->picture->stride,
                   j->packed);
    return j->row[victim];
}

/* Row i of the tensor; rgb[c]: which colour goes to channel c. */
static void run_row(job *j, uint32_t i, const int rgb[3], uint32_t width, uint32_t height,
                    float *dst)
{
    int weight;
    int64_t above = sample_at(&j->y, i, &weight);
    const int16_t *row0 = resized_row(j, clamp_index(above, j->y.n), NULL);
    const int16_t *row1 = resized_row(j, clamp_index(above + 1, j->y.n), row0);

    for (int c = 0; c < 3; c++) {
        float *to = dst + ((size_t)c * height + i) * width;
        size_t from = (size_t)rgb[c] * j->plane;
        j->dsp->fill(to, j->pad[c], j->x.begin);
        j->dsp->down(to + j->x.begin, row0 + from, row1 + from, weight, j->scale[c], j->bias[c],
                     j->x.end - j->x.begin);
        j->dsp->fill(to + j->x.end, j->pad[c], width - j->x.end);
    }
}

static void set_normalisation(job *j, const vly_letterbox_opts *opts)
{
    for (int c = 0; c < 3; c++) {
        double unit = opts->unit ? 255.0 : 1.0;
        j->scale[c] = (float)(1.0 / (unit * (double)opts->std[c]));
        j->bias[c] = (float)(-(double)opts->mean[c] / (double)opts->std[c]);
        j->pad[c] = (float)opts->pad * j->scale[c] + j->bias[c];
    }
}

/* Points the job into a work area of sufficient size. */
static vly_status set_scratch(vly_letterbox *lb, job *j, vly_err *err)
{
    size_t n = j->x.end - j->x.begin;
    size_t plane = vly_align_up(n, 32);
    size_t packed_bytes = vly_align_up(vly_letterbox_packed_bytes(n), 64);
    size_t taps_bytes = n * sizeof(vly_letterbox_tap), rows_bytes = plane * 6 * sizeof(int16_t);
    size_t bytes = packed_bytes + (rows_bytes > taps_bytes ? rows_bytes : taps_bytes);

    if (bytes > lb->scratch_bytes) {
        void *scratch = vly_alloc_aligned(VLY_MEM_CODEC, bytes);
        if (scratch == NULL)
            return vly_fail(err, VLY_ENOMEM, "letterbox: no memory for %zu columns", n);
        vly_free(lb->scratch);
        lb->scratch = scratch;
        lb->scratch_bytes = bytes;
    }
    void *rows = (char *)lb->scratch + packed_bytes;
    fill_taps(rows, &j->x);
    j->dsp->pack(lb->scratch, rows, n, (size_t)3 * j->x.n);
    j->packed = lb->scratch;
    j->plane = plane;
    j->row[0] = rows;
    j->row[1] = j->row[0] + 3 * plane;
    j->row_y[0] = j->row_y[1] = -1;
    return VLY_OK;
}

void vly_letterbox_init(vly_letterbox *lb)
{
    *lb = (vly_letterbox){.scratch = NULL};
    vly_letterbox_dsp_init(&lb->dsp, vly_cpu_flags());
}

void vly_letterbox_release(vly_letterbox *lb)
{
    vly_free(lb->scratch);
    *lb = (vly_letterbox){.scratch = NULL};
}

vly_status vly_letterbox_run(vly_letterbox *lb, const vly_picture *picture,
                             const vly_letterbox_opts *opts, uint32_t width, uint32_t height,
                             float *dst, vly_letterbox_map *ret_map, vly_err *err)
{
    static const int rgb[3] = {0, 1, 2}, bgr[3] = {2, 1, 0};
    job j = {.dsp = &lb->dsp, .picture = picture};

    VLY_ASSERT(picture->width > 0 && picture->height > 0);
    VLY_ASSERT(width > 0 && width <= MAX_SIDE && height > 0 && height <= MAX_SIDE);
    for (int c = 0; c < 3; c++)
        if (!(opts->std[c] > 0.0f))
            return vly_fail(err, VLY_EINVAL, "letterbox: expected std > 0, got %g for channel %d",
                            (double)opts->std[c], c);
    fit_axes(picture->width, picture->height, opts->fit, width, height, &j.x, &j.y);
    set_normalisation(&j, opts);
    vly_status st = set_scratch(lb, &j, err);
    if (st != VLY_OK)
        return st;

    for (int c = 0; c < 3; c++) {
        float *plane = dst + (size_t)c * height * width;
        j.dsp->fill(plane, j.pad[c], (size_t)j.y.begin * width);
        j.dsp->fill(plane + (size_t)j.y.end * width, j.pad[c], (size_t)(height - j.y.end) * width);
    }
    for (uint32_t i = j.y.begin; i < j.y.end; i++)
        run_row(&j, i, opts->is_bgr ? bgr : rgb, width, height, dst);
    if (ret_map != NULL)
        *ret_map = map_of(&j.x, &j.y);
    return VLY_OK;
}

vly_letterbox_map vly_letterbox_map_of(uint32_t picture_width, uint32_t picture_height, vly_fit fit,
                                       uint32_t width, uint32_t height)
{
    axis x, y;
    fit_axes(picture_width, picture_height, fit, width, height, &x, &y);
    return map_of(&x, &y);
}

void vly_letterbox_unmap_point(const vly_letterbox_map *map, float *x, float *y)
{
    *x = (*x - map->pad_x) / map->scale_x;
    *y = (*y - map->pad_y) / map->scale_y;
}

void vly_letterbox_unmap_box(const vly_letterbox_map *map, float box[4])
{
    for (int i = 0; i < 4; i += 2) {
        vly_letterbox_unmap_point(map, &box[i], &box[i + 1]);
        box[i] = fminf(fmaxf(box[i], 0.0f), (float)map->width);
        box[i + 1] = fminf(fmaxf(box[i + 1], 0.0f), (float)map->height);
    }
}

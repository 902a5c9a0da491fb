/* SPDX-License-Identifier: MIT */
#include "tasks/mask.h"

#include <math.h>
#include <string.h>

#define WORD_BITS 64

static uint32_t words_for(uint32_t height)
{
    return (height + WORD_BITS - 1) / WORD_BITS;
}

static vly_status no_memory(vly_err *err)
{
    return vly_fail(err, VLY_ELIMIT, "masks do not fit the memory of a request");
}

/* Taps of all pixels of an axis. step: samples per input pixel. Beyond the samples at either end
 * the nearest one counts. */
static vly_mask_tap *make_taps(vly_arena *arena, uint32_t n_pixels, uint32_t n_samples, float scale,
                               float pad, float step)
{
    vly_mask_tap *taps = vly_arena_calloc(arena, n_pixels, sizeof(*taps));
    float max = (float)(n_samples - 1);

    if (taps == NULL)
        return NULL;
    for (uint32_t i = 0; i < n_pixels; i++) {
        float at = (((float)i + 0.5f) * scale + pad) * step - 0.5f;
        at = at > 0.0f ? at : 0.0f;
        at = at < max ? at : max;
        uint32_t low = (uint32_t)at;
        taps[i] = (vly_mask_tap){low, low + 1 < n_samples ? low + 1 : low, at - (float)low};
    }
    return taps;
}

static vly_status allocate(vly_mask_proto *p, const vly_decoder *d, vly_err *err)
{
    const vly_letterbox_map *m = p->args->map;
    vly_arena *arena = p->args->arena;
    size_t n_words = (size_t)words_for(m->height) * m->width;

    if ((uint64_t)m->width * m->height > UINT32_MAX)
        return vly_fail(err, VLY_ELIMIT, "a picture of %u x %u is too large for run lengths",
                        m->width, m->height);
    p->taps_x = make_taps(arena, m->width, p->width, m->scale_x, m->pad_x,
                          (float)p->width / (float)d->input_width);
    p->taps_y = make_taps(arena, m->height, p->height, m->scale_y, m->pad_y,
                          (float)p->height / (float)d->input_height);
    p->logits = vly_arena_calloc(arena, p->rows.n_rows, sizeof(*p->logits));
    p->column = vly_arena_calloc(arena, p->height, sizeof(*p->column));
    p->bits = vly_arena_calloc(arena, n_words, sizeof(*p->bits));
    p->seen = vly_arena_calloc(arena, n_words, sizeof(*p->seen));
    if (p->taps_x == NULL || p->taps_y == NULL || p->logits == NULL || p->column == NULL ||
        p->bits == NULL || p->seen == NULL)
        return no_memory(err);
    return VLY_OK;
}

vly_status vly_mask_proto__open(vly_mask_proto *ret, const vly_decoder *d, const vly_decode_args *a,
                                vly_err *err)
{
    size_t idx = d->params.output_idx[1];
    vly_mask_proto p = {.args = a};

    if (idx >= a->n_outputs || a->outputs[idx].shape.rank != 4)
        return vly_fail(err, VLY_EINVAL, "output %zu: expected prototypes of masks in 4 dimensions",
                        idx);
    vly_status st = vly_rows__open(d, a, 1, true, (size_t)d->params.n_mask_values, &p.rows, err);
    if (st != VLY_OK)
        return st;
    if (p.rows.n_rows == 0)
        return vly_fail(err, VLY_EINVAL, "output %zu: expected prototypes of masks, got none", idx);
    p.height = (uint32_t)a->outputs[idx].shape.dim[2]; /* their product fits: it is n_rows */
    p.width = (uint32_t)a->outputs[idx].shape.dim[3];
    st = allocate(&p, d, err);
    if (st == VLY_OK)
        *ret = p;
    return st;
}

/* Pixels whose centres lie in the box: [x0, x1) x [y0, y1). */
typedef struct region {
    uint32_t x0, y0, x1, y1;
} region;

static uint32_t first_centre(float edge, uint32_t limit)
{
    float at = ceilf(edge - 0.5f);
    at = at > 0.0f ? at : 0.0f;
    return at < (float)limit ? (uint32_t)at : limit;
}

static region region_of(const float box[4], const vly_letterbox_map *m)
{
    return (region){first_centre(box[0], m->width), first_centre(box[1], m->height),
                    first_centre(box[2], m->width), first_centre(box[3], m->height)};
}

/* Sums the prototypes over the samples that the region needs. */
static void sum_prototypes(vly_mask_proto *p, const float *factors, region r)
{
    uint32_t left = p->taps_x[r.x0].low;
    uint32_t right = p->taps_x[r.x1 - 1].high;

    for (uint32_t y = p->taps_y[r.y0].low; y <= p->taps_y[r.y1 - 1].high; y++) {
        float *dst = p->logits + (size_t)y * p->width;
        memset(dst + left, 0, (right - left + 1) * sizeof(*dst));
        for (size_t k = 0; k < p->rows.n_values; k++) {
            const float *src = p->rows.data + k * p->rows.value_step + (size_t)y * p->width;
            for (uint32_t x = left; x <= right; x++)
                dst[x] += factors[k] * src[x];
        }
    }
}

/* Thresholds one column of the picture into words of bits. */
static void fill_column(vly_mask_proto *p, uint32_t x, region r, uint64_t *words)
{
    vly_mask_tap t = p->taps_x[x];

    for (uint32_t y = p->taps_y[r.y0].low; y <= p->taps_y[r.y1 - 1].high; y++) {
        const float *row = p->logits + (size_t)y * p->width;
        p->column[y] = row[t.low] + (row[t.high] - row[t.low]) * t.weight;
    }
    for (uint32_t y = r.y0; y < r.y1; y++) {
        vly_mask_tap v = p->taps_y[y];
        float value = p->column[v.low] + (p->column[v.high] - p->column[v.low]) * v.weight;
        uint32_t bit = y - r.y0;
        words[bit / WORD_BITS] |= (uint64_t)(value > 0.0f) << (bit % WORD_BITS);
    }
}

/* Run lengths under construction; counts NULL: only their number. */
typedef struct runs {
    uint32_t *counts;
    size_t n;     /* runs before the open one */
    uint32_t len; /* of the open run */
    bool value;   /* of the open run */
} runs;

static void add_run(runs *r, bool value, uint32_t len)
{
    if (len == 0)
        return;
    if (value != r->value) {
        if (r->counts != NULL)
            r->counts[r->n] = r->len;
        r->n++;
        r->len = 0;
        r->value = value;
    }
    r->len += len;
}

/* How many bits from `from` on are equal to value; stops at height. */
static uint32_t run_length(const uint64_t *words, uint32_t from, uint32_t height, bool value)
{
    uint32_t at = from;

    while (at < height) {
        uint64_t flipped = (value ? ~words[at / WORD_BITS] : words[at / WORD_BITS]);
        uint64_t rest = flipped >> (at % WORD_BITS);
        if (rest != 0) {
            at += (uint32_t)__builtin_ctzll(rest);
            break;
        }
        at += WORD_BITS - at % WORD_BITS;
    }
    return (at < height ? at : height) - from;
}

/* Runs of the whole picture; returns their number. */
static size_t measure_runs(const vly_bitmap *b, region r, const vly_letterbox_map *m,
                           uint32_t *counts)
{
    runs out = {.counts = counts};

    add_run(&out, false, r.x0 * m->height);
    for (uint32_t x = 0; x < b->width; x++) {
        const uint64_t *words = b->words + (size_t)x * b->column_words;
        bool value = false;
        add_run(&out, false, r.y0);
        for (uint32_t y = 0; y < b->height; value = !value) {
            uint32_t len = run_length(words, y, b->height, value);
            add_run(&out, value, len);
            y += len;
        }
        add_run(&out, false, m->height - r.y1);
    }
    add_run(&out, false, (m->width - r.x1) * m->height);
    if (counts != NULL)
        counts[out.n] = out.len;
    return out.n + 1;
}

static vly_status make_mask(const vly_mask_proto *p, const vly_bitmap *b, region r, vly_mask *ret,
                            vly_err *err)
{
    const vly_letterbox_map *m = p->args->map;
    vly_bitmap seen = *b;
    vly_mask mask = {.width = m->width, .height = m->height};
    size_t n = measure_runs(b, r, m, NULL);
    uint32_t *counts = vly_arena_calloc(p->args->arena, n, sizeof(*counts));

    if (counts == NULL)
        return no_memory(err);
    mask.counts = counts;
    mask.n_counts = (uint32_t)measure_runs(b, r, m, counts);
    seen.words = p->seen;
    memset(seen.words, 0, (size_t)b->width * b->column_words * sizeof(*seen.words));
    vly_status st =
        vly_outlines(b, &seen, r.x0, r.y0, p->args->arena, &mask.polygons, &mask.n_polygons, err);
    if (st == VLY_OK)
        *ret = mask;
    return st;
}

vly_status vly_mask_proto__make(vly_mask_proto *p, const float *factors, vly_detection *det,
                                vly_err *err)
{
    region r = region_of(det->bbox, p->args->map);
    vly_bitmap b = {.words = p->bits};
    vly_mask *mask = vly_arena_calloc(p->args->arena, 1, sizeof(*mask));

    if (mask == NULL)
        return no_memory(err);
    if (r.x0 < r.x1 && r.y0 < r.y1) {
        b.width = r.x1 - r.x0;
        b.height = r.y1 - r.y0;
        b.column_words = words_for(b.height);
        memset(b.words, 0, (size_t)b.width * b.column_words * sizeof(*b.words));
        sum_prototypes(p, factors, r);
        for (uint32_t x = 0; x < b.width; x++)
            fill_column(p, r.x0 + x, r, b.words + (size_t)x * b.column_words);
    } else {
        r = (region){0, 0, 0, 0};
    }
    vly_status st = make_mask(p, &b, r, mask, err);
    if (st == VLY_OK)
        det->mask = mask;
    return st;
}

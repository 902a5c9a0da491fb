/* SPDX-License-Identifier: MIT */
/*
 * Image operations on vectors (dsp/vec/vec.h), compiled once per instruction set.
 *
 * Lanes are channels, or pixels after a transposition. Elements become floats on the way in and
 * elements again on the way out, in registers.
 */
#include "dsp/vec/vec_act.h"
#include "dsp/vec/vec_isa.h"

VF_INLINE vf act_of(vly_act act, vf v, float alpha, float beta)
{
    return act == VLY_ACT_NONE ? v : vf_act(act, v, alpha, beta);
}

static inline vf to_real(const vly_image *im, vf q)
{
    return vf_mul(vf_sub(q, vf_set((float)im->zero)), vf_set(im->scale));
}

/* As vly_image_quantise, before the narrowing. */
static inline vf to_u8(const vly_image *im, vf v)
{
    return vf_code(vf_div(v, vf_set(im->scale)), (float)im->zero);
}

/* n elements from element i of `at` on, 1 <= n <= VF_LANES; what is not there is 0. elem is that of
 * im: a constant where the loop is worth a copy for each. */
VF_INLINE vf get_as(vly_elem elem, const vly_image *im, const void *at, ptrdiff_t i, ptrdiff_t n)
{
    bool is_all = n == VF_LANES;

    if (elem == VLY_ELEM_F32) {
        const float *p = (const float *)at + i;
        return is_all ? vf_load(p) : vf_load_n(p, n);
    }
    if (elem == VLY_ELEM_BF16) {
        const uint16_t *p = (const uint16_t *)at + i;
        return is_all ? vf_load_bf16(p) : vf_load_bf16_n(p, n);
    }
    const uint8_t *p = (const uint8_t *)at + i;
    return to_real(im, is_all ? vf_load_u8(p) : vf_load_u8_n(p, n));
}

static inline vf get_n(const vly_image *im, const void *at, ptrdiff_t i, ptrdiff_t n)
{
    return get_as(im->elem, im, at, i, n);
}

static inline vf get(const vly_image *im, const void *at, ptrdiff_t i)
{
    return get_as(im->elem, im, at, i, VF_LANES);
}

/* Calls function(elem, ...) with the element as a constant. */
#define BY_ELEM(elem, function, ...)                                                               \
    switch (elem) {                                                                                \
    case VLY_ELEM_F32:                                                                             \
        function(VLY_ELEM_F32, __VA_ARGS__);                                                       \
        break;                                                                                     \
    case VLY_ELEM_BF16:                                                                            \
        function(VLY_ELEM_BF16, __VA_ARGS__);                                                      \
        break;                                                                                     \
    case VLY_ELEM_U8:                                                                              \
        function(VLY_ELEM_U8, __VA_ARGS__);                                                        \
        break;                                                                                     \
    }

static inline void put(const vly_image *im, void *at, ptrdiff_t i, vf v)
{
    if (im->elem == VLY_ELEM_F32)
        vf_store((float *)at + i, v);
    else if (im->elem == VLY_ELEM_BF16)
        vf_store_bf16((uint16_t *)at + i, v);
    else
        vf_store_u8((uint8_t *)at + i, to_u8(im, v));
}

static inline void put_n(const vly_image *im, void *at, ptrdiff_t i, vf v, ptrdiff_t n)
{
    if (n == VF_LANES)
        put(im, at, i, v);
    else if (im->elem == VLY_ELEM_F32)
        vf_store_n((float *)at + i, v, n);
    else if (im->elem == VLY_ELEM_BF16)
        vf_store_bf16_n((uint16_t *)at + i, v, n);
    else
        vf_store_u8_n((uint8_t *)at + i, to_u8(im, v), n);
}

static inline int at_most(int n, int max)
{
    return n < max ? n : max;
}

/* One row of y, cut into runs of elements that follow each other in every image: the row, or its
 * pixels where some image is a slice. */
typedef struct runs {
    int n, count;
} runs;

static runs runs_of(const vly_image *y, bool is_dense)
{
    return is_dense ? (runs){y->w * y->c, 1} : (runs){y->c, y->w};
}

static bool is_dense(const vly_image *im)
{
    return im->pixel == im->c;
}

/* Blocks of VF_LANES channels by VF_LANES columns, from column `col` of one row on. */
static void row_from_planes(const vly_image *y, const vly_planes *x, int n_channels, int n, int row,
                            int col)
{
    const float *from = x->data + n * x->picture + (int64_t)row * y->w;

    for (; col < y->w; col += VF_LANES) {
        int cols = vf_lanes(y->w - col);
        for (int c = 0; c < y->c; c += VF_LANES) {
            vf t[VF_LANES];
            for (int i = 0; i < VF_LANES; i++)
                t[i] = c + i < n_channels ? vf_load_n(from + (c + i) * x->plane + col, cols)
                                          : vf_set(0.0f);
            vf_transpose(t);
            for (int i = 0; i < cols; i++)
                put_n(y, vly_image_at(y, n, row, col + i), c, t[i], vf_lanes(y->c - c));
        }
    }
}

/* Dense pixels of 4 channels, or of 3 floats, as first layers take them; returns the first column
 * not done. */
static int row_of_few(const vly_image *y, const vly_planes *x, int n_channels, int n, int row)
{
    const float *from = x->data + n * x->picture + (int64_t)row * y->w;
    void *to = vly_image_at(y, n, row, 0);
    int col = 0;

    for (; col + VF_LANES <= y->w; col += VF_LANES) {
        vf t[4];
        ptrdiff_t at = (ptrdiff_t)y->c * col;
        for (int c = 0; c < y->c; c++) {
            t[c] = c < n_channels ? vf_load(from + c * x->plane + col) : vf_set(0.0f);
            t[c] = y->elem == VLY_ELEM_U8 ? to_u8(y, t[c]) : t[c];
        }
        if (y->c == 3)
            vf_store_triples((float *)to + at, t);
        else if (y->elem == VLY_ELEM_F32)
            vf_store_pixels((float *)to + at, t);
        else if (y->elem == VLY_ELEM_BF16)
            vf_store_pixels_bf16((uint16_t *)to + at, t);
        else
            vf_store_pixels_u8((uint8_t *)to + at, t);
    }
    return col;
}

static void from_planes(const vly_image *y, const vly_planes *x, int n_channels, int begin, int end)
{
    bool is_few = is_dense(y) && (y->c == 4 || (y->c == 3 && y->elem == VLY_ELEM_F32));

    for (int i = begin; i < end; i++) {
        int n = i / y->h, row = i % y->h;
        int col = is_few ? row_of_few(y, x, n_channels, n, row) : 0;
        row_from_planes(y, x, n_channels, n, row, col);
    }
}

/* Pixels that follow each other at equal distance, from row i of all pictures on: the rows up to
 * `end` of a picture without border, else one row. */
typedef struct line {
    int n, row, rows;
    int64_t w;
} line;

static line line_at(const vly_image *im, int i, int end)
{
    int row = i % im->h, rows = at_most(end - i, im->h - row);

    if (im->row != im->w * im->pixel)
        rows = 1;
    return (line){i / im->h, row, rows, (int64_t)rows * im->w};
}

/* VF_LANES pixels from `at` on, m channels of each, transposed: t[k] is channel k of the pixels.
 * Pixels beyond `cols` are 0. */
VF_INLINE void get_block(vly_elem elem, const vly_image *x, const unsigned char *at, int64_t cols,
                         int m, vf t[VF_LANES])
{
    int64_t step = x->pixel * (int64_t)vly_elem_size(elem);

    if (cols >= VF_LANES && m == VF_LANES) {
        for (int k = 0; k < VF_LANES; k++)
            t[k] = get_as(elem, x, at + k * step, 0, VF_LANES);
    } else {
        for (int k = 0; k < VF_LANES; k++)
            t[k] = k < cols ? get_as(elem, x, at + k * step, 0, m) : vf_set(0.0f);
    }
    vf_transpose(t);
}

VF_INLINE void line_to_planes(vly_elem elem, float *to, int64_t plane, const vly_image *x,
                              const line *l, vly_act act, float alpha, float beta)
{
    const unsigned char *from = vly_image_at(x, l->n, l->row, 0);
    int64_t size = (int64_t)vly_elem_size(elem);

    for (int c = 0; c < x->c; c += VF_LANES) {
        int channels = vf_lanes(x->c - c);
        for (int64_t col = 0; col < l->w; col += VF_LANES) {
            int64_t left = l->w - col, cols = left < VF_LANES ? left : VF_LANES;
            vf t[VF_LANES];
            get_block(elem, x, from + (col * x->pixel + c) * size, cols, channels, t);
            for (int k = 0; k < channels; k++)
                vf_store_n(to + (c + k) * plane + col, act_of(act, t[k], alpha, beta), cols);
        }
    }
}

static void to_planes(const vly_planes *y, const vly_image *x, vly_act act, float alpha, float beta,
                      int begin, int end)
{
    for (int i = begin; i < end;) {
        line l = line_at(x, i, end);
        float *to = y->data + l.n * y->picture + (int64_t)l.row * x->w;
        BY_ELEM(x->elem, line_to_planes, to, y->plane, x, &l, act, alpha, beta)
        i += l.rows;
    }
}

static void map(const vly_image *y, const vly_image *x, vly_act act, float alpha, float beta,
                int begin, int end)
{
    runs r = runs_of(y, is_dense(y) && is_dense(x));

    for (int i = begin; i < end; i++)
        for (int k = 0; k < r.count; k++) {
            const void *from = vly_image_at(x, i / y->h, i % y->h, k);
            void *to = vly_image_at(y, i / y->h, i % y->h, k);
            int j = 0;
            for (; j + VF_LANES <= r.n; j += VF_LANES)
                put(y, to, j, act_of(act, get(x, from, j), alpha, beta));
            if (j < r.n)
                put_n(y, to, j, act_of(act, get_n(x, from, j, r.n - j), alpha, beta), r.n - j);
        }
}

static inline vf combine_two(vly_combine op, vf a, vf b)
{
    return op == VLY_COMBINE_ADD   ? vf_add(a, b)
           : op == VLY_COMBINE_MUL ? vf_mul(a, b)
                                   : vf_sub(a, b);
}

static void combine(const vly_image *y, const vly_image *a, const vly_image *b, vly_combine op,
                    vly_act act, float alpha, float beta, int begin, int end)
{
    int64_t step_y = b->h > 1, step_x = b->w > 1;
    bool is_like_y = b->h == y->h && b->w == y->w && b->c == y->c, is_one = b->c == 1;
    runs r = runs_of(y, is_dense(y) && is_dense(a) && is_dense(b) && is_like_y);

    for (int i = begin; i < end; i++)
        for (int k = 0; k < r.count; k++) {
            int n = i / y->h, row = i % y->h;
            const void *left = vly_image_at(a, n, row, k);
            const void *right = vly_image_at(b, n, row * step_y, k * step_x);
            void *to = vly_image_at(y, n, row, k);
            vf one = vf_set(is_one ? vly_image_get(b, right, 0) : 0.0f);
            for (int j = 0; j < r.n; j += VF_LANES) {
                int m = vf_lanes(r.n - j);
                vf u = is_one && y->c > 1 ? one : get_n(b, right, j, m);
                vf v = combine_two(op, get_n(a, left, j, m), u);
                put_n(y, to, j, act_of(act, v, alpha, beta), m);
            }
        }
}

/* Taps begin..end-1 of a window along one axis lie within the picture. */
typedef struct taps {
    int begin, end;
} taps;

static taps clip_taps(int at, int kernel, int dilation, int size)
{
    int inside = (size - at + dilation - 1) / dilation;
    return (taps){at < 0 ? (-at + dilation - 1) / dilation : 0, at_most(inside, kernel)};
}

/* m channels from c on of one output row. A window is reduced along its columns first, and what a
 * column gave is kept for the windows to come: RING columns, more than a window spans. */
enum { RING = 16 };

typedef struct pool_line {
    const vly_image *x, *y;
    const vly_pool_desc *d;
    int m;
    taps rows;
    const unsigned char *from; /* the window's first row that is in the picture */
    unsigned char *to;
    int64_t row_step, col_step, to_step; /* bytes */
} pool_line;

VF_INLINE vf pool_two(bool is_max, vf acc, vf v)
{
    return is_max ? vf_max(v, acc) : vf_add(acc, v); /* NaN never wins */
}

VF_INLINE vf pool_start(bool is_max)
{
    return vf_set(is_max ? -INFINITY : 0.0f);
}

VF_INLINE vf pool_column(vly_elem elem, bool is_max, const pool_line *p, int col, int m)
{
    const unsigned char *at = p->from + col * p->col_step;
    vf acc = pool_start(is_max);

    for (int i = p->rows.begin; i < p->rows.end; i++, at += p->row_step)
        acc = pool_two(is_max, acc, get_as(elem, p->x, at, 0, m));
    return acc;
}

/* The mean's divisor. */
static float pool_count(const pool_line *p, taps q)
{
    int inside = (p->rows.end - p->rows.begin) * (q.end - q.begin);
    return (float)(p->d->counts_border ? p->d->kernel_h * p->d->kernel_w : inside);
}

VF_INLINE void pool_row(vly_elem elem, bool is_max, const pool_line *p, int m)
{
    const vly_pool_desc *d = p->d;
    bool is_kept = (d->kernel_w - 1) * d->dilation_w < RING;
    vf ring[RING];
    int next = 0; /* the first column not in the ring yet */

    for (int col = 0; col < p->y->w; col++) {
        int left = col * d->stride_w - d->pad_left;
        taps q = clip_taps(left, d->kernel_w, d->dilation_w, p->x->w);
        int last = left + (q.end - 1) * d->dilation_w;
        vf acc = pool_start(is_max);
        for (; is_kept && next <= last; next++)
            ring[next % RING] = pool_column(elem, is_max, p, next, m);
        for (int j = q.begin; j < q.end; j++) {
            int at = left + j * d->dilation_w;
            acc = pool_two(is_max, acc,
                           is_kept ? ring[at % RING] : pool_column(elem, is_max, p, at, m));
        }
        if (!is_max)
            acc = vf_div(acc, vf_set(pool_count(p, q)));
        put_n(p->y, p->to + col * p->to_step, 0, acc, m);
    }
}

VF_INLINE void pool_channels(vly_elem elem, const pool_line *p)
{
    if (p->d->is_max && p->m == VF_LANES)
        pool_row(elem, true, p, VF_LANES);
    else if (p->d->is_max)
        pool_row(elem, true, p, p->m);
    else
        pool_row(elem, false, p, p->m);
}

static void pool(const vly_image *y, const vly_image *x, const vly_pool_desc *d, int begin, int end)
{
    int64_t size = (int64_t)vly_elem_size(x->elem), y_size = (int64_t)vly_elem_size(y->elem);

    for (int i = begin; i < end; i++) {
        int n = i / y->h, row = i % y->h, top = row * d->stride_h - d->pad_top;
        taps rows = clip_taps(top, d->kernel_h, d->dilation_h, x->h);
        pool_line p = {.x = x,
                       .y = y,
                       .d = d,
                       .rows = rows,
                       .from = vly_image_at(x, n, top + rows.begin * d->dilation_h, 0),
                       .to = vly_image_at(y, n, row, 0),
                       .row_step = d->dilation_h * x->row * size,
                       .col_step = x->pixel * size,
                       .to_step = y->pixel * y_size};
        for (int c = 0; c < y->c; c += VF_LANES) {
            p.m = vf_lanes(y->c - c);
            BY_ELEM(x->elem, pool_channels, &p)
            p.from += VF_LANES * size;
            p.to += VF_LANES * y_size;
        }
    }
}

/* Sums of rows are added up, so that the error grows with h + w. */
static void global_mean(const vly_image *y, const vly_image *x, int begin, int end)
{
    float count = (float)x->h * (float)x->w;

    for (int n = begin; n < end; n++)
        for (int c = 0; c < y->c; c += VF_LANES) {
            int m = vf_lanes(y->c - c);
            vf sum = vf_set(0.0f);
            for (int row = 0; row < x->h; row++) {
                vf of_row = vf_set(0.0f);
                for (int col = 0; col < x->w; col++)
                    of_row = vf_add(of_row, get_n(x, vly_image_at(x, n, row, col), c, m));
                sum = vf_add(sum, of_row);
            }
            put_n(y, vly_image_at(y, n, 0, 0), c, vf_div(sum, vf_set(count)), m);
        }
}

static void convert_pixel(const vly_image *y, void *to, const vly_image *x, const void *from)
{
    for (int c = 0; c < y->c; c += VF_LANES) {
        int m = vf_lanes(y->c - c);
        put_n(y, to, c, get_n(x, from, c, m), m);
    }
}

static void resize_nearest(const vly_image *y, const vly_image *x, const int *rows, const int *cols,
                           int begin, int end)
{
    size_t bytes = (size_t)y->c * vly_elem_size(y->elem);
    bool is_copy = y->elem == x->elem &&
                   (y->elem != VLY_ELEM_U8 || (y->scale == x->scale && y->zero == x->zero));

    for (int i = begin; i < end; i++)
        for (int col = 0; col < y->w; col++) {
            const void *from = vly_image_at(x, i / y->h, rows[i % y->h], cols[col]);
            void *to = vly_image_at(y, i / y->h, i % y->h, col);
            if (is_copy)
                vf_copy(to, from, bytes);
            else
                convert_pixel(y, to, x, from);
        }
}

/* Softmax sums of VF_LANES pixels at once, bins coming in blocks: what was summed so far is
 * rescaled when a block brings a greater maximum. */
typedef struct bin_sums {
    vf max, sum, weighted;
} bin_sums;

/* weights: of bin `first` and on */
VF_INLINE void add_bins(bin_sums *s, const vf *t, const float *weights, bool is_first, int m)
{
    vf max = t[0], sum = vf_set(0.0f), weighted = vf_set(0.0f);

    for (int k = 1; k < m; k++)
        max = vf_max(max, t[k]);
    if (!is_first) {
        max = vf_max(max, s->max);
        vf shrink = vf_exp(vf_sub(s->max, max));
        sum = vf_mul(s->sum, shrink);
        weighted = vf_mul(s->weighted, shrink);
    }
    for (int k = 0; k < m; k++) {
        vf e = vf_exp(vf_sub(t[k], max));
        sum = vf_add(sum, e);
        weighted = vf_fma(e, vf_set(weights[k]), weighted);
    }
    *s = (bin_sums){max, sum, weighted};
}

VF_INLINE void line_of_bins(vly_elem elem, float *to, int64_t plane, const vly_image *x,
                            const float *weights, int bins, const line *l)
{
    const unsigned char *from = vly_image_at(x, l->n, l->row, 0);
    int64_t size = (int64_t)vly_elem_size(elem);

    for (int64_t col = 0; col < l->w; col += VF_LANES) {
        int64_t left = l->w - col, cols = left < VF_LANES ? left : VF_LANES;
        for (int side = 0; side < 4; side++) {
            bin_sums s = {.max = vf_set(0.0f)};
            for (int first = 0; first < bins; first += VF_LANES) {
                int m = vf_lanes(bins - first);
                int64_t at = col * x->pixel + (int64_t)side * bins + first;
                vf t[VF_LANES];
                get_block(elem, x, from + at * size, cols, m, t);
                if (m == VF_LANES)
                    add_bins(&s, t, weights + first, first == 0, VF_LANES);
                else
                    add_bins(&s, t, weights + first, first == 0, m);
            }
            vf_store_n(to + side * plane + col, vf_div(s.weighted, s.sum), cols);
        }
    }
}

static void expect(const vly_planes *y, const vly_image *x, const float *weights, int bins,
                   int begin, int end)
{
    for (int i = begin; i < end;) {
        line l = line_at(x, i, end);
        float *to = y->data + l.n * y->picture + (int64_t)l.row * x->w;
        BY_ELEM(x->elem, line_of_bins, to, y->plane, x, weights, bins, &l)
        i += l.rows;
    }
}

void VF_NAME(vly_image_dsp_init)(vly_image_dsp *dsp)
{
    dsp->from_planes = from_planes;
    dsp->to_planes = to_planes;
    dsp->map = map;
    dsp->combine = combine;
    dsp->pool = pool;
    dsp->global_mean = global_mean;
    dsp->resize_nearest = resize_nearest;
    dsp->expect = expect;
}

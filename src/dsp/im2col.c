/* SPDX-License-Identifier: MIT */
#include "dsp/im2col.h"

#include "base/assert.h"

#include <string.h>

static int64_t product(const int64_t v[3])
{
    return v[0] * v[1] * v[2];
}

int64_t vly_window_in_size(const vly_window *w)
{
    return product(w->in);
}

int64_t vly_window_out_size(const vly_window *w)
{
    return product(w->out);
}

int64_t vly_window_kernel_size(const vly_window *w)
{
    return product(w->kernel);
}

/* Input coordinate of output position o under kernel tap k. */
static int64_t source(const vly_window *w, int d, int64_t o, int64_t k)
{
    return o * w->stride[d] + k * w->dilation[d] - w->pad[d];
}

static bool inside(const vly_window *w, int d, int64_t i)
{
    return i >= 0 && i < w->in[d];
}

/* The output positions [*ret_begin, *ret_end) of dimension d whose kernel tap k lies on the image.
 */
static void valid_range(const vly_window *w, int d, int64_t k, int64_t *ret_begin, int64_t *ret_end)
{
    int64_t first = source(w, d, 0, k), stride = w->stride[d];
    int64_t begin = first >= 0 ? 0 : (-first + stride - 1) / stride;
    int64_t end = first >= w->in[d] ? 0 : (w->in[d] - 1 - first) / stride + 1;

    if (end > w->out[d])
        end = w->out[d];
    *ret_begin = begin < end ? begin : end;
    *ret_end = end;
}

/* Part [begin, end) of output row (o0, o1) under tap k; NULL x: the row is off the image. */
typedef struct row_part {
    int64_t begin, end;
    int64_t valid_begin, valid_end; /* clipped to begin..end */
    int64_t first;                  /* input offset of valid_begin */
    bool on_image;
} row_part;

static row_part row_part_of(const vly_window *w, const int64_t k[3], int64_t line, int64_t begin,
                            int64_t end)
{
    int64_t i0 = source(w, 0, line / w->out[1], k[0]), i1 = source(w, 1, line % w->out[1], k[1]);
    row_part p = {.begin = begin, .end = end};

    if (!inside(w, 0, i0) || !inside(w, 1, i1))
        return p;
    valid_range(w, 2, k[2], &p.valid_begin, &p.valid_end);
    p.valid_begin = p.valid_begin < begin ? begin : p.valid_begin;
    p.valid_end = p.valid_end > end ? end : p.valid_end;
    p.on_image = p.valid_begin < p.valid_end;
    if (p.on_image)
        p.first = (i0 * w->in[1] + i1) * w->in[2] + source(w, 2, p.valid_begin, k[2]);
    return p;
}

static void gather_f32(const vly_window *w, const row_part *p, const float *x, float *dst)
{
    int64_t n = p->valid_end - p->valid_begin, stride = w->stride[2];
    const float *src = x + p->first;
    float *out = dst + (p->valid_begin - p->begin);

    memset(dst, 0, (size_t)(p->end - p->begin) * sizeof(*dst));
    if (!p->on_image)
        return;
    if (stride == 1) {
        memcpy(out, src, (size_t)n * sizeof(*out));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        out[i] = src[i * stride];
}

static void gather_q8(const vly_im2col *m, const row_part *p, const uint8_t *x, int16_t *dst)
{
    int64_t n = p->valid_end - p->valid_begin, stride = m->w->stride[2];
    const uint8_t *src = x + p->first;
    int16_t *out = dst + (p->valid_begin - p->begin);
    int32_t zero = m->zero;

    memset(dst, 0, (size_t)(p->end - p->begin) * sizeof(*dst));
    if (!p->on_image)
        return;
    if (m->is_signed) {
        for (int64_t i = 0; i < n; i++)
            out[i] = (int16_t)((int8_t)src[i * stride] - zero);
    } else {
        for (int64_t i = 0; i < n; i++)
            out[i] = (int16_t)(src[i * stride] - zero);
    }
}

/* Columns n0..n0+nn of matrix row kk, as floats or int16. */
static void matrix_row(const vly_im2col *m, int64_t kk, int64_t n0, int64_t nn, char *dst,
                       size_t dst_elem)
{
    const vly_window *w = m->w;
    int64_t taps = vly_window_kernel_size(w), tap = kk % taps, width = w->out[2];
    const int64_t k[3] = {tap / (w->kernel[1] * w->kernel[2]), tap / w->kernel[2] % w->kernel[1],
                          tap % w->kernel[2]};
    const char *channel =
        (const char *)m->x + kk / taps * vly_window_in_size(w) * (int64_t)m->elem_bytes;

    for (int64_t n = n0; n < n0 + nn;) {
        int64_t begin = n % width;
        int64_t end = n0 + nn - n < width - begin ? begin + (n0 + nn - n) : width;
        row_part p = row_part_of(w, k, n / width, begin, end);
        if (m->elem_bytes == 4)
            gather_f32(w, &p, (const float *)(const void *)channel, (float *)(void *)dst);
        else
            gather_q8(m, &p, (const uint8_t *)channel, (int16_t *)(void *)dst);
        dst += (size_t)(end - begin) * dst_elem;
        n += end - begin;
    }
}

static void pack(const vly_gemm_b *b, void *dst, int64_t k0, int64_t kn, int64_t n0, int64_t nn,
                 int nr)
{
    const vly_im2col *m = (const vly_im2col *)b;
    size_t elem = m->elem_bytes == 4 ? sizeof(float) : sizeof(int16_t);
    size_t line = (size_t)nr * elem; /* one row of a panel */
    int64_t n_panels = (nn + nr - 1) / nr;
    _Alignas(64) char row[VLY_GEMM_NC_MAX * sizeof(float)];

    VLY_DEBUG_ASSERT(nn <= VLY_GEMM_NC_MAX);
    memset(row, 0, sizeof(row));
    for (int64_t kk = 0; kk < kn; kk++) {
        matrix_row(m, k0 + kk, n0, nn, row, elem);
        for (int64_t p = 0; p < n_panels; p++)
            memcpy((char *)dst + (size_t)(p * kn + kk) * line, row + (size_t)p * line, line);
    }
}

vly_im2col vly_im2col_f32(const vly_window *w, const float *x)
{
    return (vly_im2col){.base = {pack}, .w = w, .x = x, .elem_bytes = sizeof(float)};
}

vly_im2col vly_im2col_q8(const vly_window *w, const void *x, bool is_signed, int32_t zero)
{
    return (vly_im2col){
        .base = {pack}, .w = w, .x = x, .elem_bytes = 1, .is_signed = is_signed, .zero = zero};
}

vly_tap vly_window_tap(const vly_window *w, int64_t idx)
{
    const int64_t k[3] = {idx / (w->kernel[1] * w->kernel[2]), idx / w->kernel[2] % w->kernel[1],
                          idx % w->kernel[2]};
    vly_tap t;

    for (int d = 0; d < 3; d++) {
        valid_range(w, d, k[d], &t.begin[d], &t.end[d]);
        t.first[d] = source(w, d, t.begin[d], k[d]);
    }
    return t;
}

int64_t vly_tap_in(const vly_window *w, const vly_tap *t, int64_t o0, int64_t o1)
{
    int64_t i0 = t->first[0] + (o0 - t->begin[0]) * w->stride[0];
    int64_t i1 = t->first[1] + (o1 - t->begin[1]) * w->stride[1];
    return (i0 * w->in[1] + i1) * w->in[2] + t->first[2];
}

int64_t vly_tap_out(const vly_window *w, const vly_tap *t, int64_t o0, int64_t o1)
{
    return (o0 * w->out[1] + o1) * w->out[2] + t->begin[2];
}

static void add_line(float *dst, int64_t dst_stride, const float *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i * dst_stride] += src[i];
}

static void scale_line(float *dst, const float *src, int64_t src_stride, float weight, int64_t n)
{
    if (src_stride == 1) {
        for (int64_t i = 0; i < n; i++)
            dst[i] += weight * src[i];
    } else {
        for (int64_t i = 0; i < n; i++)
            dst[i] += weight * src[i * src_stride];
    }
}

void vly_col2im_f32(const vly_window *w, int64_t c, const float *cols, float *x)
{
    int64_t taps = vly_window_kernel_size(w), positions = vly_window_out_size(w);

    for (int64_t row = 0; row < c * taps; row++, cols += positions) {
        vly_tap t = vly_window_tap(w, row % taps);
        float *image = x + row / taps * vly_window_in_size(w);
        for (int64_t o0 = t.begin[0]; o0 < t.end[0]; o0++) {
            for (int64_t o1 = t.begin[1]; o1 < t.end[1]; o1++)
                add_line(image + vly_tap_in(w, &t, o0, o1), w->stride[2],
                         cols + vly_tap_out(w, &t, o0, o1), t.end[2] - t.begin[2]);
        }
    }
}

void vly_depthwise_f32(const vly_window *w, const float *x, const float *weight, float bias,
                       float *y)
{
    int64_t taps = vly_window_kernel_size(w), positions = vly_window_out_size(w);

    for (int64_t i = 0; i < positions; i++)
        y[i] = bias;
    for (int64_t k = 0; k < taps; k++) {
        vly_tap t = vly_window_tap(w, k);
        for (int64_t o0 = t.begin[0]; o0 < t.end[0]; o0++) {
            for (int64_t o1 = t.begin[1]; o1 < t.end[1]; o1++)
                scale_line(y + vly_tap_out(w, &t, o0, o1), x + vly_tap_in(w, &t, o0, o1),
                           w->stride[2], weight[k], t.end[2] - t.begin[2]);
        }
    }
}

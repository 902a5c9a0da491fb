/* SPDX-License-Identifier: MIT */
/* The C reference, element by element, and the choice of the level. */
#include "dsp/image_ops.h"

#include "dsp/expf.h"
#if defined(__x86_64__)
#include "dsp/x86/image_ops_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#endif

static void from_planes(const vly_image *y, const vly_planes *x, int n_channels, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        int n = i / y->h, row = i % y->h;
        const float *from = x->data + n * x->picture + (int64_t)row * y->w;
        for (int col = 0; col < y->w; col++) {
            void *at = vly_image_at(y, n, row, col);
            for (int c = 0; c < y->c; c++)
                vly_image_put(y, at, c, c < n_channels ? from[c * x->plane + col] : 0.0f);
        }
    }
}

static void to_planes(const vly_planes *y, const vly_image *x, vly_act act, float alpha, float beta,
                      int begin, int end)
{
    for (int i = begin; i < end; i++) {
        int n = i / x->h, row = i % x->h;
        float *to = y->data + n * y->picture + (int64_t)row * x->w;
        for (int col = 0; col < x->w; col++) {
            const void *at = vly_image_at(x, n, row, col);
            for (int c = 0; c < x->c; c++)
                to[c * y->plane + col] = vly_act_apply(act, vly_image_get(x, at, c), alpha, beta);
        }
    }
}

static void map(const vly_image *y, const vly_image *x, vly_act act, float alpha, float beta,
                int begin, int end)
{
    for (int i = begin; i < end; i++)
        for (int col = 0; col < y->w; col++) {
            const void *from = vly_image_at(x, i / y->h, i % y->h, col);
            void *to = vly_image_at(y, i / y->h, i % y->h, col);
            for (int c = 0; c < y->c; c++)
                vly_image_put(y, to, c, vly_act_apply(act, vly_image_get(x, from, c), alpha, beta));
        }
}

static void lookup(const vly_image *y, const vly_image *x, const uint8_t table[256], int begin,
                   int end)
{
    for (int i = begin; i < end; i++)
        for (int col = 0; col < y->w; col++) {
            const uint8_t *from = vly_image_at(x, i / y->h, i % y->h, col);
            uint8_t *to = vly_image_at(y, i / y->h, i % y->h, col);
            for (int c = 0; c < y->c; c++)
                to[c] = table[from[c]];
        }
}

static float combine_two(vly_combine op, float a, float b)
{
    switch (op) {
    case VLY_COMBINE_ADD:
        return a + b;
    case VLY_COMBINE_MUL:
        return a * b;
    case VLY_COMBINE_SUB:
        return a - b;
    }
    return a;
}

static void combine(const vly_image *y, const vly_image *a, const vly_image *b, vly_combine op,
                    vly_act act, float alpha, float beta, int begin, int end)
{
    int64_t step_y = b->h > 1, step_x = b->w > 1;
    int step_c = b->c > 1;

    for (int i = begin; i < end; i++) {
        int n = i / y->h, row = i % y->h;
        for (int col = 0; col < y->w; col++) {
            const void *left = vly_image_at(a, n, row, col);
            const void *right = vly_image_at(b, n, row * step_y, col * step_x);
            void *to = vly_image_at(y, n, row, col);
            for (int c = 0; c < y->c; c++) {
                float v =
                    combine_two(op, vly_image_get(a, left, c), vly_image_get(b, right, c * step_c));
                vly_image_put(y, to, c, vly_act_apply(act, v, alpha, beta));
            }
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
    return (taps){at < 0 ? (-at + dilation - 1) / dilation : 0, inside < kernel ? inside : kernel};
}

static void pool_pixel(const vly_image *y, const vly_image *x, const vly_pool_desc *d, int n,
                       int row, int col)
{
    int top = row * d->stride_h - d->pad_top, left = col * d->stride_w - d->pad_left;
    taps r = clip_taps(top, d->kernel_h, d->dilation_h, x->h);
    taps q = clip_taps(left, d->kernel_w, d->dilation_w, x->w);
    int count =
        d->counts_border ? d->kernel_h * d->kernel_w : (r.end - r.begin) * (q.end - q.begin);
    void *to = vly_image_at(y, n, row, col);

    for (int c = 0; c < y->c; c++) {
        float sum = 0.0f, max = -INFINITY;
        for (int i = r.begin; i < r.end; i++)
            for (int j = q.begin; j < q.end; j++) {
                const void *from =
                    vly_image_at(x, n, top + i * d->dilation_h, left + j * d->dilation_w);
                float v = vly_image_get(x, from, c);
                max = v > max ? v : max;
                sum += v;
            }
        vly_image_put(y, to, c, d->is_max ? max : sum / (float)count);
    }
}

static void pool(const vly_image *y, const vly_image *x, const vly_pool_desc *d, int begin, int end)
{
    for (int i = begin; i < end; i++)
        for (int col = 0; col < y->w; col++)
            pool_pixel(y, x, d, i / y->h, i % y->h, col);
}

static void global_mean(const vly_image *y, const vly_image *x, int begin, int end)
{
    for (int n = begin; n < end; n++)
        for (int c = 0; c < y->c; c++) {
            double sum = 0.0;
            for (int row = 0; row < x->h; row++)
                for (int col = 0; col < x->w; col++)
                    sum += (double)vly_image_get(x, vly_image_at(x, n, row, col), c);
            double count = (double)x->h * (double)x->w;
            vly_image_put(y, vly_image_at(y, n, 0, 0), c, (float)(sum / count));
        }
}

static void resize_nearest(const vly_image *y, const vly_image *x, const int *rows, const int *cols,
                           int begin, int end)
{
    for (int i = begin; i < end; i++)
        for (int col = 0; col < y->w; col++) {
            const void *from = vly_image_at(x, i / y->h, rows[i % y->h], cols[col]);
            void *to = vly_image_at(y, i / y->h, i % y->h, col);
            for (int c = 0; c < y->c; c++)
                vly_image_put(y, to, c, vly_image_get(x, from, c));
        }
}

static float expected_bin(const vly_image *x, const void *at, int first, const float *weights,
                          int bins)
{
    float max = -INFINITY, sum = 0.0f, weighted = 0.0f;

    for (int i = 0; i < bins; i++) {
        float v = vly_image_get(x, at, first + i);
        max = v > max ? v : max; /* fmaxf ends in an internal error of gcc 12 for aarch64 */
    }
    for (int i = 0; i < bins; i++) {
        float e = vly_expf(vly_image_get(x, at, first + i) - max);
        sum += e;
        weighted += e * weights[i];
    }
    return weighted / sum;
}

static void expect(const vly_planes *y, const vly_image *x, const float *weights, int bins,
                   int begin, int end)
{
    for (int i = begin; i < end; i++) {
        int n = i / x->h, row = i % x->h;
        float *to = y->data + n * y->picture + (int64_t)row * x->w;
        for (int col = 0; col < x->w; col++)
            for (int side = 0; side < 4; side++)
                to[side * y->plane + col] =
                    expected_bin(x, vly_image_at(x, n, row, col), side * bins, weights, bins);
    }
}

void vly_image_dsp_init(vly_image_dsp *dsp, unsigned cpu_flags)
{
    *dsp = (vly_image_dsp){from_planes, to_planes,      map,   lookup, combine, pool,
                           global_mean, resize_nearest, expect};
#if defined(__x86_64__)
    vly_image_dsp_init_x86(dsp, cpu_flags);
#elif defined(__aarch64__)
    vly_image_dsp_init_arm(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}

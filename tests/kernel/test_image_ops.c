/* SPDX-License-Identifier: MIT */
/*
 * Image operations of the level in use against plain sums in double, on random shapes: every pair
 * of elements, slices of wider pixels, borders, part of the rows. Every byte that is not an output
 * element of those rows must stay as it was; borders and gaps hold a pattern, not zeros, so that a
 * result that depends on them shows.
 *
 * Bounds: half a step of the output's element, and what the operation itself may lose (each
 * check's `loss`, relative to the largest value that enters, with reasons beside it).
 */
#include "base/cpu.h"
#include "base/mem.h"
#include "dsp/image_ops.h"
#include "unit.h"

#include <math.h>
#include <string.h>

enum { PATTERN = 0xa5, TRIALS = 400 };

static uint32_t random_state = 1;

static int random_below(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((uint64_t)(random_state >> 8) * (uint64_t)n >> 24);
}

static float random_float(float range)
{
    return ((float)random_below(1 << 24) * 0x1p-23f - 1.0f) * range;
}

static int one_of(const int *list, int n)
{
    return list[random_below(n)];
}
#define ONE_OF(list) one_of(list, (int)(sizeof(list) / sizeof((list)[0])))

static const int channel_counts[] = {1,  2,  3,  4,  5,  7,  8,  12, 15, 16,
                                     17, 24, 31, 32, 33, 48, 64, 65, 80, 130};
static const int widths[] = {1, 2, 3, 5, 8, 15, 16, 17, 20, 33, 40};

/* An image in a buffer of its own, and the buffer's bytes before the operation. */
typedef struct picture {
    vly_image im;
    unsigned char *bytes, *before;
    size_t n_bytes;
} picture;

/* Border, gap between pixels and gap between rows are random, and 0 half of the time. */
static picture picture_new(vly_elem elem, int n, int h, int w, int c)
{
    static const int gaps[] = {0, 0, 0, 1, 4, 16, 37};
    int border = random_below(2) * random_below(3), gap = ONE_OF(gaps);
    picture p = {.im = {.elem = elem, .n = n, .h = h, .w = w, .c = c}};
    vly_image *im = &p.im;

    im->border_h = im->border_w = border;
    im->pixel = (int64_t)c + gap;
    int row_gap = random_below(2) * random_below(40);
    im->row = (int64_t)(w + 2 * border) * im->pixel + row_gap;
    im->picture = (int64_t)(h + 2 * border) * im->row;
    im->scale = elem == VLY_ELEM_U8 ? 0.01f + 0.03f * fabsf(random_float(1.0f)) : 0.0f;
    im->zero = elem == VLY_ELEM_U8 ? random_below(256) : 0;
    p.n_bytes = (size_t)(n * im->picture) * vly_elem_size(elem) + VLY_IMAGE_SLACK;
    p.bytes = vly_alloc_aligned(VLY_MEM_BASE, p.n_bytes);
    p.before = vly_alloc_aligned(VLY_MEM_BASE, p.n_bytes);
    assert_non_null(p.bytes);
    assert_non_null(p.before);
    memset(p.bytes, PATTERN, p.n_bytes);
    memset(p.before, PATTERN, p.n_bytes);
    im->data = p.bytes + (size_t)(border * (im->row + im->pixel) + random_below(gap + 1)) *
                             vly_elem_size(elem);
    return p;
}

static void picture_free(picture *p)
{
    vly_free(p->bytes);
    vly_free(p->before);
}

static unsigned char *element(const vly_image *im, int n, int y, int x, int c)
{
    ptrdiff_t i = n * im->picture + y * im->row + x * im->pixel + c;
    static const ptrdiff_t size[] = {[VLY_ELEM_F32] = 4, [VLY_ELEM_BF16] = 2, [VLY_ELEM_U8] = 1};
    return (unsigned char *)im->data + i * size[im->elem];
}

static double value(const vly_image *im, int n, int y, int x, int c)
{
    const unsigned char *at = element(im, n, y, x, c);
    uint32_t bits = 0;
    float f;

    if (im->elem == VLY_ELEM_U8)
        return (*at - im->zero) * (double)im->scale;
    if (im->elem == VLY_ELEM_F32)
        memcpy(&bits, at, 4);
    else
        bits = (uint32_t)at[1] << 24 | (uint32_t)at[0] << 16;
    memcpy(&f, &bits, sizeof(f));
    return (double)f;
}

static void fill_random(picture *p, float range, float shift)
{
    const vly_image *im = &p->im;

    for (int n = 0; n < im->n; n++)
        for (int i = 0; i < im->h * im->w * im->c; i++) {
            unsigned char *at = element(im, n, i / im->c / im->w, i / im->c % im->w, i % im->c);
            float f = random_float(range) + shift;
            uint32_t bits;
            memcpy(&bits, &f, sizeof(bits));
            if (im->elem == VLY_ELEM_F32)
                memcpy(at, &bits, 4);
            else if (im->elem == VLY_ELEM_BF16)
                memcpy(at, (unsigned char *)&bits + 2, 2);
            else
                *at = (unsigned char)(bits >> 3);
        }
}

/* An operation's arguments and what it shall give. */
typedef struct job {
    picture y, x, b;
    vly_planes planes;
    int n_channels; /* from_planes */
    vly_act act;
    float alpha, beta;
    vly_combine op;
    vly_pool_desc pool;
    const int *rows, *cols;
    const uint8_t *table;
    int bins;
} job;

typedef double expected_fn(const job *j, int n, int y, int x, int c);

/* Half a step of the element around v; U8: also outside of its range. */
static double half_step(const vly_image *im, double v)
{
    if (im->elem == VLY_ELEM_U8)
        return 0.501 * (double)im->scale; /* v / scale is rounded before it is rounded to U8 */
    return fabs(v) * (im->elem == VLY_ELEM_BF16 ? 0x1p-8 : 0x1p-24);
}

static double saturated(const vly_image *im, double v)
{
    if (im->elem != VLY_ELEM_U8)
        return v;
    double lo = -im->zero * (double)im->scale, hi = (255 - im->zero) * (double)im->scale;
    return v < lo ? lo : v > hi ? hi : v;
}

/* Rows begin..end of y are as expected within half a step and `loss`; all else is untouched. */
static void check(job *j, int begin, int end, expected_fn *expected, double loss)
{
    const vly_image *y = &j->y.im;
    ptrdiff_t size = (ptrdiff_t)vly_elem_size(y->elem);

    for (int i = begin; i < end; i++)
        for (int k = 0; k < y->w * y->c; k++) {
            int n = i / y->h, row = i % y->h, col = k / y->c, c = k % y->c;
            double want = saturated(y, expected(j, n, row, col, c));
            double got = value(y, n, row, col, c);
            if (!(fabs(got - want) <= half_step(y, want) + loss) && got != want)
                fail_msg("element %d -> %d, [%d, %d, %d, %d] at %d, %d, %d, %d: %g, expected %g",
                         (int)j->x.im.elem, (int)y->elem, y->n, y->h, y->w, y->c, n, row, col, c,
                         got, want);
            unsigned char *at = element(y, n, row, col, c);
            memcpy(at, j->y.before + (at - j->y.bytes), (size_t)size);
        }
    assert_memory_equal(j->y.bytes, j->y.before, j->y.n_bytes);
}

/* All of the rows, or some. */
static void random_rows(const vly_image *im, int *ret_begin, int *ret_end)
{
    int rows = im->n * im->h, a = random_below(rows + 1), b = random_below(rows + 1);
    bool all = random_below(2) != 0;

    *ret_begin = all ? 0 : a < b ? a : b;
    *ret_end = all ? rows : a < b ? b : a;
}

static void job_free(job *j)
{
    picture_free(&j->y);
    picture_free(&j->x);
    picture_free(&j->b);
    vly_free(j->planes.data);
}

/* y and x of the same sizes, x random; trial picks the elements. */
static job job_new(int trial)
{
    int n = 1 + random_below(2), h = 1 + random_below(4), w = ONE_OF(widths);
    int c = ONE_OF(channel_counts);
    job j = {.y = picture_new((vly_elem)(trial % 3), n, h, w, c),
             .x = picture_new((vly_elem)(trial / 3 % 3), n, h, w, c)};

    fill_random(&j.x, 4.0f, 0.0f);
    return j;
}

static vly_image_dsp dsp_of_level(void)
{
    vly_image_dsp dsp;
    vly_image_dsp_init(&dsp, vly_cpu_flags());
    return dsp;
}

/* Planes for n pictures of c channels, h * w, with gaps; pattern everywhere. */
static size_t planes_new(vly_planes *p, int n, int c, int h, int w)
{
    p->plane = (int64_t)h * w + (int64_t)5 * random_below(3);
    p->picture = p->plane * c + (int64_t)7 * random_below(2);
    size_t floats = (size_t)(p->picture * n) + 1;
    p->data = vly_alloc(VLY_MEM_BASE, floats * sizeof(float));
    assert_non_null(p->data);
    memset(p->data, PATTERN, floats * sizeof(float));
    return floats;
}

static double of_planes(const job *j, int n, int y, int x, int c)
{
    int64_t at = n * j->planes.picture + c * j->planes.plane + (int64_t)y * j->y.im.w + x;
    return c < j->n_channels ? (double)j->planes.data[at] : 0.0;
}

static void from_planes_converts(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int begin, end;
        job j = job_new(trial);
        j.n_channels = random_below(2) != 0 ? j.y.im.c : 1 + random_below(j.y.im.c);
        size_t floats = planes_new(&j.planes, j.y.im.n, j.n_channels, j.y.im.h, j.y.im.w);
        for (size_t i = 0; i < floats; i++)
            j.planes.data[i] = random_float(4.0f);
        random_rows(&j.y.im, &begin, &end);
        dsp.from_planes(&j.y.im, &j.planes, j.n_channels, begin, end);
        check(&j, begin, end, of_planes, 0.0);
        job_free(&j);
    }
}

/* What planes hold; clears what was looked at to the pattern. */
static void check_plane_rows(job *j, int n_planes, int begin, int end, expected_fn *expected,
                             double loss)
{
    int h = j->x.im.h, w = j->x.im.w;

    for (int i = begin; i < end; i++)
        for (int k = 0; k < w * n_planes; k++) {
            int c = k / w, col = k % w;
            int64_t plane = (int64_t)(i / h) * j->planes.picture + c * j->planes.plane;
            float *at = j->planes.data + plane + (int64_t)(i % h) * w + col;
            double want = expected(j, i / h, i % h, col, c);
            if (!(fabs((double)*at - want) <= fabs(want) * 0x1p-23 + loss))
                fail_msg("element %d, %d x %d, plane %d, row %d, column %d: %g, expected %g",
                         (int)j->x.im.elem, w, j->x.im.c, c, i, col, (double)*at, want);
            memset(at, PATTERN, sizeof(*at));
        }
}

static void check_planes(job *j, int n_planes, size_t floats, int begin, int end,
                         expected_fn *expected, double loss)
{
    check_plane_rows(j, n_planes, begin, end, expected, loss);
    for (size_t i = 0; i < floats * sizeof(float); i++)
        assert_int_equal(((unsigned char *)j->planes.data)[i], PATTERN);
}

static double same(const job *j, int n, int y, int x, int c)
{
    return value(&j->x.im, n, y, x, c);
}

static double activated(const job *j, double v)
{
    double a = (double)j->alpha, b = (double)j->beta;

    switch (j->act) {
    case VLY_ACT_RELU:
        return fmax(v, 0.0);
    case VLY_ACT_CLIP:
        return fmin(fmax(v, a), b);
    case VLY_ACT_LEAKY_RELU:
        return v < 0.0 ? a * v : v;
    case VLY_ACT_SIGMOID:
        return 1.0 / (1.0 + exp(-v));
    case VLY_ACT_SILU:
        return v / (1.0 + exp(-v));
    case VLY_ACT_TANH:
        return tanh(v);
    case VLY_ACT_HARD_SIGMOID:
        return fmin(fmax(a * v + b, 0.0), 1.0);
    case VLY_ACT_HARD_SWISH:
        return v * fmin(fmax(v / 6.0 + 0.5, 0.0), 1.0);
    case VLY_ACT_GELU:
        return 0.5 * v * (1.0 + erf(v * sqrt(0.5)));
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        break;
    }
    return v;
}

static double mapped(const job *j, int n, int y, int x, int c)
{
    return activated(j, same(j, n, y, x, c));
}

static void set_act(job *j, int trial)
{
    j->act = (vly_act)(trial / 9 % VLY_ACT_TABLE);
    j->alpha = random_float(0.5f);
    j->beta = j->alpha + 1.0f;
}

/* Values reach 10 (U8: 255 * 0.04), with a few float roundings on the way. */
#define LOSS_ACT 4e-6

static void to_planes_converts(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int begin, end;
        job j = job_new(trial);
        size_t floats = planes_new(&j.planes, j.x.im.n, j.x.im.c, j.x.im.h, j.x.im.w);
        random_rows(&j.x.im, &begin, &end);
        set_act(&j, trial % 2 * 9 * random_below(VLY_ACT_TABLE));
        dsp.to_planes(&j.planes, &j.x.im, j.act, j.alpha, j.beta, begin, end);
        check_planes(&j, j.x.im.c, floats, begin, end, mapped,
                     j.act == VLY_ACT_NONE ? 0.0 : LOSS_ACT);
        job_free(&j);
    }
}

static void map_matches(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int begin, end;
        job j = job_new(trial);
        set_act(&j, trial);
        random_rows(&j.y.im, &begin, &end);
        dsp.map(&j.y.im, &j.x.im, j.act, j.alpha, j.beta, begin, end);
        check(&j, begin, end, mapped, j.act == VLY_ACT_NONE ? 0.0 : LOSS_ACT);
        job_free(&j);
    }
}

/* Ties to even, overflow, subnormals, NaN, each by hand. */
static void bf16_rounds_to_even(void **state)
{
    (void)state;
    static const struct {
        uint32_t f;
        uint16_t b;
    } rows[] = {{0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
                {0x3f807fff, 0x3f80}, {0x7f7fffff, 0x7f80}, {0xff800000, 0xff80},
                {0x00018000, 0x0002}, {0x80008000, 0x8000}, {0x7fc00000, 0x7fc0}};
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    float from[64];
    uint16_t to[64];
    vly_image x = {.data = from, .elem = VLY_ELEM_F32, .n = 1, .h = 1, .w = 1, .c = 64};
    vly_image y = {.data = to, .elem = VLY_ELEM_BF16, .n = 1, .h = 1, .w = 1, .c = 64};

    for (int i = 0; i < 64; i++)
        memcpy(&from[i], &rows[i % N].f, sizeof(from[i]));
    x.pixel = y.pixel = x.row = y.row = x.picture = y.picture = 64;
    dsp_of_level().map(&y, &x, VLY_ACT_NONE, 0.0f, 0.0f, 0, 1);
    for (int i = 0; i < 64; i++)
        assert_int_equal(to[i], rows[i % N].b);
}

/* scale 1, zero 100: half to even, saturation, NaN to 0. */
static void u8_rounds_and_saturates(void **state)
{
    (void)state;
    static const struct {
        float f;
        uint8_t q;
    } rows[] = {{0.5f, 100}, {1.5f, 102},     {-0.5f, 100},   {-1.5f, 98},   {2.49f, 102},
                {-100, 0},   {-100.6f, 0},    {155, 255},     {155.4f, 255}, {1e30f, 255},
                {-1e30f, 0}, {INFINITY, 255}, {-INFINITY, 0}, {NAN, 0}};
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    float from[128];
    uint8_t to[128];
    vly_image x = {.data = from, .elem = VLY_ELEM_F32, .n = 1, .h = 1, .w = 1, .c = 128};
    vly_image y = {.data = to, .elem = VLY_ELEM_U8, .n = 1, .h = 1, .w = 1, .c = 128};

    for (int i = 0; i < 128; i++)
        from[i] = rows[i % N].f;
    y.scale = 1.0f;
    y.zero = 100;
    x.pixel = y.pixel = x.row = y.row = x.picture = y.picture = 128;
    dsp_of_level().map(&y, &x, VLY_ACT_NONE, 0.0f, 0.0f, 0, 1);
    for (int i = 0; i < 128; i++)
        assert_int_equal(to[i], rows[i % N].q);
}

static void map_works_in_place(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < 30; trial++) {
        job j = job_new(4 * trial % 9); /* the same element twice */
        j.y.im.scale = j.x.im.scale;
        j.y.im.zero = j.x.im.zero;
        j.act = VLY_ACT_RELU;
        fill_random(&j.y, 4.0f, 0.0f);
        memcpy(j.y.before, j.y.bytes, j.y.n_bytes);
        job copy = {.act = VLY_ACT_RELU, .x = {.im = j.y.im}, .y = j.y};
        copy.x.im.data = j.y.before + ((unsigned char *)j.y.im.data - j.y.bytes);
        dsp.map(&j.y.im, &j.y.im, VLY_ACT_RELU, 0.0f, 0.0f, 0, j.y.im.n * j.y.im.h);
        check(&copy, 0, j.y.im.n * j.y.im.h, mapped, 0.0);
        job_free(&j);
    }
}

static void lookup_matches(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();
    uint8_t table[256];

    for (int i = 0; i < 256; i++)
        table[i] = (uint8_t)random_below(256);
    for (int trial = 0; trial < TRIALS / 4; trial++) {
        int begin, end;
        job j = job_new(8); /* U8 to U8 */
        random_rows(&j.y.im, &begin, &end);
        dsp.lookup(&j.y.im, &j.x.im, table, begin, end);
        for (int i = begin; i < end; i++)
            for (int k = 0; k < j.y.im.w * j.y.im.c; k++) {
                int n = i / j.y.im.h, row = i % j.y.im.h, col = k / j.y.im.c, c = k % j.y.im.c;
                unsigned char *got = element(&j.y.im, n, row, col, c);
                assert_int_equal(*got, table[*element(&j.x.im, n, row, col, c)]);
                *got = PATTERN;
            }
        assert_memory_equal(j.y.bytes, j.y.before, j.y.n_bytes);
        job_free(&j);
    }
}

static double combined(const job *j, int n, int y, int x, int c)
{
    const vly_image *b = &j->b.im;
    double u = same(j, n, y, x, c);
    double v = value(b, n, b->h > 1 ? y : 0, b->w > 1 ? x : 0, b->c > 1 ? c : 0);

    return activated(j, j->op == VLY_COMBINE_ADD   ? u + v
                        : j->op == VLY_COMBINE_MUL ? u * v
                                                   : u - v);
}

static void combine_matches(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < 3 * TRIALS; trial++) {
        int begin, end, kind = trial % 4;
        job j = job_new(random_below(9));
        const vly_image *y = &j.y.im;
        bool is_pixel = kind == 1, is_plane = kind == 2;
        set_act(&j, 9 * random_below(VLY_ACT_TABLE));
        j.op = (vly_combine)random_below(3);
        j.b = picture_new((vly_elem)random_below(3), y->n, is_pixel ? 1 : y->h, is_pixel ? 1 : y->w,
                          is_plane ? 1 : y->c);
        fill_random(&j.b, 4.0f, 0.0f);
        random_rows(y, &begin, &end);
        dsp.combine(y, &j.x.im, &j.b.im, j.op, j.act, j.alpha, j.beta, begin, end);
        check(&j, begin, end, combined, 16 * LOSS_ACT); /* products reach 100 */
        job_free(&j);
    }
}

static double pooled(const job *j, int n, int y, int x, int c)
{
    const vly_pool_desc *d = &j->pool;
    double max = -(double)INFINITY, sum = 0.0;
    int count = 0;

    for (int i = 0; i < d->kernel_h * d->kernel_w; i++) {
        int row = y * d->stride_h - d->pad_top + i / d->kernel_w * d->dilation_h;
        int col = x * d->stride_w - d->pad_left + i % d->kernel_w * d->dilation_w;
        if (row < 0 || row >= j->x.im.h || col < 0 || col >= j->x.im.w)
            continue;
        double v = value(&j->x.im, n, row, col, c);
        max = fmax(max, v);
        sum += v;
        count++;
    }
    return d->is_max ? max : sum / (d->counts_border ? d->kernel_h * d->kernel_w : count);
}

/* Size of the output with `after` padding behind the last pixel; 0: the kernel does not fit. */
static int pooled_size(int size, int kernel, int stride, int dilation, int padding)
{
    int room = size + padding - ((kernel - 1) * dilation + 1);
    return room < 0 ? 0 : room / stride + 1;
}

/* Values are below 0, so that a border or gap that counted as zero would win. */
static void check_pool(const vly_image_dsp *dsp, int trial, const vly_pool_desc *d, int h, int w)
{
    int c = ONE_OF(channel_counts), n = 1 + random_below(2), begin, end;
    int y_h = pooled_size(h, d->kernel_h, d->stride_h, d->dilation_h, 2 * d->pad_top);
    int y_w = pooled_size(w, d->kernel_w, d->stride_w, d->dilation_w, 2 * d->pad_left);

    if (y_h == 0 || y_w == 0)
        return;
    job j = {.y = picture_new((vly_elem)(trial % 3), n, y_h, y_w, c),
             .x = picture_new((vly_elem)(trial / 3 % 3), n, h, w, c),
             .pool = *d};
    fill_random(&j.x, 2.0f, -3.0f);
    if (trial % 2 == 0 && j.y.im.elem == j.x.im.elem) {
        j.y.im.scale = j.x.im.scale; /* moved unchanged */
        j.y.im.zero = j.x.im.zero;
    }
    random_rows(&j.y.im, &begin, &end);
    dsp->pool(&j.y.im, &j.x.im, d, begin, end);
    check(&j, begin, end, pooled, d->is_max ? 0.0 : LOSS_ACT);
    job_free(&j);
}

static void pool_matches(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 4, 7, 12, 20};
    vly_image_dsp dsp = dsp_of_level();
    const vly_pool_desc sppf = {5, 5, 1, 1, 1, 1, 2, 2, true, false};

    for (int trial = 0; trial < 36; trial++)
        check_pool(&dsp, trial, &sppf, ONE_OF(sizes), ONE_OF(sizes));
    for (int trial = 0; trial < 2 * TRIALS; trial++) {
        vly_pool_desc d = {.kernel_h = 1 + random_below(5),
                           .kernel_w = 1 + random_below(trial % 8 == 0 ? 20 : 5),
                           .stride_h = 1 + random_below(3),
                           .stride_w = 1 + random_below(3),
                           .dilation_h = 1 + random_below(2),
                           .dilation_w = 1 + random_below(2),
                           .is_max = random_below(2) != 0,
                           .counts_border = random_below(2) != 0};
        d.pad_top = random_below(d.kernel_h);
        d.pad_left = random_below(d.kernel_w);
        int h = ONE_OF(sizes), w = ONE_OF(sizes);
        if (d.dilation_h * (d.kernel_h - 1) < h && d.dilation_w * (d.kernel_w - 1) < w)
            check_pool(&dsp, trial, &d, h, w);
    }
}

static void max_pool_ignores_nan(void **state)
{
    (void)state;
    float from[3 * 16], to[3 * 16];
    const vly_pool_desc d = {1, 3, 1, 1, 1, 1, 0, 1, true, false};
    vly_image x = {.data = from, .elem = VLY_ELEM_F32, .n = 1, .h = 1, .w = 3, .c = 16};
    x.pixel = 16;
    x.row = x.picture = 48;
    vly_image y = x;

    y.data = to;
    for (int i = 0; i < 48; i++)
        from[i] = i / 16 == 1 ? NAN : (float)i;
    dsp_of_level().pool(&y, &x, &d, 0, 1);
    for (int i = 0; i < 16; i++) {
        assert_float_equal(to[i], (float)i, 0.0f);
        assert_float_equal(to[16 + i], (float)(32 + i), 0.0f);
        assert_float_equal(to[32 + i], (float)(32 + i), 0.0f);
    }
}

static double mean_of_channel(const job *j, int n, int y, int x, int c)
{
    double sum = 0.0;
    (void)y;
    (void)x;

    for (int i = 0; i < j->x.im.h * j->x.im.w; i++)
        sum += value(&j->x.im, n, i / j->x.im.w, i % j->x.im.w, c);
    return sum / (j->x.im.h * j->x.im.w);
}

static void global_mean_matches(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int n = 1 + random_below(3), c = ONE_OF(channel_counts), begin, end;
        job j = {
            .y = picture_new((vly_elem)(trial % 3), n, 1, 1, c),
            .x = picture_new((vly_elem)(trial / 3 % 3), n, 1 + random_below(9), ONE_OF(widths), c)};
        fill_random(&j.x, 4.0f, 1.0f);
        random_rows(&j.y.im, &begin, &end);
        dsp.global_mean(&j.y.im, &j.x.im, begin, end);
        check(&j, begin, end, mean_of_channel, LOSS_ACT);
        job_free(&j);
    }
}

static double resized(const job *j, int n, int y, int x, int c)
{
    return value(&j->x.im, n, j->rows[y], j->cols[x], c);
}

static void resize_nearest_matches(void **state)
{
    (void)state;
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int n = 1 + random_below(2), c = ONE_OF(channel_counts), begin, end, rows[8], cols[128];
        int h = 1 + random_below(4), w = ONE_OF(widths), twice = random_below(2);
        job j = {.y = picture_new((vly_elem)(trial % 3), n, 2 * h, 2 * w, c),
                 .x = picture_new((vly_elem)(trial / 3 % 3), n, h, w, c),
                 .rows = rows,
                 .cols = cols};
        fill_random(&j.x, 4.0f, 0.0f);
        if (trial % 2 == 0) {
            j.y.im.scale = j.x.im.scale;
            j.y.im.zero = j.x.im.zero;
        }
        for (int i = 0; i < 2 * h; i++)
            rows[i] = twice ? i / 2 : random_below(h);
        for (int i = 0; i < 2 * w; i++)
            cols[i] = twice ? i / 2 : random_below(w);
        random_rows(&j.y.im, &begin, &end);
        dsp.resize_nearest(&j.y.im, &j.x.im, rows, cols, begin, end);
        check(&j, begin, end, resized, 0.0);
        job_free(&j);
    }
}

static float bin_weights[32];

static double expected_bin(const job *j, int n, int y, int x, int side)
{
    double max = -(double)INFINITY, sum = 0.0, weighted = 0.0;

    for (int i = 0; i < j->bins; i++)
        max = fmax(max, value(&j->x.im, n, y, x, side * j->bins + i));
    for (int i = 0; i < j->bins; i++) {
        double e = exp(value(&j->x.im, n, y, x, side * j->bins + i) - max);
        sum += e;
        weighted += (double)bin_weights[i] * e;
    }
    return weighted / sum;
}

static void expect_matches(void **state)
{
    (void)state;
    static const int bin_counts[] = {16, 16, 16, 8, 17, 1, 32, 5};
    vly_image_dsp dsp = dsp_of_level();

    for (int trial = 0; trial < TRIALS; trial++) {
        int begin, end, bins = ONE_OF(bin_counts);
        job j = {.x = picture_new((vly_elem)(trial % 3), 1 + random_below(2), 1 + random_below(3),
                                  ONE_OF(widths), 4 * bins),
                 .bins = bins};
        size_t floats = planes_new(&j.planes, j.x.im.n, 4, j.x.im.h, j.x.im.w);
        fill_random(&j.x, trial % 4 == 0 ? 60.0f : 8.0f, 0.0f);
        random_rows(&j.x.im, &begin, &end);
        for (int i = 0; i < bins; i++)
            bin_weights[i] = (float)i + (i % 3 == 0 ? 0.0f : 0.0625f);
        dsp.expect(&j.planes, &j.x.im, bin_weights, bins, begin, end);
        /* values to 31, each exponential within an ulp */
        check_planes(&j, 4, floats, begin, end, expected_bin, 3e-5);
        job_free(&j);
    }
}

UNIT_TESTS(cmocka_unit_test(from_planes_converts), cmocka_unit_test(to_planes_converts),
           cmocka_unit_test(map_matches), cmocka_unit_test(bf16_rounds_to_even),
           cmocka_unit_test(u8_rounds_and_saturates), cmocka_unit_test(map_works_in_place),
           cmocka_unit_test(lookup_matches), cmocka_unit_test(combine_matches),
           cmocka_unit_test(pool_matches), cmocka_unit_test(max_pool_ignores_nan),
           cmocka_unit_test(global_mean_matches), cmocka_unit_test(resize_nearest_matches),
           cmocka_unit_test(expect_matches))

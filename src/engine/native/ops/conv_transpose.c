/* SPDX-License-Identifier: MIT */
/*
 * ConvTranspose: each input position adds a kernel-sized patch to the output. As a product per
 * picture and group, columns [m * kernel, in] = W^T [m * kernel, c] * x [c, in], whose transpose of
 * im2col is the output.
 */
#include "base/bits.h"
#include "engine/native/op_list.h"
#include "engine/native/ops/half.h"
#include "engine/native/ops/product.h"
#include "engine/native/ops/spatial.h"

#include <inttypes.h>

#define VALUE_MAX 0x3fffff /* as in spatial.c */

typedef struct deconv_params {
    vly_spatial spatial;
    int64_t group;
    int64_t output_padding[VLY_SPATIAL_MAX], output_shape[VLY_SPATIAL_MAX];
    int n_output_padding, n_output_shape;
} deconv_params;

typedef struct deconv {
    vly_window
        w; /* from output (in) to input positions (out): the convolution that is transposed */
    vly_shape out;
    bool is_known;
    int64_t batch, group, c, m; /* channels per group: input, output */
    int64_t rows;               /* m * kernel size */
} deconv;

static vly_status read_sizes(vly_attrs *a, const char *name, int64_t *out, int *ret_n, vly_err *err)
{
    size_t n;
    const int64_t *values = vly_attrs_ints(a, name, &n);

    if (n > VLY_SPATIAL_MAX)
        return vly_fail(err, VLY_EUNSUPPORTED, "attribute '%s': more than %d spatial dimensions",
                        name, VLY_SPATIAL_MAX);
    for (size_t i = 0; i < n; i++) {
        if (values[i] < 0 || values[i] > VALUE_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "attribute '%s': expected integers in 0..%d, got %" PRId64, name,
                            VALUE_MAX, values[i]);
        out[i] = values[i];
    }
    *ret_n = (int)n;
    return VLY_OK;
}

static vly_status deconv_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    deconv_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);
    vly_status st = vly_spatial_read(ctx->proto, &p->spatial, err);

    if (st == VLY_OK)
        st = read_sizes(&a, "output_padding", p->output_padding, &p->n_output_padding, err);
    if (st == VLY_OK)
        st = read_sizes(&a, "output_shape", p->output_shape, &p->n_output_shape, err);
    if (st != VLY_OK)
        return st;
    p->group = vly_attrs_int_in(&a, "group", 1, 1, VALUE_MAX);
    return vly_attrs_end(&a, err);
}

/* Output size of axis d (of n), and the pads that give it. */
static int64_t output_size(const deconv_params *p, const vly_spatial_window *win, int d, int64_t in,
                           int64_t *ret_pad)
{
    int lead = VLY_SPATIAL_MAX - win->n;
    const vly_window *w = &win->w;
    int64_t extra = p->n_output_padding > 0 ? p->output_padding[d] : 0;
    int64_t reach = (w->kernel[lead + d] - 1) * w->dilation[lead + d] + 1;
    int64_t full = w->stride[lead + d] * (in - 1) + extra + reach;
    bool same =
        p->spatial.auto_pad == VLY_PAD_SAME_UPPER || p->spatial.auto_pad == VLY_PAD_SAME_LOWER;
    int64_t size = 0;

    *ret_pad = w->pad[lead + d];
    if (p->n_output_shape == 0 && !same)
        return full - w->pad[lead + d] - win->pad_end[lead + d];
    if (p->n_output_shape > 0)
        size = p->output_shape[d];
    else /* SAME: as large as the strides say, where the kernel reaches that far */
        size = full < in * w->stride[lead + d] ? full : in * w->stride[lead + d];
    int64_t total = full > size ? full - size : 0;
    *ret_pad = p->spatial.auto_pad == VLY_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    return size;
}

static vly_status check_shapes(const vly_op_ctx *ctx, const deconv_params *p, vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape, *w = &ctx->in[1]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, 3, 2 + VLY_SPATIAL_MAX, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, 1, x->rank, x->rank, err);
    if (st != VLY_OK)
        return st;
    if (x->dim[1] >= 0 && ((w->dim[0] >= 0 && x->dim[1] != w->dim[0]) || x->dim[1] % p->group != 0))
        return vly_fail(err, VLY_EINVAL,
                        "weights for %" PRId64 " channels in %" PRId64
                        " groups do not fit an input of %" PRId64 " channels",
                        w->dim[0], p->group, x->dim[1]);
    if ((p->n_output_padding != 0 && p->n_output_padding != x->rank - 2) ||
        (p->n_output_shape != 0 && p->n_output_shape != x->rank - 2))
        return vly_fail(err, VLY_EINVAL,
                        "output_padding and output_shape need %d integers for this input",
                        x->rank - 2);
    return VLY_OK;
}

static vly_status deconv_spatial(const vly_op_ctx *ctx, const deconv_params *p, deconv *d,
                                 vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape, *w = &ctx->in[1]->shape;
    int n = x->rank - 2, lead = VLY_SPATIAL_MAX - n;
    vly_spatial_window win;
    vly_status st = vly_spatial_expand(&p->spatial, n, w->dim + 2, &win, err);

    if (st != VLY_OK)
        return st;
    for (int i = 0; i < n; i++) {
        int64_t in = x->dim[2 + i], pad;
        if (in < 0)
            continue;
        int64_t size = output_size(p, &win, i, in, &pad);
        if (size < 0 || in == 0)
            return vly_fail(err, VLY_EINVAL, "spatial axis %d: output size %" PRId64 " is negative",
                            i, size);
        win.w.in[lead + i] = d->out.dim[2 + i] = size;
        win.w.out[lead + i] = in;
        win.w.pad[lead + i] = pad;
    }
    uint64_t n_out;
    if (vly_shape_known(&d->out) && !vly_shape_count(&d->out, &n_out))
        return vly_fail(err, VLY_ELIMIT, "output is too big");
    d->w = win.w;
    d->is_known = vly_shape_known(x);
    return VLY_OK;
}

static vly_status deconv_resolve(const vly_op_ctx *ctx, const deconv_params *p, deconv *ret,
                                 vly_err *err)
{
    const vly_shape *x = &ctx->in[0]->shape, *w = &ctx->in[1]->shape;
    deconv d = {.group = p->group};
    vly_status st = check_shapes(ctx, p, err);

    if (st != VLY_OK)
        return st;
    d.out = *x;
    for (int i = 1; i < x->rank; i++)
        d.out.dim[i] = VLY_DIM_UNKNOWN;
    if (w->dim[1] >= 0)
        d.out.dim[1] = w->dim[1] * p->group;
    if (vly_shape_known(w))
        st = deconv_spatial(ctx, p, &d, err);
    if (st != VLY_OK)
        return st;
    if (d.is_known) {
        d.batch = x->dim[0];
        d.c = x->dim[1] / p->group;
        d.m = w->dim[1];
        d.rows = d.m * vly_window_kernel_size(&d.w);
    }
    *ret = d;
    return VLY_OK;
}

/* Scratch: the product's, then the columns. */
static vly_status reserve(vly_op_ctx *ctx, const deconv *d, vly_err *err)
{
    vly_gemm_dsp dsp = vly_product_dsp();
    vly_gemm_plan plan;
    size_t columns;

    vly_gemm_plan_init(&plan, &dsp.f32, d->rows, vly_window_out_size(&d->w), d->c);
    if (!vly_size_mul((size_t)d->rows * sizeof(float), (size_t)plan.n, &columns) ||
        !vly_size_add(columns, vly_product_bytes(&plan), &ctx->scratch_bytes) ||
        ctx->scratch_bytes > SIZE_MAX / 2)
        return vly_fail(err, VLY_ELIMIT, "scratch memory overflows");
    ctx->scratch_bytes = vly_align_up(ctx->scratch_bytes, 64);
    ctx->flops =
        2 * (uint64_t)(d->batch * d->group) * (uint64_t)d->rows * (uint64_t)d->c * (uint64_t)plan.n;
    return vly_half_infer(ctx, err);
}

static vly_status deconv_infer(vly_op_ctx *ctx, vly_err *err)
{
    deconv d;
    vly_status st = vly_op_check_same_dtype(ctx, 1, 2, err);

    if (st == VLY_OK)
        st = deconv_resolve(ctx, ctx->params, &d, err);
    if (st == VLY_OK)
        st = vly_op_check_vector(ctx, 2, d.out.dim[1], err);
    if (st != VLY_OK)
        return st;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &d.out);
    return d.is_known ? reserve(ctx, &d, err) : VLY_OK;
}

typedef struct scatter_job {
    const deconv *d;
    const float *columns, *bias;
    float *y;
} scatter_job;

/* Output channels begin..end of one picture and group. */
static void scatter_channels(void *arg, size_t begin, size_t end)
{
    const scatter_job *j = arg;
    int64_t in_size = vly_window_in_size(&j->d->w);
    int64_t column_size = vly_window_out_size(&j->d->w) * vly_window_kernel_size(&j->d->w);

    for (int64_t ch = (int64_t)begin; ch < (int64_t)end; ch++) {
        float *plane = j->y + ch * in_size;
        for (int64_t i = 0; i < in_size; i++)
            plane[i] = j->bias != NULL ? j->bias[ch] : 0.0f;
        vly_col2im_f32(&j->d->w, 1, j->columns + ch * column_size, plane);
    }
}

static vly_status deconv_run_f32(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *bias = vly_op_in(ctx, 2);
    vly_gemm_dsp dsp = vly_product_dsp();
    vly_gemm_plan plan;
    deconv d;
    vly_status st = deconv_resolve(ctx, ctx->params, &d, err);

    if (st != VLY_OK)
        return st;
    int64_t in_size = vly_window_out_size(&d.w), out_size = vly_window_in_size(&d.w);
    vly_gemm_plan_init(&plan, &dsp.f32, d.rows, in_size, d.c);
    float *columns = (float *)(void *)((char *)ctx->scratch + vly_product_bytes(&plan));
    for (int64_t g = 0; g < d.group; g++) {
        const float *w = (const float *)ctx->in[1]->data + g * d.c * d.rows;
        vly_gemm_pack_a_f32(&plan, ctx->scratch, w, 1, d.rows);
        for (int64_t n = 0; n < d.batch; n++) {
            const float *x = (const float *)ctx->in[0]->data + (n * d.group + g) * d.c * in_size;
            vly_gemm_b_f32 b = vly_gemm_b_f32_matrix(x, in_size, 1);
            scatter_job j = {&d, columns, bias != NULL ? (const float *)bias->data + g * d.m : NULL,
                             (float *)ctx->out[0].data + (n * d.group + g) * d.m * out_size};
            vly_product_run(ctx, &plan, ctx->scratch, &b.base, columns, (size_t)in_size, NULL);
            vly_op_split(ctx, d.m, in_size * vly_window_kernel_size(&d.w), scatter_channels, &j);
        }
    }
    return VLY_OK;
}

static vly_status deconv_run(vly_op_ctx *ctx, vly_err *err)
{
    return vly_half_run(ctx, deconv_run_f32, err);
}

const vly_op vly_ops_conv_transpose[] = {
    {.name = "ConvTranspose",
     .since = 1,
     .n_in_min = 2,
     .n_in_max = 3,
     .dtypes = VLY_T(F32) | VLY_T(F16) | VLY_T(BF16),
     .params_bytes = sizeof(deconv_params),
     .prepare = deconv_prepare,
     .infer = deconv_infer,
     .run = deconv_run},
    {NULL},
};

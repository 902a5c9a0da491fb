/* SPDX-License-Identifier: MIT */
/* Spectra: DFT, STFT, MelWeightMatrix. Computed in double whatever the tensors' type. */
#include "base/bits.h"
#include "dsp/fft.h"
#include "engine/native/op_list.h"
#include "engine/native/op_util.h"
#include "tensor/convert.h"

#include <inttypes.h>
#include <math.h>

typedef struct signal_params {
    bool is_inverse, is_onesided;
    int64_t axis;  /* of DFT before opset 20 */
    int64_t dtype; /* of MelWeightMatrix */
} signal_params;

/* One row: elements `step` apart, each real or a pair. */
typedef struct signal_row {
    const vly_tensor *t;
    int64_t begin, step, n;
    int n_parts; /* 1: real, 2: complex */
} signal_row;

static void load_row(const signal_row *r, size_t n, double *x)
{
    memset(x, 0, 2 * n * sizeof(double));
    for (size_t i = 0; i < n && i < (size_t)r->n; i++)
        vly_convert(r->t->dtype, vly_elem_at(r->t, r->begin + (int64_t)i * r->step), VLY_DTYPE_F64,
                    x + 2 * i, (size_t)r->n_parts, false);
}

static void store_row(const signal_row *r, const double *x, double scale)
{
    for (int64_t i = 0; i < r->n; i++) {
        double v[2] = {x[2 * i] * scale, x[2 * i + 1] * scale};
        vly_convert(VLY_DTYPE_F64, v, r->t->dtype, vly_elem_at(r->t, r->begin + i * r->step),
                    (size_t)r->n_parts, false);
    }
}

/* The second half of a spectrum whose signal is real: the conjugate of the first. */
static void mirror(double *x, size_t n)
{
    x[1] = 0.0;
    if (n % 2 == 0)
        x[n + 1] = 0.0;
    for (size_t i = n / 2 + 1; i < n; i++) {
        x[2 * i] = x[2 * (n - i)];
        x[2 * i + 1] = -x[2 * (n - i) + 1];
    }
}

/* Scratch for a plan and one row of n. */
static vly_status take_scratch(vly_op_ctx *ctx, int64_t n, vly_err *err)
{
    if (n < 1 || (uint64_t)n > VLY_FFT_MAX)
        return vly_fail(err, VLY_EINVAL, "transform length %" PRId64 " is out of range", n);
    ctx->scratch_bytes = (vly_fft_doubles((size_t)n) + 2 * (size_t)n) * sizeof(double);
    return VLY_OK;
}

static vly_status check_signal(const vly_op_ctx *ctx, int rank_min, int rank_max, vly_err *err)
{
    const vly_shape *s = &ctx->in[0]->shape;
    vly_status st = vly_op_check_rank(ctx, 0, rank_min, rank_max, err);

    if (st == VLY_OK && s->dim[s->rank - 1] != 1 && s->dim[s->rank - 1] != 2)
        st = vly_fail(err, VLY_EINVAL,
                      "input 0: expected 1 (real) or 2 (complex) as last dimension");
    return st;
}

/* One integer, input i, whose value is known; def when it is not given. */
static int64_t integer(const vly_op_ctx *ctx, int i, int64_t def)
{
    return vly_op_in(ctx, i) != NULL ? vly_tensor_get_i64(ctx->in[i], 0) : def;
}

static vly_status check_integer(const vly_op_ctx *ctx, int i, vly_err *err)
{
    if (vly_op_in(ctx, i) == NULL)
        return VLY_OK;
    vly_status st = vly_op_check_dtype(ctx, i, VLY_T(I32) | VLY_T(I64), err);
    if (st == VLY_OK && vly_tensor_count(ctx->in[i]) != 1)
        st = vly_fail(err, VLY_EINVAL, "input %d: expected one integer", i);
    return st;
}

/* ---- DFT ---------------------------------------------------------------------------------- */

static vly_status dft_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    signal_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->axis = vly_attrs_int(&a, "axis", ctx->opset < 20 ? 1 : -2);
    p->is_inverse = vly_attrs_int(&a, "inverse", 0) != 0;
    p->is_onesided = vly_attrs_int(&a, "onesided", 0) != 0;
    return vly_attrs_end(&a, err);
}

/* The axis, and the length of the transform along it. */
static vly_status dft_size(const vly_op_ctx *ctx, int *ret_axis, int64_t *ret_n, vly_err *err)
{
    const signal_params *p = ctx->params;
    const vly_shape *s = &ctx->in[0]->shape;
    vly_status st = vly_op_axis(integer(ctx, 2, p->axis), s->rank, ret_axis, err);

    if (st != VLY_OK)
        return st;
    if (*ret_axis == s->rank - 1)
        return vly_fail(err, VLY_EINVAL, "the last axis holds real and imaginary parts");
    int64_t n = s->dim[*ret_axis];
    *ret_n = integer(ctx, 1, p->is_inverse && p->is_onesided ? 2 * (n - 1) : n);
    return VLY_OK;
}

static vly_status dft_infer(vly_op_ctx *ctx, vly_err *err)
{
    const signal_params *p = ctx->params;
    vly_shape out = ctx->in[0]->shape;
    int64_t n;
    int axis;
    vly_status st = check_signal(ctx, 2, VLY_RANK_MAX, err);

    for (int i = 1; i < 3 && st == VLY_OK; i++)
        st = check_integer(ctx, i, err);
    if (st != VLY_OK)
        return st;
    if (vly_op_in_pending(ctx, 1) || vly_op_in_pending(ctx, 2)) {
        for (int i = 0; i < out.rank; i++)
            out.dim[i] = VLY_DIM_UNKNOWN;
        vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
        return VLY_OK;
    }
    st = dft_size(ctx, &axis, &n, err);
    if (st == VLY_OK)
        st = take_scratch(ctx, n, err);
    if (st != VLY_OK)
        return st;
    out.dim[axis] = p->is_onesided && !p->is_inverse ? n / 2 + 1 : n;
    out.dim[out.rank - 1] = p->is_onesided && p->is_inverse ? 1 : 2;
    vly_op_out_set(ctx, 0, ctx->in[0]->dtype, &out);
    return VLY_OK;
}

static vly_status dft_run(vly_op_ctx *ctx, vly_err *err)
{
    const signal_params *p = ctx->params;
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    int64_t n;
    int axis, rank = in->shape.rank;
    vly_fft f;
    vly_status st = dft_size(ctx, &axis, &n, err);

    if (st != VLY_OK)
        return st;
    double *x = ctx->scratch;
    vly_fft_init(&f, (size_t)n, p->is_inverse, x + 2 * n);
    int64_t inner = vly_shape_span(&in->shape, axis + 1, rank - 1);
    int64_t rows = vly_shape_span(&in->shape, 0, axis) * inner;
    signal_row from = {.t = in, .n = in->shape.dim[axis], .n_parts = (int)in->shape.dim[rank - 1]};
    signal_row to = {.t = out, .n = out->shape.dim[axis], .n_parts = (int)out->shape.dim[rank - 1]};
    from.step = inner * from.n_parts;
    to.step = inner * to.n_parts;
    for (int64_t r = 0; r < rows; r++) {
        from.begin = r / inner * from.n * from.step + r % inner * from.n_parts;
        to.begin = r / inner * to.n * to.step + r % inner * to.n_parts;
        load_row(&from, (size_t)n, x);
        if (p->is_inverse && p->is_onesided)
            mirror(x, (size_t)n);
        vly_fft_run(&f, x);
        store_row(&to, x, p->is_inverse ? 1.0 / (double)n : 1.0);
    }
    return VLY_OK;
}

/* ---- STFT --------------------------------------------------------------------------------- */

static vly_status stft_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    signal_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->is_onesided = vly_attrs_int(&a, "onesided", 1) != 0;
    return vly_attrs_end(&a, err);
}

/* Length of a frame: input 3, or the window's. */
static int64_t frame_length(const vly_op_ctx *ctx)
{
    const vly_tensor *window = vly_op_in(ctx, 2);
    return integer(ctx, 3, window != NULL ? window->shape.dim[0] : 0);
}

static vly_status stft_infer(vly_op_ctx *ctx, vly_err *err)
{
    const signal_params *p = ctx->params;
    const vly_tensor *x = ctx->in[0];
    vly_shape out = {.rank = 4, .dim = {x->shape.dim[0], VLY_DIM_UNKNOWN, VLY_DIM_UNKNOWN, 2}};
    vly_status st = check_signal(ctx, 3, 3, err);

    for (int i = 1; i < 4 && st == VLY_OK; i += 2)
        st = check_integer(ctx, i, err);
    if (st == VLY_OK && vly_op_in(ctx, 2) != NULL) {
        st = vly_op_check_rank(ctx, 2, 1, 1, err);
        if (st == VLY_OK && ctx->in[2]->dtype != x->dtype)
            st = vly_fail(err, VLY_EINVAL, "input 2: expected %s as input 0",
                          vly_dtype_name(x->dtype));
    }
    if (st != VLY_OK)
        return st;
    if (!vly_op_in_pending(ctx, 1) && !vly_op_in_pending(ctx, 3)) {
        int64_t step = integer(ctx, 1, 0), n = frame_length(ctx), len = x->shape.dim[1];
        if (step < 1 || n < 1 || n > len ||
            (vly_op_in(ctx, 2) != NULL && ctx->in[2]->shape.dim[0] != n))
            return vly_fail(err, VLY_EINVAL,
                            "frames of %" PRId64 " every %" PRId64 " do not fit a "
                            "signal of %" PRId64 " and its window",
                            n, step, len);
        st = take_scratch(ctx, n, err);
        out.dim[1] = 1 + (len - n) / step;
        out.dim[2] = p->is_onesided ? n / 2 + 1 : n;
    }
    if (st == VLY_OK)
        vly_op_out_set(ctx, 0, x->dtype, &out);
    return st;
}

static void apply_window(const vly_tensor *window, double *x)
{
    for (int64_t i = 0; window != NULL && i < window->shape.dim[0]; i++) {
        double w = vly_tensor_get_f64(window, (uint64_t)i);
        x[2 * i] *= w;
        x[2 * i + 1] *= w;
    }
}

static vly_status stft_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *in = ctx->in[0], *out = &ctx->out[0];
    int64_t step = integer(ctx, 1, 0), n = frame_length(ctx), n_frames = out->shape.dim[1];
    double *x = ctx->scratch;
    vly_fft f;

    (void)err;
    vly_fft_init(&f, (size_t)n, false, x + 2 * n);
    signal_row from = {.t = in, .n = n, .n_parts = (int)in->shape.dim[2]};
    signal_row to = {.t = out, .n = out->shape.dim[2], .n_parts = 2, .step = 2};
    from.step = from.n_parts;
    for (int64_t r = 0; r < out->shape.dim[0] * n_frames; r++) {
        from.begin = (r / n_frames * in->shape.dim[1] + r % n_frames * step) * from.n_parts;
        to.begin = r * to.n * 2;
        load_row(&from, (size_t)n, x);
        apply_window(vly_op_in(ctx, 2), x);
        vly_fft_run(&f, x);
        store_row(&to, x, 1.0);
    }
    return VLY_OK;
}

/* ---- MelWeightMatrix ---------------------------------------------------------------------- */

static vly_status mel_prepare(const vly_op_ctx *ctx, void *params, vly_err *err)
{
    signal_params *p = params;
    vly_attrs a = vly_attrs_begin(ctx->proto);

    p->dtype = vly_attrs_int(&a, "output_datatype", VLY_DTYPE_F32);
    vly_status st = vly_attrs_end(&a, err);
    if (st == VLY_OK && (!vly_dtype_valid(p->dtype) || (VLY_T_NUMBER & 1u << p->dtype) == 0))
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "attribute 'output_datatype': %" PRId64 " is not supported", p->dtype);
    return st;
}

static vly_status mel_infer(vly_op_ctx *ctx, vly_err *err)
{
    const signal_params *p = ctx->params;
    vly_shape out = VLY_SHAPE(VLY_DIM_UNKNOWN, VLY_DIM_UNKNOWN);
    vly_status st = VLY_OK;

    for (int i = 0; i < 3 && st == VLY_OK; i++)
        st = check_integer(ctx, i, err);
    for (int i = 3; i < 5 && st == VLY_OK; i++) {
        st = vly_op_check_dtype(ctx, i, VLY_T_FLOAT, err);
        if (st == VLY_OK && vly_tensor_count(ctx->in[i]) != 1)
            st = vly_fail(err, VLY_EINVAL, "input %d: expected a scalar", i);
    }
    if (st != VLY_OK)
        return st;
    if (!vly_op_in_pending(ctx, 0) && !vly_op_in_pending(ctx, 1)) {
        int64_t n_mel = integer(ctx, 0, 0), n = integer(ctx, 1, 0);
        if (n_mel < 0 || n < 0 || n_mel > INT32_MAX || n > INT32_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "%" PRId64 " bands of %" PRId64 " samples: out of range", n_mel, n);
        out = VLY_SHAPE(n / 2 + 1, n_mel);
    }
    vly_op_out_set(ctx, 0, (vly_dtype)p->dtype, &out);
    return VLY_OK;
}

/* Mel scale: linear below, logarithmic above 700 Hz. */
static double to_mel(double hertz)
{
    return 2595.0 * log10(1.0 + hertz / 700.0);
}

static double from_mel(double mel)
{
    return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
}

/* Spectrum bin of the edge between bands; -1 when it is no bin. */
static int64_t edge_bin(const vly_op_ctx *ctx, int64_t i)
{
    double lo = to_mel(vly_tensor_get_f64(ctx->in[3], 0)),
           hi = to_mel(vly_tensor_get_f64(ctx->in[4], 0));
    double step = (hi - lo) / (double)(integer(ctx, 0, 0) + 2);
    double hertz = from_mel(lo + (double)i * step);
    double bin = floor((double)(integer(ctx, 1, 0) + 1) * hertz / (double)integer(ctx, 2, 0));

    return bin >= 0.0 && bin < (double)ctx->out[0].shape.dim[0] ? (int64_t)bin : -1;
}

static void set_weight(const vly_tensor *out, int64_t bin, int64_t band, double v)
{
    vly_convert(VLY_DTYPE_F64, &v, out->dtype, vly_elem_at(out, bin * out->shape.dim[1] + band), 1,
                false);
}

/* Each band is a triangle from its left edge over its centre to its right edge. */
static vly_status mel_run(vly_op_ctx *ctx, vly_err *err)
{
    const vly_tensor *out = &ctx->out[0];

    if (out->bytes == 0)
        return VLY_OK;
    memset(out->data, 0, out->bytes);
    for (int64_t band = 0; band < out->shape.dim[1]; band++) {
        int64_t left = edge_bin(ctx, band), mid = edge_bin(ctx, band + 1);
        int64_t right = edge_bin(ctx, band + 2);
        if (left < 0 || mid < left || right < mid)
            return vly_fail(err, VLY_EINVAL, "band %" PRId64 " lies outside of the spectrum", band);
        for (int64_t k = left; k <= mid; k++)
            set_weight(out, k, band, mid == left ? 1.0 : (double)(k - left) / (double)(mid - left));
        for (int64_t k = mid; k < right; k++)
            set_weight(out, k, band, (double)(right - k) / (double)(right - mid));
    }
    return VLY_OK;
}

const vly_op vly_ops_signal[] = {
    {.name = "DFT",
     .since = 20,
     .n_in_min = 1,
     .n_in_max = 3,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(signal_params),
     .prepare = dft_prepare,
     .infer = dft_infer,
     .run = dft_run},
    {.name = "DFT",
     .since = 17,
     .until = 19,
     .n_in_min = 1,
     .n_in_max = 2,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(signal_params),
     .prepare = dft_prepare,
     .infer = dft_infer,
     .run = dft_run},
    {.name = "STFT",
     .since = 17,
     .n_in_min = 2,
     .n_in_max = 4,
     .dtypes = VLY_T_FLOAT,
     .params_bytes = sizeof(signal_params),
     .prepare = stft_prepare,
     .infer = stft_infer,
     .run = stft_run},
    {.name = "MelWeightMatrix",
     .since = 17,
     .n_in_min = 5,
     .n_in_max = 5,
     .dtypes = VLY_T(I32) | VLY_T(I64),
     .params_bytes = sizeof(signal_params),
     .prepare = mel_prepare,
     .infer = mel_infer,
     .run = mel_run},
    {NULL},
};

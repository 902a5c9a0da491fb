/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/spatial.h"

#include <inttypes.h>

/* Attribute values stay below this, and tensor sizes below 2^40, so that sums and products of two
 * fit into 64 bits. */
#define VALUE_MAX  0x3fffff
#define VOLUME_MAX ((int64_t)1 << 40) /* elements of a kernel or of an output plane */

static vly_status read_list(vly_attrs *a, const char *name, int64_t lo, int64_t *out, size_t max,
                            int *ret_n, vly_err *err)
{
    size_t n;
    const int64_t *values = vly_attrs_ints(a, name, &n);

    if (n > max)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "attribute '%s': expected at most %d spatial dimensions, got %zu integers",
                        name, VLY_SPATIAL_MAX, n);
    for (size_t i = 0; i < n; i++) {
        if (values[i] < lo || values[i] > VALUE_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "attribute '%s': expected integers in %" PRId64 "..%d, got %" PRId64,
                            name, lo, VALUE_MAX, values[i]);
        out[i] = values[i];
    }
    *ret_n = (int)n;
    return VLY_OK;
}

vly_status vly_spatial_read(const vly_onnx_node *proto, vly_spatial *ret, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(proto);
    vly_spatial s = {0};
    vly_status st = read_list(&a, "kernel_shape", 1, s.kernel, VLY_SPATIAL_MAX, &s.n_kernel, err);

    if (st == VLY_OK)
        st = read_list(&a, "strides", 1, s.stride, VLY_SPATIAL_MAX, &s.n_stride, err);
    if (st == VLY_OK)
        st = read_list(&a, "dilations", 1, s.dilation, VLY_SPATIAL_MAX, &s.n_dilation, err);
    if (st == VLY_OK)
        st = read_list(&a, "pads", 0, s.pad, (size_t)2 * VLY_SPATIAL_MAX, &s.n_pad, err);
    if (st != VLY_OK)
        return st;
    s.auto_pad = (vly_auto_pad)vly_attrs_enum(
        &a, "auto_pad", "NOTSET\0SAME_UPPER\0SAME_LOWER\0VALID\0", VLY_PAD_NOTSET);
    s.ceil_mode = vly_attrs_int(&a, "ceil_mode", 0) != 0;
    *ret = s;
    return vly_attrs_end(&a, err);
}

static vly_status check_length(const char *name, int have, int want, vly_err *err)
{
    if (have == 0 || have == want)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL, "attribute '%s': expected %d integers, got %d", name, want,
                    have);
}

/* The product of three sizes stays small enough for further arithmetic. */
static vly_status check_volume(const char *what, const int64_t v[VLY_SPATIAL_MAX], vly_err *err)
{
    int64_t volume = 1;

    for (int d = 0; d < VLY_SPATIAL_MAX; d++)
        if (__builtin_mul_overflow(volume, v[d], &volume) || volume > VOLUME_MAX)
            return vly_fail(err, VLY_ELIMIT,
                            "%s of %" PRId64 " x %" PRId64 " x %" PRId64 " is too big", what, v[0],
                            v[1], v[2]);
    return VLY_OK;
}

vly_status vly_spatial_expand(const vly_spatial *s, int n, const int64_t *kernel,
                              vly_spatial_window *ret, vly_err *err)
{
    int lead = VLY_SPATIAL_MAX - n;
    vly_status st = check_length("kernel_shape", s->n_kernel, n, err);

    if (st == VLY_OK)
        st = check_length("strides", s->n_stride, n, err);
    if (st == VLY_OK)
        st = check_length("dilations", s->n_dilation, n, err);
    if (st == VLY_OK)
        st = check_length("pads", s->n_pad, 2 * n, err);
    if (st != VLY_OK)
        return st;
    *ret = (vly_spatial_window){.n = n, .w = VLY_WINDOW_INIT};
    for (int d = 0; d < n; d++) {
        if (s->n_kernel > 0 && s->kernel[d] != kernel[d])
            return vly_fail(err, VLY_EINVAL,
                            "attribute 'kernel_shape': %" PRId64 " differs from %" PRId64
                            " of the weights",
                            s->kernel[d], kernel[d]);
        if (kernel[d] < 1)
            return vly_fail(err, VLY_EINVAL, "kernel of %" PRId64 " on spatial axis %d", kernel[d],
                            d);
        ret->w.kernel[lead + d] = kernel[d];
        ret->w.stride[lead + d] = s->n_stride > 0 ? s->stride[d] : 1;
        ret->w.dilation[lead + d] = s->n_dilation > 0 ? s->dilation[d] : 1;
        if (s->n_pad > 0 && s->auto_pad == VLY_PAD_NOTSET) {
            ret->w.pad[lead + d] = s->pad[d];
            ret->pad_end[lead + d] = s->pad[n + d];
        }
    }
    return check_volume("kernel", ret->w.kernel, err);
}

/* SAME: as many outputs as strides fit into the input, the missing input split over both ends. */
static int64_t same_size(vly_auto_pad mode, vly_spatial_window *r, int d)
{
    const vly_window *w = &r->w;
    int64_t out = (w->in[d] + w->stride[d] - 1) / w->stride[d];
    int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
    int64_t total = (out - 1) * w->stride[d] + reach - w->in[d];

    total = total > 0 ? total : 0;
    r->w.pad[d] = mode == VLY_PAD_SAME_UPPER ? total / 2 : total - total / 2;
    r->pad_end[d] = total - r->w.pad[d];
    return out;
}

/* Number of window positions; negative: the kernel does not fit. */
static int64_t window_size(const vly_spatial *s, const vly_spatial_window *r, int d)
{
    const vly_window *w = &r->w;
    int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
    int64_t room = w->in[d] + w->pad[d] + r->pad_end[d] - reach;

    if (room < 0)
        return -1;
    int64_t out = (s->ceil_mode ? room + w->stride[d] - 1 : room) / w->stride[d] + 1;
    if (s->ceil_mode && (out - 1) * w->stride[d] >= w->in[d] + w->pad[d])
        out--; /* the last window would begin behind the image */
    return out;
}

vly_status vly_spatial_resolve(const vly_spatial *s, const vly_shape *x, const int64_t *kernel,
                               vly_spatial_window *ret, vly_err *err)
{
    int n = x->rank - 2, lead = VLY_SPATIAL_MAX - n;
    vly_status st = vly_spatial_expand(s, n, kernel, ret, err);

    if (st != VLY_OK)
        return st;
    ret->out = *x;
    ret->out.dim[1] = VLY_DIM_UNKNOWN;
    for (int d = 0; d < n; d++) {
        bool same = s->auto_pad == VLY_PAD_SAME_UPPER || s->auto_pad == VLY_PAD_SAME_LOWER;
        if (x->dim[2 + d] < 0)
            continue;
        ret->w.in[lead + d] = x->dim[2 + d];
        int64_t out = same ? same_size(s->auto_pad, ret, lead + d) : window_size(s, ret, lead + d);
        if (out < 0)
            return vly_fail(err, VLY_EINVAL,
                            "kernel of %" PRId64 " (dilation %" PRId64
                            ") does not fit into spatial axis %d of %" PRId64 " with its pads",
                            kernel[d], ret->w.dilation[lead + d], d, x->dim[2 + d]);
        ret->w.out[lead + d] = out;
        ret->out.dim[2 + d] = out;
    }
    return check_volume("output", ret->w.out, err);
}

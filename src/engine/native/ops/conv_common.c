/* SPDX-License-Identifier: MIT */
#include "engine/native/ops/conv_common.h"

#include <inttypes.h>

#define GROUPS_MAX (1 << 24)

vly_status vly_conv_read(const vly_onnx_node *proto, vly_conv_params *ret, vly_err *err)
{
    vly_attrs a = vly_attrs_begin(proto);
    vly_status st = vly_spatial_read(proto, &ret->spatial, err);

    if (st != VLY_OK)
        return st;
    ret->group = vly_attrs_int_in(&a, "group", 1, 1, GROUPS_MAX);
    return vly_attrs_end(&a, err);
}

static vly_status check_channels(const vly_shape *x, const vly_shape *w, int64_t group,
                                 vly_err *err)
{
    if (x->dim[1] >= 0 && w->dim[1] >= 0 && x->dim[1] != w->dim[1] * group)
        return vly_fail(err, VLY_EINVAL,
                        "weights for %" PRId64 " channels in %" PRId64
                        " groups do not fit an input of %" PRId64 " channels",
                        w->dim[1], group, x->dim[1]);
    if (w->dim[0] >= 0 && w->dim[0] % group != 0)
        return vly_fail(err, VLY_EINVAL,
                        "%" PRId64 " output channels cannot be cut into %" PRId64 " groups",
                        w->dim[0], group);
    return VLY_OK;
}

vly_status vly_conv_resolve(const vly_op_ctx *ctx, const vly_conv_params *p, int i_x, int i_w,
                            vly_conv *ret, vly_err *err)
{
    const vly_shape *x = &ctx->in[i_x]->shape, *w = &ctx->in[i_w]->shape;
    vly_conv c = {.group = p->group};
    vly_status st = vly_op_check_rank(ctx, i_x, 3, 2 + VLY_SPATIAL_MAX, err);

    if (st == VLY_OK)
        st = vly_op_check_rank(ctx, i_w, x->rank, x->rank, err);
    if (st == VLY_OK)
        st = check_channels(x, w, p->group, err);
    if (st != VLY_OK)
        return st;
    c.out = *x;
    for (int d = 1; d < x->rank; d++)
        c.out.dim[d] = VLY_DIM_UNKNOWN;
    c.out.dim[1] = w->dim[0];
    if (vly_shape_known(w)) {
        st = vly_spatial_resolve(&p->spatial, x, w->dim + 2, &c.win, err);
        if (st != VLY_OK)
            return st;
        c.out = c.win.out;
        c.out.dim[1] = w->dim[0];
        c.is_known = vly_shape_known(x);
    }
    if (c.is_known) {
        c.batch = x->dim[0];
        c.in_channels = w->dim[1];
        c.m = w->dim[0] / p->group;
        c.k = c.in_channels * vly_window_kernel_size(&c.win.w);
        c.in_size = vly_window_in_size(&c.win.w);
        c.out_size = vly_window_out_size(&c.win.w);
    }
    *ret = c;
    return VLY_OK;
}

uint64_t vly_conv_flops(const vly_conv *c)
{
    return 2 * (uint64_t)c->batch * (uint64_t)c->group * (uint64_t)c->m * (uint64_t)c->k *
           (uint64_t)c->out_size;
}

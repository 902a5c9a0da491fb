/* SPDX-License-Identifier: MIT */
/* What Conv, ConvInteger and QLinearConv share: attributes, shape checks, groups. */
#ifndef VLY_ENGINE_NATIVE_OPS_CONV_COMMON_H
#define VLY_ENGINE_NATIVE_OPS_CONV_COMMON_H

#include "engine/native/ops/spatial.h"
#include "engine/op.h"

typedef struct vly_conv_params {
    vly_spatial spatial;
    int64_t group;
} vly_conv_params;

vly_status vly_conv_read(const vly_onnx_node *proto, vly_conv_params *ret,
                         vly_err *err) VLY_MUST_CHECK;

/* A convolution of known shapes: for each picture and group, C [m, out] = W [m, k] * im2col [k,
 * out]. */
typedef struct vly_conv {
    vly_spatial_window win;
    vly_shape out;
    bool is_known; /* every size is; else only out (with unknown dimensions) is valid */
    int64_t batch, group;
    int64_t in_channels;       /* per group */
    int64_t m, k;              /* per group: output channels; in_channels * kernel size */
    int64_t in_size, out_size; /* elements of one channel plane */
} vly_conv;

/* x: input i_x [n, c, spatial], w: input i_w [m, c / group, kernel]. */
vly_status vly_conv_resolve(const vly_op_ctx *ctx, const vly_conv_params *p, int i_x, int i_w,
                            vly_conv *ret, vly_err *err) VLY_MUST_CHECK;

/* 2 * multiply-adds of the whole convolution. */
uint64_t vly_conv_flops(const vly_conv *c);

#endif

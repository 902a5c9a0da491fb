/* SPDX-License-Identifier: MIT */
/*
 * The attributes that convolutions and pools share (kernel_shape, strides, dilations, pads,
 * auto_pad, ceil_mode) and the windows they describe. One to three spatial dimensions.
 */
#ifndef VLY_ENGINE_NATIVE_OPS_SPATIAL_H
#define VLY_ENGINE_NATIVE_OPS_SPATIAL_H

#include "dsp/im2col.h"
#include "engine/attrs.h"
#include "tensor/shape.h"

#define VLY_SPATIAL_MAX 3

typedef enum vly_auto_pad {
    VLY_PAD_NOTSET,
    VLY_PAD_SAME_UPPER,
    VLY_PAD_SAME_LOWER,
    VLY_PAD_VALID,
} vly_auto_pad;

/* As in the file; a list of length 0 was absent. */
typedef struct vly_spatial {
    int64_t kernel[VLY_SPATIAL_MAX], stride[VLY_SPATIAL_MAX], dilation[VLY_SPATIAL_MAX];
    int64_t pad[2 * VLY_SPATIAL_MAX]; /* all begins, then all ends */
    int n_kernel, n_stride, n_dilation, n_pad;
    vly_auto_pad auto_pad;
    bool ceil_mode;
} vly_spatial;

/* Reads the attributes; lists that are too long or out of range are errors. */
vly_status vly_spatial_read(const vly_onnx_node *proto, vly_spatial *ret,
                            vly_err *err) VLY_MUST_CHECK;

/* A window over x [n, c, spatial...]; dimensions of size 1 are put in front of fewer than three. */
typedef struct vly_spatial_window {
    int n; /* spatial dimensions */
    vly_window w;
    int64_t pad_end[VLY_SPATIAL_MAX]; /* of all three */
    vly_shape out;                    /* [n of x, VLY_DIM_UNKNOWN, spatial out...] */
} vly_spatial_window;

/* kernel: [x->rank - 2] known sizes. Where an input size is unknown, so is the output's, and w must
 * not be used. EINVAL when a list has the wrong length or the kernel does not fit. */
vly_status vly_spatial_resolve(const vly_spatial *s, const vly_shape *x, const int64_t *kernel,
                               vly_spatial_window *ret, vly_err *err) VLY_MUST_CHECK;

/* Same lists, for a transposed convolution: stride and dilation checked and expanded to three
 * dimensions in ret->w, pads into w.pad and pad_end; in, out and the shape are left alone. */
vly_status vly_spatial_expand(const vly_spatial *s, int n, const int64_t *kernel,
                              vly_spatial_window *ret, vly_err *err) VLY_MUST_CHECK;

#endif

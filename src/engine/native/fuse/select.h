/* SPDX-License-Identifier: MIT */
/* What the files of the selecting stage share. */
#ifndef VLY_ENGINE_NATIVE_FUSE_SELECT_H
#define VLY_ENGINE_NATIVE_FUSE_SELECT_H

#include "dsp/im2col.h"
#include "engine/native/fuse/ir.h"

/* The value as a constant, or NULL; one that is still quantised in the file is folded now. Weights
 * may lie unaligned in the file: only emit looks at them. */
const vly_tensor *vly_fuse_constant(const vly_fuser *z, int v);
const vly_tensor *vly_fuse_weights(const vly_fuser *z, int v);
/* The data of v when they last as long as the model, or NULL. */
const void *vly_fuse_shared(const vly_fuser *z, int v);
/* The item of this kind that made v, or VLY_NO_ITEM. */
int vly_fuse_maker(const vly_fuser *z, int v, vly_item_kind kind);
/* A context to ask an operator's own functions about the node; NULL: out of memory. */
const vly_op_ctx *vly_fuse_ctx(vly_fuser *z, const vly_node *node);

/* Fills in the geometry of a float value as an image, with its channels last already or in axis 1;
 * false: it has none. */
bool vly_fuse_geometry(const vly_fuser *z, int v, bool is_last);
/* Input i of the node as a float constant of n elements (n < 0: any), or NULL. */
const vly_tensor *vly_fuse_f32(const vly_fuser *z, const vly_node *node, int i, int64_t n);
bool vly_fuse_is_omitted(const vly_node *node, int i);
/* v is an image already / can be read as one: it is, in this layout, or it is a tensor. */
bool vly_fuse_is_image(const vly_fuser *z, int v);
bool vly_fuse_can_read(const vly_fuser *z, int v, bool is_last);
/* Reader k of v, 0 <= k < views[v].n_reading. */
static inline const vly_node *vly_fuse_reader(const vly_fuser *z, int v, int k)
{
    return z->f->plan->steps[z->readers[z->views[v].first_reader + k]].node;
}
/* Some step that could work on images reads v. */
bool vly_fuse_has_image_reader(const vly_fuser *z, int v);
/* The item of this kind that made v for one reader only, or VLY_NO_ITEM. */
int vly_fuse_sole_maker(const vly_fuser *z, int v, vly_item_kind kind);
/* An item from x to the step's output 0, in the layout of x; NULL: that is no image. */
vly_item *vly_fuse_item_like(vly_fuser *z, vly_item_kind kind, const vly_step *step, int x);
/* Images that are parts or other shapes of one hold the same codes. */
void vly_fuse_same_codes(vly_view *to, const vly_view *from);
/* Can borders of images serve the padding of this window? */
bool vly_fuse_fits_border(const vly_window *w);
/* An Add behind convolution item i of one constant for each channel: its bias. */
bool vly_fuse_add_bias(vly_fuser *z, const vly_step *step, int i, int i_constant);
/* The output of item i is from now on v. */
void vly_fuse_take_over(vly_fuser *z, int i, int v);

/* ---- quantised models (quantise.c) ---- */

/* Is the only reader of v a QuantizeLinear that fusion understands? */
bool vly_fuse_is_quantised_next(const vly_fuser *z, int v);
/* The int8 weights behind v, symmetric, for c_out outputs along axis 0; scales: [c_out]. */
const vly_tensor *vly_fuse_int8_weights(const vly_fuser *z, int v, int c_out, float *scales);
/* x * act(x), with both factors and the product quantised on the way: a table. */
bool vly_fuse_quantised_swish(vly_fuser *z, const vly_step *step, int x, int gate);

/* Reshape, Transpose, Softmax, (Transpose,) Conv with the weights 0, 1, 2 ..., Reshape: the
 * expected value of a distribution over bins, as heads of YOLOv8 write it. s: the first step's
 * index; marks the others as taken. */
bool vly_fuse_select_expect(vly_fuser *z, int s);

#endif

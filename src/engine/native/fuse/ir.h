/* SPDX-License-Identifier: MIT */
/*
 * What fusion works on: items in topological order, and what is known of every value as an image.
 *
 * Values up to plan->n_values are those of the ONNX graph; fusion adds values for copies. All of it
 * lives in the compilation's scratch arena.
 */
#ifndef VLY_ENGINE_NATIVE_FUSE_IR_H
#define VLY_ENGINE_NATIVE_FUSE_IR_H

#include "dsp/image_ops.h"
#include "engine/native/fuse/fuse.h"

#define VLY_NO_ITEM (-1)

typedef enum vly_item_kind {
    VLY_ITEM_DEAD, /* merged into another */
    VLY_ITEM_NODE, /* the step as it is */
    VLY_ITEM_RECURRENT,
    VLY_ITEM_CONV,
    VLY_ITEM_POOL,
    VLY_ITEM_MEAN, /* over the whole picture */
    VLY_ITEM_RESIZE,
    VLY_ITEM_COMBINE,
    VLY_ITEM_MAP, /* an activation, or a copy */
    VLY_ITEM_EXPECT,
    /* these move no data, if place finds room */
    VLY_ITEM_CONCAT, /* along channels */
    VLY_ITEM_JOIN,   /* Concat along the pixels of images with h = 1 */
    VLY_ITEM_SLICE,  /* of the channels */
    VLY_ITEM_ALIAS,  /* the same pixels under another shape */
} vly_item_kind;

typedef struct vly_item {
    vly_item_kind kind;
    const vly_step *step; /* the ONNX step it stands for, or began with */
    int n_in;
    int *in; /* [n_in] images read; CONV: x, then the residual. NODE, RECURRENT: none */
    int out; /* NODE, RECURRENT: none. JOIN, CONCAT, SLICE, ALIAS: what place could not arrange is
                copied */
    vly_act act;
    float alpha, beta;
    /* CONV */
    vly_conv_desc desc;        /* elements are filled in by place */
    const vly_tensor *weights; /* float [c_out][c_in / group][h][w], or int8; EXPECT: [bins] */
    const void
        *shared_weights; /* the model's own constant behind them: packed once for all plans */
    bool is_transposed;  /* weights: [c_in][c_out], as MatMul has them. RECURRENT: time and batch of
                            x are swapped */
    float *scale, *bias; /* [c_out] or NULL; scale: of the sums */
    /* MAP of a quantised image, CONV with VLY_ACT_TABLE: the real value for each code [256] */
    const float *codes;
    int n_reads; /* MAP with codes: how often the steps it stands for read the input */
    /* CONV with VLY_ACT_TABLE: how sums become codes */
    float code_scale;
    int32_t code_zero;
    /* others */
    vly_pool_desc pool;
    vly_combine combine;
    int *rows, *cols; /* RESIZE */
    int offset;       /* SLICE: first channel */
    int bins;         /* EXPECT */
    int tensors[3];   /* RECURRENT: x and the initial states that it reads as tensors */
} vly_item;

typedef struct vly_view {
    bool is_image; /* an image of this value exists: some item reads or writes it */
    bool is_last;  /* ONNX has the channels last as well: matrices */
    int n, h, w, c;
    int border_h, border_w; /* that its readers need */
    int n_readers;          /* inputs of steps that read it, and once for a graph output */
    int n_reading; /* inputs of steps alone; they are in vly_fuser.readers from first_reader on */
    int first_reader;
    int maker;            /* item, or VLY_NO_ITEM */
    int source;           /* of an image made from a tensor: that tensor's value, mostly v itself */
    const vly_node *lazy; /* dequantises constants: folded when somebody wants floats */
    bool is_quantised;    /* VLY_ELEM_U8 with these */
    float scale;
    int32_t zero;
    bool wants_narrow; /* some reader gains from BF16 */
    bool wants_wide;   /* some reader shall work in fp32 */
    /* placed: inside parent (or VLY_VALUE_NONE: a buffer of its own) */
    int parent;
    int at_channel, at_pixel;
    /* of roots, after placing */
    bool is_flat; /* pieces lie along the pixels: no border */
    vly_elem elem;
    int value; /* the plan's value that holds it */
} vly_view;

typedef struct vly_fuser {
    vly_fusion *f;
    bool *is_taken; /* [plan->n_steps] by an item that began at an earlier step */
    vly_item *items;
    int n_items, max_items;
    vly_view *views; /* [plan->n_values] */
    int *readers;    /* indices of steps, the readers of one value after another */
} vly_fuser;

/* The stages. ENOMEM. */
vly_status vly_fuse_select(vly_fuser *z, vly_err *err) VLY_MUST_CHECK;
void vly_fuse_place(vly_fuser *z);
vly_status vly_fuse_emit(vly_fuser *z, vly_err *err) VLY_MUST_CHECK;

/* A new item, or NULL: out of memory. in: copied, with room for one more. */
vly_item *vly_fuse_item(vly_fuser *z, vly_item_kind kind, const vly_step *step, const int *in,
                        int n_in, int out);

/* The step of a RECURRENT item, whose tensors are there (recurrent.c). */
vly_status vly_fuse_emit_recurrent(vly_fuser *z, const vly_item *item, vly_err *err) VLY_MUST_CHECK;

/* The root that holds v, and where in it. */
int vly_fuse_root(const vly_fuser *z, int v, int *ret_channel, int *ret_pixel);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Static quantisation of a float model to 8 bits: standard QDQ ONNX that any runtime reads.
 *
 *   vly_quantizer_new        reads the model; norms go into weights, the opset is raised to 13
 *   vly_quantizer_calibrate  watches the float model on real samples: ranges, scales, weights,
 *                            bias correction, and what each layer loses
 *   vly_quantizer_keep       layers that stay float; the rest is 8 bit
 *   vly_quantizer_write      the file, as often as asked
 *
 * Layers: Conv, Gemm and MatMul with constant weights. Each one's input is quantised to uint8 with
 * one scale, its weights to int8 with a scale per output channel, its bias to int32; what it puts
 * out stays float up to where the next layer reads it, so an activation in between is exact.
 * Tensors that only pass through Concat, Split, MaxPool, nearest Resize and the like share one
 * scale, which makes those operators work on bytes unchanged. Anything else (Softmax, the
 * arithmetic of a detector's head) stays float.
 *
 * Owner: one thread. Errors: EUNSUPPORTED when the model cannot be rewritten (optim/edit.h,
 * optim/opset.h), holds quantised operators already, or has no layer to quantise; EINVAL: a value
 * that is not finite, naming tensor and sample; those of observing.
 */
#ifndef VLY_OPTIM_QUANTIZE_H
#define VLY_OPTIM_QUANTIZE_H

#include "base/buf.h"
#include "base/status.h"
#include "optim/range.h"
#include "optim/samples.h"

#include <stdbool.h>

typedef struct vly_quant_opts {
    vly_range_method method;
    double percentile;      /* of VLY_RANGE_PERCENTILE */
    bool has_plain_weights; /* scale weights by their greatest value: no search, no correction of
                               the bias */
} vly_quant_opts;

#define VLY_QUANT_OPTS_INIT                                                                        \
    {                                                                                              \
        .method = VLY_RANGE_MSE, .percentile = 99.99                                               \
    }

/* One layer and what quantising it alone costs. */
typedef struct vly_quant_layer {
    vly_str name; /* of the node, or of its output when it has none */
    vly_str op;
    double share;   /* of all layers' multiply-adds, 0..1 */
    double sqnr_db; /* signal to noise at its output when it alone is quantised */
    bool is_float;  /* stays float: asked for, too small to matter, or too sensitive */
} vly_quant_layer;

typedef struct vly_quantizer vly_quantizer;

/* bytes are borrowed until free; dir: as vly_edit_open. */
vly_status vly_quantizer_new(const void *bytes, size_t len, const char *dir,
                             const vly_quant_opts *opts, vly_quantizer **ret,
                             vly_err *err) VLY_MUST_CHECK;
void vly_quantizer_free(vly_quantizer *q); /* accepts NULL */

/* Once. Afterwards layers of less than VLY_QUANT_SHARE_LEAST of the work are float, since they have
 * nothing to win (the 16 weights that decode YOLOv8's boxes, for one), and so are layers that lose
 * more than VLY_QUANT_SQNR_LEAST allows: one such layer can cost more than all others together (in
 * YOLOX-nano the first of 113 to go float takes the loss of mAP from 0.083, on 8 photos, to 0.008,
 * on 20). */
vly_status vly_quantizer_calibrate(vly_quantizer *q, const vly_samples *samples,
                                   vly_err *err) VLY_MUST_CHECK;
#define VLY_QUANT_SHARE_LEAST 0.0005
#define VLY_QUANT_SQNR_LEAST  24.0 /* dB */

/* In the order of the graph. Valid until free. */
const vly_quant_layer *vly_quantizer_layers(const vly_quantizer *q, size_t *ret_n);
/* From now on layer i is float, or not. */
void vly_quantizer_keep(vly_quantizer *q, size_t i, bool is_float);

/* Appends the file. After calibrate. */
vly_status vly_quantizer_write(const vly_quantizer *q, vly_buf *out, vly_err *err) VLY_MUST_CHECK;

#endif

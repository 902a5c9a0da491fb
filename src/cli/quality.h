/* SPDX-License-Identifier: MIT */
/*
 * How good a model file is on a set of samples, beside the float model it was made of: bytes,
 * milliseconds, and one figure of accuracy from 0 to 1:
 *
 *   LABELS   mAP50-95 over the labels of the directory (COCO's rules, as `volley eval detect`)
 *   BOXES    no labels: the same metric with the float model's detections (confidence above 0.25)
 *            as the truth
 *   CLASSES  other outputs: the share of samples whose largest value of the first output is at the
 *            float model's place
 */
#ifndef VLY_CLI_QUALITY_H
#define VLY_CLI_QUALITY_H

#include "cli/samples.h"
#include "engine/model.h"

typedef enum vly_quality_kind {
    VLY_QUALITY_LABELS,
    VLY_QUALITY_BOXES,
    VLY_QUALITY_CLASSES,
} vly_quality_kind;

typedef struct vly_quality {
    size_t file_bytes;
    uint64_t flops; /* of one run */
    double ms;      /* median of the net alone */
    double score;   /* as the kind says */
    double map50;   /* of LABELS and BOXES */
    double snr_db;  /* of the outputs against the float model's; infinite when equal */
} vly_quality;

typedef struct vly_quality_bench {
    vly_cli_samples *samples; /* borrowed */
    vly_model *reference;     /* the float model, borrowed */
    vly_quality_kind kind;
} vly_quality_bench;

vly_quality_bench vly_quality_bench_of(vly_cli_samples *samples, vly_model *reference);

/* what: for the progress bar. */
vly_status vly_quality_measure(const vly_quality_bench *b, const void *bytes, size_t len,
                               const char *what, vly_quality *ret, vly_err *err) VLY_MUST_CHECK;

const char *vly_quality_name(vly_quality_kind kind); /* "mAP50-95" */
/* "mAP50-95 over 40 labelled pictures" ... for the line below a table. */
void vly_quality_explain(const vly_quality_bench *b, vly_buf *out);

#endif

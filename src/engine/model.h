/* SPDX-License-Identifier: MIT */
/*
 * A loaded model and its instances: all that the rooms above see of the engine.
 *
 *   vly_model     immutable after load, shared by threads, reference-counted. Owns the mapped file,
 *                 the graph and the folded constants.
 *   vly_instance  what one thread needs to run it: the plan for the shapes at hand and the arena of
 *                 its intermediate tensors. Used by one thread at a time.
 */
#ifndef VLY_ENGINE_MODEL_H
#define VLY_ENGINE_MODEL_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/status.h"
#include "tensor/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vly_model vly_model;
typedef struct vly_instance vly_instance;
struct vly_worker_pool;

/* How values are held and multiplied inside convolutions and dense layers. Sums are float, or exact
 * int32 for 8-bit operands. Inputs, outputs and all other operators stay as the file has them. */
typedef enum vly_precision {
    VLY_PRECISION_FP32,
    VLY_PRECISION_EXACT, /* every operator of the file by itself, in its own type and order: slow,
                            for comparing */
    VLY_PRECISION_BF16,  /* operands rounded to 8 bits of mantissa */
    VLY_PRECISION_INT8, /* QuantizeLinear/DequantizeLinear pairs of the file run as 8-bit kernels */
    VLY_PRECISION_AUTO, /* INT8 where the file is quantised; else BF16 where this CPU multiplies it
                           faster and the model is large enough; else FP32 */
} vly_precision;

const char *vly_precision_name(vly_precision p);

typedef struct vly_model_options {
    size_t max_file_bytes;   /* the .onnx file and each external data file */
    size_t max_memory_bytes; /* constants plus one instance's arena */
    bool is_copied;          /* files are read into memory, not mapped: what happens to them after
                                the load does not matter */
    vly_precision precision;
    vly_str fp32_nodes; /* names of convolutions that stay fp32, separated by commas; borrowed until
                           the model is loaded */
    void (*on_external)(void *ctx, const char *path); /* before a file of external data is opened,
                                                         if it can be or not; NULL: none */
    void *ctx;                                        /* of on_external */
} vly_model_options;

#define VLY_MODEL_OPTIONS_DEFAULT                                                                  \
    {                                                                                              \
        .max_file_bytes = (size_t)8 << 30, .max_memory_bytes = (size_t)8 << 30                     \
    }

/* Sets precision and fp32_nodes from "exact", "fp32", "bf16", "int8" or "auto", perhaps followed by
 * ":NODE,NODE": "bf16:/model.0/conv/Conv". EINVAL names the choices. */
vly_status vly_precision_parse(vly_str text, vly_model_options *ret, vly_err *err) VLY_MUST_CHECK;

/* One input or output of the graph; initialisers that the file lists as inputs too are constants,
 * not inputs. Strings live as long as the model. */
typedef struct vly_model_io {
    const char *name;
    vly_dtype dtype;
    vly_shape shape; /* VLY_DIM_UNKNOWN where the caller chooses, or data decide */
    const char
        *dim_names[VLY_RANK_MAX]; /* symbolic names such as "batch"; NULL where there is none */
    bool has_shape;               /* false: the file says nothing of the rank */
} vly_model_io;

typedef struct vly_model_property {
    vly_str key, value; /* ONNX metadata_props */
} vly_model_property;

/* What a model was loaded from. */
typedef struct vly_model_file {
    vly_str name; /* of external data, as the model says it; empty: the model itself */
    vly_str bytes;
} vly_model_file;

typedef struct vly_model_info {
    size_t n_inputs, n_outputs, n_properties;
    const vly_model_io *inputs, *outputs;
    const vly_model_property *properties;
    const char *name;     /* of the graph */
    const char *producer; /* "pytorch 2.1" */
    int opset;            /* of the default domain */
    size_t n_nodes;
    uint64_t n_parameters; /* elements of all initialisers */
    size_t file_bytes;
    size_t n_files;
    const vly_model_file *files; /* the model itself, then external data in the order of use */
} vly_model_info;

/* Loads an .onnx file; options NULL: the defaults. On success *ret holds one reference.
 * Errors: EIO, EFORMAT (not ONNX, or inconsistent), ELIMIT, EUNSUPPORTED (an op, opset or feature
 * that the engine does not have: the message names every missing op), ENOMEM. */
vly_status vly_model_load(const char *path, const vly_model_options *options, vly_model **ret,
                          vly_err *err) VLY_MUST_CHECK;
/* The same from memory, which is copied; external data is refused. */
vly_status vly_model_load_bytes(const void *bytes, size_t len, const vly_model_options *options,
                                vly_model **ret, vly_err *err) VLY_MUST_CHECK;
vly_model *vly_model_ref(vly_model *m);
void vly_model_unref(vly_model *m); /* accepts NULL */
const vly_model_info *vly_model_describe(const vly_model *m);

/* pool: cores that one run may be split over, shared by all; NULL: run on the calling thread only.
 * The instance holds a reference to the model. */
vly_status vly_instance_new(vly_model *m, struct vly_worker_pool *pool, vly_instance **ret,
                            vly_err *err) VLY_MUST_CHECK;
void vly_instance_free(vly_instance *i); /* accepts NULL */

/* Runs the model once.
 * inputs: [n_inputs] in the model's order, data aligned for their type. Dtypes must be equal to the
 * model's, shapes must agree with it where it is known (EINVAL names the input).
 * outputs: [n_outputs], written only on success; each is a new reference for the caller to release.
 * The first run with new input shapes compiles a plan; later ones with the same shapes allocate
 * nothing, as long as the caller has released the previous outputs. */
vly_status vly_instance_run(vly_instance *i, const vly_tensor *inputs, vly_tensor *outputs,
                            vly_err *err) VLY_MUST_CHECK;

/* One step of a plan and what it took. Strings live as long as the instance has the plan: until it
 * runs other shapes, or goes. */
typedef struct vly_step_profile {
    const char *kernel;  /* what runs: "Softmax", "conv 3x3/2 bf16 amx" */
    const char *node;    /* the node of the file that it stands for, or begins with */
    vly_dtype precision; /* of its numbers; UNDEFINED where data decide */
    vly_shape shape;     /* of its first output, images [n, h, w, c]; none where data decide */
    uint64_t flops;      /* 2 * multiply-adds */
    uint64_t bytes;      /* read and written: inputs, outputs, packed weights */
    vly_nsec ns;
} vly_step_profile;

/* As vly_instance_run, and measures each step. steps: [n_steps] of vly_instance_plan for the same
 * shapes; reading the clock costs some 30 ns a step. */
vly_status vly_instance_profile(vly_instance *i, const vly_tensor *inputs, vly_tensor *outputs,
                                vly_step_profile *steps, vly_err *err) VLY_MUST_CHECK;

/* What a run costs, from the plan for these input shapes ([n_inputs]; NULL: the model's own, with 1
 * for each unknown dimension). */
typedef struct vly_plan_summary {
    size_t n_steps;
    size_t arena_bytes;    /* intermediate tensors, by liveness */
    size_t constant_bytes; /* weights and folded values */
    uint64_t flops;        /* 2 * multiply-adds of convolutions, products and recurrences */
} vly_plan_summary;

vly_status vly_instance_plan(vly_instance *i, const vly_shape *input_shapes, vly_plan_summary *ret,
                             vly_err *err) VLY_MUST_CHECK;
/* The same plan, one line per step: kernel, output shape, precision, bytes moved, FLOPs, node. */
vly_status vly_instance_print_plan(vly_instance *i, const vly_shape *input_shapes, vly_buf *out,
                                   vly_err *err) VLY_MUST_CHECK;

#endif

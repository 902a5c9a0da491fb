/* SPDX-License-Identifier: MIT */
/*
 * Plan: a graph compiled for concrete input shapes. Immutable and shared by instances; refcounted.
 *
 *   1 shapes   infer runs over the nodes in order; what depends only on shapes is folded away
 *   2 fusion   convolutions and what surrounds them become steps on images (fuse/fuse.h)
 *   3 liveness dead steps go; each value's last reader is found; views and in-place steps share the
 *              buffer ("root") of their input
 *   4 places   every root gets a place: a constant, the caller's input, an output tensor, or an
 *              offset in the instance's arena that is reused after the last reader
 *
 * Steps whose shapes depend on data (behind NonZero, NonMaxSuppression ...) are `is_dynamic`: the
 * executor infers and allocates them during the run.
 */
#ifndef VLY_ENGINE_NATIVE_PLAN_H
#define VLY_ENGINE_NATIVE_PLAN_H

#include "base/buf.h"
#include "engine/graph/graph.h"
#include "engine/model.h"
#include "engine/native/packs.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_place {
    VLY_PLACE_UNUSED,   /* no step of this plan touches the value */
    VLY_PLACE_CONSTANT, /* data are in slot.tensor */
    VLY_PLACE_INPUT,    /* the caller's input `index` */
    VLY_PLACE_OUTPUT,   /* storage of the output `index` + offset */
    VLY_PLACE_ARENA,    /* instance arena + offset */
    VLY_PLACE_DYNAMIC,  /* made during the run */
} vly_place;

/* What the plan knows of one value of the graph. */
typedef struct vly_slot {
    vly_place place;
    int index;
    size_t offset;
    vly_tensor tensor; /* dtype and shape, unless DYNAMIC; data of constants (borrowed or owned) */
} vly_slot;

typedef struct vly_step {
    const vly_node *node;
    bool is_dynamic;
    bool is_joined; /* a Concat whose inputs are made where they belong: nothing is left to do */
    size_t scratch_offset, scratch_bytes;
    uint64_t flops;
    const char *kernel; /* of a fused convolution; NULL: the operator's own */
} vly_step;

/* Memory that lives as long as the plan: packed weights. */
typedef struct vly_plan_blob_list {
    struct vly_plan_blob_list *next;
    void *bytes; /* 64-byte aligned */
} vly_plan_blob_list;

typedef struct vly_plan {
    _Atomic uint32_t n_refs;
    vly_arena arena;
    const vly_graph *graph;
    vly_shape *input_shapes; /* [graph->n_inputs] */
    vly_slot *slots;         /* [n_values] */
    int n_values;            /* the graph's, then those of fused steps */
    vly_step *steps;
    int n_steps;
    vly_plan_blob_list *blobs;
    size_t arena_bytes;
    size_t constant_bytes; /* of the plan's own constants and blobs */
    uint64_t flops;
} vly_plan;

/* input_shapes: [graph->n_inputs], fully known. The graph and packs outlive the plan. */
vly_status vly_plan_compile(const vly_graph *graph, const vly_shape *input_shapes,
                            const vly_model_options *options, vly_packs *packs, vly_plan **ret,
                            vly_err *err) VLY_MUST_CHECK;
vly_plan *vly_plan_ref(vly_plan *p);
void vly_plan_unref(vly_plan *p); /* accepts NULL */

/* Memory for the plan's compilation to fill; NULL: out of memory. */
void *vly_plan_blob(vly_plan *p, size_t bytes);

/* What a step does; ret->ns is 0. Strings live as long as the plan. */
void vly_plan_describe(const vly_plan *p, const vly_step *step, vly_step_profile *ret);
/* A readable table, one line per step. */
void vly_plan_print(const vly_plan *p, vly_buf *out);

#endif

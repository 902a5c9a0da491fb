/* SPDX-License-Identifier: MIT */
/*
 * Fusion: the steps of a plan whose work is convolution, dense layers and what surrounds them
 * become fewer steps on images (dsp/image.h), with weights packed for the kernel that will run
 * them.
 *
 *   select  each step becomes an item: a convolution, a pool, a map ..., or "as it is"; what can be
 *           done at the end of an earlier item (activation, batch norm, residual, quantisation) is
 *           merged into it                                                              select.c
 *   place   every image gets an element type and a place: inside the image of a Concat that it is
 *           a piece of, or a buffer of its own with the border that its readers need    place.c
 *   emit    items become steps with operators of the domain "volley" (run.c); between images and
 *           the tensors of other operators there are conversions, or nothing where both look the
 *           same in memory                                                              emit.c
 *
 * Recurrent cells become steps on tensors (recurrent.c). A graph without anything to fuse comes out
 * as it went in.
 */
#ifndef VLY_ENGINE_NATIVE_FUSE_FUSE_H
#define VLY_ENGINE_NATIVE_FUSE_FUSE_H

#include "engine/model.h"
#include "engine/native/packs.h"
#include "engine/native/plan.h"

typedef struct vly_fusion {
    /* given */
    vly_plan *plan;      /* its arena takes params and nodes of new steps; its blobs, weights */
    vly_arena *scratch;  /* of the compilation */
    vly_tensor **values; /* [plan->n_values]: types, and data of constants */
    const bool *is_unknown;
    vly_packs *packs;        /* of the model */
    vly_precision precision; /* not AUTO */
    unsigned cpu_flags;
    size_t max_memory_bytes; /* of the plan's constants: packed weights may need far more than
                                those of the file */
    vly_status (*fold)(void *arg, const vly_node *node,
                       vly_err *err); /* makes its output constant */
    void *fold_arg;
    /* made; both in scratch */
    vly_step *steps;
    int n_steps;
    vly_tensor *new_values; /* types of the values from plan->n_values on */
    int n_new_values;
} vly_fusion;

/* Reads plan->steps; the caller puts the new ones in their place. */
vly_status vly_fuse(vly_fusion *f, vly_err *err) VLY_MUST_CHECK;

#endif

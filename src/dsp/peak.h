/* SPDX-License-Identifier: MIT */
/*
 * What the arithmetic units of this machine can do: loops of independent multiply-adds on registers
 * only, one for each instruction set and precision. Kernels are judged by the share they reach.
 *
 * The x86 loops are inline assembly: compilers spill that many accumulators, and then the loop
 * measures the stack.
 */
#ifndef VLY_DSP_PEAK_H
#define VLY_DSP_PEAK_H

#include "base/clock.h"

#include <stddef.h>

/* Factors of the products; sums are fp32, or int32 for int8. */
typedef enum vly_peak_kind {
    VLY_PEAK_F32,
    VLY_PEAK_BF16,
    VLY_PEAK_INT8,
    VLY_PEAK_N,
} vly_peak_kind;

typedef struct vly_peak_loop {
    vly_peak_kind kind;
    const char *isa;              /* "avx512" */
    double ops;                   /* of one round: 2 * multiply-adds */
    void (*run)(size_t n_rounds); /* n_rounds >= 1. Thread: any; tile registers do not survive */
} vly_peak_loop;

#define VLY_PEAK_LOOPS_MAX 12

typedef struct vly_peak_dsp {
    size_t n_loops;
    vly_peak_loop loops[VLY_PEAK_LOOPS_MAX];
} vly_peak_dsp;

/* Every loop that these flags (base/cpu.h) allow; fp32 is always among them. */
void vly_peak_dsp_init(vly_peak_dsp *dsp, unsigned cpu_flags);

/* Operations per second on the calling thread: the best of many pieces of about a millisecond, as
 * many as fit into budget, so that a moment of company on the core does not show. */
double vly_peak_measure(const vly_peak_loop *loop, vly_nsec budget);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Activation functions over arrays of float, by polynomials.
 *
 * y[i] = f(x[i]) for i < n; y may be x, and must not overlap it otherwise. NaN gives NaN. Error
 * bounds are against the true value of f at the float x, over every finite x, and are checked by
 * tests/unit/dsp/test_act.c; "ulp" is the spacing of floats at the result.
 * An element's result depends on the level (the table in use), never on its place in the array.
 * Thread: any. The rounding mode must be to nearest.
 */
#ifndef VLY_DSP_ACT_H
#define VLY_DSP_ACT_H

#include <stddef.h>

void vly_act_exp(const float *x, float *y, size_t n);     /* 1 ulp; overflow inf, underflow 0 */
void vly_act_sigmoid(const float *x, float *y, size_t n); /* 3 ulp; 0 below -88.7 */
void vly_act_silu(const float *x, float *y, size_t n);    /* 4 ulp; x * sigmoid(x), NaN for -inf */
void vly_act_tanh(const float *x, float *y, size_t n);    /* 2 ulp */
void vly_act_erf(const float *x, float *y, size_t n);     /* 3 ulp */
/* x / 2 * (1 + erf(x / sqrt 2)), and its approximation by tanh (as in ONNX Gelu).
 * Within 1e-6 absolute, or 3e-7 relative where that is more; NaN for -inf. */
void vly_act_gelu(const float *x, float *y, size_t n);
void vly_act_gelu_tanh(const float *x, float *y, size_t n);

typedef void vly_act_fn(const float *x, float *y, size_t n);

typedef struct vly_act_dsp {
    vly_act_fn *exp, *sigmoid, *silu, *tanh, *erf, *gelu, *gelu_tanh;
} vly_act_dsp;

/* The best that cpu_flags (base/cpu.h) allow; the functions above take what the CPU has. */
void vly_act_dsp_init(vly_act_dsp *dsp, unsigned cpu_flags);

#endif

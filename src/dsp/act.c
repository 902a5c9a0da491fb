/* SPDX-License-Identifier: MIT */
#include "dsp/act.h"

#include "base/cpu.h"
#include "base/ivdep.h"
#include "dsp/expf.h"
#if defined(__x86_64__)
#include "dsp/x86/act_x86.h"
#elif defined(__aarch64__)
#include "dsp/arm/vec_arm.h"
#endif

#include <math.h>

static inline float sigmoid(float x)
{
    return 1.0F / (1.0F + vly_expf(-x));
}

/* Near 0 an odd polynomial, elsewhere by exp: 1 - 2 / (e^2|x| + 1) loses nothing above 0.625. */
static inline float tanh1(float x)
{
    float a = fabsf(x);
    float t = x * x;
    float q = 2.14754521e-3F;
    q = q * t - 8.18268246e-3F;
    q = q * t + 2.17029702e-2F;
    q = q * t - 5.39472047e-2F;
    q = q * t + 1.33332098e-1F;
    q = q * t - 3.33333309e-1F;
    float small = a + a * t * q;
    float large = 1.0F - 2.0F / (vly_expf(2.0F * a) + 1.0F);
    return copysignf(a < 0.625F ? small : large, x);
}

/* Below 1 an odd polynomial, above it 1 - e^p(|x|) with p fitted to log(erfc) on 1..4. */
static inline float erf1(float x)
{
    float a = fabsf(x);
    float t = x * x;
    float p = -9.68019775e-6F;
    p = p * t + 1.12705654e-4F;
    p = p * t - 8.48471424e-4F;
    p = p * t + 5.22107506e-3F;
    p = p * t - 2.68654459e-2F;
    p = p * t + 1.12837827e-1F;
    p = p * t - 3.76126385e-1F;
    p = p * t + 1.12837917F;

    float c = a > 4.0F ? 4.0F : a;
    float q = -2.16867243e-5F;
    q = q * c + 4.41334842e-4F;
    q = q * c - 4.20455401e-3F;
    q = q * c + 2.52082348e-2F;
    q = q * c - 1.08418541e-1F;
    q = q * c - 6.33219928e-1F;
    q = q * c - 1.12957841F;
    q = q * c + 1.88036064e-4F;
    float large = copysignf(1.0F - vly_expf(q), x);
    return a < 1.0F ? x * p : large;
}

static void act_exp(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = vly_expf(x[i]);
}

static void act_sigmoid(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = sigmoid(x[i]);
}

static void act_silu(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * sigmoid(x[i]);
}

static void act_tanh(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = tanh1(x[i]);
}

static void act_erf(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = erf1(x[i]);
}

static void act_gelu(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++)
        y[i] = 0.5F * x[i] * (1.0F + erf1(x[i] * 0.707106781F));
}

static void act_gelu_tanh(const float *x, float *y, size_t n)
{
    VLY_IVDEP
    for (size_t i = 0; i < n; i++) {
        float t = tanh1(0.797884561F * (x[i] + 0.044715F * x[i] * x[i] * x[i]));
        y[i] = 0.5F * x[i] * (1.0F + t);
    }
}

void vly_act_dsp_init(vly_act_dsp *dsp, unsigned cpu_flags)
{
    *dsp =
        (vly_act_dsp){act_exp, act_sigmoid, act_silu, act_tanh, act_erf, act_gelu, act_gelu_tanh};
#if defined(__x86_64__)
    vly_act_dsp_init_x86(dsp, cpu_flags);
#elif defined(__aarch64__)
    vly_act_dsp_init_arm(dsp, cpu_flags);
#else
    (void)cpu_flags;
#endif
}

#define PUBLIC(name)                                                                               \
    void vly_act_##name(const float *x, float *y, size_t n)                                        \
    {                                                                                              \
        vly_act_dsp dsp;                                                                           \
        vly_act_dsp_init(&dsp, vly_cpu_flags());                                                   \
        dsp.name(x, y, n);                                                                         \
    }

PUBLIC(exp)
PUBLIC(sigmoid)
PUBLIC(silu)
PUBLIC(tanh)
PUBLIC(erf)
PUBLIC(gelu)
PUBLIC(gelu_tanh)

/* SPDX-License-Identifier: MIT */
/*
 * Activations on vectors: the polynomials of dsp/act.c and dsp/expf.h, with fused multiply-adds,
 * within the bounds of dsp/act.h.
 */
#ifndef VLY_DSP_VEC_VEC_ACT_H
#define VLY_DSP_VEC_VEC_ACT_H

#include "dsp/conv.h"
#include "dsp/vec/vec.h"

static inline vf vf_exp(vf x)
{
    x = vf_min(vf_set(90.0f), x); /* NaN stays */
    x = vf_max(vf_set(-105.0f), x);
    vf k = vf_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_fnma(k, vf_set(0.693145751953125f), x);
    r = vf_fnma(k, vf_set(1.42860677e-6f), r);
    vf q = vf_set(1.39505457e-3f);
    q = vf_fma(q, r, vf_set(8.36888917e-3f));
    q = vf_fma(q, r, vf_set(4.16662049e-2f));
    q = vf_fma(q, r, vf_set(1.66665188e-1f));
    q = vf_fma(q, r, vf_set(5.00000010e-1f));
    q = vf_fma(q, r, vf_set(1.0f));
    return vf_ldexp(vf_fma(q, r, vf_set(1.0f)), k);
}

static inline vf vf_sigmoid(vf x)
{
    vf one = vf_set(1.0f);
    return vf_div(one, vf_add(one, vf_exp(vf_sub(vf_set(-0.0f), x))));
}

static inline vf vf_silu(vf x)
{
    return vf_mul(x, vf_sigmoid(x));
}

static inline vf vf_tanh(vf x)
{
    vf a = vf_abs(x), t = vf_mul(x, x), one = vf_set(1.0f);
    vf q = vf_set(2.14754521e-3f);
    q = vf_fma(q, t, vf_set(-8.18268246e-3f));
    q = vf_fma(q, t, vf_set(2.17029702e-2f));
    q = vf_fma(q, t, vf_set(-5.39472047e-2f));
    q = vf_fma(q, t, vf_set(1.33332098e-1f));
    q = vf_fma(q, t, vf_set(-3.33333309e-1f));
    vf small = vf_fma(vf_mul(a, t), q, a);
    vf large = vf_sub(one, vf_div(vf_set(2.0f), vf_add(vf_exp(vf_add(a, a)), one)));
    return vf_with_sign(vf_if_less(a, vf_set(0.625f), small, large), x);
}

static inline vf vf_erf(vf x)
{
    vf a = vf_abs(x), t = vf_mul(x, x);
    vf p = vf_set(-9.68019775e-6f);
    p = vf_fma(p, t, vf_set(1.12705654e-4f));
    p = vf_fma(p, t, vf_set(-8.48471424e-4f));
    p = vf_fma(p, t, vf_set(5.22107506e-3f));
    p = vf_fma(p, t, vf_set(-2.68654459e-2f));
    p = vf_fma(p, t, vf_set(1.12837827e-1f));
    p = vf_fma(p, t, vf_set(-3.76126385e-1f));
    p = vf_fma(p, t, vf_set(1.12837917f));

    vf c = vf_min(vf_set(4.0f), a); /* NaN stays */
    vf q = vf_set(-2.16867243e-5f);
    q = vf_fma(q, c, vf_set(4.41334842e-4f));
    q = vf_fma(q, c, vf_set(-4.20455401e-3f));
    q = vf_fma(q, c, vf_set(2.52082348e-2f));
    q = vf_fma(q, c, vf_set(-1.08418541e-1f));
    q = vf_fma(q, c, vf_set(-6.33219928e-1f));
    q = vf_fma(q, c, vf_set(-1.12957841f));
    q = vf_fma(q, c, vf_set(1.88036064e-4f));
    vf large = vf_with_sign(vf_sub(vf_set(1.0f), vf_exp(q)), x);
    return vf_if_less(a, vf_set(1.0f), vf_mul(x, p), large);
}

static inline vf vf_gelu(vf x)
{
    vf e = vf_erf(vf_mul(x, vf_set(0.707106781f)));
    return vf_mul(vf_mul(vf_set(0.5f), x), vf_add(vf_set(1.0f), e));
}

static inline vf vf_gelu_tanh(vf x)
{
    vf cube = vf_mul(vf_mul(x, x), x);
    vf t = vf_tanh(vf_mul(vf_set(0.797884561f), vf_fma(vf_set(0.044715f), cube, x)));
    return vf_mul(vf_mul(vf_set(0.5f), x), vf_add(vf_set(1.0f), t));
}

static inline vf vf_clip(vf v, vf lo, vf hi)
{
    return vf_min(hi, vf_max(lo, v));
}

/* As vly_act_apply. */
static inline vf vf_act(vly_act act, vf v, float alpha, float beta)
{
    vf zero = vf_set(0.0f), one = vf_set(1.0f);

    switch (act) {
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        break;
    case VLY_ACT_RELU:
        return vf_max(zero, v);
    case VLY_ACT_CLIP:
        return vf_clip(v, vf_set(alpha), vf_set(beta));
    case VLY_ACT_LEAKY_RELU:
        return vf_if_less(v, zero, vf_mul(vf_set(alpha), v), v);
    case VLY_ACT_SIGMOID:
        return vf_sigmoid(v);
    case VLY_ACT_SILU:
        return vf_silu(v);
    case VLY_ACT_TANH:
        return vf_tanh(v);
    case VLY_ACT_HARD_SIGMOID:
        return vf_clip(vf_fma(vf_set(alpha), v, vf_set(beta)), zero, one);
    case VLY_ACT_HARD_SWISH:
        return vf_mul(v, vf_clip(vf_fma(v, vf_set(1.0f / 6.0f), vf_set(0.5f)), zero, one));
    case VLY_ACT_GELU:
        return vf_gelu(v);
    }
    return v;
}

#endif

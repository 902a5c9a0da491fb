/* SPDX-License-Identifier: MIT */
/* Activations over arrays on vectors, compiled once per instruction set. */
#include "dsp/vec/vec_act.h"
#include "dsp/vec/vec_isa.h"

#define ACT(name)                                                                                  \
    static void act_##name(const float *x, float *y, size_t n)                                     \
    {                                                                                              \
        size_t i = 0;                                                                              \
        for (; i + VF_LANES <= n; i += VF_LANES)                                                   \
            vf_store(y + i, vf_##name(vf_load(x + i)));                                            \
        if (i < n)                                                                                 \
            vf_store_n(y + i, vf_##name(vf_load_n(x + i, (ptrdiff_t)(n - i))),                     \
                       (ptrdiff_t)(n - i));                                                        \
    }

ACT(exp)
ACT(sigmoid)
ACT(silu)
ACT(tanh)
ACT(erf)
ACT(gelu)
ACT(gelu_tanh)

void VF_NAME(vly_act_dsp_init)(vly_act_dsp *dsp)
{
    *dsp =
        (vly_act_dsp){act_exp, act_sigmoid, act_silu, act_tanh, act_erf, act_gelu, act_gelu_tanh};
}

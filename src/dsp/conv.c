/* SPDX-License-Identifier: MIT */
#include "dsp/conv.h"

#include "dsp/conv_list.h"
#include "dsp/expf.h"

#include <math.h>
#include <string.h>

static const vly_conv_kernel *const kernels[] = {
#define ENTRY(name) &vly_conv_##name,
    VLY_CONV_KERNELS(ENTRY)
#undef ENTRY
};

const vly_conv_kernel *vly_conv_kernel_at(int i)
{
    int n = (int)(sizeof(kernels) / sizeof(kernels[0]));
    return i < n ? kernels[i] : NULL;
}

const vly_conv_kernel *vly_conv_choose(const vly_conv_desc *d, unsigned cpu_flags)
{
    int i = 0;

    while ((kernels[i]->cpu_flags & ~cpu_flags) != 0 || !kernels[i]->fits(d))
        i++; /* the last, the C reference, takes everything */
    return kernels[i];
}

bool vly_conv_has_kernels(unsigned cpu_flags)
{
    bool is_found = false;

    for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
        is_found |= kernels[i]->cpu_flags != 0 && (kernels[i]->cpu_flags & ~cpu_flags) == 0;
    return is_found;
}

static float clip(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

float vly_act_apply(vly_act act, float v, float alpha, float beta)
{
    switch (act) {
    case VLY_ACT_NONE:
    case VLY_ACT_TABLE:
        break;
    case VLY_ACT_RELU:
        return v < 0.0f ? 0.0f : v;
    case VLY_ACT_CLIP:
        return clip(v, alpha, beta);
    case VLY_ACT_LEAKY_RELU:
        return v < 0.0f ? alpha * v : v;
    case VLY_ACT_SIGMOID:
        return 1.0f / (1.0f + vly_expf(-v));
    case VLY_ACT_SILU:
        return v / (1.0f + vly_expf(-v));
    case VLY_ACT_TANH:
        return tanhf(v);
    case VLY_ACT_HARD_SIGMOID:
        return clip(alpha * v + beta, 0.0f, 1.0f);
    case VLY_ACT_HARD_SWISH:
        return v * clip(v / 6.0f + 0.5f, 0.0f, 1.0f);
    case VLY_ACT_GELU:
        return 0.5f * v * (1.0f + erff(v * 0.70710678f));
    }
    return v;
}

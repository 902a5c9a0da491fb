/* SPDX-License-Identifier: MIT */
/* BF16 for dsp/x86/conv_dots.h without vdpbf16ps: each half of a word becomes a float. */
#ifndef VLY_DSP_X86_CONV_DOTS_BF16_H
#define VLY_DSP_X86_CONV_DOTS_BF16_H

#include "base/bf16.h"
#include "dsp/vec/conv_tiles.h"

#include <string.h>

#define DOTS_ELEM  VLY_ELEM_BF16
#define DOTS_EACH  2
#define DOTS_PARTS 2
#ifdef __AVX512F__
#define DOTS_TILES(X) TILES_16(X, 1) TILES_12(X, 2) TILES_6(X, 3)
enum { DOTS_NB_MAX = 3, DOTS_ACC_MAX = 24 };
static const int dots_most[] = {0, 16, 12, 6};
#else
#define DOTS_TILES(X) TILES_8(X, 1) TILES_4(X, 2)
enum { DOTS_NB_MAX = 2, DOTS_ACC_MAX = 8 };
static const int dots_most[] = {0, 8, 4};
#endif

typedef vf dots_acc;
typedef vf dots_w; /* of the lower, then of the upper half */
typedef struct dots_x {
    vf low, high;
} dots_x;

VF_INLINE dots_acc dots_start(const int32_t *sums, int32_t zero)
{
    (void)sums;
    (void)zero;
    return vf_set(0.0f);
}

VF_INLINE dots_x dots_load(const unsigned char *p)
{
    uint16_t halves[2];

    memcpy(halves, p, sizeof(halves));
    return (dots_x){vf_set(vly_bf16_to_f32(halves[0])), vf_set(vly_bf16_to_f32(halves[1]))};
}

VF_INLINE dots_acc dots_add(dots_acc acc, dots_x x, const dots_w *w)
{
    return vf_fma(x.high, w[1], vf_fma(x.low, w[0], acc));
}

VF_INLINE vf dots_real(dots_acc acc)
{
    return acc;
}

static inline void dots_put(unsigned char *to, int lane, int k, const void *weights, int64_t i)
{
    float v = vly_bf16_to_f32(vly_bf16_from_f32(((const float *)weights)[i]));
    memcpy(to + (ptrdiff_t)(k * VF_LANES + lane) * 4, &v, sizeof(v));
}

#define DOTS_KERNEL VF_NAME(vly_conv_bf16)
#define DOTS_TITLE  "bf16 " VF_TITLE
#define DOTS_CPU    VF_CPU
#include "dsp/x86/conv_dots.h"

#endif

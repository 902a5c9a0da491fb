/* SPDX-License-Identifier: MIT */
/* BF16 on 512 bits: vdpbf16ps of AVX512_BF16. Subnormal operands and sums count as 0. */
#include "base/bf16.h"
#include "dsp/vec/conv_tiles.h"

#include <string.h>

#define DOTS_ELEM     VLY_ELEM_BF16
#define DOTS_EACH     2
#define DOTS_PARTS    1
#define DOTS_TILES(X) CONV_TILES(X)
enum { DOTS_NB_MAX = TILE_NB_MAX, DOTS_ACC_MAX = TILE_ACC_MAX };
static const int dots_most[] = {0, 16, 12, 8, 6, 5};

typedef __m512 dots_acc;
typedef __m512i dots_x;
typedef __m512i dots_w;

VF_INLINE dots_acc dots_start(const int32_t *sums, int32_t zero)
{
    (void)sums;
    (void)zero;
    return vf_set(0.0f);
}

VF_INLINE dots_x dots_load(const unsigned char *p)
{
    int32_t word;

    memcpy(&word, p, sizeof(word));
    return _mm512_set1_epi32(word);
}

VF_INLINE dots_acc dots_add(dots_acc acc, dots_x x, const dots_w *w)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(x), "v"(*w));
    return acc;
}

VF_INLINE vf dots_real(dots_acc acc)
{
    return acc;
}

static inline void dots_put(unsigned char *to, int lane, int k, const void *weights, int64_t i)
{
    uint16_t v = vly_bf16_from_f32(((const float *)weights)[i]);
    memcpy(to + (ptrdiff_t)lane * 4 + (ptrdiff_t)k * 2, &v, sizeof(v));
}

#define DOTS_KERNEL vly_conv_bf16_vnni
#define DOTS_TITLE  "bf16 avx512 bf16"
#define DOTS_CPU    (VLY_CPU_AVX512 | VLY_CPU_AVX512_BF16)
#include "dsp/x86/conv_dots.h"

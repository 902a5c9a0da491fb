/* SPDX-License-Identifier: MIT */
/* U8 by vpdpbusd for dsp/x86/conv_dots.h, 512 or 256 bits wide. In assembly: compilers copy the
 * sums around the intrinsic. */
#ifndef VLY_DSP_X86_CONV_DOTS_U8_H
#define VLY_DSP_X86_CONV_DOTS_U8_H
#ifdef __AVX2__ /* else it is only parsed by itself */

#include "dsp/vec/conv_tiles.h"

#include <string.h>

#define DOTS_ELEM  VLY_ELEM_U8
#define DOTS_EACH  4
#define DOTS_PARTS 1
#ifdef __AVX512F__
typedef __m512i dots_acc;
#define DOTS_TILES(X) CONV_TILES(X)
enum { DOTS_NB_MAX = TILE_NB_MAX, DOTS_ACC_MAX = TILE_ACC_MAX };
static const int dots_most[] = {0, 16, 12, 8, 6, 5};
#else
typedef __m256i dots_acc;
#define DOTS_TILES(X) CONV_TILES(X)
enum { DOTS_NB_MAX = TILE_NB_MAX, DOTS_ACC_MAX = TILE_ACC_MAX };
static const int dots_most[] = {0, 12, 6, 4};
#endif
typedef dots_acc dots_x;
typedef dots_acc dots_w;

VF_INLINE dots_acc dots_start(const int32_t *sums, int32_t zero)
{
#ifdef __AVX512F__
    return _mm512_mullo_epi32(_mm512_loadu_si512(sums), _mm512_set1_epi32(-zero));
#else
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    return _mm256_mullo_epi32(v, _mm256_set1_epi32(-zero));
#endif
}

VF_INLINE dots_x dots_load(const unsigned char *p)
{
    int32_t word;

    memcpy(&word, p, sizeof(word));
#ifdef __AVX512F__
    return _mm512_set1_epi32(word);
#else
    return _mm256_set1_epi32(word);
#endif
}

VF_INLINE dots_acc dots_add(dots_acc acc, dots_x x, const dots_w *w)
{
#ifdef __AVX512F__
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(x), "v"(*w));
#else
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(acc) : "x"(x), "x"(*w));
#endif
    return acc;
}

VF_INLINE vf dots_real(dots_acc acc)
{
#ifdef __AVX512F__
    return _mm512_cvtepi32_ps(acc);
#else
    return _mm256_cvtepi32_ps(acc);
#endif
}

static inline void dots_put(unsigned char *to, int lane, int k, const void *weights, int64_t i)
{
    ((int8_t *)to)[lane * 4 + k] = ((const int8_t *)weights)[i];
}

#endif
#endif

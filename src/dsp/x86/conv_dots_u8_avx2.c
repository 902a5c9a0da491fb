/* SPDX-License-Identifier: MIT */
/*
 * U8 on 256 bits without VNNI. vpmaddubsw would saturate; the even and the odd channels of a word,
 * widened to 16 bits, are multiplied by vpmaddwd instead, which is exact: 2 * 255 * 128 fits
 * easily.
 */
#include "dsp/vec/conv_tiles.h"

#include <string.h>

#define DOTS_ELEM     VLY_ELEM_U8
#define DOTS_EACH     4
#define DOTS_PARTS    2
#define DOTS_TILES(X) TILES_8(X, 1) TILES_4(X, 2)
enum { DOTS_NB_MAX = 2, DOTS_ACC_MAX = 8 };
static const int dots_most[] = {0, 8, 4};

typedef __m256i dots_acc;
typedef __m256i dots_w; /* channels 0, 2 of a word, then 1, 3: pairs of 16 bits */
typedef struct dots_x {
    __m256i even, odd;
} dots_x;

VF_INLINE dots_acc dots_start(const int32_t *sums, int32_t zero)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)sums);
    return _mm256_mullo_epi32(v, _mm256_set1_epi32(-zero));
}

VF_INLINE dots_x dots_load(const unsigned char *p)
{
    int32_t word;

    memcpy(&word, p, sizeof(word));
    __m256i v = _mm256_set1_epi32(word);
    return (dots_x){_mm256_and_si256(v, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(v, 8)};
}

VF_INLINE dots_acc dots_add(dots_acc acc, dots_x x, const dots_w *w)
{
    __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(x.even, w[0]), _mm256_madd_epi16(x.odd, w[1]));
    return _mm256_add_epi32(acc, sum);
}

VF_INLINE vf dots_real(dots_acc acc)
{
    return _mm256_cvtepi32_ps(acc);
}

static inline void dots_put(unsigned char *to, int lane, int k, const void *weights, int64_t i)
{
    const int8_t v = ((const int8_t *)weights)[i];
    const uint8_t wide[2] = {(uint8_t)v, v < 0 ? 0xff : 0}; /* as 16 bits */
    memcpy(to + (ptrdiff_t)(k % 2 * VF_LANES + lane) * 4 + (ptrdiff_t)(k / 2) * 2, wide,
           sizeof(wide));
}

#define DOTS_KERNEL vly_conv_u8_avx2
#define DOTS_TITLE  "u8 avx2"
#define DOTS_CPU    VLY_CPU_AVX2
#include "dsp/x86/conv_dots.h"

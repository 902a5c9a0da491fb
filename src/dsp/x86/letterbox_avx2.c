/* SPDX-License-Identifier: MIT */
/*
 * Eight columns at a time. A column's two pixels are six bytes in a row: one load of eight, one
 * shuffle to pairs of words (left, right) per colour, one multiply-add by the pair of weights.
 */
#include "dsp/letterbox_packed.h"
#include "dsp/x86/letterbox_x86.h"

#include <immintrin.h>

/* Eight columns; vector k holds columns k and 4 + k. */
typedef struct group {
    int16_t weights[4][2][4][2]; /* [vector][column][colour, and one unused][left, right] */
    uint32_t left[8];
} group;
_Static_assert(sizeof(group) / 8 <= VLY_LETTERBOX_GROUP_BYTES, "room in the packed taps");

static void pack(void *packed, const vly_letterbox_tap *taps, size_t n, size_t src_bytes)
{
    vly_letterbox_header *h = packed;
    group *groups = (group *)(void *)((char *)packed + vly_letterbox_groups_at(n));

    vly_letterbox_pack_c(packed, taps, n, src_bytes);
    if (src_bytes < 8)
        return;
    for (size_t i = 0; i < n / 8 * 8; i++) {
        vly_letterbox_pair p = vly_letterbox_pair_of(&taps[i], src_bytes);
        group *g = &groups[i / 8];
        if (p.left + 8 > src_bytes) /* the last ones: no room for a load of eight */
            break;
        g->left[i % 8] = p.left;
        for (size_t colour = 0; colour < 4; colour++) {
            g->weights[i % 4][i / 4 % 2][colour][0] = p.w0;
            g->weights[i % 4][i / 4 % 2][colour][1] = p.w1;
        }
        h->n_grouped = (i + 1) / 8 * 8;
    }
}

static inline __m256i blend_columns(const uint8_t *left, const uint8_t *right, const void *weights)
{
    const __m128i to_pairs =
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    __m128i low = _mm_loadl_epi64((const __m128i *)(const void *)left);
    __m128i high = _mm_loadl_epi64((const __m128i *)(const void *)right);
    __m256i pairs =
        _mm256_shuffle_epi8(_mm256_set_m128i(high, low), _mm256_broadcastsi128_si256(to_pairs));
    __m256i sums = _mm256_madd_epi16(pairs, _mm256_loadu_si256((const __m256i *)weights));

    return _mm256_srli_epi32(sums, 4);
}

static void across(int16_t *dst, size_t plane, const uint8_t *src, const void *packed)
{
    const vly_letterbox_header *h = packed;
    const group *g = vly_letterbox_groups(h);

    for (size_t x = 0; x < h->n_grouped; x += 8, g++) {
        __m256i v[4]; /* r g b - of columns k | 4 + k */
        for (int k = 0; k < 4; k++)
            v[k] = blend_columns(src + g->left[k], src + g->left[4 + k], g->weights[k]);
        __m256i v01 = _mm256_packus_epi32(v[0], v[1]), v23 = _mm256_packus_epi32(v[2], v[3]);
        __m256i even = _mm256_unpacklo_epi16(v01, v23), odd = _mm256_unpackhi_epi16(v01, v23);
        __m256i rg = _mm256_permute4x64_epi64(_mm256_unpacklo_epi16(even, odd), 0xd8);
        __m256i b = _mm256_permute4x64_epi64(_mm256_unpackhi_epi16(even, odd), 0xd8);
        int16_t *to = dst + x;
        _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(rg));
        _mm_storeu_si128((__m128i *)(void *)(to + plane), _mm256_extracti128_si256(rg, 1));
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * plane), _mm256_castsi256_si128(b));
    }
    vly_letterbox_across_from(dst, plane, src, h, h->n_grouped);
}

static void down(float *dst, const int16_t *row0, const int16_t *row1, int weight, float scale,
                 float bias, size_t n)
{
    int w1 = weight, w0 = VLY_LETTERBOX_ONE - weight;
    __m128i v0 = _mm_set1_epi16((short)w0), v1 = _mm_set1_epi16((short)w1);
    __m256 vs = _mm256_set1_ps(scale), vb = _mm256_set1_ps(bias);
    size_t x = 0;

    for (; x + 8 <= n; x += 8) {
        __m128i a = _mm_mulhi_epi16(_mm_loadu_si128((const __m128i *)(const void *)(row0 + x)), v0);
        __m128i b = _mm_mulhi_epi16(_mm_loadu_si128((const __m128i *)(const void *)(row1 + x)), v1);
        __m128i sum = _mm_add_epi16(_mm_add_epi16(a, b), _mm_set1_epi16(2));
        __m256 u8 = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_srai_epi16(sum, 2)));
        _mm256_storeu_ps(dst + x, _mm256_add_ps(_mm256_mul_ps(u8, vs), vb));
    }
    for (; x < n; x++) {
        int u8 = ((row0[x] * w0 >> 16) + (row1[x] * w1 >> 16) + 2) >> 2;
        dst[x] = (float)u8 * scale + bias;
    }
}

static void fill(float *dst, float value, size_t n)
{
    __m256 v = _mm256_set1_ps(value);
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(dst + i, v);
    for (; i < n; i++)
        dst[i] = value;
}

void vly_letterbox_dsp_init_avx2(vly_letterbox_dsp *dsp)
{
    *dsp = (vly_letterbox_dsp){pack, across, down, fill};
}

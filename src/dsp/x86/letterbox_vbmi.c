/* SPDX-License-Identifier: MIT */
/*
 * Four columns in one vector: a quarter for each colour, in it the columns' pairs of words (left,
 * right). vpermb fetches them from the 64 bytes of the row in which the columns lie or, where the
 * picture shrinks by more than 6, from eight bytes of each column.
 */
#include "dsp/letterbox_packed.h"
#include "dsp/x86/letterbox_x86.h"

#include <immintrin.h>
#include <string.h>

enum { WINDOW = 64 };

/* Four columns. */
typedef struct group {
    uint8_t index[4][4];   /* [column]: red of the left pixel, -, of the right one, - */
    int16_t weights[4][2]; /* [column][left, right] */
    uint32_t at[4];        /* where the window begins, or (wide) each column's eight bytes */
} group;
_Static_assert(sizeof(group) / 4 <= VLY_LETTERBOX_GROUP_BYTES, "room in the packed taps");

/* Windows of `bytes` bytes around each group; false when some group does not fit its window. */
static bool pack_groups(group *groups, const vly_letterbox_tap *taps, size_t n, size_t src_bytes,
                        size_t columns, size_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        vly_letterbox_pair p = vly_letterbox_pair_of(&taps[i], src_bytes);
        vly_letterbox_pair first = vly_letterbox_pair_of(&taps[i / columns * columns], src_bytes);
        size_t last = src_bytes - bytes, at = first.left < last ? first.left : last;
        size_t left = p.left - at, in_vector = i % 4 / columns * bytes;
        if (left + 6 > bytes)
            return false;
        group *g = &groups[i / 4];
        g->index[i % 4][0] = (uint8_t)(in_vector + left);
        g->index[i % 4][2] = (uint8_t)(in_vector + left + 3);
        g->weights[i % 4][0] = p.w0;
        g->weights[i % 4][1] = p.w1;
        g->at[i % 4 / columns] = (uint32_t)at;
    }
    return true;
}

static void pack(void *packed, const vly_letterbox_tap *taps, size_t n, size_t src_bytes)
{
    vly_letterbox_header *h = packed;
    group *groups = (group *)(void *)((char *)packed + vly_letterbox_groups_at(n));
    size_t n_grouped = n / 8 * 8;

    vly_letterbox_pack_c(packed, taps, n, src_bytes);
    if (src_bytes < WINDOW)
        return;
    h->is_wide = !pack_groups(groups, taps, n_grouped, src_bytes, 4, WINDOW);
    if (!h->is_wide || pack_groups(groups, taps, n_grouped, src_bytes, 1, 8))
        h->n_grouped = n_grouped;
}

static inline __m512i load_window(const uint8_t *src, const group *g, bool is_wide)
{
    uint64_t v[4];

    if (!is_wide)
        return _mm512_loadu_si512(src + g->at[0]);
    for (int i = 0; i < 4; i++)
        memcpy(&v[i], src + g->at[i], sizeof(v[i]));
    return _mm512_castsi256_si512(
        _mm256_setr_epi64x((int64_t)v[0], (int64_t)v[1], (int64_t)v[2], (int64_t)v[3]));
}

/* r r r r g g g g b b b b - - - - */
static inline __m512i blend_columns(const uint8_t *src, const group *g, bool is_wide)
{
    const __mmask64 even = 0x5555555555555555;
    const __m512i colour = _mm512_setr_epi64(0, 0, 0x0101010101010101, 0x0101010101010101,
                                             0x0202020202020202, 0x0202020202020202, 0, 0);
    __m128i index = _mm_loadu_si128((const __m128i *)(const void *)g->index);
    __m128i weights = _mm_loadu_si128((const __m128i *)(const void *)g->weights);
    __m512i at = _mm512_add_epi8(_mm512_broadcast_i32x4(index), colour);
    __m512i pairs = _mm512_maskz_permutexvar_epi8(even, at, load_window(src, g, is_wide));

    return _mm512_srli_epi32(_mm512_madd_epi16(pairs, _mm512_broadcast_i32x4(weights)), 4);
}

static inline void across_groups(int16_t *dst, size_t plane, const uint8_t *src,
                                 const vly_letterbox_header *h, bool is_wide)
{
    const group *g = vly_letterbox_groups(h);

    for (size_t x = 0; x < h->n_grouped; x += 8, g += 2) {
        __m512i v =
            _mm512_packus_epi32(blend_columns(src, g, is_wide), blend_columns(src, g + 1, is_wide));
        int16_t *to = dst + x;
        _mm_storeu_si128((__m128i *)(void *)to, _mm512_castsi512_si128(v));
        _mm_storeu_si128((__m128i *)(void *)(to + plane), _mm512_extracti32x4_epi32(v, 1));
        _mm_storeu_si128((__m128i *)(void *)(to + 2 * plane), _mm512_extracti32x4_epi32(v, 2));
    }
}

static void across(int16_t *dst, size_t plane, const uint8_t *src, const void *packed)
{
    const vly_letterbox_header *h = packed;

    if (h->is_wide)
        across_groups(dst, plane, src, h, true);
    else
        across_groups(dst, plane, src, h, false);
    vly_letterbox_across_from(dst, plane, src, h, h->n_grouped);
}

static void down(float *dst, const int16_t *row0, const int16_t *row1, int weight, float scale,
                 float bias, size_t n)
{
    __m256i v1 = _mm256_set1_epi16((short)weight);
    __m256i v0 = _mm256_set1_epi16((short)(VLY_LETTERBOX_ONE - weight));
    __m512 vs = _mm512_set1_ps(scale), vb = _mm512_set1_ps(bias);

    for (size_t x = 0; x < n; x += 16) {
        __mmask16 m = n - x < 16 ? (__mmask16)((1u << (n - x)) - 1) : (__mmask16)0xffff;
        __m256i a = _mm256_mulhi_epi16(_mm256_maskz_loadu_epi16(m, row0 + x), v0);
        __m256i b = _mm256_mulhi_epi16(_mm256_maskz_loadu_epi16(m, row1 + x), v1);
        __m256i sum = _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_set1_epi16(2));
        __m512 u8 = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_srai_epi16(sum, 2)));
        _mm512_mask_storeu_ps(dst + x, m, _mm512_add_ps(_mm512_mul_ps(u8, vs), vb));
    }
}

static void fill(float *dst, float value, size_t n)
{
    __m512 v = _mm512_set1_ps(value);

    for (size_t i = 0; i < n; i += 16) {
        __mmask16 m = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : (__mmask16)0xffff;
        _mm512_mask_storeu_ps(dst + i, m, v);
    }
}

void vly_letterbox_dsp_init_vbmi(vly_letterbox_dsp *dsp)
{
    *dsp = (vly_letterbox_dsp){pack, across, down, fill};
}

/* SPDX-License-Identifier: MIT */
/* Table look-up of bytes: vpermi2b reads one of 128 bytes, bit 7 chooses between two of them. */
#include "dsp/x86/image_ops_x86.h"

#include <immintrin.h>

static inline __m512i look_up(__m512i v, const __m512i table[4])
{
    __m512i low = _mm512_permutex2var_epi8(table[0], v, table[1]);
    __m512i high = _mm512_permutex2var_epi8(table[2], v, table[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high);
}

void vly_image_lookup_vbmi(const vly_image *y, const vly_image *x, const uint8_t table[256],
                           int begin, int end)
{
    bool is_dense = y->pixel == y->c && x->pixel == x->c;
    ptrdiff_t count = is_dense ? 1 : y->w, n = is_dense ? (ptrdiff_t)y->w * y->c : y->c;
    __m512i t[4];

    for (size_t i = 0; i < 4; i++)
        t[i] = _mm512_loadu_si512(table + 64 * i);
    for (int i = begin; i < end; i++)
        for (ptrdiff_t k = 0; k < count; k++) {
            const uint8_t *from = vly_image_at(x, i / y->h, i % y->h, k);
            uint8_t *to = vly_image_at(y, i / y->h, i % y->h, k);
            for (ptrdiff_t j = 0; j < n; j += 64) {
                __mmask64 m = n - j < 64 ? ((__mmask64)1 << (n - j)) - 1 : ~(__mmask64)0;
                __m512i v = _mm512_maskz_loadu_epi8(m, from + j);
                _mm512_mask_storeu_epi8(to + j, m, look_up(v, t));
            }
        }
}

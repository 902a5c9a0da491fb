/* SPDX-License-Identifier: MIT */
#include "tasks/rle.h"

void vly_rle_compress(const uint32_t *counts, size_t n, bool is_json, vly_buf *b)
{
    for (size_t i = 0; i < n; i++) {
        int64_t v = i > 2 ? (int64_t)counts[i] - (int64_t)counts[i - 2] : (int64_t)counts[i];
        bool has_more = true;
        while (has_more) {
            int digit = (int)(v & 0x1f);
            v >>= 5; /* arithmetic: the sign stays */
            has_more = (digit & 0x10) != 0 ? v != -1 : v != 0;
            char c = (char)('0' + (has_more ? digit | 0x20 : digit));
            if (c == '\\' && is_json)
                vly_buf_putc(b, c);
            vly_buf_putc(b, c);
        }
    }
}

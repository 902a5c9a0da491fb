/* SPDX-License-Identifier: MIT */
/* The text helpers of base: JSON strings stay valid and bounded, numbers survive a round trip. */
#include "base/assert.h"
#include "base/buf.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_json(vly_str s)
{
    vly_buf once, twice;
    vly_buf_init(&once, VLY_MEM_BASE, 6 * s.len + 2); /* \u00xx is the longest form */
    vly_buf_init(&twice, VLY_MEM_BASE, 12 * s.len + 8);
    vly_buf_json_str(&once, s);
    VLY_ASSERT(!once.failed && once.ptr[0] == '"' && once.ptr[once.len - 1] == '"');
    for (size_t i = 0; i < once.len; i++)
        VLY_ASSERT((unsigned char)once.ptr[i] >= 0x20);
    /* What came out is UTF-8: escaping it again only adds backslashes before " and \. */
    size_t n_escapes = 2;
    for (size_t i = 0; i < once.len; i++)
        n_escapes += once.ptr[i] == '"' || once.ptr[i] == '\\';
    vly_buf_json_str(&twice, vly_buf_str(&once));
    VLY_ASSERT(!twice.failed && twice.len == once.len + n_escapes);
    vly_buf_release(&once);
    vly_buf_release(&twice);
}

static void check_numbers(vly_str s)
{
    char text[32];
    int64_t i, again;
    double d;

    if (vly_str_to_i64(s, &i)) {
        snprintf(text, sizeof(text), "%" PRId64, i);
        VLY_ASSERT(vly_str_to_i64(vly_str_from(text), &again) && again == i);
    }
    if (vly_str_to_f64(s, &d))
        VLY_ASSERT(s.len > 0);
}

static void check_split(vly_str s, char sep)
{
    size_t n_parts = 0, n_bytes = 0, len = s.len;
    while (s.ptr != NULL) {
        n_bytes += vly_str_split(&s, sep).len;
        n_parts++;
    }
    VLY_ASSERT(n_bytes + n_parts == len + 1);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str s = {(const char *)bytes, n};
    check_json(s);
    check_numbers(s);
    check_split(s, ',');
    VLY_ASSERT(vly_str_trim(s).len <= n);
    return 0;
}

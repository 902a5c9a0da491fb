/* SPDX-License-Identifier: MIT */
/* The first byte names the encoding. As a compressed body, whatever comes out keeps to its bounds;
 * as an Accept-Encoding header, some encoding is chosen; as a body, it comes back. */
#include "base/assert.h"
#include "codec/deflate.h"

#define OUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_round_trip(vly_encoding e, vly_str text)
{
    vly_buf packed, plain;

    vly_buf_init(&packed, VLY_MEM_CODEC, 2 * OUT_MAX);
    vly_buf_init(&plain, VLY_MEM_CODEC, text.len); /* exactly enough */
    VLY_ASSERT(vly_deflate(e, &text, 1, &packed, NULL) == VLY_OK);
    VLY_ASSERT(vly_inflate(e, vly_buf_str(&packed), &plain, NULL) == VLY_OK);
    VLY_ASSERT(vly_str_eq(vly_buf_str(&plain), text));
    vly_buf_release(&packed);
    vly_buf_release(&plain);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_err err;
    vly_buf out;

    if (n == 0)
        return 0;
    vly_encoding e = (vly_encoding)(bytes[0] % VLY_ENCODING_N);
    vly_str rest = {(const char *)bytes + 1, n - 1};
    VLY_ASSERT(vly_encoding_choose(rest) < VLY_ENCODING_N);
    vly_buf_init(&out, VLY_MEM_CODEC, OUT_MAX);
    vly_status st = vly_inflate(e, rest, &out, &err);
    VLY_ASSERT(out.len <= OUT_MAX);
    VLY_ASSERT(st == VLY_OK || st == VLY_EFORMAT || st == VLY_ELIMIT);
    vly_buf_release(&out);
    if (rest.len <= OUT_MAX && e != VLY_ENCODING_LZ4)
        check_round_trip(e, rest);
    return 0;
}

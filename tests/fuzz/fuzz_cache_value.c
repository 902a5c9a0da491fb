/* SPDX-License-Identifier: MIT */
/* Values of shared tiers, packed by whom ever; the first byte is the packing. What can be unpacked
 * and packed again comes out the same. */
#include "base/assert.h"
#include "cache/cache_value.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void pack_again(const vly_cache_value *plain, vly_cache_packing how)
{
    vly_cache_value *packed = vly_cache_value_pack(plain, how);
    vly_cache_value *back = packed != NULL ? vly_cache_value_unpack(packed) : NULL;

    VLY_ASSERT(packed == NULL || back != NULL);
    VLY_ASSERT(back == NULL ||
               (back->len == plain->len && memcmp(back->bytes, plain->bytes, plain->len) == 0));
    vly_cache_value_unref(back);
    vly_cache_value_unref(packed);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    vly_str text = {(const char *)bytes + 1, n - 1};
    vly_cache_value *v = vly_cache_value_read(text, bytes[0], 1 << 16);
    vly_cache_value *plain = v != NULL ? vly_cache_value_unpack(v) : NULL;
    if (plain != NULL) {
        VLY_ASSERT(plain->len == v->plain_len);
        pack_again(plain, VLY_CACHE_PACKING_LZ4);
        pack_again(plain, VLY_CACHE_PACKING_ZSTD);
    }
    vly_cache_value_unref(plain);
    vly_cache_value_unref(v);
    return 0;
}

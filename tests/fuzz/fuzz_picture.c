/* SPDX-License-Identifier: MIT */
/* Picture entry: what decodes is what probe announced, within small limits; what does not says why.
 */
#include "base/assert.h"
#include "codec/picture.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static const vly_picture_limits limits = {
    .max_bytes = 1 << 20,
    .max_pixels = 1 << 18,
    .max_dim = 4096,
    .max_memory_bytes = 8 << 20,
};

/* Reads each row, so that AddressSanitizer and MemorySanitizer see what was not written. */
static unsigned sum(const vly_picture *p)
{
    unsigned s = 0;
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t i = 0; i < 3 * p->width; i++)
            s += p->pixels[y * p->stride + i];
    return s;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_picture_info info;
    vly_picture p = {0};
    vly_err err = VLY_ERR_INIT;

    vly_status probed = vly_picture_probe(bytes, n, &limits, &info, &err);
    VLY_ASSERT((probed == VLY_OK) == (err.msg[0] == '\0'));
    if (probed == VLY_OK)
        VLY_ASSERT((uint64_t)info.width * info.height <= limits.max_pixels &&
                   info.orientation >= 1 && info.orientation <= 8);

    vly_status st = vly_picture_decode(bytes, n, &limits, &p, &err);
    VLY_ASSERT(st == VLY_OK || (p.pixels == NULL && strlen(err.msg) > 0));
    if (st == VLY_OK) {
        VLY_ASSERT(probed == VLY_OK && p.width == info.width && p.height == info.height);
        VLY_ASSERT(sum(&p) <= 255u * 3u * p.width * p.height);
    }
    vly_picture_release(&p);
    return 0;
}

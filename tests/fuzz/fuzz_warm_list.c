/* SPDX-License-Identifier: MIT */
/* The warm-up list of the cache: it ends, its lines lie within it and are counted. */
#include "api/cache_warm.h"
#include "base/assert.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str rest = {(const char *)bytes, n};
    vly_cache_warm_line line = {.number = 0};
    size_t n_lines = 1;

    for (size_t i = 0; i < n; i++)
        n_lines += bytes[i] == '\n';
    while (rest.ptr != NULL) {
        size_t before = line.number;
        vly_status st = vly_cache_warm_next(&rest, &line, NULL);
        VLY_ASSERT(line.number > before && line.number <= n_lines);
        VLY_ASSERT((st == VLY_OK) == (line.model.ptr == NULL || line.picture.len > 0));
        VLY_ASSERT(line.model.ptr != NULL || rest.ptr == NULL);
    }
    return 0;
}

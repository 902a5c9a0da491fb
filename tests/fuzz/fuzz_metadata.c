/* SPDX-License-Identifier: MIT */
/* Class names and integers in a model's metadata: any text, bounded memory, sound views. */
#include "base/assert.h"
#include "tasks/metadata.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_names(vly_str text)
{
    const vly_str *names = NULL;
    size_t count = 0;
    size_t sum = 0;
    vly_arena arena;
    vly_err err;

    vly_arena_init(&arena, VLY_MEM_BASE, 4096, (size_t)8 << 20);
    vly_status st = vly_metadata_names(text, &arena, &names, &count, &err);
    if (st == VLY_OK) {
        VLY_ASSERT(count <= VLY_METADATA_NAMES_MAX);
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < names[i].len; k++)
                sum += (unsigned char)names[i].ptr[k]; /* every byte is there to read */
            VLY_ASSERT(names[i].len < text.len);
        }
        VLY_ASSERT(sum <= 255 * text.len);
    } else {
        VLY_ASSERT(names == NULL && err.status == st);
    }
    vly_arena_release(&arena);
}

static void check_ints(vly_str text)
{
    int64_t values[4];
    size_t count;

    if (vly_metadata_ints(text, values, 4, &count, NULL) == VLY_OK)
        VLY_ASSERT(count <= 4);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str text = {(const char *)bytes, n};

    check_names(text);
    check_ints(text);
    return 0;
}

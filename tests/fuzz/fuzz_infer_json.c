/* SPDX-License-Identifier: MIT */
/* A v2 inference request: any bytes, bounded memory, and data that can be read as every type. */
#include "base/assert.h"
#include "codec/infer_json.h"

#define ELEMENTS_MAX 64

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

/* All counts up to a bound, so that the right one is among them. */
static void read_all(const vly_infer_json_input *in)
{
    static const struct {
        vly_infer_json_class class;
        size_t bytes;
    } types[] = {{VLY_INFER_JSON_BOOL, 1},
                 {VLY_INFER_JSON_INT, 1},
                 {VLY_INFER_JSON_INT, 8},
                 {VLY_INFER_JSON_UINT, 4},
                 {VLY_INFER_JSON_FLOAT, 4},
                 {VLY_INFER_JSON_FLOAT, 8},
                 {VLY_INFER_JSON_TEXT, sizeof(vly_str)}};
    vly_str dst[ELEMENTS_MAX];
    vly_err err;

    for (size_t t = 0; t < VLY_COUNT(types); t++) {
        size_t n = 0;
        while (n < ELEMENTS_MAX &&
               vly_infer_json_read(in, types[t].class, types[t].bytes, n, dst, &err) != VLY_OK)
            n++;
        for (size_t i = 0; n < ELEMENTS_MAX && types[t].class == VLY_INFER_JSON_TEXT && i < n; i++)
            VLY_ASSERT(dst[i].ptr != NULL && dst[i].ptr[dst[i].len] == '\0');
    }
}

/* Each element takes a byte of the text at least. */
static void fuzz_samples(vly_str json, const vly_infer_json_limits *limits, vly_arena *arena)
{
    vly_infer_json r = {.doc = NULL};
    vly_infer_json_input samples;
    vly_err err;

    if (vly_infer_json_parse_samples(json, limits, arena, &r, &samples, &err) != VLY_OK) {
        VLY_ASSERT(r.doc == NULL);
        return;
    }
    VLY_ASSERT(vly_infer_json_count(&samples) < json.len);
    read_all(&samples);
    vly_infer_json_release(&r);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    const vly_infer_json_limits limits = {.max_depth = 32, .max_memory_bytes = 1 << 22};
    vly_infer_json r = {.doc = NULL};
    vly_arena arena;
    vly_err err;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 1 << 20);
    if (vly_infer_json_parse((vly_str){(const char *)bytes, n}, &limits, &arena, &r, &err) ==
        VLY_OK) {
        for (size_t i = 0; i < r.n_inputs; i++) {
            VLY_ASSERT(r.inputs[i].rank <= VLY_INFER_JSON_RANK_MAX);
            if (r.inputs[i].data != NULL)
                read_all(&r.inputs[i]);
        }
        vly_infer_json_release(&r);
    } else {
        VLY_ASSERT(r.doc == NULL);
    }
    fuzz_samples((vly_str){(const char *)bytes, n}, &limits, &arena);
    vly_arena_release(&arena);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Bodies of repository requests, and configurations as JSON: what is read stays within the text;
 * a configuration that is written reads back as the same.
 */
#include "base/assert.h"
#include "codec/repository_json.h"
#include "codec/triton_config.h"
#include "codec/triton_config_write.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

#define ARENA_BUDGET ((size_t)1 << 22)

static void check_body(vly_str text)
{
    vly_repository_json r = {.memory = NULL};
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    size_t sum = 0;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, ARENA_BUDGET);
    vly_status st = vly_repository_json_parse(text, &arena, &r, &err);
    VLY_ASSERT(st == err.status && (st == VLY_OK || r.memory == NULL));
    for (size_t i = 0; i < r.n_files; i++)
        sum += r.files[i].name.len + r.files[i].bytes.len;
    VLY_ASSERT(sum <= text.len);
    vly_repository_json_release(&r);
    vly_arena_release(&arena);
}

static void print(const vly_triton_config *c, vly_buf *b)
{
    vly_buf_init(b, VLY_MEM_CODEC, SIZE_MAX);
    vly_triton_config_put_json(c, b);
    VLY_ASSERT(!b->failed);
}

static void check_config(vly_str text, bool is_json)
{
    const vly_triton_config *c = NULL, *again = NULL;
    vly_arena arena;
    vly_buf first, second;

    vly_arena_init(&arena, VLY_MEM_CODEC, 4096, 16 * ARENA_BUDGET);
    vly_status st = is_json ? vly_triton_config_parse_json(text, &arena, &c, NULL)
                            : vly_triton_config_parse(text, &arena, &c, NULL);
    VLY_ASSERT((st == VLY_OK) == (c != NULL));
    if (c != NULL) {
        print(c, &first);
        /* bytes that are not UTF-8 become U+FFFD, so it is what was printed that must come back */
        st = vly_triton_config_parse_json(vly_buf_str(&first), &arena, &again, NULL);
        VLY_ASSERT(st == VLY_OK);
        print(again, &second);
        VLY_ASSERT(vly_str_eq(vly_buf_str(&first), vly_buf_str(&second)));
        vly_buf_release(&first);
        vly_buf_release(&second);
    }
    vly_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str text = {(const char *)bytes, n};

    if (n > 1 << 16)
        return 0;
    check_body(text);
    check_config(text, true);
    check_config(text, false);
    return 0;
}

/* SPDX-License-Identifier: MIT */
#include "codec/json_budget.h"

#include "base/mem.h"

static bool take(vly_json_budget *b, size_t size)
{
    if (size > b->left) {
        b->is_spent = true;
        return false;
    }
    b->left -= size;
    return true;
}

static void *budget_malloc(void *ctx, size_t size)
{
    return take(ctx, size) ? vly_alloc(VLY_MEM_CODEC, size) : NULL;
}

static void *budget_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    return take(ctx, size > old_size ? size - old_size : 0) ? vly_realloc(VLY_MEM_CODEC, ptr, size)
                                                            : NULL;
}

static void budget_free(void *ctx, void *ptr)
{
    (void)ctx;
    vly_free(ptr);
}

yyjson_alc vly_json_budget_alc(vly_json_budget *b)
{
    return (yyjson_alc){budget_malloc, budget_realloc, budget_free, b};
}

bool vly_json_is_deeper(vly_str json, size_t max)
{
    size_t depth = 0;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (c == '"') {
            for (i++; i < json.len && json.ptr[i] != '"'; i++)
                i += json.ptr[i] == '\\';
        } else if (c == '[' || c == '{') {
            if (++depth > max)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

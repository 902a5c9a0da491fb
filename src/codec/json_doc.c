/* SPDX-License-Identifier: MIT */
#include "codec/json_doc.h"

yyjson_val *vly_json_doc_parse(vly_str json, vly_arena *arena, yyjson_read_err *why)
{
    size_t bytes = yyjson_read_max_memory_usage(json.len, YYJSON_READ_NOFLAG);
    void *memory = vly_arena_alloc(arena, bytes);
    yyjson_alc alc;

    *why = (yyjson_read_err){.code = YYJSON_READ_ERROR_MEMORY_ALLOCATION};
    if (memory == NULL)
        return NULL;
    yyjson_alc_pool_init(&alc, memory, bytes);
    /* The cast: without YYJSON_READ_INSITU the text is only read. */
    return yyjson_doc_get_root(
        yyjson_read_opts((char *)(uintptr_t)json.ptr, json.len, YYJSON_READ_NOFLAG, &alc, why));
}

vly_status vly_json_doc_read(vly_str json, vly_arena *arena, yyjson_val **ret, vly_err *err)
{
    return vly_json_doc_read_upto(json, VLY_JSON_DOC_BYTES_MAX, arena, ret, err);
}

vly_status vly_json_doc_read_upto(vly_str json, size_t max, vly_arena *arena, yyjson_val **ret,
                                  vly_err *err)
{
    yyjson_read_err why;

    if (json.len == 0)
        json = VLY_STR("{}");
    if (json.len > max)
        return vly_fail(err, VLY_ELIMIT,
                        "failed to parse the request JSON buffer: expected at most %zu bytes", max);
    yyjson_val *root = vly_json_doc_parse(json, arena, &why);
    if (root == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return vly_arena_fail(arena, err);
    if (root == NULL)
        return vly_fail(err, VLY_EINVAL, "failed to parse the request JSON buffer: %s. at %zu",
                        why.msg, why.pos);
    if (!yyjson_is_obj(root))
        return vly_fail(err, VLY_EINVAL,
                        "failed to parse the request JSON buffer: expected an object, got %s",
                        yyjson_get_type_desc(root));
    *ret = root;
    return VLY_OK;
}

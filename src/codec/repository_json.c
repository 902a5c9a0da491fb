/* SPDX-License-Identifier: MIT */
/* One block of memory holds the document; files are decoded in place, where their text was. */
#include "codec/repository_json.h"

#include "base/mem.h"

#include <string.h>
#include <yyjson.h>

/* yyjson asks for some 3.7 bytes for each byte of a text in which strings are most of it. */
#define MEMORY_BYTES(text_len) ((text_len)*4 + ((size_t)64 << 10))

#define FILE_PREFIX "file:"

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 (RFC 4648) over itself: what comes out is never longer. False: it is not that. */
static bool decode(char *text, size_t len, size_t *ret_len)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned n_bits = 0;

    if (len % 4 != 0)
        return false;
    for (int pad = 0; len > 0 && pad < 2 && text[len - 1] == '='; pad++)
        len--;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            text[n++] = (char)(bits >> n_bits & 0xff);
        }
    }
    *ret_len = n;
    return (bits & ((1U << n_bits) - 1)) == 0;
}

static vly_status bad_type(const char *key, yyjson_val *v, const char *want, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "Unable to parse '%s': expected %s, got %s", key, want,
                    yyjson_get_type_desc(v));
}

static vly_status read_bool(yyjson_val *object, const char *key, bool *ret, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(object, key);

    if (v != NULL && !yyjson_is_bool(v))
        return bad_type(key, v, "a boolean", err);
    if (v != NULL)
        *ret = yyjson_get_bool(v);
    return VLY_OK;
}

static vly_status add_file(vly_str key, yyjson_val *value, vly_repository_file *files,
                           vly_repository_json *r, vly_err *err)
{
    char *text = (char *)(uintptr_t)yyjson_get_str(value); /* of our document, read no more */
    size_t n = 0;

    if (r->n_files == VLY_REPOSITORY_FILES_MAX)
        return vly_fail(err, VLY_ELIMIT, "more than %d files of a model", VLY_REPOSITORY_FILES_MAX);
    if (!decode(text, yyjson_get_len(value), &n))
        return vly_fail(err, VLY_EINVAL, "Unable to decode base64 for '%.*s'", VLY_STR_ARG(key));
    files[r->n_files++] = (vly_repository_file){
        .name = {key.ptr + strlen(FILE_PREFIX), key.len - strlen(FILE_PREFIX)},
        .bytes = {text, n},
    };
    return VLY_OK;
}

static vly_status read_param(yyjson_val *key, vly_repository_file *files, vly_repository_json *r,
                             vly_err *err)
{
    vly_str name = {yyjson_get_str(key), yyjson_get_len(key)};
    yyjson_val *value = yyjson_obj_iter_get_val(key);
    bool is_file = vly_str_starts(name, VLY_STR(FILE_PREFIX));

    if (vly_str_is(name, "unload_dependents"))
        return VLY_OK; /* read apart */
    if (!vly_str_is(name, "config") && !is_file)
        return vly_fail(err, VLY_EINTERNAL, "unexpected error on creating Triton parameter");
    if (!yyjson_is_str(value))
        return bad_type(name.ptr, value, "a string", err);
    if (is_file)
        return add_file(name, value, files, r, err);
    r->config = (vly_str){yyjson_get_str(value), yyjson_get_len(value)};
    return VLY_OK;
}

static vly_status read_params(yyjson_val *params, vly_arena *arena, vly_repository_json *r,
                              vly_err *err)
{
    size_t n = yyjson_obj_size(params);
    yyjson_obj_iter iter;
    yyjson_val *key;

    if (params == NULL)
        return VLY_OK;
    if (!yyjson_is_obj(params))
        return bad_type("parameters", params, "an object", err);
    vly_status st = read_bool(params, "unload_dependents", &r->unload_dependents, err);
    vly_repository_file *files = vly_arena_calloc(
        arena, n < VLY_REPOSITORY_FILES_MAX ? n : VLY_REPOSITORY_FILES_MAX, sizeof(*files));
    if (files == NULL)
        return vly_arena_fail(arena, err);
    r->files = files;
    yyjson_obj_iter_init(params, &iter);
    while (st == VLY_OK && (key = yyjson_obj_iter_next(&iter)) != NULL)
        st = read_param(key, files, r, err);
    return st;
}

static vly_status read_document(vly_str body, void *memory, size_t bytes, yyjson_val **ret,
                                vly_err *err)
{
    yyjson_read_err why;
    yyjson_alc alc;

    yyjson_alc_pool_init(&alc, memory, bytes);
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)body.ptr, body.len, YYJSON_READ_NOFLAG, &alc, &why);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return vly_fail(err, VLY_ELIMIT,
                        "failed to parse the request JSON buffer: it has too many values");
    if (doc == NULL)
        return vly_fail(err, VLY_EINVAL, "failed to parse the request JSON buffer: %s. at %zu",
                        why.msg, why.pos);
    *ret = yyjson_doc_get_root(doc);
    return yyjson_is_obj(*ret) ? VLY_OK : bad_type("body", *ret, "an object", err);
}

vly_status vly_repository_json_parse(vly_str body, vly_arena *arena, vly_repository_json *ret,
                                     vly_err *err)
{
    vly_repository_json r = {.is_ready = false};
    yyjson_val *root = NULL;

    if (body.len == 0) {
        *ret = r;
        return VLY_OK;
    }
    if (body.len > SIZE_MAX / 8)
        return vly_fail(err, VLY_ELIMIT, "a body of %zu bytes is too long", body.len);
    r.memory = vly_alloc(VLY_MEM_CODEC, MEMORY_BYTES(body.len));
    if (r.memory == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the request JSON");
    vly_status st = read_document(body, r.memory, MEMORY_BYTES(body.len), &root, err);
    if (st == VLY_OK)
        st = read_bool(root, "ready", &r.is_ready, err);
    if (st == VLY_OK)
        st = read_params(yyjson_obj_get(root, "parameters"), arena, &r, err);
    if (st == VLY_OK)
        *ret = r;
    else
        vly_repository_json_release(&r);
    return st;
}

void vly_repository_json_release(vly_repository_json *r)
{
    vly_free(r->memory);
    *r = (vly_repository_json){.memory = NULL};
}

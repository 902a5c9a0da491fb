/* SPDX-License-Identifier: MIT */
#include "store/key_file.h"

#include "base/assert.h"
#include "base/mem.h"
#include "codec/json_budget.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX_BYTES ((size_t)8 << 20)
#define JSON_MAX_DEPTH 4
#define MEMORY_BYTES   ((size_t)64 << 20) /* of the document of a file at its limit */
#define VERSION        1

/* ---- what a set holds ---- */

bool vly_key_is_live(const vly_key *key, uint64_t now_ms)
{
    return !key->is_revoked && (key->expires_ms == 0 || now_ms < key->expires_ms);
}

static bool is_name(vly_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return s.len > 0 && s.len <= VLY_KEY_NAME_MAX;
}

static vly_status check_name(vly_str name, vly_err *err)
{
    if (is_name(name))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "name of a key: expected 1 to %d letters, digits, '.', '_' or '-', got '%.*s'",
                    VLY_KEY_NAME_MAX, VLY_STR_ARG(name));
}

vly_key *vly_key_set_find(const vly_key_set *s, vly_str name)
{
    for (size_t i = 0; i < s->n; i++)
        if (vly_str_is(name, s->keys[i].name))
            return &s->keys[i];
    return NULL;
}

vly_status vly_key_set_add(vly_key_set *s, const vly_key *key, uint64_t now_ms, vly_err *err)
{
    vly_status st = check_name(vly_str_from(key->name), err);

    if (st != VLY_OK)
        return st;
    vly_key *old = vly_key_set_find(s, vly_str_from(key->name));
    if (old != NULL && vly_key_is_live(old, now_ms))
        return vly_fail(err, VLY_EEXIST, "key '%s' is there already: revoke it first", key->name);
    if (old != NULL) {
        *old = *key;
        return VLY_OK;
    }
    if (s->n == VLY_KEYS_MAX)
        return vly_fail(err, VLY_ELIMIT, "key '%s': there are %d keys already", key->name,
                        VLY_KEYS_MAX);
    vly_key *grown = vly_realloc(VLY_MEM_STORE, s->keys, (s->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return vly_fail(err, VLY_ENOMEM, "key '%s': out of memory", key->name);
    s->keys = grown;
    s->keys[s->n++] = *key;
    return VLY_OK;
}

void vly_key_set_release(vly_key_set *s)
{
    vly_free(s->keys);
    *s = (vly_key_set){NULL, 0};
}

/* ---- members of a key ---- */

static vly_status bad_member(const char *member, const char *want, vly_err *err)
{
    return vly_fail(err, VLY_EFORMAT, "'%s': expected %s", member, want);
}

static vly_status read_name(yyjson_val *v, vly_key *k, vly_err *err)
{
    vly_str name = {yyjson_get_str(v), yyjson_get_len(v)};

    if (!yyjson_is_str(v) || !is_name(name))
        return bad_member("name", "letters, digits, '.', '_' or '-', at most 63", err);
    memcpy(k->name, name.ptr, name.len);
    return VLY_OK;
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static vly_status read_hash(yyjson_val *v, vly_key *k, vly_err *err)
{
    const char *text = yyjson_get_str(v);

    if (!yyjson_is_str(v) || yyjson_get_len(v) != (size_t)2 * VLY_KEY_HASH_BYTES)
        return bad_member("sha256", "64 hexadecimal digits", err);
    for (size_t i = 0; i < VLY_KEY_HASH_BYTES; i++) {
        int high = hex_of(text[2 * i]), low = hex_of(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return bad_member("sha256", "64 hexadecimal digits, small letters", err);
        k->hash[i] = (unsigned char)(high << 4 | low);
    }
    return VLY_OK;
}

static vly_status read_scope(yyjson_val *v, vly_key *k, vly_err *err)
{
    vly_str name = {yyjson_get_str(v), yyjson_get_len(v)};

    if (!yyjson_is_str(v) || vly_key_scope_parse(name, &k->scope, NULL) != VLY_OK)
        return bad_member("scope", "read, infer or admin", err);
    return VLY_OK;
}

static vly_status read_time(const char *member, yyjson_val *v, uint64_t *ret, vly_err *err)
{
    if (!yyjson_is_uint(v))
        return bad_member(member, "milliseconds since 1970", err);
    *ret = yyjson_get_uint(v);
    return VLY_OK;
}

static vly_status read_created(yyjson_val *v, vly_key *k, vly_err *err)
{
    return read_time("created_ms", v, &k->created_ms, err);
}

static vly_status read_expires(yyjson_val *v, vly_key *k, vly_err *err)
{
    return read_time("expires_ms", v, &k->expires_ms, err);
}

static vly_status read_rate(yyjson_val *v, vly_key *k, vly_err *err)
{
    double rate = yyjson_get_num(v);

    if (!yyjson_is_num(v) || !(rate >= 0 && rate <= 1e9))
        return bad_member("rate", "requests a second, 0 to 1e9", err);
    k->rate = rate;
    return VLY_OK;
}

static vly_status read_count(const char *member, yyjson_val *v, uint32_t *ret, vly_err *err)
{
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) > UINT32_MAX)
        return bad_member(member, "an integer below 2^32", err);
    *ret = (uint32_t)yyjson_get_uint(v);
    return VLY_OK;
}

static vly_status read_burst(yyjson_val *v, vly_key *k, vly_err *err)
{
    return read_count("burst", v, &k->burst, err);
}

static vly_status read_concurrency(yyjson_val *v, vly_key *k, vly_err *err)
{
    return read_count("concurrency", v, &k->concurrency, err);
}

static vly_status read_revoked(yyjson_val *v, vly_key *k, vly_err *err)
{
    if (!yyjson_is_bool(v))
        return bad_member("revoked", "true or false", err);
    k->is_revoked = yyjson_get_bool(v);
    return VLY_OK;
}

static const struct {
    const char *name;
    bool is_needed;
    vly_status (*read)(yyjson_val *v, vly_key *k, vly_err *err);
} members[] = {
    {"name", true, read_name},           {"sha256", true, read_hash},
    {"scope", true, read_scope},         {"created_ms", false, read_created},
    {"expires_ms", false, read_expires}, {"rate", false, read_rate},
    {"burst", false, read_burst},        {"concurrency", false, read_concurrency},
    {"revoked", false, read_revoked},
};

static vly_status read_member(yyjson_val *name, yyjson_val *value, vly_key *k, unsigned *seen,
                              vly_err *err)
{
    for (size_t i = 0; i < VLY_COUNT(members); i++) {
        if (!yyjson_equals_str(name, members[i].name))
            continue;
        if ((*seen & 1U << i) != 0)
            return vly_fail(err, VLY_EFORMAT, "'%s' is there twice", members[i].name);
        *seen |= 1U << i;
        return members[i].read(value, k, err);
    }
    return vly_fail(err, VLY_EFORMAT, "unknown member '%.64s'", yyjson_get_str(name));
}

static vly_status read_key(yyjson_val *object, vly_key *k, vly_err *err)
{
    size_t i, n;
    yyjson_val *name, *value;
    unsigned seen = 0;

    if (!yyjson_is_obj(object))
        return vly_fail(err, VLY_EFORMAT, "expected an object, got %s",
                        yyjson_get_type_desc(object));
    yyjson_obj_foreach(object, i, n, name, value)
    {
        vly_status st = read_member(name, value, k, &seen, err);
        if (st != VLY_OK)
            return st;
    }
    for (size_t m = 0; m < VLY_COUNT(members); m++)
        if (members[m].is_needed && (seen & 1U << m) == 0)
            return vly_fail(err, VLY_EFORMAT, "'%s' is missing", members[m].name);
    return VLY_OK;
}

/* ---- the document ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const vly_key *)a)->name, ((const vly_key *)b)->name);
}

static int by_hash(const void *a, const void *b)
{
    return memcmp(((const vly_key *)a)->hash, ((const vly_key *)b)->hash, VLY_KEY_HASH_BYTES);
}

/* Sorted by one and by the other, what is there twice stands side by side. */
static vly_status check_unique(const vly_key_set *s, vly_err *err)
{
    vly_key *copy = vly_calloc(VLY_MEM_STORE, s->n + 1, sizeof(*copy));
    vly_status st = VLY_OK;

    if (copy == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the keys");
    if (s->n > 0)
        memcpy(copy, s->keys, s->n * sizeof(*copy));
    qsort(copy, s->n, sizeof(*copy), by_name);
    for (size_t i = 1; i < s->n && st == VLY_OK; i++)
        if (by_name(&copy[i - 1], &copy[i]) == 0)
            st = vly_fail(err, VLY_EFORMAT, "two keys are named '%s'", copy[i].name);
    qsort(copy, s->n, sizeof(*copy), by_hash);
    for (size_t i = 1; i < s->n && st == VLY_OK; i++)
        if (by_hash(&copy[i - 1], &copy[i]) == 0)
            st = vly_fail(err, VLY_EFORMAT, "keys '%s' and '%s' are the same", copy[i - 1].name,
                          copy[i].name);
    vly_free(copy);
    return st;
}

static vly_status read_keys(yyjson_val *array, vly_key_set *s, vly_err *err)
{
    size_t i, n;
    yyjson_val *item;

    if (!yyjson_is_arr(array))
        return bad_member("keys", "an array", err);
    if (yyjson_arr_size(array) > VLY_KEYS_MAX)
        return vly_fail(err, VLY_ELIMIT, "'keys': expected at most %d, got %zu", VLY_KEYS_MAX,
                        yyjson_arr_size(array));
    s->keys = vly_calloc(VLY_MEM_STORE, yyjson_arr_size(array) + 1, sizeof(*s->keys));
    if (s->keys == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the keys");
    yyjson_arr_foreach(array, i, n, item)
    {
        vly_status st = read_key(item, &s->keys[i], err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "key %zu", i + 1);
        s->n++;
    }
    return check_unique(s, err);
}

static vly_status read_root(yyjson_val *root, vly_key_set *s, vly_err *err)
{
    yyjson_val *version = yyjson_obj_get(root, "version");

    if (!yyjson_is_obj(root) || yyjson_obj_size(root) != 2 || !yyjson_is_uint(version))
        return vly_fail(err, VLY_EFORMAT, "expected an object with 'version' and 'keys'");
    if (yyjson_get_uint(version) != VERSION)
        return vly_fail(err, VLY_EFORMAT, "'version': expected %d, got %llu", VERSION,
                        (unsigned long long)yyjson_get_uint(version));
    return read_keys(yyjson_obj_get(root, "keys"), s, err);
}

vly_status vly_key_set_parse(vly_str json, vly_key_set *ret, vly_err *err)
{
    vly_json_budget budget = {.left = MEMORY_BYTES};
    const yyjson_alc alc = vly_json_budget_alc(&budget);
    vly_key_set s = {NULL, 0};
    yyjson_read_err why = {0};

    if (json.len > FILE_MAX_BYTES || vly_json_is_deeper(json, JSON_MAX_DEPTH))
        return vly_fail(err, VLY_ELIMIT, "expected at most %zu bytes, %d levels deep",
                        FILE_MAX_BYTES, JSON_MAX_DEPTH);
    /* The cast: without YYJSON_READ_INSITU the text is only read. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)json.ptr, json.len, YYJSON_READ_NOFLAG, &alc, &why);
    if (doc == NULL)
        return vly_fail(err, VLY_EFORMAT, "%s, at byte %zu", why.msg, why.pos);
    vly_status st = read_root(yyjson_doc_get_root(doc), &s, err);
    yyjson_doc_free(doc);
    if (st == VLY_OK)
        *ret = s;
    else
        vly_key_set_release(&s);
    return st;
}

static void print_key(const vly_key *k, vly_buf *out)
{
    vly_buf_printf(out, "{\"name\":\"%s\",\"sha256\":\"", k->name);
    for (size_t i = 0; i < VLY_KEY_HASH_BYTES; i++)
        vly_buf_printf(out, "%02x", k->hash[i]);
    vly_buf_printf(out,
                   "\",\"scope\":\"%s\",\"created_ms\":%llu,\"expires_ms\":%llu,"
                   "\"rate\":%.17g,\"burst\":%u,\"concurrency\":%u,\"revoked\":%s}",
                   vly_key_scope_name(k->scope), (unsigned long long)k->created_ms,
                   (unsigned long long)k->expires_ms, k->rate, k->burst, k->concurrency,
                   k->is_revoked ? "true" : "false");
}

void vly_key_set_print(const vly_key_set *s, vly_buf *out)
{
    vly_buf_printf(out, "{\"version\":%d,\"keys\":[", VERSION);
    for (size_t i = 0; i < s->n; i++) {
        vly_buf_puts(out, i > 0 ? ",\n" : "\n");
        print_key(&s->keys[i], out);
    }
    vly_buf_puts(out, "\n]}\n");
}

/* ---- the file ---- */

vly_status vly_key_file_read(const char *path, vly_key_set *ret, vly_err *err)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_STORE, FILE_MAX_BYTES + 1);
    vly_status st = vly_file_read(path, FILE_MAX_BYTES, &text, err);
    if (st == VLY_OK) {
        st = vly_key_set_parse(vly_buf_str(&text), ret, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&text);
    return st;
}

static vly_status write_set(const char *path, const vly_key_set *s, vly_err *err)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_STORE, FILE_MAX_BYTES);
    vly_key_set_print(s, &text);
    vly_status st = text.failed ? vly_fail(err, VLY_ENOMEM, "'%s': out of memory", path)
                                : vly_file_write_private(path, text.ptr, text.len, err);
    vly_buf_release(&text);
    return st;
}

vly_status vly_key_file_edit(const char *path, vly_key_edit_fn edit, void *ctx, vly_err *err)
{
    vly_key_set s = {NULL, 0};
    int fd = -1;
    vly_status st = vly_file_lock(path, -1, &fd, err);

    if (st != VLY_OK)
        return st;
    st = vly_key_file_read(path, &s, err);
    if (st == VLY_OK || st == VLY_ENOTFOUND)
        st = edit(ctx, &s, err);
    if (st == VLY_OK)
        st = write_set(path, &s, err);
    vly_key_set_release(&s);
    close(fd); /* and so unlocks */
    return st;
}

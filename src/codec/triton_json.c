/* SPDX-License-Identifier: MIT */
/*
 * JSON -> the tree that config.pbtxt gives, by the schema: an array becomes a repeated field, an
 * object of a map field becomes its entries. What a value must be is then checked in one place.
 */
#include "codec/triton_config.h"
#include "codec/triton_schema.h"
#include "codec/triton_tree.h"

#include <string.h>
#include <yyjson.h>

/* An object whose members wait to become the fields of a message. */
typedef struct task {
    struct task *next;
    const vly_tschema *schema;
    yyjson_val *object;
    vly_pbtxt *message;
    const char *path; /* "input." */
} task;

typedef struct reader {
    vly_arena *arena;
    vly_err *err;
    task *todo;
} reader;

/* Appends a field to the message that *end is the end of. */
static vly_pbtxt *add_field(reader *r, const char *name, const vly_pbtxt ***end)
{
    vly_pbtxt *f = vly_arena_calloc(r->arena, 1, sizeof(*f));

    if (f == NULL)
        return NULL;
    f->name = vly_str_from(name);
    **end = f;
    *end = &f->next;
    return f;
}

static vly_status add_task(reader *r, const task *parent, const vly_tschema *schema,
                           yyjson_val *object, vly_pbtxt *message)
{
    task *t = vly_arena_calloc(r->arena, 1, sizeof(*t));
    const char *path =
        vly_arena_printf(r->arena, "%s%.*s.", parent->path, VLY_STR_ARG(message->name));

    if (t == NULL || path == NULL)
        return vly_arena_fail(r->arena, r->err);
    message->kind = VLY_PBTXT_MESSAGE;
    *t = (task){
        .next = r->todo, .schema = schema, .object = object, .message = message, .path = path};
    r->todo = t;
    return VLY_OK;
}

/* ---- single values ---- */

static vly_status set_text(reader *r, vly_pbtxt *f, vly_pbtxt_kind kind, vly_str text)
{
    f->kind = kind;
    f->is_negative = kind == VLY_PBTXT_NUMBER && text.len > 0 && text.ptr[0] == '-';
    if (f->is_negative) {
        text.ptr++;
        text.len--;
    }
    char *copy = vly_arena_strdup(r->arena, text);
    if (copy == NULL)
        return vly_arena_fail(r->arena, r->err);
    f->text = (vly_str){copy, text.len};
    return VLY_OK;
}

static bool is_upper_case(vly_tfield_kind kind)
{
    return kind == VLY_TFIELD_ENUM || kind == VLY_TFIELD_TYPE;
}

/* What a JSON string stands for: 64-bit integers, infinities and enumerators are written so, the
 * last in any case. */
static vly_status set_string(reader *r, const vly_tfield *field, vly_pbtxt *f, vly_str text)
{
    bool is_number =
        text.len > 0 && (text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9'));

    if (field->kind == VLY_TFIELD_STR || field->kind == VLY_TFIELD_BOOL)
        return set_text(r, f, VLY_PBTXT_STRING, text);
    vly_status st = set_text(r, f, is_number ? VLY_PBTXT_NUMBER : VLY_PBTXT_IDENT, text);
    if (st != VLY_OK || !is_upper_case(field->kind) || is_number)
        return st;
    char *upper = vly_arena_strdup(r->arena, text);
    if (upper == NULL)
        return vly_arena_fail(r->arena, r->err);
    for (size_t i = 0; i < text.len; i++)
        if (upper[i] >= 'a' && upper[i] <= 'z')
            upper[i] = (char)(upper[i] - 'a' + 'A');
    f->text = (vly_str){upper, text.len};
    return VLY_OK;
}

static vly_status set_value(reader *r, const task *t, const vly_tfield *field, yyjson_val *value,
                            vly_pbtxt *f)
{
    vly_str text = {yyjson_get_str(value), yyjson_get_len(value)};

    if (field->kind == VLY_TFIELD_MESSAGE && yyjson_is_obj(value))
        return add_task(r, t, field->child, value, f);
    if (yyjson_is_str(value))
        return set_string(r, field, f, text);
    if (yyjson_is_bool(value))
        return set_text(r, f, VLY_PBTXT_IDENT,
                        yyjson_get_bool(value) ? VLY_STR("true") : VLY_STR("false"));
    if (yyjson_is_raw(value))
        return set_text(r, f, VLY_PBTXT_NUMBER,
                        (vly_str){yyjson_get_raw(value), yyjson_get_len(value)});
    return vly_fail(r->err, VLY_EFORMAT, "'%s%s': not a value of this field", t->path, field->name);
}

/* ---- lists and maps ---- */

static vly_status add_list(reader *r, const task *t, const vly_tfield *field, yyjson_val *list,
                           const vly_pbtxt ***end)
{
    vly_status st = VLY_OK;
    yyjson_arr_iter iter;
    yyjson_val *value;

    if (!yyjson_is_arr(list))
        return vly_fail(r->err, VLY_EFORMAT, "'%s%s': expected an array", t->path, field->name);
    yyjson_arr_iter_init(list, &iter);
    while (st == VLY_OK && (value = yyjson_arr_iter_next(&iter)) != NULL) {
        vly_pbtxt *f = add_field(r, field->name, end);
        st = f != NULL ? set_value(r, t, field, value, f) : vly_arena_fail(r->arena, r->err);
    }
    return st;
}

/* {"k": v} -> { key: k value: v } */
static vly_status add_entry(reader *r, const task *t, const vly_tfield *field, yyjson_val *key,
                            const vly_pbtxt ***end)
{
    const vly_tfield *fields = field->child->fields;
    vly_pbtxt *entry = add_field(r, field->name, end);
    vly_status st = VLY_OK;

    if (entry == NULL)
        return vly_arena_fail(r->arena, r->err);
    entry->kind = VLY_PBTXT_MESSAGE;
    const vly_pbtxt **inner = &entry->first;
    yyjson_val *values[2] = {key, yyjson_obj_iter_get_val(key)};
    for (size_t i = 0; i < 2 && st == VLY_OK; i++) {
        vly_pbtxt *f = add_field(r, fields[i].name, &inner);
        st = f != NULL ? set_value(r, t, &fields[i], values[i], f)
                       : vly_arena_fail(r->arena, r->err);
    }
    return st;
}

static vly_status add_map(reader *r, const task *t, const vly_tfield *field, yyjson_val *map,
                          const vly_pbtxt ***end)
{
    vly_status st = VLY_OK;
    yyjson_obj_iter iter;
    yyjson_val *key;

    if (!yyjson_is_obj(map))
        return vly_fail(r->err, VLY_EFORMAT, "'%s%s': expected an object", t->path, field->name);
    yyjson_obj_iter_init(map, &iter);
    while (st == VLY_OK && (key = yyjson_obj_iter_next(&iter)) != NULL)
        st = add_entry(r, t, field, key, end);
    return st;
}

/* ---- messages ---- */

/* "max_batch_size", or "maxBatchSize". */
static bool is_name_of(const vly_tfield *field, vly_str name)
{
    vly_str want = vly_str_from(field->name);
    size_t n = 0;

    if (vly_str_eq(name, want))
        return true;
    for (size_t i = 0; i < want.len; i++, n++) {
        char c = want.ptr[i];
        if (c == '_' && i + 1 < want.len) {
            c = want.ptr[++i];
            c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        }
        if (n >= name.len || name.ptr[n] != c)
            return false;
    }
    return n == name.len;
}

static vly_status add_member(reader *r, const task *t, yyjson_val *key, const vly_pbtxt ***end)
{
    vly_str name = {yyjson_get_str(key), yyjson_get_len(key)};
    yyjson_val *value = yyjson_obj_iter_get_val(key);

    for (size_t i = 0; i < t->schema->n_fields; i++) {
        const vly_tfield *field = &t->schema->fields[i];
        if (!is_name_of(field, name))
            continue;
        if (yyjson_is_null(value))
            return VLY_OK; /* not given */
        if (field->count == VLY_TFIELD_LIST)
            return add_list(r, t, field, value, end);
        if (field->count == VLY_TFIELD_MAP)
            return add_map(r, t, field, value, end);
        vly_pbtxt *f = add_field(r, field->name, end);
        return f != NULL ? set_value(r, t, field, value, f) : vly_arena_fail(r->arena, r->err);
    }
    return vly_fail(r->err, VLY_EFORMAT, "%s%.*s: Cannot find field.", t->path, VLY_STR_ARG(name));
}

static vly_status run_tasks(reader *r)
{
    while (r->todo != NULL) {
        const task *t = r->todo;
        const vly_pbtxt **end = &t->message->first;
        yyjson_obj_iter iter;
        yyjson_val *key;
        r->todo = t->next;
        yyjson_obj_iter_init(t->object, &iter);
        while ((key = yyjson_obj_iter_next(&iter)) != NULL) {
            vly_status st = add_member(r, t, key, &end);
            if (st != VLY_OK)
                return st;
        }
    }
    return VLY_OK;
}

vly_status vly_triton_config_parse_json(vly_str text, vly_arena *arena,
                                        const vly_triton_config **ret, vly_err *err)
{
    reader r = {.arena = arena, .err = err};
    vly_pbtxt root = {.kind = VLY_PBTXT_MESSAGE};
    yyjson_read_err why;
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len,
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, &why);

    if (doc == NULL)
        return vly_fail(
            err, why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? VLY_ENOMEM : VLY_EFORMAT,
            "failed to parse the configuration as JSON at byte %zu: %s", why.pos, why.msg);
    task first = {.schema = &vly_tschema_config,
                  .object = yyjson_doc_get_root(doc),
                  .message = &root,
                  .path = ""};
    r.todo = &first;
    vly_status st = VLY_OK;
    if (!yyjson_is_obj(first.object))
        st = vly_fail(err, VLY_EFORMAT, "expected a configuration as a JSON object");
    if (st == VLY_OK)
        st = run_tasks(&r);
    yyjson_doc_free(doc);
    return st == VLY_OK ? vly_triton_tree_read(&root, arena, ret, err) : st;
}

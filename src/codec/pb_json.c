/* SPDX-License-Identifier: MIT */
/* One frame for each open message, list of messages or map; the schema's depth bounds the stack. */
#include "codec/pb_json.h"

#include "codec/pb_schema.h"
#include "codec/pbwire.h"

#include <yyjson.h>

#define DEPTH_MAX 24

typedef enum frame_kind { FRAME_MESSAGE, FRAME_LIST, FRAME_MAP } frame_kind;

typedef struct frame {
    frame_kind kind;
    vly_str message;           /* MESSAGE: its descriptor; MAP: that of its entries */
    vly_pb_schema_field field; /* LIST, MAP */
    yyjson_obj_iter members;   /* MESSAGE, MAP */
    yyjson_arr_iter items;     /* LIST */
    size_t marks[2];           /* MESSAGE: of vly_pb_open, innermost first; 0: none */
} frame;

typedef struct writer {
    vly_str set;
    vly_buf *out;
    vly_str key; /* of the member in work, for errors */
    size_t depth;
    frame stack[DEPTH_MAX];
} writer;

static void *json_malloc(void *ctx, size_t size)
{
    (void)ctx;
    return vly_alloc(VLY_MEM_CODEC, size);
}

static void *json_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    (void)ctx;
    (void)old_size;
    return vly_realloc(VLY_MEM_CODEC, ptr, size);
}

static void json_free(void *ctx, void *ptr)
{
    (void)ctx;
    vly_free(ptr);
}

static vly_status push(writer *w, const frame *f, vly_err *err)
{
    if (w->depth == DEPTH_MAX)
        return vly_fail(err, VLY_ELIMIT, "nested deeper than %d", DEPTH_MAX);
    w->stack[w->depth++] = *f;
    return VLY_OK;
}

static vly_str str_of(yyjson_val *v)
{
    return (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
}

static vly_status bad_value(yyjson_val *v, vly_err *err)
{
    return vly_fail(err, VLY_EINVAL, "a value of another type was expected than %s",
                    yyjson_get_type_desc(v));
}

/* The bits of a varint. */
static bool to_integer(const writer *w, const vly_pb_schema_field *f, yyjson_val *v, uint64_t *ret)
{
    int64_t negative;

    if (f->type == VLY_PB_TYPE_BOOL) {
        *ret = yyjson_get_bool(v);
        return yyjson_is_bool(v);
    }
    if (yyjson_is_int(v)) {
        *ret = yyjson_get_uint(v); /* of a negative one: its two's complement */
        return true;
    }
    if (!yyjson_is_str(v))
        return false;
    if (f->type == VLY_PB_TYPE_ENUM)
        return vly_pb_schema_enum_value(w->set, f->type_name, str_of(v), ret);
    if (vly_str_to_u64(str_of(v), ret))
        return true;
    if (!vly_str_to_i64(str_of(v), &negative))
        return false;
    *ret = (uint64_t)negative;
    return true;
}

/* wants_zero: in oneofs, lists and maps; elsewhere proto3 leaves out what is zero or empty. */
static vly_status put_scalar(writer *w, const vly_pb_schema_field *f, yyjson_val *v,
                             bool wants_zero, vly_err *err)
{
    uint32_t number = (uint32_t)f->number;
    uint64_t integer;

    if (f->type == VLY_PB_TYPE_STRING) {
        if (!yyjson_is_str(v))
            return bad_value(v, err);
        if (wants_zero || yyjson_get_len(v) > 0)
            vly_pb_put_bytes(w->out, number, str_of(v));
        return VLY_OK;
    }
    if (f->type == VLY_PB_TYPE_DOUBLE || f->type == VLY_PB_TYPE_FLOAT) {
        double real = yyjson_get_num(v);
        if (!yyjson_is_num(v))
            return bad_value(v, err);
        if (!wants_zero && real == 0)
            return VLY_OK;
        if (f->type == VLY_PB_TYPE_DOUBLE)
            vly_pb_put_double(w->out, number, real);
        else
            vly_pb_put_float(w->out, number, (float)real);
        return VLY_OK;
    }
    if (!to_integer(w, f, v, &integer))
        return bad_value(v, err);
    if (wants_zero || integer != 0)
        vly_pb_put_varint(w->out, number, integer);
    return VLY_OK;
}

static vly_status open_message(writer *w, const vly_pb_schema_field *f, yyjson_val *v,
                               size_t outer_mark, vly_err *err)
{
    frame m = {.kind = FRAME_MESSAGE};

    if (!yyjson_is_obj(v) || !vly_pb_schema_message(w->set, f->type_name, &m.message))
        return bad_value(v, err);
    m.members = yyjson_obj_iter_with(v);
    m.marks[0] = vly_pb_open(w->out, (uint32_t)f->number);
    m.marks[1] = outer_mark;
    return push(w, &m, err);
}

static bool is_packed(const vly_pb_schema_field *f)
{
    return f->type != VLY_PB_TYPE_STRING && f->type != VLY_PB_TYPE_MESSAGE;
}

static void put_packed_real(writer *w, const vly_pb_schema_field *f, double real)
{
    float single = (float)real;

    if (f->type == VLY_PB_TYPE_DOUBLE)
        vly_buf_add(w->out, &real, sizeof(real));
    else
        vly_buf_add(w->out, &single, sizeof(single));
}

static vly_status put_packed(writer *w, const vly_pb_schema_field *f, yyjson_val *list,
                             vly_err *err)
{
    bool is_real = f->type == VLY_PB_TYPE_DOUBLE || f->type == VLY_PB_TYPE_FLOAT;
    yyjson_arr_iter items = yyjson_arr_iter_with(list);
    uint64_t integer;
    yyjson_val *v;

    if (yyjson_arr_size(list) == 0)
        return VLY_OK;
    size_t mark = vly_pb_open(w->out, (uint32_t)f->number);
    while ((v = yyjson_arr_iter_next(&items)) != NULL) {
        if (is_real ? !yyjson_is_num(v) : !to_integer(w, f, v, &integer))
            return bad_value(v, err);
        if (is_real)
            put_packed_real(w, f, yyjson_get_num(v));
        else
            vly_pb_put_raw_varint(w->out, integer);
    }
    vly_pb_close(w->out, mark);
    return VLY_OK;
}

static vly_status put_repeated(writer *w, const vly_pb_schema_field *f, yyjson_val *v, vly_err *err)
{
    frame next = {.kind = FRAME_LIST, .field = *f};

    if (f->type == VLY_PB_TYPE_MESSAGE &&
        vly_pb_schema_message(w->set, f->type_name, &next.message) &&
        vly_pb_schema_is_map_entry(next.message)) {
        if (!yyjson_is_obj(v))
            return bad_value(v, err);
        next.kind = FRAME_MAP;
        next.members = yyjson_obj_iter_with(v);
        return push(w, &next, err);
    }
    if (!yyjson_is_arr(v))
        return bad_value(v, err);
    if (is_packed(f))
        return put_packed(w, f, v, err);
    next.items = yyjson_arr_iter_with(v);
    return push(w, &next, err);
}

static vly_status step_message(writer *w, vly_err *err)
{
    frame *f = &w->stack[w->depth - 1];
    yyjson_val *key = yyjson_obj_iter_next(&f->members);
    vly_pb_schema_field field;

    if (key == NULL) {
        for (size_t i = 0; i < 2 && f->marks[i] > 0; i++)
            vly_pb_close(w->out, f->marks[i]);
        w->depth--;
        return VLY_OK;
    }
    yyjson_val *v = yyjson_obj_iter_get_val(key);
    w->key = str_of(key);
    if (!vly_pb_schema_field_of(f->message, str_of(key), &field))
        return vly_fail(err, VLY_EINVAL, "unknown field");
    if (yyjson_is_null(v))
        return VLY_OK;
    if (field.is_repeated)
        return put_repeated(w, &field, v, err);
    if (field.type == VLY_PB_TYPE_MESSAGE)
        return open_message(w, &field, v, 0, err);
    return put_scalar(w, &field, v, field.is_in_oneof, err);
}

static vly_status step_list(writer *w, vly_err *err)
{
    frame *f = &w->stack[w->depth - 1];
    yyjson_val *v = yyjson_arr_iter_next(&f->items);

    if (v == NULL) {
        w->depth--;
        return VLY_OK;
    }
    if (f->field.type == VLY_PB_TYPE_MESSAGE)
        return open_message(w, &f->field, v, 0, err);
    return put_scalar(w, &f->field, v, true, err);
}

static vly_status step_map(writer *w, vly_err *err)
{
    frame *f = &w->stack[w->depth - 1];
    yyjson_val *key = yyjson_obj_iter_next(&f->members);
    vly_pb_schema_field k, v;

    if (key == NULL) {
        w->depth--;
        return VLY_OK;
    }
    if (!vly_pb_schema_field_of(f->message, VLY_STR("key"), &k) ||
        !vly_pb_schema_field_of(f->message, VLY_STR("value"), &v))
        return vly_fail(err, VLY_EINTERNAL, "a map without key or value");
    size_t mark = vly_pb_open(w->out, (uint32_t)f->field.number);
    vly_status st = put_scalar(w, &k, key, true, err);
    if (st != VLY_OK)
        return st;
    if (v.type == VLY_PB_TYPE_MESSAGE)
        return open_message(w, &v, yyjson_obj_iter_get_val(key), mark, err);
    st = put_scalar(w, &v, yyjson_obj_iter_get_val(key), true, err);
    if (st == VLY_OK)
        vly_pb_close(w->out, mark);
    return st;
}

static vly_status step(writer *w, vly_err *err)
{
    switch (w->stack[w->depth - 1].kind) {
    case FRAME_MESSAGE:
        return step_message(w, err);
    case FRAME_LIST:
        return step_list(w, err);
    case FRAME_MAP:
        return step_map(w, err);
    }
    return VLY_EINTERNAL;
}

static vly_status write_root(writer *w, const char *type, yyjson_val *root, vly_err *err)
{
    frame *top = &w->stack[0];
    vly_status st = VLY_OK;

    if (!yyjson_is_obj(root))
        return bad_value(root, err);
    if (!vly_pb_schema_message(w->set, vly_str_from(type), &top->message))
        return vly_fail(err, VLY_EINTERNAL, "no message '%s'", type);
    top->kind = FRAME_MESSAGE;
    top->members = yyjson_obj_iter_with(root);
    for (w->depth = 1; w->depth > 0 && st == VLY_OK;)
        st = step(w, err);
    return st;
}

vly_status vly_pb_from_json(vly_str set, const char *type, vly_str json, vly_buf *out, vly_err *err)
{
    const yyjson_alc alc = {json_malloc, json_realloc, json_free, NULL};
    writer w = {.set = set, .out = out};
    yyjson_read_err why = {0};

    /* The cast: without YYJSON_READ_INSITU the text is only read. */
    char *text = (char *)(uintptr_t)(json.ptr != NULL ? json.ptr : "");
    yyjson_doc *doc = yyjson_read_opts(text, json.len, YYJSON_READ_NOFLAG, &alc, &why);
    if (doc == NULL)
        return vly_fail(err,
                        why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? VLY_ENOMEM : VLY_EINVAL,
                        "%s at %zu", why.msg, why.pos);
    vly_status st = write_root(&w, type, yyjson_doc_get_root(doc), err);
    if (st != VLY_OK)
        st = vly_fail_in(err, st, "%s: '%.*s'", type, VLY_STR_ARG(w.key));
    yyjson_doc_free(doc);
    if (st == VLY_OK && out->failed)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the answer");
    return st;
}

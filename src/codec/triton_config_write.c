/* SPDX-License-Identifier: MIT */
/* Recursion follows the schema, which is some six messages deep, never outside data. */
#include "codec/triton_config_write.h"

#include "base/float_text.h"
#include "codec/triton_schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_message(vly_buf *b, const vly_tschema *schema, const char *at);

/* ---- values ---- */

static void put_f64(vly_buf *b, const vly_tfield *field, const char *at)
{
    char text[32];
    double v;

    memcpy(&v, at, sizeof(v));
    if (isnan(v)) {
        vly_buf_puts(b, "\"NaN\"");
    } else if (isinf(v)) {
        vly_buf_puts(b, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else if (field->kind == VLY_TFIELD_FLOAT && fabs(v) <= (double)3.4028234e38F) {
        vly_f32_text((float)v, text);
        vly_buf_puts(b, text);
    } else {
        int precision = 15;
        double back;
        do
            snprintf(text, sizeof(text), "%.*g", precision, v);
        while (precision++ < 17 &&
               (!vly_str_to_f64(vly_str_from(text), &back) || back < v || back > v));
        vly_buf_puts(b, text);
    }
}

static void put_int(vly_buf *b, const vly_tfield *field, const char *at)
{
    int64_t v;
    uint64_t u;

    memcpy(&v, at, sizeof(v));
    memcpy(&u, at, sizeof(u));
    if (field->kind == VLY_TFIELD_UINT64)
        vly_buf_printf(b, "%llu", (unsigned long long)u);
    else
        vly_buf_printf(b, "%lld", (long long)v);
}

static void put_str(vly_buf *b, const char *at)
{
    vly_str s;

    memcpy(&s, at, sizeof(s));
    vly_buf_json_str(b, s);
}

static void put_type(vly_buf *b, const char *at)
{
    vly_str s;

    memcpy(&s, at, sizeof(s));
    vly_buf_printf(b, "\"%s\"", vly_triton_type_names[vly_triton_type_number(s)]);
}

static void put_enum(vly_buf *b, const vly_tfield *field, const char *at)
{
    unsigned v;

    memcpy(&v, at, sizeof(v));
    vly_buf_printf(b, "\"%s\"", field->names[v]);
}

static void put_bool(vly_buf *b, const char *at)
{
    bool v;

    memcpy(&v, at, sizeof(v));
    vly_buf_puts(b, v ? "true" : "false");
}

/* at: of the value itself, also of a message. */
static void put_value(vly_buf *b, const vly_tfield *field, const char *at)
{
    switch (field->kind) {
    case VLY_TFIELD_STR:
        put_str(b, at);
        break;
    case VLY_TFIELD_BOOL:
        put_bool(b, at);
        break;
    case VLY_TFIELD_INT32:
    case VLY_TFIELD_UINT32:
    case VLY_TFIELD_INT64:
    case VLY_TFIELD_UINT64:
        put_int(b, field, at);
        break;
    case VLY_TFIELD_FLOAT:
    case VLY_TFIELD_DOUBLE:
        put_f64(b, field, at);
        break;
    case VLY_TFIELD_ENUM:
        put_enum(b, field, at);
        break;
    case VLY_TFIELD_TYPE:
        put_type(b, at);
        break;
    case VLY_TFIELD_MESSAGE:
        put_message(b, field->child, at);
        break;
    }
}

/* ---- lists and maps ---- */

/* The key of a map's entry: JSON has only strings there. */
static void put_key(vly_buf *b, const vly_tfield *key, const char *entry)
{
    if (key->kind == VLY_TFIELD_STR) {
        put_str(b, entry + key->offset);
        return;
    }
    vly_buf_putc(b, '"');
    put_value(b, key, entry + key->offset);
    vly_buf_putc(b, '"');
}

static bool has_key(const vly_tfield *key, const char *a, const char *b)
{
    vly_str x, y;

    if (key->kind != VLY_TFIELD_STR)
        return memcmp(a + key->offset, b + key->offset, vly_tfield_bytes(key)) == 0;
    memcpy(&x, a + key->offset, sizeof(x));
    memcpy(&y, b + key->offset, sizeof(y));
    return vly_str_eq(x, y);
}

/* Of entries with one key the last one counts, as protobuf has it. */
static void put_map(vly_buf *b, const vly_tfield *field, const char *list, size_t n)
{
    const vly_tfield *fields = field->child->fields;
    size_t bytes = field->child->bytes;
    bool is_first = true;

    vly_buf_putc(b, '{');
    for (size_t i = 0; i < n; i++) {
        const char *entry = list + i * bytes;
        bool is_replaced = false;
        for (size_t k = i + 1; k < n && !is_replaced; k++)
            is_replaced = has_key(&fields[0], entry, list + k * bytes);
        if (is_replaced)
            continue;
        vly_buf_puts(b, is_first ? "" : ",");
        is_first = false;
        put_key(b, &fields[0], entry);
        vly_buf_putc(b, ':');
        put_value(b, &fields[1], entry + fields[1].offset);
    }
    vly_buf_putc(b, '}');
}

static void put_list(vly_buf *b, const vly_tfield *field, const char *list, size_t n)
{
    size_t bytes = vly_tfield_bytes(field);

    vly_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(b, i > 0 ? "," : "");
        put_value(b, field, list + i * bytes);
    }
    vly_buf_putc(b, ']');
}

/* ---- messages ---- */

static bool is_set(const vly_tfield *field, const char *at)
{
    vly_str text;
    bool flag;

    if (field->kind == VLY_TFIELD_STR) {
        memcpy(&text, at, sizeof(text));
        return text.len > 0;
    }
    memcpy(&flag, at, sizeof(flag));
    return flag;
}

static const char *pointer_at(const char *at)
{
    const char *p;

    memcpy(&p, at, sizeof(p));
    return p;
}

static void put_field(vly_buf *b, const vly_tfield *field, const char *at, bool *is_first)
{
    bool is_many = field->count == VLY_TFIELD_LIST || field->count == VLY_TFIELD_MAP;
    bool is_message = field->kind == VLY_TFIELD_MESSAGE && field->count == VLY_TFIELD_ONE;
    size_t n = 0;

    at += field->offset;
    if (is_message && pointer_at(at) == NULL)
        return;
    if (!is_message && field->is_choice && !is_set(field, at))
        return;
    if (is_many)
        memcpy(&n, at - field->offset + field->n_offset, sizeof(n));
    vly_buf_printf(b, "%s\"%s\":", *is_first ? "" : ",", field->name);
    *is_first = false;
    if (field->count == VLY_TFIELD_MAP)
        put_map(b, field, pointer_at(at), n);
    else if (field->count == VLY_TFIELD_LIST)
        put_list(b, field, pointer_at(at), n);
    else
        put_value(b, field, is_message ? pointer_at(at) : at);
}

static void put_message(vly_buf *b, const vly_tschema *schema, const char *at)
{
    bool is_first = true;

    vly_buf_putc(b, '{');
    for (size_t i = 0; i < schema->n_fields; i++)
        put_field(b, &schema->fields[i], at, &is_first);
    vly_buf_putc(b, '}');
}

void vly_triton_config_put_json(const vly_triton_config *config, vly_buf *b)
{
    put_message(b, &vly_tschema_config, (const char *)config);
}

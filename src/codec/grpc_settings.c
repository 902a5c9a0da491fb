/* SPDX-License-Identifier: MIT */
#include "codec/grpc_settings.h"

#include "codec/json_doc.h"
#include "codec/pbwire.h"

/* Fields of the messages. */
enum { SETTINGS = 1, KEY = 1, VALUE = 2 };
enum { TRACE_VALUE = 1 };
enum { LOG_BOOL = 1, LOG_UINT = 2, LOG_STRING = 3 };

/* ---- to JSON ---- */

static void put_key(vly_buf *json, size_t i, vly_str key)
{
    vly_buf_putc(json, i > 0 ? ',' : '{');
    vly_buf_json_str(json, key);
    vly_buf_putc(json, ':');
}

static void put_end(vly_buf *json, size_t n)
{
    vly_buf_puts(json, n > 0 ? "}" : "{}");
}

void vly_grpc_put_trace_update(const vly_grpc_trace_request *r, vly_buf *json)
{
    for (size_t i = 0; i < r->n_settings; i++) {
        const vly_grpc_trace_setting *s = &r->settings[i];
        put_key(json, i, s->key);
        if (s->n_values == 0)
            vly_buf_puts(json, "null");
        for (size_t v = 0; v < s->n_values; v++) {
            vly_buf_putc(json, v > 0 ? ',' : '[');
            vly_buf_json_str(json, s->values[v]);
        }
        if (s->n_values > 0)
            vly_buf_putc(json, ']');
    }
    put_end(json, r->n_settings);
}

void vly_grpc_put_log_update(const vly_grpc_params *p, vly_buf *json)
{
    for (size_t i = 0; i < p->n; i++) {
        const vly_grpc_param *s = &p->items[i];
        put_key(json, i, s->key);
        if (s->kind == VLY_GRPC_BOOL)
            vly_buf_puts(json, s->number != 0 ? "true" : "false");
        else if (s->kind == VLY_GRPC_INT)
            vly_buf_printf(json, "%llu", (unsigned long long)s->number);
        else if (s->kind == VLY_GRPC_STRING)
            vly_buf_json_str(json, s->text);
        else
            vly_buf_puts(json, "null");
    }
    put_end(json, p->n);
}

/* ---- from JSON ---- */

static vly_str str_of(yyjson_val *v)
{
    return (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* A text, or an array of them. */
static void put_trace_value(vly_buf *out, yyjson_val *v)
{
    yyjson_arr_iter items = yyjson_arr_iter_with(v); /* empty when v is no array */
    yyjson_val *item;

    if (yyjson_is_str(v))
        vly_pb_put_bytes(out, TRACE_VALUE, str_of(v));
    while ((item = yyjson_arr_iter_next(&items)) != NULL)
        vly_pb_put_bytes(out, TRACE_VALUE, str_of(item));
}

static void put_log_value(vly_buf *out, yyjson_val *v)
{
    if (yyjson_is_bool(v))
        vly_pb_put_varint(out, LOG_BOOL, yyjson_get_bool(v));
    else if (yyjson_is_uint(v))
        vly_pb_put_varint(out, LOG_UINT, yyjson_get_uint(v));
    else if (yyjson_is_str(v))
        vly_pb_put_bytes(out, LOG_STRING, str_of(v));
}

static vly_status put_settings(vly_str json, vly_arena *arena, vly_buf *out,
                               void (*put)(vly_buf *out, yyjson_val *v), vly_err *err)
{
    yyjson_val *root, *key;
    vly_status st = vly_json_doc_read(json, arena, &root, err);

    if (st != VLY_OK)
        return st;
    yyjson_obj_iter members = yyjson_obj_iter_with(root);
    while ((key = yyjson_obj_iter_next(&members)) != NULL) {
        size_t entry = vly_pb_open(out, SETTINGS);
        vly_pb_put_bytes(out, KEY, str_of(key));
        size_t value = vly_pb_open(out, VALUE);
        put(out, yyjson_obj_iter_get_val(key));
        vly_pb_close(out, value);
        vly_pb_close(out, entry);
    }
    return VLY_OK;
}

vly_status vly_grpc_put_trace_settings(vly_str json, vly_arena *arena, vly_buf *out, vly_err *err)
{
    return put_settings(json, arena, out, put_trace_value, err);
}

vly_status vly_grpc_put_log_settings(vly_str json, vly_arena *arena, vly_buf *out, vly_err *err)
{
    return put_settings(json, arena, out, put_log_value, err);
}

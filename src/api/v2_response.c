/* SPDX-License-Identifier: MIT */
#include "api/v2_response.h"

#include "tasks/observation_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 32
#define ARENA_BYTES     ((size_t)2 << 10) /* of a small answer: it allocates nothing */
#define COPY_MAX        ((size_t)4 << 10) /* a copy this large costs less than a part of its own */

static void put_u64(vly_buf *b, uint64_t v, bool is_negative)
{
    char text[NUMBER_TEXT_MAX];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    if (is_negative)
        text[--at] = '-';
    vly_buf_add(b, text + at, sizeof(text) - at);
}

static void put_i64(vly_buf *b, int64_t v)
{
    put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

static void put_f64(vly_buf *b, double v)
{
    char text[NUMBER_TEXT_MAX];

    if (!isfinite(v)) {
        vly_buf_puts(b, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    vly_buf_puts(b, text);
}

static void put_element(vly_buf *b, const vly_tensor *t, uint64_t i)
{
    if (t->dtype == VLY_DTYPE_STRING)
        vly_buf_json_str(b, ((const vly_str *)t->data)[i]);
    else if (t->dtype == VLY_DTYPE_F32)
        vly_json_f32(b, ((const float *)t->data)[i]);
    else if (t->dtype == VLY_DTYPE_F64)
        put_f64(b, ((const double *)t->data)[i]);
    else if (t->dtype == VLY_DTYPE_BOOL)
        vly_buf_puts(b, ((const unsigned char *)t->data)[i] != 0 ? "true" : "false");
    else if (t->dtype == VLY_DTYPE_U64)
        put_u64(b, ((const uint64_t *)t->data)[i], false);
    else
        put_i64(b, vly_tensor_get_i64(t, i));
}

static vly_status put_data(vly_buf *b, const vly_tensor *t, vly_err *err)
{
    uint64_t n = vly_tensor_count(t);

    if (t->dtype == VLY_DTYPE_F16 || t->dtype == VLY_DTYPE_BF16)
        return vly_fail(err, VLY_EINVAL,
                        "sending %s data via JSON is not supported. Please use the binary data "
                        "format for output",
                        vly_dtype_kserve(t->dtype));
    vly_buf_puts(b, ",\"data\":[");
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0)
            vly_buf_putc(b, ',');
        put_element(b, t, i);
    }
    vly_buf_putc(b, ']');
    return VLY_OK;
}

static void put_shape(vly_buf *b, const vly_shape *s)
{
    vly_buf_puts(b, ",\"shape\":[");
    for (int i = 0; i < s->rank; i++) {
        if (i > 0)
            vly_buf_putc(b, ',');
        put_i64(b, s->dim[i]);
    }
    vly_buf_putc(b, ']');
}

static vly_status put_output(const vly_infer_result *r, vly_buf *json, vly_err *err)
{
    const vly_tensor *t = &r->tensor;
    vly_status st = VLY_OK;

    vly_buf_puts(json, "{\"name\":");
    vly_buf_json_str(json, r->name);
    vly_buf_puts(json, ",\"datatype\":\"");
    vly_buf_puts(json, vly_dtype_kserve(t->dtype));
    vly_buf_putc(json, '"');
    put_shape(json, &t->shape);
    if (r->how.is_binary) {
        vly_buf_puts(json, ",\"parameters\":{\"binary_data_size\":");
        put_u64(json, vly_infer_wire_bytes(t), false);
        vly_buf_putc(json, '}');
    } else {
        st = put_data(json, t, err);
    }
    vly_buf_putc(json, '}');
    return st;
}

static void put_head(const vly_infer *call, vly_buf *json)
{
    vly_buf_putc(json, '{');
    if (call->request.id.len > 0) {
        vly_buf_puts(json, "\"id\":");
        vly_buf_json_str(json, call->request.id);
        vly_buf_putc(json, ',');
    }
    vly_buf_puts(json, "\"model_name\":");
    vly_buf_json_str(json, vly_str_from(call->served->name));
    vly_buf_puts(json, ",\"model_version\":");
    vly_buf_json_str(json, vly_str_from(call->served->version));
    vly_buf_puts(json, ",\"outputs\":[");
}

static vly_status put_json(const vly_infer *call, vly_buf *json, vly_err *err)
{
    void *memory = vly_arena_alloc(call->arena, ARENA_BYTES);

    vly_buf_init(json, VLY_MEM_NET, call->api->max_answer_bytes);
    if (memory != NULL)
        vly_buf_lend(json, memory, 0, ARENA_BYTES, NULL, NULL);
    put_head(call, json);
    for (size_t i = 0; i < call->n_results; i++) {
        if (i > 0)
            vly_buf_putc(json, ',');
        vly_status st = put_output(&call->results[i], json, err);
        if (st != VLY_OK)
            return st;
    }
    vly_buf_puts(json, "]}");
    return VLY_OK;
}

/* The part to append to: behind one that is only lent, another. */
static vly_buf *open_part(const vly_infer *call, vly_v2_answer *a)
{
    vly_buf *last = &a->parts[a->n_parts - 1];

    if (last->cap > 0 || a->n_parts == VLY_HTTP_MAX_PARTS)
        return last;
    last = &a->parts[a->n_parts++];
    vly_buf_init(last, VLY_MEM_NET, call->api->max_answer_bytes);
    return last;
}

static void put_binary(const vly_infer *call, const vly_tensor *t, vly_v2_answer *a)
{
    bool is_large = t->bytes > COPY_MAX && a->n_parts < VLY_HTTP_MAX_PARTS - 1;

    a->has_binary = true;
    if (is_large) {
        vly_buf *next = &a->parts[a->n_parts];
        vly_buf_init(next, VLY_MEM_NET, call->api->max_answer_bytes);
        if (vly_infer_lend_wire(t, next)) {
            a->n_parts++;
            return;
        }
    }
    vly_infer_put_wire(t, open_part(call, a));
}

static vly_status check_whole(const vly_infer *call, const vly_v2_answer *a, vly_err *err)
{
    size_t bytes = 0;
    bool ok = true;

    for (size_t i = 0; i < a->n_parts; i++) {
        bytes += a->parts[i].len;
        ok = ok && !a->parts[i].failed;
    }
    if (ok && bytes <= call->api->max_answer_bytes)
        return VLY_OK;
    return vly_fail(err, VLY_ENOMEM, "out of memory for the answer");
}

vly_status vly_v2_response_write(const vly_infer *call, vly_v2_answer *ret, vly_err *err)
{
    ret->n_parts = 1;
    vly_status st = put_json(call, &ret->parts[0], err);
    if (st != VLY_OK)
        return st;
    ret->json_len = ret->parts[0].len;
    for (size_t i = 0; i < call->n_results; i++)
        if (call->results[i].how.is_binary && vly_infer_wire_bytes(&call->results[i].tensor) > 0)
            put_binary(call, &call->results[i].tensor, ret);
    return check_whole(call, ret, err);
}

void vly_v2_answer_release(vly_v2_answer *a)
{
    for (size_t i = 0; i < a->n_parts; i++)
        vly_buf_release(&a->parts[i]);
}

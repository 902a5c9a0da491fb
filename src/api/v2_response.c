/* SPDX-License-Identifier: MIT */
#include "api/v2_response.h"

#include "tasks/observation_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 32

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
    bool is_here = r->how.region.name.ptr == NULL; /* else the client knows where it is */
    if (is_here && r->how.is_binary) {
        vly_buf_puts(json, ",\"parameters\":{\"binary_data_size\":");
        put_u64(json, vly_infer_wire_bytes(t), false);
        vly_buf_putc(json, '}');
    } else if (is_here) {
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
    vly_buf_json_str(json, vly_infer_name(call));
    vly_buf_puts(json, ",\"model_version\":");
    vly_buf_json_str(json, vly_str_from(call->served->version));
    vly_buf_puts(json, ",\"outputs\":[");
}

static vly_status put_json(const vly_infer *call, vly_buf *json, vly_err *err)
{
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

vly_status vly_v2_response_write(const vly_infer *call, vly_v2_answer *ret, vly_err *err)
{
    vly_buf *json = vly_infer_parts_open(call, &ret->parts);
    vly_status st = put_json(call, json, err);

    if (st != VLY_OK)
        return st;
    ret->json_len = json->len;
    for (size_t i = 0; i < call->n_results; i++) {
        const vly_infer_result *r = &call->results[i];
        if (!r->how.is_binary || vly_infer_wire_bytes(&r->tensor) == 0)
            continue;
        ret->has_binary = true;
        vly_infer_parts_put(call, &r->tensor, &ret->parts);
    }
    return vly_infer_parts_check(call, &ret->parts, err);
}

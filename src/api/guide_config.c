/* SPDX-License-Identifier: MIT */
/*
 * GET /config, GET and POST /config/{key}: the ten settings of the guide's detector, kept and told
 * as there. None has an effect: they tuned rules that this detector does not have, and its own
 * thresholds are part of the model, for its figures hold with those only. Each answer says so.
 */
#include "api/routes.h"

#include "api/answer.h"
#include "api/guide.h"
#include "base/assert.h"
#include "codec/json_doc.h"

#include <stdio.h>

#define HTTP_FORBIDDEN     403
#define HTTP_UNPROCESSABLE 422

static const struct {
    const char *name;
    double value, min, max;
    bool is_int;
} keys[VLY_GUIDE_KEYS] = {
    {"window_size", 10, 1, 10000, true},
    {"start_threshold", 0.3, 0, 1, false},
    {"end_threshold", 0.3, 0, 1, false},
    {"min_step_interval", 0.4, 0, 60, false},
    {"motion_threshold", 11, 0, 200, false},
    {"gyro_threshold", 1.5, 0, 70, false},
    {"min_motion_variance", 1, 0, 10000, false},
    {"stillness_threshold", 0.8, 0, 10000, false},
    {"ai_high_confidence_threshold", 0.75, 0, 1, false},
    {"ai_sensor_disagree_threshold", 0.8, 0, 1, false},
};

static double value_of(const vly_api *api, size_t i)
{
    bool is_set = (atomic_load(&api->guide.is_set) >> i & 1) != 0;
    return is_set ? atomic_load(&api->guide.value[i]) : keys[i].value;
}

/* only: the one key that is told, the others are null; VLY_GUIDE_KEYS: all. */
static void answer(const vly_api *api, vly_http_request *req, size_t only)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    for (size_t i = 0; i < VLY_GUIDE_KEYS; i++) {
        vly_buf_printf(&b, "%c\"%s\":", i > 0 ? ',' : '{', keys[i].name);
        if (only == VLY_GUIDE_KEYS || only == i)
            vly_buf_printf(&b, "%.15g", value_of(api, i));
        else
            vly_buf_puts(&b, "null");
    }
    vly_buf_puts(&b, ",\"effect\":\"none: kept for compatibility, the detector's thresholds belong "
                     "to its model\"}");
    vly_answer_json(req, 200, &b);
}

static size_t find_key(vly_str name)
{
    size_t i = 0;

    while (i < VLY_GUIDE_KEYS && !vly_str_is(name, keys[i].name))
        i++;
    return i;
}

/* {"value": "0.6"}, or the number. */
static vly_status read_value(vly_http_request *req, size_t i, double *ret, vly_err *err)
{
    yyjson_val *root;
    double value = 0;
    vly_status st = vly_json_doc_read(vly_buf_str(&req->msg.body), &req->msg.arena, &root, err);

    if (st != VLY_OK)
        return st;
    yyjson_val *v = yyjson_obj_get(root, "value");
    bool is_number = yyjson_is_num(v);
    if (is_number)
        value = yyjson_get_num(v);
    else if (yyjson_is_str(v))
        is_number = vly_str_to_f64((vly_str){yyjson_get_str(v), yyjson_get_len(v)}, &value);
    if (!is_number || !(value >= keys[i].min && value <= keys[i].max) ||
        (keys[i].is_int && value != (double)(int)value))
        return vly_fail(err, VLY_EINVAL, "'%s': expected {\"value\": \"N\"} with %s of %g to %g",
                        keys[i].name, keys[i].is_int ? "a whole number" : "a number", keys[i].min,
                        keys[i].max);
    *ret = value;
    return VLY_OK;
}

void vly_route_guide_config(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    (void)captures;
    answer(api, req, VLY_GUIDE_KEYS);
}

void vly_route_guide_config_get(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    size_t i = find_key(captures[0]);

    if (i == VLY_GUIDE_KEYS)
        vly_guide_fail(req, HTTP_FORBIDDEN, "Config key not allowed");
    else
        answer(api, req, i);
}

void vly_route_guide_config_set(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    size_t i = find_key(captures[0]);
    double value;
    vly_err err;

    if (i == VLY_GUIDE_KEYS) {
        vly_guide_fail(req, HTTP_FORBIDDEN, "Config key not allowed");
        return;
    }
    if (read_value(req, i, &value, &err) != VLY_OK) {
        vly_guide_fail(req, HTTP_UNPROCESSABLE, err.msg);
        return;
    }
    atomic_store(&api->guide.value[i], value);
    atomic_fetch_or(&api->guide.is_set, 1U << i);
    answer(api, req, VLY_GUIDE_KEYS);
}

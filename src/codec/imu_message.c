/* SPDX-License-Identifier: MIT */
#include "codec/imu_message.h"

#include "base/assert.h"
#include "codec/json_doc.h"

#include <math.h>
#include <yyjson.h>

#define AXES      6
#define T_MS_MAX  9e12 /* the year 2255 as Unix time */
#define US_PER_MS 1000.0

static const char *const members[AXES] = {"accel_x", "accel_y", "accel_z",
                                          "gyro_x",  "gyro_y",  "gyro_z"};

static float *axis(vly_imu_reading *r, size_t i)
{
    return i < 3 ? &r->acc[i] : &r->gyro[i - 3];
}

vly_status vly_imu_reading_check(const vly_imu_reading *r, size_t i, vly_err *err)
{
    for (size_t k = 0; k < AXES; k++) {
        float v = k < 3 ? r->acc[k] : r->gyro[k - 3];
        float max = k < 3 ? VLY_IMU_ACC_MAX : VLY_IMU_GYRO_MAX;
        if (!(fabsf(v) <= max)) /* NaN too */
            return vly_fail(err, VLY_EINVAL, "reading %zu: %s: expected within %g %s, got %g", i,
                            members[k], (double)max, k < 3 ? "m/s^2" : "rad/s", (double)v);
    }
    return VLY_OK;
}

/* ---- values ---- */

static vly_status read_time(yyjson_val *v, size_t i, vly_imu_reading *r, vly_err *err)
{
    double t_ms = yyjson_get_num(v);

    if (!yyjson_is_num(v) || !(fabs(t_ms) <= T_MS_MAX))
        return vly_fail(err, VLY_EINVAL, "reading %zu: t_ms: expected milliseconds, got %s", i,
                        yyjson_is_num(v) ? "too many" : yyjson_get_type_desc(v));
    r->t_us = llround(t_ms * US_PER_MS);
    return VLY_OK;
}

static vly_status read_axis(yyjson_val *v, size_t i, size_t k, vly_imu_reading *r, vly_err *err)
{
    if (!yyjson_is_num(v))
        return vly_fail(err, VLY_EINVAL, "reading %zu: %s: expected a number, got %s", i,
                        members[k], yyjson_get_type_desc(v));
    *axis(r, k) = (float)yyjson_get_num(v);
    return VLY_OK;
}

/* ---- many: rows of numbers ---- */

static vly_status read_row(yyjson_val *row, size_t i, size_t n_axes, bool has_time,
                           vly_imu_reading *r, vly_err *err)
{
    yyjson_arr_iter it;
    vly_status st = VLY_OK;

    if (!yyjson_arr_iter_init(row, &it) || yyjson_arr_size(row) != n_axes + has_time)
        return vly_fail(err, VLY_EINVAL, "reading %zu: expected an array of %zu numbers%s", i,
                        n_axes + has_time, has_time ? ", t_ms first" : "");
    if (has_time)
        st = read_time(yyjson_arr_iter_next(&it), i, r, err);
    for (size_t k = 0; st == VLY_OK && k < n_axes; k++)
        st = read_axis(yyjson_arr_iter_next(&it), i, k, r, err);
    return st == VLY_OK ? vly_imu_reading_check(r, i, err) : st;
}

static vly_status read_rows(yyjson_val *rows, bool has_gyro, vly_arena *arena, vly_imu_message *m,
                            vly_err *err)
{
    size_t n = yyjson_arr_size(rows), n_axes = has_gyro ? AXES : AXES / 2, i, n_rows;
    vly_status st = VLY_OK;
    yyjson_val *row;

    if (n == 0)
        return vly_fail(err, VLY_EINVAL, "'readings': expected an array with readings");
    if (n > VLY_IMU_PACKET_MAX)
        return vly_fail(err, VLY_ELIMIT, "'readings': expected at most %d in a message, got %zu",
                        VLY_IMU_PACKET_MAX, n);
    m->n = n;
    m->has_times = yyjson_arr_size(yyjson_arr_get_first(rows)) == n_axes + 1;
    m->readings = vly_arena_calloc(arena, n, sizeof(*m->readings));
    if (m->readings == NULL)
        return vly_arena_fail(arena, err);
    yyjson_arr_foreach(rows, i, n_rows, row)
    {
        if (st == VLY_OK)
            st = read_row(row, i, n_axes, m->has_times, &m->readings[i], err);
    }
    return st;
}

/* ---- one: members ---- */

static vly_status read_members(yyjson_val *root, bool has_gyro, vly_arena *arena,
                               vly_imu_message *m, vly_err *err)
{
    yyjson_val *time = yyjson_obj_get(root, "t_ms");
    vly_status st = VLY_OK;

    m->n = 1;
    m->has_times = time != NULL;
    m->readings = vly_arena_calloc(arena, 1, sizeof(*m->readings));
    if (m->readings == NULL)
        return vly_arena_fail(arena, err);
    if (time != NULL)
        st = read_time(time, 0, m->readings, err);
    for (size_t k = 0; st == VLY_OK && k < (has_gyro ? AXES : AXES / 2); k++) {
        yyjson_val *v = yyjson_obj_get(root, members[k]);
        if (v == NULL)
            return vly_fail(err, VLY_ENOTFOUND, "expected '%s', which is missing", members[k]);
        st = read_axis(v, 0, k, m->readings, err);
    }
    return st == VLY_OK ? vly_imu_reading_check(m->readings, 0, err) : st;
}

/* ---- all ---- */

static vly_status read_action(yyjson_val *v, vly_imu_action *ret, vly_err *err)
{
    static const char *const names[] = {"", "stop", "reset", "stats"};

    for (size_t i = 1; i < VLY_COUNT(names); i++) {
        if (yyjson_equals_str(v, names[i])) {
            *ret = (vly_imu_action)i;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL, "'action': expected stop, reset or stats");
}

static vly_status read_first(yyjson_val *v, vly_imu_message *m, vly_err *err)
{
    if (v == NULL)
        return VLY_OK;
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) > INT64_MAX)
        return vly_fail(err, VLY_EINVAL, "'first': expected the number of the first reading");
    m->has_first = true;
    m->first = yyjson_get_uint(v);
    return VLY_OK;
}

static vly_status parse(vly_str json, vly_arena *arena, yyjson_val **ret, vly_err *err)
{
    yyjson_read_err why;

    if (json.len == 0 || json.len > VLY_IMU_MESSAGE_BYTES_MAX)
        return vly_fail(err, json.len == 0 ? VLY_EFORMAT : VLY_ELIMIT,
                        "expected JSON of at most %zu bytes, got %zu", VLY_IMU_MESSAGE_BYTES_MAX,
                        json.len);
    yyjson_val *root = vly_json_doc_parse(json, arena, &why);
    if (root == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return vly_arena_fail(arena, err);
    if (root == NULL)
        return vly_fail(err, VLY_EFORMAT, "expected JSON: %s at byte %zu", why.msg, why.pos);
    *ret = root;
    return VLY_OK;
}

vly_status vly_imu_message_read(vly_str json, bool has_gyro, vly_arena *arena, vly_imu_message *ret,
                                vly_err *err)
{
    vly_imu_message m = {.action = VLY_IMU_READINGS};
    yyjson_val *root = NULL;
    vly_status st = parse(json, arena, &root, err);

    if (st != VLY_OK)
        return st;
    if (!yyjson_is_obj(root))
        return vly_fail(err, VLY_EINVAL, "expected an object, got %s", yyjson_get_type_desc(root));
    yyjson_val *action = yyjson_obj_get(root, "action");
    yyjson_val *rows = yyjson_obj_get(root, "readings");
    st = read_first(yyjson_obj_get(root, "first"), &m, err);
    if (st == VLY_OK && action != NULL)
        st = read_action(action, &m.action, err);
    else if (st == VLY_OK && rows != NULL)
        st = read_rows(rows, has_gyro, arena, &m, err);
    else if (st == VLY_OK)
        st = read_members(root, has_gyro, arena, &m, err);
    if (st == VLY_OK)
        *ret = m;
    return st;
}

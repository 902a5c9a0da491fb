/* SPDX-License-Identifier: MIT */
#include "codec/grpc_steps.h"

#include "base/assert.h"
#include "base/bits.h"
#include "codec/pb_slots.h"

#include <stddef.h>

/* Field numbers of StreamRequest and Readings. */
enum { S_OPEN = 1, S_READINGS = 2, S_PACKETS = 3, S_ACTION = 4 };
enum { R_FIRST = 1, R_TIMES = 2, R_ACC = 3, R_GYRO = 4 };

static vly_status malformed(vly_err *err)
{
    return vly_fail(err, VLY_EFORMAT, "malformed request");
}

/* The last double of this number in a message that vly_pb_read has read through. */
static double read_double(vly_str message, uint32_t number)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    double v = 0;

    while (vly_pb_next(&c, &f))
        if (f.number == number && f.wire == VLY_PB_FIXED64)
            v = vly_pb_double(f.value);
    return v;
}

vly_status vly_grpc_detect_request_parse(vly_str message, vly_grpc_detect_request *ret,
                                         vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_BYTES, offsetof(vly_grpc_detect_request, recording)},
        {3, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_detect_request, columns)},
        {4, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_detect_request, acc_unit)},
        {5, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_detect_request, gyro_unit)},
        {6, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_detect_request, time_unit)},
        {7, VLY_PB_SLOT_INT, offsetof(vly_grpc_detect_request, look_ahead_ms)},
        {8, VLY_PB_SLOT_BOOL, offsetof(vly_grpc_detect_request, is_without_events)},
    };
    vly_grpc_detect_request r = {.look_ahead_ms = -1};

    if (!vly_pb_read(message, slots, VLY_COUNT(slots), &r))
        return malformed(err);
    r.rate_hz = read_double(message, 2);
    *ret = r;
    return VLY_OK;
}

vly_status vly_grpc_sessions_request_parse(vly_str message, vly_grpc_sessions_request *ret,
                                           vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_sessions_request, after)},
        {2, VLY_PB_SLOT_INT, offsetof(vly_grpc_sessions_request, limit)},
    };
    vly_grpc_sessions_request r = {.limit = 0};

    if (!vly_pb_read(message, slots, VLY_COUNT(slots), &r))
        return malformed(err);
    *ret = r;
    return VLY_OK;
}

/* ---- Readings ---- */

typedef struct sizes {
    size_t n_times, n_acc, n_gyro; /* numbers, not readings */
} sizes;

static bool count_floats(const vly_pb_field *f, size_t *n)
{
    if (f->wire == VLY_PB_LEN)
        *n += f->bytes.len / sizeof(float);
    else
        *n += f->wire == VLY_PB_FIXED32;
    return f->wire != VLY_PB_LEN || f->bytes.len % sizeof(float) == 0;
}

static bool count(vly_str readings, sizes *ret)
{
    vly_pb c = vly_pb_begin(readings);
    bool is_whole = true;
    vly_pb_field f;

    while (vly_pb_next(&c, &f)) {
        if (f.number == R_TIMES)
            ret->n_times +=
                f.wire == VLY_PB_LEN ? vly_pb_count_varints(f.bytes) : f.wire == VLY_PB_VARINT;
        else if (f.number == R_ACC)
            is_whole = count_floats(&f, &ret->n_acc) && is_whole;
        else if (f.number == R_GYRO)
            is_whole = count_floats(&f, &ret->n_gyro) && is_whole;
    }
    return !c.bad && is_whole;
}

static vly_status check(const sizes *s, bool has_gyro, vly_err *err)
{
    size_t n = s->n_acc / 3;

    if (n > VLY_IMU_PACKET_MAX)
        return vly_fail(err, VLY_ELIMIT, "readings: expected at most %d in a message, got %zu",
                        VLY_IMU_PACKET_MAX, n);
    if (n == 0 || s->n_acc % 3 != 0)
        return vly_fail(err, VLY_EINVAL, "readings: expected x, y, z of each in 'acc', got %zu",
                        s->n_acc);
    if (s->n_gyro != (has_gyro ? s->n_acc : 0))
        return vly_fail(err, VLY_EINVAL, "readings: expected %zu numbers in 'gyro', got %zu",
                        has_gyro ? s->n_acc : 0, s->n_gyro);
    if (s->n_times != 0 && s->n_times != n)
        return vly_fail(err, VLY_EINVAL, "readings: expected a time for each of %zu, got %zu", n,
                        s->n_times);
    return VLY_OK;
}

static int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static void put_floats(const vly_pb_field *f, vly_imu_reading *r, bool is_gyro, size_t *at)
{
    size_t n = f->wire == VLY_PB_LEN ? f->bytes.len / sizeof(float) : f->wire == VLY_PB_FIXED32;

    for (size_t i = 0; i < n; i++, (*at)++) {
        uint32_t bits = f->wire == VLY_PB_LEN ? vly_load_le32(f->bytes.ptr + i * sizeof(float))
                                              : (uint32_t)f->value;
        float *to = is_gyro ? r[*at / 3].gyro : r[*at / 3].acc;
        to[*at % 3] = vly_pb_float(bits);
    }
}

/* False: a time is cut. */
static bool put_times(const vly_pb_field *f, vly_imu_reading *r, size_t *at)
{
    vly_pb packed = vly_pb_begin(f->bytes);
    uint64_t v;

    if (f->wire == VLY_PB_VARINT)
        r[(*at)++].t_us = unzigzag(f->value);
    if (f->wire != VLY_PB_LEN)
        return true;
    while (vly_pb_take_varint(&packed, &v))
        r[(*at)++].t_us = unzigzag(v);
    return !packed.bad;
}

static bool fill(vly_str readings, vly_imu_message *m)
{
    size_t n_times = 0, n_acc = 0, n_gyro = 0;
    vly_pb c = vly_pb_begin(readings);
    vly_pb_field f;
    bool is_whole = true;

    while (is_whole && vly_pb_next(&c, &f)) {
        if (f.number == R_FIRST && f.wire == VLY_PB_VARINT) {
            m->has_first = true;
            m->first = f.value;
        } else if (f.number == R_TIMES) {
            is_whole = put_times(&f, m->readings, &n_times);
        } else if (f.number == R_ACC) {
            put_floats(&f, m->readings, false, &n_acc);
        } else if (f.number == R_GYRO) {
            put_floats(&f, m->readings, true, &n_gyro);
        }
    }
    return is_whole;
}

static vly_status read_readings(vly_str readings, bool has_gyro, vly_arena *arena,
                                vly_imu_message *m, vly_err *err)
{
    sizes s = {0, 0, 0};

    if (!count(readings, &s))
        return malformed(err);
    vly_status st = check(&s, has_gyro, err);
    if (st != VLY_OK)
        return st;
    m->n = s.n_acc / 3;
    m->has_times = s.n_times > 0;
    m->readings = vly_arena_calloc(arena, m->n, sizeof(*m->readings));
    if (m->readings == NULL)
        return vly_arena_fail(arena, err);
    if (!fill(readings, m))
        return malformed(err);
    for (size_t i = 0; st == VLY_OK && i < m->n; i++)
        st = vly_imu_reading_check(&m->readings[i], i, err);
    return st;
}

/* ---- StreamRequest ---- */

static vly_status read_open(vly_str message, vly_grpc_steps_request *r, vly_err *err)
{
    static const vly_pb_slot slots[] = {
        {1, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_steps_request, open.user)},
        {2, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_steps_request, open.device)},
        {3, VLY_PB_SLOT_TEXT, offsetof(vly_grpc_steps_request, open.session)},
        {5, VLY_PB_SLOT_BOOL, offsetof(vly_grpc_steps_request, open.is_without_gyro)},
    };

    r->what = VLY_GRPC_STEPS_OPEN;
    if (!vly_pb_read(message, slots, VLY_COUNT(slots), r))
        return malformed(err);
    r->open.rate_hz = read_double(message, 4);
    return VLY_OK;
}

static vly_status read_action(uint64_t action, vly_grpc_steps_request *r, vly_err *err)
{
    static const vly_imu_action actions[] = {VLY_IMU_READINGS, VLY_IMU_RESET, VLY_IMU_STATS};

    if (action == 0 || action >= VLY_COUNT(actions))
        return vly_fail(err, VLY_EINVAL, "'action': expected RESET or STATS");
    r->what = VLY_GRPC_STEPS_MESSAGE;
    r->message.action = actions[action];
    return VLY_OK;
}

vly_status vly_grpc_steps_request_parse(vly_str message, bool has_gyro, vly_arena *arena,
                                        vly_grpc_steps_request *ret, vly_err *err)
{
    vly_grpc_steps_request r = {.what = VLY_GRPC_STEPS_NOTHING};
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f, last = {.number = 0};
    vly_status st = VLY_OK;

    while (vly_pb_next(&c, &f)) /* of a oneof the last one counts */
        if (f.number >= S_OPEN && f.number <= S_ACTION &&
            f.wire == (f.number == S_ACTION ? VLY_PB_VARINT : VLY_PB_LEN))
            last = f;
    if (c.bad)
        return malformed(err);
    if (last.number == S_OPEN) {
        st = read_open(last.bytes, &r, err);
    } else if (last.number == S_READINGS) {
        r.what = VLY_GRPC_STEPS_MESSAGE;
        st = read_readings(last.bytes, has_gyro, arena, &r.message, err);
    } else if (last.number == S_PACKETS) {
        r.what = VLY_GRPC_STEPS_PACKETS;
        r.packets = last.bytes;
    } else if (last.number == S_ACTION) {
        st = read_action(last.value, &r, err);
    }
    if (st == VLY_OK)
        *ret = r;
    return st;
}

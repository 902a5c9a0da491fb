/* SPDX-License-Identifier: MIT */
#include "codec/imu_packet.h"

#include "base/assert.h"
#include "base/bits.h"

#include <math.h>
#include <string.h>

#define MAGIC     "VIMU"
#define MAGIC_LEN 4
#define VERSION   1
#define INT16_TOP 32767.0F

enum {
    FLAG_GYRO = 1,
    FLAG_INT16 = 2,
    FLAG_TIMES = 4,
    FLAG_FIRST = 8,
    FLAGS = 15,
};

/* Offsets in the head. */
enum {
    AT_VERSION = 4,
    AT_FLAGS = 5,
    AT_N = 6,
    AT_FIRST = 8,
    AT_T0 = 16,
    AT_PERIOD = 24,
    AT_ACC_STEP = 28,
    AT_GYRO_STEP = 32,
};

static size_t reading_bytes(unsigned flags)
{
    size_t n_values = (flags & FLAG_GYRO) != 0 ? 6 : 3;
    return n_values * ((flags & FLAG_INT16) != 0 ? 2 : 4) + ((flags & FLAG_TIMES) != 0 ? 4 : 0);
}

static bool is_step(float v)
{
    return isfinite(v) && v > 0;
}

static vly_status check_times(const uint8_t *head, vly_err *err)
{
    unsigned n = vly_load_le16(head + AT_N);
    int64_t t0 = (int64_t)vly_load_le64(head + AT_T0);
    uint32_t period_us = vly_load_le32(head + AT_PERIOD);

    if (t0 < -VLY_IMU_TIME_MAX / 2 || t0 > VLY_IMU_TIME_MAX / 2)
        return vly_fail(err, VLY_EFORMAT, "imu packet: a time of %lld us makes no sense",
                        (long long)t0);
    if ((head[AT_FLAGS] & FLAG_TIMES) == 0 && n > 1 && period_us == 0)
        return vly_fail(err, VLY_EFORMAT, "imu packet: %u readings with a period of 0 us", n);
    return VLY_OK;
}

vly_status vly_imu_packet_size(const void *bytes, size_t *ret, vly_err *err)
{
    const uint8_t *head = bytes;
    unsigned flags = head[AT_FLAGS];
    unsigned n = vly_load_le16(head + AT_N);
    uint64_t first = vly_load_le64(head + AT_FIRST);

    if (memcmp(head, MAGIC, MAGIC_LEN) != 0)
        return vly_fail(err, VLY_EFORMAT, "imu packet: expected '" MAGIC "' at its beginning");
    if (head[AT_VERSION] != VERSION)
        return vly_fail(err, VLY_EFORMAT, "imu packet: expected version %d, got %u", VERSION,
                        head[AT_VERSION]);
    if (flags > FLAGS)
        return vly_fail(err, VLY_EFORMAT, "imu packet: flags 0x%02x are not known", flags);
    if (n == 0 || n > VLY_IMU_PACKET_MAX)
        return vly_fail(err, VLY_EFORMAT, "imu packet: expected 1 to %d readings, got %u",
                        VLY_IMU_PACKET_MAX, n);
    if (first > UINT64_MAX - n || ((flags & FLAG_FIRST) == 0 && first != 0))
        return vly_fail(err, VLY_EFORMAT, "imu packet: a first reading of number %llu",
                        (unsigned long long)first);
    if ((flags & FLAG_INT16) != 0 &&
        (!is_step(vly_load_lef32(head + AT_ACC_STEP)) ||
         ((flags & FLAG_GYRO) != 0 && !is_step(vly_load_lef32(head + AT_GYRO_STEP)))))
        return vly_fail(err, VLY_EFORMAT, "imu packet: expected steps of int16 above 0");
    vly_status st = check_times(head, err);
    if (st == VLY_OK)
        *ret = VLY_IMU_PACKET_HEAD + n * reading_bytes(flags);
    return st;
}

vly_status vly_imu_packet_open(const void *bytes, size_t n, vly_imu_packet *ret, vly_err *err)
{
    const uint8_t *head = bytes;
    size_t n_bytes;

    if (n < VLY_IMU_PACKET_HEAD)
        return vly_fail(err, VLY_EFORMAT, "imu packet: expected at least %d bytes, got %zu",
                        VLY_IMU_PACKET_HEAD, n);
    vly_status st = vly_imu_packet_size(head, &n_bytes, err);
    if (st != VLY_OK)
        return st;
    if (n < n_bytes)
        return vly_fail(err, VLY_EFORMAT, "imu packet: cut short: expected %zu bytes, got %zu",
                        n_bytes, n);
    *ret = (vly_imu_packet){
        .has_gyro = (head[AT_FLAGS] & FLAG_GYRO) != 0,
        .has_first = (head[AT_FLAGS] & FLAG_FIRST) != 0,
        .first = vly_load_le64(head + AT_FIRST),
        .n = vly_load_le16(head + AT_N),
        .n_bytes = n_bytes,
        .head = head,
    };
    return VLY_OK;
}

/* Three values, each of 2 or 4 bytes; returns what follows. */
static const uint8_t *read_axes(const uint8_t *p, bool is_int16, float step, float *ret)
{
    for (int i = 0; i < 3; i++, p += is_int16 ? 2 : 4)
        ret[i] = is_int16 ? step * (float)(int16_t)vly_load_le16(p) : vly_load_lef32(p);
    return p;
}

void vly_imu_packet_read(const vly_imu_packet *p, vly_imu_reading *out)
{
    const uint8_t *head = p->head;
    const uint8_t *at = head + VLY_IMU_PACKET_HEAD;
    bool is_int16 = (head[AT_FLAGS] & FLAG_INT16) != 0;
    bool has_times = (head[AT_FLAGS] & FLAG_TIMES) != 0;
    int64_t t0 = (int64_t)vly_load_le64(head + AT_T0);
    int64_t period_us = vly_load_le32(head + AT_PERIOD);
    float acc_step = vly_load_lef32(head + AT_ACC_STEP);
    float gyro_step = vly_load_lef32(head + AT_GYRO_STEP);

    for (size_t i = 0; i < p->n; i++) {
        out[i] = (vly_imu_reading){.t_us = t0 + (int64_t)i * period_us};
        if (has_times) {
            out[i].t_us = t0 + (int32_t)vly_load_le32(at);
            at += 4;
        }
        at = read_axes(at, is_int16, acc_step, out[i].acc);
        if (p->has_gyro)
            at = read_axes(at, is_int16, gyro_step, out[i].gyro);
    }
}

static void add_axes(vly_buf *out, const float v[3], bool is_int16, float step)
{
    uint8_t bytes[4];

    for (int i = 0; i < 3; i++) {
        float steps = fminf(fmaxf(rintf(v[i] / step), -INT16_TOP), INT16_TOP); /* a NaN: the end */
        if (is_int16)
            vly_store_le16(bytes, (uint16_t)(int16_t)steps);
        else
            vly_store_lef32(bytes, v[i]);
        vly_buf_add(out, bytes, is_int16 ? 2 : 4);
    }
}

static vly_status add_readings(const vly_imu_packet_opts *opts, const float step[2],
                               const vly_imu_reading *readings, size_t n, vly_buf *out,
                               vly_err *err)
{
    uint8_t time[4];

    for (size_t i = 0; i < n; i++) {
        int64_t offset = 0;
        if (__builtin_sub_overflow(readings[i].t_us, readings[0].t_us, &offset) ||
            offset < INT32_MIN || offset > INT32_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "imu packet: reading %zu is further than 2^31 us from the first", i);
        vly_store_le32(time, (uint32_t)(int32_t)offset);
        if (opts->has_times)
            vly_buf_add(out, time, sizeof(time));
        add_axes(out, readings[i].acc, opts->is_int16, step[0]);
        if (opts->has_gyro)
            add_axes(out, readings[i].gyro, opts->is_int16, step[1]);
    }
    return VLY_OK;
}

/* The head as bytes, checked as an outside one. */
static vly_status make_head(const vly_imu_packet_opts *opts, const float step[2],
                            const vly_imu_reading *first, size_t n,
                            uint8_t head[VLY_IMU_PACKET_HEAD], vly_err *err)
{
    size_t n_bytes;

    memset(head, 0, VLY_IMU_PACKET_HEAD);
    memcpy(head, MAGIC, MAGIC_LEN);
    head[AT_VERSION] = VERSION;
    head[AT_FLAGS] =
        (uint8_t)((opts->has_gyro ? FLAG_GYRO : 0) | (opts->is_int16 ? FLAG_INT16 : 0) |
                  (opts->has_times ? FLAG_TIMES : 0) | (opts->has_first ? FLAG_FIRST : 0));
    vly_store_le16(head + AT_N, (uint16_t)n);
    vly_store_le64(head + AT_FIRST, opts->has_first ? opts->first : 0);
    vly_store_le64(head + AT_T0, (uint64_t)first->t_us);
    vly_store_le32(head + AT_PERIOD, opts->has_times ? 0 : opts->period_us);
    if (opts->is_int16)
        vly_store_lef32(head + AT_ACC_STEP, step[0]);
    if (opts->is_int16 && opts->has_gyro)
        vly_store_lef32(head + AT_GYRO_STEP, step[1]);
    vly_status st = vly_imu_packet_size(head, &n_bytes, err);
    if (st != VLY_OK && err != NULL)
        err->status = VLY_EINVAL;
    return st == VLY_OK ? VLY_OK : VLY_EINVAL;
}

vly_status vly_imu_packet_write(const vly_imu_packet_opts *opts, const vly_imu_reading *readings,
                                size_t n, vly_buf *out, vly_err *err)
{
    const float step[2] = {
        opts->acc_step > 0 ? opts->acc_step : VLY_IMU_ACC_MAX / INT16_TOP,
        opts->gyro_step > 0 ? opts->gyro_step : VLY_IMU_GYRO_MAX / INT16_TOP,
    };
    uint8_t head[VLY_IMU_PACKET_HEAD];
    size_t begin = out->len;

    VLY_ASSERT(n >= 1 && n <= VLY_IMU_PACKET_MAX);
    vly_status st = make_head(opts, step, &readings[0], n, head, err);
    if (st != VLY_OK)
        return st;
    vly_buf_add(out, head, sizeof(head));
    st = add_readings(opts, step, readings, n, out, err);
    if (st == VLY_OK && out->failed)
        st = vly_fail(err, VLY_ENOMEM, "imu packet: no room for %zu readings", n);
    if (st != VLY_OK)
        out->len = begin;
    return st;
}

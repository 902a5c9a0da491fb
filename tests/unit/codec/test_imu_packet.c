/* SPDX-License-Identifier: MIT */
/* Expected bytes by the table in the header. */
#include "codec/imu_packet.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#define HEAD VLY_IMU_PACKET_HEAD

/* Two readings, gyroscope, float32, no times, first 7, t0 = 1000 us, period 12,500 us. */
static const uint8_t plain[HEAD + 48] = {'V',
                                         'I',
                                         'M',
                                         'U',
                                         1,
                                         9,
                                         2,
                                         0,
                                         7,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0xe8,
                                         3,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0xd4,
                                         0x30,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         /* 1, 2, -4 */ 0,
                                         0,
                                         0x80,
                                         0x3f,
                                         0,
                                         0,
                                         0,
                                         0x40,
                                         0,
                                         0,
                                         0x80,
                                         0xc0,
                                         /* 0.5, 0, 0 */ 0,
                                         0,
                                         0,
                                         0x3f,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         /* 0, 0, 8 */ 0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0x41,
                                         /* 0, 0, -1 */ 0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0x80,
                                         0xbf};

/* One reading, int16 of 0.5 m/s^2, a time of its own: t0 - 1. */
static const uint8_t small[HEAD + 10] = {'V',  'I',  'M',  'U',  1, 6, 1,    0,    0, 0, 0, 0,
                                         0,    0,    0,    0,    0, 0, 0,    0,    0, 0, 0, 0,
                                         0,    0,    0,    0,    0, 0, 0,    0x3f, 0, 0, 0, 0,
                                         0xff, 0xff, 0xff, 0xff, 2, 0, 0xfe, 0xff, 0, 1};

static void reads(void **state)
{
    (void)state;
    vly_imu_packet p;
    vly_imu_reading r[2];
    const vly_imu_reading want[2] = {{1000, {1, 2, -4}, {0.5F, 0, 0}},
                                     {13500, {0, 0, 8}, {0, 0, -1}}};

    assert_int_equal(vly_imu_packet_open(plain, sizeof(plain), &p, NULL), VLY_OK);
    assert_true(p.has_gyro && p.has_first);
    assert_int_equal(p.first, 7);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.n_bytes, sizeof(plain));
    vly_imu_packet_read(&p, r);
    assert_memory_equal(r, want, sizeof(want));

    const vly_imu_reading want_small = {-1, {1, -1, 128}, {0, 0, 0}};
    assert_int_equal(vly_imu_packet_open(small, sizeof(small), &p, NULL), VLY_OK);
    assert_false(p.has_gyro || p.has_first);
    assert_int_equal(p.n, 1);
    vly_imu_packet_read(&p, r);
    assert_memory_equal(r, &want_small, sizeof(want_small));
}

static void writes(void **state)
{
    (void)state;
    const vly_imu_reading r[2] = {{1000, {1, 2, -4}, {0.5F, 0, 0}}, {13500, {0, 0, 8}, {0, 0, -1}}};
    const vly_imu_packet_opts as_plain = {
        .has_gyro = true, .has_first = true, .first = 7, .period_us = 12500};
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 4096);
    assert_int_equal(vly_imu_packet_write(&as_plain, r, 2, &out, NULL), VLY_OK);
    assert_int_equal(out.len, sizeof(plain));
    assert_memory_equal(out.ptr, plain, sizeof(plain));
    vly_buf_release(&out);
}

/* All combinations of flags; int16 to half a step. */
static void comes_back(void **state)
{
    (void)state;
    vly_imu_reading r[VLY_IMU_PACKET_MAX], got[VLY_IMU_PACKET_MAX];

    for (unsigned flags = 0; flags < 16; flags++) {
        const vly_imu_packet_opts opts = {
            .has_gyro = (flags & 1) != 0,
            .is_int16 = (flags & 2) != 0,
            .has_times = (flags & 4) != 0,
            .has_first = (flags & 8) != 0,
            .first = UINT64_MAX - VLY_IMU_PACKET_MAX,
            .period_us = 10000,
        };
        memset(r, 0, sizeof(r));
        for (int64_t i = 0; i < VLY_IMU_PACKET_MAX; i++) {
            r[i].t_us = 1700000000000000 + i * 10000 + (opts.has_times ? i % 7 : 0);
            for (int k = 0; k < 3; k++) {
                r[i].acc[k] = 0.01F * (float)((i * 37 + (int64_t)k * 11) % 30000 - 15000);
                r[i].gyro[k] = opts.has_gyro ? 0.001F * (float)((i * 17 + k) % 60000 - 30000) : 0;
            }
        }
        vly_buf out;
        vly_imu_packet p;
        vly_buf_init(&out, VLY_MEM_CODEC, 1 << 20);
        assert_int_equal(vly_imu_packet_write(&opts, r, VLY_IMU_PACKET_MAX, &out, NULL), VLY_OK);
        assert_int_equal(vly_imu_packet_open(out.ptr, out.len, &p, NULL), VLY_OK);
        assert_int_equal(p.n_bytes, out.len);
        assert_int_equal(p.first, opts.has_first ? opts.first : 0);
        vly_imu_packet_read(&p, got);
        for (int64_t i = 0; i < VLY_IMU_PACKET_MAX; i++) {
            assert_int_equal(got[i].t_us, r[i].t_us);
            for (int k = 0; k < 3; k++) {
                float acc_off = fabsf(got[i].acc[k] - r[i].acc[k]);
                float gyro_off = fabsf(got[i].gyro[k] - r[i].gyro[k]);
                assert_true(acc_off <= (opts.is_int16 ? 200.0F / 65534 * 1.01F : 0));
                assert_true(gyro_off <= (opts.is_int16 ? 70.0F / 65534 * 1.01F : 0));
            }
        }
        vly_buf_release(&out);
    }
}

static void saturates(void **state)
{
    (void)state;
    const vly_imu_reading r = {0, {1e9F, -1e9F, 0.3F}, {0, 0, 0}};
    const vly_imu_packet_opts opts = {.is_int16 = true, .acc_step = 0.5F};
    vly_imu_packet p;
    vly_imu_reading got;
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 4096);
    assert_int_equal(vly_imu_packet_write(&opts, &r, 1, &out, NULL), VLY_OK);
    assert_int_equal(vly_imu_packet_open(out.ptr, out.len, &p, NULL), VLY_OK);
    vly_imu_packet_read(&p, &got);
    assert_true(got.acc[0] == 16383.5F && got.acc[1] == -16383.5F && got.acc[2] == 0.5F);
    vly_buf_release(&out);
}

static void check_bad(size_t at, uint8_t value, const char *message)
{
    uint8_t bytes[sizeof(plain)];
    vly_imu_packet p = {.n = 99};
    vly_err err = VLY_ERR_INIT;

    memcpy(bytes, plain, sizeof(plain));
    bytes[at] = value;
    assert_int_equal(vly_imu_packet_open(bytes, sizeof(bytes), &p, &err), VLY_EFORMAT);
    assert_string_equal(err.msg, message);
    assert_int_equal(p.n, 99);
}

static void refuses(void **state)
{
    (void)state;
    vly_imu_packet p;
    vly_err err = VLY_ERR_INIT;

    check_bad(0, 'v', "imu packet: expected 'VIMU' at its beginning");
    check_bad(4, 2, "imu packet: expected version 1, got 2");
    check_bad(5, 25, "imu packet: flags 0x19 are not known");
    check_bad(6, 0, "imu packet: expected 1 to 4096 readings, got 0");
    check_bad(7, 0x80, "imu packet: expected 1 to 4096 readings, got 32770");
    check_bad(6, 3, "imu packet: cut short: expected 108 bytes, got 84");
    check_bad(5, 1, "imu packet: a first reading of number 7");
    check_bad(5, 11, "imu packet: expected steps of int16 above 0");
    check_bad(23, 0x7f, "imu packet: a time of 9151314442816848872 us makes no sense");
    uint8_t still[sizeof(plain)];
    memcpy(still, plain, sizeof(plain));
    memset(still + 24, 0, 4);
    assert_int_equal(vly_imu_packet_open(still, sizeof(still), &p, &err), VLY_EFORMAT);
    assert_string_equal(err.msg, "imu packet: 2 readings with a period of 0 us");
    for (size_t n = 0; n < sizeof(plain); n++) {
        uint8_t *bytes = vly_alloc(VLY_MEM_CODEC, n + (n == 0));
        assert_non_null(bytes);
        memcpy(bytes, plain, n);
        assert_int_equal(vly_imu_packet_open(bytes, n, &p, NULL), VLY_EFORMAT);
        vly_free(bytes);
    }
}

static void refuses_to_write(void **state)
{
    (void)state;
    vly_imu_reading r[2] = {{0, {0}, {0}}, {INT64_C(1) << 31, {0}, {0}}};
    const vly_imu_packet_opts times = {.has_times = true};
    const vly_imu_packet_opts still = {.has_gyro = true};
    const vly_imu_packet_opts far = {.has_first = true, .first = UINT64_MAX, .period_us = 1};
    vly_err err = VLY_ERR_INIT;
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 4096);
    assert_int_equal(vly_imu_packet_write(&times, r, 2, &out, &err), VLY_EINVAL);
    assert_string_equal(err.msg, "imu packet: reading 1 is further than 2^31 us from the first");
    assert_int_equal(out.len, 0);
    assert_int_equal(vly_imu_packet_write(&still, r, 2, &out, &err), VLY_EINVAL);
    assert_int_equal(err.status, VLY_EINVAL);
    assert_int_equal(vly_imu_packet_write(&far, r, 2, &out, &err), VLY_EINVAL);
    vly_buf_release(&out);
    vly_buf_init(&out, VLY_MEM_CODEC, HEAD + 11);
    assert_int_equal(vly_imu_packet_write(&far, r, 1, &out, &err), VLY_EINVAL);
    assert_int_equal(vly_imu_packet_write(&still, r, 1, &out, &err), VLY_ENOMEM);
    vly_buf_release(&out);
}

/* Half of VLY_IMU_TIME_MAX for t0: with 4096 periods of 2^32 us no time is past the whole. */
static void times_are_bounded(void **state)
{
    (void)state;
    const vly_imu_packet_opts opts = {.period_us = UINT32_MAX};
    const int64_t most = VLY_IMU_TIME_MAX / 2;
    vly_buf out;

    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 10);
    for (int sign = -1; sign <= 1; sign += 2) {
        vly_imu_reading r = {.t_us = sign * most};
        assert_int_equal(vly_imu_packet_write(&opts, &r, 1, &out, NULL), VLY_OK);
        r.t_us += sign;
        assert_int_equal(vly_imu_packet_write(&opts, &r, 1, &out, NULL), VLY_EINVAL);
    }
    assert_true(most + INT64_C(4096) * UINT32_MAX < VLY_IMU_TIME_MAX);
    vly_buf_release(&out);
}

UNIT_TESTS(cmocka_unit_test(times_are_bounded), cmocka_unit_test(reads), cmocka_unit_test(writes),
           cmocka_unit_test(comes_back), cmocka_unit_test(saturates), cmocka_unit_test(refuses),
           cmocka_unit_test(refuses_to_write))

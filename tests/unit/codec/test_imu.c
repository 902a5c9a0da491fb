/* SPDX-License-Identifier: MIT */
/* Expected readings by hand; of the recordings, by Python's csv module. */
#include "base/assert.h"
#include "base/mem.h"
#include "codec/imu.h"
#include "codec/imu_packet.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define KEPT_MAX 64

typedef struct outcome {
    vly_status status;
    vly_err err;
    vly_imu_report report;
    char columns[256];
    size_t n, n_labels;
    vly_imu_reading first[KEPT_MAX];
    float labels[KEPT_MAX];
    double sum[6]; /* of all */
    int64_t last_us;
} outcome;

static vly_status keep(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    outcome *o = arg;

    (void)err;
    for (size_t i = 0; i < n; i++, o->n++) {
        if (o->n < KEPT_MAX)
            o->first[o->n] = readings[i];
        for (int k = 0; k < 3; k++) {
            o->sum[k] += (double)readings[i].acc[k];
            o->sum[3 + k] += (double)readings[i].gyro[k];
        }
        o->last_us = readings[i].t_us;
    }
    return VLY_OK;
}

static vly_status keep_labels(void *arg, const float *labels, size_t n, vly_err *err)
{
    outcome *o = arg;

    (void)err;
    for (size_t i = 0; i < n; i++, o->n_labels++)
        if (o->n_labels < KEPT_MAX)
            o->labels[o->n_labels] = labels[i];
    assert_int_equal(o->n_labels, o->n);
    return VLY_OK;
}

/* In pieces of `step` bytes. */
static void read_in(vly_str text, size_t step, vly_imu_reader_opts opts, outcome *o)
{
    vly_imu_reader *r = NULL;

    memset(o, 0, sizeof(*o));
    opts.on_readings = keep;
    opts.on_labels = keep_labels;
    opts.arg = o;
    o->status = vly_imu_reader_new(&opts, &r, &o->err);
    for (size_t i = 0; i < text.len && o->status == VLY_OK; i += step)
        o->status = vly_imu_reader_feed(r, text.ptr + i, text.len - i < step ? text.len - i : step,
                                        &o->err);
    if (o->status == VLY_OK)
        o->status = vly_imu_reader_end(r, &o->err);
    if (r != NULL) {
        o->report = *vly_imu_reader_report(r);
        snprintf(o->columns, sizeof(o->columns), "%s",
                 o->report.columns != NULL ? o->report.columns : "");
        uint64_t n_faults = 0;
        for (int i = 0; i < VLY_IMU_FAULTS; i++)
            n_faults += o->report.n_faults[i];
        if (o->status == VLY_OK)
            assert_int_equal(o->report.n_rows, o->report.n_readings + n_faults);
    }
    vly_imu_reader_free(r);
}

static outcome the_outcome, another;

/* The same whatever the pieces are. */
static const outcome *read_with(const char *text, vly_imu_reader_opts opts)
{
    read_in(vly_str_from(text), 4096, opts, &the_outcome);
    for (size_t step = 1; step < 9; step += 3) {
        read_in(vly_str_from(text), step, opts, &another);
        assert_int_equal(another.status, the_outcome.status);
        assert_string_equal(another.err.msg, the_outcome.err.msg);
        assert_string_equal(another.columns, the_outcome.columns);
        assert_int_equal(another.n, the_outcome.n);
        assert_memory_equal(another.first, the_outcome.first, sizeof(another.first));
    }
    if (the_outcome.status != VLY_OK)
        fail_msg("'%.40s': %s", text, the_outcome.err.msg);
    return &the_outcome;
}

static const outcome *read_text(const char *text)
{
    return read_with(text, (vly_imu_reader_opts){0});
}

static void check_reading(const outcome *o, size_t i, int64_t t_us, double x, double y, double z,
                          double gx, double gy, double gz)
{
    const double want[6] = {x, y, z, gx, gy, gz};
    const vly_imu_reading *r = &o->first[i];

    assert_true(i < o->n);
    assert_int_equal(r->t_us, t_us);
    for (int k = 0; k < 3; k++)
        if (r->acc[k] != (float)want[k] || r->gyro[k] != (float)want[3 + k])
            fail_msg("reading %zu: %g %g %g, %g %g %g", i, (double)r->acc[0], (double)r->acc[1],
                     (double)r->acc[2], (double)r->gyro[0], (double)r->gyro[1], (double)r->gyro[2]);
}

static void check_units(const outcome *o, const char *acc, const char *gyro, const char *time)
{
    assert_string_equal(o->report.acc_unit, acc);
    assert_string_equal(o->report.gyro_unit, gyro);
    assert_string_equal(o->report.time_unit, time);
}

static void reads_simul(void **state)
{
    (void)state;
    const outcome *o = read_with(" Activity, AccelX_5, AccelY_5, AccelZ_5, GyroX_5, GyroY_5, "
                                 "GyroZ_5\n"
                                 "0,0.148915,4.705827,8.557376,-0.01343,-0.001028,0.017995\n"
                                 "1,0.202848,4.666829,8.485154,-0.027897,-0.000346,0.01636\n",
                                 (vly_imu_reader_opts){.label = "activity"});

    assert_string_equal(o->report.format, "csv");
    assert_string_equal(o->columns, "label,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
    check_units(o, "m/s2", "rad/s", "none");
    assert_true(o->report.is_acc_unit_guessed && o->report.is_gyro_unit_guessed);
    assert_true(o->report.is_rate_assumed && !o->report.is_rate_guessed);
    assert_true(o->report.rate_hz == 80);
    assert_int_equal(o->n, 2);
    check_reading(o, 0, 0, 0.148915, 4.705827, 8.557376, -0.01343, -0.001028, 0.017995);
    check_reading(o, 1, 12500, 0.202848, 4.666829, 8.485154, -0.027897, -0.000346, 0.01636);
    assert_true(o->labels[0] == 0 && o->labels[1] == 1);
}

static void reads_loggers(void **state)
{
    (void)state;
    const outcome *o = read_text("\"Time (s)\",\"Acceleration x (m/s^2)\",\"Acceleration y (m/s^2)"
                                 "\",\"Acceleration z (m/s^2)\",\"Absolute acceleration (m/s^2)\"\n"
                                 "-2.5E-3,0,0,9.75,9.75\n7.5E-3,1,0,9.75,9.8\n");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z,-");
    check_units(o, "m/s2", "none", "s");
    assert_false(o->report.is_acc_unit_guessed || o->report.is_time_unit_guessed);
    assert_true(o->report.rate_hz == 100);
    check_reading(o, 0, -2500, 0, 0, 9.75, 0, 0, 0);
    check_reading(o, 1, 7500, 1, 0, 9.75, 0, 0, 0);

    /* Physics Toolbox: a is linear, in m/s^2, gF is with gravity */
    o = read_text("time;gFx;gFy;gFz;ax;ay;az;wx;wy;wz\n"
                  "0,000;0,0;0,0;1,0;0,1;0,2;0,3;0,5;0;0\n0,010;0,5;0,0;1,0;0;0;0;0;0;-0,25\n");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z,-,-,-,gyro_x,gyro_y,gyro_z");
    check_units(o, "g", "rad/s", "s");
    check_reading(o, 1, 10000, 0.5 * 9.80665, 0, 9.80665, 0, 0, -0.25);

    /* Sensor Logger: epoch in ns, axes backwards */
    o = read_text("time,seconds_elapsed,z,y,x\n1699999999123456789,0.1,9.8,0.5,0.25\n"
                  "1699999999133456789,0.11,9.8,0.5,0.25\n");
    assert_string_equal(o->columns, "time,-,acc_z,acc_y,acc_x");
    check_units(o, "m/s2", "none", "ns");
    assert_true(o->report.rate_hz == 100);
    check_reading(o, 0, 1699999999123457, 0.25, 0.5, 9.8, 0, 0, 0);
    check_reading(o, 1, 1699999999133457, 0.25, 0.5, 9.8, 0, 0, 0);

    o = read_text("timestamp_ms\tacc_x_g\tacc_y_g\tacc_z_g\tgyro_x_dps\tgyro_y_dps\tgyro_z_dps\r\n"
                  "1000\t0\t0\t1\t180\t0\t0\r\n1020\t0\t0\t1\t0\t0\t0\r\n");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
    check_units(o, "g", "deg/s", "ms");
    assert_false(o->report.is_gyro_unit_guessed || o->report.is_time_unit_guessed);
    check_reading(o, 0, 1000000, 0, 0, 9.80665, 3.14159265358979, 0, 0);
}

static void reads_without_header(void **state)
{
    (void)state;
    const outcome *o = read_text("0.29,0.00,9.22\n0.29,0.29,9.32\n");
    assert_string_equal(o->columns, "acc_x,acc_y,acc_z");
    check_reading(o, 1, 12500, 0.29, 0.29, 9.32, 0, 0, 0);

    o = read_text("100,1,0,9\n120,2,0,9\n140,1,0,9\n");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z");
    check_units(o, "m/s2", "none", "ms");
    assert_true(o->report.is_time_unit_guessed && o->report.is_rate_guessed);
    assert_true(o->report.rate_hz == 50);
    check_reading(o, 2, 140000, 1, 0, 9, 0, 0, 0);

    o = read_text("0,1,0,9,1,2,3\n1,2,0,9,1,2,3\n2,1,0,9,1,2,3\n"); /* counts its rows */
    assert_string_equal(o->columns, "-,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
    check_reading(o, 2, 25000, 1, 0, 9, 1, 2, 3);

    o = read_text("1,0.00,2,0,9\n2,0.01,1,0,9\n3,0.02,2,0,9\n");
    assert_string_equal(o->columns, "-,time,acc_x,acc_y,acc_z");
    check_reading(o, 2, 20000, 2, 0, 9, 0, 0, 0);

    o = read_text("2,1,0,9,1,2,3\n2,2,0,9,1,2,3\n"); /* a label */
    assert_string_equal(o->columns, "-,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
}

static void reads_what_it_is_told(void **state)
{
    (void)state;
    const outcome *o =
        read_with("a,b,c,d,e\n1,2,3,4,5\n6,7,8,9,10\n",
                  (vly_imu_reader_opts){.columns = VLY_STR("acc_z,kind,acc_y,-,acc_x"),
                                        .label = "kind",
                                        .acc_unit = VLY_STR("m/s^2"),
                                        .rate_hz = 50});
    assert_string_equal(o->columns, "acc_z,label,acc_y,-,acc_x");
    assert_false(o->report.is_acc_unit_guessed || o->report.is_rate_assumed);
    assert_int_equal(o->n, 2);
    check_reading(o, 1, 20000, 10, 8, 6, 0, 0, 0);
    assert_true(o->labels[1] == 7);

    o = read_with("t,ax,ay,az\n0,0,0,9\n1000,0,0,9\n",
                  (vly_imu_reader_opts){.rate_hz = 100, .is_rate_forced = true});
    check_reading(o, 1, 10000, 0, 0, 9, 0, 0, 0);
    o = read_with("t|ax|ay|az\n0|0|0|9\n1000|0|0|9\n",
                  (vly_imu_reader_opts){.delimiter = '|', .time_unit = VLY_STR("us")});
    check_reading(o, 1, 1000, 0, 0, 9, 0, 0, 0);
}

/* A message of a stream: nothing to guess from, so nothing is. */
static void reads_pieces(void **state)
{
    (void)state;
    const vly_imu_reader_opts piece = {.is_piece = true, .rate_hz = 50};
    const outcome *o = read_with("t,ax,ay,az,gx,gy,gz\n1000,0,0,1,9,0,0\n", piece);
    check_units(o, "m/s2", "rad/s", "ms");
    assert_false(o->report.is_acc_unit_guessed || o->report.is_gyro_unit_guessed);
    check_reading(o, 0, 1000000, 0, 0, 1, 9, 0, 0);
    o = read_with("t_s,ax_g,ay_g,az_g\n1000,0,0,1\n", piece);
    check_units(o, "g", "none", "s");
    check_reading(o, 0, 1000000000, 0, 0, 9.80665, 0, 0, 0);
    o = read_with("t,ax,ay,az\n1.00,0,0,9\n1.02,0,0,9\n", piece); /* two rows show the step */
    check_units(o, "m/s2", "none", "s");
    o = read_with("0,0,1\n0,0,1\n", piece);
    check_reading(o, 1, 20000, 0, 0, 1, 0, 0, 0);
}

static void counts_faults(void **state)
{
    (void)state;
    const outcome *o =
        read_text("# made by hand\n# today\n\nt,x,y,z\n0.00,0,0,9.5\n0.01,nan,0,9.5\n"
                  "0.02,0,,9.5\n0.03,0,0,9.5\n0.04,0,0,1e9\n0.05,0,0\n"
                  "0.06,-Inf,0,9.5\nx,0,0,9.5\n1e300,0,0,9.5\n0.09,0,0,9");

    assert_int_equal(o->n, 3);
    assert_int_equal(o->report.n_rows, 10);
    assert_int_equal(o->report.n_faults[VLY_IMU_NOT_A_NUMBER], 3);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_NOT_A_NUMBER], 7);
    assert_int_equal(o->report.n_faults[VLY_IMU_NOT_FINITE], 2);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_NOT_FINITE], 6);
    assert_int_equal(o->report.n_faults[VLY_IMU_OUT_OF_RANGE], 2);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_OUT_OF_RANGE], 9);
    check_reading(o, 2, 90000, 0, 0, 9, 0, 0, 0);

    o = read_text("x,y,z\n0,0,9\n,,\n1,0,9\n"); /* without times a row that is left out is a hole */
    check_reading(o, 1, 25000, 1, 0, 9, 0, 0, 0);
}

static void reads_dates(void **state)
{
    (void)state;
    /* date -u -d 2023-02-17T12:32:16Z +%s: 1676637136; 2024-02-29: 1709208000 at noon */
    const outcome *o = read_text("time,ax,ay,az\n2023-02-17T12:32:16.250Z,0,0,9\n"
                                 "2023-02-17T13:32:16.2600009+01:00,0,0,9\n"
                                 "2023-02-17 05:02:16.270-07:30,0,0,9\n2024/02/29 12:00:00,0,0,9\n"
                                 "2023-02-17T12:32,0,0,9\n2023-13-17T12:32:16Z,0,0,9\n"
                                 "2023-02-17T12:32:16.250X,0,0,9\n");
    check_units(o, "m/s2", "none", "s");
    assert_int_equal(o->n, 4);
    assert_int_equal(o->report.n_faults[VLY_IMU_NOT_A_NUMBER], 3);
    check_reading(o, 0, 1676637136250000, 0, 0, 9, 0, 0, 0);
    check_reading(o, 1, 1676637136260000, 0, 0, 9, 0, 0, 0);
    check_reading(o, 2, 1676637136270000, 0, 0, 9, 0, 0, 0);
    check_reading(o, 3, 1709208000000000, 0, 0, 9, 0, 0, 0);
    o = read_text("12:00:00.00,0,0,9\n12:00:00.02,0,1,9\n12:00:00.04,0,0,9\n");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z");
    check_reading(o, 1, INT64_C(43200020000), 0, 1, 9, 0, 0, 0);
    assert_true(o->report.rate_hz == 50);
}

/* A recording of n rows: times by `step` from `first` on; |a| = length and |g| = rotation, in
 * directions that swing. */
static const outcome *read_made(const char *head, size_t n, double first, double step,
                                double length, double swing, double rotation)
{
    static char text[1 << 16];
    size_t at = (size_t)snprintf(text, sizeof(text), "%s\n", head);

    for (size_t i = 0; i < n; i++) {
        double c = i % 2 == 0 ? 0.6 : 0.8, s = i % 2 == 0 ? 0.8 : 0.6;
        double l = length + (i % 4 < 2 ? swing : -swing);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%.9g,%g,%g,0,%g,%g,0\n",
                               first + (double)i * step, c * l, s * l, c * rotation, s * rotation);
        assert_true(at < sizeof(text));
    }
    read_in(vly_str_from(text), 1000, (vly_imu_reader_opts){0}, &the_outcome);
    return &the_outcome;
}

#define PLAIN_HEAD "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"

static void guesses_units(void **state)
{
    (void)state;
    check_units(read_made(PLAIN_HEAD, 300, 0, 0.0125, 9.8, 0, 0.05), "m/s2", "rad/s", "s");
    check_units(read_made(PLAIN_HEAD, 300, 0, 0.0125, 1, 0, 0.05), "g", "rad/s", "s");
    check_units(read_made(PLAIN_HEAD, 300, 0, 12.5, 1.1, 0.5, 60), "g", "deg/s", "ms");
    check_units(read_made(PLAIN_HEAD, 300, 0, 12500, 11, 5, 3), "m/s2", "rad/s", "us");
    check_units(read_made(PLAIN_HEAD, 300, 1e9, 12.5e6, 9.8, 0.01, 1.5), "m/s2", "deg/s", "ns");
    assert_true(the_outcome.report.is_acc_unit_guessed && the_outcome.report.is_gyro_unit_guessed);
    assert_true(the_outcome.report.is_time_unit_guessed && the_outcome.report.is_rate_guessed);
    assert_true(fabs(the_outcome.report.rate_hz - 80) < 1e-6);
    assert_int_equal(the_outcome.n, 300);
    /* 2 Hz is no rate, but ms it is: the unit is named */
    check_units(read_made("time_ms,ax,ay,az,gx,gy,gz", 40, 0, 500, 9.8, 0, 0), "m/s2", "rad/s",
                "ms");
    assert_true(the_outcome.report.rate_hz == 2);
    /* a clock of whole seconds tells nothing of the rate */
    check_units(read_made(PLAIN_HEAD, 40, 1700000000, 0, 9.8, 0, 0), "m/s2", "rad/s", "none");
    assert_true(the_outcome.report.is_rate_assumed);
    assert_string_equal(the_outcome.columns, "-,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z");
}

static void refuses_without_gravity(void **state)
{
    (void)state;
    static const struct {
        const char *head, *message;
        double length, swing;
    } rows[] = {
        {PLAIN_HEAD,
         "acceleration of about 0.25 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; steps need "
         "the acceleration with gravity, not the linear one",
         0.25, 0},
        {PLAIN_HEAD,
         "acceleration of about 4 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; steps need "
         "the acceleration with gravity, not the linear one",
         3, 1},
        {PLAIN_HEAD,
         "acceleration of about 980 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; if it is "
         "right, say its unit",
         980, 0},
        {"time,linear_acc_x,linear_acc_y,linear_acc_z,gyro_x,gyro_y,gyro_z",
         "acceleration of about 9 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; steps need the "
         "acceleration with gravity, not the linear one",
         9, 0},
        {"time,acc_x (g),acc_y (g),acc_z (g),gyro_x,gyro_y,gyro_z",
         "acceleration of about 9.8 g in the first rows: expected 9.8 m/s2 or 1 g; if it is right, "
         "say its unit",
         9.8, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const outcome *o = read_made(rows[i].head, 40, 0, 0.01, rows[i].length, rows[i].swing, 0);
        assert_int_equal(o->status, VLY_EFORMAT);
        assert_string_equal(o->err.msg, rows[i].message);
    }
    /* Who says the unit is not questioned. */
    const outcome *o = read_with("ax,ay,az\n0.1,0,0\n0.1,0,0\n",
                                 (vly_imu_reader_opts){.acc_unit = VLY_STR("m/s2")});
    assert_int_equal(o->n, 2);
}

static void reads_names(void **state)
{
    (void)state;
    static const struct {
        const char *header, *columns, *acc_unit, *gyro_unit;
    } rows[] = {
        {"ax,ay,az,wx,wy,wz,x", "acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,-", NULL, NULL},
        {"index,Timestamp,x-axis (g),y-axis (g),z-axis (g)", "-,time,acc_x,acc_y,acc_z", "g", NULL},
        {"t_ms,a_x,a_y,a_z,g_x,g_y,g_z", "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z", NULL, NULL},
        {"x_acc,y_acc,z_acc,x_gyro,y_gyro,z_gyro", "acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z", NULL,
         NULL},
        {"loggingTime(txt),accelerometerTimestamp_sinceReboot(s),accelerometerAccelerationX(G),"
         "accelerometerAccelerationY(G),accelerometerAccelerationZ(G),gyroRotationX(rad/s),"
         "gyroRotationY(rad/s),gyroRotationZ(rad/s)",
         "-,time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z", "g", "rad/s"},
        {"Time (s),Gyroscope x (\xc2\xb0/s),Gyroscope y (\xc2\xb0/s),Gyroscope z (\xc2\xb0/s),"
         "Acc_X [m/s\xc2\xb2],Acc_Y [m/s\xc2\xb2],Acc_Z [m/s\xc2\xb2],Azimuth,Yaw,Activity",
         "time,gyro_x,gyro_y,gyro_z,acc_x,acc_y,acc_z,-,-,label", "m/s2", "deg/s"},
        {"PacketCounter,SampleTimeFine,Acc_X,Acc_Y,Acc_Z,Gyr_X,Gyr_Y,Gyr_Z,Mag_X,Mag_Y,Mag_Z",
         "-,time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,-,-,-", NULL, NULL},
        {"time,gravity_x,gravity_y,gravity_z,accelerometer_x,accelerometer_y,accelerometer_z",
         "time,-,-,-,acc_x,acc_y,acc_z", NULL, NULL},
        {"ACCELEROMETER X (m/s\xc2\xb2);ACCELEROMETER Y (m/s\xc2\xb2);ACCELEROMETER Z "
         "(m/s\xc2\xb2);"
         "LINEAR ACCELERATION X;LINEAR ACCELERATION Y;LINEAR ACCELERATION Z;YYYY-MO-DD "
         "HH-MI-SS_SSS",
         "acc_x,acc_y,acc_z,-,-,-,-", "m/s2", NULL},
    };
    char text[1024];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_semicolon = strchr(rows[i].header, ';') != NULL;
        size_t at = (size_t)snprintf(text, sizeof(text), "%s\n", rows[i].header);
        for (const char *c = rows[i].columns; *c != '\0'; c++)
            if (*c == ',')
                at += (size_t)snprintf(text + at, sizeof(text) - at, is_semicolon ? "1;" : "1,");
        snprintf(text + at, sizeof(text) - at, "1\n");
        const outcome *o = read_with(text, (vly_imu_reader_opts){.label = "activity"});
        assert_string_equal(o->columns, rows[i].columns);
        if (rows[i].acc_unit != NULL)
            assert_string_equal(o->report.acc_unit, rows[i].acc_unit);
        assert_int_equal(o->report.is_acc_unit_guessed, rows[i].acc_unit == NULL);
        if (rows[i].gyro_unit != NULL)
            assert_string_equal(o->report.gyro_unit, rows[i].gyro_unit);
    }
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "x,y,z\n0,0,9\n", "{\"rate\":50,\"readings\":[[0,0,9]]}",
        ("VIMU\1\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
         "\0\0\0\0\0\0\0\0\0\0\x10\x41")};
    const size_t lens[] = {strlen(texts[0]), strlen(texts[1]), 48};

    for (size_t i = 0; i < 3; i++) {
        int64_t n = 0;
        do {
            vly_mem_fail_after(n);
            read_in((vly_str){texts[i], lens[i]}, 7, (vly_imu_reader_opts){0}, &the_outcome);
            vly_mem_fail_after(-1);
            if (the_outcome.status != VLY_OK && the_outcome.status != VLY_ENOMEM)
                fail_msg("%zu, %d: %s", i, (int)n, the_outcome.err.msg);
        } while (the_outcome.status != VLY_OK && n++ < 50);
        assert_true(n > 1 && n < 50);
        assert_int_equal(the_outcome.n, 1);
    }
}

static void reads_json(void **state)
{
    (void)state;
    const outcome *o = read_text("{\"rate\":50,\"readings\":[[1,2,3,4,5,6],[7,8,9,10,11,12]]}");
    assert_string_equal(o->report.format, "json");
    check_units(o, "m/s2", "rad/s", "none");
    assert_false(o->report.is_acc_unit_guessed || o->report.is_gyro_unit_guessed);
    check_reading(o, 1, 20000, 7, 8, 9, 10, 11, 12);

    o = read_text("{\"readings\":[[0.5,1,2,3,4,5,6],[0.52,7,8,9,10,11,12]]}");
    check_reading(o, 1, 520000, 7, 8, 9, 10, 11, 12);
    assert_true(fabs(o->report.rate_hz - 50) < 1e-9);

    o = read_text(" [{\"accel_x\":1,\"accel_y\":2,\"accel_z\":9,\"gyro_x\":0.5,\"gyro_y\":0,"
                  "\"gyro_z\":0,\"timestamp\":1699999999.0125},{\"timestamp\":1699999999.025,"
                  "\"gyro_x\":1,\"gyro_y\":0,\"gyro_z\":0,\"accel_y\":2,\"accel_z\":9,"
                  "\"accel_x\":2}]");
    check_reading(o, 0, 1699999999012500, 1, 2, 9, 0.5, 0, 0);
    check_reading(o, 1, 1699999999025000, 2, 2, 9, 1, 0, 0);

    o = read_text("\xef\xbb\xbf{\"acc\":[[1,2,9],[2,2,9]],\"gyro\":[[0,1,0],[0,2,0]],"
                  "\"t\":[0,20],\"time_unit\":\"ms\"}");
    check_reading(o, 1, 20000, 2, 2, 9, 0, 2, 0);

    o = read_text("{\"acc\":[1,2,9],\"gyro\":{\"x\":1,\"y\":2,\"z\":3},\"t\":7}");
    check_reading(o, 0, 7000000, 1, 2, 9, 1, 2, 3);

    o = read_text("{\"accel_x\":[1,2],\"accel_y\":[1,2],\"accel_z\":[9,8]}");
    check_reading(o, 1, 12500, 2, 2, 8, 0, 0, 0);

    o = read_text("{\"columns\":[\"time\",\"az\",\"ay\",\"ax\"],\"acc_unit\":\"g\","
                  "\"readings\":[[0,1,0,0],[0.01,1,0,null],[0.02,NaN,0,0],[0.03,1,0,0.5]]}");
    assert_int_equal(o->n, 2);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_NOT_A_NUMBER], 2);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_NOT_FINITE], 3);
    check_reading(o, 1, 30000, 0.5 * 9.80665, 0, 9.80665, 0, 0, 0);
}

static void reads_packets(void **state)
{
    (void)state;
    vly_imu_reading r[100];
    vly_buf out;

    memset(r, 0, sizeof(r));
    for (int64_t i = 0; i < 100; i++)
        r[i] = (vly_imu_reading){5000000 + i * 10000, {1, (float)i, 9}, {0, 0, (float)i / 8}};
    r[7].acc[1] = NAN;
    r[70].gyro[1] = 100;
    vly_buf_init(&out, VLY_MEM_CODEC, 1 << 16);
    const vly_imu_packet_opts opts = {.has_gyro = true, .period_us = 10000};
    assert_int_equal(vly_imu_packet_write(&opts, r, 60, &out, NULL), VLY_OK);
    assert_int_equal(vly_imu_packet_write(&opts, r + 60, 40, &out, NULL), VLY_OK);
    for (size_t step = 1; step < 5000; step = step * 3 + 1) {
        read_in(vly_buf_str(&out), step, (vly_imu_reader_opts){0}, &the_outcome);
        assert_int_equal(the_outcome.status, VLY_OK);
        assert_string_equal(the_outcome.report.format, "packets");
        check_units(&the_outcome, "m/s2", "rad/s", "us");
        assert_int_equal(the_outcome.n, 98);
        assert_true(the_outcome.report.rate_hz == 100);
        assert_int_equal(the_outcome.report.first_fault_line[VLY_IMU_NOT_FINITE], 8);
        assert_int_equal(the_outcome.report.first_fault_line[VLY_IMU_OUT_OF_RANGE], 71);
        check_reading(&the_outcome, 63, 5640000, 1, 64, 9, 0, 0, 8);
        assert_int_equal(the_outcome.last_us, 5990000);
    }
    for (size_t n = 4; n < out.len; n += 97) {
        read_in((vly_str){out.ptr, n}, 50, (vly_imu_reader_opts){0}, &the_outcome);
        assert_int_equal(the_outcome.status, n == 60 * 24 + 36 ? VLY_OK : VLY_EFORMAT);
    }
    vly_buf_release(&out);
}

static void check_refused(vly_str text, vly_imu_reader_opts opts, vly_status want,
                          const char *message)
{
    for (size_t step = 1; step < 4096; step += 1023) {
        read_in(text, step, opts, &the_outcome);
        if (the_outcome.status != want || strcmp(the_outcome.err.msg, message) != 0)
            fail_msg("'%.*s': %s", text.len < 40 ? (int)text.len : 40, text.ptr,
                     the_outcome.err.msg);
    }
}

static void refuses(void **state)
{
    (void)state;
    const vly_imu_reader_opts opts = {0};

    check_refused(VLY_STR(""), opts, VLY_EFORMAT, "it is empty");
    check_refused(VLY_STR("t,x,y,z\n"), opts, VLY_EFORMAT, "no rows with data in it");
    check_refused(VLY_STR("\n\n"), opts, VLY_EFORMAT, "no rows with data in it");
    check_refused(VLY_STR("t,x,y\n0,0,0\n"), opts, VLY_EFORMAT,
                  "line 1: names of columns: expected a column for acc_z, found none");
    check_refused(VLY_STR("lat,lon,alt\n0,0,0\n"), opts, VLY_EFORMAT,
                  "line 1: names of columns: expected a column for acc_x, found none");
    check_refused(VLY_STR("ax,ay,az,gx\n0,0,9,0\n"), opts, VLY_EFORMAT,
                  "line 1: names of columns: expected a column for gyro_y, found none");
    check_refused(VLY_STR("1,2\n3,4\n"), opts, VLY_EFORMAT,
                  "line 1: expected columns of an acceleration, x, y and z, got 2 with numbers: "
                  "not a recording of motion");
    check_refused(VLY_STR("\x89PNG\r\n\x1a\n\0\0\0"), opts, VLY_EFORMAT,
                  "line 1: names of columns: expected a column for acc_x, found none");
    check_refused(VLY_STR("x,y,z\n\0\1\2\3"), opts, VLY_EFORMAT,
                  "line 2: NUL byte: not a text file");
    check_refused(VLY_STR("x,y,z\nnan,0,0\n"), opts, VLY_EFORMAT,
                  "no reading in 1 rows; line 2 is the first that is not finite");
    check_refused(VLY_STR("{\"readings\":[[1,2,3]"), opts, VLY_EFORMAT,
                  "not JSON: unexpected end of data at byte 20");
    check_refused(VLY_STR("{\"readings\":[]}"), opts, VLY_EFORMAT, "no rows with data in it");
    check_refused(VLY_STR("{\"readings\":7}"), opts, VLY_EFORMAT,
                  "'readings': expected an array, got raw");
    check_refused(VLY_STR("[[1,2,9],{\"x\":1}]"), opts, VLY_EFORMAT,
                  "reading 2: expected an array, got object");
    check_refused(VLY_STR("{\"rate\":0,\"readings\":[]}"), opts, VLY_EFORMAT,
                  "'rate': expected 1 to 10000 Hz, got '0'");
    check_refused(VLY_STR("VIMU1234567890123456789012345678901234567890"), opts, VLY_EFORMAT,
                  "behind reading 0: imu packet: expected version 1, got 49");
    check_refused(VLY_STR("x,y,z\n0,0,9\n0,0,9\n"), (vly_imu_reader_opts){.max_readings = 1},
                  VLY_ELIMIT, "more than 1 readings");
    check_refused(VLY_STR("[[0,0,9],[0,0,9]]"), (vly_imu_reader_opts){.max_json_bytes = 10},
                  VLY_ELIMIT,
                  "a JSON recording that takes more than 10 bytes of memory; send CSV or packets");
    check_refused(VLY_STR("x"), (vly_imu_reader_opts){.rate_hz = 0.5}, VLY_EINVAL,
                  "rate: expected 1 to 10000 Hz, got 0.5");
    check_refused(VLY_STR("x"), (vly_imu_reader_opts){.columns = VLY_STR("acc_x,acc_y,acc")},
                  VLY_EINVAL, "columns: expected time, acc_x .. gyro_z or -, got 'acc'");
    check_refused(VLY_STR("x"), (vly_imu_reader_opts){.columns = VLY_STR("acc_x,acc_y,acc_x")},
                  VLY_EINVAL, "columns: 'acc_x' is there twice");
    check_refused(VLY_STR("x"), (vly_imu_reader_opts){.acc_unit = VLY_STR("furlong")}, VLY_EINVAL,
                  "unit of acceleration: expected m/s2 or g, got 'furlong'");
}

/* "[" n times, what, "]" n times. */
static vly_str nested(size_t n, const char *what, char *text)
{
    memset(text, '[', n);
    memcpy(text + n, what, strlen(what));
    size_t len = n + strlen(what);
    memset(text + len, ']', n);
    return (vly_str){text, len + n};
}

static void json_is_bounded(void **state)
{
    (void)state;
    static char text[1 << 16];
    const vly_imu_reader_opts opts = {.max_json_bytes = 1 << 16, .max_json_depth = 4};
    const char *too_large =
        "a JSON recording that takes more than 65536 bytes of memory; send CSV or packets";

    /* Each value takes 16 bytes of yyjson's document, whatever its text: 2 bytes here. */
    memset(text, '[', 1);
    for (size_t i = 1; i < 8000; i += 2)
        memcpy(text + i, "0,", 2);
    memcpy(text + 7999, "0]", 2);
    check_refused((vly_str){text, 8001}, opts, VLY_ELIMIT, too_large);
    check_refused((vly_str){text, 8001}, (vly_imu_reader_opts){.max_json_bytes = 1 << 18},
                  VLY_EFORMAT, "reading 1: expected an array, got raw");

    check_refused(nested(5, "0", text), opts, VLY_ELIMIT, "JSON nested deeper than 4");
    check_refused(
        nested(4, "0", text), opts, VLY_EFORMAT,
        "line 1: expected columns of an acceleration, x, y and z, got 0 with numbers: not "
        "a recording of motion");
    check_refused(nested(33, "", text), (vly_imu_reader_opts){0}, VLY_ELIMIT,
                  "JSON nested deeper than 32");
    read_text("[{\"note\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\",\"acc\":[0,0,9]}]");
}

static void names_stand_beside_arrays_only(void **state)
{
    (void)state;
    static char text[4096];
    const outcome *o = read_text(
        "{\"columns\":[\"ax\",\"ay\",\"az\"],\"readings\":[{\"az\":9,\"ay\":2,\"ax\":1}]}");

    check_reading(o, 0, 0, 1, 2, 9, 0, 0, 0);
    o = read_text("{\"columns\":[\"ax\",\"ay\",\"az\"],\"az\":[9,8],\"ay\":[2,2],\"ax\":[1,1]}");
    check_reading(o, 1, 12500, 1, 2, 8, 0, 0, 0);

    int n = snprintf(text, sizeof(text), "{\"columns\":[\"ax\",\"ay\",\"az\"");
    for (int i = 0; i < 62; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"c%d\"", i);
    snprintf(text + n, sizeof(text) - (size_t)n, "],\"readings\":[[1,2,9]]}");
    check_refused(vly_str_from(text), (vly_imu_reader_opts){0}, VLY_ELIMIT,
                  "'columns': more than 64 names");
}

/* Blanks in front change neither the form nor the number of a line, and a tab is a cell. */
static void reads_behind_blanks(void **state)
{
    (void)state;
    const outcome *o = read_text("\r\n \n\t{\"readings\":[[1,2,9]]}");
    assert_string_equal(o->report.format, "json");
    check_reading(o, 0, 0, 1, 2, 9, 0, 0, 0);

    o = read_text(" \t \r\n\n  x,y,z\n1,2,9\n1,2\n");
    assert_string_equal(o->report.format, "csv");
    check_reading(o, 0, 0, 1, 2, 9, 0, 0, 0);
    assert_int_equal(o->report.first_fault_line[VLY_IMU_NOT_A_NUMBER], 5);

    o = read_text("\tx\ty\tz\n0\t1\t2\t9\n1\t1\t2\t8\n");
    assert_string_equal(o->columns, "-,acc_x,acc_y,acc_z");
    check_reading(o, 1, 12500, 1, 2, 8, 0, 0, 0);

    static char many[5000];
    memset(many, '\n', sizeof(many));
    check_refused((vly_str){many, sizeof(many)}, (vly_imu_reader_opts){0}, VLY_EFORMAT,
                  "no rows with data in it");
}

/* 300 rows; rotation from row `from` on. */
static const char *rows_with_gyro_from(int from)
{
    static char text[16384];
    int n = snprintf(text, sizeof(text), "t,ax,ay,az,gx,gy,gz\n");

    for (int i = 0; i < 300; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%d,0,0,9.8,%s\n", i * 20,
                      i < from ? ",," : "0.1,0.2,0.1");
    return text;
}

static void tells_of_a_late_gyroscope(void **state)
{
    (void)state;
    const outcome *o = read_text(rows_with_gyro_from(256));
    assert_string_equal(o->report.gyro_unit, "none");
    assert_string_equal(o->columns, "time,acc_x,acc_y,acc_z,-,-,-");
    assert_int_equal(o->n, 300);
    assert_int_equal(o->report.n_late_gyro, 44);

    o = read_text(rows_with_gyro_from(300));
    assert_string_equal(o->report.gyro_unit, "none");
    assert_int_equal(o->report.n_late_gyro, 0);

    o = read_text(rows_with_gyro_from(255)); /* rows without it have a fault */
    assert_string_equal(o->report.gyro_unit, "rad/s");
    assert_int_equal(o->n, 45);
    assert_int_equal(o->report.n_late_gyro, 0);
}

static void tells_g_from_linear(void **state)
{
    (void)state;
    static char text[4096];
    static const struct {
        const char *z, *message;
    } cases[] = {
        {"1.01", "acceleration of about 1.01 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; it "
                 "looks like g: say its unit"},
        {"0.1", "acceleration of about 0.1 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; steps "
                "need the acceleration with gravity, not the linear one"},
        {"100", "acceleration of about 100 m/s2 in the first rows: expected 9.8 m/s2 or 1 g; if it "
                "is right, say its unit"},
    };

    for (size_t k = 0; k < VLY_COUNT(cases); k++) {
        int n = snprintf(text, sizeof(text), "[");
        for (int i = 0; i < 40; i++)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "%s[0,0,%s]", i > 0 ? "," : "",
                          cases[k].z);
        snprintf(text + n, sizeof(text) - (size_t)n, "]");
        check_refused(vly_str_from(text), (vly_imu_reader_opts){0}, VLY_EFORMAT, cases[k].message);
    }
}

static void reads_the_recordings(void **state)
{
    (void)state;
    static char bytes[4 << 20];
    FILE *f = fopen(
        unit_shared("data/steps/raw/person_5/ClippedawindaRecording_20230217123216.csv"), "rb");

    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    read_in((vly_str){bytes, n}, 65536, (vly_imu_reader_opts){.label = "Activity"}, &the_outcome);
    assert_int_equal(the_outcome.status, VLY_OK);
    assert_int_equal(the_outcome.n, 35055);
    assert_int_equal(the_outcome.n_labels, 35055);
    assert_int_equal(the_outcome.last_us, INT64_C(35054) * 12500);
    check_units(&the_outcome, "m/s2", "rad/s", "none");
}

UNIT_TESTS(cmocka_unit_test(reads_simul), cmocka_unit_test(reads_loggers),
           cmocka_unit_test(reads_without_header), cmocka_unit_test(reads_what_it_is_told),
           cmocka_unit_test(reads_pieces), cmocka_unit_test(counts_faults),
           cmocka_unit_test(reads_dates), cmocka_unit_test(guesses_units),
           cmocka_unit_test(refuses_without_gravity), cmocka_unit_test(reads_names),
           cmocka_unit_test(survives_every_failing_allocation), cmocka_unit_test(reads_json),
           cmocka_unit_test(json_is_bounded), cmocka_unit_test(names_stand_beside_arrays_only),
           cmocka_unit_test(reads_behind_blanks), cmocka_unit_test(tells_of_a_late_gyroscope),
           cmocka_unit_test(tells_g_from_linear), cmocka_unit_test(reads_packets),
           cmocka_unit_test(refuses), cmocka_unit_test(reads_the_recordings))

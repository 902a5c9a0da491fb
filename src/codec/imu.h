/* SPDX-License-Identifier: MIT */
/*
 * A reading of an inertial sensor (IMU), and recordings of them as bytes.
 *
 * A recording comes as CSV or TSV, JSON, or packets (codec/imu_packet.h); the first bytes tell
 * which. What the bytes leave open is guessed, and the guess is reported: which column is which
 * (by header, else by position), units (m/s^2 or g, rad/s or deg/s, s, ms, us or ns), the rate
 * (from the times; else 80 Hz is assumed and said to be). JSON is not guessed at: it is in m/s^2
 * and rad/s unless it says otherwise. Acceleration without gravity (linear) is refused: what the
 * names of columns say, or a median far from 9.8 m/s^2, unless the options say the unit.
 *
 * Nothing is dropped silently: a row without a number where one belongs, NaN, or a value that no
 * sensor gives is counted by kind, the first one of each with its line, and left out.
 */
#ifndef VLY_CODEC_IMU_H
#define VLY_CODEC_IMU_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VLY_IMU_GRAVITY  9.80665F           /* m/s^2 */
#define VLY_IMU_ACC_MAX  200.0F             /* m/s^2 on any axis; more is no hand-held motion */
#define VLY_IMU_GYRO_MAX 70.0F              /* rad/s: 4000 deg/s */
#define VLY_IMU_TIME_MAX (INT64_C(1) << 60) /* us from 0; the difference of two times fits, too */

/* Axes are the sensor's own, right-handed; any mounting will do. */
typedef struct vly_imu_reading {
    int64_t t_us;  /* by the source's clock; steps back and jumps are the receiver's to judge */
    float acc[3];  /* m/s^2, with gravity */
    float gyro[3]; /* rad/s; zeroes where the sensor has none */
} vly_imu_reading;

double vly_imu_length(const float v[3]); /* of the vector */

typedef enum vly_imu_fault {
    VLY_IMU_NOT_A_NUMBER, /* a cell that is none, or is missing */
    VLY_IMU_NOT_FINITE,   /* nan, inf */
    VLY_IMU_OUT_OF_RANGE, /* past the limits above, in the unit at hand */
    VLY_IMU_FAULTS,
} vly_imu_fault;

const char *vly_imu_fault_name(vly_imu_fault fault); /* "not_a_number" */
/* What is wrong with a reading that came as numbers; VLY_IMU_FAULTS: nothing. */
vly_imu_fault vly_imu_reading_fault(const vly_imu_reading *reading);

/* What was understood of the bytes. Strings live as long as the reader. */
typedef struct vly_imu_report {
    const char *format;    /* "csv", "json", "packets" */
    const char *acc_unit;  /* "m/s2", "g" */
    const char *gyro_unit; /* "rad/s", "deg/s"; "none": there is no gyroscope */
    const char *time_unit; /* "s", "ms", "us", "ns"; "none": counted by the rate */
    bool is_acc_unit_guessed, is_gyro_unit_guessed, is_time_unit_guessed, is_rate_guessed;
    bool is_rate_assumed; /* nothing in the bytes tells of it */
    double rate_hz;       /* median; 0 while not known */
    const char *columns;  /* "time,acc_x,...": what each column was taken for; "-": not used */
    uint64_t n_rows;      /* with data; n_rows = n_readings + sum of n_faults */
    uint64_t n_readings;
    /* Of them, those with a rotation that is left out, as the sensor had given none yet in the rows
     * from which gyro_unit was decided. */
    uint64_t n_late_gyro;
    uint64_t n_faults[VLY_IMU_FAULTS];
    /* Of the file, from 1; of JSON and packets the number of the reading. */
    uint64_t first_fault_line[VLY_IMU_FAULTS];
} vly_imu_report;

/* Whatever is 0, NULL or empty is guessed. */
typedef struct vly_imu_reader_opts {
    double rate_hz; /* 1 .. 10000; overrides the times of the file when is_rate_forced */
    bool is_rate_forced;
    vly_str columns; /* "time,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z,-" in the file's order */
    /* Of a stream, too short to guess from: what it does not say is m/s2 and rad/s, and of a single
     * row ms. */
    bool is_piece;
    vly_str acc_unit; /* as in the report */
    vly_str gyro_unit;
    vly_str time_unit;
    char delimiter;
    uint64_t max_readings; /* 0: no limit; ELIMIT past it */
    size_t max_json_bytes; /* of memory for a JSON recording, its text and its parsed form, which
                              are held whole; 0: 256 MiB; ELIMIT past it */
    size_t max_json_depth; /* of its nested arrays and objects; 0: 32; ELIMIT past it */
    /* Readings as they are complete, in pieces. A status other than VLY_OK ends the reading. */
    vly_status (*on_readings)(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err);
    /* Values of a column that was asked for in columns by another name ("activity"), one for each
     * reading, right after on_readings; NULL: there are no such columns. */
    const char *label; /* name of that column, as in the header or in columns; NULL: none */
    vly_status (*on_labels)(void *arg, const float *labels, size_t n, vly_err *err);
    void *arg;
} vly_imu_reader_opts;

typedef struct vly_imu_reader vly_imu_reader;

/* EINVAL: an option is wrong, ENOMEM. Owner: one thread at a time. */
vly_status vly_imu_reader_new(const vly_imu_reader_opts *opts, vly_imu_reader **ret,
                              vly_err *err) VLY_MUST_CHECK;
void vly_imu_reader_free(vly_imu_reader *r); /* accepts NULL */

/* Bytes in any pieces. EFORMAT: not a recording, with the line and what was expected; ELIMIT. After
 * an error only free is allowed. Guessing holds back the first rows (at most 256). */
vly_status vly_imu_reader_feed(vly_imu_reader *r, const void *bytes, size_t n,
                               vly_err *err) VLY_MUST_CHECK;
/* No more bytes follow. EFORMAT: cut short, or no reading in it at all. */
vly_status vly_imu_reader_end(vly_imu_reader *r, vly_err *err) VLY_MUST_CHECK;

/* Final after end. */
const vly_imu_report *vly_imu_reader_report(const vly_imu_reader *r);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Rows of cells to readings: the part of the IMU reader (codec/imu.h) that CSV and JSON share. The
 * first rows are held back until it is decided what the columns mean.
 *
 *     names of columns -> vly_imu_columns     rows -> held -> decided -> readings
 *
 * Private to the room.
 */
#ifndef VLY_CODEC_IMU_TABLE_H
#define VLY_CODEC_IMU_TABLE_H

#include "base/buf.h"
#include "base/decimal.h"
#include "codec/imu.h"

#define VLY_IMU_BATCH       256
#define VLY_IMU_HELD_ROWS   256
#define VLY_IMU_HELD_CELLS  16
#define VLY_IMU_COLUMNS_MAX 1024

/* ---- readings on their way out ---- */

typedef struct vly_imu_sink {
    const vly_imu_reader_opts *opts;
    vly_imu_report *report;
    size_t n;
    vly_imu_reading readings[VLY_IMU_BATCH];
    float labels[VLY_IMU_BATCH];
} vly_imu_sink;

vly_status vly_imu__put(vly_imu_sink *s, const vly_imu_reading *reading, float label,
                        vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu__flush(vly_imu_sink *s, vly_err *err) VLY_MUST_CHECK;
void vly_imu__count_fault(vly_imu_sink *s, vly_imu_fault fault, uint64_t line);

/* ---- what the columns are ---- */

typedef enum vly_imu_slot {
    VLY_IMU_SLOT_TIME,
    VLY_IMU_SLOT_ACC,      /* and two more */
    VLY_IMU_SLOT_GYRO = 4, /* and two more */
    VLY_IMU_SLOT_LABEL = 7,
    VLY_IMU_SLOTS,
} vly_imu_slot;

#define VLY_IMU_NO_COLUMN UINT16_MAX

typedef struct vly_imu_columns {
    uint16_t at[VLY_IMU_SLOTS]; /* which column, or VLY_IMU_NO_COLUMN */
    uint16_t n;                 /* columns in all */
    const char *acc_unit;       /* by their names; NULL: they do not tell */
    const char *gyro_unit;
    const char *time_unit;
    bool is_linear; /* acceleration without gravity, by its name */
} vly_imu_columns;

const char *vly_imu__slot_name(size_t slot); /* "acc_x" */
/* The unit as the report writes it; NULL: not one of this sensor's. */
const char *vly_imu__acc_unit(vly_str text);
const char *vly_imu__gyro_unit(vly_str text);
const char *vly_imu__time_unit(vly_str text);

/* By the header. label: the name of its column, or empty. EFORMAT: an axis is missing. */
vly_status vly_imu__columns_by_names(const vly_str *names, size_t n, vly_str label,
                                     vly_imu_columns *ret, vly_err *err) VLY_MUST_CHECK;
/* By "time,acc_x,...": EINVAL: a word that is none of these, an axis missing or named twice. */
vly_status vly_imu__columns_by_list(vly_str list, vly_str label, vly_imu_columns *ret,
                                    vly_err *err) VLY_MUST_CHECK;

/* A date and time, or a time of day, as seconds; false: neither. */
bool vly_imu__read_date(vly_str text, vly_decimal *ret);

/* ---- rows ---- */

typedef enum vly_imu_cell_kind {
    VLY_IMU_CELL_NONE, /* missing, or no number */
    VLY_IMU_CELL_NUMBER,
    VLY_IMU_CELL_NOT_FINITE,
} vly_imu_cell_kind;

typedef struct vly_imu_cell {
    vly_decimal decimal;
    double value;
    vly_imu_cell_kind kind;
} vly_imu_cell;

typedef struct vly_imu_row {
    uint64_t line;
    uint64_t number; /* of rows with data, from 0 */
    size_t n_cells;
    vly_imu_cell cells[VLY_IMU_HELD_CELLS]; /* by slot when the columns are known, else in order */
} vly_imu_row;

typedef struct vly_imu_table {
    const vly_imu_reader_opts *opts;
    vly_imu_sink *sink;
    vly_imu_report *report;
    vly_imu_columns columns;
    bool has_columns, is_decided;
    bool has_units;    /* what is not said is m/s2 and rad/s: not guessed */
    bool is_gyro_late; /* it has columns, and no value in the held rows */
    bool is_comma_ok;
    double told_rate_hz;                          /* by the bytes; 0: they do not tell */
    const char *acc_unit, *gyro_unit, *time_unit; /* by the options or the bytes, or NULL */
    double acc_scale, gyro_scale;
    int time_shift; /* power of ten from the unit to us */
    double rate_hz; /* of rows without a time */
    size_t n_held;
    vly_buf columns_text; /* of the report */
    vly_imu_row held[VLY_IMU_HELD_ROWS];
} vly_imu_table;

vly_status vly_imu__table_init(vly_imu_table *t, const vly_imu_reader_opts *opts,
                               vly_imu_sink *sink, vly_err *err) VLY_MUST_CHECK;
void vly_imu__table_release(vly_imu_table *t);
vly_status vly_imu__table_names(vly_imu_table *t, const vly_str *names, size_t n,
                                vly_err *err) VLY_MUST_CHECK;
vly_status vly_imu__table_row(vly_imu_table *t, const vly_str *cells, size_t n, uint64_t line,
                              vly_err *err) VLY_MUST_CHECK;
/* No more rows come. */
vly_status vly_imu__table_end(vly_imu_table *t, vly_err *err) VLY_MUST_CHECK;

/* The columns of a table without names, by what its held rows look like. */
vly_status vly_imu__guess_columns(vly_imu_table *t, vly_err *err) VLY_MUST_CHECK;
/* Units, the rate and what else the held rows tell. */
vly_status vly_imu__guess_units(vly_imu_table *t, vly_err *err) VLY_MUST_CHECK;

/* Of n values, which come out sorted; 0 of none. */
double vly_imu__median(double *v, size_t n);

/* A whole JSON text, into the table. text has VLY_IMU_JSON_PADDING more bytes behind it, and is
 * written to; n is at most the max_json_bytes of the options. */
#define VLY_IMU_JSON_PADDING 4
#define VLY_IMU_JSON_TOO_LARGE                                                                     \
    "a JSON recording that takes more than %zu bytes of memory; send CSV or packets"
vly_status vly_imu__read_json(char *text, size_t n, vly_imu_table *t, vly_err *err) VLY_MUST_CHECK;

#endif

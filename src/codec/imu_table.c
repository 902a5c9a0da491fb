/* SPDX-License-Identifier: MIT */
#include "codec/imu_table.h"

#include "base/assert.h"
#include "codec/csv.h"

#include <math.h>
#include <string.h>

/* ---- readings on their way out ---- */

vly_status vly_imu__flush(vly_imu_sink *s, vly_err *err)
{
    const vly_imu_reader_opts *o = s->opts;
    size_t n = s->n;

    s->n = 0;
    if (n == 0)
        return VLY_OK;
    vly_status st = o->on_readings(o->arg, s->readings, n, err);
    if (st == VLY_OK && o->on_labels != NULL && o->label != NULL)
        st = o->on_labels(o->arg, s->labels, n, err);
    return st;
}

vly_status vly_imu__put(vly_imu_sink *s, const vly_imu_reading *reading, float label, vly_err *err)
{
    if (s->opts->max_readings > 0 && s->report->n_readings == s->opts->max_readings)
        return vly_fail(err, VLY_ELIMIT, "more than %llu readings",
                        (unsigned long long)s->opts->max_readings);
    s->readings[s->n] = *reading;
    s->labels[s->n++] = label;
    s->report->n_readings++;
    return s->n == VLY_IMU_BATCH ? vly_imu__flush(s, err) : VLY_OK;
}

void vly_imu__count_fault(vly_imu_sink *s, vly_imu_fault fault, uint64_t line)
{
    if (s->report->n_faults[fault]++ == 0)
        s->report->first_fault_line[fault] = line;
}

/* ---- cells ---- */

static void read_cell(vly_str text, bool is_comma_ok, vly_imu_cell *ret)
{
    text = vly_str_trim(text);
    ret->kind = VLY_IMU_CELL_NUMBER;
    if (vly_decimal_parse(text, is_comma_ok, &ret->decimal)) {
        if (vly_decimal_to_f64(&ret->decimal, &ret->value) ||
            vly_csv_number(text, is_comma_ok ? ';' : ',', &ret->value))
            return;
    } else if (vly_str_to_f64(text, &ret->value)) { /* what is left are nan and inf */
        ret->kind = VLY_IMU_CELL_NOT_FINITE;
        return;
    } else if (vly_imu__read_date(text, &ret->decimal) &&
               vly_decimal_to_f64(&ret->decimal, &ret->value)) {
        return;
    }
    ret->kind = VLY_IMU_CELL_NONE;
}

/* The cells of a row: those of the slots, or while the columns are not known all of them. */
static void read_cells(const vly_imu_table *t, const vly_str *cells, size_t n, vly_imu_row *row)
{
    row->n_cells = t->has_columns ? VLY_IMU_SLOTS : n < VLY_IMU_HELD_CELLS ? n : VLY_IMU_HELD_CELLS;
    for (size_t i = 0; i < row->n_cells; i++) {
        size_t at = t->has_columns ? t->columns.at[i] : i;
        if (at < n)
            read_cell(cells[at], t->is_comma_ok, &row->cells[i]);
        else
            row->cells[i].kind = VLY_IMU_CELL_NONE;
    }
}

/* ---- rows, once it is decided what they are ---- */

static vly_imu_fault to_float(const vly_imu_cell *c, double scale, float max, float *ret)
{
    if (c->kind == VLY_IMU_CELL_NONE)
        return VLY_IMU_NOT_A_NUMBER;
    if (c->kind == VLY_IMU_CELL_NOT_FINITE)
        return VLY_IMU_NOT_FINITE;
    double v = c->value * scale;
    if (fabs(v) > (double)max)
        return VLY_IMU_OUT_OF_RANGE;
    *ret = (float)v;
    return VLY_IMU_FAULTS;
}

static vly_imu_fault to_time(const vly_imu_table *t, const vly_imu_row *row, int64_t *ret)
{
    const vly_imu_cell *c = &row->cells[VLY_IMU_SLOT_TIME];
    int64_t t_us = 0;

    if (t->columns.at[VLY_IMU_SLOT_TIME] == VLY_IMU_NO_COLUMN) {
        *ret = (int64_t)((double)row->number * 1e6 / t->rate_hz + 0.5);
        return VLY_IMU_FAULTS;
    }
    if (c->kind != VLY_IMU_CELL_NUMBER)
        return c->kind == VLY_IMU_CELL_NONE ? VLY_IMU_NOT_A_NUMBER : VLY_IMU_NOT_FINITE;
    if (!vly_decimal_to_i64(&c->decimal, t->time_shift, &t_us) || t_us > VLY_IMU_TIME_MAX ||
        t_us < -VLY_IMU_TIME_MAX)
        return VLY_IMU_OUT_OF_RANGE;
    *ret = t_us;
    return VLY_IMU_FAULTS;
}

static bool has_gyro(const vly_imu_table *t)
{
    return t->columns.at[VLY_IMU_SLOT_GYRO] != VLY_IMU_NO_COLUMN && !t->is_gyro_late;
}

static vly_imu_fault to_reading(const vly_imu_table *t, const vly_imu_row *row,
                                vly_imu_reading *ret)
{
    vly_imu_fault fault = to_time(t, row, &ret->t_us);

    for (int i = 0; i < 3 && fault == VLY_IMU_FAULTS; i++)
        fault = to_float(&row->cells[VLY_IMU_SLOT_ACC + i], t->acc_scale, VLY_IMU_ACC_MAX,
                         &ret->acc[i]);
    for (int i = 0; i < 3 && has_gyro(t) && fault == VLY_IMU_FAULTS; i++)
        fault = to_float(&row->cells[VLY_IMU_SLOT_GYRO + i], t->gyro_scale, VLY_IMU_GYRO_MAX,
                         &ret->gyro[i]);
    return fault;
}

static vly_status emit(vly_imu_table *t, const vly_imu_row *row, vly_err *err)
{
    const vly_imu_cell *label = &row->cells[VLY_IMU_SLOT_LABEL];
    vly_imu_reading reading = {.t_us = 0};
    VLY_ASSERT(row->n_cells == VLY_IMU_SLOTS);
    vly_imu_fault fault = to_reading(t, row, &reading);

    if (fault == VLY_IMU_FAULTS && t->is_gyro_late)
        t->report->n_late_gyro += row->cells[VLY_IMU_SLOT_GYRO].kind == VLY_IMU_CELL_NUMBER;
    if (fault == VLY_IMU_FAULTS)
        return vly_imu__put(t->sink, &reading,
                            label->kind == VLY_IMU_CELL_NUMBER ? (float)label->value : NAN, err);
    vly_imu__count_fault(t->sink, fault, row->line);
    return VLY_OK;
}

/* ---- deciding ---- */

static bool is_gyro(size_t slot)
{
    return slot >= VLY_IMU_SLOT_GYRO && slot < VLY_IMU_SLOT_LABEL;
}

/* "time,acc_x,-,..." */
static vly_status describe_columns(vly_imu_table *t, vly_err *err)
{
    for (size_t i = 0; i < t->columns.n; i++) {
        const char *name = "-";
        for (size_t slot = 0; slot < VLY_IMU_SLOTS; slot++)
            if (t->columns.at[slot] == i && (has_gyro(t) || !is_gyro(slot)))
                name = vly_imu__slot_name(slot);
        if (i > 0)
            vly_buf_putc(&t->columns_text, ',');
        vly_buf_puts(&t->columns_text, name);
    }
    if (t->columns_text.failed)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    t->report->columns = t->columns_text.ptr;
    return VLY_OK;
}

/* Held rows had their cells in order; from now on they are by slot. */
static void sort_held(vly_imu_table *t)
{
    for (size_t i = 0; i < t->n_held; i++) {
        vly_imu_row *row = &t->held[i];
        vly_imu_cell by_slot[VLY_IMU_SLOTS] = {{.kind = VLY_IMU_CELL_NONE}};
        for (size_t slot = 0; slot < VLY_IMU_SLOTS; slot++)
            if (t->columns.at[slot] < row->n_cells)
                by_slot[slot] = row->cells[t->columns.at[slot]];
        memcpy(row->cells, by_slot, sizeof(by_slot));
        row->n_cells = VLY_IMU_SLOTS;
    }
    t->has_columns = true;
}

static vly_status decide(vly_imu_table *t, vly_err *err)
{
    vly_status st = VLY_OK;

    t->is_decided = true;
    if (!t->has_columns) {
        st = vly_imu__guess_columns(t, err);
        if (st != VLY_OK)
            return st;
        sort_held(t);
    }
    st = vly_imu__guess_units(t, err);
    if (st == VLY_OK)
        st = describe_columns(t, err);
    for (size_t i = 0; i < t->n_held && st == VLY_OK; i++)
        st = emit(t, &t->held[i], err);
    t->n_held = 0;
    return st;
}

/* ---- the table ---- */

vly_status vly_imu__table_init(vly_imu_table *t, const vly_imu_reader_opts *opts,
                               vly_imu_sink *sink, vly_err *err)
{
    t->opts = opts;
    t->sink = sink;
    t->report = sink->report;
    t->has_units = opts->is_piece;
    vly_buf_init(&t->columns_text, VLY_MEM_CODEC, (size_t)VLY_IMU_COLUMNS_MAX * 8);
    if (opts->acc_unit.len > 0 && (t->acc_unit = vly_imu__acc_unit(opts->acc_unit)) == NULL)
        return vly_fail(err, VLY_EINVAL, "unit of acceleration: expected m/s2 or g, got '%.*s'",
                        VLY_STR_ARG(opts->acc_unit));
    if (opts->gyro_unit.len > 0 && (t->gyro_unit = vly_imu__gyro_unit(opts->gyro_unit)) == NULL)
        return vly_fail(err, VLY_EINVAL, "unit of rotation: expected rad/s or deg/s, got '%.*s'",
                        VLY_STR_ARG(opts->gyro_unit));
    if (opts->time_unit.len > 0 && (t->time_unit = vly_imu__time_unit(opts->time_unit)) == NULL)
        return vly_fail(err, VLY_EINVAL, "unit of time: expected s, ms, us or ns, got '%.*s'",
                        VLY_STR_ARG(opts->time_unit));
    t->has_columns = opts->columns.len > 0;
    return t->has_columns ? vly_imu__columns_by_list(opts->columns, vly_str_from(opts->label),
                                                     &t->columns, err)
                          : VLY_OK;
}

void vly_imu__table_release(vly_imu_table *t)
{
    vly_buf_release(&t->columns_text);
}

vly_status vly_imu__table_names(vly_imu_table *t, const vly_str *names, size_t n, vly_err *err)
{
    if (t->has_columns)
        return VLY_OK; /* the list counts, not the names */
    vly_status st =
        vly_imu__columns_by_names(names, n, vly_str_from(t->opts->label), &t->columns, err);
    t->has_columns = st == VLY_OK;
    return st;
}

vly_status vly_imu__table_row(vly_imu_table *t, const vly_str *cells, size_t n, uint64_t line,
                              vly_err *err)
{
    vly_imu_row one;
    vly_imu_row *row = t->is_decided ? &one : &t->held[t->n_held];

    row->line = line;
    row->number = t->report->n_rows++;
    read_cells(t, cells, n, row);
    if (t->is_decided)
        return emit(t, row, err);
    return ++t->n_held == VLY_IMU_HELD_ROWS ? decide(t, err) : VLY_OK;
}

vly_status vly_imu__table_end(vly_imu_table *t, vly_err *err)
{
    if (t->report->n_rows == 0)
        return vly_fail(err, VLY_EFORMAT, "no rows with data in it");
    return t->is_decided ? VLY_OK : decide(t, err);
}

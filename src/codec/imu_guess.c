/* SPDX-License-Identifier: MIT */
/* What a recording does not say, from its first rows. */
#include "codec/imu_table.h"

#include "base/assert.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RATE_ASSUMED_HZ 80.0
#define DEGREE          0.017453292519943295
/* |a| at rest and in motion of the hand; between these ranges, and beyond, something is wrong. */
#define GRAVITY_MIN 5.0 /* m/s^2 */
#define GRAVITY_MAX 25.0
#define JUDGED_MIN  32 /* rows from which |a| is judged */
/* Rotation that only degrees make so large: walking, and standing still. */
#define DEGREES_MOVING 8.0
#define DEGREES_STILL  0.3
#define STILL_SPREAD   0.25 /* m/s^2, of |a| */
/* The longest step in time, in the unit at hand, before the next smaller unit is meant. */
#define STEP_MAX_S 0.4

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double vly_imu__median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), compare);
    return n == 0 ? 0 : v[n / 2];
}

static const double *axes(const vly_imu_row *row, vly_imu_slot slot, double v[3])
{
    for (int i = 0; i < 3; i++) {
        if (row->cells[slot + i].kind != VLY_IMU_CELL_NUMBER)
            return NULL;
        v[i] = row->cells[slot + i].value;
    }
    return v;
}

/* Lengths of a sensor's vectors in the held rows; returns how many. */
static size_t lengths(const vly_imu_table *t, vly_imu_slot slot, double ret[VLY_IMU_HELD_ROWS])
{
    size_t n = 0;
    double v[3];

    for (size_t i = 0; i < t->n_held; i++)
        if (axes(&t->held[i], slot, v) != NULL)
            ret[n++] = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
    return n;
}

/* b - a, exactly where no double holds the two, as of times in ns. */
static double step_between(const vly_imu_cell *a, const vly_imu_cell *b)
{
    vly_decimal d = b->decimal;
    double step;

    if (a->decimal.exp10 != d.exp10 || a->decimal.is_negative != d.is_negative)
        return b->value - a->value;
    bool is_less = d.digits < a->decimal.digits;
    d.digits = is_less ? a->decimal.digits - d.digits : d.digits - a->decimal.digits;
    d.is_negative = d.is_negative != is_less;
    return vly_decimal_to_f64(&d, &step) ? step : b->value - a->value;
}

/* Steps between successive numbers of one cell; *ret_n_one: how many of them are exactly 1. */
static size_t steps(const vly_imu_table *t, size_t cell, double ret[VLY_IMU_HELD_ROWS],
                    size_t *ret_n_one)
{
    const vly_imu_cell *before = NULL;
    size_t n = 0;

    *ret_n_one = 0;
    for (size_t i = 0; i < t->n_held; i++) {
        const vly_imu_row *row = &t->held[i];
        if (cell >= row->n_cells || row->cells[cell].kind != VLY_IMU_CELL_NUMBER)
            continue;
        if (before != NULL) {
            ret[n] = step_between(before, &row->cells[cell]);
            *ret_n_one += ret[n] == 1;
            n++;
        }
        before = &row->cells[cell];
    }
    return n;
}

/* ---- columns by position ---- */

typedef enum column_kind {
    COLUMN_TEXT, /* no numbers */
    COLUMN_NUMBERS,
    COLUMN_RISING, /* a time */
    COLUMN_INDEX,  /* 0, 1, 2 ... */
} column_kind;

static column_kind look_at(const vly_imu_table *t, size_t cell)
{
    double s[VLY_IMU_HELD_ROWS];
    size_t n_numbers = 0, n_one, n_up = 0;

    for (size_t i = 0; i < t->n_held; i++)
        n_numbers += cell < t->held[i].n_cells && t->held[i].cells[cell].kind != VLY_IMU_CELL_NONE;
    if (2 * n_numbers <= t->n_held)
        return COLUMN_TEXT;
    size_t n = steps(t, cell, s, &n_one);
    for (size_t i = 0; i < n; i++)
        n_up += s[i] > 0;
    if (n > 0 && n_one == n)
        return COLUMN_INDEX;
    /* Noise rises at half of its steps. One row alone shows nothing. */
    return n > 0 && 10 * n_up >= 9 * n ? COLUMN_RISING : COLUMN_NUMBERS;
}

/* The columns with numbers, at most VLY_IMU_HELD_CELLS. */
static size_t find_numbers(const vly_imu_table *t, uint16_t *ret, uint16_t *ret_n_columns)
{
    size_t n = 0, n_columns = 0;

    for (size_t i = 0; i < t->n_held; i++)
        n_columns = t->held[i].n_cells > n_columns ? t->held[i].n_cells : n_columns;
    for (size_t i = 0; i < n_columns; i++)
        if (look_at(t, i) != COLUMN_TEXT)
            ret[n++] = (uint16_t)i;
    *ret_n_columns = (uint16_t)n_columns;
    return n;
}

/* Takes what stands before the axes: an index, a time, or one more that is neither. Returns how
 * many columns that are. */
static size_t take_front(const vly_imu_table *t, const uint16_t *numbers, size_t n,
                         vly_imu_columns *c)
{
    uint16_t *time = &c->at[VLY_IMU_SLOT_TIME];
    size_t i = 0;

    for (; i < n && n - i != 3 && n - i != 6; i++) {
        column_kind kind = look_at(t, numbers[i]);
        bool is_one_more = (n - i == 4 || n - i == 7) && *time == VLY_IMU_NO_COLUMN;
        /* One row does not show what rises; most who send a column more send the time. */
        if (*time == VLY_IMU_NO_COLUMN &&
            (kind == COLUMN_RISING || (is_one_more && t->n_held == 1)))
            *time = numbers[i];
        else if (kind != COLUMN_INDEX && !is_one_more)
            break;
    }
    return i;
}

vly_status vly_imu__guess_columns(vly_imu_table *t, vly_err *err)
{
    vly_imu_columns c = {.n = 0};
    uint16_t numbers[VLY_IMU_HELD_CELLS];

    for (size_t i = 0; i < VLY_IMU_SLOTS; i++)
        c.at[i] = VLY_IMU_NO_COLUMN;
    size_t n = find_numbers(t, numbers, &c.n);
    size_t front = take_front(t, numbers, n, &c);
    if (n - front < 3)
        return vly_fail(err, VLY_EFORMAT,
                        "line %llu: expected columns of an acceleration, x, y and z, got %zu with "
                        "numbers: not a recording of motion",
                        (unsigned long long)t->held[0].line, n);
    memcpy(&c.at[VLY_IMU_SLOT_ACC], numbers + front, 3 * sizeof(*numbers));
    if (n - front >= 6)
        memcpy(&c.at[VLY_IMU_SLOT_GYRO], numbers + front + 3, 3 * sizeof(*numbers));
    t->columns = c;
    return VLY_OK;
}

/* ---- units ---- */

static bool has_gravity(double length)
{
    return length >= GRAVITY_MIN && length <= GRAVITY_MAX;
}

static vly_status no_gravity(const vly_imu_table *t, double length, vly_err *err)
{
    bool is_g = t->acc_scale == 1 && has_gravity(length * (double)VLY_IMU_GRAVITY);
    const char *advice = "if it is right, say its unit";

    if (is_g && !t->columns.is_linear)
        advice = "it looks like g: say its unit";
    else if (t->columns.is_linear || length < GRAVITY_MIN)
        advice = "steps need the acceleration with gravity, not the linear one";
    return vly_fail(err, VLY_EFORMAT,
                    "acceleration of about %.3g %s in the first rows: expected 9.8 m/s2 or 1 g; %s",
                    length, t->acc_unit, advice);
}

static vly_status guess_acc(vly_imu_table *t, vly_err *err)
{
    double v[VLY_IMU_HELD_ROWS];
    size_t n = lengths(t, VLY_IMU_SLOT_ACC, v);
    double length = vly_imu__median(v, n);
    bool is_told = t->acc_unit != NULL && t->opts->acc_unit.len > 0;

    if (t->acc_unit == NULL)
        t->acc_unit = t->columns.acc_unit;
    if (t->acc_unit == NULL && t->has_units)
        t->acc_unit = "m/s2";
    if (t->acc_unit == NULL) {
        t->report->is_acc_unit_guessed = true;
        bool is_g = length < GRAVITY_MIN && has_gravity(length * (double)VLY_IMU_GRAVITY);
        t->acc_unit = is_g ? "g" : "m/s2";
    }
    t->acc_scale = strcmp(t->acc_unit, "g") == 0 ? (double)VLY_IMU_GRAVITY : 1;
    if (!is_told &&
        (t->columns.is_linear || (n >= JUDGED_MIN && !has_gravity(length * t->acc_scale))))
        return no_gravity(t, length, err);
    return VLY_OK;
}

static const char *guess_gyro_unit(const vly_imu_table *t)
{
    double acc[VLY_IMU_HELD_ROWS], gyro[VLY_IMU_HELD_ROWS];
    size_t n_acc = lengths(t, VLY_IMU_SLOT_ACC, acc);
    double rotation = vly_imu__median(gyro, lengths(t, VLY_IMU_SLOT_GYRO, gyro));
    bool is_still = false;

    (void)vly_imu__median(acc, n_acc);
    if (n_acc >= JUDGED_MIN)
        is_still = (acc[n_acc * 9 / 10] - acc[n_acc / 10]) * t->acc_scale < STILL_SPREAD;
    return rotation > (is_still ? DEGREES_STILL : DEGREES_MOVING) ? "deg/s" : "rad/s";
}

static void guess_gyro(vly_imu_table *t)
{
    double v[VLY_IMU_HELD_ROWS];
    bool has_columns = t->columns.at[VLY_IMU_SLOT_GYRO] != VLY_IMU_NO_COLUMN;

    if (!has_columns || lengths(t, VLY_IMU_SLOT_GYRO, v) == 0) {
        t->is_gyro_late = has_columns;
        t->gyro_unit = "none";
        return;
    }
    if (t->gyro_unit == NULL)
        t->gyro_unit = t->columns.gyro_unit;
    if (t->gyro_unit == NULL && t->has_units)
        t->gyro_unit = "rad/s";
    if (t->gyro_unit == NULL) {
        t->gyro_unit = guess_gyro_unit(t);
        t->report->is_gyro_unit_guessed = true;
    }
    t->gyro_scale = strcmp(t->gyro_unit, "deg/s") == 0 ? DEGREE : 1;
}

/* ---- times ---- */

static const struct {
    const char *unit;
    double of_second;
    int shift;
    double epoch_min; /* in 1973 so many had passed since 1970 */
} clocks[] = {{"s", 1, 6, 1e8}, {"ms", 1e3, 3, 1e11}, {"us", 1e6, 0, 1e14}, {"ns", 1e9, -3, 1e17}};

static size_t clock_of(const char *unit)
{
    for (size_t i = 0; i < VLY_COUNT(clocks); i++)
        if (strcmp(clocks[i].unit, unit) == 0)
            return i;
    VLY_ASSERT(!"a unit of time");
}

/* By the step between rows; a single row can only show the time since 1970. */
static size_t guess_clock(double step, double first)
{
    size_t i = VLY_COUNT(clocks) - 1;

    if (step > 0) {
        for (i = 0; i + 1 < VLY_COUNT(clocks) && step > STEP_MAX_S * clocks[i].of_second; i++)
            ;
        return i;
    }
    while (i > 0 && fabs(first) < clocks[i].epoch_min)
        i--;
    return i;
}

static void without_times(vly_imu_table *t)
{
    t->columns.at[VLY_IMU_SLOT_TIME] = VLY_IMU_NO_COLUMN;
    t->time_unit = "none";
    t->report->is_rate_assumed = t->opts->rate_hz <= 0 && t->told_rate_hz <= 0;
    t->rate_hz = t->opts->rate_hz > 0  ? t->opts->rate_hz
                 : t->told_rate_hz > 0 ? t->told_rate_hz
                                       : RATE_ASSUMED_HZ;
    t->report->rate_hz = t->rate_hz;
}

static void guess_time(vly_imu_table *t)
{
    double s[VLY_IMU_HELD_ROWS];
    size_t n_one;
    size_t n = steps(t, VLY_IMU_SLOT_TIME, s, &n_one);
    double step = vly_imu__median(s, n);
    bool has_column = t->columns.at[VLY_IMU_SLOT_TIME] != VLY_IMU_NO_COLUMN;
    bool is_still = n > 0 && step <= 0; /* it does not tell one row from the next */
    bool is_text = n == 0 && t->n_held > 1;
    if (!has_column || t->opts->is_rate_forced || is_still || is_text) {
        without_times(t);
        return;
    }
    if (t->time_unit == NULL)
        t->time_unit = t->columns.time_unit;
    if (t->time_unit == NULL && t->opts->is_piece && n == 0)
        t->time_unit = "ms";
    t->report->is_time_unit_guessed = t->time_unit == NULL;
    size_t clock = t->time_unit != NULL ? clock_of(t->time_unit)
                                        : guess_clock(step, t->held[0].cells[0].value);
    t->time_unit = clocks[clock].unit;
    t->time_shift = clocks[clock].shift;
    t->report->rate_hz = step > 0 ? clocks[clock].of_second / step : 0;
    t->report->is_rate_guessed = step > 0 && t->report->is_time_unit_guessed;
}

vly_status vly_imu__guess_units(vly_imu_table *t, vly_err *err)
{
    vly_status st = guess_acc(t, err);

    if (st != VLY_OK)
        return st;
    guess_gyro(t);
    guess_time(t);
    t->report->acc_unit = t->acc_unit;
    t->report->gyro_unit = t->gyro_unit;
    t->report->time_unit = t->time_unit;
    return VLY_OK;
}

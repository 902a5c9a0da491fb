/* SPDX-License-Identifier: MIT */
/*
 * Names as loggers give them, made plain: small letters and digits only, so that " AccelX_5",
 * "acc_x", "Acceleration x (m/s^2)" and "gFx" are "accelx5", "accx", "accelerationxms2" and "gfx".
 * Then: a word that names the sensor, an axis behind it (or before it: "x_acc"), the unit behind
 * the axis.
 */
#include "codec/imu_table.h"

#include "base/assert.h"

#include <string.h>

#define PLAIN_MAX 64

typedef enum sensor {
    SENSOR_NONE,
    SENSOR_ACC,
    SENSOR_LINEAR, /* acceleration without gravity */
    SENSOR_GYRO,
    SENSOR_TIME,
} sensor;

typedef struct meaning {
    sensor sensor;
    int axis;
    int rank; /* of two columns of one axis the higher one is taken, of equals the first */
    const char *unit;
} meaning;

static const char *const slot_names[VLY_IMU_SLOTS] = {
    "time", "acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z", "label",
};

const char *vly_imu__slot_name(size_t slot)
{
    VLY_ASSERT(slot < VLY_IMU_SLOTS);
    return slot_names[slot];
}

/* ---- units ---- */

typedef struct unit_name {
    const char *name; /* plain */
    const char *unit;
} unit_name;

static const unit_name acc_units[] = {
    {"ms2", "m/s2"}, {"mss", "m/s2"}, {"mps2", "m/s2"}, {"g", "g"}, {"gs", "g"}, {"gforce", "g"},
};

static const unit_name gyro_units[] = {
    {"rads", "rad/s"}, {"radsec", "rad/s"}, {"rps", "rad/s"},
    {"rad", "rad/s"},  {"degs", "deg/s"},   {"dps", "deg/s"},
    {"deg", "deg/s"},  {"degsec", "deg/s"}, {"degrees", "deg/s"},
};

static const unit_name time_units[] = {
    {"s", "s"},
    {"sec", "s"},
    {"secs", "s"},
    {"second", "s"},
    {"seconds", "s"},
    {"ms", "ms"},
    {"msec", "ms"},
    {"millis", "ms"},
    {"milliseconds", "ms"},
    {"us", "us"},
    {"usec", "us"},
    {"micros", "us"},
    {"microseconds", "us"},
    {"ns", "ns"},
    {"nsec", "ns"},
    {"nanos", "ns"},
    {"nanoseconds", "ns"},
};

/* Small letters and digits of s; signs that units have, spelt out. */
static vly_str make_plain(vly_str s, char text[PLAIN_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < s.len && n + 3 < PLAIN_MAX; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        unsigned char next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
        if (c >= 'A' && c <= 'Z')
            text[n++] = (char)(c - 'A' + 'a');
        else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            text[n++] = (char)c;
        else if (c == 0xc2 && next == 0xb2) /* superscript 2 */
            text[n++] = '2';
        else if ((c == 0xc2 && next == 0xb5) || (c == 0xce && next == 0xbc)) /* micro, mu */
            text[n++] = 'u';
        else if (c == 0xcf && next == 0x89) /* omega */
            text[n++] = 'w';
        else if (c == 0xc2 && next == 0xb0) /* degree sign */
            n += (size_t)(stpcpy(text + n, "deg") - (text + n));
    }
    return (vly_str){text, n};
}

static const char *find_unit(const unit_name *units, size_t n, vly_str plain)
{
    for (size_t i = 0; i < n; i++)
        if (vly_str_is(plain, units[i].name))
            return units[i].unit;
    return NULL;
}

const char *vly_imu__acc_unit(vly_str text)
{
    char plain[PLAIN_MAX];
    return find_unit(acc_units, VLY_COUNT(acc_units), make_plain(text, plain));
}

const char *vly_imu__gyro_unit(vly_str text)
{
    char plain[PLAIN_MAX];
    return find_unit(gyro_units, VLY_COUNT(gyro_units), make_plain(text, plain));
}

const char *vly_imu__time_unit(vly_str text)
{
    char plain[PLAIN_MAX];
    return find_unit(time_units, VLY_COUNT(time_units), make_plain(text, plain));
}

/* ---- one name ---- */

typedef struct sensor_word {
    const char *word;
    sensor sensor;
    int rank;
    bool is_alone; /* nothing before it, the axis right behind it */
} sensor_word;

/* The first that is found counts. Names of both kinds of acceleration come before "acc". */
static const sensor_word sensor_words[] = {
    {"grav", SENSOR_NONE, 0, false},
    {"mag", SENSOR_NONE, 0, false},
    {"orient", SENSOR_NONE, 0, false},
    {"quat", SENSOR_NONE, 0, false},
    {"linear", SENSOR_LINEAR, 0, false},
    {"linacc", SENSOR_LINEAR, 0, false},
    {"useracc", SENSOR_LINEAR, 0, false},
    {"gyro", SENSOR_GYRO, 2, false},
    {"gyr", SENSOR_GYRO, 2, false},
    {"rotationrate", SENSOR_GYRO, 2, false},
    {"angularvelocity", SENSOR_GYRO, 2, false},
    {"angularrate", SENSOR_GYRO, 2, false},
    {"angvel", SENSOR_GYRO, 2, false},
    {"omega", SENSOR_GYRO, 2, false},
    {"gforce", SENSOR_ACC, 3, false},
    {"acc", SENSOR_ACC, 2, false},
    {"gf", SENSOR_ACC, 3, true},
    {"a", SENSOR_ACC, 1, true},
    {"g", SENSOR_GYRO, 1, true},
    {"w", SENSOR_GYRO, 1, true},
    {"", SENSOR_ACC, 0, true},
};

static bool is_axis(char c)
{
    return c >= 'x' && c <= 'z';
}

/* Where the axis stands in a plain name that has the word at `at`; name.len: nowhere. */
static size_t find_axis(vly_str name, size_t at, size_t word_len, bool is_alone)
{
    size_t behind = at + word_len;

    if (is_alone)
        return at == 0 && behind < name.len && is_axis(name.ptr[behind]) ? behind : name.len;
    for (size_t i = behind; i < name.len; i++)
        if (is_axis(name.ptr[i]))
            return i;
    return at > 0 && is_axis(name.ptr[0]) ? 0 : name.len;
}

static size_t find_word(vly_str name, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i + len <= name.len; i++)
        if (memcmp(name.ptr + i, word, len) == 0)
            return i;
    return name.len;
}

static vly_str skip_digits(vly_str s)
{
    while (s.len > 0 && s.ptr[0] >= '0' && s.ptr[0] <= '9')
        s = (vly_str){s.ptr + 1, s.len - 1};
    return s;
}

/* The unit of an axis, in what stands behind the axis, or in front of it ("accelgx" is no name). */
static const char *axis_unit(sensor kind, vly_str behind)
{
    return kind == SENSOR_GYRO ? vly_imu__gyro_unit(behind) : vly_imu__acc_unit(behind);
}

static bool understand_axis(vly_str name, meaning *ret)
{
    for (size_t i = 0; i < VLY_COUNT(sensor_words); i++) {
        const sensor_word *w = &sensor_words[i];
        size_t at = find_word(name, w->word);
        size_t len = strlen(w->word);
        if (at == name.len)
            continue;
        size_t axis = find_axis(name, at, len, w->is_alone);
        if (axis == name.len && w->is_alone)
            continue;
        if (axis == name.len || w->sensor == SENSOR_NONE)
            return false;
        size_t tail = axis >= at + len ? axis + 1 : at + len;
        vly_str behind = skip_digits((vly_str){name.ptr + tail, name.len - tail});
        if (vly_str_starts(behind, VLY_STR("axis")))
            behind = (vly_str){behind.ptr + 4, behind.len - 4};
        const char *unit = axis_unit(w->sensor, behind);
        if (strcmp(w->word, "gf") == 0)
            unit = "g";
        if (w->is_alone && unit == NULL && behind.len > 0)
            continue; /* "azimuth", "width", "ayaw" */
        *ret = (meaning){w->sensor, name.ptr[axis] - 'x', w->rank, unit};
        return true;
    }
    return false;
}

/* "time", "t", "timestamp_ms", "seconds_elapsed", "Time (s)", "epoch" */
static bool understand_time(vly_str name, meaning *ret)
{
    static const char *const words[] = {"timestamp", "time", "epoch", "unix", "elapsed", "ts", "t"};
    static const char *const not_times[] = {"txt", "iso", "date", "utc", "diff", "delta"};

    for (size_t i = 0; i < VLY_COUNT(not_times); i++)
        if (find_word(name, not_times[i]) != name.len)
            return false;
    for (size_t i = 0; i < VLY_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        size_t at = find_word(name, words[i]);
        bool is_short = len <= 2;
        if (at == name.len || (is_short && at > 0))
            continue;
        vly_str behind = {name.ptr + at + len, name.len - at - len};
        const char *unit = vly_imu__time_unit(behind);
        if (unit == NULL)
            unit = vly_imu__time_unit((vly_str){name.ptr, at});
        if (is_short && behind.len > 0 && unit == NULL)
            continue;
        *ret = (meaning){SENSOR_TIME, 0, 0, unit};
        return true;
    }
    const char *unit = vly_imu__time_unit(name);
    *ret = (meaning){SENSOR_TIME, 0, 0, unit};
    return unit != NULL && name.len > 2; /* "seconds", but not "s" */
}

/* ---- all names ---- */

static vly_imu_columns no_columns(size_t n)
{
    vly_imu_columns c = {.n = (uint16_t)n};
    for (size_t i = 0; i < VLY_IMU_SLOTS; i++)
        c.at[i] = VLY_IMU_NO_COLUMN;
    return c;
}

/* The columns of one kind of sensor, the best of each axis; how many axes there are. */
static int pick_axes(const meaning *m, size_t n, sensor kind, uint16_t at[3], const char **ret_unit)
{
    int n_axes = 0;

    for (int axis = 0; axis < 3; axis++) {
        at[axis] = VLY_IMU_NO_COLUMN;
        for (size_t i = 0; i < n; i++) {
            if (m[i].sensor != kind || m[i].axis != axis)
                continue;
            if (at[axis] == VLY_IMU_NO_COLUMN || m[i].rank > m[at[axis]].rank)
                at[axis] = (uint16_t)i;
        }
        n_axes += at[axis] != VLY_IMU_NO_COLUMN;
    }
    *ret_unit = n_axes == 3 ? m[at[0]].unit : NULL;
    return n_axes;
}

static vly_status missing_axis(const vly_imu_columns *c, size_t slot, const char *where,
                               vly_status st, vly_err *err)
{
    for (size_t i = slot; i < slot + 3; i++)
        if (c->at[i] == VLY_IMU_NO_COLUMN)
            return vly_fail(err, st, "%s: expected a column for %s, found none", where,
                            slot_names[i]);
    return VLY_OK;
}

/* All three axes of the accelerometer, and all or none of the gyroscope. */
static vly_status check_axes(const vly_imu_columns *c, const char *where, vly_status st,
                             vly_err *err)
{
    bool has_gyro = false;

    for (size_t i = 0; i < 3; i++)
        has_gyro = has_gyro || c->at[VLY_IMU_SLOT_GYRO + i] != VLY_IMU_NO_COLUMN;
    vly_status got = missing_axis(c, VLY_IMU_SLOT_ACC, where, st, err);
    if (got == VLY_OK && has_gyro)
        got = missing_axis(c, VLY_IMU_SLOT_GYRO, where, st, err);
    return got;
}

static meaning understand(vly_str name)
{
    char text[PLAIN_MAX];
    vly_str plain = make_plain(name, text);
    meaning m = {SENSOR_NONE, 0, 0, NULL};

    if (!understand_axis(plain, &m) && !understand_time(plain, &m))
        m.sensor = SENSOR_NONE;
    if (vly_str_is(plain, "ts") && vly_str_trim(name).len > plain.len)
        m.unit = "s"; /* "t_s", "t (s)"; but "ts" is short for a timestamp */
    return m;
}

static void pick_time_and_label(const vly_str *names, const meaning *m, size_t n, vly_str label,
                                vly_imu_columns *c)
{
    for (size_t i = n; i-- > 0;) {
        if (m[i].sensor == SENSOR_TIME) {
            c->at[VLY_IMU_SLOT_TIME] = (uint16_t)i;
            c->time_unit = m[i].unit;
        }
        if (label.len > 0 && vly_str_eq_nocase(vly_str_trim(names[i]), label))
            c->at[VLY_IMU_SLOT_LABEL] = (uint16_t)i;
    }
}

vly_status vly_imu__columns_by_names(const vly_str *names, size_t n, vly_str label,
                                     vly_imu_columns *ret, vly_err *err)
{
    meaning m[VLY_IMU_COLUMNS_MAX];
    vly_imu_columns c = no_columns(n);

    VLY_ASSERT(n <= VLY_IMU_COLUMNS_MAX);
    for (size_t i = 0; i < n; i++)
        m[i] = understand(names[i]);
    pick_time_and_label(names, m, n, label, &c);
    uint16_t *acc = &c.at[VLY_IMU_SLOT_ACC];
    if (pick_axes(m, n, SENSOR_ACC, acc, &c.acc_unit) < 3) {
        vly_imu_columns linear = c;
        c.is_linear =
            pick_axes(m, n, SENSOR_LINEAR, &linear.at[VLY_IMU_SLOT_ACC], &linear.acc_unit) == 3;
        if (c.is_linear) {
            memcpy(acc, &linear.at[VLY_IMU_SLOT_ACC], 3 * sizeof(*acc));
            c.acc_unit = linear.acc_unit;
        }
    }
    (void)pick_axes(m, n, SENSOR_GYRO, &c.at[VLY_IMU_SLOT_GYRO], &c.gyro_unit);
    vly_status st = check_axes(&c, "names of columns", VLY_EFORMAT, err);
    if (st == VLY_OK)
        *ret = c;
    return st;
}

static bool find_slot(vly_str word, size_t *ret)
{
    for (size_t i = 0; i < VLY_IMU_SLOT_LABEL; i++) {
        if (vly_str_eq_nocase(word, vly_str_from(slot_names[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

vly_status vly_imu__columns_by_list(vly_str list, vly_str label, vly_imu_columns *ret, vly_err *err)
{
    vly_imu_columns c = no_columns(0);

    while (list.ptr != NULL) {
        vly_str word = vly_str_trim(vly_str_split(&list, ','));
        size_t slot = VLY_IMU_SLOTS;
        if (label.len > 0 && vly_str_eq_nocase(word, label))
            slot = VLY_IMU_SLOT_LABEL;
        else if (!find_slot(word, &slot) && !vly_str_is(word, "-"))
            return vly_fail(err, VLY_EINVAL,
                            "columns: expected time, acc_x .. gyro_z or -, got '%.*s'",
                            VLY_STR_ARG(word));
        if (c.n == VLY_IMU_COLUMNS_MAX)
            return vly_fail(err, VLY_EINVAL, "columns: more than %d", VLY_IMU_COLUMNS_MAX);
        if (slot < VLY_IMU_SLOTS && c.at[slot] != VLY_IMU_NO_COLUMN)
            return vly_fail(err, VLY_EINVAL, "columns: '%.*s' is there twice", VLY_STR_ARG(word));
        if (slot < VLY_IMU_SLOTS)
            c.at[slot] = c.n;
        c.n++;
    }
    vly_status st = check_axes(&c, "columns", VLY_EINVAL, err);
    if (st == VLY_OK)
        *ret = c;
    return st;
}

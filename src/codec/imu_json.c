/* SPDX-License-Identifier: MIT */
/*
 * JSON as rows of cells. Numbers are kept as text, so that a cell means the same as in CSV.
 *
 *     rows:     [[t, ax, ...], ...]
 *               [{"accel_x": 1, "acc": [x, y, z], "gyro": {"x": 1, ...}}, ...]
 *     columns:  {"t": [...], "acc": [[x, y, z], ...], "gyro_x": [...]}
 *     one row:  {"accel_x": 1, ...}
 *
 * Rows stand by themselves, or as the member "readings" beside "rate" and units, arrays also beside
 * their names, "columns".
 */
#include "codec/imu_table.h"

#include "codec/json_budget.h"

#include <string.h>
#include <yyjson.h>

#define FIELDS_MAX     64
#define FIELD_NAME_MAX 64

/* One cell of a row of objects: the member `key`, or what is in it. */
typedef struct field {
    vly_str key;
    vly_str member; /* of an object within; ptr NULL: none */
    int item;       /* of an array within; -1: none */
    char name[FIELD_NAME_MAX];
} field;

typedef struct fields {
    size_t n;
    field f[FIELDS_MAX];
} fields;

static vly_str text_of(yyjson_val *v)
{
    if (yyjson_is_raw(v))
        return (vly_str){yyjson_get_raw(v), yyjson_get_len(v)};
    if (yyjson_is_str(v))
        return (vly_str){yyjson_get_str(v), yyjson_get_len(v)};
    return (vly_str){"", 0};
}

static vly_str key_of(yyjson_val *key)
{
    return (vly_str){yyjson_get_str(key), yyjson_get_len(key)};
}

static vly_status add_field(fields *ret, vly_str key, vly_str member, int item, vly_err *err)
{
    static const char *const axes[] = {"x", "y", "z"};

    if (ret->n == FIELDS_MAX)
        return vly_fail(err, VLY_ELIMIT, "more than %d members in a reading", FIELDS_MAX);
    field *f = &ret->f[ret->n++];
    *f = (field){.key = key, .member = member, .item = item};
    int key_len = key.len < FIELD_NAME_MAX / 2 ? (int)key.len : FIELD_NAME_MAX / 2 - 1;
    int member_len = member.len < FIELD_NAME_MAX / 2 ? (int)member.len : FIELD_NAME_MAX / 2 - 1;
    size_t at = 0;
    memcpy(f->name, key.ptr, (size_t)key_len);
    at += (size_t)key_len;
    if (member.ptr != NULL) {
        f->name[at++] = '_';
        memcpy(f->name + at, member.ptr, (size_t)member_len);
        at += (size_t)member_len;
    } else if (item >= 0) {
        f->name[at++] = '_';
        f->name[at++] = axes[item][0];
    }
    f->name[at] = '\0';
    return VLY_OK;
}

/* The fields of one member: itself, its items x, y, z, or its members. */
static vly_status add_member(fields *ret, vly_str key, yyjson_val *v, vly_err *err)
{
    vly_status st = VLY_OK;
    yyjson_obj_iter in;
    yyjson_val *k;

    if (yyjson_is_arr(v)) {
        for (int i = 0; i < 3 && yyjson_arr_size(v) == 3 && st == VLY_OK; i++)
            st = add_field(ret, key, (vly_str){NULL, 0}, i, err);
        return st;
    }
    if (!yyjson_is_obj(v))
        return add_field(ret, key, (vly_str){NULL, 0}, -1, err);
    yyjson_obj_iter_init(v, &in);
    while (st == VLY_OK && (k = yyjson_obj_iter_next(&in)) != NULL)
        if (!yyjson_is_ctn(yyjson_obj_iter_get_val(k)))
            st = add_field(ret, key, key_of(k), -1, err);
    return st;
}

static vly_status tell_names(vly_imu_table *t, const fields *fs, vly_err *err)
{
    vly_str names[FIELDS_MAX];

    for (size_t i = 0; i < fs->n; i++)
        names[i] = vly_str_from(fs->f[i].name);
    return vly_imu__table_names(t, names, fs->n, err);
}

static vly_str cell_of(yyjson_val *row, const field *f)
{
    yyjson_val *v = yyjson_obj_getn(row, f->key.ptr, f->key.len);

    if (f->member.ptr != NULL)
        v = yyjson_obj_getn(v, f->member.ptr, f->member.len);
    else if (f->item >= 0)
        v = yyjson_arr_get(v, (size_t)f->item);
    return text_of(v);
}

/* ---- rows ---- */

static vly_status read_array_row(vly_imu_table *t, yyjson_val *row, uint64_t number, vly_err *err)
{
    vly_str cells[FIELDS_MAX];
    size_t n = 0;
    yyjson_arr_iter in;
    yyjson_val *v;

    yyjson_arr_iter_init(row, &in);
    while (n < FIELDS_MAX && (v = yyjson_arr_iter_next(&in)) != NULL)
        cells[n++] = text_of(v);
    return vly_imu__table_row(t, cells, n, number, err);
}

static vly_status read_object_row(vly_imu_table *t, const fields *fs, yyjson_val *row,
                                  uint64_t number, vly_err *err)
{
    vly_str cells[FIELDS_MAX];

    for (size_t i = 0; i < fs->n; i++)
        cells[i] = cell_of(row, &fs->f[i]);
    return vly_imu__table_row(t, cells, fs->n, number, err);
}

static vly_status find_fields(yyjson_val *row, fields *ret, vly_err *err)
{
    yyjson_obj_iter in;
    yyjson_val *k;
    vly_status st = VLY_OK;

    yyjson_obj_iter_init(row, &in);
    while (st == VLY_OK && (k = yyjson_obj_iter_next(&in)) != NULL)
        st = add_member(ret, key_of(k), yyjson_obj_iter_get_val(k), err);
    return st;
}

static vly_status bad_row(yyjson_val *row, uint64_t number, bool is_object, vly_err *err)
{
    return vly_fail(err, VLY_EFORMAT, "reading %llu: expected an %s, got %s",
                    (unsigned long long)number, is_object ? "object, as the first is" : "array",
                    yyjson_get_type_desc(row));
}

/* Readings one behind the other: all arrays, or all objects. */
static vly_status read_rows(vly_imu_table *t, yyjson_val *rows, vly_err *err)
{
    fields fs = {.n = 0};
    yyjson_val *first = yyjson_arr_get_first(rows);
    bool is_object = yyjson_is_obj(first);
    vly_status st = VLY_OK;
    uint64_t number = 1;
    yyjson_arr_iter in;
    yyjson_val *row;

    if (is_object)
        st = find_fields(first, &fs, err);
    if (st == VLY_OK && is_object)
        st = tell_names(t, &fs, err);
    yyjson_arr_iter_init(rows, &in);
    for (; st == VLY_OK && (row = yyjson_arr_iter_next(&in)) != NULL; number++) {
        if (is_object ? !yyjson_is_obj(row) : !yyjson_is_arr(row))
            st = bad_row(row, number, is_object, err);
        else if (is_object)
            st = read_object_row(t, &fs, row, number, err);
        else
            st = read_array_row(t, row, number, err);
    }
    return st;
}

/* ---- columns ---- */

typedef struct column {
    yyjson_arr_iter in;
    size_t n_cells; /* of a row: 1, or 3 of an array of vectors */
} column;

static vly_status add_column(fields *fs, column *columns, size_t *n, vly_str key, yyjson_val *v,
                             vly_err *err)
{
    size_t before = fs->n;
    yyjson_val *first = yyjson_arr_get_first(v);
    vly_status st = add_member(fs, key, yyjson_is_arr(first) ? first : NULL, err);

    if (st != VLY_OK || fs->n == before)
        return st;
    columns[*n].n_cells = fs->n - before;
    yyjson_arr_iter_init(v, &columns[*n].in);
    (*n)++;
    return VLY_OK;
}

/* The cells of the next row; false: no column has one. */
static bool next_row(column *columns, size_t n, vly_str *cells)
{
    bool is_there = false;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        yyjson_val *v = yyjson_arr_iter_next(&columns[i].in);
        is_there = is_there || v != NULL;
        for (size_t k = 0; k < columns[i].n_cells; k++)
            cells[at++] = text_of(columns[i].n_cells == 1 ? v : yyjson_arr_get(v, k));
    }
    return is_there;
}

static vly_status read_columns(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    fields fs = {.n = 0};
    column columns[FIELDS_MAX];
    vly_str cells[FIELDS_MAX];
    size_t n = 0;
    vly_status st = VLY_OK;
    yyjson_obj_iter in;
    yyjson_val *k;

    yyjson_obj_iter_init(root, &in);
    while (st == VLY_OK && (k = yyjson_obj_iter_next(&in)) != NULL) {
        yyjson_val *v = yyjson_obj_iter_get_val(k);
        if (yyjson_is_arr(v) && !yyjson_equals_str(k, "columns"))
            st = add_column(&fs, columns, &n, key_of(k), v, err);
    }
    if (st == VLY_OK)
        st = tell_names(t, &fs, err);
    for (uint64_t number = 1; st == VLY_OK && next_row(columns, n, cells); number++)
        st = vly_imu__table_row(t, cells, fs.n, number, err);
    return st;
}

/* ---- what stands beside the readings ---- */

static vly_status read_unit(yyjson_val *root, const char *key, const char *(*find)(vly_str),
                            const char **unit, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(root, key);

    if (v == NULL || *unit != NULL)
        return VLY_OK;
    *unit = yyjson_is_str(v) ? find(text_of(v)) : NULL;
    return *unit != NULL ? VLY_OK : vly_fail(err, VLY_EFORMAT, "'%s': not a unit of it", key);
}

static vly_status read_rate(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(root, "rate");

    if (v == NULL)
        return VLY_OK;
    if (!vly_str_to_f64(text_of(v), &t->told_rate_hz) || !(t->told_rate_hz >= 1) ||
        !(t->told_rate_hz <= 10000))
        return vly_fail(err, VLY_EFORMAT, "'rate': expected 1 to 10000 Hz, got '%.*s'",
                        VLY_STR_ARG(text_of(v)));
    return VLY_OK;
}

/* "columns": names of the columns of rows that are arrays. */
static vly_status read_names(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    yyjson_val *v = yyjson_obj_get(root, "columns");
    vly_str names[FIELDS_MAX];
    size_t n = 0;
    yyjson_arr_iter in;
    yyjson_val *name;

    if (v == NULL)
        return VLY_OK;
    if (yyjson_arr_size(v) > FIELDS_MAX)
        return vly_fail(err, VLY_ELIMIT, "'columns': more than %d names", FIELDS_MAX);
    yyjson_arr_iter_init(v, &in);
    while ((name = yyjson_arr_iter_next(&in)) != NULL)
        names[n++] = text_of(name);
    return vly_imu__table_names(t, names, n, err);
}

static vly_status read_beside(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    vly_status st = read_rate(t, root, err);

    if (st == VLY_OK)
        st = read_unit(root, "acc_unit", vly_imu__acc_unit, &t->acc_unit, err);
    if (st == VLY_OK)
        st = read_unit(root, "gyro_unit", vly_imu__gyro_unit, &t->gyro_unit, err);
    if (st == VLY_OK)
        st = read_unit(root, "time_unit", vly_imu__time_unit, &t->time_unit, err);
    return st;
}

/* A member of the object is an array that is a column, not the vector of a single reading. */
static bool has_columns(yyjson_val *root)
{
    yyjson_obj_iter in;
    yyjson_val *k;

    yyjson_obj_iter_init(root, &in);
    while ((k = yyjson_obj_iter_next(&in)) != NULL) {
        yyjson_val *v = yyjson_obj_iter_get_val(k);
        if (yyjson_is_arr(v) && !yyjson_equals_str(k, "columns") &&
            (yyjson_arr_size(v) != 3 || yyjson_is_arr(yyjson_arr_get_first(v))))
            return true;
    }
    return false;
}

static vly_status read_one(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    fields fs = {.n = 0};
    vly_status st = find_fields(root, &fs, err);

    if (st == VLY_OK)
        st = tell_names(t, &fs, err);
    return st == VLY_OK ? read_object_row(t, &fs, root, 1, err) : st;
}

static vly_status read_root(vly_imu_table *t, yyjson_val *root, vly_err *err)
{
    yyjson_val *rows = yyjson_obj_get(root, "readings");
    vly_status st = VLY_OK;

    if (yyjson_is_arr(root))
        return read_rows(t, root, err);
    st = read_beside(t, root, err);
    if (st != VLY_OK)
        return st;
    if (rows != NULL && !yyjson_is_arr(rows))
        return vly_fail(err, VLY_EFORMAT, "'readings': expected an array, got %s",
                        yyjson_get_type_desc(rows));
    if (rows != NULL && !yyjson_is_obj(yyjson_arr_get_first(rows)))
        st = read_names(t, root, err);
    if (rows != NULL)
        return st == VLY_OK ? read_rows(t, rows, err) : st;
    return has_columns(root) ? read_columns(t, root, err) : read_one(t, root, err);
}

/* What is left of the memory of the recording when its text is held. */
static vly_status read_document(char *text, size_t n, const vly_imu_reader_opts *o,
                                yyjson_doc **ret, vly_err *err)
{
    const yyjson_read_flag flags =
        YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INF_AND_NAN;
    vly_json_budget b = {.left = o->max_json_bytes - n};
    yyjson_alc alc = vly_json_budget_alc(&b);
    yyjson_read_err why = {0};

    if (vly_json_is_deeper((vly_str){text, n}, o->max_json_depth))
        return vly_fail(err, VLY_ELIMIT, "JSON nested deeper than %zu", o->max_json_depth);
    yyjson_doc *doc = yyjson_read_opts(text, n, flags, &alc, &why);
    if (doc == NULL && b.is_spent)
        return vly_fail(err, VLY_ELIMIT, VLY_IMU_JSON_TOO_LARGE, o->max_json_bytes);
    if (doc == NULL && why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    if (doc == NULL)
        return vly_fail(err, VLY_EFORMAT, "not JSON: %s at byte %zu", why.msg, why.pos);
    *ret = doc;
    return VLY_OK;
}

vly_status vly_imu__read_json(char *text, size_t n, vly_imu_table *t, vly_err *err)
{
    yyjson_doc *doc = NULL;
    vly_status st = read_document(text, n, t->opts, &doc, err);

    if (st != VLY_OK)
        return st;
    t->has_units = true;
    st = read_root(t, yyjson_doc_get_root(doc), err);
    yyjson_doc_free(doc);
    return st;
}

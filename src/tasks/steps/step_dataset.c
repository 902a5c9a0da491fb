/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_dataset.h"

#include "codec/csv.h"
#include "sys/file.h"

#include <math.h>
#include <stdlib.h>

#define RATE_HZ             80 /* of the recordings, which carry no times */
#define DIR_ENTRIES_MAX     100000
#define RECORDING_BYTES_MAX ((size_t)4 << 30)
#define TRUTH_BYTES_MAX     ((size_t)64 << 20)

/* ---- the list ------------------------------------------------------------------------------ */

typedef struct lister {
    vly_arena *arena;
    vly_step_recording_ref *recordings;
    size_t n, cap;
    const char **persons;
    size_t n_persons;
} lister;

static bool is_recording(vly_str name)
{
    return vly_str_ends(name, VLY_STR(".csv")) && !vly_str_ends(name, VLY_STR(".steps.csv"));
}

/* The first file that there is of those that may hold the truth of dir/name; NULL: none. */
static vly_status find_truth(const char *dir, vly_str name, vly_arena *arena, const char **ret,
                             vly_err *err)
{
    static const vly_str clipped = {"Clipped", 7};
    vly_str whole = name;

    *ret = NULL;
    if (vly_str_starts(name, clipped))
        whole = (vly_str){name.ptr + clipped.len, name.len - clipped.len};
    const char *paths[] = {
        vly_arena_printf(arena, "%s/%.*s.stepMixed", dir, VLY_STR_ARG(whole)),
        vly_arena_printf(arena, "%s/%.*s.stepMixed", dir, VLY_STR_ARG(name)),
        vly_arena_printf(arena, "%s/%.*s.steps.csv", dir, (int)name.len - 4, name.ptr),
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i] == NULL)
            return vly_arena_fail(arena, err);
        if (vly_file_exists(paths[i])) {
            *ret = paths[i];
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EFORMAT, "'%s/%.*s': expected its truth beside it, '%s' or '%s'", dir,
                    VLY_STR_ARG(name), paths[1], paths[2]);
}

static vly_status add_recording(lister *l, const char *dir, const char *name, vly_err *err)
{
    const char *person = strrchr(dir, '/');
    vly_step_recording_ref ref = {0};

    if (l->n == l->cap) {
        size_t cap = l->cap > 0 ? 2 * l->cap : 16;
        vly_step_recording_ref *more = vly_arena_calloc(l->arena, cap, sizeof(*more));
        if (more == NULL)
            return vly_arena_fail(l->arena, err);
        if (l->n > 0)
            memcpy(more, l->recordings, l->n * sizeof(*more));
        l->recordings = more;
        l->cap = cap;
    }
    ref.person = person != NULL && person[1] != '\0' ? person + 1 : dir;
    ref.csv = vly_arena_printf(l->arena, "%s/%s", dir, name);
    if (ref.csv == NULL)
        return vly_arena_fail(l->arena, err);
    vly_status st = find_truth(dir, vly_str_from(name), l->arena, &ref.truth, err);
    if (st == VLY_OK)
        l->recordings[l->n++] = ref;
    return st;
}

/* The recordings right in dir, which is a person's. */
static vly_status add_person(lister *l, const char *dir, const vly_dir *list, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < list->n_entries && st == VLY_OK; i++) {
        const vly_dir_entry *e = &list->entries[i];
        if (!e->is_dir && is_recording(vly_str_from(e->name)))
            st = add_recording(l, dir, e->name, err);
    }
    return st;
}

static vly_status add_folder(lister *l, const char *dir, const char *name, vly_err *err)
{
    char *path = vly_arena_printf(l->arena, "%s/%s", dir, name);
    vly_dir list = {0};

    if (path == NULL)
        return vly_arena_fail(l->arena, err);
    vly_status st = vly_dir_list(path, DIR_ENTRIES_MAX, &list, err);
    if (st == VLY_OK)
        st = add_person(l, path, &list, err);
    vly_dir_release(&list);
    return st;
}

static vly_status add_folders(lister *l, const char *dir, vly_err *err)
{
    vly_dir list = {0};
    vly_status st = vly_dir_list(dir, DIR_ENTRIES_MAX, &list, err);

    for (size_t i = 0; i < list.n_entries && st == VLY_OK; i++)
        if (list.entries[i].is_dir)
            st = add_folder(l, dir, list.entries[i].name, err);
    if (st == VLY_OK && l->n == 0)
        st = add_person(l, dir, &list, err);
    vly_dir_release(&list);
    return st;
}

/* Recordings are by person already: folders come sorted. */
static vly_status list_persons(lister *l, vly_err *err)
{
    l->persons = vly_arena_calloc(l->arena, l->n, sizeof(*l->persons));
    if (l->persons == NULL)
        return vly_arena_fail(l->arena, err);
    for (size_t i = 0; i < l->n; i++)
        if (i == 0 || strcmp(l->recordings[i].person, l->recordings[i - 1].person) != 0)
            l->persons[l->n_persons++] = l->recordings[i].person;
    return VLY_OK;
}

vly_status vly_step_dataset_open(const char *dir, vly_arena *arena, vly_step_dataset *ret,
                                 vly_err *err)
{
    lister l = {.arena = arena};
    vly_str plain = vly_str_from(dir);

    while (plain.len > 1 && plain.ptr[plain.len - 1] == '/')
        plain.len--;
    const char *top = vly_arena_strdup(arena, plain);
    const char *raw = vly_arena_printf(arena, "%.*s/raw", VLY_STR_ARG(plain));
    if (top == NULL || raw == NULL)
        return vly_arena_fail(arena, err);
    vly_status st = add_folders(&l, vly_dir_exists(raw) ? raw : top, err);
    if (st == VLY_OK && l.n == 0)
        st = vly_fail(err, VLY_ENOTFOUND, "'%s': no recordings: expected PERSON/NAME.csv in it",
                      dir);
    if (st == VLY_OK)
        st = list_persons(&l, err);
    if (st == VLY_OK)
        *ret = (vly_step_dataset){l.recordings, l.n, l.persons, l.n_persons};
    return st;
}

/* ---- the truth ----------------------------------------------------------------------------- */

static size_t count_lines(vly_str text)
{
    size_t n = 1;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '\n';
    return n;
}

static int by_start(const void *a, const void *b)
{
    const vly_step_interval *x = a, *y = b;

    return (x->start_us > y->start_us) - (x->start_us < y->start_us);
}

static int64_t time_of(size_t sample, double rate_hz)
{
    return llround((double)sample * 1e6 / rate_hz);
}

static bool parse_step(vly_str line, size_t n_samples, double rate_hz, vly_step_interval *ret)
{
    vly_str first = vly_str_trim(vly_str_split(&line, ','));
    uint64_t start, end;

    if (!vly_str_to_u64(first, &start) || !vly_str_to_u64(vly_str_trim(line), &end) || start < 1 ||
        end < start || end > n_samples)
        return false;
    *ret =
        (vly_step_interval){time_of((size_t)start - 1, rate_hz), time_of((size_t)end - 1, rate_hz)};
    return true;
}

vly_status vly_step_truth_parse(vly_str text, size_t n_samples, double rate_hz, vly_arena *arena,
                                vly_step_interval **ret, size_t *ret_n, vly_err *err)
{
    vly_step_interval *steps = vly_arena_calloc(arena, count_lines(text), sizeof(*steps));
    size_t n = 0, line_no = 0;

    if (steps == NULL)
        return vly_arena_fail(arena, err);
    while (text.ptr != NULL) {
        vly_str line = vly_str_trim(vly_str_split(&text, '\n'));
        line_no++;
        if (line.len == 0)
            continue;
        if (!parse_step(line, n_samples, rate_hz, &steps[n++]))
            return vly_fail(err, VLY_EFORMAT,
                            "line %zu: expected 'start,end' in samples from 1 to %zu, got '%.*s'",
                            line_no, n_samples, (int)(line.len < 80 ? line.len : 80), line.ptr);
    }
    qsort(steps, n, sizeof(*steps), by_start); /* files list one foot, then the other */
    for (size_t i = 1; i < n; i++)
        if (steps[i].start_us <= steps[i - 1].end_us)
            return vly_fail(err, VLY_EFORMAT, "two steps overlap at %.3f s",
                            (double)steps[i].start_us / 1e6);
    *ret = steps;
    *ret_n = n;
    return VLY_OK;
}

static vly_status read_truth(const char *path, vly_arena *arena, vly_step_recording *r,
                             vly_err *err)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_CODEC, TRUTH_BYTES_MAX);
    vly_status st = vly_file_read(path, TRUTH_BYTES_MAX, &text, err);
    if (st == VLY_OK) {
        vly_step_interval *steps = NULL;
        st = vly_step_truth_parse(vly_buf_str(&text), r->n, r->rate_hz, arena, &steps,
                                  &r->truth.n_steps, err);
        r->truth.steps = steps;
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&text);
    return st;
}

/* ---- the readings -------------------------------------------------------------------------- */

enum { ACTIVITY, ACC_X, ACC_Y, ACC_Z, GYRO_X, GYRO_Y, GYRO_Z, COLUMNS };

typedef struct row_reader {
    vly_step_recording *to;
    uint8_t *activity;
    size_t cap;
} row_reader;

static vly_status take_row(void *arg, const vly_csv_row *row, vly_err *err)
{
    row_reader *r = arg;
    double v[COLUMNS];

    if (row->is_header)
        return VLY_OK;
    if (row->n_cells != COLUMNS || r->to->n == r->cap)
        return vly_fail(err, VLY_EFORMAT, "line %llu: expected %d cells, got %zu",
                        (unsigned long long)row->line, COLUMNS, row->n_cells);
    for (size_t k = 0; k < COLUMNS; k++)
        if (!vly_csv_number(row->cells[k], ',', &v[k]) || !isfinite(v[k]))
            return vly_fail(err, VLY_EFORMAT, "line %llu: expected a number in cell %zu",
                            (unsigned long long)row->line, k + 1);
    if (v[ACTIVITY] < 0 || v[ACTIVITY] >= VLY_ACTIVITIES)
        return vly_fail(err, VLY_EFORMAT, "line %llu: expected an activity 0 .. %d, got %g",
                        (unsigned long long)row->line, VLY_ACTIVITIES - 1, v[ACTIVITY]);
    r->activity[r->to->n] = (uint8_t)v[ACTIVITY];
    r->to->readings[r->to->n] = (vly_imu_reading){
        .t_us = time_of(r->to->n, RATE_HZ),
        .acc = {(float)v[ACC_X], (float)v[ACC_Y], (float)v[ACC_Z]},
        .gyro = {(float)v[GYRO_X], (float)v[GYRO_Y], (float)v[GYRO_Z]},
    };
    r->to->n++;
    return VLY_OK;
}

static vly_status read_rows(row_reader *r, vly_str text, vly_arena *arena, vly_err *err)
{
    vly_csv_opts opts = {.delimiter = ',', .on_row = take_row, .arg = r};

    r->cap = count_lines(text);
    r->to->readings = vly_arena_calloc(arena, r->cap, sizeof(*r->to->readings));
    r->activity = vly_arena_calloc(arena, r->cap, 1);
    if (r->to->readings == NULL || r->activity == NULL)
        return vly_arena_fail(arena, err);
    vly_csv *csv = vly_csv_new(&opts);
    if (csv == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a CSV reader");
    vly_status st = vly_csv_feed(csv, text.ptr, text.len, err);
    if (st == VLY_OK)
        st = vly_csv_end(csv, err);
    vly_csv_free(csv);
    return st;
}

vly_status vly_step_recording_read(const vly_step_recording_ref *ref, vly_arena *arena,
                                   vly_step_recording *ret, vly_err *err)
{
    vly_step_recording recording = {.rate_hz = RATE_HZ};
    row_reader r = {.to = &recording};
    vly_mmap map = {0};
    vly_status st = vly_mmap_open(ref->csv, RECORDING_BYTES_MAX, &map, err);

    if (st != VLY_OK)
        return st;
    st = read_rows(&r, (vly_str){(const char *)map.ptr, map.len}, arena, err);
    if (st == VLY_OK && recording.n == 0)
        st = vly_fail(err, VLY_EFORMAT, "no readings");
    if (st != VLY_OK)
        vly_fail_in(err, st, "'%s'", ref->csv);
    vly_mmap_close(&map);
    recording.truth.activity = r.activity;
    recording.truth.n_samples = recording.n;
    recording.truth.rate_hz = recording.rate_hz;
    if (st == VLY_OK)
        st = read_truth(ref->truth, arena, &recording, err);
    if (st == VLY_OK)
        *ret = recording;
    return st;
}

/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_dataset.h"

#include "sys/file.h"

#include <math.h>
#include <stdlib.h>

#define UNEVEN_S            0.25 /* how far a time may be off an even rate */
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

static bool parse_step(vly_str line, const vly_imu_reading *readings, size_t n_readings,
                       vly_step_interval *ret)
{
    vly_str first = vly_str_trim(vly_str_split(&line, ','));
    uint64_t start, end;

    if (!vly_str_to_u64(first, &start) || !vly_str_to_u64(vly_str_trim(line), &end) || start < 1 ||
        end < start || end > n_readings)
        return false;
    *ret = (vly_step_interval){readings[start - 1].t_us, readings[end - 1].t_us};
    return true;
}

vly_status vly_step_truth_parse(vly_str text, const vly_imu_reading *readings, size_t n_readings,
                                vly_arena *arena, vly_step_interval **ret, size_t *ret_n,
                                vly_err *err)
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
        if (!parse_step(line, readings, n_readings, &steps[n++]))
            return vly_fail(err, VLY_EFORMAT,
                            "line %zu: expected 'start,end' in readings from 1 to %zu, got '%.*s'",
                            line_no, n_readings, (int)(line.len < 80 ? line.len : 80), line.ptr);
    }
    qsort(steps, n, sizeof(*steps), by_start); /* files list one foot, then the other */
    for (size_t i = 1; i < n; i++)
        if (steps[i].start_us == steps[i - 1].start_us || steps[i].end_us <= steps[i - 1].end_us)
            return vly_fail(err, VLY_EFORMAT, "the step at %.3f s lies within another",
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
        st = vly_step_truth_parse(vly_buf_str(&text), r->readings, r->n, arena, &steps,
                                  &r->truth.n_steps, err);
        r->truth.steps = steps;
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&text);
    return st;
}

/* ---- the readings -------------------------------------------------------------------------- */

typedef struct collector {
    vly_buf readings, activity;
    size_t n_labelled; /* readings whose activity is known */
} collector;

static vly_status take_readings(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    collector *c = arg;

    vly_buf_add(&c->readings, readings, n * sizeof(*readings));
    return c->readings.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for a recording") : VLY_OK;
}

/* In a lift one stands. */
static vly_status take_activities(void *arg, const float *labels, size_t n, vly_err *err)
{
    collector *c = arg;

    for (size_t i = 0; i < n; i++) {
        float a = labels[i];
        c->n_labelled += !isnan(a);
        if (!isnan(a) && !(a >= 0 && a <= 5 && a == floorf(a)))
            return vly_fail(err, VLY_EFORMAT, "reading %zu: expected an activity 0 .. 5, got %g",
                            c->activity.len + 1, (double)a);
        vly_buf_putc(&c->activity, a < VLY_ACTIVITIES ? (char)a : VLY_ACTIVITY_STANDING);
    }
    return c->activity.failed ? vly_fail(err, VLY_ENOMEM, "out of memory for a recording") : VLY_OK;
}

static vly_status check_faults(const vly_imu_report *report, vly_err *err)
{
    for (int k = 0; k < VLY_IMU_FAULTS; k++)
        if (report->n_faults[k] > 0)
            return vly_fail(err, VLY_EFORMAT,
                            "line %llu: a value that is %s: the truth counts readings, so none "
                            "may be left out",
                            (unsigned long long)report->first_fault_line[k],
                            vly_imu_fault_name((vly_imu_fault)k));
    return VLY_OK;
}

static vly_status read_file(const char *path, collector *to, bool *ret_has_gyro, vly_err *err)
{
    const vly_imu_reader_opts opts = {
        .on_readings = take_readings, .label = "activity", .on_labels = take_activities, .arg = to};
    vly_imu_reader *reader = NULL;
    vly_mmap map = {0};
    vly_status st = vly_mmap_open(path, RECORDING_BYTES_MAX, &map, err);

    if (st == VLY_OK)
        st = vly_imu_reader_new(&opts, &reader, err);
    if (st == VLY_OK)
        st = vly_imu_reader_feed(reader, map.ptr, map.len, err);
    if (st == VLY_OK)
        st = vly_imu_reader_end(reader, err);
    if (st == VLY_OK)
        st = check_faults(vly_imu_reader_report(reader), err);
    if (st == VLY_OK)
        *ret_has_gyro = strcmp(vly_imu_reader_report(reader)->gyro_unit, "none") != 0;
    vly_imu_reader_free(reader);
    vly_mmap_close(&map);
    return st;
}

/* Makes times begin at 0, and finds the rate; each reading must be near its place at that rate. */
static vly_status settle_times(vly_step_recording *r, vly_err *err)
{
    int64_t first = r->readings[0].t_us, span = r->readings[r->n - 1].t_us - first;

    if (r->n < 2 || span <= 0)
        return vly_fail(err, VLY_EFORMAT, "expected two readings or more, in order of time");
    r->rate_hz = (double)(r->n - 1) * 1e6 / (double)span;
    for (size_t i = 0; i < r->n; i++) {
        r->readings[i].t_us -= first;
        double off_s = (double)r->readings[i].t_us / 1e6 - (double)i / r->rate_hz;
        bool is_back = i > 0 && r->readings[i].t_us <= r->readings[i - 1].t_us;
        if (is_back || fabs(off_s) > UNEVEN_S)
            return vly_fail(err, VLY_EFORMAT,
                            "reading %zu: expected times at an even rate of %.2f Hz, this is %s",
                            i + 1, r->rate_hz,
                            is_back ? "not later than the one before" : "far off");
    }
    return VLY_OK;
}

/* What was collected, moved to the arena. */
static vly_status keep(const collector *c, vly_arena *arena, vly_step_recording *r, vly_err *err)
{
    r->n = c->readings.len / sizeof(*r->readings);
    r->readings = vly_arena_calloc(arena, r->n, sizeof(*r->readings));
    uint8_t *activity = vly_arena_calloc(arena, r->n, 1);
    if (r->readings == NULL || activity == NULL)
        return vly_arena_fail(arena, err);
    memcpy(r->readings, c->readings.ptr, c->readings.len);
    if (c->n_labelled > 0 && c->n_labelled != r->n)
        return vly_fail(err, VLY_EFORMAT, "%zu of %zu readings have no activity",
                        r->n - c->n_labelled, r->n);
    if (c->n_labelled > 0) {
        memcpy(activity, c->activity.ptr, c->activity.len);
        r->truth.activity = activity;
    }
    return settle_times(r, err);
}

vly_status vly_step_recording_read(const vly_step_recording_ref *ref, vly_arena *arena,
                                   vly_step_recording *ret, vly_err *err)
{
    vly_step_recording r = {0};
    collector c = {0};

    vly_buf_init(&c.readings, VLY_MEM_CODEC, RECORDING_BYTES_MAX);
    vly_buf_init(&c.activity, VLY_MEM_CODEC, RECORDING_BYTES_MAX);
    vly_status st = read_file(ref->csv, &c, &r.has_gyro, err);
    if (st == VLY_OK)
        st = keep(&c, arena, &r, err);
    if (st != VLY_OK)
        vly_fail_in(err, st, "'%s'", ref->csv);
    vly_buf_release(&c.activity);
    vly_buf_release(&c.readings);
    if (st == VLY_OK) {
        r.truth.n_samples = r.n;
        r.truth.rate_hz = r.rate_hz;
        st = read_truth(ref->truth, arena, &r, err);
    }
    if (st == VLY_OK)
        *ret = r;
    return st;
}

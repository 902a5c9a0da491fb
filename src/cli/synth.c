/* SPDX-License-Identifier: MIT */
/* `volley synth imu`: a recording of a walk that never was, with its truth. */
#include "cli/command.h"
#include "tasks/steps/step_synth.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BYTES_MAX      ((size_t)4 << 30)
#define ACTIVITIES_MAX 64
#define GAP_S          0.5

typedef struct synth_opts {
    double seconds, rate, cadence, jitter_ms;
    int64_t seed, faults;
    const char *activity, *out, *truth;
    bool no_gyro;
} synth_opts;

static const synth_opts defaults = {.seconds = 60, .rate = 80, .seed = 1};

static const vly_opt options[] = {
    VLY_OPT(synth_opts, seconds, 0, FLOAT, "seconds", "S", "how long (default 60)"),
    VLY_OPT(synth_opts, seed, 0, INT, "seed", "N",
            "another seed is another walker (default 1); the same one the same recording"),
    VLY_OPT(synth_opts, rate, 0, FLOAT, "rate", "HZ", "readings a second, 20 to 500 (default 80)"),
    VLY_OPT(synth_opts, cadence, 0, FLOAT, "cadence", "SPM",
            "steps a minute on the level (default: by the seed, 102 to 122)"),
    VLY_OPT(synth_opts, activity, 0, TEXT, "activity", "LIST",
            "stand, walk, up and down, separated by commas, again and again (default: all)"),
    VLY_OPT(synth_opts, no_gyro, 0, FLAG, "no-gyro", NULL, "no columns of rotation"),
    VLY_OPT(synth_opts, jitter_ms, 0, FLOAT, "jitter-ms", "MS",
            "times waver by as much, at most 0.45 of a period (default 0)"),
    VLY_OPT(synth_opts, faults, 0, INT, "faults", "N",
            "so many faults, in turn: a hole of 0.5 s, a row twice, two rows swapped, nan, an "
            "empty cell, a value that no sensor gives (default 0)"),
    VLY_OPT(synth_opts, out, 'o', TEXT, "out", "FILE", "write the CSV there (default: stdout)"),
    VLY_OPT(synth_opts, truth, 0, TEXT, "truth", "FILE",
            "write the steps there: first and last reading of each, counted from 1"),
    VLY_OPT_END,
};

/* ---- options ------------------------------------------------------------------------------- */

static bool parse_activity(vly_str name, vly_activity *ret)
{
    static const struct {
        const char *name;
        vly_activity activity;
    } names[] = {{"stand", VLY_ACTIVITY_STANDING},
                 {"walk", VLY_ACTIVITY_WALKING},
                 {"up", VLY_ACTIVITY_STAIRS_UP},
                 {"down", VLY_ACTIVITY_STAIRS_DOWN}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (vly_str_is(name, names[i].name)) {
            *ret = names[i].activity;
            return true;
        }
    return false;
}

static vly_status parse_activities(const char *text, vly_activity to[ACTIVITIES_MAX], size_t *ret_n,
                                   vly_err *err)
{
    vly_str list = vly_str_from(text);

    while (list.ptr != NULL) {
        vly_str name = vly_str_trim(vly_str_split(&list, ','));
        if (*ret_n == ACTIVITIES_MAX)
            return vly_fail(err, VLY_ELIMIT, "--activity: at most %d", ACTIVITIES_MAX);
        if (!parse_activity(name, &to[*ret_n]))
            return vly_fail(err, VLY_EINVAL,
                            "--activity: expected stand, walk, up or down, got '%.*s'",
                            VLY_STR_ARG(name));
        *ret_n += 1;
    }
    return VLY_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

typedef struct csv_out {
    FILE *file;
    const vly_step_recording *recording;
    bool has_gyro;
} csv_out;

static void write_row(const csv_out *o, size_t i, const char *first_value)
{
    const vly_imu_reading *r = &o->recording->readings[i];

    fprintf(o->file, "%.6f,", (double)r->t_us / 1e6);
    if (first_value != NULL)
        fprintf(o->file, "%s", first_value);
    else
        fprintf(o->file, "%.5f", (double)r->acc[0]);
    fprintf(o->file, ",%.5f,%.5f", (double)r->acc[1], (double)r->acc[2]);
    if (o->has_gyro)
        fprintf(o->file, ",%.5f,%.5f,%.5f", (double)r->gyro[0], (double)r->gyro[1],
                (double)r->gyro[2]);
    fprintf(o->file, ",%d\n", o->recording->truth.activity[i]);
}

/* Writes row i with a fault; returns how many rows are done with that. */
static size_t write_fault(const csv_out *o, size_t i, unsigned kind)
{
    static const char *const values[] = {"nan", "", "99999"};

    switch (kind) {
    case 0:
        return (size_t)(GAP_S * o->recording->rate_hz);
    case 1:
        write_row(o, i, NULL);
        write_row(o, i, NULL);
        return 1;
    case 2:
        write_row(o, i + 1, NULL);
        write_row(o, i, NULL);
        return 2;
    default:
        write_row(o, i, values[kind - 3]);
        return 1;
    }
}

static void write_rows(const csv_out *o, size_t n_faults)
{
    size_t n = o->recording->n, fault = 0;

    fputs("time,acc_x,acc_y,acc_z,", o->file);
    fputs(o->has_gyro ? "gyro_x,gyro_y,gyro_z,activity\n" : "activity\n", o->file);
    for (size_t i = 0; i < n;) {
        if (fault < n_faults && i + 1 < n && i >= (fault + 1) * (n / (n_faults + 1))) {
            i += write_fault(o, i, (unsigned)(fault % 6));
            fault++;
        } else {
            write_row(o, i++, NULL);
        }
    }
}

/* Samples of the recording as it would be without faults. */
static void write_truth(FILE *file, const vly_step_recording *r)
{
    size_t i = 0;

    for (size_t k = 0; k < r->truth.n_steps; k++) {
        while (r->readings[i].t_us < r->truth.steps[k].start_us)
            i++;
        fprintf(file, "%zu,", i + 1);
        while (r->readings[i].t_us < r->truth.steps[k].end_us)
            i++;
        fprintf(file, "%zu\n", i + 1);
    }
}

/* path NULL: stdout */
static vly_status open_file(const char *path, FILE **ret, vly_err *err)
{
    *ret = path != NULL ? fopen(path, "w") : stdout;
    return *ret != NULL ? VLY_OK : vly_fail(err, VLY_EIO, "'%s': %s", path, strerror(errno));
}

/* stdout is checked for all commands. */
static vly_status close_file(const char *path, FILE *file, vly_err *err)
{
    if (file == stdout)
        return VLY_OK;
    bool failed = ferror(file) != 0;

    failed = fclose(file) != 0 || failed;
    return failed ? vly_fail(err, VLY_EIO, "'%s': not all of it could be written", path) : VLY_OK;
}

static vly_status write_all(const synth_opts *o, const vly_step_recording *r, vly_err *err)
{
    csv_out csv = {.recording = r, .has_gyro = !o->no_gyro};
    FILE *truth = NULL;
    vly_status st = open_file(o->out, &csv.file, err);

    if (st != VLY_OK)
        return st;
    write_rows(&csv, (size_t)o->faults);
    st = close_file(o->out, csv.file, err);
    if (st != VLY_OK || o->truth == NULL)
        return st;
    st = open_file(o->truth, &truth, err);
    if (st != VLY_OK)
        return st;
    write_truth(truth, r);
    return close_file(o->truth, truth, err);
}

static vly_status synthesise(const synth_opts *o, vly_arena *arena, vly_step_recording *ret,
                             vly_err *err)
{
    vly_activity activities[ACTIVITIES_MAX];
    vly_step_synth_opts opts = {.seed = (uint64_t)o->seed,
                                .seconds = o->seconds,
                                .rate_hz = o->rate,
                                .cadence_spm = o->cadence,
                                .jitter = o->jitter_ms / 1e3 * o->rate,
                                .activities = activities,
                                .has_no_gyro = o->no_gyro};
    vly_status st = VLY_OK;

    if (o->activity != NULL)
        st = parse_activities(o->activity, activities, &opts.n_activities, err);
    if (st == VLY_OK && (o->faults < 0 || o->faults > 1000))
        st = vly_fail(err, VLY_EINVAL, "--faults: expected 0 .. 1000, got %lld",
                      (long long)o->faults);
    return st == VLY_OK ? vly_step_synth(&opts, arena, ret, err) : st;
}

static int run(const void *opts_, int n_args, char *const *args)
{
    const synth_opts *o = opts_;
    vly_step_recording r;
    vly_arena arena;
    vly_err err;

    (void)n_args, (void)args;
    vly_arena_init(&arena, VLY_MEM_CLI, 1 << 20, BYTES_MAX);
    vly_status st = synthesise(o, &arena, &r, &err);
    if (st == VLY_OK)
        st = write_all(o, &r, &err);
    if (st == VLY_OK && o->out != NULL)
        printf("%s: %zu readings, %.1f s, %zu steps\n", o->out, r.n, o->seconds, r.truth.n_steps);
    if (st != VLY_OK)
        vly_command_fail(&err);
    vly_arena_release(&arena);
    return st == VLY_OK ? VLY_EXIT_OK : VLY_EXIT_FAILURE;
}

const vly_command vly_command_synth_imu = {
    .name = "synth imu",
    .args = "",
    .summary = "make a recording of a synthetic walk whose steps are known",
    .details =
        "Writes CSV (time in s, acceleration with gravity in m/s2, rotation in rad/s, activity) "
        "of\n"
        "a made-up walker with a sensor in the hand: standing with gestures, walking at a\n"
        "changing cadence, stairs, turns, a hand that holds the sensor anyhow, noise and bias.\n"
        "With --truth FILE the steps too, as `volley eval steps` reads them beside the CSV:\n"
        "NAME.csv and NAME.steps.csv. It proves the way from sensor to step, not the accuracy:\n"
        "that needs people.\n",
    .examples = "  volley synth imu --seconds 30 --out walk.csv --truth walk.steps.csv\n"
                "  volley synth imu --seed 7 --rate 200 --activity walk,up,stand --no-gyro\n"
                "  volley synth imu --faults 6 --jitter-ms 4 --out hostile.csv\n",
    .opts = options,
    .opts_bytes = sizeof(synth_opts),
    .defaults = &defaults,
    .run = run,
};

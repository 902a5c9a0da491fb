/* SPDX-License-Identifier: MIT */
/* Folders of labelled recordings. */
#include "support/temp_dir.h"
#include "sys/file.h"
#include "tasks/steps/step_dataset.h"
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>

static vly_arena arena;

static int setup(void **state)
{
    (void)state;
    vly_arena_init(&arena, VLY_MEM_CODEC, 1 << 16, (size_t)256 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_arena_release(&arena);
    return 0;
}

/* 80 Hz */
static const vly_imu_reading *even_readings(void)
{
    static vly_imu_reading readings[200];

    for (size_t i = 0; i < 200; i++)
        readings[i].t_us = (int64_t)i * 12500;
    return readings;
}

static void parses_truth(void **state)
{
    vly_step_interval *steps;
    vly_err err;
    size_t n;

    (void)state;
    /* sample 1 is at 0 s, one sample is 12.5 ms; the file need not be in order */
    assert_int_equal(vly_step_truth_parse(VLY_STR("81,161\r\n\n1,41\n"), even_readings(), 200,
                                          &arena, &steps, &n, &err),
                     VLY_OK);
    assert_int_equal(n, 2);
    assert_int_equal(steps[0].start_us, 0);
    assert_int_equal(steps[0].end_us, 500000);
    assert_int_equal(steps[1].start_us, 1000000);
    assert_int_equal(steps[1].end_us, 2000000);
    assert_int_equal(
        vly_step_truth_parse(VLY_STR(""), even_readings(), 200, &arena, &steps, &n, &err), VLY_OK);
    assert_int_equal(n, 0);
}

static void refuses_truth(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"1,41\n0,5", "line 2: expected 'start,end' in readings from 1 to 200, got '0,5'"},
        {"1,201", "line 1: expected 'start,end' in readings from 1 to 200, got '1,201'"},
        {"9,8", "line 1: expected 'start,end' in readings from 1 to 200, got '9,8'"},
        {"9", "line 1: expected 'start,end' in readings from 1 to 200, got '9'"},
        {"1,2,3", "line 1: expected 'start,end' in readings from 1 to 200, got '1,2,3'"},
        {"start,end\n1,2",
         "line 1: expected 'start,end' in readings from 1 to 200, got 'start,end'"},
        {"1,41\n21,41", "the step at 0.250 s lies within another"},
        {"1,41\n1,60", "the step at 0.000 s lies within another"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vly_step_interval *steps;
        vly_err err;
        size_t n;
        assert_int_equal(vly_step_truth_parse(vly_str_from(cases[i].text), even_readings(), 200,
                                              &arena, &steps, &n, &err),
                         VLY_EFORMAT);
        assert_string_equal(err.msg, cases[i].message);
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(vly_file_write(path, text, strlen(text), NULL), VLY_OK);
}

static void make_dir(const char *dir, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

#define HEADER " Activity, AccelX_5, AccelY_5, AccelZ_5, GyroX_5, GyroY_5, GyroZ_5\r\n"
#define ROWS   "0,1,2,9.5,0.1,0.2,0.3\r\n1,-1,-2,-9.5,0,0,0\r\n3,0,0,9.81,0,0,0\r\n"

static void lists_and_reads(void **state)
{
    char dir[TEMP_DIR_PATH_MAX];
    vly_step_recording r;
    vly_step_dataset d;
    vly_err err;

    (void)state;
    assert_true(temp_dir_make(dir));
    make_dir(dir, "bo");
    make_dir(dir, "al");
    make_dir(dir, "empty");
    put(dir, "readme.csv", "not a recording of a person\n");
    put(dir, "bo/ClippedX.csv", HEADER ROWS);
    put(dir, "bo/X.csv.stepMixed", "2,3\n");
    put(dir, "al/b.csv", HEADER "4,0,0,9.8,0,0,0\n5,0,0,9.8,0,0,0\n");
    put(dir, "al/b.steps.csv", "");
    put(dir, "al/a.csv", HEADER ROWS);
    put(dir, "al/a.csv.stepMixed", "1,2\n3,3\n");
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_OK);
    assert_int_equal(d.n_recordings, 3);
    assert_int_equal(d.n_persons, 2);
    assert_string_equal(d.persons[0], "al");
    assert_string_equal(d.persons[1], "bo");
    assert_string_equal(d.recordings[0].csv + strlen(dir), "/al/a.csv");
    assert_string_equal(d.recordings[1].truth + strlen(dir), "/al/b.steps.csv");
    assert_string_equal(d.recordings[2].truth + strlen(dir), "/bo/X.csv.stepMixed");
    assert_string_equal(d.recordings[2].person, "bo");

    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_OK);
    assert_int_equal(r.n, 3);
    assert_float_equal(r.rate_hz, 80, 0);
    assert_int_equal(r.readings[1].t_us, 12500);
    assert_float_equal(r.readings[0].acc[2], 9.5, 1e-6);
    assert_float_equal(r.readings[0].gyro[1], 0.2, 1e-6);
    assert_int_equal(r.truth.activity[2], VLY_ACTIVITY_STAIRS_DOWN);
    assert_int_equal(r.truth.n_samples, 3);
    assert_int_equal(r.truth.n_steps, 2);
    assert_int_equal(r.truth.steps[1].start_us, 25000);
    assert_int_equal(vly_step_recording_read(&d.recordings[1], &arena, &r, &err), VLY_OK);
    assert_int_equal(r.truth.n_steps, 0);
    assert_int_equal(r.truth.activity[0], VLY_ACTIVITY_STANDING); /* in a lift */
    assert_int_equal(r.truth.activity[1], VLY_ACTIVITY_STANDING);

    /* a folder of one person, and a folder with raw/ in it */
    char path[256];
    snprintf(path, sizeof(path), "%s/al/", dir);
    assert_int_equal(vly_step_dataset_open(path, &arena, &d, &err), VLY_OK);
    assert_int_equal(d.n_recordings, 2);
    assert_string_equal(d.persons[0], "al");
    make_dir(dir, "raw");
    make_dir(dir, "raw/cy");
    put(dir, "raw/cy/z.csv", HEADER ROWS);
    put(dir, "raw/cy/z.steps.csv", "1,9\n");
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_OK);
    assert_int_equal(d.n_persons, 1);
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "z.steps.csv': line 1: expected"));
    assert_true(temp_dir_remove(dir));
}

static void says_what_is_missing(void **state)
{
    char dir[TEMP_DIR_PATH_MAX];
    vly_step_recording r;
    vly_step_dataset d;
    vly_err err;

    (void)state;
    assert_true(temp_dir_make(dir));
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_ENOTFOUND);
    assert_non_null(strstr(err.msg, "no recordings: expected PERSON/NAME.csv in it"));
    make_dir(dir, "p");
    put(dir, "p/a.csv", HEADER "9,0,0,0,0,0,0\n");
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "p/a.csv': expected its truth beside it"));
    put(dir, "p/a.steps.csv", "");
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_OK);
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "p/a.csv': reading 1: expected an activity 0 .. 5, got 9"));
    put(dir, "p/a.csv", HEADER);
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    put(dir, "p/a.csv", HEADER ROWS "0,0,0,0,0,0,nan\n");
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "line 5: a value that is not_finite"));
    assert_int_equal(vly_step_dataset_open("/nowhere", &arena, &d, &err), VLY_ENOTFOUND);
    assert_true(temp_dir_remove(dir));
}

#define TIMED "time_ms,acc_x,acc_y,acc_z\n"

/* Other sensors than the reference: times, no rotation, no activity. */
static void reads_recordings_with_times(void **state)
{
    char dir[TEMP_DIR_PATH_MAX];
    vly_step_recording r;
    vly_step_dataset d;
    vly_err err;

    (void)state;
    assert_true(temp_dir_make(dir));
    put(dir, "a.csv", TIMED "1000,0,0,9.8\n1011,0,0,9.8\n1020,0,0,9.8\n1030,0,0,9.8\n");
    put(dir, "a.steps.csv", "2,3\n");
    assert_int_equal(vly_step_dataset_open(dir, &arena, &d, &err), VLY_OK);
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_OK);
    assert_float_equal(r.rate_hz, 100, 1e-9);
    assert_int_equal(r.readings[1].t_us, 11000);
    assert_int_equal(r.truth.steps[0].start_us, 11000);
    assert_int_equal(r.truth.steps[0].end_us, 20000);
    assert_null(r.truth.activity);
    assert_false(r.has_gyro);
    put(dir, "a.csv", TIMED "1000,0,0,9.8\n1010,0,0,9.8\n1010,0,0,9.8\n1030,0,0,9.8\n");
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "reading 3: expected times at an even rate"));
    put(dir, "a.csv", TIMED "1000,0,0,9.8\n1010,0,0,9.8\n1020,0,0,9.8\n3030,0,0,9.8\n");
    assert_int_equal(vly_step_recording_read(&d.recordings[0], &arena, &r, &err), VLY_EFORMAT);
    assert_non_null(strstr(err.msg, "reading 2: expected times at an even rate"));
    assert_true(temp_dir_remove(dir));
}

/* Samples, minutes and steps of each person as their publisher counts them. */
static void reads_real_recordings(void **state)
{
    static const struct {
        const char *person;
        size_t n_samples, n_steps;
    } expected[] = {
        {"person_2", 23587, 600}, {"person_3", 31305, 752},   {"person_4", 157746, 2862},
        {"person_5", 35055, 683}, {"person_7", 128301, 2113}, {"person_8", 29837, 650},
    };
    vly_step_dataset d;
    vly_err err;
    size_t at = 0;

    (void)state;
    assert_int_equal(vly_step_dataset_open(unit_shared("data/steps"), &arena, &d, &err), VLY_OK);
    assert_int_equal(d.n_recordings, 15);
    assert_int_equal(d.n_persons, 6);
    for (size_t p = 0; p < d.n_persons; p++) {
        size_t n_samples = 0, n_steps = 0;
        assert_string_equal(d.persons[p], expected[p].person);
        for (; at < d.n_recordings && d.recordings[at].person == d.persons[p]; at++) {
            vly_step_recording r;
            vly_arena one;
            vly_arena_init(&one, VLY_MEM_CODEC, 1 << 16, (size_t)64 << 20);
            assert_int_equal(vly_step_recording_read(&d.recordings[at], &one, &r, &err), VLY_OK);
            n_samples += r.n;
            n_steps += r.truth.n_steps;
            vly_arena_release(&one);
        }
        assert_int_equal(n_samples, expected[p].n_samples);
        assert_int_equal(n_steps, expected[p].n_steps);
    }
    assert_int_equal(at, 15);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(parses_truth), TEST(refuses_truth), TEST(lists_and_reads),
           TEST(says_what_is_missing), TEST(reads_recordings_with_times),
           TEST(reads_real_recordings))

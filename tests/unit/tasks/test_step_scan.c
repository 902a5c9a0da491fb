/* SPDX-License-Identifier: MIT */
/* A recording from its bytes to the summary, and the summary as JSON. */
#include "base/mem.h"
#include "tasks/steps/step_json.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The writer, on numbers made up here. */
static void json_is_as_described(void **state)
{
    const vly_imu_report input = {.format = "csv",
                                  .acc_unit = "g",
                                  .gyro_unit = "none",
                                  .time_unit = "ms",
                                  .is_acc_unit_guessed = true,
                                  .is_rate_guessed = true,
                                  .rate_hz = 50.25,
                                  .columns = "time,acc_x,acc_y,acc_z,-",
                                  .n_rows = 1003,
                                  .n_faults = {2, 0, 1},
                                  .first_fault_line = {17, 0, 4}};
    const vly_step_totals totals = {.n_readings = 1000, .n_steps = 1, .n_activity = {801, 0, 799}};
    const vly_imu_grid_counts counts = {1, 2, 3, 4};
    const vly_step_model model = {
        .rate_hz = 80, .hop = 4, .delay = 16, .rule = {.confirm = 1}, .name = "a \"model\""};
    const vly_step_event events[] = {
        {VLY_STEP_START, VLY_ACTIVITY_WALKING, 1, -1500, 212500, 0.5F},
        {VLY_STEP_END, VLY_ACTIVITY_STAIRS_UP, 1, 612503, 812500, 0.1F},
    };
    vly_step_summary s = {.input = &input,
                          .totals = &totals,
                          .counts = &counts,
                          .events = events,
                          .n_events = 2,
                          .duration_s = 19.9,
                          .cadence = 103.456,
                          .has_warning = {[VLY_STEP_WARN_NO_GYRO] = true},
                          .model = &model};
    vly_buf b;

    (void)state;
    vly_buf_init(&b, VLY_MEM_BASE, 1 << 16);
    vly_step_json_summary(&b, &s);
    assert_string_equal(
        b.ptr,
        "{\"samples\":1000,\"steps\":1,\"duration_s\":19.9,\"cadence\":103.5,\"activity_s\":{"
        "\"standing\":10.0125,\"walking\":0,\"stairs_up\":9.9875,\"stairs_down\":0},\"input\":{"
        "\"rows\":1003,\"rate_hz\":50.25,\"format\":\"csv\",\"columns\":"
        "\"time,acc_x,acc_y,acc_z,-\",\"acc_unit\":\"g\",\"gyro_unit\":\"none\",\"time_unit\":"
        "\"ms\",\"guessed\":[\"acc\",\"rate\"],\"is_rate_assumed\":false},\"left_out\":{"
        "\"not_a_number\":{\"n\":2,\"first_line\":17},\"not_finite\":{\"n\":0,\"first_line\":0},"
        "\"out_of_range\":{\"n\":1,\"first_line\":4},\"duplicates\":1,\"out_of_order\":2},"
        "\"gaps\":4,\"bridged\":3,\"warnings\":[\"no gyroscope: the model was trained with "
        "one\"],\"model\":\"a \\\"model\\\"\",\"look_ahead_ms\":268.75,\"events\":[{\"type\":"
        "\"step.start\",\"step\":1,\"t_ms\":-1.5,\"confidence\":0.5,\"activity\":\"walking\","
        "\"known_ms\":212.5},{\"type\":\"step.end\",\"step\":1,\"t_ms\":612.503,\"confidence\":0.1,"
        "\"activity\":\"stairs_up\",\"known_ms\":812.5}]}");
    vly_buf_clear(&b);
    s.cadence = 0;
    s.n_events = 0;
    vly_step_json_summary(&b, &s);
    assert_non_null(strstr(b.ptr, "\"cadence\":null"));
    assert_non_null(strstr(b.ptr, "\"events\":[]}"));
    vly_buf_release(&b);
}

typedef struct fixture {
    vly_step_model *model;
    vly_step_batcher *batcher;
} fixture;

static void open_model(fixture *f)
{
    vly_err err;

    if (vly_step_model_load(NULL, -1, &f->model, &err) != VLY_OK ||
        vly_step_batcher_new(f->model, &f->batcher, &err) != VLY_OK)
        fail_msg("%s", err.msg);
}

static void close_model(fixture *f)
{
    vly_step_batcher_free(f->batcher);
    vly_step_model_unref(f->model);
}

static vly_status add_up(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    (void)readings;
    (void)err;
    *(size_t *)arg += n;
    return VLY_OK;
}

/* Half a minute of rest at 50 Hz, with faults; bytes in pieces of 7. */
static void rest_with_faults(void **state)
{
    vly_step_summary sum;
    vly_step_scan *scan;
    vly_buf csv;
    vly_err err;
    size_t n_seen = 0;
    fixture f;

    (void)state;
    open_model(&f);
    vly_buf_init(&csv, VLY_MEM_BASE, 1 << 20);
    vly_buf_puts(&csv, "time_ms,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n");
    for (int i = 0; i < 1500; i++) {
        int64_t t = (int64_t)i * 20 + (i >= 1000 ? 3000 : 0); /* a hole of 3 s */
        if (i == 200)
            vly_buf_printf(&csv, "%d,0.1,x,9.8,0,0,0\n", (int)t);
        else if (i == 300)
            vly_buf_printf(&csv, "%d,0.1,nan,9.8,0,0,0\n", (int)t);
        else if (i == 400)
            vly_buf_printf(&csv, "%d,0.1,0,980,0,0,0\n", (int)t);
        else
            vly_buf_printf(&csv, "%d,0.1,0.2,9.8,0.01,0,0\n", (int)(i == 500 ? t - 20 : t));
    }
    const vly_step_scan_opts opts = {
        .model = f.model, .batcher = f.batcher, .on_readings = add_up, .arg = &n_seen};
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
    for (size_t at = 0; at < csv.len; at += 7) {
        size_t n = csv.len - at < 7 ? csv.len - at : 7;
        if (vly_step_scan_feed(scan, csv.ptr + at, n, &err) != VLY_OK)
            fail_msg("%s", err.msg);
    }
    if (vly_step_scan_end(scan, &sum, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sum.totals->n_readings, 1497);
    assert_int_equal(n_seen, 1497);
    assert_int_equal(sum.totals->n_steps, 0);
    assert_int_equal(sum.n_events, 0);
    assert_true(sum.cadence == 0.0);
    assert_true(fabs(sum.duration_s - 29.96) < 1e-9); /* 999 and 499 steps of 20 ms */
    for (int i = 0; i < VLY_IMU_FAULTS; i++)
        assert_int_equal(sum.input->n_faults[i], 1);
    assert_int_equal(sum.input->first_fault_line[VLY_IMU_NOT_A_NUMBER], 202);
    assert_int_equal(sum.counts->n_gaps, 1);
    assert_int_equal(sum.counts->n_duplicates, 1);
    for (int i = 0; i < VLY_STEP_WARNINGS; i++)
        assert_false(sum.has_warning[i]);
    vly_step_scan_free(scan);
    vly_buf_release(&csv);
    close_model(&f);
}

/* Ten readings a second of linear acceleration, without a gyroscope. */
static void warns_of_what_is_unlike(void **state)
{
    vly_step_summary sum;
    vly_step_scan *scan;
    vly_err err;
    char row[64];
    fixture f;

    (void)state;
    open_model(&f);
    const vly_step_scan_opts opts = {
        .model = f.model, .batcher = f.batcher, .reader = {.acc_unit = VLY_STR("m/s2")}};
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
    for (int i = 0; i < 15; i++) {
        int n = snprintf(row, sizeof(row), "%s%d,0.5,0.25,1.5\n",
                         i == 0 ? "time_ms,acc_x,acc_y,acc_z\n" : "", i * 100);
        if (vly_step_scan_feed(scan, row, (size_t)n, &err) != VLY_OK)
            fail_msg("%s", err.msg);
    }
    if (vly_step_scan_end(scan, &sum, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_true(sum.has_warning[VLY_STEP_WARN_SLOW]);
    assert_true(sum.has_warning[VLY_STEP_WARN_NO_GYRO]);
    assert_true(sum.has_warning[VLY_STEP_WARN_GRAVITY]);
    assert_true(sum.has_warning[VLY_STEP_WARN_SHORT]);
    assert_false(sum.has_warning[VLY_STEP_WARN_RATE]);
    for (int i = 0; i < VLY_STEP_WARNINGS; i++)
        assert_true(strlen(vly_step_warning_text((vly_step_warning)i)) > 0);
    vly_step_scan_free(scan);
    close_model(&f);
}

/* Two seconds of rotation behind three without. */
static void warns_of_a_late_gyroscope(void **state)
{
    vly_step_summary sum;
    vly_step_scan *scan;
    vly_err err;
    char row[96];
    vly_buf json;
    fixture f;

    (void)state;
    open_model(&f);
    const vly_step_scan_opts opts = {.model = f.model, .batcher = f.batcher};
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
    for (int i = 0; i < 500; i++) {
        int n = snprintf(row, sizeof(row), "%s%d,0,0,9.8,%s\n",
                         i == 0 ? "time_ms,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n" : "", i * 10,
                         i < 300 ? ",," : "0.1,0.2,0.1");
        if (vly_step_scan_feed(scan, row, (size_t)n, &err) != VLY_OK)
            fail_msg("%s", err.msg);
    }
    if (vly_step_scan_end(scan, &sum, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    assert_true(sum.has_warning[VLY_STEP_WARN_LATE_GYRO]);
    assert_false(sum.has_warning[VLY_STEP_WARN_NO_GYRO]);
    vly_buf_init(&json, VLY_MEM_BASE, 1 << 20);
    vly_step_json_summary(&json, &sum);
    vly_buf_putc(&json, '\0');
    assert_non_null(strstr(json.ptr, ",\"late_gyro\":200,"));
    vly_buf_release(&json);
    vly_step_scan_free(scan);
    close_model(&f);
}

/* 20 s of rest at 50 Hz, then the rows of more; the summary's events do not outlive it. */
static void summarise(const char *head, unsigned step, const char *more, vly_step_summary *ret)
{
    vly_step_scan *scan;
    char row[64];
    vly_err err;
    fixture f;

    open_model(&f);
    const vly_step_scan_opts opts = {.model = f.model, .batcher = f.batcher};
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
    assert_int_equal(vly_step_scan_feed(scan, head, strlen(head), &err), VLY_OK);
    for (unsigned i = 0; i < 1000; i++) {
        int n = snprintf(row, sizeof(row), "%u,0.1,0.2,9.8,0.01,0,0\n", i * step);
        assert_int_equal(vly_step_scan_feed(scan, row, (size_t)n, &err), VLY_OK);
    }
    for (unsigned i = 0; more != NULL && i < 11; i++)
        assert_int_equal(vly_step_scan_feed(scan, more, strlen(more), &err), VLY_OK);
    if (vly_step_scan_end(scan, ret, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_step_scan_free(scan);
    close_model(&f);
}

static void rows_that_are_left_out_do_not_last(void **state)
{
    vly_step_summary sum;

    (void)state;
    summarise("time_ms,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n", 20, "0,0.1,0.2,9.8,0,0,0\n",
              &sum);
    assert_true(fabs(sum.duration_s - 19.98) < 1e-9);
    assert_false(sum.has_warning[VLY_STEP_WARN_SHORT]);
    assert_true(sum.has_warning[VLY_STEP_WARN_LEFT_OUT]); /* 11 of 1011 */
    assert_false(sum.has_warning[VLY_STEP_WARN_FAST]);
}

/* A column "timestamp" that counts. */
static void warns_of_a_rate_that_no_sensor_has(void **state)
{
    vly_step_summary sum;

    (void)state;
    summarise("timestamp,acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z\n", 1, NULL, &sum);
    assert_true(sum.has_warning[VLY_STEP_WARN_FAST]);
    assert_false(sum.has_warning[VLY_STEP_WARN_LEFT_OUT]);
}

/* 1000 readings, as they come and at the model's rate: 200 ms apart each is followed by 15 between.
 */
static void limits_what_few_readings_cost(void **state)
{
    static const struct {
        unsigned period_ms;
        size_t n;
        vly_status want;
    } cases[] = {
        {200, 100, VLY_ELIMIT}, {201, 990, VLY_OK}, {12, 1000, VLY_OK}, {12, 1001, VLY_ELIMIT}};
    vly_step_summary sum;
    vly_step_scan *scan;
    char row[64];
    vly_err err;
    fixture f;

    (void)state;
    open_model(&f);
    const vly_step_scan_opts opts = {
        .model = f.model, .batcher = f.batcher, .reader = {.max_readings = 1000}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        vly_status st = VLY_OK;
        assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
        for (size_t i = 0; i < cases[c].n && st == VLY_OK; i++) {
            int n = snprintf(row, sizeof(row), "%s%zu,0,0,9.8\n",
                             i == 0 ? "time_ms,acc_x,acc_y,acc_z\n" : "", i * cases[c].period_ms);
            st = vly_step_scan_feed(scan, row, (size_t)n, &err);
        }
        if (st == VLY_OK)
            st = vly_step_scan_end(scan, &sum, &err);
        assert_int_equal(st, cases[c].want);
        assert_true(st != VLY_OK || sum.totals->n_net <= 1000);
        vly_step_scan_free(scan);
    }
    close_model(&f);
}

static void refuses(void **state)
{
    vly_step_summary sum;
    vly_step_scan *scan = NULL;
    vly_err err;
    fixture f;

    (void)state;
    open_model(&f);
    vly_step_scan_opts opts = {.model = f.model, .batcher = f.batcher};
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_OK);
    assert_int_equal(vly_step_scan_end(scan, &sum, &err), VLY_EFORMAT); /* nothing in it */
    vly_step_scan_free(scan);
    opts.reader.acc_unit = VLY_STR("furlong");
    assert_int_equal(vly_step_scan_new(&opts, &scan, &err), VLY_EINVAL);
    close_model(&f);
}

UNIT_TESTS(cmocka_unit_test(json_is_as_described), cmocka_unit_test(rest_with_faults),
           cmocka_unit_test(warns_of_what_is_unlike), cmocka_unit_test(warns_of_a_late_gyroscope),
           cmocka_unit_test(rows_that_are_left_out_do_not_last),
           cmocka_unit_test(warns_of_a_rate_that_no_sensor_has),
           cmocka_unit_test(limits_what_few_readings_cost), cmocka_unit_test(refuses))

/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_scan.h"

#include "base/assert.h"
#include "base/mem.h"
#include "tasks/steps/step_event_list.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define BATCH       4096 /* readings that go through the net together */
#define RATE_LOW_HZ 20
#define RATE_TOP_HZ 500
#define LEFT_OUT    0.01 /* share of the rows */
#define SHORT_S     2
#define PAUSE_US    2000000
/* What the mean of a recording with gravity is near to. */
#define MEAN_ACC_MIN 7.0F
#define MEAN_ACC_MAX 14.0F

struct vly_step_scan {
    vly_step_scan_opts opts;
    vly_imu_reader *reader;
    bool has_begun;
    double acc_sum; /* of the lengths of the accelerations */
    size_t n_batch;
    vly_imu_reading *batch; /* [BATCH] */
    vly_step_event_list events;
    vly_step_stream stream;
};

const char *vly_step_warning_text(vly_step_warning w)
{
    static const char *const texts[VLY_STEP_WARNINGS] = {
        [VLY_STEP_WARN_SLOW] = "fewer than 20 readings a second: steps will be missed",
        [VLY_STEP_WARN_NO_GYRO] = "no gyroscope: the model was trained with one",
        [VLY_STEP_WARN_GRAVITY] = "the mean acceleration is not near 9.8 m/s2: is gravity removed, "
                                  "or the unit another?",
        [VLY_STEP_WARN_RATE] = "nothing tells the rate, 80 Hz are assumed: give it with the "
                               "readings",
        [VLY_STEP_WARN_LATE_GYRO] =
            "the gyroscope begins after the first 256 rows: it is left out, "
            "so cut them off",
        [VLY_STEP_WARN_SHORT] = "less than 2 s: too short for the model to settle",
        [VLY_STEP_WARN_FAST] = "more than 500 readings a second, by times of a guessed unit: is it "
                               "another, or are the times a count?",
        [VLY_STEP_WARN_LEFT_OUT] =
            "more than 1 % of the readings are left out: steps may be missed",
    };

    VLY_ASSERT((unsigned)w < VLY_STEP_WARNINGS);
    return texts[w];
}

static vly_step_work work_of(vly_step_scan *s)
{
    return (vly_step_work){.stream = &s->stream,
                           .readings = s->batch,
                           .n = s->n_batch,
                           .on_events = vly_step_event_list_add,
                           .arg = &s->events};
}

static vly_status run_batch(vly_step_scan *s, vly_err *err)
{
    uint64_t most = s->opts.reader.max_readings;
    vly_step_work work = work_of(s);
    vly_status st = vly_step_batcher_run(s->opts.batcher, &work, 1, err);

    s->n_batch = 0;
    if (st == VLY_OK && most > 0 && s->stream.totals.n_net > most)
        st =
            vly_fail(err, VLY_ELIMIT,
                     "more than %" PRIu64 " readings at %u Hz, with what their holes are filled by",
                     most, s->opts.model->rate_hz);
    return st == VLY_OK ? vly_step_event_list_check(&s->events, err) : st;
}

static bool has_gyro(const vly_step_scan *s)
{
    return strcmp(vly_imu_reader_report(s->reader)->gyro_unit, "none") != 0;
}

static vly_status take(void *arg, const vly_imu_reading *readings, size_t n, vly_err *err)
{
    vly_step_scan *s = arg;
    vly_status st = VLY_OK;

    if (!s->has_begun)
        vly_step_stream_init(&s->stream, s->opts.model, has_gyro(s));
    s->has_begun = true;
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        const float *a = readings[i].acc;
        s->acc_sum += (double)sqrtf(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
        s->batch[s->n_batch++] = readings[i];
        if (s->n_batch == BATCH)
            st = run_batch(s, err);
    }
    if (st == VLY_OK && s->opts.on_readings != NULL)
        st = s->opts.on_readings(s->opts.arg, readings, n, err);
    return st;
}

vly_status vly_step_scan_new(const vly_step_scan_opts *opts, vly_step_scan **ret, vly_err *err)
{
    vly_step_scan *s = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*s));
    vly_imu_reading *batch = vly_calloc(VLY_MEM_MODEL, BATCH, sizeof(*batch));
    vly_imu_reader_opts reader = opts->reader;

    if (s == NULL || batch == NULL) {
        vly_free(s);
        vly_free(batch);
        return vly_fail(err, VLY_ENOMEM, "out of memory for a recording");
    }
    s->opts = *opts;
    s->batch = batch;
    reader.on_readings = take;
    reader.on_labels = NULL;
    reader.arg = s;
    vly_status st = vly_imu_reader_new(&reader, &s->reader, err);
    if (st != VLY_OK) {
        vly_step_scan_free(s);
        return st;
    }
    *ret = s;
    return VLY_OK;
}

void vly_step_scan_free(vly_step_scan *s)
{
    if (s == NULL)
        return;
    vly_imu_reader_free(s->reader);
    vly_step_event_list_release(&s->events);
    vly_free(s->batch);
    vly_free(s);
}

vly_status vly_step_scan_feed(vly_step_scan *s, const void *bytes, size_t n, vly_err *err)
{
    return vly_imu_reader_feed(s->reader, bytes, n, err);
}

/* ---- summary ------------------------------------------------------------------------------ */

static double cadence_of(const vly_step_event *events, size_t n)
{
    int64_t before_us = 0, sum_us = 0;
    uint64_t n_intervals = 0, n_starts = 0;

    for (size_t i = 0; i < n; i++) {
        if (events[i].type != VLY_STEP_START)
            continue;
        int64_t dt_us = events[i].t_us - before_us;
        before_us = events[i].t_us;
        if (n_starts++ == 0 || dt_us <= 0 || dt_us > PAUSE_US)
            continue;
        sum_us += dt_us;
        n_intervals++;
    }
    return n_intervals == 0 ? 0 : 60e6 * (double)n_intervals / (double)sum_us;
}

static uint64_t count_left_out(const vly_step_summary *s)
{
    uint64_t n = (uint64_t)s->counts->n_duplicates + s->counts->n_out_of_order;

    for (int i = 0; i < VLY_IMU_FAULTS; i++)
        n += s->input->n_faults[i];
    return n;
}

static void warn(vly_step_summary *s)
{
    bool *w = s->has_warning;

    w[VLY_STEP_WARN_SLOW] = s->input->rate_hz < RATE_LOW_HZ;
    w[VLY_STEP_WARN_NO_GYRO] =
        strcmp(s->input->gyro_unit, "none") == 0 && s->input->n_late_gyro == 0;
    w[VLY_STEP_WARN_LATE_GYRO] = s->input->n_late_gyro > 0;
    w[VLY_STEP_WARN_GRAVITY] = s->mean_acc < MEAN_ACC_MIN || s->mean_acc > MEAN_ACC_MAX;
    w[VLY_STEP_WARN_RATE] = s->input->is_rate_assumed;
    w[VLY_STEP_WARN_SHORT] = s->duration_s < SHORT_S;
    w[VLY_STEP_WARN_FAST] = s->input->rate_hz > RATE_TOP_HZ && s->input->is_rate_guessed &&
                            s->input->is_time_unit_guessed;
    w[VLY_STEP_WARN_LEFT_OUT] = (double)count_left_out(s) > LEFT_OUT * (double)s->input->n_rows;
}

vly_status vly_step_scan_end(vly_step_scan *s, vly_step_summary *ret, vly_err *err)
{
    vly_status st = vly_imu_reader_end(s->reader, err);

    if (st == VLY_OK)
        st = run_batch(s, err);
    if (st != VLY_OK)
        return st;
    vly_step_work work = work_of(s);
    st = vly_step_batcher_finish(s->opts.batcher, &work, err);
    if (st == VLY_OK)
        st = vly_step_event_list_check(&s->events, err);
    if (st != VLY_OK)
        return st;
    const vly_step_totals *t = &s->stream.totals;
    *ret = (vly_step_summary){
        .input = vly_imu_reader_report(s->reader),
        .totals = t,
        .counts = &s->stream.grid.counts,
        .events = s->events.events,
        .n_events = s->events.n,
        .duration_s = (double)vly_imu_grid_length_us(&s->stream.grid) / 1e6,
        .cadence = cadence_of(s->events.events, s->events.n),
        .mean_acc = t->n_readings > 0 ? (float)(s->acc_sum / (double)t->n_readings) : 0.0F,
        .model = s->opts.model};
    warn(ret);
    return VLY_OK;
}

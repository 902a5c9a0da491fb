/* SPDX-License-Identifier: MIT */
#include "sched/imu_fixture.h"

#include "unit.h"

#include <string.h>

vly_step_model *imu_model;
_Atomic vly_nsec imu_now;

int imu_set_up(void **state)
{
    vly_err err;

    (void)state;
    imu_now = 1000 * VLY_NSEC_PER_SEC;
    if (vly_step_model_load(NULL, -1, &imu_model, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return 0;
}

int imu_tear_down(void **state)
{
    (void)state;
    vly_step_model_unref(imu_model);
    return 0;
}

/* ---- clients ---- */

static void note_events(void *ctx, const vly_step_event *events, size_t n)
{
    imu_told *t = ctx;

    assert_true(t->n + n <= IMU_EVENTS_MAX);
    memcpy(t->events + t->n, events, n * sizeof(*events));
    t->n += n;
}

static void note_replaced(void *ctx)
{
    ((imu_told *)ctx)->n_replaced++;
}

static void note_durable(void *ctx, uint64_t next)
{
    ((imu_told *)ctx)->durable = next;
}

static void note_ended(void *ctx, const vly_imu_session_info *info)
{
    imu_told *t = ctx;

    t->n_ended++;
    t->info = *info;
}

const vly_imu_session_events imu_tells = {note_events, note_replaced, note_durable, note_ended};

/* ---- registry ---- */

static vly_nsec now(void)
{
    return imu_now;
}

vly_imu_sessions_opts imu_opts(vly_session_store *store)
{
    return (vly_imu_sessions_opts){.model = imu_model,
                                   .n_loops = 3,
                                   .max_sessions = 40,
                                   .max_waiting = 4096,
                                   .max_waiting_all = 30000,
                                   .idle_ns = IMU_IDLE_NS,
                                   .store = store,
                                   .now = now};
}

vly_imu_sessions *imu_start(const vly_imu_sessions_opts *opts)
{
    vly_imu_sessions *s = NULL;
    vly_err err;

    if (vly_imu_sessions_new(opts, &s, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return s;
}

vly_imu_session *imu_open(vly_imu_sessions *s, const char *user, imu_told *told,
                          vly_imu_session_info *ret_info)
{
    const vly_imu_open o = {.user = vly_str_from(user),
                            .device = VLY_STR("d"),
                            .has_gyro = true,
                            .events = &imu_tells,
                            .ctx = told};
    vly_imu_session *a = NULL;
    vly_err err;

    if (vly_imu_session_open(s, &o, &a, ret_info, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return a;
}

void imu_run_all(vly_imu_sessions *s, unsigned loop)
{
    while (vly_imu_sessions_turn(s, loop))
        continue;
}

void imu_feed(vly_imu_sessions *s, vly_imu_session *a, unsigned loop, uint64_t first,
              const vly_imu_reading *readings, size_t n, size_t piece)
{
    vly_err err;

    for (size_t i = 0, m = 0; i < n; i += m) {
        m = n - i < piece ? n - i : piece;
        if (vly_imu_session_push(a, loop, first + i, readings + i, m, &err) != VLY_OK)
            fail_msg("%s", err.msg);
        imu_run_all(s, loop);
    }
}

/* ---- truth ---- */

void imu_oracle(const vly_imu_reading *readings, size_t n, bool is_finished, imu_told *ret,
                vly_step_totals *ret_totals)
{
    vly_step_stream stream;
    vly_step_batcher *batcher = NULL;
    const vly_step_work work = {&stream, readings, n, note_events, ret};

    *ret = (imu_told){.n = 0};
    vly_step_stream_init(&stream, imu_model, true);
    assert_int_equal(vly_step_batcher_new(imu_model, &batcher, NULL), VLY_OK);
    assert_int_equal(vly_step_batcher_run(batcher, &work, 1, NULL), VLY_OK);
    if (is_finished)
        assert_int_equal(vly_step_batcher_finish(batcher, &work, NULL), VLY_OK);
    vly_step_batcher_free(batcher);
    if (ret_totals != NULL)
        *ret_totals = stream.totals;
}

void imu_assert_events(const imu_told *got, const imu_told *want)
{
    assert_int_equal(got->n, want->n);
    for (size_t i = 0; i < got->n; i++) {
        assert_int_equal(got->events[i].type, want->events[i].type);
        assert_int_equal(got->events[i].step, want->events[i].step);
        assert_int_equal(got->events[i].t_us, want->events[i].t_us);
        assert_int_equal(got->events[i].known_us, want->events[i].known_us);
        assert_int_equal(got->events[i].activity, want->events[i].activity);
        assert_memory_equal(&got->events[i].confidence, &want->events[i].confidence, sizeof(float));
    }
}

void imu_assert_totals(const vly_step_totals *got, const vly_step_totals *want)
{
    assert_int_equal(got->n_readings, want->n_readings);
    assert_int_equal(got->n_steps, want->n_steps);
    assert_int_equal(got->first_us, want->first_us);
    assert_int_equal(got->last_us, want->last_us);
    for (int i = 0; i < VLY_ACTIVITIES; i++)
        assert_int_equal(got->n_activity[i], want->n_activity[i]);
}

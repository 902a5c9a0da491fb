/* SPDX-License-Identifier: MIT */
/*
 * What the tests of IMU sessions share: a registry with a clock that stands still until it is told,
 * walks, what a walk is worth when it runs in one piece, and clients that note what they are told.
 */
#ifndef VLY_TESTS_IMU_FIXTURE_H
#define VLY_TESTS_IMU_FIXTURE_H

#include "sched/imu_sessions.h"

#define IMU_READINGS   1600 /* 20 s at 80 Hz */
#define IMU_EVENTS_MAX 256
#define IMU_IDLE_NS    (600 * VLY_NSEC_PER_SEC)

typedef struct imu_told {
    vly_step_event events[IMU_EVENTS_MAX];
    size_t n;
    int n_replaced, n_ended;
    uint64_t durable;          /* the last on_durable; 0: none yet */
    vly_imu_session_info info; /* of on_ended */
    vly_imu_session *session;  /* to close, or NULL */
} imu_told;

extern const vly_imu_session_events imu_tells; /* to an imu_told */
extern vly_step_model *imu_model;
extern _Atomic vly_nsec imu_now; /* what the clock says */

/* Set-up and tear-down of the model; whatever they return is for cmocka. */
int imu_set_up(void **state);
int imu_tear_down(void **state);

/* 3 loops, 40 sessions, 4096 readings, no thread of its own. */
vly_imu_sessions_opts imu_opts(vly_session_store *store);
vly_imu_sessions *imu_start(const vly_imu_sessions_opts *opts);

/* Fails the test when it fails. device "d" of the user. */
vly_imu_session *imu_open(vly_imu_sessions *s, const char *user, imu_told *told,
                          vly_imu_session_info *ret_info);
/* Pushes all of it in pieces, with a turn after each, numbered from first on. */
void imu_feed(vly_imu_sessions *s, vly_imu_session *a, unsigned loop, uint64_t first,
              const vly_imu_reading *readings, size_t n, size_t piece);
void imu_run_all(vly_imu_sessions *s, unsigned loop); /* turns until nothing is left */

/* What readings in one piece come to. is_finished: with what the look-ahead holds back. */
void imu_oracle(const vly_imu_reading *readings, size_t n, bool is_finished, imu_told *ret,
                vly_step_totals *ret_totals);
void imu_assert_events(const imu_told *got, const imu_told *want);
void imu_assert_totals(const vly_step_totals *got, const vly_step_totals *want);

#endif

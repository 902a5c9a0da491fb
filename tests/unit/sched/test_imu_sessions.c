/* SPDX-License-Identifier: MIT */
/*
 * Sessions of IMU sources: whatever connection, piece or loop the readings come by, the session
 * tells what the same readings tell in one piece. The test is each loop's thread.
 */
#include "sched/imu_fixture.h"
#include "support/imu_walk.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static vly_imu_reading walk[IMU_READINGS];
static vly_imu_sessions *s;
static vly_err err;

static int begin(void **state)
{
    imu_set_up(state);
    imu_walk(walk, IMU_READINGS, 1);
    vly_imu_sessions_opts opts = imu_opts(NULL);
    s = imu_start(&opts);
    return 0;
}

static int end(void **state)
{
    vly_imu_sessions_free(s);
    return imu_tear_down(state);
}

static const vly_imu_sessions_stats *stats(void)
{
    return vly_imu_sessions_get_stats(s);
}

static void assert_totals_of(const vly_imu_session_info *info, size_t n)
{
    vly_step_totals want;
    imu_told told;

    imu_oracle(walk, n, false, &told, &want);
    imu_assert_totals(&info->totals, &want);
    assert_int_equal(info->next, n);
}

static size_t count_ends(const imu_told *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += t->events[i].type == VLY_STEP_END;
    return n;
}

/* ---- readings ---- */

static void a_session_tells_what_the_file_tells(void **state)
{
    (void)state;
    vly_step_totals totals;
    imu_told told = {.n = 0}, want;
    vly_imu_session *a = imu_open(s, "ann", &told, NULL);

    imu_oracle(walk, IMU_READINGS, true, &want, &totals);
    assert_true(want.n > 40);
    imu_feed(s, a, 0, 0, walk, IMU_READINGS, 7);
    vly_imu_session_end(a, 0);
    assert_int_equal(told.n_ended, 0);
    imu_run_all(s, 0);
    imu_assert_events(&told, &want);
    assert_int_equal(told.n_ended, 1);
    assert_int_equal(told.n_replaced, 0);
    imu_assert_totals(&told.info.totals, &totals);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(told.info.id), NULL, &err),
                     VLY_ENOTFOUND);
    assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk, 1, &err), VLY_ECANCELLED);
    vly_imu_session_close(a);
    assert_int_equal(vly_counter_get(&stats()->steps), count_ends(&want));
    assert_int_equal(vly_counter_get(&stats()->events), want.n);
    assert_int_equal(vly_counter_get(&stats()->readings), IMU_READINGS);
}

static void all_sessions_of_a_turn_are_one_batch(void **state)
{
    (void)state;
    enum { N = 30 };
    static vly_imu_reading walks[N][IMU_READINGS];
    static imu_told told[N];
    vly_imu_session *a[N];
    imu_told want;
    char user[16];

    memset(told, 0, sizeof(told));
    for (unsigned i = 0; i < N; i++) {
        snprintf(user, sizeof(user), "user %u", i);
        a[i] = imu_open(s, user, &told[i], NULL);
        imu_walk(walks[i], IMU_READINGS, i);
    }
    for (size_t at = 0; at < IMU_READINGS; at += 2) { /* so few run together whatever they cost */
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(vly_imu_session_push(a[i], 1, at, walks[i] + at, 2, &err), VLY_OK);
        imu_run_all(s, 1);
    }
    assert_int_equal(vly_counter_get(&stats()->batch_streams),
                     vly_counter_get(&stats()->batches) * N);
    for (unsigned i = 0; i < N; i++) {
        imu_oracle(walks[i], IMU_READINGS, false, &want, NULL);
        imu_assert_events(&told[i], &want);
        vly_imu_session_close(a[i]);
    }
}

static void readings_have_numbers(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, &info);

    assert_int_equal(info.next, 0);
    assert_int_equal(vly_imu_session_push(a, 0, 1, walk + 1, 1, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "expected reading 0, got 1"));
    assert_int_equal(vly_imu_session_push(a, 0, 0, walk, 10, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(a, 0, 0, walk, 10, &err), VLY_OK); /* known: skipped */
    assert_int_equal(vly_imu_session_push(a, 0, 5, walk + 5, 15, &err), VLY_OK); /* the half */
    imu_run_all(s, 0);
    assert_int_equal(vly_imu_session_push(a, 0, 25, walk + 25, 1, &err), VLY_EINVAL);
    assert_non_null(strstr(err.msg, "expected reading 20, got 25"));
    assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk + 20, 5, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(a, 0, UINT64_MAX - 1, walk, 5, &err), VLY_EINVAL);
    imu_feed(s, a, 0, 25, walk + 25, 775, 100);
    vly_imu_session_info_get(a, &info);
    assert_totals_of(&info, 800);
    vly_imu_session_close(a);
}

static void what_waits_is_limited(void **state)
{
    (void)state;
    static vly_imu_reading many[4097];
    imu_told told = {.n = 0};
    vly_imu_session *a[3];
    char user[16];

    for (size_t i = 0; i < 4097; i++)
        many[i] = (vly_imu_reading){.t_us = (int64_t)i * 12500, .acc = {0, 0, 9.81F}};
    for (int i = 0; i < 3; i++) {
        snprintf(user, sizeof(user), "user %d", i);
        a[i] = imu_open(s, user, &told, NULL);
    }
    assert_int_equal(vly_imu_session_push(a[0], 0, 0, many, 4097, &err), VLY_EBUSY);
    assert_int_equal(vly_imu_session_push(a[0], 0, 0, many, 4096, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(a[0], 0, 4096, many, 1, &err), VLY_EBUSY);
    assert_int_equal(vly_imu_session_push(a[1], 0, 0, many, 4096, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(a[2], 0, 0, many, 1809, &err), VLY_EBUSY); /* of 10000 */
    assert_int_equal(vly_imu_session_push(a[2], 0, 0, many, 1808, &err), VLY_OK);
    assert_int_equal(vly_gauge_get(&stats()->waiting), 10000);
    imu_run_all(s, 0);
    assert_int_equal(vly_gauge_get(&stats()->waiting), 0);
    assert_int_equal(vly_imu_session_push(a[0], 0, 4096, many + 4096, 1, &err), VLY_OK);
    for (int i = 0; i < 3; i++)
        vly_imu_session_close(a[i]);
}

/* One with much to run does not keep the other waiting, nor the loop. */
static void a_turn_ends_in_time(void **state)
{
    (void)state;
    enum { MANY = 400000 };
    vly_imu_sessions_opts opts = imu_opts(NULL);
    vly_imu_reading *many = calloc(MANY, sizeof(*many));
    imu_told told = {.n = 0};
    vly_imu_session_info info;

    assert_non_null(many);
    for (size_t i = 0; i < MANY; i++)
        many[i] = (vly_imu_reading){.t_us = (int64_t)i * 12500, .acc = {0, 0, 9.81F}};
    opts.max_waiting = MANY;
    opts.max_waiting_all = (size_t)3 * (MANY + 1);
    vly_imu_sessions *other = imu_start(&opts);
    vly_imu_session *big = imu_open(other, "big", &told, NULL);
    vly_imu_session *small = imu_open(other, "small", &told, NULL);
    assert_int_equal(vly_imu_session_push(big, 0, 0, many, MANY, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(small, 0, 0, many, 1, &err), VLY_OK);
    assert_true(vly_imu_sessions_turn(other, 0));
    assert_true(vly_imu_sessions_turn(other, 0));
    vly_imu_session_info_get(small, &info);
    assert_int_equal(info.next, 1);
    vly_imu_session_info_get(big, &info);
    assert_true(info.next > 0 && info.next < MANY);
    imu_run_all(other, 0);
    vly_imu_session_info_get(big, &info);
    assert_int_equal(info.next, MANY);
    vly_imu_session_close(big);
    vly_imu_session_close(small);
    vly_imu_sessions_free(other);
    free(many);
}

/* ---- who has it ---- */

static void a_session_waits_for_its_user(void **state)
{
    (void)state;
    vly_imu_session_info first, info;
    imu_told told = {.n = 0}, want;
    vly_imu_session *a = imu_open(s, "ann", &told, &first);

    assert_false(first.is_resumed);
    assert_true(first.is_attached);
    imu_feed(s, a, 0, 0, walk, 700, 50);
    vly_imu_session_close(a);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(first.id), &info, &err),
                     VLY_OK);
    assert_false(info.is_attached);
    assert_totals_of(&info, 700);
    a = imu_open(s, "ann", &told, &info);
    assert_true(info.is_resumed);
    assert_string_equal(info.id, first.id);
    assert_string_equal(info.user, "ann");
    assert_string_equal(info.device, "d");
    assert_int_equal(info.next, 700);
    imu_feed(s, a, 2, 700, walk + 700, IMU_READINGS - 700, 50);
    imu_oracle(walk, IMU_READINGS, false, &want, NULL);
    imu_assert_events(&told, &want);
    vly_imu_session_close(a);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 1);
    assert_int_equal(vly_gauge_get(&stats()->attached), 0);
}

static void what_was_pushed_before_close_is_run(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, NULL);

    assert_int_equal(vly_imu_session_push(a, 0, 0, walk, 800, &err), VLY_OK);
    vly_imu_session_close(a);
    imu_run_all(s, 0);
    assert_int_equal(told.n, 0); /* nobody is there to be told */
    a = imu_open(s, "ann", &told, &info);
    assert_totals_of(&info, 800);
    assert_int_equal(vly_gauge_get(&stats()->attached), 1);
    vly_imu_session_close(a);
}

static void the_new_one_replaces_the_old_one(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told old = {.n = 0}, new = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &old, NULL), *b;

    imu_feed(s, a, 0, 0, walk, 500, 100);
    assert_int_equal(vly_imu_session_push(a, 0, 500, walk + 500, 50, &err), VLY_OK);
    b = imu_open(s, "ann", &new, &info);
    assert_int_equal(old.n_replaced, 1);
    assert_int_equal(info.next, 500); /* the 50 had not run */
    assert_int_equal(vly_imu_session_push(a, 0, 550, walk + 550, 1, &err), VLY_ECANCELLED);
    vly_imu_session_end(a, 0); /* nothing to end */
    imu_run_all(s, 0);
    imu_feed(s, b, 1, 500, walk + 500, 300, 100);
    vly_imu_session_info_get(b, &info);
    assert_totals_of(&info, 800);
    vly_imu_session_close(a);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), &info, &err),
                     VLY_OK);
    assert_true(info.is_attached);
    vly_imu_session_close(b);
    assert_int_equal(old.n_replaced, 1);
    assert_int_equal(new.n_replaced, 0);
    assert_int_equal(vly_counter_get(&stats()->replaced), 1);
    assert_int_equal(vly_gauge_get(&stats()->waiting), 0);
}

static vly_status open_as(vly_str user, vly_str device, vly_str id, vly_imu_session **ret)
{
    const vly_imu_open o = {.user = user, .device = device, .id = id, .events = &imu_tells};
    return vly_imu_session_open(s, &o, ret, NULL, &err);
}

static void a_session_without_user_is_found_by_id(void **state)
{
    (void)state;
    const vly_str none = {NULL, 0};
    vly_imu_session_info one, two;
    vly_imu_session *a, *b;

    assert_int_equal(open_as(none, none, none, &a), VLY_OK);
    assert_int_equal(open_as(none, none, none, &b), VLY_OK);
    vly_imu_session_info_get(a, &one);
    vly_imu_session_info_get(b, &two);
    assert_string_not_equal(one.id, two.id);
    imu_feed(s, a, 0, 0, walk, 100, 100);
    vly_imu_session_close(a);
    assert_int_equal(open_as(none, none, vly_str_from(one.id), &a), VLY_OK);
    vly_imu_session_info_get(a, &two);
    assert_int_equal(two.next, 100);
    vly_imu_session_close(a);
    vly_imu_session_close(b);
    assert_int_equal(open_as(none, none, VLY_STR("no id"), &a), VLY_ENOTFOUND);
    assert_int_equal(open_as(none, none, VLY_STR("00112233445566778899aabbccddeeff"), &a),
                     VLY_ENOTFOUND);
}

static vly_imu_session *open_of(const vly_imu_who *who, const char *user, vly_imu_session_info *ret)
{
    const vly_imu_open o = {
        .user = vly_str_from(user), .device = VLY_STR("d"), .who = *who, .events = &imu_tells};
    vly_imu_session *a = NULL;

    assert_int_equal(vly_imu_session_open(s, &o, &a, ret, &err), VLY_OK);
    return a;
}

static void expect_seen(const vly_imu_who *who, size_t n_want, size_t n_want_attached)
{
    vly_imu_session_info page[8];
    size_t n, n_attached;

    assert_int_equal(vly_imu_sessions_list(s, who, VLY_STR(""), page, 8, &n, &err), VLY_OK);
    assert_int_equal(n, n_want);
    vly_imu_sessions_count(s, who, &n, &n_attached);
    assert_int_equal(n, n_want);
    assert_int_equal(n_attached, n_want_attached);
}

static void sessions_belong_to_who_begins_them(void **state)
{
    (void)state;
    const vly_imu_who ann = {VLY_STR("ann"), false}, bob = {VLY_STR("bob"), false},
                      boss = {VLY_STR("boss"), true};
    vly_imu_session_info anns, bobs, info;

    vly_imu_session *a = open_of(&ann, "u", &anns), *b = open_of(&bob, "u", &bobs);
    assert_string_not_equal(anns.id, bobs.id);
    assert_false(bobs.has_replaced);
    imu_feed(s, b, 0, 0, walk, 100, 100);
    vly_imu_session_close(b);
    const vly_str id = vly_str_from(bobs.id);
    expect_seen(&ann, 1, 1);
    expect_seen(&bob, 1, 0);
    expect_seen(&boss, 2, 1);
    expect_seen(&(vly_imu_who){VLY_STR(""), false}, 0, 0);

    assert_int_equal(vly_imu_sessions_find(s, &ann, id, &info, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_imu_sessions_reset(s, &ann, id, &info, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_imu_sessions_remove(s, &ann, id, &info, &err), VLY_ENOTFOUND);
    const vly_imu_open theft = {.id = id, .who = ann, .events = &imu_tells};
    assert_int_equal(vly_imu_session_open(s, &theft, &b, NULL, &err), VLY_ENOTFOUND);
    assert_int_equal(vly_imu_sessions_find_name(s, &ann, VLY_STR("u"), VLY_STR("d"), &info, &err),
                     VLY_OK);
    assert_string_equal(info.id, anns.id);
    assert_int_equal(vly_imu_sessions_find_name(s, &boss, VLY_STR("u"), VLY_STR("d"), &info, &err),
                     VLY_ENOTFOUND);
    assert_int_equal(vly_imu_sessions_find(s, &bob, id, &info, &err), VLY_OK);
    assert_int_equal(info.totals.n_readings, 100);

    b = open_of(&bob, "u", &info);
    assert_string_equal(info.id, bobs.id);
    assert_int_equal(info.next, 100);
    vly_imu_session_close(b);
    const vly_imu_open help = {.id = id, .who = boss, .events = &imu_tells};
    assert_int_equal(vly_imu_session_open(s, &help, &b, NULL, &err), VLY_OK);
    vly_imu_session_close(b);
    assert_int_equal(vly_imu_sessions_find(s, &bob, id, &info, &err), VLY_OK); /* his still */
    assert_int_equal(vly_imu_sessions_remove(s, &boss, id, &info, &err), VLY_OK);
    expect_seen(&bob, 0, 0);
    expect_seen(&boss, 1, 1);
    vly_imu_session_close(a);
}

static void names_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"a\nb", "\x7f", "\xc2\x85", "\xff", "\xed\xa0\x80"};
    const vly_str none = {NULL, 0};
    char long_name[VLY_IMU_NAME_MAX + 1];
    vly_imu_session *a;

    memset(long_name, 'x', sizeof(long_name));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(open_as(vly_str_from(bad[i]), none, none, &a), VLY_EINVAL);
        assert_int_equal(open_as(VLY_STR("ann"), vly_str_from(bad[i]), none, &a), VLY_EINVAL);
    }
    assert_int_equal(open_as((vly_str){long_name, sizeof(long_name)}, none, none, &a), VLY_EINVAL);
    assert_int_equal(open_as((vly_str){long_name, VLY_IMU_NAME_MAX},
                             VLY_STR("h\xc3\xb6rer \xf0\x9f\x91\x9f"), none, &a),
                     VLY_OK);
    vly_imu_session_close(a);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 1);
}

static void sessions_are_limited(void **state)
{
    (void)state;
    vly_imu_session *a[40], *b;
    imu_told told = {.n = 0};
    char user[16];

    for (int i = 0; i < 40; i++) {
        snprintf(user, sizeof(user), "user %d", i);
        a[i] = imu_open(s, user, &told, NULL);
    }
    assert_int_equal(open_as(VLY_STR("one more"), (vly_str){NULL, 0}, (vly_str){NULL, 0}, &b),
                     VLY_EBUSY);
    b = imu_open(s, "user 7", &told, NULL); /* no new one */
    vly_imu_session_close(b);
    for (int i = 0; i < 40; i++)
        vly_imu_session_close(a[i]);
}

static void idle_ones_are_forgotten(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, NULL), *b = imu_open(s, "bob", &told, &info);

    vly_imu_session_close(a);
    imu_now += IMU_IDLE_NS - 1;
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 2);
    imu_now += 1;
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 1);
    assert_int_equal(vly_counter_get(&stats()->expired), 1);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_OK);
    a = imu_open(s, "ann", &told, &info);
    assert_false(info.is_resumed);
    vly_imu_session_close(b);
    vly_imu_session_close(a);
    imu_now += 2 * IMU_IDLE_NS;
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 0);
}

/* ---- by id ---- */

static void lists_have_pages(void **state)
{
    (void)state;
    vly_imu_session_info page[7];
    char last[VLY_IMU_ID_LEN + 1] = "", user[16];
    bool is_seen[40] = {false};
    size_t n = 7, n_all = 0;
    imu_told told;

    for (int i = 0; i < 40; i++) {
        snprintf(user, sizeof(user), "%d", i);
        vly_imu_session_close(imu_open(s, user, &told, NULL));
    }
    while (n == 7) {
        assert_int_equal(
            vly_imu_sessions_list(s, VLY_IMU_ALL, vly_str_from(last), page, 7, &n, &err), VLY_OK);
        for (size_t i = 0; i < n; i++) {
            assert_true(strcmp(page[i].id, last) > 0);
            memcpy(last, page[i].id, sizeof(last));
            unsigned long user_no = strtoul(page[i].user, NULL, 10);
            assert_false(is_seen[user_no]);
            is_seen[user_no] = true;
            n_all++;
        }
    }
    assert_int_equal(n_all, 40);
    assert_int_equal(vly_imu_sessions_list(s, VLY_IMU_ALL,
                                           VLY_STR("ffffffffffffffffffffffffffffffff"), page, 7, &n,
                                           &err),
                     VLY_OK);
    assert_int_equal(n, 0);
    assert_int_equal(vly_imu_sessions_list(s, VLY_IMU_ALL, VLY_STR("x"), page, 7, &n, &err),
                     VLY_EINVAL);
}

static void a_reset_begins_anew(void **state)
{
    (void)state;
    vly_imu_session_info info;
    vly_step_totals totals;
    imu_told told = {.n = 0}, want;
    vly_imu_session *a = imu_open(s, "ann", &told, &info);

    imu_feed(s, a, 0, 0, walk, 800, 100);
    assert_int_equal(vly_imu_sessions_reset(s, VLY_IMU_ALL, vly_str_from(info.id), &info, &err),
                     VLY_OK);
    assert_int_equal(info.totals.n_steps, 0);
    assert_int_equal(info.totals.n_readings, 0);
    assert_int_equal(info.next, 800);
    told.n = 0;
    imu_feed(s, a, 0, 800, walk + 800, 800, 100);
    imu_oracle(walk + 800, 800, false, &want, &totals);
    imu_assert_events(&told, &want);
    vly_imu_session_info_get(a, &info);
    imu_assert_totals(&info.totals, &totals);
    assert_int_equal(info.next, 1600);
    vly_imu_session_close(a);
    assert_int_equal(vly_imu_sessions_reset(s, VLY_IMU_ALL, VLY_STR("x"), NULL, &err),
                     VLY_ENOTFOUND);
}

static void a_removed_one_is_gone(void **state)
{
    (void)state;
    vly_imu_session_info info, other;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, &info);

    imu_feed(s, a, 0, 0, walk, 100, 100);
    assert_int_equal(vly_imu_session_push(a, 0, 100, walk + 100, 1, &err), VLY_OK);
    assert_int_equal(vly_imu_sessions_remove(s, VLY_IMU_ALL, vly_str_from(info.id), &other, &err),
                     VLY_OK);
    assert_int_equal(other.next, 100);
    assert_int_equal(told.n_replaced, 1);
    assert_int_equal(vly_imu_sessions_remove(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_ENOTFOUND);
    imu_run_all(s, 0);
    vly_imu_session_close(a);
    a = imu_open(s, "ann", &told, &other);
    assert_string_not_equal(other.id, info.id);
    assert_int_equal(other.next, 0);
    vly_imu_session_close(a);
}

/* ---- in callbacks ---- */

static void close_it(void *ctx, const vly_step_event *events, size_t n)
{
    imu_told *t = ctx;

    (void)events;
    (void)n;
    t->n++;
    vly_imu_session_close(t->session);
}

static void a_callback_may_close(void **state)
{
    (void)state;
    static const vly_imu_session_events closes = {.on_events = close_it};
    imu_told told = {.n = 0};
    const vly_imu_open o = {.user = VLY_STR("ann"), .events = &closes, .ctx = &told};
    vly_imu_session_info info;

    assert_int_equal(vly_imu_session_open(s, &o, &told.session, &info, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(told.session, 0, 0, walk, IMU_READINGS, &err), VLY_OK);
    imu_run_all(s, 0);
    assert_int_equal(told.n, 1);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), &info, &err),
                     VLY_OK);
    assert_false(info.is_attached);
    assert_int_equal(info.next, IMU_READINGS);
}

/* At each event the next piece; at the last one the end. */
static void push_more(void *ctx, const vly_step_event *events, size_t n)
{
    imu_told *t = ctx;
    size_t at = t->durable;

    memcpy(t->events + t->n, events, n * sizeof(*events));
    t->n += n;
    if (at < IMU_READINGS) {
        assert_int_equal(vly_imu_session_push(t->session, 0, at, walk + at, 100, &err), VLY_OK);
        t->durable += 100;
    } else {
        vly_imu_session_end(t->session, 0);
    }
}

static void a_callback_may_push_and_end(void **state)
{
    (void)state;
    static vly_imu_session_events pushes;
    static imu_told told, want;
    const vly_imu_open o = {
        .user = VLY_STR("ann"), .events = &pushes, .ctx = &told, .has_gyro = true};

    pushes = imu_tells;
    pushes.on_events = push_more;
    told = (imu_told){.durable = 500};
    assert_int_equal(vly_imu_session_open(s, &o, &told.session, NULL, &err), VLY_OK);
    assert_int_equal(vly_imu_session_push(told.session, 0, 0, walk, 500, &err), VLY_OK);
    imu_run_all(s, 0);
    imu_oracle(walk, IMU_READINGS, true, &want, NULL);
    assert_int_equal(told.n_ended, 1);
    imu_assert_events(&told, &want);
    vly_imu_session_close(told.session);
}

/* ---- what one-shot clients want ---- */

/* Not behind the backlog of others, and not lost when the next one opens. */
static void one_may_run_first(void **state)
{
    (void)state;
    enum { OTHERS = 38, BACKLOG = 250 };
    static imu_told told[OTHERS + 1];
    vly_imu_session *others[OTHERS], *a;
    vly_imu_session_info info;

    for (size_t i = 0; i < OTHERS; i++) {
        char user[8];
        snprintf(user, sizeof(user), "u%zu", i);
        others[i] = imu_open(s, user, &told[i], NULL);
        assert_int_equal(vly_imu_session_push(others[i], 0, VLY_IMU_NEXT, walk, BACKLOG, &err),
                         VLY_OK);
    }
    for (size_t k = 0; k < 5; k++) {
        a = imu_open(s, "ann", &told[OTHERS], NULL);
        assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk + k, 1, &err), VLY_OK);
        assert_true(vly_imu_session_run(a, 0));
        vly_imu_session_info_get(a, &info);
        assert_int_equal(info.totals.n_readings, k + 1);
        assert_int_equal(info.next, k + 1);
        vly_imu_session_close(a);
    }
    a = imu_open(s, "ann", &told[OTHERS], NULL);
    assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk, 7, &err), VLY_OK);
    vly_imu_session_take_back(a, 0);
    assert_true(vly_imu_session_run(a, 0));
    imu_run_all(s, 0);
    vly_imu_session_info_get(a, &info);
    assert_int_equal(info.next, 5);
    vly_imu_session_close(a);
    for (size_t i = 0; i < OTHERS; i++) {
        vly_imu_session_info_get(others[i], &info);
        assert_int_equal(info.next, BACKLOG);
        vly_imu_session_close(others[i]);
    }
}

static void who_lost_it_is_told_so_by_run(void **state)
{
    (void)state;
    imu_told told = {.n = 0};
    vly_imu_session_info info;
    vly_imu_session *a = imu_open(s, "ann", &told, &info);

    assert_false(info.has_replaced);
    assert_int_equal(vly_imu_session_push(a, 0, VLY_IMU_NEXT, walk, 3, &err), VLY_OK);
    vly_imu_session *b = imu_open(s, "ann", &told, &info);
    assert_true(info.has_replaced);
    assert_false(vly_imu_session_run(a, 0));
    vly_imu_session_close(a);
    vly_imu_session_close(b);
    b = imu_open(s, "ann", &told, &info);
    assert_false(info.has_replaced);
    assert_true(info.is_resumed);
    assert_int_equal(info.next, 0);
    vly_imu_session_close(b);
}

/* Only what is still its own. */
static void who_closes_may_forget(void **state)
{
    (void)state;
    imu_told told = {.n = 0};
    vly_imu_session_info info;
    vly_imu_session *a = imu_open(s, "ann", &told, &info);
    vly_imu_session *b = imu_open(s, "ann", &told, NULL);

    vly_imu_session_close_forget(a);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_OK);
    assert_int_equal(vly_imu_session_push(b, 0, VLY_IMU_NEXT, walk, 3, &err), VLY_OK);
    vly_imu_session_close_forget(b); /* what waits goes, too */
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_ENOTFOUND);
    assert_int_equal(told.n_replaced, 1);
    imu_run_all(s, 0);
    assert_int_equal(vly_gauge_get(&stats()->waiting), 0);
    assert_int_equal(vly_gauge_get(&stats()->attached), 0);
    assert_int_equal(vly_gauge_get(&stats()->sessions), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_TESTS(TEST(a_session_tells_what_the_file_tells), TEST(all_sessions_of_a_turn_are_one_batch),
           TEST(readings_have_numbers), TEST(what_waits_is_limited), TEST(a_turn_ends_in_time),
           TEST(a_session_waits_for_its_user), TEST(what_was_pushed_before_close_is_run),
           TEST(the_new_one_replaces_the_old_one), TEST(a_session_without_user_is_found_by_id),
           TEST(sessions_belong_to_who_begins_them), TEST(names_are_checked),
           TEST(sessions_are_limited), TEST(idle_ones_are_forgotten), TEST(lists_have_pages),
           TEST(a_reset_begins_anew), TEST(a_removed_one_is_gone), TEST(a_callback_may_close),
           TEST(a_callback_may_push_and_end), TEST(one_may_run_first),
           TEST(who_lost_it_is_told_so_by_run), TEST(who_closes_may_forget))

/* SPDX-License-Identifier: MIT */
/*
 * Sessions that outlive the process: what is saved, when, and what comes of it. Saving is done by
 * the test itself (tick), so that it knows what is on the disk; a process that is killed is a
 * child.
 */
#include "base/log.h"
#include "sched/imu_fixture.h"
#include "sched/imu_internal.h"
#include "support/imu_walk.h"
#include "support/temp_dir.h"
#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS VLY_STR("steps")

static vly_imu_reading walk[IMU_READINGS];
static char dir[TEMP_DIR_PATH_MAX];
static char path[TEMP_DIR_PATH_MAX + 16];
static vly_session_store *store;
static vly_imu_sessions *s;
static vly_err err;

static void start(void)
{
    if (vly_session_store_open(path, VLY_STORE_PROCESS_SAFE, &store, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_imu_sessions_opts opts = imu_opts(store);
    s = imu_start(&opts);
}

static void stop(void)
{
    vly_imu_sessions_free(s);
    vly_session_store_close(store);
}

static int begin(void **state)
{
    imu_set_up(state);
    imu_walk(walk, IMU_READINGS, 1);
    if (!temp_dir_make(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/store.db", dir);
    vly_log_set_level(VLY_LOG_ERROR);
    start();
    return 0;
}

static int end(void **state)
{
    stop();
    vly_log_set_level(VLY_LOG_INFO);
    return temp_dir_remove(dir) ? imu_tear_down(state) : -1;
}

static const vly_imu_sessions_stats *stats(void)
{
    return vly_imu_sessions_get_stats(s);
}

static vly_status count_row(void *arg, const vly_session_row *row, vly_err *e)
{
    (void)row;
    (void)e;
    ++*(size_t *)arg;
    return VLY_OK;
}

static size_t n_stored(void)
{
    size_t n = 0;

    assert_int_equal(vly_session_store_each(store, STEPS, count_row, &n, &err), VLY_OK);
    return n;
}

/* ---- saving ---- */

static void passing_ones_are_not_saved(void **state)
{
    (void)state;
    const vly_imu_open o = {.is_unstored = true, .has_gyro = true};
    vly_imu_session *a;

    assert_int_equal(vly_imu_session_open(s, &o, &a, NULL, &err), VLY_OK);
    imu_feed(s, a, 0, 0, walk, 900, 30);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 0);
    vly_imu_session_close(a);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 0);
}

static void a_session_goes_on_in_the_next_process(void **state)
{
    (void)state;
    vly_imu_session_info first, info;
    imu_told told = {.n = 0}, want;
    vly_imu_session *a = imu_open(s, "ann", &told, &first);

    imu_feed(s, a, 0, 0, walk, 900, 30);
    vly_imu_session_close(a);
    stop(); /* saves */
    start();
    assert_int_equal(vly_counter_get(&stats()->restored), 1);
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(first.id), &info, &err),
                     VLY_OK);
    assert_false(info.is_attached);
    assert_true(info.is_resumed);
    assert_int_equal(info.begun_ms, first.begun_ms);
    a = imu_open(s, "ann", &told, &info);
    assert_string_equal(info.id, first.id);
    assert_int_equal(info.next, 900);
    assert_int_equal(info.durable, 900);
    imu_feed(s, a, 1, 900, walk + 900, IMU_READINGS - 900, 30);
    imu_oracle(walk, IMU_READINGS, false, &want, NULL);
    imu_assert_events(&told, &want);
    vly_imu_session_close(a);
}

static void owners_are_kept(void **state)
{
    (void)state;
    const vly_imu_who ann = {VLY_STR("ann"), false};
    const vly_imu_open o = {.user = VLY_STR("u"), .device = VLY_STR("d"), .who = ann};
    vly_imu_session_info first, nobodys, info;
    vly_imu_session *a, *b;

    assert_int_equal(vly_imu_session_open(s, &o, &a, &first, &err), VLY_OK);
    b = imu_open(s, "u", NULL, &nobodys);
    assert_string_not_equal(first.id, nobodys.id);
    imu_feed(s, a, 0, 0, walk, 30, 30);
    imu_feed(s, b, 0, 0, walk, 30, 30);
    vly_imu_session_close(a);
    vly_imu_session_close(b);
    for (int i = 0; i < 2; i++) {
        vly_imu_sessions_tick(s);
        stop();
        start();
        assert_int_equal(vly_counter_get(&stats()->restored), 2);
        assert_int_equal(vly_imu_sessions_find(s, &ann, vly_str_from(first.id), &info, &err),
                         VLY_OK);
        assert_int_equal(vly_imu_sessions_find(s, &ann, vly_str_from(nobodys.id), &info, &err),
                         VLY_ENOTFOUND);
        assert_int_equal(vly_imu_session_open(s, &o, &a, &info, &err), VLY_OK);
        assert_string_equal(info.id, first.id);
        imu_feed(s, a, 0, info.next, walk, 30, 30);
        vly_imu_session_close(a);
    }
}

/* One that nobody owns is stored as before there were owners: a head of 40 bytes, the last of them
 * 0, the names, the stream. So stores of that time open. */
static void states_of_nobody_stay_as_they_were(void **state)
{
    (void)state;
    vly_imu_id id = {{1, 2, 3}};
    char bytes[VLY_IMU_RECORD_MAX], key[VLY_IMU_ID_LEN + 1];
    vly_imu_entry *e = vly_imu__entry_new(&id, VLY_STR(""), VLY_STR("ann"), VLY_STR("watch"));

    assert_non_null(e);
    vly_step_stream_init(&e->stream, imu_model, true);
    size_t len = vly_imu__record_write(e, bytes);
    assert_int_equal(len, 40 + 3 + 5 + sizeof(vly_step_stream));
    assert_memory_equal(bytes + 36, ((char[]){3, 5, 0, 0}), 4);
    assert_memory_equal(bytes + 40, "annwatch", 8);
    assert_memory_equal(bytes + 48, &e->stream, sizeof(e->stream));
    vly_imu__entry_unref_locked(e);
    vly_imu__record_seal(bytes, len);
    vly_imu__id_format(&id, key);
    assert_int_equal(
        vly_imu__record_read(vly_str_from(key), (vly_str){bytes, len}, imu_model, &e, &err),
        VLY_OK);
    assert_int_equal(e->owner.len, 0);
    assert_true(vly_str_is(e->device, "watch"));
    vly_imu__entry_unref_locked(e);
}

static void only_what_has_changed_is_saved(void **state)
{
    (void)state;
    imu_told told[10];
    vly_imu_session *a[10];
    char user[16];

    memset(told, 0, sizeof(told));
    for (int i = 0; i < 10; i++) {
        snprintf(user, sizeof(user), "user %d", i);
        a[i] = imu_open(s, user, &told[i], NULL);
        imu_feed(s, a[i], 0, 0, walk, 100, 100);
    }
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_counter_get(&stats()->snapshot_rows), 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(told[i].durable, 100);
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_counter_get(&stats()->snapshot_rows), 10);
    imu_feed(s, a[3], 0, 100, walk + 100, 100, 100);
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_counter_get(&stats()->snapshot_rows), 11);
    assert_int_equal(told[3].durable, 200);
    assert_int_equal(told[4].durable, 100);
    assert_int_equal(n_stored(), 10);
    for (int i = 0; i < 10; i++)
        vly_imu_session_close(a[i]);
}

static void forgotten_ones_leave_the_store(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, NULL), *b = imu_open(s, "bob", &told, &info);
    vly_imu_session *c = imu_open(s, "cyd", &told, NULL);

    imu_feed(s, a, 0, 0, walk, 100, 100);
    imu_feed(s, b, 0, 0, walk, 100, 100);
    imu_feed(s, c, 0, 0, walk, 100, 100);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 3);
    vly_imu_session_end(a, 0);
    imu_run_all(s, 0);
    assert_int_equal(vly_imu_sessions_remove(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_OK);
    vly_imu_session_close(a);
    vly_imu_session_close(b);
    vly_imu_session_close(c);
    a = imu_open(s, "ann", &told, NULL); /* another one of that name */
    imu_feed(s, a, 0, 0, walk, 50, 50);
    vly_imu_session_close(a);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 2);
    imu_now += IMU_IDLE_NS;
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 0);
}

/* One that comes and goes between two snapshots is no work for the store. */
static void what_was_never_saved_need_not_be_removed(void **state)
{
    (void)state;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, NULL);

    imu_feed(s, a, 0, 0, walk, 100, 100);
    vly_imu_session_end(a, 0);
    imu_run_all(s, 0);
    vly_imu_session_close(a);
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_counter_get(&stats()->snapshots), 0);
}

static void resets_are_saved(void **state)
{
    (void)state;
    vly_imu_session_info info;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, &info);

    imu_feed(s, a, 0, 0, walk, 800, 100);
    vly_imu_sessions_tick(s);
    assert_int_equal(vly_imu_sessions_reset(s, VLY_IMU_ALL, vly_str_from(info.id), NULL, &err),
                     VLY_OK);
    vly_imu_session_close(a);
    stop();
    start();
    assert_int_equal(vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), &info, &err),
                     VLY_OK);
    assert_int_equal(info.next, 800);
    assert_int_equal(info.totals.n_readings, 0);
}

/* ---- a store that fails ---- */

static bool limit_files(rlim_t bytes)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0)
        return false;
    limit.rlim_cur = bytes;
    return setrlimit(RLIMIT_FSIZE, &limit) == 0;
}

/* Its stderr is a pipe, which has no limit. Exits with the number of the step that went wrong. */
static int go_on_with_a_full_disk(void)
{
    vly_imu_session_info info;
    imu_told told = {.n = 0};

    snprintf(path, sizeof(path), "%s/full.db", dir);
    start();
    vly_imu_session *a = imu_open(s, "ann", &told, &info);
    imu_feed(s, a, 0, 0, walk, 100, 100);
    vly_imu_sessions_tick(s);
    signal(SIGXFSZ, SIG_IGN);
    if (told.durable != 100 || !limit_files(4096))
        return 1;
    imu_feed(s, a, 0, 100, walk + 100, 700, 100);
    for (int i = 0; i < 3; i++)
        vly_imu_sessions_tick(s);
    if (vly_counter_get(&stats()->snapshot_errors) != 3 || told.durable != 100)
        return 2;
    if (vly_imu_sessions_find(s, VLY_IMU_ALL, vly_str_from(info.id), &info, &err) != VLY_OK ||
        info.next != 800)
        return 3;
    if (!limit_files(RLIM_INFINITY))
        return 4;
    vly_imu_sessions_tick(s);
    if (told.durable != 800 || vly_counter_get(&stats()->snapshot_errors) != 3)
        return 5;
    vly_imu_session_close(a);
    stop();
    return 0;
}

static void a_store_that_fails_is_said_once_and_tried_again(void **state)
{
    (void)state;
    char said[4096] = "";
    size_t len = 0;
    ssize_t n = 0;
    int status, log[2];

    assert_int_equal(pipe(log), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(log[1], STDERR_FILENO);
        _exit(go_on_with_a_full_disk());
    }
    close(log[1]);
    while ((n = read(log[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    close(log[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    const char *line = strstr(said, "imu sessions are not saved for now");
    assert_non_null(line);
    if (strstr(line + 30, "are not saved") != NULL)
        fail_msg("%s", said);
}

/* ---- what cannot go on ---- */

typedef enum fault { OTHER_MODEL, OTHER_LAYOUT, DAMAGED, OTHER_THING } fault;

typedef struct spoiling {
    fault faults[4];
    size_t n;
    vly_session_row rows[4];
    char keys[4][VLY_IMU_ID_LEN + 1];
    char bytes[4][VLY_IMU_RECORD_MAX];
} spoiling;

static void spoil(fault f, char *bytes, vly_str *state)
{
    vly_step_stream *stream = NULL;
    char *at = bytes + state->len - sizeof(*stream);

    switch (f) {
    case OTHER_MODEL:
        at[offsetof(vly_step_stream, model)] ^= 1;
        vly_imu__record_seal(bytes, state->len);
        break;
    case OTHER_LAYOUT:
        state->len -= 8;
        bytes[32] = (char)(bytes[32] - 8); /* the length of the stream */
        vly_imu__record_seal(bytes, state->len);
        break;
    case DAMAGED:
        at[offsetof(vly_step_stream, totals)] ^= 1;
        break;
    case OTHER_THING:
        memset(bytes, 'x', 10);
        state->len = 10;
        break;
    }
}

static vly_status spoil_row(void *arg, const vly_session_row *row, vly_err *e)
{
    spoiling *sp = arg;
    size_t i = sp->n++;

    (void)e;
    assert_true(i < 4 && row->state.len <= VLY_IMU_RECORD_MAX && row->key.len == VLY_IMU_ID_LEN);
    memcpy(sp->keys[i], row->key.ptr, row->key.len);
    memcpy(sp->bytes[i], row->state.ptr, row->state.len);
    sp->rows[i] = *row;
    sp->rows[i].key.ptr = sp->keys[i];
    sp->rows[i].state.ptr = sp->bytes[i];
    spoil((fault)i, sp->bytes[i], &sp->rows[i].state);
    return VLY_OK;
}

static void states_that_cannot_go_on_begin_anew(void **state)
{
    (void)state;
    static spoiling sp;
    static const char *const users[] = {"a", "b", "c", "d", "e"};
    vly_imu_session_info info;
    imu_told told = {.n = 0};

    for (int i = 0; i < 5; i++) {
        vly_imu_session *a = imu_open(s, users[i], &told, NULL);
        imu_feed(s, a, 0, 0, walk, 100, 100);
        vly_imu_session_close(a);
        if (i == 3) {
            vly_imu_sessions_tick(s);
            sp = (spoiling){.n = 0};
            assert_int_equal(vly_session_store_each(store, STEPS, spoil_row, &sp, &err), VLY_OK);
            assert_int_equal(sp.n, 4);
            assert_int_equal(vly_session_store_put(store, sp.rows, 4, &err), VLY_OK);
        }
    }
    stop();
    vly_log_enable(VLY_LOG_WARN, false);
    start();
    vly_log_enable(VLY_LOG_WARN, true);
    assert_int_equal(vly_counter_get(&stats()->refused), 4);
    assert_int_equal(vly_counter_get(&stats()->restored), 1);
    assert_int_equal(n_stored(), 5); /* the model may come back */
    for (int i = 0; i < 5; i++) {
        vly_imu_session *a = imu_open(s, users[i], &told, &info);
        assert_int_equal(info.is_resumed, i == 4);
        assert_int_equal(info.next, i == 4 ? 100 : 0);
        vly_imu_session_close(a);
    }
}

static void what_expired_meanwhile_is_not_restored(void **state)
{
    (void)state;
    imu_told told = {.n = 0};
    vly_imu_session *a = imu_open(s, "ann", &told, NULL);

    imu_feed(s, a, 0, 0, walk, 100, 100);
    vly_imu_session_close(a);
    vly_imu_sessions_free(s);
    vly_imu_sessions_opts opts = imu_opts(store);
    opts.idle_ns = 0; /* as if as much time had passed */
    s = imu_start(&opts);
    assert_int_equal(vly_counter_get(&stats()->restored), 0);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 0);
}

static void more_than_are_allowed_are_left_out(void **state)
{
    (void)state;
    imu_told told = {.n = 0};
    char user[16];

    for (int i = 0; i < 20; i++) {
        snprintf(user, sizeof(user), "user %d", i);
        vly_imu_session *a = imu_open(s, user, &told, NULL);
        imu_feed(s, a, 0, 0, walk, 10, 10);
        vly_imu_session_close(a);
    }
    vly_imu_sessions_free(s);
    vly_imu_sessions_opts opts = imu_opts(store);
    opts.max_sessions = 15;
    s = imu_start(&opts);
    assert_int_equal(vly_counter_get(&stats()->restored), 15);
    assert_int_equal(vly_counter_get(&stats()->refused), 5);
    vly_imu_sessions_tick(s);
    assert_int_equal(n_stored(), 15);
}

/* ---- kill -9 ---- */

enum { SESSIONS = 1000, SEEDS = 8, PER_SESSION = 560, PIECE = 16, EVENTS_OF_ONE = 64, LIVES = 4 };

/* What clients know, in memory that outlives the child. */
typedef struct clients {
    _Atomic uint64_t n_pieces; /* run so far, over all lives */
    uint64_t durable[SESSIONS];
    vly_step_event events[SESSIONS][EVENTS_OF_ONE]; /* each once */
    size_t n_events[SESSIONS];
    size_t n_told_again;
} clients;

static clients *all;

static bool is_same(const vly_step_event *a, const vly_step_event *b)
{
    return a->type == b->type && a->step == b->step && a->t_us == b->t_us &&
           a->known_us == b->known_us && a->activity == b->activity &&
           a->confidence == b->confidence;
}

static void note_one(size_t i, const vly_step_event *e)
{
    for (size_t k = 0; k < all->n_events[i]; k++) {
        if (is_same(&all->events[i][k], e)) {
            all->n_told_again++;
            return;
        }
    }
    assert_true(all->n_events[i] < EVENTS_OF_ONE);
    all->events[i][all->n_events[i]++] = *e;
}

static void note_steps(void *ctx, const vly_step_event *events, size_t n)
{
    for (size_t k = 0; k < n; k++)
        note_one((size_t)((uint64_t *)ctx - all->durable), &events[k]);
}

static void note_saved(void *ctx, uint64_t next)
{
    *(uint64_t *)ctx = next;
}

static const vly_imu_session_events noted = {.on_events = note_steps, .on_durable = note_saved};

/* One life of a server and its clients: each client sends again what is not known any more, up to
 * the end. Snapshots are taken in between. */
static void live(vly_imu_reading walks[SEEDS][PER_SESSION])
{
    static vly_imu_session *a[SESSIONS];
    static uint64_t next[SESSIONS];
    bool is_more = true;

    for (size_t i = 0; i < SESSIONS; i++) {
        char user[16];
        vly_imu_session_info info;
        snprintf(user, sizeof(user), "user %zu", i);
        const vly_imu_open o = {.user = vly_str_from(user),
                                .has_gyro = true,
                                .events = &noted,
                                .ctx = &all->durable[i]};
        assert_int_equal(vly_imu_session_open(s, &o, &a[i], &info, &err), VLY_OK);
        assert_true(info.next >= all->durable[i]); /* the promise was kept */
        next[i] = info.next;
    }
    for (int pass = 0; is_more; pass++) {
        is_more = false;
        for (size_t i = 0; i < SESSIONS; i++) {
            size_t n = PER_SESSION - next[i] < PIECE ? (size_t)(PER_SESSION - next[i]) : PIECE;
            assert_int_equal(
                vly_imu_session_push(a[i], 0, next[i], walks[i % SEEDS] + next[i], n, &err),
                VLY_OK);
            next[i] += n;
            is_more |= next[i] < PER_SESSION;
            if (i % 100 == 99)
                imu_run_all(s, 0);
            atomic_fetch_add(&all->n_pieces, 1);
        }
        if (pass % 2 == 1)
            vly_imu_sessions_tick(s);
    }
    for (size_t i = 0; i < SESSIONS; i++)
        vly_imu_session_close(a[i]);
}

static void start_large(void)
{
    if (vly_session_store_open(path, VLY_STORE_PROCESS_SAFE, &store, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    vly_imu_sessions_opts opts = imu_opts(store);
    opts.max_sessions = SESSIONS;
    opts.max_waiting_all = (size_t)SESSIONS * 4096;
    s = imu_start(&opts);
}

static void assert_clients_know_all(vly_imu_reading walks[SEEDS][PER_SESSION])
{
    static imu_told want[SEEDS];

    for (unsigned seed = 0; seed < SEEDS; seed++)
        imu_oracle(walks[seed], PER_SESSION, false, &want[seed], NULL);
    for (size_t i = 0; i < SESSIONS; i++) {
        const imu_told *w = &want[i % SEEDS];
        assert_int_equal(all->n_events[i], w->n);
        for (size_t k = 0; k < w->n; k++)
            assert_true(is_same(&all->events[i][k], &w->events[k]));
    }
    assert_true(want[0].n > 4);
}

static void kill_9_loses_and_doubles_no_step(void **state)
{
    (void)state;
    static vly_imu_reading walks[SEEDS][PER_SESSION];
    vly_imu_session_info page[64];
    vly_step_totals totals;
    imu_told told;
    int status;
    size_t n = 0;

    for (unsigned i = 0; i < SEEDS; i++)
        imu_walk(walks[i], PER_SESSION, i);
    all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(all, MAP_FAILED);
    stop();
    for (uint64_t lives = 1; lives <= LIVES; lives++) {
        uint64_t until = lives * 5700 + atomic_load(&all->n_pieces) % 1000;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            start_large();
            live(walks);
            for (;;)
                pause();
        }
        while (atomic_load(&all->n_pieces) < until)
            sched_yield();
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
    }
    start_large();
    assert_true(vly_counter_get(&stats()->restored) > 0);
    live(walks);
    assert_clients_know_all(walks);
    assert_int_equal(vly_imu_sessions_list(s, VLY_IMU_ALL, VLY_STR(""), page, 64, &n, &err),
                     VLY_OK);
    assert_int_equal(n, 64);
    for (size_t i = 0; i < n; i++) {
        imu_oracle(walks[strtoul(page[i].user + 5, NULL, 10) % SEEDS], PER_SESSION, false, &told,
                   &totals);
        imu_assert_totals(&page[i].totals, &totals);
    }
    munmap(all, sizeof(*all));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

UNIT_TESTS(TEST(passing_ones_are_not_saved), TEST(a_session_goes_on_in_the_next_process),
           TEST(owners_are_kept), TEST(states_of_nobody_stay_as_they_were),
           TEST(only_what_has_changed_is_saved), TEST(forgotten_ones_leave_the_store),
           TEST(what_was_never_saved_need_not_be_removed), TEST(resets_are_saved),
           TEST(a_store_that_fails_is_said_once_and_tried_again),
           TEST(states_that_cannot_go_on_begin_anew), TEST(what_expired_meanwhile_is_not_restored),
           TEST(more_than_are_allowed_are_left_out), TEST(kill_9_loses_and_doubles_no_step))

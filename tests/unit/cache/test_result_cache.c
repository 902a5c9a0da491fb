/* SPDX-License-Identifier: MIT */
/* The cache as its callers see it: what is found, who computes, what is no longer found. */
#include "base/assert.h"
#include "cache/result_cache.h"
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

static vly_nsec clock_ns; /* one test at a time */

static vly_nsec driven(void)
{
    return clock_ns;
}

static const vly_cache_opts defaults = {.memory_bytes = 1 << 20,
                                        .ttl_ns = {300 * VLY_NSEC_PER_SEC, 900 * VLY_NSEC_PER_SEC,
                                                   3600 * VLY_NSEC_PER_SEC, 120 * VLY_NSEC_PER_SEC},
                                        .packing = VLY_CACHE_PACKING_LZ4,
                                        .pack_min_bytes = 1000,
                                        .now = driven};

typedef struct fixture {
    vly_cache *cache;
    vly_cache_stats stats;
} fixture;

static fixture *open_cache(const vly_cache_opts *opts)
{
    static fixture f;

    memset(&f, 0, sizeof(f));
    assert_int_equal(vly_cache_new(opts, &f.cache, NULL), VLY_OK);
    return &f;
}

static void ready(vly_cache_get *g)
{
    ++*(int *)g->ctx;
}

static vly_cache_get get_of(fixture *f, uint64_t n)
{
    return (vly_cache_get){
        .key = {n * UINT64_C(0x9e3779b97f4a7c15), n}, .stats = &f->stats, .ready = ready};
}

static void keep(fixture *f, uint64_t n, vly_cache_class class, const char *text)
{
    vly_cache_get g = get_of(f, n);

    g.class = class;
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &g, vly_str_from(text));
}

/* NULL: nobody knows. */
static const char *look(fixture *f, uint64_t n)
{
    static char text[64];
    vly_cache_get g = get_of(f, n);

    if (vly_cache_lookup(f->cache, &g) != VLY_CACHE_HIT) {
        vly_cache_abandon(f->cache, &g);
        return NULL;
    }
    assert_int_equal(g.origin, VLY_CACHE_FROM_MEMORY);
    snprintf(text, sizeof(text), "%.*s", (int)g.value->len, g.value->bytes);
    vly_cache_value_unref(g.value);
    return text;
}

static void finds_what_was_kept(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_totals t;

    assert_null(look(f, 1));
    keep(f, 1, VLY_CACHE_PREDICTION, "one");
    keep(f, 2, VLY_CACHE_PREDICTION, "two");
    assert_string_equal(look(f, 1), "one");
    assert_string_equal(look(f, 2), "two");
    vly_cache_get_totals(f->cache, &t);
    assert_int_equal(t.entries, 2);
    assert_int_equal(t.lookups, 5);
    assert_int_equal(t.hits, 2);
    assert_int_equal(t.misses, 3);
    assert_int_equal(vly_counter_get(&f->stats.memory_hits), 2);
    assert_int_equal(vly_counter_get(&f->stats.misses), 3);
    assert_int_equal(vly_counter_get(&f->stats.insertions), 2);
    assert_int_equal(vly_histogram_count(&f->stats.hit_ns), 2);
    vly_cache_free(f->cache);
}

static void large_values_come_back_whole(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    char bytes[20000];
    vly_cache_get g = get_of(f, 1);
    vly_cache_totals t;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i / 100);
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &g, (vly_str){bytes, sizeof(bytes)});
    size_t before = 0;
    vly_cache_get_totals(f->cache, &t);
    before = t.bytes;
    vly_cache_clear(f->cache);
    vly_cache_get_totals(f->cache, &t);
    assert_in_range(before - t.bytes, 1, 5000); /* it was kept compressed */
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &g, (vly_str){bytes, sizeof(bytes)});
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_HIT);
    assert_true(g.value->len < sizeof(bytes)); /* found as it is kept, whoever asks */
    assert_int_equal(g.value->plain_len, sizeof(bytes));
    assert_true(vly_cache_unpack(&g));
    assert_int_equal(g.value->len, sizeof(bytes));
    assert_memory_equal(g.value->bytes, bytes, sizeof(bytes));
    vly_cache_value_unref(g.value);
    vly_cache_free(f->cache);
}

/* 2 MB of zeros are 8 KB, as they are kept, and 2 MB for each who finds them. */
static void what_is_too_long_unpacked_is_not_kept(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    size_t len = (size_t)2 << 20;
    char *zeros = vly_calloc(VLY_MEM_CACHE, 1, len);
    vly_cache_get g = get_of(f, 1);

    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &g, (vly_str){zeros, len});
    assert_null(look(f, 1));
    assert_int_equal(vly_counter_get(&f->stats.refused), 1);
    vly_free(zeros);
    vly_cache_free(f->cache);
}

static void a_rejected_value_is_replaced(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get g = get_of(f, 1);

    keep(f, 1, VLY_CACHE_PREDICTION, "bad");
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_HIT);
    vly_cache_reject(f->cache, &g);
    assert_null(g.value);
    vly_cache_complete(f->cache, &g, VLY_STR("good"));
    assert_string_equal(look(f, 1), "good");
    vly_cache_free(f->cache);
}

static void each_class_has_its_time(void **state)
{
    (void)state;
    static const vly_nsec seconds[] = {300, 900, 3600, 120}; /* the guides' */
    fixture *f = open_cache(&defaults);

    for (int class = 0; class < VLY_CACHE_CLASS_N; class ++)
        keep(f, (uint64_t) class + 1, (vly_cache_class) class, "x");
    for (int class = 0; class < VLY_CACHE_CLASS_N; class ++) {
        clock_ns += seconds[class] * VLY_NSEC_PER_SEC - 1;
        assert_non_null(look(f, (uint64_t) class + 1));
        clock_ns += 1;
        assert_null(look(f, (uint64_t) class + 1));
        clock_ns -= seconds[class] * VLY_NSEC_PER_SEC;
    }
    vly_cache_free(f->cache);
}

static void what_is_found_often_lives_longer(void **state)
{
    (void)state;
    vly_cache_opts opts = defaults;

    opts.is_ttl_dynamic = true;
    fixture *f = open_cache(&opts);
    keep(f, 1, VLY_CACHE_PREDICTION, "x");
    for (int i = 0; i < 9999; i++)
        assert_non_null(look(f, 1));
    keep(f, 2, VLY_CACHE_PREDICTION, "y"); /* 9999 of 10001 were hits: nearly double */
    clock_ns += 599 * VLY_NSEC_PER_SEC;
    assert_non_null(look(f, 2));
    assert_null(look(f, 1));
    clock_ns += VLY_NSEC_PER_SEC;
    assert_null(look(f, 2));
    vly_cache_free(f->cache);

    f = open_cache(&opts);
    for (uint64_t n = 100; n < 300; n++)
        assert_null(look(f, n));
    keep(f, 2, VLY_CACHE_PREDICTION, "y"); /* never a hit: half */
    clock_ns += 149 * VLY_NSEC_PER_SEC;
    assert_non_null(look(f, 2));
    clock_ns += 2 * VLY_NSEC_PER_SEC;
    assert_null(look(f, 2));
    vly_cache_free(f->cache);
}

static void one_computes_the_others_wait(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter[3];
    int n_ready = 0;

    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    for (int i = 0; i < 3; i++) {
        waiter[i] = get_of(f, 1);
        waiter[i].ctx = &n_ready;
        assert_int_equal(vly_cache_lookup(f->cache, &waiter[i]), VLY_CACHE_WAIT);
    }
    vly_cache_complete(f->cache, &leader, VLY_STR("done"));
    assert_int_equal(n_ready, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(waiter[i].origin, VLY_CACHE_FROM_LEADER);
        assert_memory_equal(waiter[i].value->bytes, "done", 4);
        vly_cache_value_unref(waiter[i].value);
    }
    assert_int_equal(vly_counter_get(&f->stats.shared), 3);
    assert_int_equal(vly_counter_get(&f->stats.misses), 1);
    vly_cache_free(f->cache);
}

/* Who waits gets it, nobody later. */
static void what_is_shared_is_not_kept(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter = get_of(f, 1);
    int n_ready = 0;

    waiter.ctx = &n_ready;
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    assert_int_equal(vly_cache_lookup(f->cache, &waiter), VLY_CACHE_WAIT);
    vly_cache_share(f->cache, &leader, VLY_STR("once"));
    assert_false(leader.is_kept);
    assert_int_equal(n_ready, 1);
    assert_int_equal(waiter.origin, VLY_CACHE_FROM_LEADER);
    assert_memory_equal(waiter.value->bytes, "once", 4);
    vly_cache_value_unref(waiter.value);
    assert_null(look(f, 1));
    leader = get_of(f, 1);
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &leader, VLY_STR("kept"));
    assert_true(leader.is_kept);
    assert_string_equal(look(f, 1), "kept");
    vly_cache_free(f->cache);
}

/* n wait for the same, of whom the first two are gone. */
static void wait_behind(fixture *f, vly_cache_get *waiter, int n, int *n_ready, _Atomic bool *gone)
{
    for (int i = 0; i < n; i++) {
        waiter[i] = get_of(f, 1);
        waiter[i].ctx = &n_ready[i];
        waiter[i].is_gone = i < 2 ? gone : NULL;
        assert_int_equal(vly_cache_lookup(f->cache, &waiter[i]), VLY_CACHE_WAIT);
    }
}

/* Of four who wait the first two are gone: the third leads, and the others hear of it. */
static void who_is_gone_does_not_lead(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter[4];
    int n_ready[4] = {0};
    _Atomic bool gone = true;

    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    assert_false(atomic_load(&leader.has_company));
    wait_behind(f, waiter, 4, n_ready, &gone);
    assert_true(atomic_load(&leader.has_company));
    vly_cache_abandon(f->cache, &leader);
    assert_int_equal(n_ready[2], 1);
    assert_null(waiter[2].value);
    assert_true(atomic_load(&waiter[2].has_company));
    vly_cache_complete(f->cache, &waiter[2], VLY_STR("done"));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(n_ready[i], 1);
        vly_cache_value_unref(waiter[i].value);
    }
    vly_cache_free(f->cache);
}

/* The last who waits is the only one there; then nobody is, and the first leads. */
static void the_last_leads(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter[3];
    int n_ready[3] = {0};
    _Atomic bool gone = true;

    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    wait_behind(f, waiter, 3, n_ready, &gone);
    vly_cache_abandon(f->cache, &leader);
    assert_int_equal(n_ready[2], 1);
    vly_cache_abandon(f->cache, &waiter[2]);
    assert_int_equal(n_ready[0], 1);
    vly_cache_abandon(f->cache, &waiter[0]);
    assert_int_equal(n_ready[1], 1);
    assert_false(atomic_load(&waiter[1].has_company));
    vly_cache_complete(f->cache, &waiter[1], VLY_STR("done"));
    vly_cache_free(f->cache);
}

/* The lead goes from one to the next; who gets it last completes. */
static void the_lead_is_passed_on(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get g[4];
    int n_ready[4] = {0};

    for (int i = 0; i < 4; i++) {
        g[i] = get_of(f, 1);
        g[i].ctx = &n_ready[i];
        assert_int_equal(vly_cache_lookup(f->cache, &g[i]),
                         i == 0 ? VLY_CACHE_LEAD : VLY_CACHE_WAIT);
    }
    for (int i = 0; i < 2; i++) {
        vly_cache_abandon(f->cache, &g[i]);
        assert_int_equal(n_ready[i + 1], 1);
        assert_null(g[i + 1].value); /* the lead, not the bytes */
        assert_int_equal(n_ready[i + 2], 0);
    }
    vly_cache_complete(f->cache, &g[2], VLY_STR("late"));
    assert_int_equal(n_ready[3], 1);
    assert_memory_equal(g[3].value->bytes, "late", 4);
    vly_cache_value_unref(g[3].value);
    assert_string_equal(look(f, 1), "late");
    assert_int_equal(vly_counter_get(&f->stats.misses), 3);
    vly_cache_free(f->cache);
}

/* ---- deadlines of who waits ---- */

static void is_told(vly_cache_get *g)
{
    sem_post(g->ctx);
}

static void who_waits_has_his_own_deadline(void **state)
{
    (void)state;
    vly_cache_opts opts = defaults;
    sem_t told;

    assert_int_equal(vly_alarms_new(&opts.alarms, NULL), VLY_OK);
    sem_init(&told, 0, 0);
    fixture *f = open_cache(&opts);
    vly_cache_get leader = get_of(f, 1), waiter[3];
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    for (int i = 0; i < 3; i++) {
        waiter[i] = get_of(f, 1);
        waiter[i].ctx = &told;
        waiter[i].ready = is_told;
        waiter[i].deadline_ns = i == 1 ? 1 : vly_clock_now() + 3600 * VLY_NSEC_PER_SEC;
        assert_int_equal(vly_cache_lookup(f->cache, &waiter[i]), VLY_CACHE_WAIT);
    }
    assert_int_equal(sem_wait(&told), 0); /* the leader has not answered, and will not for long */
    assert_true(waiter[1].is_late);
    assert_null(waiter[1].value);
    assert_true(atomic_load(&leader.has_company));
    vly_cache_complete(f->cache, &leader, VLY_STR("done"));
    assert_int_equal(sem_trywait(&told), 0);
    assert_int_equal(sem_trywait(&told), 0);
    assert_int_not_equal(sem_trywait(&told), 0); /* one answer each */
    for (int i = 0; i < 3; i += 2) {
        assert_false(waiter[i].is_late);
        assert_memory_equal(waiter[i].value->bytes, "done", 4);
        vly_cache_value_unref(waiter[i].value);
    }
    vly_cache_free(f->cache);
    vly_alarms_free(opts.alarms); /* none waits any more */
}

static void the_last_one_who_waits_goes(void **state)
{
    (void)state;
    vly_cache_opts opts = defaults;
    sem_t told;

    assert_int_equal(vly_alarms_new(&opts.alarms, NULL), VLY_OK);
    sem_init(&told, 0, 0);
    fixture *f = open_cache(&opts);
    vly_cache_get leader = get_of(f, 1), waiter = get_of(f, 1);
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    waiter.ctx = &told;
    waiter.ready = is_told;
    waiter.deadline_ns = 1;
    assert_int_equal(vly_cache_lookup(f->cache, &waiter), VLY_CACHE_WAIT);
    assert_int_equal(sem_wait(&told), 0);
    assert_false(atomic_load(&leader.has_company));
    vly_cache_abandon(f->cache, &leader);
    assert_false(waiter.value != NULL);
    assert_null(look(f, 1)); /* the key is free */
    vly_cache_free(f->cache);
    vly_alarms_free(opts.alarms);
}

static void who_would_wait_too_long_does_not(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter = get_of(f, 1);
    int n_ready = 0;

    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    atomic_store(&leader.starts_ns, 1000);
    waiter.ctx = &n_ready;
    waiter.deadline_ns = 999;
    assert_int_equal(vly_cache_lookup(f->cache, &waiter), VLY_CACHE_LATE);
    assert_false(atomic_load(&leader.has_company));
    waiter.deadline_ns = 1000;
    assert_int_equal(vly_cache_lookup(f->cache, &waiter), VLY_CACHE_WAIT);
    vly_cache_complete(f->cache, &leader, VLY_STR("done"));
    assert_int_equal(n_ready, 1); /* of the second */
    vly_cache_value_unref(waiter.value);
    vly_cache_free(f->cache);
}

/* A lead that is about to end would only be passed on again. */
static void the_most_patient_leads(void **state)
{
    (void)state;
    static const vly_nsec deadlines[] = {10, 30, 20, 0, 0};
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter[VLY_COUNT(deadlines)];
    int n_ready[VLY_COUNT(deadlines)] = {0};
    static const size_t order[] = {3, 4, 1, 2, 0};
    vly_cache_get *leads = &leader;

    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    for (size_t i = 0; i < VLY_COUNT(deadlines); i++) {
        waiter[i] = get_of(f, 1);
        waiter[i].ctx = &n_ready[i];
        waiter[i].deadline_ns = deadlines[i];
        assert_int_equal(vly_cache_lookup(f->cache, &waiter[i]), VLY_CACHE_WAIT);
    }
    for (size_t i = 0; i < VLY_COUNT(order); i++) {
        vly_cache_abandon(f->cache, leads);
        leads = &waiter[order[i]];
        assert_int_equal(n_ready[order[i]], 1);
    }
    vly_cache_abandon(f->cache, leads);
    vly_cache_free(f->cache);
}

static void refresh_takes_the_place(void **state)
{
    (void)state;
    fixture *f = open_cache(&defaults);
    vly_cache_get g = get_of(f, 1);

    keep(f, 1, VLY_CACHE_PREDICTION, "old");
    assert_int_equal(vly_cache_lead(f->cache, &g), VLY_CACHE_LEAD);
    assert_string_equal(look(f, 1), "old");
    vly_cache_complete(f->cache, &g, VLY_STR("new"));
    assert_string_equal(look(f, 1), "new");
    assert_int_equal(vly_cache_lead(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_abandon(f->cache, &g);
    assert_string_equal(look(f, 1), "new");
    vly_cache_free(f->cache);
}

/* ---- invalidation ---- */

static void keep_tagged(fixture *f, uint64_t n, const vly_str *tags, size_t n_tags)
{
    vly_cache_get g = get_of(f, n);

    g.tags = tags;
    g.n_tags = n_tags;
    assert_int_equal(vly_cache_lookup(f->cache, &g), VLY_CACHE_LEAD);
    vly_cache_complete(f->cache, &g, VLY_STR("x"));
}

static size_t forget(fixture *f, const char *tag)
{
    const vly_str tags[] = {vly_str_from(tag)};

    return vly_cache_invalidate(f->cache, tags, 1);
}

static void tags_go_together(void **state)
{
    (void)state;
    const vly_str one[] = {VLY_STR("model:a"), VLY_STR("source:1")};
    const vly_str two[] = {VLY_STR("model:a"), VLY_STR("source:2")};
    const vly_str three[] = {VLY_STR("model:b"), VLY_STR("source:1")};
    fixture *f = open_cache(&defaults);

    keep_tagged(f, 1, one, 2);
    keep_tagged(f, 2, two, 2);
    keep_tagged(f, 3, three, 2);
    assert_int_equal(forget(f, "source:1"), 2);
    assert_null(look(f, 1));
    assert_non_null(look(f, 2));
    assert_null(look(f, 3));
    keep_tagged(f, 1, one, 2); /* what is computed afterwards counts */
    assert_non_null(look(f, 1));
    assert_int_equal(forget(f, "model:a"), 2);
    assert_null(look(f, 1));
    assert_null(look(f, 2));
    assert_int_equal(forget(f, "model:nobody"), 0);
    keep_tagged(f, 1, one, 2); /* of two tags, each counted once */
    keep_tagged(f, 2, two, 2);
    keep_tagged(f, 3, three, 2);
    assert_int_equal(vly_cache_invalidate(f->cache, one, 2), 3);
    assert_null(look(f, 2));
    assert_null(look(f, 3));
    keep(f, 9, VLY_CACHE_PREDICTION, "untagged");
    assert_int_equal(vly_cache_clear(f->cache), 1);
    assert_null(look(f, 9));
    vly_cache_free(f->cache);
}

/* Begun before the invalidation: its leader has it, nobody else. */
static void computations_under_way_are_invalidated(void **state)
{
    (void)state;
    const vly_str tag[] = {VLY_STR("model:a")};
    fixture *f = open_cache(&defaults);
    vly_cache_get leader = get_of(f, 1), waiter = get_of(f, 1), late = get_of(f, 1);
    int n_waiter = 0, n_late = 0;

    leader.tags = waiter.tags = late.tags = tag;
    leader.n_tags = waiter.n_tags = late.n_tags = 1;
    waiter.ctx = &n_waiter;
    late.ctx = &n_late;
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    assert_int_equal(vly_cache_lookup(f->cache, &waiter), VLY_CACHE_WAIT);
    vly_cache_invalidate(f->cache, tag, 1);
    assert_int_equal(vly_cache_lookup(f->cache, &late), VLY_CACHE_WAIT);
    vly_cache_complete(f->cache, &leader, VLY_STR("old"));
    assert_int_equal(n_waiter, 1);
    assert_null(waiter.value); /* leads now */
    vly_cache_complete(f->cache, &waiter, VLY_STR("new"));
    assert_int_equal(n_late, 1);
    assert_memory_equal(late.value->bytes, "new", 3);
    vly_cache_value_unref(late.value);
    assert_string_equal(look(f, 1), "new");

    leader = get_of(f, 2);
    assert_int_equal(vly_cache_lookup(f->cache, &leader), VLY_CACHE_LEAD);
    vly_cache_clear(f->cache);
    vly_cache_complete(f->cache, &leader, VLY_STR("old"));
    assert_null(look(f, 2));
    vly_cache_free(f->cache);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 3000, KEYS = 16 };

typedef struct crowd {
    fixture *f;
    _Atomic uint64_t n_computed, n_right, n_late, n_done;
    _Atomic uint64_t in_work[KEYS]; /* computations of one key at a time: never two */
} crowd;

typedef struct member {
    vly_cache_get get;
    crowd *c;
    uint64_t n;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool is_ready;
} member;

static void wake(vly_cache_get *g)
{
    member *m = g->ctx;

    pthread_mutex_lock(&m->lock);
    m->is_ready = true;
    pthread_cond_signal(&m->cond);
    pthread_mutex_unlock(&m->lock);
}

/* Every fifth computation fails. */
static void compute(member *m)
{
    char text[32];
    crowd *c = m->c;

    assert_int_equal(atomic_fetch_add(&c->in_work[m->n], 1), 0);
    uint64_t no = atomic_fetch_add(&c->n_computed, 1);
    snprintf(text, sizeof(text), "value %u", (unsigned)m->n);
    assert_int_equal(atomic_fetch_sub(&c->in_work[m->n], 1), 1);
    if (no % 5 == 0)
        vly_cache_abandon(c->f->cache, &m->get);
    else
        vly_cache_complete(c->f->cache, &m->get, vly_str_from(text));
}

static void ask(member *m, uint64_t n)
{
    char want[32];
    crowd *c = m->c;

    m->n = n;
    m->is_ready = false;
    m->get = get_of(c->f, n + 1);
    m->get.ctx = m;
    m->get.ready = wake;
    m->get.deadline_ns = n % 3 == 0 ? 1 : n % 3 == 1 ? vly_clock_now() + 20000 : 0;
    vly_cache_found found = vly_cache_lookup(c->f->cache, &m->get);
    if (found == VLY_CACHE_WAIT) {
        pthread_mutex_lock(&m->lock);
        while (!m->is_ready)
            pthread_cond_wait(&m->cond, &m->lock);
        pthread_mutex_unlock(&m->lock);
        found = m->get.value != NULL ? VLY_CACHE_HIT
                : m->get.is_late     ? VLY_CACHE_LATE
                                     : VLY_CACHE_LEAD;
    }
    atomic_fetch_add(&c->n_done, 1);
    if (found == VLY_CACHE_LATE) {
        atomic_fetch_add(&c->n_late, 1);
        return;
    }
    if (found == VLY_CACHE_LEAD) {
        compute(m);
        return;
    }
    snprintf(want, sizeof(want), "value %u", (unsigned)n);
    if (m->get.value->len == strlen(want) && memcmp(m->get.value->bytes, want, strlen(want)) == 0)
        atomic_fetch_add(&c->n_right, 1);
    vly_cache_value_unref(m->get.value);
}

static void *ask_around(void *arg)
{
    member m = {.c = arg};

    pthread_mutex_init(&m.lock, NULL);
    pthread_cond_init(&m.cond, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        ask(&m, (uint64_t)(i / 3) % KEYS);
        if (i % 50 == 0)
            vly_cache_clear(m.c->f->cache);
    }
    pthread_cond_destroy(&m.cond);
    pthread_mutex_destroy(&m.lock);
    return NULL;
}

static void a_crowd_gets_what_it_asks_for(void **state)
{
    (void)state;
    vly_cache_opts opts = defaults;
    pthread_t threads[THREADS];

    opts.now = NULL;
    assert_int_equal(vly_alarms_new(&opts.alarms, NULL), VLY_OK);
    crowd c = {.f = open_cache(&opts)};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_around, &c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&c.n_done), THREADS * ROUNDS);
    assert_int_equal(atomic_load(&c.n_right) + atomic_load(&c.n_computed) + atomic_load(&c.n_late),
                     THREADS * ROUNDS);
    assert_int_equal(vly_counter_get(&c.f->stats.misses), atomic_load(&c.n_computed));
    vly_cache_free(c.f->cache);
    vly_alarms_free(opts.alarms);
}

UNIT_TESTS(cmocka_unit_test(finds_what_was_kept), cmocka_unit_test(large_values_come_back_whole),
           cmocka_unit_test(what_is_too_long_unpacked_is_not_kept),
           cmocka_unit_test(a_rejected_value_is_replaced),
           cmocka_unit_test(each_class_has_its_time),
           cmocka_unit_test(what_is_found_often_lives_longer),
           cmocka_unit_test(one_computes_the_others_wait),
           cmocka_unit_test(what_is_shared_is_not_kept), cmocka_unit_test(the_lead_is_passed_on),
           cmocka_unit_test(who_is_gone_does_not_lead), cmocka_unit_test(the_last_leads),
           cmocka_unit_test(who_waits_has_his_own_deadline),
           cmocka_unit_test(the_last_one_who_waits_goes),
           cmocka_unit_test(who_would_wait_too_long_does_not),
           cmocka_unit_test(the_most_patient_leads), cmocka_unit_test(refresh_takes_the_place),
           cmocka_unit_test(tags_go_together),
           cmocka_unit_test(computations_under_way_are_invalidated),
           cmocka_unit_test(a_crowd_gets_what_it_asks_for))

/* SPDX-License-Identifier: MIT */
/*
 * The memory tier against a model that does the same by looking at everything, its budget, and what
 * a scan does to it.
 */
#include "base/assert.h"
#include "base/rng.h"
#include "cache/memory_tier.h"
#include "unit.h"

#include <stdlib.h>

#define FOREVER UINT64_MAX

static vly_cache_key key_of(uint64_t n)
{
    XXH128_hash_t h = XXH3_128bits(&n, sizeof(n));

    return (vly_cache_key){h.low64, h.high64};
}

static bool insert(vly_memory_tier *t, uint64_t n, size_t len, vly_nsec expires)
{
    vly_cache_value *v = vly_cache_value_new(len, 0);
    vly_cache_entry_info info = {.key = key_of(n), .expires_ns = expires};

    assert_non_null(v);
    memset(v->bytes, (int)n, len);
    return vly_memory_tier_insert(t, &info, v, 0);
}

/* ---- frequencies ---- */

static void frequencies_are_not_below_the_truth(void **state)
{
    (void)state;
    enum { KEYS = 500 };
    unsigned truth[KEYS] = {0};
    vly_frequency f;
    vly_rng rng;
    size_t n_over = 0;

    assert_true(vly_frequency_init(&f, 4096));
    vly_rng_init(&rng, 11, 0);
    for (int i = 0; i < 4000; i++) { /* fewer than a sample */
        uint64_t n = vly_rng_next(&rng) % KEYS;
        n = n * n / KEYS; /* some more often than others */
        truth[n]++;
        vly_frequency_add(&f, key_of(n).hi);
    }
    for (uint64_t n = 0; n < KEYS; n++) {
        unsigned want = truth[n] < VLY_FREQUENCY_MAX ? truth[n] : VLY_FREQUENCY_MAX;
        unsigned got = vly_frequency_of(&f, key_of(n).hi);
        assert_true(got >= want && got <= VLY_FREQUENCY_MAX);
        n_over += got > want;
    }
    assert_true(n_over < KEYS / 20);
    vly_frequency_release(&f);
}

static void frequencies_fade(void **state)
{
    (void)state;
    vly_frequency f;

    assert_true(vly_frequency_init(&f, 64));
    for (int i = 0; i < 40; i++)
        vly_frequency_add(&f, key_of(1).hi);
    assert_int_equal(vly_frequency_of(&f, key_of(1).hi), VLY_FREQUENCY_MAX);
    for (uint64_t n = 0; n < (uint64_t)64 * 8; n++)
        vly_frequency_add(&f, key_of(1000 + n % 7).hi);
    assert_true(vly_frequency_of(&f, key_of(1).hi) <= VLY_FREQUENCY_MAX / 2);
    vly_frequency_release(&f);
}

/* ---- the model: arrays in order of use, looked through from end to end ---- */

typedef struct model_entry {
    uint64_t n;
    size_t bytes;
} model_entry;

typedef struct model {
    model_entry window[4096], main[4096]; /* the oldest first */
    size_t n_window, n_main;
    size_t max_window, max_main;
    vly_frequency frequency; /* the sketch is tested by itself */
} model;

static size_t bytes_of(const model_entry *e, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += e[i].bytes;
    return bytes;
}

static void drop(model_entry *e, size_t *n, size_t at)
{
    memmove(&e[at], &e[at + 1], (*n - at - 1) * sizeof(*e));
    (*n)--;
}

static bool model_touch(model_entry *e, size_t *n, uint64_t key)
{
    for (size_t i = 0; i < *n; i++) {
        if (e[i].n != key)
            continue;
        model_entry found = e[i];
        drop(e, n, i);
        e[(*n)++] = found;
        return true;
    }
    return false;
}

static bool model_find(model *m, uint64_t key)
{
    vly_frequency_add(&m->frequency, key_of(key).hi);
    return model_touch(m->window, &m->n_window, key) || model_touch(m->main, &m->n_main, key);
}

/* The oldest of the window, or the one given, competes for main. */
static void model_compete(model *m, model_entry candidate)
{
    unsigned worth = vly_frequency_of(&m->frequency, key_of(candidate.n).hi), cost = 0;
    size_t n_go = 0;

    while (m->max_main - bytes_of(m->main + n_go, m->n_main - n_go) < candidate.bytes) {
        cost += vly_frequency_of(&m->frequency, key_of(m->main[n_go].n).hi);
        n_go++;
    }
    if (n_go > 0 && cost >= worth)
        return;
    while (n_go-- > 0)
        drop(m->main, &m->n_main, 0);
    m->main[m->n_main++] = candidate;
}

static void model_insert(model *m, uint64_t key, size_t bytes)
{
    model_entry e = {key, bytes};

    if (bytes > m->max_main / 2)
        return;
    if (bytes > m->max_window) {
        model_compete(m, e);
        return;
    }
    m->window[m->n_window++] = e;
    while (bytes_of(m->window, m->n_window) > m->max_window) {
        model_entry oldest = m->window[0];
        drop(m->window, &m->n_window, 0);
        model_compete(m, oldest);
    }
}

static void does_as_the_model(void **state)
{
    (void)state;
    size_t head = sizeof(vly_cache_entry) + sizeof(vly_cache_value) + 32;
    vly_memory_tier t;
    model *m = calloc(1, sizeof(*m));
    vly_rng rng;
    size_t n_hits = 0;

    assert_non_null(m);
    assert_int_equal(vly_memory_tier_init(&t, 256 << 10, NULL), VLY_OK);
    m->max_window = t.window.max_bytes;
    m->max_main = t.main.max_bytes;
    assert_true(vly_frequency_init(&m->frequency, t.frequency.width));
    vly_rng_init(&rng, 17, 0);
    for (int i = 0; i < 40000; i++) {
        uint64_t r = vly_rng_next(&rng) % 1000;
        uint64_t n = r < 700 ? r * r / 4000 : 1000 + vly_rng_next(&rng) % 5000;
        size_t len = n % 97 == 0 ? 20000 : 100 + (size_t)(n * 37 % 3000);
        bool is_there = vly_memory_tier_find(&t, key_of(n)) != NULL;
        assert_int_equal(is_there, model_find(m, n));
        n_hits += is_there;
        if (is_there)
            continue;
        insert(&t, n, len, FOREVER);
        model_insert(m, n, head + len);
        assert_int_equal(t.n_entries, m->n_window + m->n_main);
        assert_int_equal(t.window.bytes, bytes_of(m->window, m->n_window));
        assert_int_equal(t.main.bytes, bytes_of(m->main, m->n_main));
        assert_true(vly_memory_tier_bytes(&t) <= 256 << 10);
    }
    assert_true(n_hits > 10000);
    vly_frequency_release(&m->frequency);
    vly_memory_tier_release(&t);
    free(m);
}

/* ---- a scan ---- */

/* Fifty keys asked for again and again, then ten times the budget of keys asked for once. */
static void a_scan_does_not_flush(void **state)
{
    (void)state;
    enum { HOT = 50, LEN = 1000, BUDGET = 128 << 10 };
    vly_memory_tier t;
    size_t n_left = 0;

    assert_int_equal(vly_memory_tier_init(&t, BUDGET, NULL), VLY_OK);
    for (int round = 0; round < 8; round++)
        for (uint64_t n = 0; n < HOT; n++)
            if (vly_memory_tier_find(&t, key_of(n)) == NULL)
                insert(&t, n, LEN, FOREVER);
    for (uint64_t n = 1000; n < 1000 + 10 * BUDGET / LEN; n++) {
        assert_null(vly_memory_tier_find(&t, key_of(n)));
        insert(&t, n, LEN, FOREVER);
        assert_true(vly_memory_tier_bytes(&t) <= BUDGET);
        if (n % 100 == 0) /* asked for again at once it is there */
            assert_non_null(vly_memory_tier_find(&t, key_of(n)));
    }
    for (uint64_t n = 0; n < HOT; n++)
        n_left += vly_memory_tier_find(&t, key_of(n)) != NULL;
    assert_true(n_left >= HOT * 9 / 10);
    vly_memory_tier_release(&t);
}

static void refuses_what_is_too_large(void **state)
{
    (void)state;
    vly_memory_tier t;

    assert_int_equal(vly_memory_tier_init(&t, 64 << 10, NULL), VLY_OK);
    assert_false(insert(&t, 1, 40 << 10, FOREVER));
    assert_int_equal(t.n_refused, 1);
    assert_true(insert(&t, 2, 20 << 10, FOREVER));
    assert_int_equal(t.n_entries, 1);
    vly_memory_tier_release(&t);
    for (size_t budget = 0; budget < 20000; budget += 1000) { /* down to nothing */
        assert_int_equal(vly_memory_tier_init(&t, budget, NULL), VLY_OK);
        for (uint64_t n = 0; n < 100; n++) {
            insert(&t, n, 500, FOREVER);
            assert_true(vly_memory_tier_bytes(&t) <= budget);
        }
        vly_memory_tier_release(&t);
    }
}

/* What has expired gives way to anything. */
static void the_expired_go_first(void **state)
{
    (void)state;
    vly_memory_tier t;

    assert_int_equal(vly_memory_tier_init(&t, 64 << 10, NULL), VLY_OK);
    for (uint64_t n = 0; n < 100; n++) {
        for (int i = 0; i < 5; i++)
            vly_memory_tier_find(&t, key_of(n));
        insert(&t, n, 1000, 0); /* at once */
    }
    vly_memory_tier_find(&t, key_of(500));
    assert_true(insert(&t, 500, 20000, FOREVER));
    assert_non_null(vly_memory_tier_find(&t, key_of(500)));
    vly_memory_tier_release(&t);
}

static bool is_even(const void *ctx, const vly_cache_entry *e)
{
    (void)ctx;
    return e->info.epoch % 2 == 0;
}

static void sweeps(void **state)
{
    (void)state;
    vly_memory_tier t;

    assert_int_equal(vly_memory_tier_init(&t, 256 << 10, NULL), VLY_OK);
    for (uint64_t n = 0; n < 100; n++) {
        vly_cache_entry_info info = {.key = key_of(n), .expires_ns = FOREVER, .epoch = n};
        assert_true(vly_memory_tier_insert(&t, &info, vly_cache_value_new(100, 0), 0));
    }
    size_t slice = t.n_buckets / 3, n_gone[4]; /* and one slice that lies behind the end in part */
    for (size_t i = 0; i < VLY_COUNT(n_gone); i++) {
        n_gone[i] = vly_memory_tier_sweep(&t, i * slice, slice, is_even, NULL);
        assert_int_equal(vly_memory_tier_sweep(&t, i * slice, slice, is_even, NULL), 0);
    }
    assert_true(n_gone[0] > 0 && n_gone[1] > 0 && n_gone[2] > 0);
    assert_int_equal(n_gone[0] + n_gone[1] + n_gone[2] + n_gone[3], 50);
    assert_int_equal(vly_memory_tier_sweep(&t, t.n_buckets, SIZE_MAX, is_even, NULL), 0);
    for (uint64_t n = 0; n < 100; n++)
        assert_int_equal(vly_memory_tier_find(&t, key_of(n)) != NULL, n % 2);
    vly_memory_tier_release(&t);
}

UNIT_TESTS(cmocka_unit_test(frequencies_are_not_below_the_truth),
           cmocka_unit_test(frequencies_fade), cmocka_unit_test(does_as_the_model),
           cmocka_unit_test(a_scan_does_not_flush), cmocka_unit_test(refuses_what_is_too_large),
           cmocka_unit_test(the_expired_go_first), cmocka_unit_test(sweeps))

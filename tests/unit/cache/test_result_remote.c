/* SPDX-License-Identifier: MIT */
/* The cache in front of a shared tier that a test plays: what is asked, when, and what comes back.
 */
#include "cache/result_cache.h"
#include "unit.h"

#include <stdio.h>

/* ---- the tier ---- */

static struct { /* one test at a time */
    vly_redis_get *asked;
    void (*on_invalidate)(void);
    uint64_t stored_under; /* the token of what was stored last; 0: nothing was */
} tier;

bool vly_redis_ask(vly_redis *r, vly_redis_get *g, const vly_str *tags, size_t n_tags)
{
    (void)r, (void)tags, (void)n_tags;
    tier.asked = g;
    return true;
}

bool vly_redis_store(vly_redis *r, vly_cache_key key, const vly_redis_tags *tags, vly_str bytes,
                     uint32_t meta, uint64_t ttl_ms)
{
    (void)r, (void)key, (void)bytes, (void)meta, (void)ttl_ms;
    tier.stored_under = tags->tokens[0];
    return true;
}

void vly_redis_invalidate(vly_redis *r, vly_str tag)
{
    (void)r, (void)tag;
    if (tier.on_invalidate != NULL)
        tier.on_invalidate();
}

#define TOKEN       7
#define PLAIN_BYTES 100000

/* Answers the last get with what a server has written. */
static void answer_with(const vly_cache_value *v)
{
    vly_redis_get *g = tier.asked;
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CACHE, SIZE_MAX);
    vly_cache_value_write(v, &b);
    g->meta = (uint32_t)v->packing;
    g->ttl_ms = 1000000;
    g->tags = (vly_redis_tags){.n = 1, .tokens = {TOKEN}};
    g->done(g, vly_buf_str(&b));
    vly_buf_release(&b);
}

/* text NULL: a miss. */
static void answer(const char *text)
{
    if (text == NULL) {
        tier.asked->tags = (vly_redis_tags){.n = 1, .tokens = {TOKEN}};
        tier.asked->done(tier.asked, (vly_str){NULL, 0});
        return;
    }
    vly_cache_value *v = vly_cache_value_new(strlen(text), 1);
    memcpy(v->bytes, text, strlen(text));
    answer_with(v);
    vly_cache_value_unref(v);
}

/* ---- the cache ---- */

static struct {
    vly_cache *cache;
    vly_cache_stats stats;
    int n_ready;
} f;

static void ready(vly_cache_get *g)
{
    (void)g;
    f.n_ready++;
}

static void open_cache(void)
{
    const vly_cache_opts opts = {.memory_bytes = 1 << 20,
                                 .ttl_ns = {300 * VLY_NSEC_PER_SEC},
                                 .max_plain_bytes = PLAIN_BYTES,
                                 .redis = (vly_redis *)&tier};

    memset(&f, 0, sizeof(f));
    memset(&tier, 0, sizeof(tier));
    assert_int_equal(vly_cache_new(&opts, &f.cache, NULL), VLY_OK);
}

static const vly_str a_tag = {"a", 1};

static vly_cache_get get_of(uint64_t n)
{
    return (vly_cache_get){
        .key = {n, n}, .stats = &f.stats, .ready = ready, .tags = &a_tag, .n_tags = 1};
}

/* ---- tests ---- */

/* On another thread, in the middle of an invalidation that the tier has not heard of yet. */
static vly_cache_get between;

static void look_up_old(void)
{
    between = get_of(1);
    assert_int_equal(vly_cache_lookup(f.cache, &between), VLY_CACHE_WAIT);
    answer("old");
}

static void old_values_do_not_outlive_an_invalidation(bool is_all)
{
    open_cache();
    tier.on_invalidate = look_up_old;
    if (is_all)
        vly_cache_clear(f.cache);
    else
        vly_cache_invalidate(f.cache, &a_tag, 1);
    assert_int_equal(f.n_ready, 1);
    if (between.value != NULL)
        vly_cache_value_unref(between.value);
    else
        vly_cache_abandon(f.cache, &between);

    vly_cache_get g = get_of(1);
    assert_int_equal(vly_cache_lookup(f.cache, &g), VLY_CACHE_WAIT);
    answer(NULL);
    assert_null(g.value);
    vly_cache_abandon(f.cache, &g);
    vly_cache_free(f.cache);
}

static void what_is_looked_up_during_an_invalidation(void **state)
{
    (void)state;
    old_values_do_not_outlive_an_invalidation(false);
    old_values_do_not_outlive_an_invalidation(true);
}

/* The thread of the tier has others to answer. */
static void what_is_packed_comes_packed(void **state)
{
    (void)state;
    vly_cache_value *v = vly_cache_value_new(PLAIN_BYTES, 1);
    memset(v->bytes, 'x', PLAIN_BYTES);
    vly_cache_value *packed = vly_cache_value_pack(v, VLY_CACHE_PACKING_LZ4);

    open_cache();
    vly_cache_get g = get_of(1);
    assert_int_equal(vly_cache_lookup(f.cache, &g), VLY_CACHE_WAIT);
    answer_with(packed);
    assert_int_equal(g.value->len, packed->len);
    assert_true(vly_cache_unpack(&g));
    assert_int_equal(g.value->len, PLAIN_BYTES);
    assert_memory_equal(g.value->bytes, v->bytes, PLAIN_BYTES);
    vly_cache_value_unref(g.value);

    packed->plain_len++; /* longer than any of this server's */
    g = get_of(2);
    assert_int_equal(vly_cache_lookup(f.cache, &g), VLY_CACHE_WAIT);
    answer_with(packed);
    assert_null(g.value);
    vly_cache_abandon(f.cache, &g);
    vly_cache_value_unref(packed);
    vly_cache_value_unref(v);
    vly_cache_free(f.cache);
}

static void what_cannot_be_unpacked_is_replaced(void **state)
{
    (void)state;
    vly_cache_value *v = vly_cache_value_new(1000, 1);
    memset(v->bytes, 'x', 1000);
    vly_cache_value *packed = vly_cache_value_pack(v, VLY_CACHE_PACKING_LZ4);
    packed->plain_len--;

    open_cache();
    vly_cache_get g = get_of(1);
    assert_int_equal(vly_cache_lookup(f.cache, &g), VLY_CACHE_WAIT);
    answer_with(packed);
    assert_non_null(g.value);
    assert_false(vly_cache_unpack(&g));
    vly_cache_reject(f.cache, &g);
    vly_cache_complete(f.cache, &g, VLY_STR("good"));
    assert_int_equal(tier.stored_under, TOKEN); /* there, too */
    g = get_of(1);
    assert_int_equal(vly_cache_lookup(f.cache, &g), VLY_CACHE_HIT);
    assert_int_equal(g.value->len, 4);
    vly_cache_value_unref(g.value);
    vly_cache_value_unref(packed);
    vly_cache_value_unref(v);
    vly_cache_free(f.cache);
}

/* Cache-Control: no-cache */
static void what_is_computed_anew_replaces_the_old(void **state)
{
    (void)state;
    open_cache();
    vly_cache_get g = get_of(1);

    assert_int_equal(vly_cache_lead(f.cache, &g), VLY_CACHE_WAIT);
    answer("old");
    assert_int_equal(f.n_ready, 1);
    assert_null(g.value);
    vly_cache_complete(f.cache, &g, VLY_STR("new"));
    assert_int_equal(tier.stored_under, TOKEN);
    vly_cache_free(f.cache);
}

UNIT_TESTS(cmocka_unit_test(what_is_looked_up_during_an_invalidation),
           cmocka_unit_test(what_is_packed_comes_packed),
           cmocka_unit_test(what_cannot_be_unpacked_is_replaced),
           cmocka_unit_test(what_is_computed_anew_replaces_the_old))

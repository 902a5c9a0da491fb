/* SPDX-License-Identifier: MIT */
#include "cache/result_cache.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdatomic.h>

#define SHARD_BYTES    ((size_t)8 << 20) /* of the budget, at least, for each shard */
#define SHARDS_MAX     64
#define FLIGHT_BUCKETS 64
#define TAG_PLACES     4096
#define RATE_LOOKUPS   100 /* of a model, before its hit rate says something */
#define SWEEP_BUCKETS  256 /* under one lock: some 50 us when all that is in them goes */

typedef struct shard {
    pthread_mutex_t lock;
    vly_memory_tier tier;                   /* guarded by lock, as all below */
    vly_cache_get *flights[FLIGHT_BUCKETS]; /* leaders, linked by next */
    uint64_t n_flights;                     /* ever, to number them */
    uint64_t n_lookups, n_hits, n_invalidated;
} shard;

struct vly_cache {
    vly_cache_opts opts; /* immutable, as the next */
    size_t n_shards;     /* a power of two */
    _Atomic uint64_t epoch;
    _Atomic uint64_t cleared;            /* epoch in which everything was invalidated */
    _Atomic uint64_t tagged[TAG_PLACES]; /* the same of tags, by hash */
    vly_counter lookup_ns, insertion_ns;
    pthread_rwlock_t remote_lock; /* held to use redis, for writing to detach it */
    vly_redis *redis;             /* guarded by remote_lock; NULL: none */
    shard shards[];
};

static vly_nsec now(const vly_cache *c)
{
    return c->opts.now != NULL ? c->opts.now() : vly_clock_now();
}

/* ---- life ---- */

static size_t shards_for(size_t bytes)
{
    size_t n = 1;

    while (n < SHARDS_MAX && bytes / (2 * n) >= SHARD_BYTES)
        n *= 2;
    return n;
}

void vly_cache_free(vly_cache *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_shards; i++) {
        for (size_t k = 0; k < FLIGHT_BUCKETS; k++)
            VLY_ASSERT(c->shards[i].flights[k] == NULL);
        vly_memory_tier_release(&c->shards[i].tier);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    pthread_rwlock_destroy(&c->remote_lock);
    vly_free(c);
}

vly_status vly_cache_new(const vly_cache_opts *opts, vly_cache **ret, vly_err *err)
{
    size_t n = shards_for(opts->memory_bytes);
    vly_cache *c = vly_calloc(VLY_MEM_CACHE, 1, sizeof(*c) + n * sizeof(c->shards[0]));
    vly_status st = VLY_OK;

    if (c == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the cache");
    c->opts = *opts;
    atomic_init(&c->epoch, 1);
    pthread_rwlock_init(&c->remote_lock, NULL);
    c->redis = opts->redis;
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        pthread_mutex_init(&c->shards[i].lock, NULL);
        c->n_shards = i + 1;
        st = vly_memory_tier_init(&c->shards[i].tier, opts->memory_bytes / n, err);
    }
    if (st == VLY_OK)
        *ret = c;
    else
        vly_cache_free(c);
    return st;
}

void vly_cache_set_times(vly_cache *c, const vly_cache_opts *opts)
{
    for (size_t i = 0; i < VLY_CACHE_CLASS_N; i++)
        atomic_store(&c->opts.ttl_ns[i], opts->ttl_ns[i]);
    atomic_store(&c->opts.is_ttl_dynamic, opts->is_ttl_dynamic);
}

void vly_cache_detach(vly_cache *c)
{
    pthread_rwlock_wrlock(&c->remote_lock);
    c->redis = NULL;
    pthread_rwlock_unlock(&c->remote_lock);
}

static shard *shard_of(vly_cache *c, vly_cache_key key)
{
    return &c->shards[(key.lo >> 32) & (c->n_shards - 1)];
}

/* ---- epochs ---- */

static uint64_t tag_hash(vly_str tag)
{
    return XXH3_64bits(tag.ptr, tag.len);
}

static bool is_dead(const void *ctx, const vly_cache_entry *e)
{
    const vly_cache *c = ctx;
    bool dead = atomic_load(&c->cleared) > e->info.epoch;

    for (size_t i = 0; i < e->info.n_tags; i++)
        dead = dead || atomic_load(&c->tagged[e->info.tags[i] % TAG_PLACES]) > e->info.epoch;
    return dead;
}

static bool is_stale(const vly_cache *c, const vly_cache_get *g)
{
    bool stale = atomic_load(&c->cleared) > g->epoch;

    for (size_t i = 0; i < g->n_tags; i++)
        stale = stale || atomic_load(&c->tagged[tag_hash(g->tags[i]) % TAG_PLACES]) > g->epoch;
    return stale;
}

static size_t sweep_slice(vly_cache *c, shard *s, size_t begin)
{
    pthread_mutex_lock(&s->lock);
    size_t n = vly_memory_tier_sweep(&s->tier, begin, SWEEP_BUCKETS, is_dead, c);
    s->n_invalidated += n;
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* Frees what is dead, which nobody finds any more: so a lookup never waits for more than a slice of
 * its shard. */
static size_t sweep(vly_cache *c)
{
    size_t n_all = 0;

    for (size_t at = 0; at < c->shards[0].tier.n_buckets; at += SWEEP_BUCKETS)
        for (size_t i = 0; i < c->n_shards; i++)
            n_all += sweep_slice(c, &c->shards[i], at);
    return n_all;
}

/* Raises *at to a new epoch, whoever else does the same. */
static void raise_epoch(vly_cache *c, _Atomic uint64_t *at)
{
    uint64_t epoch = atomic_fetch_add(&c->epoch, 1) + 1;
    uint64_t was = atomic_load(at);

    while (was < epoch && !atomic_compare_exchange_weak(at, &was, epoch))
        continue;
}

static void forget_remote(vly_cache *c, vly_str tag)
{
    pthread_rwlock_rdlock(&c->remote_lock);
    if (c->redis != NULL)
        vly_redis_invalidate(c->redis, tag);
    pthread_rwlock_unlock(&c->remote_lock);
}

/* Redis comes first: a lookup of the new epoch must not find there what is invalidated, and keep it
 * as if it were new. */
size_t vly_cache_invalidate(vly_cache *c, const vly_str *tags, size_t n_tags)
{
    for (size_t i = 0; i < n_tags; i++) {
        forget_remote(c, tags[i]);
        raise_epoch(c, &c->tagged[tag_hash(tags[i]) % TAG_PLACES]);
    }
    return sweep(c);
}

size_t vly_cache_clear(vly_cache *c)
{
    forget_remote(c, VLY_STR(""));
    raise_epoch(c, &c->cleared);
    return sweep(c);
}

/* ---- flights, under the shard's lock ---- */

static vly_cache_get **flight_of(shard *s, vly_cache_key key)
{
    vly_cache_get **link = &s->flights[key.lo % FLIGHT_BUCKETS];

    while (*link != NULL && !vly_cache_key_eq((*link)->key, key))
        link = &(*link)->next;
    return link;
}

static void take_off(shard *s, vly_cache_get *g)
{
    vly_cache_get **bucket = &s->flights[g->key.lo % FLIGHT_BUCKETS];

    g->next = *bucket;
    *bucket = g;
}

/* A flight of its own. */
static void begin_flight(shard *s, vly_cache_get *g)
{
    g->flight = ++s->n_flights;
    take_off(s, g);
}

static void wait_for(vly_cache_get *leader, vly_cache_get *g)
{
    atomic_store(&leader->has_company, true);
    g->flight = leader->flight;
    g->next = NULL;
    g->before = leader->last;
    *(g->before != NULL ? &g->before->next : &leader->first) = g;
    leader->last = g;
}

static void wait_no_more(vly_cache_get *leader, const vly_cache_get *g)
{
    *(g->before != NULL ? &g->before->next : &leader->first) = g->next;
    *(g->next != NULL ? &g->next->before : &leader->last) = g->before;
    atomic_store(&leader->has_company, leader->first != NULL);
}

/* Ends the flight of g; returns who waited. */
static vly_cache_get *land(shard *s, vly_cache_get *g)
{
    if (g->is_alone)
        return NULL;
    vly_cache_get **link = flight_of(s, g->key);
    VLY_ASSERT(*link == g);
    *link = g->next;
    vly_cache_get *waiting = g->first;
    g->first = g->last = g->next = NULL;
    return waiting;
}

static bool is_wanted(const vly_cache_get *g)
{
    return g->is_gone == NULL || !atomic_load(g->is_gone);
}

static bool is_more_patient(const vly_cache_get *g, const vly_cache_get *than)
{
    if (is_wanted(g) != is_wanted(than))
        return is_wanted(g);
    return than->deadline_ns != 0 && (g->deadline_ns == 0 || g->deadline_ns > than->deadline_ns);
}

/* One of those who wait for g, who has the lead no longer, leads the others; NULL: nobody waits.
 * Who could not wait for his own result would soon leave the others as they are now. */
static vly_cache_get *pass_on(const vly_cache *c, shard *s, vly_cache_get *g)
{
    vly_cache_get *best = g->first;

    for (vly_cache_get *w = g->first; w != NULL; w = w->next)
        if (is_more_patient(w, best))
            best = w;
    if (best == NULL)
        return NULL;
    wait_no_more(g, best);
    best->first = g->first;
    best->last = g->last;
    best->epoch = atomic_load(&c->epoch);
    atomic_store(&best->has_company, best->first != NULL);
    land(s, g);
    take_off(s, best);
    return best;
}

/* ---- lookup ---- */

static void begin(vly_cache *c, vly_cache_get *g)
{
    VLY_ASSERT(g->n_tags <= VLY_CACHE_TAGS_MAX);
    g->cache = c;
    g->begun_ns = now(c);
    g->epoch = atomic_load(&c->epoch);
    g->is_alone = false;
    g->is_late = g->is_kept = false;
    atomic_store(&g->has_company, false);
    atomic_store(&g->starts_ns, 0);
    g->value = NULL;
    g->origin = VLY_CACHE_FROM_NOBODY;
    g->next = g->before = g->first = g->last = NULL;
    g->flight = 0;
    g->remote = (vly_redis_get){.key = g->key};
}

/* A reference to what is there and alive. */
static vly_cache_value *find(vly_cache *c, shard *s, const vly_cache_get *g)
{
    vly_cache_entry *e = vly_memory_tier_find(&s->tier, g->key);

    s->n_lookups++;
    if (e == NULL)
        return NULL;
    bool is_old = e->info.expires_ns <= g->begun_ns;
    if (is_old || is_dead(c, e)) {
        vly_memory_tier_remove(&s->tier, e);
        *(is_old ? &s->tier.n_expired : &s->n_invalidated) += 1;
        return NULL;
    }
    s->n_hits++;
    return vly_cache_value_ref(e->value);
}

/* The deadline of one who waits for another; who has it rings no more is ready already. */
static void ring(vly_alarm *a)
{
    vly_cache_get *g = (vly_cache_get *)(void *)((char *)a - offsetof(vly_cache_get, alarm));
    shard *s = shard_of(g->cache, g->key);

    pthread_mutex_lock(&s->lock);
    vly_cache_get *leader = *flight_of(s, g->key);
    g->is_late = leader != NULL && leader != g && leader->flight == g->flight;
    if (g->is_late)
        wait_no_more(leader, g);
    pthread_mutex_unlock(&s->lock);
    if (g->is_late)
        g->ready(g);
}

/* Makes g the leader, or one who waits. */
static vly_cache_found join(const vly_cache *c, shard *s, vly_cache_get *g)
{
    vly_cache_get *leader = *flight_of(s, g->key);

    if (leader == NULL) {
        begin_flight(s, g);
        return VLY_CACHE_LEAD;
    }
    if (g->deadline_ns != 0 && atomic_load(&leader->starts_ns) > g->deadline_ns)
        return VLY_CACHE_LATE;
    wait_for(leader, g);
    if (g->deadline_ns != 0 && c->opts.alarms != NULL) {
        g->alarm = (vly_alarm){.ring = ring};
        vly_alarm_set(c->opts.alarms, &g->alarm, g->deadline_ns);
    }
    return VLY_CACHE_WAIT;
}

/* One who waited is ready for something else. Not under the lock: ring takes it. */
static void end_wait(const vly_cache *c, vly_cache_get *g)
{
    if (g->deadline_ns != 0 && c->opts.alarms != NULL)
        vly_alarm_end(c->opts.alarms, &g->alarm);
}

static void count_hit(vly_cache_get *g, vly_cache_origin origin, vly_nsec at)
{
    vly_cache_stats *s = g->stats;
    vly_counter *of_origin[] = {[VLY_CACHE_FROM_MEMORY] = &s->memory_hits,
                                [VLY_CACHE_FROM_REDIS] = &s->redis_hits,
                                [VLY_CACHE_FROM_LEADER] = &s->shared};

    g->origin = origin;
    vly_counter_add(of_origin[origin], 1);
    vly_histogram_record(&s->hit_ns, at - g->begun_ns);
}

static void count_miss(vly_cache_get *g, vly_nsec at)
{
    g->looked_ns = at - g->begun_ns;
    vly_counter_add(&g->stats->misses, 1);
}

bool vly_cache_unpack(vly_cache_get *g)
{
    vly_cache_value *plain = vly_cache_value_unpack(g->value);

    if (plain == NULL)
        return false;
    vly_cache_value_unref(g->value);
    g->value = plain;
    return true;
}

static void remote_done(vly_redis_get *r, vly_str bytes);

/* Sends the leader on to Redis; false: it is not asked. */
static bool ask_redis(vly_cache *c, vly_cache_get *g)
{
    if (c->opts.redis == NULL)
        return false;
    g->remote.done = remote_done;
    pthread_rwlock_rdlock(&c->remote_lock);
    bool is_asked = c->redis != NULL && vly_redis_ask(c->redis, &g->remote, g->tags, g->n_tags);
    pthread_rwlock_unlock(&c->remote_lock);
    return is_asked;
}

vly_cache_found vly_cache_lookup(vly_cache *c, vly_cache_get *g)
{
    shard *s = shard_of(c, g->key);
    vly_cache_found found = VLY_CACHE_HIT;

    begin(c, g);
    pthread_mutex_lock(&s->lock);
    g->value = find(c, s, g);
    if (g->value == NULL)
        found = join(c, s, g);
    pthread_mutex_unlock(&s->lock);
    if (found == VLY_CACHE_WAIT || found == VLY_CACHE_LATE) /* the first may be ready already */
        return found;
    vly_nsec at = now(c);
    vly_counter_add(&c->lookup_ns, at - g->begun_ns);
    if (found == VLY_CACHE_HIT) {
        count_hit(g, VLY_CACHE_FROM_MEMORY, at);
        return found;
    }
    if (ask_redis(c, g))
        return VLY_CACHE_WAIT;
    count_miss(g, at);
    return VLY_CACHE_LEAD;
}

/* Redis is asked for the tokens alone, under which it keeps what is completed. */
vly_cache_found vly_cache_lead(vly_cache *c, vly_cache_get *g)
{
    shard *s = shard_of(c, g->key);

    begin(c, g);
    g->is_alone = true;
    pthread_mutex_lock(&s->lock);
    vly_frequency_add(&s->tier.frequency, g->key.hi);
    pthread_mutex_unlock(&s->lock);
    if (ask_redis(c, g))
        return VLY_CACHE_WAIT;
    count_miss(g, now(c));
    return VLY_CACHE_LEAD;
}

void vly_cache_reject(vly_cache *c, vly_cache_get *g)
{
    vly_cache_value_unref(g->value);
    g->value = NULL;
    g->origin = VLY_CACHE_FROM_NOBODY;
    g->epoch = atomic_load(&c->epoch);
    g->is_alone = true;
    g->flight = 0;
    g->first = g->last = g->next = NULL;
    count_miss(g, now(c));
}

/* ---- results ---- */

/* Half to double the time, by how often this model's results are found. */
static vly_nsec ttl_of(const vly_cache *c, const vly_cache_get *g)
{
    vly_nsec ttl = c->opts.ttl_ns[g->class];
    const vly_cache_stats *s = g->stats;

    if (!c->opts.is_ttl_dynamic)
        return ttl;
    uint64_t hits = vly_counter_get(&s->memory_hits) + vly_counter_get(&s->redis_hits) +
                    vly_counter_get(&s->shared);
    uint64_t all = hits + vly_counter_get(&s->misses);
    if (all < RATE_LOOKUPS)
        return ttl;
    return (vly_nsec)((double)ttl * (0.5 + 1.5 * (double)hits / (double)all));
}

/* Under the lock. Takes the reference to kept. */
static void insert(shard *s, vly_cache_get *g, vly_cache_value *kept, vly_nsec at, vly_nsec ttl)
{
    vly_cache_entry_info info = {
        .key = g->key, .expires_ns = at + ttl, .epoch = g->epoch, .n_tags = g->n_tags};

    for (size_t i = 0; i < g->n_tags; i++)
        info.tags[i] = tag_hash(g->tags[i]);
    bool is_kept = vly_memory_tier_insert(&s->tier, &info, kept, at);
    vly_counter_add(is_kept ? &g->stats->insertions : &g->stats->refused, 1);
    g->is_kept = g->is_kept || is_kept;
}

/* Ends the flight of g. Without a value, or when it is stale, one of who has come since gets the
 * lead; else it is kept in the form of kept, if that is not NULL. Returns who waited, for the value
 * or, of whom *ret_leads, for the lead. */
static vly_cache_get *settle(vly_cache *c, vly_cache_get *g, bool has_value, vly_cache_value *kept,
                             vly_nsec ttl, bool *ret_leads)
{
    shard *s = shard_of(c, g->key);
    vly_nsec at = now(c);

    pthread_mutex_lock(&s->lock);
    bool is_good = has_value && !is_stale(c, g);
    vly_cache_get *waiting = is_good ? NULL : pass_on(c, s, g);
    if (waiting == NULL)
        waiting = land(s, g);
    if (is_good && kept != NULL)
        insert(s, g, vly_cache_value_ref(kept), at, ttl);
    pthread_mutex_unlock(&s->lock);
    *ret_leads = !is_good;
    return waiting;
}

/* Hands the value, or the lead, to who waited. */
static void hand_out(const vly_cache *c, vly_cache_get *waiting, vly_cache_value *v, bool leads)
{
    vly_nsec at = now(c);

    if (leads && waiting != NULL) {
        end_wait(c, waiting);
        count_miss(waiting, at);
        waiting->ready(waiting);
        return;
    }
    for (vly_cache_get *g = waiting, *next; g != NULL; g = next) {
        next = g->next; /* ready may free g */
        end_wait(c, g);
        g->value = vly_cache_value_ref(v);
        count_hit(g, VLY_CACHE_FROM_LEADER, at);
        g->ready(g);
    }
}

static vly_cache_value *copy_of(vly_str bytes)
{
    vly_cache_value *v = vly_cache_value_new(bytes.len, vly_clock_unix_ms());

    if (v != NULL && bytes.len > 0)
        memcpy(v->bytes, bytes.ptr, bytes.len);
    return v;
}

static void store_remote(vly_cache *c, vly_cache_get *g, const vly_cache_value *kept, vly_nsec ttl)
{
    vly_buf b;

    if (c->opts.redis == NULL || g->remote.done == NULL || is_stale(c, g))
        return;
    vly_buf_init(&b, VLY_MEM_CACHE, SIZE_MAX);
    vly_cache_value_write(kept, &b);
    pthread_rwlock_rdlock(&c->remote_lock);
    if (!b.failed && c->redis != NULL)
        g->is_kept = vly_redis_store(c->redis, g->key, &g->remote.tags, vly_buf_str(&b),
                                     (uint32_t)kept->packing, ttl / VLY_NSEC_PER_MS);
    pthread_rwlock_unlock(&c->remote_lock);
    vly_buf_release(&b);
}

void vly_cache_complete(vly_cache *c, vly_cache_get *g, vly_str bytes)
{
    vly_nsec began = now(c), ttl = ttl_of(c, g);
    vly_cache_value *v = copy_of(bytes), *packed = NULL;
    bool leads;

    if (v != NULL && v->len >= c->opts.pack_min_bytes)
        packed = vly_cache_value_pack(v, c->opts.packing);
    vly_cache_value *kept = packed != NULL ? packed : v;
    if (kept != NULL)
        store_remote(c, g, kept, ttl);
    vly_cache_get *waiting = settle(c, g, v != NULL, kept, ttl, &leads);
    vly_nsec took = now(c) - began;
    vly_counter_add(&c->insertion_ns, took);
    vly_histogram_record(&g->stats->miss_ns, g->looked_ns + took);
    hand_out(c, waiting, v, leads);
    vly_cache_value_unref(packed);
    vly_cache_value_unref(v);
}

void vly_cache_share(vly_cache *c, vly_cache_get *g, vly_str bytes)
{
    vly_cache_value *v = copy_of(bytes);
    bool leads;
    vly_cache_get *waiting = settle(c, g, v != NULL, NULL, 0, &leads);

    hand_out(c, waiting, v, leads);
    vly_cache_value_unref(v);
}

void vly_cache_abandon(vly_cache *c, vly_cache_get *g)
{
    bool leads;
    vly_cache_get *waiting = settle(c, g, false, NULL, 0, &leads);

    hand_out(c, waiting, NULL, leads);
}

/* ---- Redis has answered ---- */

static vly_nsec remote_ttl(const vly_cache *c, const vly_cache_get *g)
{
    vly_nsec ttl = c->opts.ttl_ns[g->class];

    return g->remote.ttl_ms < ttl / VLY_NSEC_PER_MS ? g->remote.ttl_ms * VLY_NSEC_PER_MS : ttl;
}

static void remote_done(vly_redis_get *r, vly_str bytes)
{
    vly_cache_get *g = (vly_cache_get *)(void *)((char *)r - offsetof(vly_cache_get, remote));
    vly_cache *c = g->cache;
    vly_cache_value *v = NULL;
    bool leads;

    if (bytes.ptr != NULL && !g->is_alone)
        v = vly_cache_value_read(bytes, r->meta, c->opts.max_plain_bytes);
    if (v == NULL || is_stale(c, g)) {
        g->epoch = atomic_load(&c->epoch);
        vly_cache_value_unref(v);
        count_miss(g, now(c));
        g->ready(g);
        return;
    }
    vly_cache_get *waiting = settle(c, g, true, v, remote_ttl(c, g), &leads);
    hand_out(c, waiting, v, leads);
    g->value = v;
    count_hit(g, VLY_CACHE_FROM_REDIS, now(c));
    g->ready(g);
}

/* ---- figures ---- */

static void add_shard(shard *s, vly_cache_totals *t)
{
    pthread_mutex_lock(&s->lock);
    t->entries += s->tier.n_entries;
    t->bytes += vly_memory_tier_bytes(&s->tier);
    t->lookups += s->n_lookups;
    t->hits += s->n_hits;
    t->insertions += s->tier.n_insertions;
    t->evictions += s->tier.n_evictions;
    t->refused += s->tier.n_refused;
    t->expired += s->tier.n_expired;
    t->invalidated += s->n_invalidated;
    pthread_mutex_unlock(&s->lock);
}

void vly_cache_get_totals(vly_cache *c, vly_cache_totals *ret)
{
    vly_cache_totals t = {.max_bytes = c->opts.memory_bytes,
                          .lookup_ns = vly_counter_get(&c->lookup_ns),
                          .insertion_ns = vly_counter_get(&c->insertion_ns)};

    for (size_t i = 0; i < c->n_shards; i++)
        add_shard(&c->shards[i], &t);
    t.misses = t.lookups - t.hits;
    *ret = t;
}

const vly_cache_opts *vly_cache_get_opts(const vly_cache *c)
{
    return &c->opts;
}

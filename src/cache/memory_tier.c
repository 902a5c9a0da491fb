/* SPDX-License-Identifier: MIT */
#include "cache/memory_tier.h"

#include "base/assert.h"

#define WINDOW_SHARE 16            /* of the budget */
#define ENTRY_BYTES  ((size_t)512) /* of the budget for each bucket and counter */
#define HEAP_BYTES   ((size_t)32)  /* what two allocations cost besides their bytes */
#define MAX_SHARE    2             /* one entry takes at most this part of main */
#define BUDGET_MIN   ((size_t)16 << 10)

/* ---- lists: the newest first ---- */

static void list_add(vly_cache_list *l, vly_cache_entry *e)
{
    e->newer = NULL;
    e->older = l->newest;
    if (l->newest != NULL)
        l->newest->newer = e;
    else
        l->oldest = e;
    l->newest = e;
    l->bytes += e->bytes;
}

static void list_take(vly_cache_list *l, vly_cache_entry *e)
{
    if (e->newer != NULL)
        e->newer->older = e->older;
    else
        l->newest = e->older;
    if (e->older != NULL)
        e->older->newer = e->newer;
    else
        l->oldest = e->newer;
    l->bytes -= e->bytes;
}

static vly_cache_list *list_of(vly_memory_tier *t, const vly_cache_entry *e)
{
    return e->is_in_main ? &t->main : &t->window;
}

/* ---- table ---- */

static vly_cache_entry **bucket_of(vly_memory_tier *t, vly_cache_key key)
{
    return &t->table[key.lo & (t->n_buckets - 1)];
}

static vly_cache_entry *get(vly_memory_tier *t, vly_cache_key key)
{
    vly_cache_entry *e = *bucket_of(t, key);

    while (e != NULL && !vly_cache_key_eq(e->info.key, key))
        e = e->chain;
    return e;
}

void vly_memory_tier_remove(vly_memory_tier *t, vly_cache_entry *e)
{
    vly_cache_entry **link = bucket_of(t, e->info.key);

    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
    list_take(list_of(t, e), e);
    t->n_entries--;
    vly_cache_value_unref(e->value);
    vly_free(e);
}

/* ---- life ---- */

static size_t buckets_for(size_t budget_bytes)
{
    size_t n = 1;

    while (n < budget_bytes / ENTRY_BYTES)
        n *= 2;
    return n;
}

vly_status vly_memory_tier_init(vly_memory_tier *t, size_t budget_bytes, vly_err *err)
{
    size_t n = buckets_for(budget_bytes);
    size_t fixed = n * sizeof(*t->table) + vly_frequency_bytes(n);

    *t = (vly_memory_tier){.n_buckets = n};
    t->table = vly_calloc(VLY_MEM_CACHE, n, sizeof(*t->table));
    if (t->table == NULL || !vly_frequency_init(&t->frequency, n)) {
        vly_memory_tier_release(t);
        return vly_fail(err, VLY_ENOMEM, "out of memory for the cache");
    }
    if (budget_bytes < BUDGET_MIN)
        return VLY_OK; /* nothing fits; there is no memory to count */
    size_t left = budget_bytes - fixed;
    t->fixed_bytes = fixed;
    t->window.max_bytes = left / WINDOW_SHARE;
    t->main.max_bytes = left - t->window.max_bytes;
    t->max_entry_bytes = t->main.max_bytes / MAX_SHARE;
    return VLY_OK;
}

void vly_memory_tier_release(vly_memory_tier *t)
{
    while (t->window.oldest != NULL)
        vly_memory_tier_remove(t, t->window.oldest);
    while (t->main.oldest != NULL)
        vly_memory_tier_remove(t, t->main.oldest);
    vly_free(t->table);
    vly_frequency_release(&t->frequency);
    *t = (vly_memory_tier){.n_entries = 0};
}

/* ---- what stays ---- */

static unsigned frequency_of(const vly_memory_tier *t, const vly_cache_entry *e, vly_nsec now)
{
    return e->info.expires_ns > now ? vly_frequency_of(&t->frequency, e->info.key.hi) : 0;
}

/* Is the candidate asked for more often than all that must go for it? */
static bool is_worth(const vly_memory_tier *t, const vly_cache_entry *candidate, vly_nsec now)
{
    size_t room = t->main.max_bytes - t->main.bytes;
    unsigned wanted = frequency_of(t, candidate, now), others = 0;
    const vly_cache_entry *victim = t->main.oldest;

    while (room < candidate->bytes && others < wanted) {
        VLY_ASSERT(victim != NULL); /* an entry is no larger than main */
        room += victim->bytes;
        others += frequency_of(t, victim, now);
        victim = victim->newer;
    }
    return room >= candidate->bytes && (others < wanted || others == 0);
}

/* From the window to main, or away. */
static bool settle(vly_memory_tier *t, vly_cache_entry *e, vly_nsec now)
{
    if (!is_worth(t, e, now)) {
        vly_memory_tier_remove(t, e);
        return false;
    }
    while (t->main.max_bytes - t->main.bytes < e->bytes) {
        vly_memory_tier_remove(t, t->main.oldest);
        t->n_evictions++;
    }
    list_take(&t->window, e);
    e->is_in_main = true;
    list_add(&t->main, e);
    return true;
}

static vly_cache_entry *new_entry(vly_memory_tier *t, const vly_cache_entry_info *info,
                                  vly_cache_value *value)
{
    size_t bytes = sizeof(vly_cache_entry) + sizeof(*value) + HEAP_BYTES + value->len;

    if (bytes > t->max_entry_bytes || value->plain_len > t->max_entry_bytes)
        return NULL;
    vly_cache_entry *e = vly_alloc(VLY_MEM_CACHE, sizeof(*e));
    if (e != NULL)
        *e = (vly_cache_entry){.info = *info, .value = value, .bytes = bytes};
    return e;
}

/* Makes room in the window. An entry larger than the window goes on to main at once. */
static bool place(vly_memory_tier *t, vly_cache_entry *e, vly_nsec now)
{
    list_add(&t->window, e);
    if (e->bytes > t->window.max_bytes)
        return settle(t, e, now);
    while (t->window.bytes > t->window.max_bytes) {
        VLY_ASSERT(t->window.oldest != NULL); /* the last one fits */
        if (!settle(t, t->window.oldest, now))
            t->n_evictions++;
    }
    return true;
}

bool vly_memory_tier_insert(vly_memory_tier *t, const vly_cache_entry_info *info,
                            vly_cache_value *value, vly_nsec now)
{
    vly_cache_entry *old = get(t, info->key);

    if (old != NULL)
        vly_memory_tier_remove(t, old);
    vly_cache_entry *e = new_entry(t, info, value);
    if (e == NULL) {
        t->n_refused++;
        vly_cache_value_unref(value);
        return false;
    }
    vly_cache_entry **bucket = bucket_of(t, info->key);
    e->chain = *bucket;
    *bucket = e;
    t->n_entries++;
    bool is_kept = place(t, e, now);
    *(is_kept ? &t->n_insertions : &t->n_refused) += 1;
    return is_kept;
}

vly_cache_entry *vly_memory_tier_find(vly_memory_tier *t, vly_cache_key key)
{
    vly_cache_entry *e = get(t, key);

    vly_frequency_add(&t->frequency, key.hi);
    if (e == NULL)
        return NULL;
    list_take(list_of(t, e), e);
    list_add(list_of(t, e), e);
    return e;
}

size_t vly_memory_tier_sweep(vly_memory_tier *t, size_t begin, size_t n,
                             bool (*is_dead)(const void *ctx, const vly_cache_entry *e),
                             const void *ctx)
{
    size_t n_gone = 0;

    for (size_t i = begin; i < t->n_buckets && i - begin < n; i++) {
        for (vly_cache_entry *e = t->table[i], *next; e != NULL; e = next) {
            next = e->chain;
            if (!is_dead(ctx, e))
                continue;
            vly_memory_tier_remove(t, e);
            n_gone++;
        }
    }
    return n_gone;
}

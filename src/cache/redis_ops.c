/* SPDX-License-Identifier: MIT */
#include "cache/redis_internal.h"

#include "base/assert.h"
#include "base/mem.h"
#include "cache/redis_value.h"

#include <stdio.h>
#include <xxhash.h>

/* ---- names ---- */

uint64_t vly_redis_tag_id(vly_str tag)
{
    return tag.len > 0 ? XXH3_64bits(tag.ptr, tag.len) : VLY_REDIS_ALL_TAGS;
}

vly_str vly_redis_tag_name(const vly_redis *r, uint64_t id, char name[VLY_REDIS_NAME_BYTES])
{
    int n =
        snprintf(name, VLY_REDIS_NAME_BYTES, "%stag:%016llx", r->prefix, (unsigned long long)id);
    return (vly_str){name, (size_t)n};
}

static vly_str key_name(const vly_redis *r, vly_cache_key key, char name[VLY_REDIS_NAME_BYTES])
{
    int n = snprintf(name, VLY_REDIS_NAME_BYTES, "%s%016llx%016llx", r->prefix,
                     (unsigned long long)key.hi, (unsigned long long)key.lo);
    return (vly_str){name, (size_t)n};
}

void vly_redis_owe(vly_redis_queue *q, uint64_t id)
{
    for (size_t i = 0; i < q->n_owed; i++)
        if (q->owed[i] == id || q->owed[i] == VLY_REDIS_ALL_TAGS)
            return;
    if (q->n_owed == VLY_REDIS_OWED_MAX || id == VLY_REDIS_ALL_TAGS) {
        q->n_owed = 0;
        id = VLY_REDIS_ALL_TAGS;
    }
    q->owed[q->n_owed++] = id;
}

/* ---- gets ---- */

/* value.ptr NULL: a miss. */
static void end_get(vly_redis *r, vly_redis_get *g, vly_str value)
{
    pthread_mutex_lock(&r->lock);
    r->n_gets--;
    pthread_mutex_unlock(&r->lock);
    vly_counter_add(value.ptr != NULL ? &r->stats.hits : &r->stats.misses, 1);
    g->done(g, value);
}

static vly_redis_get *take_oldest(vly_redis *r)
{
    vly_redis_get *g = r->oldest;

    r->oldest = g->next;
    if (r->oldest == NULL)
        r->oldest_end = &r->oldest;
    return g;
}

/* The connection is to end. why may be the server's own words: for a log they are made printable.
 */
void vly_redis_give_up(vly_redis *r, vly_str why)
{
    if (r->why[0] != '\0')
        return;
    snprintf(r->why, sizeof(r->why), "%.*s", VLY_STR_ARG(why));
    for (char *p = r->why; *p != '\0'; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    if (r->why[0] == '\0')
        r->why[0] = '?';
}

static void malformed(vly_redis *r)
{
    vly_counter_add(&r->stats.malformed, 1);
}

/* One that nobody looks at: that a token was made or renewed, or was there before. */
static void on_kept(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    (void)ctx;
    (void)w;
    (void)reply;
}

/* A token for a tag, if it has none; one that is there lives on. It goes before the question for
 * the token: what is read then is there before the value is computed, so that no DEL in between is
 * missed. */
static bool send_token(vly_redis *r, uint64_t id, vly_str name)
{
    uint64_t token = vly_rng_mix(r->seed, ++r->n_tokens) | 1; /* not 0 */
    char ms[24];
    unsigned long long life_ms = VLY_REDIS_TOKEN_NS / VLY_NSEC_PER_MS;
    const vly_str life = {ms, (size_t)snprintf(ms, sizeof(ms), "%llu", life_ms)};
    const vly_str make[] = {VLY_STR("SET"), name,          {(const char *)&token, sizeof(token)},
                            VLY_STR("NX"),  VLY_STR("PX"), life};
    const vly_str renew[] = {VLY_STR("PEXPIRE"), name, life};
    const vly_redis_waiter w = {.on_reply = on_kept};

    if (!vly_redis_conn_send(&r->conn, w, make, VLY_COUNT(make)))
        return false;
    return !vly_redis_renewal_is_due(&r->renewals, id, vly_clock_now()) ||
           vly_redis_conn_send(&r->conn, w, renew, VLY_COUNT(renew));
}

/* The token in an item of MGET's answer; 0: there is none. */
static uint64_t token_of(vly_redis *r, const vly_redis_reply *item)
{
    uint64_t token = 0;

    if (item->type == REDIS_REPLY_STRING && item->len == sizeof(token))
        memcpy(&token, item->bytes, sizeof(token));
    else if (item->type != REDIS_REPLY_NIL)
        malformed(r);
    return token;
}

static void on_tokens(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;
    vly_redis_get *g = w->obj;

    r->get_failed =
        reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->n_items != g->tags.n;
    for (size_t i = 0; i < g->tags.n && !r->get_failed; i++)
        g->tags.tokens[i] = token_of(r, reply->items[i]);
}

static void on_ttl(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;
    vly_redis_get *g = w->obj;

    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
        r->get_failed = true;
    else
        g->ttl_ms = reply->integer > 0 ? (uint64_t)reply->integer : 0;
}

/* Whether all that the value was kept under is as it was. */
static bool is_current(const vly_redis_tags *of_value, const vly_redis_tags *now)
{
    for (size_t i = 0; i < of_value->n; i++) {
        bool is_found = false;
        for (size_t k = 0; k < now->n && !is_found; k++)
            is_found = now->ids[k] == of_value->ids[i] && now->tokens[k] != 0 &&
                       now->tokens[k] == of_value->tokens[i];
        if (!is_found)
            return false;
    }
    return of_value->n > 0;
}

/* What a get has found: none, garbage, what no longer counts, or the value. */
static vly_str found(vly_redis *r, vly_redis_get *g, const vly_redis_reply *reply)
{
    vly_redis_value v;

    if (reply->len == 0)
        return (vly_str){NULL, 0};
    if (!vly_redis_value_read(vly_redis_reply_str(reply), g->key, &v)) {
        malformed(r);
        return (vly_str){NULL, 0};
    }
    if (g->ttl_ms == 0 || !is_current(&v.tags, &g->tags))
        return (vly_str){NULL, 0};
    g->meta = v.meta;
    return v.bytes;
}

/* A Redis that is full takes no token: what is computed then cannot be kept. */
static bool has_all_tokens(const vly_redis_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        if (tags->tokens[i] == 0)
            return false;
    return true;
}

static void on_value(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;
    vly_redis_get *g = take_oldest(r);
    vly_str value = {NULL, 0};

    VLY_ASSERT(g == w->obj);
    if (reply != NULL && !r->get_failed && reply->type == REDIS_REPLY_STRING) {
        value = found(r, g, reply);
        if (!has_all_tokens(&g->tags))
            g->tags.n = 0;
        vly_histogram_record(&r->stats.get_ns, vly_clock_now() - g->begun_ns);
        vly_breaker_ok(&r->breaker);
    } else {
        g->tags.n = 0; /* not known */
        vly_counter_add(&r->stats.failures, reply != NULL);
        if (reply != NULL && vly_breaker_fail(&r->breaker, vly_clock_now()))
            vly_redis_give_up(r, reply->type == REDIS_REPLY_ERROR
                                     ? vly_redis_reply_str(reply)
                                     : VLY_STR("answers that make no sense"));
    }
    end_get(r, g, value);
}

/* SET and PEXPIRE tokens, MGET tokens, PTTL, GETRANGE: the last one never brings more than a value
 * may be long. */
static bool send_get(vly_redis *r, vly_redis_get *g)
{
    char names[VLY_REDIS_TAGS_MAX + 1][VLY_REDIS_NAME_BYTES];
    char name[VLY_REDIS_NAME_BYTES];
    char last[24];
    vly_str args[VLY_REDIS_TAGS_MAX + 2] = {VLY_STR("MGET")};
    vly_redis_waiter w = {.on_reply = on_tokens, .obj = g};

    for (size_t i = 0; i < g->tags.n; i++) {
        args[i + 1] = vly_redis_tag_name(r, g->tags.ids[i], names[i]);
        if (!send_token(r, g->tags.ids[i], args[i + 1]))
            return false;
    }
    if (!vly_redis_conn_send(&r->conn, w, args, g->tags.n + 1))
        return false;
    const vly_str key = key_name(r, g->key, name);
    const vly_str ttl_args[] = {VLY_STR("PTTL"), key};
    w.on_reply = on_ttl;
    if (!vly_redis_conn_send(&r->conn, w, ttl_args, VLY_COUNT(ttl_args)))
        return false;
    snprintf(last, sizeof(last), "%zu", r->opts.max_value_bytes + VLY_REDIS_HEADER_MAX);
    const vly_str range_args[] = {VLY_STR("GETRANGE"), key, VLY_STR("0"), vly_str_from(last)};
    w.on_reply = on_value;
    return vly_redis_conn_send(&r->conn, w, range_args, VLY_COUNT(range_args));
}

void vly_redis_start_get(vly_redis *r, vly_redis_get *g)
{
    if (r->state != VLY_REDIS_ON || r->why[0] != '\0') {
        end_get(r, g, (vly_str){NULL, 0});
        return;
    }
    g->next = NULL;
    *r->oldest_end = g;
    r->oldest_end = &g->next;
    if (!send_get(r, g)) /* half of it may be under way: go_off ends it */
        vly_redis_give_up(r, VLY_STR("out of memory"));
}

void vly_redis_end_gets(vly_redis *r)
{
    while (r->oldest != NULL)
        end_get(r, take_oldest(r), (vly_str){NULL, 0});
}

/* ---- sets ---- */

typedef enum set_end { STORED, REFUSED, UNKNOWN } set_end;

static void end_set(vly_redis *r, vly_redis_set_op *op, set_end end)
{
    pthread_mutex_lock(&r->lock);
    r->n_sets--;
    r->out_bytes -= op->len;
    if (end == STORED)
        vly_breaker_ok(&r->store_breaker);
    else if (end == REFUSED || r->store_breaker.state == VLY_BREAKER_PROBING)
        vly_breaker_fail(&r->store_breaker, vly_clock_now());
    int64_t is_paused = r->store_breaker.state != VLY_BREAKER_CLOSED;
    vly_gauge_add(&r->stats.is_store_paused, is_paused - vly_gauge_get(&r->stats.is_store_paused));
    pthread_mutex_unlock(&r->lock);
    vly_counter_add(&r->stats.sets_failed, end != STORED);
    vly_free(op);
}

static void on_stored(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    bool is_stored = reply != NULL && reply->type == REDIS_REPLY_STATUS;

    end_set(ctx, w->obj, is_stored ? STORED : reply != NULL ? REFUSED : UNKNOWN);
}

void vly_redis_start_set(vly_redis *r, vly_redis_set_op *op)
{
    char name[VLY_REDIS_NAME_BYTES];
    char ttl[24];
    const vly_redis_waiter w = {.on_reply = on_stored, .obj = op};

    snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)op->ttl_ms);
    const vly_str args[] = {VLY_STR("SET"),
                            key_name(r, op->key, name),
                            {op->raw, op->len},
                            VLY_STR("PX"),
                            vly_str_from(ttl)};
    if (r->state != VLY_REDIS_ON || !vly_redis_conn_send(&r->conn, w, args, VLY_COUNT(args)))
        end_set(r, op, UNKNOWN);
}

/* ---- invalidations ---- */

static void owe_again(vly_redis *r, uint64_t id)
{
    pthread_mutex_lock(&r->lock);
    vly_redis_owe(&r->in, id);
    pthread_mutex_unlock(&r->lock);
}

static void on_invalidated(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;

    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        return;
    owe_again(r, w->number);
    if (reply != NULL) /* what should be gone is still there: better not ask */
        vly_redis_give_up(r, reply->type == REDIS_REPLY_ERROR ? vly_redis_reply_str(reply)
                                                              : VLY_STR("an invalidation failed"));
}

static void invalidate(vly_redis *r, uint64_t id)
{
    char name[VLY_REDIS_NAME_BYTES];
    const vly_str args[] = {VLY_STR("DEL"), vly_redis_tag_name(r, id, name)};
    const vly_redis_waiter w = {.on_reply = on_invalidated, .number = id};

    if (!vly_redis_conn_send(&r->conn, w, args, VLY_COUNT(args))) {
        owe_again(r, id);
        vly_redis_give_up(r, VLY_STR("too many commands are under way"));
    }
}

void vly_redis_send_owed(vly_redis *r)
{
    uint64_t owed[VLY_REDIS_OWED_MAX];
    size_t n;

    pthread_mutex_lock(&r->lock);
    n = r->in.n_owed;
    memcpy(owed, r->in.owed, n * sizeof(*owed));
    r->in.n_owed = 0;
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < n; i++)
        invalidate(r, owed[i]);
}

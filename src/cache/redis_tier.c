/* SPDX-License-Identifier: MIT */
/*
 * The thread waits for its socket and for `wake` in one poll.
 *
 *     OFF --the breaker lets it try--> GREETING --the probe is answered--> ON
 *      ^                                  |                                |
 *      +---- lost, too late, refused, nonsense, too many errors in a row --+
 *
 * GREETING: connect, AUTH, SELECT, what is owed of invalidations, then a read as gets do it.
 *
 * Whether gets are refused is decided under the lock under which they are queued: so none is queued
 * while the circuit is open, and none waits for a connection.
 */
#include "cache/redis_tier.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cache/redis_internal.h"
#include "cache/redis_value.h"
#include "sys/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define PASSWORD_MAX VLY_REDIS_TEXT_MAX
#define REPLY_SLACK  ((size_t)65536)

const vly_redis_stats *vly_redis_get_stats(const vly_redis *r)
{
    return &r->stats;
}

/* ---- what is asked for ---- */

static void queue_init(vly_redis_queue *q)
{
    q->gets = NULL;
    q->gets_end = &q->gets;
    q->sets = NULL;
    q->sets_end = &q->sets;
    q->n_owed = 0;
}

static void wake(const vly_redis *r)
{
    eventfd_write(r->wake, 1);
}

/* Under the lock, before something is queued: who finds a queue empty wakes the thread. */
static void wake_if_empty(const vly_redis *r)
{
    if (r->in.gets == NULL && r->in.sets == NULL)
        wake(r);
}

bool vly_redis_ask(vly_redis *r, vly_redis_get *g, const vly_str *tags, size_t n_tags)
{
    VLY_ASSERT(n_tags <= VLY_REDIS_TAGS_MAX);
    g->tags = (vly_redis_tags){.n = n_tags + 1, .ids = {VLY_REDIS_ALL_TAGS}};
    for (size_t i = 0; i < n_tags; i++)
        g->tags.ids[i + 1] = vly_redis_tag_id(tags[i]);
    g->next = NULL;
    g->ttl_ms = 0;
    g->begun_ns = vly_clock_now();
    vly_counter_add(&r->stats.gets, 1);
    pthread_mutex_lock(&r->lock);
    bool is_refused = r->is_open || r->n_gets == r->opts.max_waiting;
    if (!is_refused) {
        wake_if_empty(r);
        r->n_gets++;
        *r->in.gets_end = g;
        r->in.gets_end = &g->next;
    }
    pthread_mutex_unlock(&r->lock);
    vly_counter_add(&r->stats.refused, is_refused);
    return !is_refused;
}

static bool are_known(const vly_redis_tags *tags)
{
    for (size_t i = 0; i < tags->n; i++)
        if (tags->tokens[i] == 0)
            return false;
    return tags->n > 0;
}

static vly_redis_set_op *new_set(vly_cache_key key, const vly_redis_tags *tags, vly_str bytes,
                                 uint32_t meta, uint64_t ttl_ms)
{
    const vly_redis_value v = {
        .tags = *tags, .meta = meta, .stored_ms = vly_clock_unix_ms(), .bytes = bytes};
    vly_redis_set_op *op = vly_alloc(VLY_MEM_CACHE, sizeof(*op) + VLY_REDIS_HEADER_MAX + bytes.len);

    if (op == NULL)
        return NULL;
    *op = (vly_redis_set_op){.key = key, .ttl_ms = ttl_ms};
    op->len = vly_redis_value_write(&v, key, op->raw);
    return op;
}

/* Under the lock. The breaker comes last: who is let through is sent. */
static bool may_store(vly_redis *r, size_t len)
{
    return !r->is_open && r->n_sets < r->opts.max_waiting &&
           len <= r->opts.max_out_bytes - r->out_bytes &&
           vly_breaker_try(&r->store_breaker, vly_clock_now());
}

bool vly_redis_store(vly_redis *r, vly_cache_key key, const vly_redis_tags *tags, vly_str bytes,
                     uint32_t meta, uint64_t ttl_ms)
{
    vly_redis_set_op *op = NULL;
    bool is_taken = false;

    if (are_known(tags) && ttl_ms > 0 && bytes.len <= r->opts.max_value_bytes &&
        vly_gauge_get(&r->stats.is_open) == 0)
        op = new_set(key, tags, bytes, meta, ttl_ms);
    if (op != NULL) {
        pthread_mutex_lock(&r->lock);
        is_taken = may_store(r, op->len);
        if (is_taken) {
            wake_if_empty(r);
            r->n_sets++;
            r->out_bytes += op->len;
            *r->in.sets_end = op;
            r->in.sets_end = &op->next;
        }
        pthread_mutex_unlock(&r->lock);
    }
    vly_counter_add(is_taken ? &r->stats.sets : &r->stats.sets_dropped, 1);
    if (!is_taken)
        vly_free(op);
    return is_taken;
}

void vly_redis_invalidate(vly_redis *r, vly_str tag)
{
    vly_counter_add(&r->stats.invalidations, 1);
    pthread_mutex_lock(&r->lock);
    vly_redis_owe(&r->in, vly_redis_tag_id(tag));
    wake(r);
    pthread_mutex_unlock(&r->lock);
}

/* ---- connections ---- */

static void set_refusing(vly_redis *r, bool is_open)
{
    pthread_mutex_lock(&r->lock);
    if (r->is_open != is_open)
        vly_gauge_add(&r->stats.is_open, is_open ? 1 : -1);
    r->is_open = is_open;
    pthread_mutex_unlock(&r->lock);
}

/* Starts what was queued, or ends it where there is no connection: gets first, for somebody waits
 * for them. False: it is time to stop. */
static bool take_queue(vly_redis *r)
{
    vly_redis_get *gets, *next_get;
    vly_redis_set_op *sets, *next_set;

    pthread_mutex_lock(&r->lock);
    bool is_stopping = r->is_stopping;
    gets = r->in.gets;
    sets = r->in.sets;
    r->in.gets = NULL;
    r->in.gets_end = &r->in.gets;
    r->in.sets = NULL;
    r->in.sets_end = &r->in.sets;
    pthread_mutex_unlock(&r->lock);
    if (r->state == VLY_REDIS_ON)
        vly_redis_send_owed(r); /* before the gets that were asked for later */
    for (vly_redis_get *g = gets; g != NULL; g = next_get) {
        next_get = g->next;
        vly_redis_start_get(r, g);
    }
    for (vly_redis_set_op *op = sets; op != NULL; op = next_set) {
        next_set = op->next;
        vly_redis_start_set(r, op);
    }
    return !is_stopping;
}

/* Opens the circuit: whoever waits has a miss. */
static void go_off(vly_redis *r)
{
    vly_counter_add(&r->stats.openings, r->state == VLY_REDIS_ON);
    vly_counter_add(&r->stats.failures, 1);
    r->state = VLY_REDIS_OFF;
    if (r->breaker.state != VLY_BREAKER_OPEN)
        vly_breaker_trip(&r->breaker, vly_clock_now());
    set_refusing(r, true);
    vly_redis_conn_close(&r->conn);
    memset(&r->renewals, 0, sizeof(r->renewals)); /* some may have been under way */
    vly_redis_end_gets(r);
    take_queue(r);
    if (!r->is_quiet && r->opts.on_state != NULL)
        r->opts.on_state(r->opts.ctx, false, r->why);
    r->is_quiet = true;
    r->why[0] = '\0';
}

static void on_greeted(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;

    (void)w;
    if (reply != NULL && reply->type != REDIS_REPLY_STATUS)
        vly_redis_give_up(r, reply->type == REDIS_REPLY_ERROR ? vly_redis_reply_str(reply)
                                                              : VLY_STR("it greets unlike Redis"));
}

static void on_probed(void *ctx, const vly_redis_waiter *w, const vly_redis_reply *reply)
{
    vly_redis *r = ctx;

    (void)w;
    if (reply == NULL || r->why[0] != '\0')
        return;
    if (reply->type != REDIS_REPLY_ARRAY) {
        vly_redis_give_up(r, reply->type == REDIS_REPLY_ERROR ? vly_redis_reply_str(reply)
                                                              : VLY_STR("it answers unlike Redis"));
        return;
    }
    r->state = VLY_REDIS_ON;
    r->is_quiet = false;
    vly_breaker_ok(&r->breaker);
    vly_counter_add(&r->stats.connects, 1);
    vly_redis_send_owed(r); /* what has come meanwhile */
    set_refusing(r, false);
    if (r->opts.on_state != NULL)
        r->opts.on_state(r->opts.ctx, true, "");
}

static bool greet(vly_redis *r, const vly_str *args, size_t n)
{
    return vly_redis_conn_send(&r->conn, (vly_redis_waiter){.on_reply = on_greeted}, args, n);
}

static bool send_login(vly_redis *r)
{
    const vly_redis_url *u = &r->url;
    vly_str args[3] = {VLY_STR("AUTH")};
    size_t n = 1;

    if (u->password[0] == '\0')
        return true;
    if (u->user[0] != '\0')
        args[n++] = vly_str_from(u->user);
    args[n++] = vly_str_from(u->password);
    return greet(r, args, n);
}

static bool send_select(vly_redis *r)
{
    char db[16];
    const vly_str args[] = {VLY_STR("SELECT"),
                            {db, (size_t)snprintf(db, sizeof(db), "%d", r->url.db)}};

    return r->url.db == 0 || greet(r, args, VLY_COUNT(args));
}

static bool send_probe(vly_redis *r)
{
    char name[VLY_REDIS_NAME_BYTES];
    const vly_str args[] = {VLY_STR("MGET"), vly_redis_tag_name(r, VLY_REDIS_ALL_TAGS, name)};

    return vly_redis_conn_send(&r->conn, (vly_redis_waiter){.on_reply = on_probed}, args,
                               VLY_COUNT(args));
}

static void begin(vly_redis *r)
{
    vly_err err;

    r->state = VLY_REDIS_GREETING;
    r->deadline_ns = vly_clock_now() + r->opts.connect_ms * VLY_NSEC_PER_MS;
    if (vly_redis_conn_open(&r->conn, &r->url, &err) != VLY_OK) {
        vly_redis_give_up(r, vly_str_from(err.msg));
        return;
    }
    if (!send_login(r) || !send_select(r))
        vly_redis_give_up(r, VLY_STR("out of memory"));
    vly_redis_send_owed(r);
    if (!send_probe(r))
        vly_redis_give_up(r, VLY_STR("out of memory"));
}

/* ---- the thread ---- */

/* When something is over that has not come. */
static vly_nsec next_due(const vly_redis *r)
{
    if (r->state == VLY_REDIS_OFF)
        return r->breaker.state == VLY_BREAKER_OPEN ? r->breaker.retry_ns : 0;
    if (r->state == VLY_REDIS_GREETING)
        return r->deadline_ns;
    return r->oldest != NULL ? r->oldest->begun_ns + r->opts.timeout_ms * VLY_NSEC_PER_MS
                             : UINT64_MAX;
}

static int wait_ms(const vly_redis *r)
{
    vly_nsec now = vly_clock_now();
    vly_nsec due = next_due(r);

    if (due == UINT64_MAX)
        return -1;
    return due > now ? (int)((due - now) / VLY_NSEC_PER_MS) + 1 : 0;
}

static void check_time(vly_redis *r)
{
    vly_nsec now = vly_clock_now();

    if (now < next_due(r))
        return;
    if (r->state == VLY_REDIS_OFF && vly_breaker_try(&r->breaker, now)) {
        begin(r);
    } else if (r->state != VLY_REDIS_OFF) {
        vly_counter_add(&r->stats.timeouts, 1);
        vly_redis_give_up(r, VLY_STR("no answer in time"));
    }
}

static void serve_conn(vly_redis *r, short events)
{
    vly_err err;
    vly_status st = vly_redis_conn_serve(&r->conn, events, &err);

    if (st == VLY_EFORMAT)
        vly_counter_add(&r->stats.malformed, 1);
    if (st != VLY_OK)
        vly_redis_give_up(r, vly_str_from(err.msg));
}

static void turn(vly_redis *r, short events)
{
    if (r->conn.redis != NULL)
        serve_conn(r, events);
    if (r->why[0] == '\0')
        check_time(r);
    if (r->why[0] != '\0')
        go_off(r);
}

static void *run(void *arg)
{
    vly_redis *r = arg;
    bool is_running = true;

    while (is_running) {
        struct pollfd fds[] = {
            {.fd = r->wake, .events = POLLIN},
            {.fd = vly_redis_conn_fd(&r->conn), .events = vly_redis_conn_events(&r->conn)}};
        eventfd_t unused;
        if (poll(fds, VLY_COUNT(fds), wait_ms(r)) < 0)
            continue; /* a signal */
        if (fds[0].revents != 0)
            eventfd_read(r->wake, &unused);
        is_running = take_queue(r);
        turn(r, fds[1].revents);
    }
    vly_redis_give_up(r, VLY_STR("it is to end"));
    r->is_quiet = true;
    go_off(r);
    return NULL;
}

/* ---- begin and end ---- */

static vly_status read_password(vly_redis *r, vly_err *err)
{
    const char *path = r->opts.password_file;
    vly_buf text;

    if (path == NULL || path[0] == '\0')
        return VLY_OK;
    vly_buf_init(&text, VLY_MEM_CACHE, PASSWORD_MAX + 2);
    if (!vly_buf_reserve(&text, PASSWORD_MAX + 1)) /* at once: growing would leave copies behind */
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    vly_status st = vly_file_read(path, PASSWORD_MAX, &text, err);
    vly_str rest = vly_buf_str(&text);
    if (st == VLY_OK) {
        vly_str line = vly_str_trim(vly_str_split(&rest, '\n'));
        snprintf(r->url.password, sizeof(r->url.password), "%.*s", VLY_STR_ARG(line));
    }
    if (text.ptr != NULL)
        explicit_bzero(text.ptr, text.cap);
    vly_buf_release(&text);
    return st;
}

static vly_status check_opts(vly_redis *r, vly_err *err)
{
    size_t n_prefix = strlen(r->opts.prefix);
    vly_status st = vly_redis_parse_url(vly_str_from(r->opts.url), &r->url, err);

    if (st == VLY_OK && n_prefix > VLY_REDIS_PREFIX_MAX)
        return vly_fail(err, VLY_EINVAL, "prefix: expected at most %d bytes, got %zu",
                        VLY_REDIS_PREFIX_MAX, n_prefix);
    if (st == VLY_OK)
        memcpy(r->prefix, r->opts.prefix, n_prefix + 1);
    return st == VLY_OK ? read_password(r, err) : st;
}

static uint64_t random_seed(const vly_redis *r)
{
    uint64_t seed = vly_clock_unix_ms() ^ (uint64_t)(uintptr_t)r;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
        return vly_rng_mix(seed, (uint64_t)getpid());
    return seed;
}

static void init_breakers(vly_redis *r)
{
    const vly_redis_opts *o = &r->opts;
    vly_nsec min_ns = o->retry_min_ms * VLY_NSEC_PER_MS;
    vly_nsec max_ns = o->retry_max_ms * VLY_NSEC_PER_MS;

    if (max_ns < min_ns)
        max_ns = min_ns;
    vly_breaker_init(&r->breaker, o->max_failures, min_ns, max_ns, r->seed);
    vly_breaker_init(&r->store_breaker, o->max_failures, min_ns, max_ns, r->seed + 1);
}

/* All signals are for others. */
static vly_status start_thread(vly_redis *r, vly_err *err)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int code = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (code != 0)
        return vly_fail(err, VLY_EIO, "cannot start a thread: %s", strerror(code));
    r->has_thread = true;
    return VLY_OK;
}

static vly_status start(vly_redis *r, vly_err *err)
{
    const vly_redis_opts *o = &r->opts;
    size_t n_replies = o->max_waiting * (VLY_REDIS_REPLIES_OF_GET + 1) + VLY_REDIS_OWED_MAX + 8;

    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake < 0)
        return vly_fail(err, VLY_EIO, "eventfd: %s", strerror(errno));
    if (!vly_redis_conn_init(&r->conn, n_replies,
                             o->max_value_bytes + VLY_REDIS_HEADER_MAX + REPLY_SLACK, r))
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    vly_status st = check_opts(r, err);
    return st == VLY_OK ? start_thread(r, err) : st;
}

vly_status vly_redis_new(const vly_redis_opts *opts, vly_redis **ret, vly_err *err)
{
    vly_redis *r = vly_calloc(VLY_MEM_CACHE, 1, sizeof(*r));

    if (r == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    r->opts = *opts;
    r->wake = -1;
    r->is_open = true;
    vly_gauge_add(&r->stats.is_open, 1);
    r->seed = random_seed(r);
    r->oldest_end = &r->oldest;
    queue_init(&r->in);
    init_breakers(r);
    pthread_mutex_init(&r->lock, NULL);
    vly_status st = start(r, err);
    if (st != VLY_OK) {
        vly_redis_free(r);
        return st;
    }
    *ret = r;
    return VLY_OK;
}

void vly_redis_free(vly_redis *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->is_stopping = true;
    pthread_mutex_unlock(&r->lock);
    if (r->has_thread) {
        wake(r);
        pthread_join(r->thread, NULL);
    }
    if (r->wake >= 0)
        close(r->wake);
    vly_redis_conn_release(&r->conn);
    pthread_mutex_destroy(&r->lock);
    explicit_bzero(&r->url, sizeof(r->url));
    vly_free(r);
}

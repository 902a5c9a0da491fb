/* SPDX-License-Identifier: MIT */
/* The Redis tier against a real redis-server, well and unwell, and against one that is none. */
#include "base/assert.h"
#include "base/mem.h"
#include "cache/redis_internal.h"
#include "support/redis_process.h"
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 60
#define LONG_MS    60000
#define VALUE_MAX  ((size_t)1 << 20)

/* ---- waiting for the tier ---- */

typedef struct watcher {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_on;
    unsigned n_on, n_off;
    char why[256];
    char *value; /* of the last get; NULL: a miss */
    size_t len;
    unsigned n_done;
} watcher;

static void on_state(void *ctx, bool is_on, const char *why)
{
    watcher *w = ctx;

    pthread_mutex_lock(&w->lock);
    w->is_on = is_on;
    w->n_on += is_on;
    w->n_off += !is_on;
    if (!is_on)
        snprintf(w->why, sizeof(w->why), "%s", why);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static void on_done(vly_redis_get *g, vly_str value)
{
    watcher *w = g->ctx;

    pthread_mutex_lock(&w->lock);
    vly_free(w->value);
    w->value = value.ptr != NULL ? vly_strndup(VLY_MEM_BASE, value.ptr, value.len) : NULL;
    w->len = value.len;
    w->n_done++;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Until *count (guarded by w->lock) has reached n. */
static void wait_for(watcher *w, const unsigned *count, unsigned n)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&w->lock);
    while (*count < n)
        assert_int_equal(pthread_cond_timedwait(&w->changed, &w->lock, &end), 0);
    pthread_mutex_unlock(&w->lock);
}

/* ---- a tier, its watcher and its Redis ---- */

typedef struct bench {
    redis_process redis;
    watcher watcher;
    vly_redis *tier;
} bench;

static void watcher_init(watcher *w)
{
    memset(w, 0, sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
}

static vly_redis_opts options(watcher *w, const char *url)
{
    return (vly_redis_opts){.url = url,
                            .prefix = "test:",
                            .connect_ms = 1000,
                            .timeout_ms = LONG_MS,
                            .max_failures = 3,
                            .retry_min_ms = 10,
                            .retry_max_ms = 100,
                            .max_waiting = 64,
                            .max_value_bytes = VALUE_MAX,
                            .max_out_bytes = 8 * VALUE_MAX,
                            .on_state = on_state,
                            .ctx = w};
}

static vly_redis *new_tier(const vly_redis_opts *opts)
{
    vly_redis *tier;
    vly_err err = VLY_ERR_INIT;

    if (vly_redis_new(opts, &tier, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    return tier;
}

static void begin_with(bench *b, unsigned timeout_ms)
{
    if (!redis_is_there()) {
        print_message("no redis-server\n");
        skip();
    }
    redis_init(&b->redis);
    redis_start(&b->redis, NULL, NULL);
    watcher_init(&b->watcher);
    vly_redis_opts opts = options(&b->watcher, b->redis.url);
    opts.timeout_ms = timeout_ms;
    b->tier = new_tier(&opts);
    wait_for(&b->watcher, &b->watcher.n_on, 1);
}

static void begin(bench *b)
{
    begin_with(b, LONG_MS);
}

static void end(bench *b)
{
    vly_redis_free(b->tier);
    vly_free(b->watcher.value);
    redis_release(&b->redis);
}

/* Asks and waits. True: something was found, and is in w->value. */
static bool get(vly_redis *tier, watcher *w, vly_redis_get *g, uint64_t key, const char *tag)
{
    const vly_str tags[] = {vly_str_from(tag)};
    unsigned n = w->n_done;

    *g = (vly_redis_get){.key = {.lo = key, .hi = 9}, .ctx = w, .done = on_done};
    assert_true(vly_redis_ask(tier, g, tags, 1));
    wait_for(w, &w->n_done, n + 1);
    return w->value != NULL;
}

/* Gets go before the values that wait with them: so another get, and the value is on its way before
 * the one after. */
static void store(bench *b, const vly_redis_get *g, vly_str bytes)
{
    vly_redis_get between;

    vly_redis_store(b->tier, g->key, &g->tags, bytes, 7, LONG_MS);
    get(b->tier, &b->watcher, &between, UINT64_MAX, "model:between");
}

static uint64_t count(const vly_counter *c)
{
    return vly_counter_get(c);
}

/* ---- well ---- */

static void servers_share_values(void **state)
{
    bench b;
    vly_redis_get g;
    watcher other_watcher;

    (void)state;
    begin(&b);
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    store(&b, &g, VLY_STR("computed once"));
    watcher_init(&other_watcher);
    vly_redis_opts opts = options(&other_watcher, b.redis.url);
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m")); /* so it has arrived */
    vly_redis *other = new_tier(&opts);
    wait_for(&other_watcher, &other_watcher.n_on, 1);
    assert_true(get(other, &other_watcher, &g, 1, "model:m"));
    assert_int_equal(other_watcher.len, 13);
    assert_memory_equal(other_watcher.value, "computed once", 13);
    assert_int_equal(g.meta, 7);
    assert_in_range(g.ttl_ms, 1, LONG_MS);
    const vly_redis_stats *s = vly_redis_get_stats(other);
    assert_int_equal(count(&s->gets), 1);
    assert_int_equal(count(&s->hits), 1);
    assert_int_equal(vly_histogram_count(&s->get_ns), 1);
    vly_redis_free(other);
    vly_free(other_watcher.value);
    end(&b);
}

static void values_of_any_length_come_back(void **state)
{
    static char bytes[VALUE_MAX + 1];
    const size_t lens[] = {0, 1, 16384, VALUE_MAX};
    bench b;
    vly_redis_get g;

    (void)state;
    begin(&b);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7 % 251);
    for (size_t i = 0; i < VLY_COUNT(lens); i++) {
        assert_false(get(b.tier, &b.watcher, &g, i, "model:m"));
        store(&b, &g, (vly_str){bytes, lens[i]});
        assert_true(get(b.tier, &b.watcher, &g, i, "model:m"));
        assert_int_equal(b.watcher.len, lens[i]);
        assert_memory_equal(b.watcher.value, bytes, lens[i]);
    }
    assert_false(get(b.tier, &b.watcher, &g, 77, "model:m"));
    store(&b, &g, (vly_str){bytes, VALUE_MAX + 1});
    assert_false(get(b.tier, &b.watcher, &g, 77, "model:m"));
    assert_int_equal(count(&vly_redis_get_stats(b.tier)->sets_dropped), 1);
    end(&b);
}

static void what_is_invalidated_is_not_found(void **state)
{
    bench b;
    vly_redis_get one, two;

    (void)state;
    begin(&b);
    get(b.tier, &b.watcher, &one, 1, "model:one");
    store(&b, &one, VLY_STR("1"));
    get(b.tier, &b.watcher, &two, 2, "model:two");
    store(&b, &two, VLY_STR("2"));
    assert_true(get(b.tier, &b.watcher, &one, 1, "model:one"));
    vly_redis_invalidate(b.tier, VLY_STR("model:one"));
    assert_false(get(b.tier, &b.watcher, &one, 1, "model:one"));
    assert_true(get(b.tier, &b.watcher, &two, 2, "model:two"));
    store(&b, &one, VLY_STR("new"));
    assert_true(get(b.tier, &b.watcher, &one, 1, "model:one"));
    vly_redis_invalidate(b.tier, VLY_STR(""));
    assert_false(get(b.tier, &b.watcher, &one, 1, "model:one"));
    assert_false(get(b.tier, &b.watcher, &two, 2, "model:two"));
    end(&b);
}

/* One server computes while another invalidates: what the first then stores is from before. */
static void what_was_computed_before_does_not_count(void **state)
{
    bench b;
    vly_redis_get g, again;
    watcher other_watcher;

    (void)state;
    begin(&b);
    watcher_init(&other_watcher);
    vly_redis_opts opts = options(&other_watcher, b.redis.url);
    vly_redis *other = new_tier(&opts);
    wait_for(&other_watcher, &other_watcher.n_on, 1);
    for (uint64_t round = 0; round < 2; round++) { /* the tag is new, the tag has a token */
        assert_false(get(b.tier, &b.watcher, &g, round, "source:a"));
        vly_redis_invalidate(other, VLY_STR("source:a"));
        get(other, &other_watcher, &again, 99, "source:a"); /* so it has arrived */
        store(&b, &g, VLY_STR("from before"));
        assert_false(get(b.tier, &b.watcher, &again, round, "source:a"));
        store(&b, &again, VLY_STR("from after"));
        assert_true(get(b.tier, &b.watcher, &again, round, "source:a"));
    }
    vly_redis_free(other);
    vly_free(other_watcher.value);
    end(&b);
}

/* What a process uses first it renews: here a token with a minute left. */
static void tokens_live_on(void **state)
{
    const vly_str tags[] = {VLY_STR("model:m"), VLY_STR("")};
    char command[128], name[VLY_REDIS_NAME_BYTES];
    bench b;
    vly_redis_get g;

    (void)state;
    begin(&b);
    get(b.tier, &b.watcher, &g, 1, "model:m");
    store(&b, &g, VLY_STR("x"));
    vly_redis_free(b.tier);
    for (size_t i = 0; i < VLY_COUNT(tags); i++) {
        vly_redis_tag_name(&(vly_redis){.prefix = "test:"}, vly_redis_tag_id(tags[i]), name);
        snprintf(command, sizeof(command), "PEXPIRE %s %d", name, LONG_MS);
        assert_int_equal(redis_number(&b.redis, command), 1);
    }
    vly_redis_opts opts = options(&b.watcher, b.redis.url);
    b.tier = new_tier(&opts);
    wait_for(&b.watcher, &b.watcher.n_on, 2);
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m")); /* by the same tokens */
    for (size_t i = 0; i < VLY_COUNT(tags); i++) {
        vly_redis_tag_name(&(vly_redis){.prefix = "test:"}, vly_redis_tag_id(tags[i]), name);
        snprintf(command, sizeof(command), "PTTL %s", name);
        assert_true(redis_number(&b.redis, command) > (long long)LONG_MS * 60 * 18);
    }
    end(&b);
}

/* With a value somebody else's: hundred of bytes that are none of ours, or another type. */
static void garbage_under_our_keys_is_a_miss(void **state)
{
    bench b;
    vly_redis_get g;

    (void)state;
    begin(&b);
    const vly_redis_stats *s = vly_redis_get_stats(b.tier);
    assert_true(redis_do(&b.redis, "SET test:00000000000000090000000000000001 garbage PX 60000"));
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    assert_int_equal(count(&s->malformed), 1);
    assert_true(redis_do(&b.redis, "SETRANGE test:00000000000000090000000000000002 3000000 x"));
    assert_false(get(b.tier, &b.watcher, &g, 2, "model:m"));
    assert_int_equal(count(&s->malformed), 2);
    assert_int_equal(count(&s->failures), 0); /* the long one was not read to its end */
    assert_true(redis_do(&b.redis, "RPUSH test:00000000000000090000000000000003 x"));
    assert_false(get(b.tier, &b.watcher, &g, 3, "model:m"));
    assert_int_equal(count(&s->failures), 1);
    assert_int_equal(vly_gauge_get(&s->is_open), 0);
    end(&b);
}

static void logs_in_and_selects(void **state)
{
    char url[256];
    bench b;
    vly_redis_get g;

    (void)state;
    if (!redis_is_there())
        skip();
    redis_init(&b.redis);
    redis_start(&b.redis, "requirepass", "secret");
    watcher_init(&b.watcher);
    snprintf(url, sizeof(url), "unix://:secret@%s?db=3", b.redis.socket);
    vly_redis_opts opts = options(&b.watcher, url);
    b.tier = new_tier(&opts);
    wait_for(&b.watcher, &b.watcher.n_on, 1);
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    vly_redis_free(b.tier);
    snprintf(url, sizeof(url), "unix://:wrong@%s", b.redis.socket);
    opts.url = url;
    b.tier = new_tier(&opts);
    wait_for(&b.watcher, &b.watcher.n_off, 1);
    assert_non_null(strstr(b.watcher.why, "WRONGPASS"));
    assert_int_equal(count(&vly_redis_get_stats(b.tier)->connects), 0);
    end(&b);
}

/* ---- unwell ---- */

static void killed_and_restarted(void **state)
{
    bench b;
    vly_redis_get g;
    unsigned n;

    (void)state;
    begin(&b);
    const vly_redis_stats *s = vly_redis_get_stats(b.tier);
    redis_kill(&b.redis);
    wait_for(&b.watcher, &b.watcher.n_off, 1);
    assert_int_equal(vly_gauge_get(&s->is_open), 1);
    n = b.watcher.n_done;
    g = (vly_redis_get){.ctx = &b.watcher, .done = on_done};
    assert_false(vly_redis_ask(b.tier, &g, NULL, 0));
    assert_int_equal(b.watcher.n_done, n);
    assert_int_equal(count(&s->refused), 1);
    vly_redis_store(b.tier, g.key, &g.tags, VLY_STR("x"), 0, LONG_MS);
    assert_int_equal(count(&s->sets_dropped), 1);
    redis_start(&b.redis, NULL, NULL);
    wait_for(&b.watcher, &b.watcher.n_on, 2);
    assert_int_equal(b.watcher.n_off, 1); /* told once, however many attempts have failed */
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    store(&b, &g, VLY_STR("x"));
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m"));
    assert_int_equal(count(&s->openings), 1);
    assert_int_equal(count(&s->connects), 2);
    end(&b);
}

/* All that wait when the first is late have a miss together; nobody waits after them. What was to
 * be invalidated meanwhile is, before anything is found again. */
static void stopped_and_continued(void **state)
{
    vly_redis_get g, waiting[20], late;
    bench b;

    (void)state;
    begin_with(&b, 50);
    const vly_redis_stats *s = vly_redis_get_stats(b.tier);
    get(b.tier, &b.watcher, &g, 1, "model:m");
    store(&b, &g, VLY_STR("old"));
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m"));
    redis_signal(&b.redis, SIGSTOP);
    unsigned n = b.watcher.n_done;
    unsigned n_taken = 0;
    for (size_t i = 0; i < VLY_COUNT(waiting); i++) {
        waiting[i] = (vly_redis_get){.key = {.lo = i}, .ctx = &b.watcher, .done = on_done};
        n_taken += vly_redis_ask(b.tier, &waiting[i], NULL, 0);
    }
    assert_true(n_taken > 0);
    wait_for(&b.watcher, &b.watcher.n_off, 1);
    wait_for(&b.watcher, &b.watcher.n_done, n + n_taken);
    assert_null(b.watcher.value);
    assert_int_equal(vly_gauge_get(&s->is_open), 1);
    assert_true(count(&s->timeouts) >= 1);
    late = (vly_redis_get){.ctx = &b.watcher, .done = on_done};
    assert_false(vly_redis_ask(b.tier, &late, NULL, 0));
    vly_redis_invalidate(b.tier, VLY_STR("model:m"));
    redis_signal(&b.redis, SIGCONT);
    wait_for(&b.watcher, &b.watcher.n_on, 2);
    while (vly_gauge_get(&s->is_open) == 1) /* it may take more than one attempt to stay */
        wait_for(&b.watcher, &b.watcher.n_on, b.watcher.n_on + 1);
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    assert_int_equal(count(&s->openings), 1);
    end(&b);
}

static void full(void **state)
{
    static char bytes[64 * 1024];
    bench b;
    vly_redis_get g;

    (void)state;
    begin(&b);
    const vly_redis_stats *s = vly_redis_get_stats(b.tier);
    get(b.tier, &b.watcher, &g, 1, "model:m");
    store(&b, &g, VLY_STR("kept"));
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m"));
    assert_true(redis_do(&b.redis, "CONFIG SET maxmemory-policy noeviction"));
    assert_true(redis_do(&b.redis, "CONFIG SET maxmemory 1"));
    for (uint64_t key = 100; vly_gauge_get(&s->is_store_paused) == 0; key++) {
        assert_true(key < 200);
        assert_false(get(b.tier, &b.watcher, &g, key, "model:m"));
        store(&b, &g, (vly_str){bytes, sizeof(bytes)});
    }
    assert_int_equal(count(&s->sets_failed), 3);
    assert_int_equal(count(&s->openings), 0);
    assert_true(get(b.tier, &b.watcher, &g, 1, "model:m")); /* gets go on */
    vly_redis_invalidate(b.tier, VLY_STR("model:m"));       /* and so does this */
    assert_false(get(b.tier, &b.watcher, &g, 1, "model:m"));
    assert_int_equal(vly_gauge_get(&s->is_open), 0);
    assert_true(redis_do(&b.redis, "CONFIG SET maxmemory 0"));
    for (uint64_t key = 300; vly_gauge_get(&s->is_store_paused) == 1; key++) {
        get(b.tier, &b.watcher, &g, key, "model:m");
        store(&b, &g, VLY_STR("x"));
    }
    assert_false(get(b.tier, &b.watcher, &g, 9999, "model:m"));
    store(&b, &g, VLY_STR("y"));
    assert_true(get(b.tier, &b.watcher, &g, 9999, "model:m"));
    end(&b);
}

static void queue_is_bounded(void **state)
{
    vly_redis_get g[3];
    watcher w;
    bench b;

    (void)state;
    begin(&b);
    watcher_init(&w);
    vly_redis_opts opts = options(&w, b.redis.url);
    opts.max_waiting = 2;
    vly_redis *tier = new_tier(&opts);
    wait_for(&w, &w.n_on, 1);
    redis_signal(&b.redis, SIGSTOP);
    for (size_t i = 0; i < VLY_COUNT(g); i++) {
        g[i] = (vly_redis_get){.key = {.lo = i}, .ctx = &w, .done = on_done};
        assert_int_equal(vly_redis_ask(tier, &g[i], NULL, 0), i < 2);
    }
    redis_signal(&b.redis, SIGCONT);
    wait_for(&w, &w.n_done, 2);
    assert_int_equal(count(&vly_redis_get_stats(tier)->refused), 1);
    vly_redis_free(tier);
    vly_free(w.value);
    end(&b);
}

static void gets_end_with_the_tier(void **state)
{
    vly_redis_get g[5];
    bench b;

    (void)state;
    begin(&b);
    redis_signal(&b.redis, SIGSTOP);
    for (size_t i = 0; i < VLY_COUNT(g); i++) {
        g[i] = (vly_redis_get){.key = {.lo = i}, .ctx = &b.watcher, .done = on_done};
        assert_true(vly_redis_ask(b.tier, &g[i], NULL, 0));
    }
    vly_redis_free(b.tier);
    b.tier = NULL;
    assert_int_equal(b.watcher.n_done, VLY_COUNT(g));
    end(&b);
}

/* ---- a server that is none ---- */

typedef struct liar {
    char dir[TEMP_DIR_PATH_MAX];
    char path[TEMP_DIR_PATH_MAX + 16];
    const char *text; /* what it says, again and again */
    size_t len, most; /* until it has said so much */
    int listener;
    pthread_t thread;
    size_t n_said; /* on the longest connection; read after the join */
} liar;

static void *lie(void *arg)
{
    liar *l = arg;
    int fd;

    while ((fd = accept(l->listener, NULL, NULL)) >= 0) {
        size_t said = 0;
        ssize_t n = 1;
        while (n > 0 && said < l->most) {
            n = send(fd, l->text, l->len, MSG_NOSIGNAL);
            said += n > 0 ? (size_t)n : 0;
        }
        if (n > 0) /* all is said: wait until the other side has enough */
            while (recv(fd, (char[512]){0}, 512, 0) > 0)
                ;
        l->n_said = said > l->n_said ? said : l->n_said;
        close(fd);
    }
    return NULL;
}

static void liar_begin(liar *l)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    assert_true(temp_dir_make(l->dir));
    snprintf(l->path, sizeof(l->path), "%s/socket", l->dir);
    memcpy(a.sun_path, l->path, strlen(l->path) + 1);
    l->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(l->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(l->listener, 8), 0);
    assert_int_equal(pthread_create(&l->thread, NULL, lie, l), 0);
}

static void liar_end(liar *l)
{
    shutdown(l->listener, SHUT_RDWR);
    pthread_join(l->thread, NULL);
    close(l->listener);
    temp_dir_remove(l->dir);
}

/* However much it says, no more is read than the longest value, and it is never believed. */
static void nonsense_is_not_believed(void **state)
{
    static char filler[64 * 1024];
    liar lies[] = {
        {.text = "HTTP/1.1 400 Bad Request\r\n\r\n", .most = 1},
        {.text = "-\r\n", .most = 1},
        {.text = "-ERR \x1b[31m\n\r\n", .most = 1},
        {.text = "+OK\r\n", .most = 1},
        {.text = "+OK\r\n", .most = 1 << 30},
        {.text = "*2147483647\r\n", .most = 1},
        {.text = "*1\r\n*1\r\n*1\r\n$-1\r\n", .most = 1},
        {.text = "*-7\r\n", .most = 1},
        {.text = "$999999999999\r\n", .most = 1 << 30},
        {.text = ":99999999999999999999\r\n", .most = 1},
        {.text = "\0\0\0\0", .len = 4, .most = 1},
        {.text = filler, .len = sizeof(filler), .most = 1 << 30},
    };

    (void)state;
    memset(filler, '+', sizeof(filler));
    for (size_t i = 0; i < VLY_COUNT(lies); i++) {
        liar *l = &lies[i];
        watcher w;
        char url[128];
        if (l->len == 0)
            l->len = strlen(l->text);
        liar_begin(l);
        watcher_init(&w);
        snprintf(url, sizeof(url), "unix:%s", l->path);
        vly_redis_opts opts = options(&w, url);
        opts.connect_ms = 10000;
        vly_redis *tier = new_tier(&opts);
        wait_for(&w, &w.n_off, 1);
        assert_int_equal(w.n_on, 0);
        for (const char *p = w.why; *p != '\0'; p++)
            assert_in_range(*p, ' ', '~');
        vly_redis_get g = {.ctx = &w, .done = on_done};
        assert_false(vly_redis_ask(tier, &g, NULL, 0));
        vly_redis_free(tier);
        liar_end(l);
        assert_true(l->n_said < 4 * VALUE_MAX);
    }
}

static void wrong_options_are_refused(void **state)
{
    vly_redis *tier = NULL;
    vly_err err;
    vly_redis_opts opts = options(NULL, "redis://");

    (void)state;
    assert_int_equal(vly_redis_new(&opts, &tier, &err), VLY_EINVAL);
    opts.url = "redis://localhost";
    opts.password_file = "/nonexistent";
    assert_int_equal(vly_redis_new(&opts, &tier, &err), VLY_ENOTFOUND);
    opts.password_file = "";
    opts.prefix = "0123456789012345678901234567890123456789012345678901234567890123456789";
    assert_int_equal(vly_redis_new(&opts, &tier, &err), VLY_EINVAL);
    assert_null(tier);
}

UNIT_TESTS(cmocka_unit_test(servers_share_values), cmocka_unit_test(values_of_any_length_come_back),
           cmocka_unit_test(what_is_invalidated_is_not_found),
           cmocka_unit_test(what_was_computed_before_does_not_count),
           cmocka_unit_test(tokens_live_on), cmocka_unit_test(garbage_under_our_keys_is_a_miss),
           cmocka_unit_test(logs_in_and_selects), cmocka_unit_test(killed_and_restarted),
           cmocka_unit_test(stopped_and_continued), cmocka_unit_test(full),
           cmocka_unit_test(queue_is_bounded), cmocka_unit_test(gets_end_with_the_tier),
           cmocka_unit_test(nonsense_is_not_believed), cmocka_unit_test(wrong_options_are_refused))

/* SPDX-License-Identifier: MIT */
#include "net/otlp_export.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "codec/otlp.h"
#include "net/http_client.h"
#include "sys/url.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define ANSWER_MAX      ((size_t)64 << 10)
#define HEADERS_MAX     16
#define RETRY_MS_MAX    60000u
#define LAST_WORDS_NS   (2 * VLY_NSEC_PER_SEC) /* for what waits when the process ends */
#define REQUEST_EXTRA   ((size_t)64 << 10)     /* of a request, besides its spans */
#define STATUS_TOO_MANY 429

struct vly_otlp_export {
    vly_otlp_export_opts opts; /* immutable */
    vly_otlp_export_stats stats;
    vly_http_client *client; /* owner: the thread, as all down to is_warned */
    vly_rng rng;
    vly_buf batch, request, answer;
    bool is_warned; /* the log knows that the collector does not answer */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    vly_buf queue;     /* guarded by lock, as the next two */
    unsigned n_queued; /* spans */
    bool is_stopping;
    _Atomic uint64_t stop_by_ns; /* 0: not stopping */
};

/* ---- time ---- */

/* With the lock held: until there is a signal or that time has passed; false: it has. */
static bool wait_ms(vly_otlp_export *e, unsigned ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(&e->wake, &e->lock, &t) == 0;
}

/* Sleeps before the next try; false: the exporter is to end. */
static bool pause_ms(vly_otlp_export *e, unsigned ms)
{
    vly_nsec until = vly_clock_now() + ms * VLY_NSEC_PER_MS;
    bool is_stopping;

    pthread_mutex_lock(&e->lock);
    for (vly_nsec now = vly_clock_now(); !e->is_stopping && now < until; now = vly_clock_now())
        wait_ms(e, (unsigned)((until - now) / VLY_NSEC_PER_MS) + 1);
    is_stopping = e->is_stopping;
    pthread_mutex_unlock(&e->lock);
    return !is_stopping;
}

static bool is_late(void *ctx)
{
    vly_otlp_export *e = ctx;
    uint64_t by = atomic_load(&e->stop_by_ns);

    return by != 0 && vly_clock_now() >= by;
}

/* ---- one batch ---- */

static bool is_for_later(int status)
{
    return status == STATUS_TOO_MANY || (status >= 502 && status <= 504);
}

/* What a collector says with 200. */
static void take_answer(vly_otlp_export *e, unsigned n_spans)
{
    vly_str why;
    uint64_t n_rejected = 0;

    if (vly_otlp_read_response(vly_buf_str(&e->answer), &n_rejected, &why, NULL) != VLY_OK)
        n_rejected = 0; /* it has said 200 */
    if (n_rejected > n_spans)
        n_rejected = n_spans;
    if (n_rejected > 0)
        vly_warn("the collector of traces refused %llu spans: %.*s", (unsigned long long)n_rejected,
                 VLY_STR_ARG(why));
    vly_counter_add(&e->stats.exported, n_spans - n_rejected);
    vly_counter_add(&e->stats.lost, n_rejected);
    if (e->is_warned)
        vly_info("the collector of traces takes them again");
    e->is_warned = false;
}

typedef enum outcome { SENT, LATER, LOST } outcome;

/* One request. ret_wait_ms: what the collector asks for, 0: nothing; err: why it was not SENT. */
static outcome try(vly_otlp_export *e, unsigned *ret_wait_ms, vly_err *err)
{
    vly_http_header headers[HEADERS_MAX + 1] = {
        {VLY_STR("Content-Type"), VLY_STR("application/x-protobuf")}};
    char shown[VLY_ERR_MSG_MAX / 2];
    int status = 0;

    for (size_t i = 0; i < e->opts.n_headers; i++)
        headers[i + 1] = e->opts.headers[i];
    const vly_http_client_request r = {.method = "POST",
                                       .url = e->opts.url,
                                       .headers = headers,
                                       .n_headers = e->opts.n_headers + 1,
                                       .body = vly_buf_str(&e->request),
                                       .ca = e->opts.ca,
                                       .timeout_ms = e->opts.timeout_ms,
                                       .is_cancelled = is_late,
                                       .ctx = e};
    vly_buf_clear(&e->answer);
    *ret_wait_ms = 0;
    vly_counter_add(&e->stats.requests, 1);
    vly_status st = vly_http_client_send(e->client, &r, &status, &e->answer, err);
    if (st == VLY_OK && status >= 200 && status < 300)
        return SENT;
    vly_counter_add(&e->stats.failures, 1);
    if (st != VLY_OK)
        return st == VLY_EINVAL || st == VLY_ELIMIT ? LOST : LATER;
    vly_fail(err, VLY_EUNAVAILABLE, "%s: status %d",
             vly_url_public(e->opts.url, shown, sizeof(shown)), status);
    *ret_wait_ms = vly_http_client_retry_after_ms(e->client);
    return is_for_later(status) ? LATER : LOST;
}

/* Between a half and all of a time that doubles with each try; or what the collector wants. */
static unsigned wait_of(vly_otlp_export *e, unsigned n_tries, unsigned asked_ms)
{
    unsigned ms = e->opts.retry_ms << (n_tries - 1);

    if (ms > RETRY_MS_MAX)
        ms = RETRY_MS_MAX;
    ms = ms / 2 + vly_rng_below(&e->rng, ms / 2 + 1);
    if (asked_ms > RETRY_MS_MAX)
        asked_ms = RETRY_MS_MAX;
    return asked_ms > ms ? asked_ms : ms;
}

static void give_up(vly_otlp_export *e, unsigned n_spans, const vly_err *err)
{
    vly_counter_add(&e->stats.lost, n_spans);
    if (!e->is_warned)
        vly_warn("traces cannot be sent: %s", err->msg);
    e->is_warned = true;
}

static void send_batch(vly_otlp_export *e, unsigned n_spans)
{
    vly_err err = VLY_ERR_INIT;
    unsigned asked_ms;

    vly_buf_clear(&e->request);
    vly_otlp_put_request(&e->request, e->opts.resource, vly_buf_str(&e->batch));
    if (e->request.failed) {
        vly_fail(&err, VLY_ENOMEM, "no memory");
        give_up(e, n_spans, &err);
        return;
    }
    for (unsigned i = 1;; i++) {
        outcome o = try(e, &asked_ms, &err);
        if (o == SENT) {
            take_answer(e, n_spans);
            return;
        }
        if (o == LOST || i == VLY_OTLP_TRIES || !pause_ms(e, wait_of(e, i, asked_ms))) {
            give_up(e, n_spans, &err);
            return;
        }
    }
}

/* ---- the queue ---- */

/* What waits, when it is time for it, into the batch; false: nothing waits and nothing will. */
static bool take_batch(vly_otlp_export *e, unsigned *ret_n)
{
    vly_buf empty = e->batch;

    vly_buf_clear(&empty);
    pthread_mutex_lock(&e->lock);
    vly_nsec until = vly_clock_now() + e->opts.interval_ms * VLY_NSEC_PER_MS;
    for (vly_nsec now = vly_clock_now();
         !e->is_stopping && now < until && e->queue.len < e->opts.max_queue_bytes / 2;
         now = vly_clock_now())
        wait_ms(e, (unsigned)((until - now) / VLY_NSEC_PER_MS) + 1);
    bool is_over = e->is_stopping && e->n_queued == 0;
    e->batch = e->queue;
    e->queue = empty;
    *ret_n = e->n_queued;
    e->n_queued = 0;
    pthread_mutex_unlock(&e->lock);
    vly_gauge_add(&e->stats.queue_bytes, -(int64_t)e->batch.len);
    return !is_over;
}

static void *run(void *arg)
{
    vly_otlp_export *e = arg;
    unsigned n;

    pthread_setname_np(pthread_self(), "volley-otlp");
    while (take_batch(e, &n))
        if (n > 0)
            send_batch(e, n);
    return NULL;
}

void vly_otlp_export_push(vly_otlp_export *e, vly_str spans, unsigned n_spans)
{
    pthread_mutex_lock(&e->lock);
    bool has_room = !e->is_stopping && spans.len <= e->opts.max_queue_bytes - e->queue.len &&
                    vly_buf_reserve(&e->queue, spans.len);
    if (has_room) {
        bool was_low = e->queue.len < e->opts.max_queue_bytes / 2;
        vly_buf_add_str(&e->queue, spans);
        e->n_queued += n_spans;
        vly_gauge_add(&e->stats.queue_bytes, (int64_t)spans.len);
        if (was_low && e->queue.len >= e->opts.max_queue_bytes / 2)
            pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    if (!has_room)
        vly_counter_add(&e->stats.dropped, n_spans);
}

const vly_otlp_export_stats *vly_otlp_export_stats_of(const vly_otlp_export *e)
{
    return &e->stats;
}

/* ---- life ---- */

static void init_sync(vly_otlp_export *e)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attr);
    pthread_condattr_destroy(&attr);
}

vly_status vly_otlp_export_new(const vly_otlp_export_opts *opts, vly_otlp_export **ret,
                               vly_err *err)
{
    VLY_ASSERT(opts->interval_ms > 0 && opts->max_queue_bytes > 0);
    VLY_ASSERT(opts->retry_ms > 0 && opts->retry_ms <= RETRY_MS_MAX);
    if (opts->n_headers > HEADERS_MAX)
        return vly_fail(err, VLY_ELIMIT, "expected at most %d headers for the collector, got %zu",
                        HEADERS_MAX, opts->n_headers);
    vly_otlp_export *e = vly_calloc(VLY_MEM_NET, 1, sizeof(*e));
    if (e == NULL)
        return vly_fail(err, VLY_ENOMEM, "no memory for traces");
    e->opts = *opts;
    vly_buf_init(&e->queue, VLY_MEM_NET, opts->max_queue_bytes);
    vly_buf_init(&e->batch, VLY_MEM_NET, opts->max_queue_bytes);
    vly_buf_init(&e->request, VLY_MEM_NET, opts->max_queue_bytes + REQUEST_EXTRA);
    vly_buf_init(&e->answer, VLY_MEM_NET, ANSWER_MAX);
    vly_rng_init(&e->rng, opts->seed, 0);
    init_sync(e);
    vly_status st = vly_http_client_new(&e->client, err);
    if (st == VLY_OK) {
        int rc = pthread_create(&e->thread, NULL, run, e);
        e->has_thread = rc == 0;
        if (rc != 0)
            st = vly_fail(err, VLY_EUNAVAILABLE, "thread for traces: %s", strerror(rc));
    }
    if (st == VLY_OK)
        *ret = e;
    else
        vly_otlp_export_free(e);
    return st;
}

void vly_otlp_export_free(vly_otlp_export *e)
{
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->is_stopping = true;
    atomic_store(&e->stop_by_ns, vly_clock_now() + LAST_WORDS_NS);
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (e->has_thread)
        pthread_join(e->thread, NULL);
    vly_http_client_free(e->client);
    vly_buf_release(&e->queue);
    vly_buf_release(&e->batch);
    vly_buf_release(&e->request);
    vly_buf_release(&e->answer);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    vly_free(e);
}

/* SPDX-License-Identifier: MIT */
/* Spans on their way to a collector that answers as it is told: the server of this room. */
#include "base/assert.h"
#include "codec/otlp.h"
#include "codec/pbwire.h"
#include "net/otlp_export.h"
#include "wire.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS_MAX 64

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    int answers[REQUESTS_MAX];  /* status of the n-th request; 0: 200; -1: none, it is kept */
    bool wants_later;           /* with Retry-After: 1 */
    const char *said;           /* body of an answer */
    size_t n_requests, n_spans; /* spans of those answered 200 */
    vly_http_request *kept;
    bool has_headers;
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static vly_http_server *server;
static vly_otlp_export *exporter;
static char url[128];

/* LEN fields of this number. */
static size_t count_fields(vly_str message, uint32_t number, vly_str *ret_last)
{
    vly_pb c = vly_pb_begin(message);
    vly_pb_field f;
    size_t n = 0;

    while (vly_pb_next(&c, &f)) {
        if (f.number != number || f.wire != VLY_PB_LEN)
            continue;
        *ret_last = f.bytes;
        n++;
    }
    assert_false(c.bad);
    return n;
}

static size_t count_spans(vly_str request)
{
    vly_str resource_spans = {NULL, 0}, scope_spans = {NULL, 0}, span;

    assert_int_equal(count_fields(request, 1, &resource_spans), 1);
    assert_int_equal(count_fields(resource_spans, 2, &scope_spans), 1);
    return count_fields(scope_spans, 2, &span);
}

static void on_request(void *ctx, vly_http_request *req)
{
    (void)ctx;
    pthread_mutex_lock(&collector.lock);
    int status = collector.answers[collector.n_requests++];
    if (status == 0)
        collector.n_spans += count_spans(vly_buf_str(&req->msg.body));
    collector.has_headers =
        vly_str_is(vly_http_msg_header(&req->msg, "content-type"), "application/x-protobuf") &&
        vly_str_is(vly_http_msg_header(&req->msg, "x-key"), "k");
    if (status == -1)
        collector.kept = req;
    bool wants_later = collector.wants_later;
    const char *said = collector.said;
    pthread_cond_broadcast(&collector.came);
    pthread_mutex_unlock(&collector.lock);
    if (status == -1)
        return;
    const vly_http_header later = {VLY_STR("Retry-After"), VLY_STR("1")};
    vly_buf body;
    vly_buf_init(&body, VLY_MEM_NET, 1000);
    vly_buf_puts(&body, said != NULL ? said : "");
    vly_http_respond(req, &(vly_http_answer){.status = status != 0 ? status : 200,
                                             .headers = &later,
                                             .n_headers = wants_later,
                                             .parts = &body,
                                             .n_parts = 1});
    vly_buf_release(&body);
}

static void await_requests(size_t n)
{
    pthread_mutex_lock(&collector.lock);
    while (collector.n_requests < n)
        pthread_cond_wait(&collector.came, &collector.lock);
    pthread_mutex_unlock(&collector.lock);
}

static void answer(size_t request, int status)
{
    pthread_mutex_lock(&collector.lock);
    collector.answers[request] = status;
    pthread_mutex_unlock(&collector.lock);
}

static void say(const char *body, bool wants_later)
{
    pthread_mutex_lock(&collector.lock);
    collector.said = body;
    collector.wants_later = wants_later;
    pthread_mutex_unlock(&collector.lock);
}

/* What the collector has seen so far. */
typedef struct sight {
    size_t n_requests, n_spans;
    bool has_headers;
} sight;

static sight seen(void)
{
    pthread_mutex_lock(&collector.lock);
    sight s = {collector.n_requests, collector.n_spans, collector.has_headers};
    pthread_mutex_unlock(&collector.lock);
    return s;
}

static void start(size_t queue_bytes, unsigned interval_ms)
{
    static const vly_http_header header = {VLY_STR("X-Key"), VLY_STR("k")};
    const vly_otlp_export_opts o = {.url = url,
                                    .headers = &header,
                                    .n_headers = 1,
                                    .max_queue_bytes = queue_bytes,
                                    .interval_ms = interval_ms,
                                    .timeout_ms = 60000,
                                    .retry_ms = 2,
                                    .seed = 1};
    vly_err err;
    vly_status st = vly_otlp_export_new(&o, &exporter, &err);

    if (st == VLY_EUNSUPPORTED) {
        print_message("skipped: the build lacks libcurl\n");
        skip();
    }
    assert_int_equal(st, VLY_OK);
}

static int setup(void **state)
{
    vly_http_opts o = wire_opts();
    vly_err err;

    (void)state;
    memset(collector.answers, 0, sizeof(collector.answers)); /* the server has not started */
    collector.n_requests = collector.n_spans = 0;
    collector.wants_later = false;
    collector.said = NULL;
    collector.kept = NULL;
    exporter = NULL;
    o.on_request = on_request;
    assert_int_equal(vly_http_server_start(&o, &server, &err), VLY_OK);
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/traces", vly_http_server_port(server));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vly_otlp_export_free(exporter);
    pthread_mutex_lock(&collector.lock);
    vly_http_request *kept = collector.kept;
    pthread_mutex_unlock(&collector.lock);
    if (kept != NULL)
        vly_http_respond_error(kept, 503, "late");
    vly_http_server_free(server);
    return 0;
}

static void push_one(void)
{
    static const unsigned char id[VLY_TRACE_BYTES] = {1};
    const vly_otlp_span span = {
        .trace = id, .id = id, .name = VLY_STR("n"), .kind = VLY_OTLP_SERVER};
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_NET, 4096);
    vly_otlp_close_span(&b, vly_otlp_open_span(&b, &span));
    vly_otlp_export_push(exporter, vly_buf_str(&b), 1);
    vly_buf_release(&b);
}

static uint64_t exported(void)
{
    return vly_counter_get(&vly_otlp_export_stats_of(exporter)->exported);
}

static uint64_t lost(void)
{
    return vly_counter_get(&vly_otlp_export_stats_of(exporter)->lost);
}

/* Ends the exporter, after which its figures are final. */
static void end(uint64_t want_exported, uint64_t want_lost)
{
    const vly_otlp_export_stats *stats = vly_otlp_export_stats_of(exporter);

    wire_wait_until(exported() + lost() >= want_exported + want_lost);
    assert_int_equal(exported(), want_exported);
    assert_int_equal(lost(), want_lost);
    assert_int_equal(vly_gauge_get(&stats->queue_bytes), 0);
}

static void spans_leave_in_batches(void **state)
{
    (void)state;
    start(1 << 20, 20);
    for (int i = 0; i < 10; i++)
        push_one();
    end(10, 0);
    assert_int_equal(seen().n_spans, 10);
    assert_true(seen().n_requests <= 10 && seen().has_headers);
}

static void what_waits_at_the_end_is_sent(void **state)
{
    (void)state;
    start(1 << 20, 3600000);
    push_one();
    push_one();
    vly_otlp_export_free(exporter);
    exporter = NULL;
    assert_int_equal(seen().n_spans, 2);
    assert_int_equal(seen().n_requests, 1);
}

static void a_busy_collector_is_asked_again(void **state)
{
    (void)state;
    answer(0, 503);
    answer(1, 429);
    start(1 << 20, 1);
    push_one();
    end(1, 0);
    assert_int_equal(seen().n_requests, 3);
    assert_int_equal(vly_counter_get(&vly_otlp_export_stats_of(exporter)->failures), 2);
}

static void it_waits_as_long_as_it_is_told(void **state)
{
    (void)state;
    answer(0, 503);
    say(NULL, true);
    start(1 << 20, 1);
    vly_nsec begin = vly_clock_now();
    push_one();
    end(1, 0);
    assert_true(vly_clock_now() - begin >= VLY_NSEC_PER_SEC);
}

static void not_for_ever(void **state)
{
    (void)state;
    for (int i = 0; i < VLY_OTLP_TRIES; i++)
        answer(i, 504);
    start(1 << 20, 1);
    push_one();
    end(0, 1);
    assert_int_equal(seen().n_requests, VLY_OTLP_TRIES);
    push_one(); /* the next batch has its own tries */
    end(1, 1);
}

static void a_refusal_is_final(void **state)
{
    (void)state;
    answer(0, 400);
    start(1 << 20, 1);
    push_one();
    end(0, 1);
    assert_int_equal(seen().n_requests, 1);
}

static void rejected_spans_are_counted(void **state)
{
    (void)state;
    say("\x0a\x02\x08\x01", false); /* partial_success: rejected_spans 1 */
    start(1 << 20, 1);
    push_one();
    end(0, 1);
    say("garbage", false);
    push_one();
    end(1, 1);
}

static void a_full_queue_drops(void **state)
{
    (void)state;
    answer(0, -1);
    start(200, 1);
    push_one();
    await_requests(1); /* it is held up now */
    for (int i = 0; i < 100; i++)
        push_one();
    const vly_otlp_export_stats *stats = vly_otlp_export_stats_of(exporter);
    assert_true(vly_counter_get(&stats->dropped) > 90);
    assert_true(vly_gauge_get(&stats->queue_bytes) <= 200);
    vly_otlp_export_free(exporter); /* although no answer comes: in two seconds, not sixty */
    exporter = NULL;
}

static void nobody_listens(void **state)
{
    (void)state;
    snprintf(url, sizeof(url), "http://127.0.0.1:1/v1/traces");
    start(1 << 20, 1);
    push_one();
    end(0, 1);
    assert_int_equal(vly_counter_get(&vly_otlp_export_stats_of(exporter)->requests),
                     VLY_OTLP_TRIES);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

UNIT_TESTS(TEST(spans_leave_in_batches), TEST(what_waits_at_the_end_is_sent),
           TEST(a_busy_collector_is_asked_again), TEST(it_waits_as_long_as_it_is_told),
           TEST(not_for_ever), TEST(a_refusal_is_final), TEST(rejected_spans_are_counted),
           TEST(a_full_queue_drops), TEST(nobody_listens))

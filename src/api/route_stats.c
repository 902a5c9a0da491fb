/* SPDX-License-Identifier: MIT */
#include "api/route_stats.h"

#include "api/call.h"
#include "api/grpc_methods.h"
#include "api/metrics_text.h"
#include "api/routes.h"
#include "base/assert.h"
#include "base/mem.h"

#include <pthread.h>
#include <string.h>

#define CLASS_N           5
#define CLASS_OF_THE_GONE 4 /* the client went before its answer, or wanted it sooner */

_Static_assert(VLY_ROUTE_BUCKETS == VLY_METRICS_SECONDS_N, "one counter for each bound");

typedef struct route_name {
    const char *method, *pattern;
    vly_key_scope scope;
} route_name;

#define HTTP_ROW(method, scope, pattern, name) {#method, pattern, VLY_SCOPE_##scope},
#define GRPC_ROW(kind, scope, path, name)      {"POST", path, VLY_SCOPE_##scope},
#define COUNT_ROW(...)                         +1
enum { N_HTTP = 0 VLY_ROUTES(COUNT_ROW) };
static const route_name rows[] = {{"other", "other", VLY_SCOPE_NONE},
                                  VLY_ROUTES(HTTP_ROW) VLY_GRPC_METHODS(GRPC_ROW)};

/* Those of a route and class, once one of its requests was traced. */
typedef vly_exemplar exemplars[VLY_ROUTE_BUCKETS + 1];

struct vly_route_stats {
    vly_route_figures figures[VLY_COUNT(rows)][CLASS_N];
    pthread_mutex_t lock;
    exemplars *exemplars[VLY_COUNT(rows)][CLASS_N]; /* guarded by lock */
};

size_t vly_route_idx_grpc(size_t row)
{
    return 1 + N_HTTP + row;
}

size_t vly_route_n(void)
{
    return VLY_COUNT(rows);
}

const char *vly_route_pattern(size_t route)
{
    return rows[route].pattern;
}

const char *vly_route_method(size_t route)
{
    return rows[route].method;
}

vly_key_scope vly_route_scope(size_t route)
{
    return rows[route].scope;
}

const vly_route_figures *vly_route_stats_at(const vly_route_stats *s, size_t route, int class)
{
    VLY_ASSERT(route < VLY_COUNT(rows) && class >= 1 && class <= CLASS_N);
    return &s->figures[route][class - 1];
}

vly_status vly_route_stats_new(vly_route_stats **ret, vly_err *err)
{
    vly_route_stats *s = vly_calloc(VLY_MEM_NET, 1, sizeof(*s));

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the figures of routes");
    pthread_mutex_init(&s->lock, NULL);
    *ret = s;
    return VLY_OK;
}

void vly_route_stats_free(vly_route_stats *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < VLY_COUNT(rows) * CLASS_N; i++)
        vly_free(s->exemplars[i / CLASS_N][i % CLASS_N]);
    pthread_mutex_destroy(&s->lock);
    vly_free(s);
}

bool vly_route_stats_exemplars(vly_route_stats *s, size_t route, int class,
                               vly_exemplar ret[VLY_ROUTE_BUCKETS + 1])
{
    pthread_mutex_lock(&s->lock);
    const exemplars *there = s->exemplars[route][class - 1];
    if (there != NULL)
        memcpy(ret, *there, sizeof(*there));
    pthread_mutex_unlock(&s->lock);
    return there != NULL;
}

static void keep_exemplar(vly_route_stats *s, const vly_call *call, int class, size_t bucket,
                          vly_nsec ns)
{
    vly_exemplar e = {.took_ns = ns, .unix_ms = vly_clock_unix_ms()};
    exemplars **at = &s->exemplars[call->route][class - 1];

    memcpy(e.trace, call->trace.trace, sizeof(e.trace));
    pthread_mutex_lock(&s->lock);
    if (*at == NULL)
        *at = vly_calloc(VLY_MEM_NET, 1, sizeof(**at));
    if (*at != NULL)
        (**at)[bucket] = e;
    pthread_mutex_unlock(&s->lock);
}

static size_t bucket_of(vly_nsec ns)
{
    size_t i = 0;

    while (i < VLY_METRICS_SECONDS_N && ns > vly_metrics_seconds_bounds[i].limit)
        i++;
    return i;
}

void vly_route_stats_count(vly_route_stats *s, const vly_http_request *req,
                           const vly_http_finished *f)
{
    const vly_call *call = vly_call_of(req);
    bool was_stream = req->stream_kind != VLY_STREAM_NONE && f->status < 300;

    if (s == NULL || req->received_ns == 0 || was_stream)
        return;
    int status = call != NULL && call->grpc_as_http != 0 ? call->grpc_as_http : f->status;
    bool is_gone = f->sent_ns == 0 || (call != NULL && call->is_late);
    int class = is_gone ? CLASS_OF_THE_GONE : status / 100;
    vly_nsec ns = (f->sent_ns != 0 ? f->sent_ns : vly_clock_now()) - req->received_ns;
    vly_route_figures *to = &s->figures[call != NULL ? call->route : 0][class - 1];
    size_t bucket = bucket_of(ns);
    vly_counter_add(&to->in[bucket], 1);
    vly_counter_add(&to->sum_ns, ns);
    if (call != NULL && call->trace.is_decided && call->trace.is_sampled)
        keep_exemplar(s, call, class, bucket, ns);
}

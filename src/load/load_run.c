/* SPDX-License-Identifier: MIT */
#include "load/load_run.h"

#include "base/mem.h"
#include "load/load_generator.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HEAD_START_NS VLY_NSEC_PER_MS /* for threads to wake up before the first is due */
#define POINTS        600             /* of the time line, about */

typedef struct run {
    const vly_load_run_opts *opts;
    vly_load_result *result;
    vly_load_generator *generators[VLY_LOAD_THREADS_MAX];
    unsigned n_generators;
    int done_fd;
    bool is_stopped;
    vly_nsec stopped_ns;

    vly_nsec plan_begin_ns; /* of the first measured segment; 0: it has not come */
    vly_nsec moment_ns;     /* length of a point of the time line */
    vly_load_segment segment;
    bool is_warmup;
    vly_nsec looked_ns, second_ns, point_ns; /* ends of what has been looked at, told, and kept */
    vly_load_recent *fresh, *second, *point;
    size_t second_in_flight, point_in_flight; /* the most within them */
    vly_load_tally *tally;                    /* of the segment at hand */
} run;

/* ---- looking ------------------------------------------------------------------------------- */

static void look_in_flight(run *r)
{
    size_t n = 0;

    for (unsigned i = 0; i < r->n_generators; i++)
        n += vly_load_generator_take_in_flight(r->generators[i]);
    r->second_in_flight = n > r->second_in_flight ? n : r->second_in_flight;
    r->point_in_flight = n > r->point_in_flight ? n : r->point_in_flight;
}

static vly_load_moment moment_of(const run *r, const vly_load_recent *what, size_t in_flight,
                                 vly_nsec begin_ns, vly_nsec end_ns)
{
    const vly_nsec base = r->plan_begin_ns != 0 ? r->plan_begin_ns : r->segment.begin_ns;
    const vly_nsec middle = begin_ns / 2 + end_ns / 2;
    double planned = 0;

    if (!r->opts->is_closed && middle >= r->segment.begin_ns &&
        middle - r->segment.begin_ns < r->segment.duration_ns) {
        vly_nsec at = middle - r->segment.begin_ns;
        for (size_t i = 0; i < r->segment.first; i++)
            at += r->segment.plan->phases[i].duration_ns;
        planned = vly_load_plan_rate(r->segment.plan, at);
    }
    return (vly_load_moment){.at_s = (double)(end_ns - base) * 1e-9,
                             .seconds = (double)(end_ns - begin_ns) * 1e-9,
                             .counts = what->counts,
                             .p50_ns = vly_load_histogram_quantile(&what->latency, 0.5),
                             .p99_ns = vly_load_histogram_quantile(&what->latency, 0.99),
                             .max_ns = what->latency.max,
                             .planned = planned,
                             .in_flight = in_flight,
                             .is_warmup = r->is_warmup};
}

static void add_point(run *r, vly_nsec now)
{
    vly_load_result *to = r->result;

    if (!r->is_warmup && to->n_moments < VLY_LOAD_MOMENTS_MAX && now > r->point_ns)
        to->moments[to->n_moments++] = moment_of(r, r->point, r->point_in_flight, r->point_ns, now);
    memset(r->point, 0, sizeof(*r->point));
    r->point_ns = now;
    r->point_in_flight = 0;
}

static void tell(run *r, vly_nsec now)
{
    if (r->opts->on_moment != NULL && now > r->second_ns) {
        const vly_load_moment m = moment_of(r, r->second, r->second_in_flight, r->second_ns, now);
        r->opts->on_moment(r->opts->ctx, &m);
    }
    memset(r->second, 0, sizeof(*r->second));
    r->second_ns = now;
    r->second_in_flight = 0;
}

static void look(run *r, vly_nsec now, bool is_last)
{
    memset(r->fresh, 0, sizeof(*r->fresh));
    for (unsigned i = 0; i < r->n_generators; i++)
        vly_load_recorder_take_recent(vly_load_generator_recorder(r->generators[i]), r->fresh);
    look_in_flight(r);
    vly_load_recent_merge(r->second, r->fresh);
    vly_load_recent_merge(r->point, r->fresh);
    r->looked_ns = now;
    if (now >= r->second_ns + VLY_NSEC_PER_SEC || is_last)
        tell(r, now);
    if (now >= r->point_ns + r->moment_ns || (is_last && vly_load_n_all(&r->point->counts) > 0))
        add_point(r, now);
}

/* ---- segments ------------------------------------------------------------------------------ */

static void stop_all(run *r)
{
    r->is_stopped = r->result->is_interrupted = true;
    r->stopped_ns = vly_clock_now();
    for (unsigned i = 0; i < r->n_generators; i++)
        vly_load_generator_stop(r->generators[i]);
}

/* Waits until each generator is done, or stop_fd, or until_ns; returns how many were done. */
static unsigned wait_some(run *r, vly_nsec until_ns)
{
    struct pollfd fds[2] = {{.fd = r->done_fd, .events = POLLIN},
                            {.fd = r->is_stopped ? -1 : r->opts->stop_fd, .events = POLLIN}};
    const vly_nsec now = vly_clock_now(), left = until_ns > now ? until_ns - now : 0;
    const struct timespec timeout = {.tv_sec = (time_t)(left / VLY_NSEC_PER_SEC),
                                     .tv_nsec = (int64_t)(left % VLY_NSEC_PER_SEC)};
    uint64_t n = 0;

    if (ppoll(fds, 2, &timeout, NULL) <= 0)
        return 0;
    if (fds[1].revents != 0)
        stop_all(r);
    if (fds[0].revents == 0 || read(r->done_fd, &n, sizeof(n)) != (ssize_t)sizeof(n))
        return 0;
    return (unsigned)n;
}

static void wait_for_all(run *r, bool looks)
{
    const vly_nsec each = r->moment_ns < VLY_NSEC_PER_SEC ? r->moment_ns : VLY_NSEC_PER_SEC;

    for (unsigned n = 0; n < r->n_generators;) {
        const vly_nsec next = looks ? r->looked_ns + each : vly_clock_now() + each;
        n += wait_some(r, next);
        const vly_nsec now = vly_clock_now();
        if (looks && (now >= next || n == r->n_generators))
            look(r, now, n == r->n_generators);
    }
}

static void take_tally(run *r)
{
    for (unsigned i = 0; i < r->n_generators; i++)
        vly_load_recorder_take(vly_load_generator_recorder(r->generators[i]), r->tally);
}

/* Seconds that successes came in: those of the plan, and what answers were late. */
static double seconds_of(const run *r)
{
    const vly_nsec begin = r->segment.begin_ns;
    vly_nsec end = begin + r->segment.duration_ns;

    if (r->is_stopped && r->stopped_ns < end)
        end = r->stopped_ns > begin ? r->stopped_ns : begin + 1;
    if (r->tally->last_ok_ns > end)
        end = r->tally->last_ok_ns;
    return (double)(end - begin) * 1e-9;
}

static void run_segment(run *r, const vly_load_plan *plan, size_t first, size_t n, bool is_warmup)
{
    r->segment = (vly_load_segment){
        .plan = plan, .first = first, .n = n, .begin_ns = vly_clock_now() + HEAD_START_NS};
    for (size_t i = first; i < first + n; i++)
        r->segment.duration_ns += plan->phases[i].duration_ns;
    r->is_warmup = is_warmup;
    r->looked_ns = r->second_ns = r->point_ns = r->segment.begin_ns;
    if (!is_warmup && r->plan_begin_ns == 0)
        r->plan_begin_ns = r->segment.begin_ns;
    memset(r->tally, 0, sizeof(*r->tally));
    for (unsigned i = 0; i < r->n_generators; i++)
        vly_load_generator_begin(r->generators[i], &r->segment);
    wait_for_all(r, true);
    take_tally(r);
}

static void keep_tally(run *r)
{
    vly_load_result *to = r->result;

    to->seconds = seconds_of(r);
    to->ok_per_s = (double)r->tally->counts.n_ok / to->seconds;
    *to->tally = *r->tally;
}

/* ---- steps --------------------------------------------------------------------------------- */

static vly_load_step step_of(const run *r, double rate)
{
    const double seconds = seconds_of(r);
    vly_load_step s = {.rate = rate,
                       .ok_per_s = (double)r->tally->counts.n_ok / seconds,
                       .error_share = vly_load_error_share(&r->tally->counts),
                       .p50_ns = vly_load_histogram_quantile(&r->tally->latency, 0.5),
                       .p99_ns = vly_load_histogram_quantile(&r->tally->latency, 0.99),
                       .is_held = true};
    double figure;

    for (size_t i = 0; i < r->opts->n_slos; i++)
        s.is_held &= vly_load_slo_check(&r->opts->slos[i], r->tally, s.ok_per_s, &figure);
    return s;
}

static void run_steps(run *r)
{
    vly_load_result *to = r->result;
    const vly_load_plan *plan = r->opts->plan;

    for (size_t i = 0; i < plan->n_phases && !r->is_stopped; i++) {
        run_segment(r, plan, i, 1, false);
        const vly_load_step s = step_of(r, plan->phases[i].from);
        if (r->is_stopped && i > 0)
            return; /* cut short: it says nothing */
        if (s.is_held || i == 0)
            keep_tally(r);
        to->steps[to->n_steps++] = s;
        if (!s.is_held)
            return;
    }
}

static void warm_up(run *r)
{
    const vly_load_phase *first = &r->opts->plan->phases[0];
    const double rate = first->from > 0 ? first->from : first->to / 10;
    const vly_load_plan plan = {.phases = {{rate, rate, r->opts->warmup_ns}},
                                .n_phases = 1,
                                .is_poisson = r->opts->plan->is_poisson,
                                .seed = r->opts->plan->seed};

    if (r->opts->warmup_ns > 0)
        run_segment(r, &plan, 0, 1, true);
}

/* ---- begin and end ------------------------------------------------------------------------- */

static vly_nsec choose_moment(const vly_load_run_opts *opts)
{
    const vly_nsec duration = vly_load_plan_duration(opts->plan);

    if (duration < 10 * VLY_NSEC_PER_SEC)
        return VLY_NSEC_PER_SEC / 5;
    return duration < POINTS * VLY_NSEC_PER_SEC ? VLY_NSEC_PER_SEC : duration / POINTS;
}

static vly_status begin(run *r, vly_err *err)
{
    vly_load_result *to = r->result;
    vly_status st = VLY_OK;

    r->moment_ns = choose_moment(r->opts);
    r->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->fresh = vly_calloc(VLY_MEM_CLI, 1, sizeof(*r->fresh));
    r->second = vly_calloc(VLY_MEM_CLI, 1, sizeof(*r->second));
    r->point = vly_calloc(VLY_MEM_CLI, 1, sizeof(*r->point));
    r->tally = vly_calloc(VLY_MEM_CLI, 1, sizeof(*r->tally));
    to->tally = vly_calloc(VLY_MEM_CLI, 1, sizeof(*to->tally));
    to->moments = vly_calloc(VLY_MEM_CLI, VLY_LOAD_MOMENTS_MAX, sizeof(*to->moments));
    to->steps = vly_calloc(VLY_MEM_CLI, VLY_LOAD_PHASES_MAX, sizeof(*to->steps));
    if (r->fresh == NULL || r->second == NULL || r->point == NULL || r->tally == NULL ||
        to->tally == NULL || to->moments == NULL || to->steps == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the figures");
    if (r->done_fd < 0)
        return vly_fail(err, VLY_EIO, "eventfd: %s", strerror(errno));
    for (unsigned i = 0; i < r->opts->n_threads && st == VLY_OK; i++) {
        st = vly_load_generator_new(r->opts, i, r->done_fd, &r->generators[i], err);
        r->n_generators += st == VLY_OK;
    }
    wait_for_all(r, false); /* connected, or not */
    for (unsigned i = 0; i < r->n_generators && st == VLY_OK; i++)
        st = vly_load_generator_opened(r->generators[i], err);
    for (unsigned i = 0; i < r->n_generators; i++) {
        to->n_opened += vly_load_generator_sockets(r->generators[i]).n_open;
        if (to->trouble[0] == '\0')
            (void)snprintf(to->trouble, sizeof(to->trouble), "%s",
                           vly_load_generator_trouble(r->generators[i]));
    }
    return st;
}

static void add_sockets(vly_load_counts *to, vly_load_counts from)
{
    to->connects += from.connects;
    to->connect_failures += from.connect_failures;
    to->bytes_in += from.bytes_in;
    to->bytes_out += from.bytes_out;
    to->messages += from.messages;
    to->n_open += from.n_open;
}

static void end(run *r)
{
    for (unsigned i = 0; i < r->n_generators; i++) {
        add_sockets(&r->result->sockets, vly_load_generator_sockets(r->generators[i]));
        vly_load_generator_free(r->generators[i]);
    }
    if (r->done_fd >= 0)
        close(r->done_fd);
    vly_free(r->fresh);
    vly_free(r->second);
    vly_free(r->point);
    vly_free(r->tally);
}

vly_status vly_load_run(const vly_load_run_opts *opts, vly_load_result *ret, vly_err *err)
{
    vly_load_result result = {0};
    run r = {.opts = opts, .result = &result, .done_fd = -1};
    vly_status st = begin(&r, err);

    if (st == VLY_OK) {
        warm_up(&r);
        if (opts->is_stepped) {
            run_steps(&r);
        } else if (!r.is_stopped) {
            run_segment(&r, opts->plan, 0, opts->plan->n_phases, false);
            keep_tally(&r);
        }
    }
    end(&r);
    if (st != VLY_OK)
        vly_load_result_release(&result);
    else
        *ret = result;
    return st;
}

void vly_load_result_release(vly_load_result *r)
{
    vly_free(r->tally);
    vly_free(r->moments);
    vly_free(r->steps);
    *r = (vly_load_result){0};
}

bool vly_load_is_late(const vly_load_tally *t)
{
    const uint64_t late = vly_load_histogram_quantile(&t->lateness, 0.99);
    return late > VLY_NSEC_PER_MS && late * 10 > vly_load_histogram_quantile(&t->latency, 0.99);
}

bool vly_load_is_crowded(const vly_load_tally *t)
{
    const uint64_t waits = vly_load_histogram_quantile(&t->waits, 0.99);
    return waits > VLY_NSEC_PER_MS && waits * 10 > vly_load_histogram_quantile(&t->latency, 0.99);
}

/* ---- one request --------------------------------------------------------------------------- */

typedef struct question {
    vly_load_call call;
    vly_str authority;
    vly_status status;
    vly_err *err;
    bool is_done;
} question;

static void on_answer(void *ctx, vly_load_call *call)
{
    question *q = ctx;

    q->is_done = true;
    if (call->outcome == VLY_LOAD_OK || call->outcome == VLY_LOAD_STATUS)
        return;
    q->status = vly_fail(q->err, VLY_EUNAVAILABLE, "'%.*s': %.*s", VLY_STR_ARG(q->authority),
                         VLY_STR_ARG(call->why));
}

vly_status vly_load_ask(const vly_load_kind *kind, const vly_load_transport_opts *opts,
                        vly_str body, vly_buf *answer, int *ret_status, bool *ret_is_ok,
                        vly_err *err)
{
    question q = {.call = {.connection = VLY_LOAD_ANY, .body = body, .answer = answer},
                  .authority = opts->target->authority,
                  .err = err};
    vly_load_transport_opts o = *opts;
    vly_load_transport *t = NULL;
    vly_status st = vly_load_loop_new(NULL, &o.loop, err);

    if (st != VLY_OK)
        return st;
    o.n_connections = 1;
    o.ctx = &q;
    o.on_done = on_answer;
    st = vly_load_transport_open(kind, &o, &t, err);
    if (st == VLY_OK) {
        q.call.intended_ns = vly_load_loop_now(o.loop);
        vly_load_transport_send(t, &q.call);
        while (!q.is_done)
            vly_load_loop_turn(o.loop, vly_load_loop_now(o.loop) + VLY_NSEC_PER_SEC);
        st = q.status;
    }
    if (st == VLY_OK) {
        *ret_status = q.call.status;
        if (ret_is_ok != NULL)
            *ret_is_ok = q.call.outcome == VLY_LOAD_OK;
    }
    vly_load_transport_close(t);
    vly_load_loop_free(o.loop);
    return st;
}

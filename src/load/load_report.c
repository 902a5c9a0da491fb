/* SPDX-License-Identifier: MIT */
/* Figures that all forms of the report share, and the text. */
#include "load/load_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool vly_load_report_is_kept(const vly_load_report *r)
{
    double figure;

    if (r->opts->is_stepped)
        return r->result->n_steps > 0 && r->result->steps[0].is_held;
    for (size_t i = 0; i < r->opts->n_slos; i++)
        if (!vly_load_slo_check(&r->opts->slos[i], r->result->tally, r->result->ok_per_s, &figure))
            return false;
    return true;
}

/* ---- drift --------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    const vly_nsec x = *(const vly_nsec *)a, y = *(const vly_nsec *)b;
    return (x > y) - (x < y);
}

static vly_nsec median_p99(const vly_load_moment *m, size_t n)
{
    vly_nsec all[VLY_LOAD_MOMENTS_MAX];
    size_t n_answered = 0;

    for (size_t i = 0; i < n; i++)
        if (m[i].p99_ns > 0)
            all[n_answered++] = m[i].p99_ns;
    if (n_answered == 0)
        return 0;
    qsort(all, n_answered, sizeof(all[0]), compare_times);
    return all[n_answered / 2];
}

static bool is_even(const vly_load_plan *p)
{
    return p->n_phases == 1 && p->phases[0].from == p->phases[0].to;
}

double vly_load_report_drift(const vly_load_report *r)
{
    const size_t n = r->result->n_moments, fifth = n / 5;

    if (n < 20 || !is_even(r->opts->plan))
        return 0;
    const vly_nsec first = median_p99(r->result->moments, fifth);
    const vly_nsec last = median_p99(r->result->moments + n - fifth, fifth);
    return first > 0 ? (double)last / (double)first : 0;
}

const char *vly_load_outcome_text(vly_load_outcome outcome)
{
    return outcome == VLY_LOAD_STATUS    ? "refused"
           : outcome == VLY_LOAD_TIMEOUT ? "timed out"
           : outcome == VLY_LOAD_FAILED  ? "failed"
                                         : "ok";
}

/* ---- text ---------------------------------------------------------------------------------- */

void vly_load_format_time(double ns, char *text, size_t cap)
{
    static const struct {
        double ns;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    size_t i = 0;

    while (i < 3 && ns < units[i].ns * 0.9995)
        i++;
    const double v = ns / units[i].ns;
    snprintf(text, cap, "%.*f %s", v >= 99.95 || i == 3 ? 0 : v >= 9.995 ? 1 : 2, v, units[i].unit);
}

static void put_time(vly_buf *b, const char *label, uint64_t ns)
{
    char text[32];

    vly_load_format_time((double)ns, text, sizeof(text));
    vly_buf_printf(b, "  %s %s", label, text);
}

static void put_times(vly_buf *b, const char *label, const vly_load_histogram *h)
{
    if (h->n == 0)
        return;
    vly_buf_printf(b, "  %-11s", label);
    put_time(b, "p50", vly_load_histogram_quantile(h, 0.5));
    put_time(b, "p90", vly_load_histogram_quantile(h, 0.9));
    put_time(b, "p99", vly_load_histogram_quantile(h, 0.99));
    put_time(b, "p99.9", vly_load_histogram_quantile(h, 0.999));
    put_time(b, "max", h->max);
    vly_buf_putc(b, '\n');
}

static void put_count(vly_buf *b, bool *is_first, const char *what, uint64_t n)
{
    if (n == 0)
        return;
    vly_buf_printf(b, "%s%" PRIu64 " %s", *is_first ? "" : ", ", n, what);
    *is_first = false;
}

static void put_errors(vly_buf *b, const vly_load_tally *t)
{
    const vly_load_outcomes *c = &t->counts;
    bool is_first = true;
    uint64_t n_others = c->n_refused;
    char what[32];

    vly_buf_printf(b, "  %-12s %" PRIu64, "errors", vly_load_n_errors(c));
    if (vly_load_n_errors(c) == 0) {
        vly_buf_putc(b, '\n');
        return;
    }
    vly_buf_printf(b, " (%.3g %%): ", vly_load_error_share(c) * 100);
    for (size_t i = 0; i < t->n_statuses; i++) {
        snprintf(what, sizeof(what), "of status %d", t->statuses[i].status);
        put_count(b, &is_first, t->statuses[i].status == 0 ? "refused by a message" : what,
                  t->statuses[i].n);
        n_others -= t->statuses[i].n;
    }
    put_count(b, &is_first, "of other statuses", n_others);
    put_count(b, &is_first, "timed out", c->n_timeout);
    put_count(b, &is_first, "failed", c->n_failed);
    put_count(b, &is_first, "never sent, too many were under way", c->n_unsent);
    vly_buf_putc(b, '\n');
}

static void put_reasons(vly_buf *b, const vly_load_tally *t)
{
    uint64_t n_others = t->counts.n_refused + t->counts.n_failed + t->counts.n_timeout;

    for (size_t i = 0; i < t->n_reasons; i++) {
        const vly_load_reason *r = &t->reasons[i];
        vly_buf_printf(b, "  %-12s %" PRIu64 " %s", i == 0 ? "why" : "", r->n,
                       vly_load_outcome_text(r->outcome));
        if (r->status != 0)
            vly_buf_printf(b, " (%d)", r->status);
        vly_buf_printf(b, ": %s\n", r->text);
        n_others -= r->n;
    }
    if (n_others > 0)
        vly_buf_printf(b, "  %-12s %" PRIu64 " for other reasons\n", "", n_others);
}

/* Told when there is something to tell: not all at the begin, or some made again. */
static void put_connections(vly_buf *b, const vly_load_report *r)
{
    const vly_load_result *result = r->result;
    const unsigned n = r->opts->n_connections;

    if (result->n_opened < n)
        vly_buf_printf(b, "  %-12s ONLY %u OF %u COULD BE MADE: %s\n", "connections",
                       result->n_opened, n, result->trouble);
    if (result->sockets.connects > n || result->sockets.connect_failures > 0)
        vly_buf_printf(b, "  %-12s %" PRIu64 " made in all, %" PRIu64 " attempts in vain\n",
                       result->n_opened < n ? "" : "connections", result->sockets.connects,
                       result->sockets.connect_failures);
}

static void put_cache(vly_buf *b, const vly_load_report *r)
{
    const vly_load_tally *t = r->result->tally;

    if (t->counts.n_hits == 0)
        return;
    const double s = r->result->seconds;
    vly_buf_printf(b, "  %-12s %.1f/s (%" PRIu64 ")\n", "cached", (double)t->counts.n_hits / s,
                   t->counts.n_hits);
    put_times(b, "", &t->hits);
    vly_buf_printf(b, "  %-12s %.1f/s (%" PRIu64 ")\n", "computed",
                   (double)(t->counts.n_ok - t->counts.n_hits) / s,
                   t->counts.n_ok - t->counts.n_hits);
    put_times(b, "", &t->computed);
}

static void put_figure(vly_buf *b, const vly_load_slo *s, double figure)
{
    char text[32];

    if (isinf(figure)) {
        vly_buf_puts(b, "never, for too many were not answered well");
        return;
    }
    switch (s->kind) {
    case VLY_LOAD_SLO_QUANTILE:
    case VLY_LOAD_SLO_MEAN:
        vly_load_format_time(figure, text, sizeof(text));
        vly_buf_puts(b, text);
        break;
    case VLY_LOAD_SLO_ERRORS:
        vly_buf_printf(b, "%.3g %%", figure * 100);
        break;
    case VLY_LOAD_SLO_RATE:
        vly_buf_printf(b, "%.1f/s", figure);
        break;
    }
}

static void put_objectives(vly_buf *b, const vly_load_report *r)
{
    double figure;

    for (size_t i = 0; i < r->opts->n_slos; i++) {
        const vly_load_slo *s = &r->opts->slos[i];
        const bool kept = vly_load_slo_check(s, r->result->tally, r->result->ok_per_s, &figure);
        vly_buf_printf(b, "  %-12s %.*s: ", i == 0 ? "objectives" : "", VLY_STR_ARG(s->text));
        put_figure(b, s, figure);
        vly_buf_puts(b, kept ? ", kept\n" : ", MISSED\n");
    }
}

static void put_steps(vly_buf *b, const vly_load_result *r)
{
    char p50[32], p99[32];
    double best = 0;

    if (r->n_steps == 0)
        return;
    vly_buf_printf(b, "\n  %10s %12s %10s %10s %9s\n", "rate/s", "answered/s", "p50", "p99",
                   "errors");
    for (size_t i = 0; i < r->n_steps; i++) {
        const vly_load_step *s = &r->steps[i];
        vly_load_format_time((double)s->p50_ns, p50, sizeof(p50));
        vly_load_format_time((double)s->p99_ns, p99, sizeof(p99));
        vly_buf_printf(b, "  %10.4g %12.1f %10s %10s %7.3g %%  %s\n", s->rate, s->ok_per_s, p50,
                       p99, s->error_share * 100, s->is_held ? "held" : "MISSED");
        best = s->is_held ? s->rate : best;
    }
    if (best > 0)
        vly_buf_printf(b, "  the most that held: %g/s; the figures above are of this step\n", best);
    else
        vly_buf_puts(b, "  no step held; the figures above are of the first\n");
}

static void put_remarks(vly_buf *b, const vly_load_report *r)
{
    const vly_load_tally *t = r->result->tally;
    const double drift = vly_load_report_drift(r);

    if (drift > 0)
        vly_buf_printf(b, "  %-12s p99 of the last fifth is %.2f times that of the first\n",
                       "drift", drift);
    if (r->rss_before > 0 && r->rss_after > 0)
        vly_buf_printf(b, "  %-12s %.1f MiB of the server before, %.1f MiB after\n", "memory",
                       (double)r->rss_before / 1048576, (double)r->rss_after / 1048576);
    if (r->result->is_interrupted)
        vly_buf_puts(b, "  ended early, by a signal\n");
    if (vly_load_is_crowded(t))
        vly_buf_puts(b, "  REQUESTS WAITED FOR A FREE CONNECTION, and that is a part of their "
                        "latency: with -c\n  or --in-flight more of them are under way.\n");
    if (vly_load_is_late(t))
        vly_buf_puts(b, "  THE GENERATOR WAS LATE ITSELF: what it measures is not the server's "
                        "alone.\n  Lower the rate, add --threads, or give it a core of its own.\n");
}

static void put_head(vly_buf *b, const vly_load_report *r)
{
    const vly_load_run_opts *o = r->opts;

    vly_buf_printf(b, "%s, %s, %u connection%s", r->url, r->transport, o->n_connections,
                   o->n_connections == 1 ? "" : "s");
    if (o->n_threads > 1)
        vly_buf_printf(b, ", %u threads", o->n_threads);
    vly_buf_putc(b, '\n');
    if (o->is_closed)
        vly_buf_printf(b,
                       "closed loop, %u at once on each: the most that the server does, not what "
                       "users would wait for\n",
                       o->transport.max_in_flight);
    else
        vly_buf_printf(b, "open loop, %s\n", r->load);
    vly_buf_printf(b, "%s; %.1f s until the last answer, after %.1f s of warm-up\n\n", r->bodies,
                   r->result->seconds, (double)o->warmup_ns * 1e-9);
}

void vly_load_report_text(const vly_load_report *r, vly_buf *to)
{
    const vly_load_tally *t = r->result->tally;
    const double s = r->result->seconds > 0 ? r->result->seconds : 1;

    put_head(to, r);
    vly_buf_printf(to, "  %-12s %" PRIu64 ", %.1f/s answered well\n", "requests",
                   vly_load_n_all(&t->counts), r->result->ok_per_s);
    put_errors(to, t);
    put_reasons(to, t);
    put_connections(to, r);
    put_times(to, "latency", &t->latency);
    put_times(to, "service", &t->service);
    put_cache(to, r);
    put_times(to, "refusals", &t->refused);
    put_times(to, "lateness", &t->lateness);
    vly_buf_printf(to, "  %-12s %.2f MB/s in, %.2f MB/s out\n", "bytes",
                   (double)t->counts.bytes_in / s * 1e-6, (double)t->counts.bytes_out / s * 1e-6);
    put_objectives(to, r);
    put_remarks(to, r);
    put_steps(to, r->result);
}

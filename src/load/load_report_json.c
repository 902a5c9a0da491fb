/* SPDX-License-Identifier: MIT */
/* The report as one JSON object. Times are milliseconds, rates per second, shares 0 .. 1. */
#include "load/load_report.h"

#include <inttypes.h>
#include <math.h>

static void put_text(vly_buf *b, const char *name, const char *text)
{
    vly_buf_printf(b, "\"%s\":", name);
    if (text != NULL)
        vly_buf_json_str(b, vly_str_from(text));
    else
        vly_buf_puts(b, "null");
    vly_buf_putc(b, ',');
}

static void put_times(vly_buf *b, const char *name, const vly_load_histogram *h)
{
    static const struct {
        const char *name;
        double q;
    } shares[] = {{"min", 0},    {"p50", 0.5},    {"p75", 0.75},     {"p90", 0.9}, {"p95", 0.95},
                  {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}};

    vly_buf_printf(b, "\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.6g", name, h->n,
                   vly_load_histogram_mean(h) * 1e-6);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        vly_buf_printf(b, ",\"%s\":%.6g", shares[i].name,
                       (double)vly_load_histogram_quantile(h, shares[i].q) * 1e-6);
    vly_buf_puts(b, "},");
}

static void put_counts(vly_buf *b, const vly_load_outcomes *c)
{
    vly_buf_printf(b,
                   "\"ok\":%" PRIu64 ",\"cached\":%" PRIu64 ",\"refused\":%" PRIu64
                   ",\"failed\":%" PRIu64 ",\"timeout\":%" PRIu64 ",\"unsent\":%" PRIu64,
                   c->n_ok, c->n_hits, c->n_refused, c->n_failed, c->n_timeout, c->n_unsent);
}

static void put_statuses(vly_buf *b, const vly_load_tally *t)
{
    uint64_t n_others = t->counts.n_refused;

    vly_buf_puts(b, "\"statuses\":{");
    for (size_t i = 0; i < t->n_statuses; i++)
        vly_buf_printf(b, "%s\"%d\":%" PRIu64, i > 0 ? "," : "", t->statuses[i].status,
                       t->statuses[i].n);
    for (size_t i = 0; i < t->n_statuses; i++)
        n_others -= t->statuses[i].n;
    if (n_others > 0)
        vly_buf_printf(b, ",\"other\":%" PRIu64, n_others);
    vly_buf_puts(b, "},\"reasons\":[");
    for (size_t i = 0; i < t->n_reasons; i++) {
        const vly_load_reason *r = &t->reasons[i];
        vly_buf_printf(b, "%s{\"outcome\":\"%s\",\"status\":%d,\"count\":%" PRIu64 ",\"text\":",
                       i > 0 ? "," : "", vly_load_outcome_text(r->outcome), r->status, r->n);
        vly_buf_json_str(b, vly_str_from(r->text));
        vly_buf_putc(b, '}');
    }
    vly_buf_puts(b, "],");
}

static void put_objectives(vly_buf *b, const vly_load_report *r)
{
    double figure;

    vly_buf_puts(b, "\"objectives\":[");
    for (size_t i = 0; i < r->opts->n_slos; i++) {
        const vly_load_slo *s = &r->opts->slos[i];
        const bool kept = vly_load_slo_check(s, r->result->tally, r->result->ok_per_s, &figure);
        const bool is_time = s->kind == VLY_LOAD_SLO_QUANTILE || s->kind == VLY_LOAD_SLO_MEAN;
        vly_buf_puts(b, i > 0 ? ",{\"objective\":" : "{\"objective\":");
        vly_buf_json_str(b, s->text);
        if (isinf(figure))
            vly_buf_puts(b, ",\"measured\":null");
        else
            vly_buf_printf(b, ",\"measured\":%.6g", is_time ? figure * 1e-6 : figure);
        vly_buf_printf(b, ",\"kept\":%s}", kept ? "true" : "false");
    }
    vly_buf_printf(b, "],\"kept\":%s,", vly_load_report_is_kept(r) ? "true" : "false");
}

static void put_steps(vly_buf *b, const vly_load_result *r)
{
    vly_buf_puts(b, "\"steps\":[");
    for (size_t i = 0; i < r->n_steps; i++) {
        const vly_load_step *s = &r->steps[i];
        vly_buf_printf(b,
                       "%s{\"rate\":%.6g,\"ok_per_s\":%.6g,\"error_share\":%.6g,\"p50\":%.6g,"
                       "\"p99\":%.6g,\"held\":%s}",
                       i > 0 ? "," : "", s->rate, s->ok_per_s, s->error_share,
                       (double)s->p50_ns * 1e-6, (double)s->p99_ns * 1e-6,
                       s->is_held ? "true" : "false");
    }
    vly_buf_puts(b, "],");
}

static void put_moments(vly_buf *b, const vly_load_result *r)
{
    vly_buf_puts(b, "\"timeline\":[");
    for (size_t i = 0; i < r->n_moments; i++) {
        const vly_load_moment *m = &r->moments[i];
        vly_buf_printf(b, "%s{\"at_s\":%.3f,\"seconds\":%.3f,\"planned\":%.6g,", i > 0 ? "," : "",
                       m->at_s, m->seconds, m->planned);
        put_counts(b, &m->counts);
        vly_buf_printf(b, ",\"p50\":%.6g,\"p99\":%.6g,\"max\":%.6g,\"in_flight\":%zu}",
                       (double)m->p50_ns * 1e-6, (double)m->p99_ns * 1e-6, (double)m->max_ns * 1e-6,
                       m->in_flight);
    }
    vly_buf_puts(b, "],");
}

void vly_load_report_json(const vly_load_report *r, vly_buf *b)
{
    const vly_load_result *result = r->result;
    const vly_load_tally *t = result->tally;
    const double s = result->seconds > 0 ? result->seconds : 1;

    vly_buf_putc(b, '{');
    put_text(b, "url", r->url);
    put_text(b, "transport", r->transport);
    put_text(b, "loop", r->opts->is_closed ? "closed" : "open");
    put_text(b, "load", r->load);
    put_text(b, "bodies", r->bodies);
    put_text(b, "began", r->began);
    vly_buf_printf(b,
                   "\"connections\":%u,\"connected\":%u,\"connects\":%" PRIu64
                   ",\"connect_failures\":%" PRIu64 ",\"threads\":%u,\"warmup_s\":%.3f,"
                   "\"seconds\":%.6g,\"requests\":%" PRIu64 ",",
                   r->opts->n_connections, result->n_opened, result->sockets.connects,
                   result->sockets.connect_failures, r->opts->n_threads,
                   (double)r->opts->warmup_ns * 1e-9, result->seconds, vly_load_n_all(&t->counts));
    put_counts(b, &t->counts);
    vly_buf_printf(b,
                   ",\"error_share\":%.6g,\"ok_per_s\":%.6g,\"cached_per_s\":%.6g,"
                   "\"computed_per_s\":%.6g,\"bytes_in_per_s\":%.6g,\"bytes_out_per_s\":%.6g,",
                   vly_load_error_share(&t->counts), result->ok_per_s, (double)t->counts.n_hits / s,
                   (double)(t->counts.n_ok - t->counts.n_hits) / s, (double)t->counts.bytes_in / s,
                   (double)t->counts.bytes_out / s);
    put_statuses(b, t);
    put_times(b, "latency_ms", &t->latency);
    put_times(b, "service_ms", &t->service);
    put_times(b, "cached_ms", &t->hits);
    put_times(b, "computed_ms", &t->computed);
    put_times(b, "refused_ms", &t->refused);
    put_times(b, "lateness_ms", &t->lateness);
    put_times(b, "waited_ms", &t->waits);
    put_objectives(b, r);
    put_steps(b, result);
    put_moments(b, result);
    vly_buf_printf(b,
                   "\"p99_drift\":%.4g,\"server_rss_before\":%" PRIu64
                   ",\"server_rss_after\":%" PRIu64 ",\"generator_late\":%s,\"interrupted\":%s}\n",
                   vly_load_report_drift(r), r->rss_before, r->rss_after,
                   vly_load_is_late(t) ? "true" : "false",
                   result->is_interrupted ? "true" : "false");
}

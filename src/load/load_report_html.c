/* SPDX-License-Identifier: MIT */
/* The report as a picture, and as a page around it. */
#include "codec/svg_plot.h"
#include "load/load_report.h"

#include <math.h>

#define DECADES    9  /* 1 us .. 1000 s */
#define PER_DECADE 25 /* bins of the histogram */
#define BINS       ((size_t)DECADES * PER_DECADE)
#define NINES      100 /* points of the percentile curve */

/* What the lines of the picture point to. */
typedef struct series {
    size_t n;
    double x[VLY_LOAD_MOMENTS_MAX];
    float planned[VLY_LOAD_MOMENTS_MAX], ok[VLY_LOAD_MOMENTS_MAX], hits[VLY_LOAD_MOMENTS_MAX],
        errors[VLY_LOAD_MOMENTS_MAX], p50[VLY_LOAD_MOMENTS_MAX], p99[VLY_LOAD_MOMENTS_MAX],
        max[VLY_LOAD_MOMENTS_MAX], in_flight[VLY_LOAD_MOMENTS_MAX];
    double bin_x[BINS];
    float bins[BINS], hit_bins[BINS];
    double nine_x[NINES];
    float latency[NINES], service[NINES];
    size_t n_bins;
    double bins_begin, bins_end; /* where the histogram has anything */
} series;

static float ms(vly_nsec ns)
{
    return ns > 0 ? (float)((double)ns * 1e-6) : NAN;
}

static void read_moments(const vly_load_result *r, series *s)
{
    s->n = r->n_moments;
    for (size_t i = 0; i < s->n; i++) {
        const vly_load_moment *m = &r->moments[i];
        s->x[i] = m->at_s - m->seconds / 2;
        s->planned[i] = (float)m->planned;
        s->ok[i] = (float)((double)m->counts.n_ok / m->seconds);
        s->hits[i] = (float)((double)m->counts.n_hits / m->seconds);
        s->errors[i] = (float)((double)vly_load_n_errors(&m->counts) / m->seconds);
        s->p50[i] = ms(m->p50_ns);
        s->p99[i] = ms(m->p99_ns);
        s->max[i] = ms(m->max_ns);
        s->in_flight[i] = (float)m->in_flight;
    }
}

/* Shares of all answers in bins of equal width on the logarithm of their latency: a bucket is in
 * the bin of its middle, what is outside in the first or the last. */
static void read_bins(const vly_load_histogram *h, uint64_t n, float *bins)
{
    uint64_t low, high;

    for (size_t i = 0; i < VLY_LOAD_HIST_BUCKETS; i++) {
        if (h->counts[i] == 0)
            continue;
        vly_load_histogram_edges(i, &low, &high);
        const double at = (log10((double)low + (double)(high - low) / 2 + 1) - 3) * PER_DECADE;
        const size_t bin = at < 0 ? 0 : at < BINS - 1 ? (size_t)at : BINS - 1;
        bins[bin] += (float)(100 * (double)h->counts[i] / (double)n);
    }
}

static void read_histogram(const vly_load_tally *t, series *s)
{
    size_t first = BINS, last = 0;

    read_bins(&t->latency, t->latency.n, s->bins);
    read_bins(&t->hits, t->latency.n, s->hit_bins);
    for (size_t i = 0; i < BINS; i++) {
        s->bin_x[i] = ((double)i + 0.5) / PER_DECADE;
        if (s->bins[i] <= 0)
            continue;
        first = i < first ? i : first;
        last = i;
    }
    s->bins_begin = first < BINS ? floor((double)first / PER_DECADE) : 0;
    s->bins_end = first < BINS ? ceil((double)(last + 1) / PER_DECADE) : DECADES;
}

static double nines_of(const vly_load_histogram *h)
{
    return h->n > 10 ? fmin(log10((double)h->n), 6) : 1;
}

static void read_nines(const vly_load_tally *t, series *s)
{
    const double end = nines_of(&t->latency);

    for (size_t i = 0; i < NINES; i++) {
        s->nine_x[i] = end * (double)i / (NINES - 1);
        const double q = 1 - pow(10, -s->nine_x[i]);
        s->latency[i] = ms(vly_load_histogram_quantile(&t->latency, q));
        s->service[i] = ms(vly_load_histogram_quantile(&t->service, q));
    }
}

static vly_plot_line line(const char *label, vly_plot_colour colour, const double *x,
                          const float *y, size_t n)
{
    return (vly_plot_line){.label = label, .colour = colour, .x = x, .y = y, .n = n};
}

static float highest(const float *y, size_t n, float max)
{
    for (size_t i = 0; i < n; i++)
        max = y[i] > max ? y[i] : max;
    return max;
}

static double top_of(float max)
{
    return max > 0 ? (double)max * 1.08 : 1;
}

static const vly_plot_tick time_ticks[] = {{0, "1 us"},  {1, "10 us"},  {2, "100 us"}, {3, "1 ms"},
                                           {4, "10 ms"}, {5, "100 ms"}, {6, "1 s"},    {7, "10 s"},
                                           {8, "100 s"}, {9, "1000 s"}};
static const vly_plot_tick share_ticks[] = {{0, "0"},        {0.30103, "50 %"}, {1, "90 %"},
                                            {2, "99 %"},     {3, "99.9 %"},     {4, "99.99 %"},
                                            {5, "99.999 %"}, {6, "99.9999 %"}};

static vly_status draw(const vly_load_report *r, const series *s, vly_buf *to, vly_err *err)
{
    const bool has_hits = r->result->tally->counts.n_hits > 0;
    const vly_plot_line rate[] = {{.label = "planned",
                                   .colour = VLY_PLOT_GREY,
                                   .is_dashed = true,
                                   .x = s->x,
                                   .y = s->planned,
                                   .n = r->opts->is_closed ? 0 : s->n},
                                  line("answered well", VLY_PLOT_BLUE, s->x, s->ok, s->n),
                                  line("errors", VLY_PLOT_RED, s->x, s->errors, s->n),
                                  line("from the cache", VLY_PLOT_GREEN, s->x, s->hits, s->n)};
    const vly_plot_line latency[] = {{.label = "slowest",
                                      .colour = VLY_PLOT_GREY,
                                      .is_thin = true,
                                      .x = s->x,
                                      .y = s->max,
                                      .n = s->n},
                                     line("p99", VLY_PLOT_ORANGE, s->x, s->p99, s->n),
                                     line("p50", VLY_PLOT_BLUE, s->x, s->p50, s->n)};
    const vly_plot_line under_way[] = {line(NULL, VLY_PLOT_PURPLE, s->x, s->in_flight, s->n)};
    const vly_plot_line bins[] = {
        line("all", VLY_PLOT_BLUE, s->bin_x, s->bins, BINS),
        line("from the cache", VLY_PLOT_GREEN, s->bin_x, s->hit_bins, BINS)};
    const vly_plot_line nines[] = {
        line("from when they were due", VLY_PLOT_BLUE, s->nine_x, s->latency, NINES),
        {.label = "from when they were sent",
         .colour = VLY_PLOT_GREY,
         .is_dashed = true,
         .x = s->nine_x,
         .y = s->service,
         .n = NINES}};
    const double end = s->n > 0 ? r->result->moments[s->n - 1].at_s : 1;
    const vly_plot_panel panels[] = {
        {.title = "Requests",
         .y_label = "requests/s",
         .lines = rate,
         .n_lines = has_hits ? 4 : 3,
         .x_max = end,
         .y_max =
             top_of(highest(s->ok, s->n, highest(s->planned, s->n, highest(s->errors, s->n, 0))))},
        {.title = "Latency",
         .y_label = "ms",
         .lines = latency,
         .n_lines = 3,
         .x_max = end,
         .y_max = top_of(highest(s->max, s->n, 0))},
        {.title = "Under way",
         .y_label = "requests",
         .lines = under_way,
         .n_lines = 1,
         .height = 70,
         .x_max = end,
         .y_max = top_of(highest(s->in_flight, s->n, 0))},
        {.title = "Distribution of latency",
         .y_label = "% of answers",
         .lines = bins,
         .n_lines = has_hits ? 2 : 1,
         .x_ticks = time_ticks,
         .n_x_ticks = DECADES + 1,
         .x_min = s->bins_begin,
         .x_max = s->bins_end,
         .y_max = top_of(highest(s->bins, BINS, 0))},
        {.title = "Latency by percentile",
         .y_label = "ms",
         .lines = nines,
         .n_lines = 2,
         .x_ticks = share_ticks,
         .n_x_ticks = 8,
         .x_max = nines_of(&r->result->tally->latency),
         .y_max = top_of(highest(s->latency, NINES, 0))}};
    const vly_plot plot = {.title = r->url,
                           .subtitle = r->opts->is_closed ? "closed loop" : r->load,
                           .is_time = true,
                           .panels = panels,
                           .n_panels = sizeof(panels) / sizeof(panels[0])};

    return vly_plot_svg(&plot, to, err);
}

vly_status vly_load_report_svg(const vly_load_report *r, vly_buf *to, vly_err *err)
{
    series *s = vly_calloc(VLY_MEM_CLI, 1, sizeof(*s));

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the report");
    read_moments(r->result, s);
    read_histogram(r->result->tally, s);
    read_nines(r->result->tally, s);
    const vly_status st = draw(r, s, to, err);
    vly_free(s);
    return st;
}

/* ---- the page ------------------------------------------------------------------------------ */

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
    "<title>volley load</title>\n"
    "<style>body{font:14px system-ui,sans-serif;margin:2em auto;max-width:1000px;padding:0 1em;"
    "background:#ffffff;color:#1f2328}pre{overflow-x:auto;line-height:1.4}"
    "svg{max-width:100%;height:auto}"
    "@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}}</style>\n"
    "</head><body>\n";

static void put_escaped(vly_buf *to, vly_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '&')
            vly_buf_puts(to, "&amp;");
        else if (s.ptr[i] == '<')
            vly_buf_puts(to, "&lt;");
        else if (s.ptr[i] == '>')
            vly_buf_puts(to, "&gt;");
        else
            vly_buf_putc(to, s.ptr[i]);
    }
}

vly_status vly_load_report_html(const vly_load_report *r, vly_buf *to, vly_err *err)
{
    vly_buf text;

    vly_buf_init(&text, VLY_MEM_CLI, (size_t)1 << 20);
    vly_load_report_text(r, &text);
    vly_buf_puts(to, head);
    vly_buf_puts(to, "<h1>volley load</h1>\n<pre>");
    put_escaped(to, vly_buf_str(&text));
    vly_buf_puts(to, "</pre>\n");
    vly_buf_release(&text);
    const vly_status st = vly_load_report_svg(r, to, err);
    if (st != VLY_OK)
        return st;
    vly_buf_puts(to, "<pre>");
    if (r->began != NULL)
        put_escaped(to, vly_str_from(r->began));
    vly_buf_puts(to, "</pre>\n</body></html>\n");
    return to->failed ? vly_fail(err, VLY_ELIMIT, "the report is too large") : VLY_OK;
}

/* SPDX-License-Identifier: MIT */
#include "api/metrics_text.h"

#include "base/clock.h"

#include <string.h>

#define MS(n) ((n)*VLY_NSEC_PER_MS)
#define US(n) ((n)*VLY_NSEC_PER_US)

const vly_metrics_bound vly_metrics_seconds_bounds[VLY_METRICS_SECONDS_N] = {
    {US(100), "0.0001"},  {US(250), "0.00025"}, {US(500), "0.0005"},  {MS(1), "0.001"},
    {US(2500), "0.0025"}, {MS(5), "0.005"},     {US(7500), "0.0075"}, {MS(10), "0.01"},
    {MS(15), "0.015"},    {MS(20), "0.02"},     {MS(30), "0.03"},     {MS(40), "0.04"},
    {MS(50), "0.05"},     {MS(75), "0.075"},    {MS(100), "0.1"},     {MS(150), "0.15"},
    {MS(200), "0.2"},     {MS(300), "0.3"},     {MS(400), "0.4"},     {MS(500), "0.5"},
    {MS(750), "0.75"},    {MS(1000), "1"},      {MS(2500), "2.5"},    {MS(5000), "5"},
    {MS(10000), "10"},
};

void vly_metrics_head(const vly_metrics_out *o, const char *name, const char *type,
                      const char *help)
{
    static const char total[] = "_total";
    size_t n = strlen(name), end = sizeof(total) - 1;

    if (o->is_open && strcmp(type, "counter") == 0) {
        bool is_named_so = n > end && strcmp(name + n - end, total) == 0;
        n -= is_named_so ? end : 0;
        type = is_named_so ? type : "unknown";
    }
    vly_buf_printf(o->b, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)n, name, help, (int)n, name,
                   type);
}

void vly_metrics_value(const vly_metrics_out *o, const char *name, const char *type,
                       const char *help, double v)
{
    vly_metrics_head(o, name, type, help);
    vly_metrics_double(o, name, "", v);
}

void vly_metrics_label(vly_buf *b, const char *key, const char *value)
{
    vly_str s = vly_str_from(value);

    vly_buf_printf(b, "%s=\"", key);
    for (size_t i = 0; i < s.len;) {
        size_t n = vly_utf8_len((vly_str){s.ptr + i, s.len - i});
        if (s.ptr[i] == '\\' || s.ptr[i] == '"')
            vly_buf_putc(b, '\\');
        if (n == 0)
            vly_buf_puts(b, "\xef\xbf\xbd");
        else if (s.ptr[i] == '\n')
            vly_buf_puts(b, "\\n");
        else
            vly_buf_add(b, s.ptr + i, n);
        i += n > 0 ? n : 1;
    }
    vly_buf_putc(b, '"');
}

/* A line's value, without the cost of printf: a scrape has thousands. */
static void put_u64(vly_buf *b, uint64_t v)
{
    char digits[24];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    digits[--at] = ' ';
    vly_buf_add(b, digits + at, sizeof(digits) - at);
}

/* name + suffix + the labels, and of a bucket its edge. */
static void put_series(const vly_metrics_out *o, const char *name, const char *suffix,
                       const char *labels, const char *le)
{
    vly_buf *b = o->b;

    vly_buf_puts(b, name);
    vly_buf_puts(b, suffix);
    if (labels[0] == '\0' && le == NULL)
        return;
    vly_buf_putc(b, '{');
    vly_buf_puts(b, labels);
    if (le != NULL) {
        vly_buf_puts(b, labels[0] != '\0' ? ",le=\"" : "le=\"");
        vly_buf_puts(b, le);
        vly_buf_puts(b, o->is_open && le[0] != '+' && strchr(le, '.') == NULL ? ".0\"" : "\"");
    }
    vly_buf_putc(b, '}');
}

static void put_count(const vly_metrics_out *o, const char *name, const char *suffix,
                      const char *labels, uint64_t v)
{
    put_series(o, name, suffix, labels, NULL);
    put_u64(o->b, v);
    vly_buf_putc(o->b, '\n');
}

void vly_metrics_u64(const vly_metrics_out *o, const char *name, const char *labels, uint64_t v)
{
    put_count(o, name, "", labels, v);
}

void vly_metrics_double(const vly_metrics_out *o, const char *name, const char *labels, double v)
{
    put_series(o, name, "", labels, NULL);
    vly_buf_printf(o->b, " %.16g\n", v);
}

void vly_metrics_counters(const vly_metrics_out *o, const vly_metrics_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vly_metrics_head(o, rows[i].name, "counter", rows[i].help);
        vly_metrics_u64(o, rows[i].name, "", vly_counter_get(rows[i].value));
    }
}

/* " # {trace_id="..."} seconds seconds since 1970" */
static void put_exemplar(vly_buf *b, const vly_exemplar *e)
{
    vly_buf_puts(b, " # {trace_id=\"");
    for (size_t i = 0; i < sizeof(e->trace); i++)
        vly_buf_printf(b, "%02x", e->trace[i]);
    vly_buf_printf(b, "\"} %.9g %llu.%03u", (double)e->took_ns / 1e9,
                   (unsigned long long)(e->unix_ms / 1000), (unsigned)(e->unix_ms % 1000));
}

static void put_bucket(const vly_metrics_out *o, const char *name, const char *labels,
                       const vly_metrics_counts *c, size_t i)
{
    put_series(o, name, "_bucket", labels, i < c->n ? c->bounds[i].le : "+Inf");
    put_u64(o->b, i < c->n ? c->below[i] : c->count);
    if (o->is_open && c->exemplars != NULL && c->exemplars[i].unix_ms != 0)
        put_exemplar(o->b, &c->exemplars[i]);
    vly_buf_putc(o->b, '\n');
}

void vly_metrics_buckets(const vly_metrics_out *o, const char *name, const char *labels,
                         const vly_metrics_counts *c)
{
    for (size_t i = 0; i <= c->n; i++)
        put_bucket(o, name, labels, c, i);
    put_series(o, name, "_sum", labels, NULL);
    vly_buf_printf(o->b, " %.9g\n", c->sum);
    put_count(o, name, "_count", labels, c->count);
}

void vly_metrics_seconds(const vly_metrics_out *o, const char *name, const char *labels,
                         const vly_histogram *h)
{
    uint64_t limits[VLY_METRICS_SECONDS_N], below[VLY_METRICS_SECONDS_N];

    for (size_t i = 0; i < VLY_METRICS_SECONDS_N; i++)
        limits[i] = vly_metrics_seconds_bounds[i].limit;
    uint64_t count = vly_histogram_cumulate(h, limits, VLY_METRICS_SECONDS_N, below);
    vly_metrics_buckets(o, name, labels,
                        &(vly_metrics_counts){.bounds = vly_metrics_seconds_bounds,
                                              .below = below,
                                              .n = VLY_METRICS_SECONDS_N,
                                              .count = count,
                                              .sum = (double)vly_histogram_sum(h) / 1e9});
}

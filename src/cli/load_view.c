/* SPDX-License-Identifier: MIT */
#include "cli/load_view.h"

#include "base/buf.h"
#include "load/load_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINES     5
#define VIEW_MAX  ((size_t)16 << 10)
#define BAR_WIDTH 40

void vly_load_view_begin(vly_load_view *v, double duration_s)
{
    *v = (vly_load_view){.duration_s = duration_s, .is_terminal = isatty(STDERR_FILENO) == 1};
}

static void push(double *points, size_t n, double value)
{
    if (n == VLY_LOAD_VIEW_POINTS)
        memmove(points, points + 1, (n - 1) * sizeof(points[0]));
    points[n < VLY_LOAD_VIEW_POINTS ? n : n - 1] = value;
}

/* Eight heights, the greatest value the highest. */
static void put_spark(vly_buf *b, const double *points, size_t n)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double max = 0;

    for (size_t i = 0; i < n; i++)
        max = points[i] > max ? points[i] : max;
    for (size_t i = 0; i < n; i++)
        vly_buf_puts(b, blocks[max > 0 ? (size_t)(points[i] / max * 7.999) : 0]);
}

static void put_bar(vly_buf *b, const vly_load_view *v, const vly_load_moment *m)
{
    const double share = v->duration_s > 0 ? m->at_s / v->duration_s : 0;
    const size_t filled = share > 1 ? BAR_WIDTH : (size_t)(share * BAR_WIDTH);

    if (m->is_warmup) {
        vly_buf_printf(b, "warming up, %.0f s", m->at_s);
        return;
    }
    for (size_t i = 0; i < BAR_WIDTH; i++)
        vly_buf_putc(b, i < filled ? '#' : '.');
    vly_buf_printf(b, " %.0f s of %.0f s", m->at_s, v->duration_s);
}

static void put_rate(vly_buf *b, const vly_load_moment *m)
{
    vly_buf_printf(b, "%.1f/s", (double)m->counts.n_ok / m->seconds);
    if (m->planned > 0)
        vly_buf_printf(b, " of %.1f/s", m->planned);
    if (m->counts.n_hits > 0)
        vly_buf_printf(b, ", cached %.1f/s", (double)m->counts.n_hits / m->seconds);
}

static void put_latency(vly_buf *b, const vly_load_moment *m)
{
    char p50[32], p99[32], max[32];

    vly_load_format_time((double)m->p50_ns, p50, sizeof(p50));
    vly_load_format_time((double)m->p99_ns, p99, sizeof(p99));
    vly_load_format_time((double)m->max_ns, max, sizeof(max));
    vly_buf_printf(b, "p50 %s  p99 %s  slowest %s", p50, p99, max);
}

static void put_errors(vly_buf *b, const vly_load_moment *m)
{
    vly_buf_printf(b, "%" PRIu64 " errors, %zu under way", vly_load_n_errors(&m->counts),
                   m->in_flight);
}

static void draw(vly_load_view *v, const vly_load_moment *m, vly_buf *b)
{
    if (v->is_drawn)
        vly_buf_printf(b, "\033[%dA", LINES);
    vly_buf_puts(b, "\r\033[J");
    put_bar(b, v, m);
    vly_buf_puts(b, "\nanswered  ");
    put_rate(b, m);
    vly_buf_puts(b, ", ");
    put_errors(b, m);
    vly_buf_puts(b, "\nlatency   ");
    put_latency(b, m);
    vly_buf_puts(b, "\nrate      ");
    put_spark(b, v->rates, v->n);
    vly_buf_puts(b, "\np99       ");
    put_spark(b, v->p99_ns, v->n);
    vly_buf_putc(b, '\n');
    v->is_drawn = true;
}

static void put_line(const vly_load_moment *m, vly_buf *b)
{
    vly_buf_printf(b, "%s%5.0f s: ", m->is_warmup ? "warm-up " : "", m->at_s);
    put_rate(b, m);
    vly_buf_puts(b, ", ");
    put_latency(b, m);
    vly_buf_puts(b, ", ");
    put_errors(b, m);
    vly_buf_putc(b, '\n');
}

void vly_load_view_show(vly_load_view *v, const vly_load_moment *m)
{
    vly_buf b;

    vly_buf_init(&b, VLY_MEM_CLI, VIEW_MAX);
    push(v->rates, v->n, (double)m->counts.n_ok / m->seconds);
    push(v->p99_ns, v->n, (double)m->p99_ns);
    v->n += v->n < VLY_LOAD_VIEW_POINTS;
    if (v->is_terminal)
        draw(v, m, &b);
    else
        put_line(m, &b);
    if (!b.failed)
        fwrite(b.ptr, 1, b.len, stderr);
    fflush(stderr);
    vly_buf_release(&b);
}

void vly_load_view_end(vly_load_view *v)
{
    if (v->is_drawn)
        fprintf(stderr, "\033[%dA\r\033[J", LINES);
    v->is_drawn = false;
}

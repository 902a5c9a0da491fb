/* SPDX-License-Identifier: MIT */
#include "codec/svg_plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_DEFAULT  1000
#define HEIGHT_DEFAULT 160
#define HEIGHT_MAX     4096
#define MARGIN_LEFT    64
#define MARGIN_RIGHT   18
#define PANEL_HEAD     26  /* above the axes of a panel: its title and legend */
#define PANEL_FOOT     20  /* below: numbers of the x axis */
#define CHAR_WIDTH     6.1 /* of the small font, about */
#define TICK_PX_X      90
#define TICK_PX_Y      30
#define BIG            1e300

/* Where a panel is, in px, and what it shows. */
typedef struct frame {
    double left, top, width, height;
    double x_min, x_max, y_min, y_max;
} frame;

typedef struct writer {
    const vly_plot *plot;
    vly_buf *to;
    double width;
    size_t panel; /* at hand */
} writer;

/* Light first: what knows no media queries shows that. c0 .. c5 follow vly_plot_colour. */
static const char style[] =
    "<style>\n"
    "svg{--bg:#ffffff;--ink:#1f2328;--dim:#656d76;--grid:#e3e6ea;--c0:#1f6feb;--c1:#d9730d;"
    "--c2:#1a7f4b;--c3:#cf222e;--c4:#8250df;--c5:#8c959f}\n"
    "@media(prefers-color-scheme:dark){svg{--bg:#0d1117;--ink:#e6edf3;--dim:#8d96a0;--grid:#262c36;"
    "--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;--c3:#ff7b72;--c4:#bc8cff;--c5:#848d97}}\n"
    "text{font:11px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#656d76;fill:var(--dim)}\n"
    ".h{font-size:16px;font-weight:600}.h,.p{fill:#1f2328;fill:var(--ink)}.p{font-weight:600}\n"
    ".e{text-anchor:end}.m{text-anchor:middle}\n"
    ".bg{fill:#ffffff;fill:var(--bg)}.g{stroke:#e3e6ea;stroke:var(--grid);fill:none}\n"
    ".l{fill:none;stroke-width:1.4;stroke-linejoin:round}.t{stroke-width:.8}.d{stroke-dasharray:5 "
    "4}\n"
    ".s{fill-opacity:.14}.r{stroke-width:1;stroke-opacity:.75}\n"
    ".l0{stroke:#1f6feb;stroke:var(--c0)}.f0{fill:#1f6feb;fill:var(--c0)}\n"
    ".l1{stroke:#d9730d;stroke:var(--c1)}.f1{fill:#d9730d;fill:var(--c1)}\n"
    ".l2{stroke:#1a7f4b;stroke:var(--c2)}.f2{fill:#1a7f4b;fill:var(--c2)}\n"
    ".l3{stroke:#cf222e;stroke:var(--c3)}.f3{fill:#cf222e;fill:var(--c3)}\n"
    ".l4{stroke:#8250df;stroke:var(--c4)}.f4{fill:#8250df;fill:var(--c4)}\n"
    ".l5{stroke:#8c959f;stroke:var(--c5)}.f5{fill:#8c959f;fill:var(--c5)}\n"
    "</style>\n";

/* ---- text ---------------------------------------------------------------------------------- */

/* Characters that XML keeps for itself become references, control characters blanks. */
static void add_text(vly_buf *to, const char *text)
{
    vly_str s = vly_str_from(text);

    while (s.len > 0) {
        size_t n = vly_utf8_len(s);
        unsigned char c = (unsigned char)*s.ptr;
        bool is_no_character = n == 3 && memcmp(s.ptr, "\xEF\xBF\xBE", 3) >= 0 &&
                               memcmp(s.ptr, "\xEF\xBF\xBF", 3) <= 0; /* U+FFFE, U+FFFF */
        if (n == 0 || is_no_character)
            vly_buf_puts(to, "\xEF\xBF\xBD");
        else if (c == '&')
            vly_buf_puts(to, "&amp;");
        else if (c == '<')
            vly_buf_puts(to, "&lt;");
        else if (c == '>')
            vly_buf_puts(to, "&gt;");
        else if (c < 0x20 || c == 0x7f)
            vly_buf_putc(to, ' ');
        else
            vly_buf_add(to, s.ptr, n);
        n = n > 0 ? n : 1;
        s = (vly_str){s.ptr + n, s.len - n};
    }
}

static void add_label(vly_buf *to, double x, double y, const char *classes, const char *text,
                      const char *unit)
{
    vly_buf_printf(to, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, classes);
    add_text(to, text != NULL ? text : "");
    if (unit != NULL) {
        vly_buf_puts(to, text != NULL ? ", " : "");
        add_text(to, unit);
    }
    vly_buf_puts(to, "</text>\n");
}

static double text_width(const char *text)
{
    double n = 0;

    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80; /* bytes that begin a character */
    return n * CHAR_WIDTH;
}

/* ---- axes ---------------------------------------------------------------------------------- */

static double round_step(double raw, bool is_time)
{
    static const double times[] = {1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200};
    static const double parts[] = {1, 2, 5, 10};

    if (is_time && raw > 1)
        for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
            if (times[i] >= raw)
                return times[i];
    double unit = is_time && raw > 3600 ? 3600 : 1;
    double power = pow(10, floor(log10(raw / unit)));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i] * power >= raw / unit * (1 - 1e-9))
            return parts[i] * power * unit;
    return 10 * power * unit;
}

void vly_plot_ticks(double min, double max, unsigned n_wanted, bool is_time, double *ret_first,
                    double *ret_step)
{
    double step = round_step((max - min) / (n_wanted > 0 ? n_wanted : 1), is_time);

    *ret_first = ceil(min / step - 1e-9) * step;
    *ret_step = step;
}

static double to_x(const frame *f, double x)
{
    return f->left + (x - f->x_min) / (f->x_max - f->x_min) * f->width;
}

static double to_y(const frame *f, double y)
{
    return f->top + (f->y_max - y) / (f->y_max - f->y_min) * f->height;
}

/* 75 s as 1:15; parts of a second as far as the step needs them. */
static void format_time(char *text, size_t cap, double s, double step)
{
    const char *sign = s < 0 ? "-" : "";
    double a = fabs(s);
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;

    if (a >= 3600)
        snprintf(text, cap, "%s%.0f:%02d:%02d", sign, floor(a / 3600), (int)fmod(a / 60, 60),
                 (int)fmod(a, 60));
    else
        snprintf(text, cap, "%s%d:%0*.*f", sign, (int)(a / 60), decimals > 0 ? 3 + decimals : 2,
                 decimals, fmod(a, 60));
}

static void format_number(char *text, size_t cap, double v, double step)
{
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;

    if (fabs(v) < step * 1e-6)
        v = 0;
    if (fabs(v) >= 1e6 || decimals > 6)
        snprintf(text, cap, "%g", v);
    else
        snprintf(text, cap, "%.*f", decimals, v);
}

static void add_x_tick(writer *w, const frame *f, double at, const char *text)
{
    const double x = to_x(f, at);

    vly_buf_printf(w->to, "<path class=\"g\" d=\"M%.1f,%.1fv%.1f\"/>", x, f->top, f->height);
    add_label(w->to, x, f->top + f->height + 15, "m", text, NULL);
}

static void add_x_axis(writer *w, const frame *f, const vly_plot_panel *p)
{
    double first, step;
    char text[32];

    for (size_t i = 0; i < p->n_x_ticks; i++)
        if (p->x_ticks[i].at >= f->x_min && p->x_ticks[i].at <= f->x_max)
            add_x_tick(w, f, p->x_ticks[i].at, p->x_ticks[i].text);
    if (p->x_ticks != NULL)
        return;
    vly_plot_ticks(f->x_min, f->x_max, (unsigned)(f->width / TICK_PX_X) + 1, w->plot->is_time,
                   &first, &step);
    for (int i = 0; first + i * step <= f->x_max + step * 1e-6; i++) {
        const double v = first + i * step;
        (w->plot->is_time ? format_time : format_number)(text, sizeof(text), v, step);
        add_x_tick(w, f, v, text);
    }
}

static void add_y_axis(writer *w, const frame *f, const vly_plot_panel *p)
{
    double first, step;
    char text[32];

    vly_plot_ticks(f->y_min, f->y_max, (unsigned)(f->height / TICK_PX_Y) + 1, false, &first, &step);
    for (int i = 0; first + i * step <= f->y_max + step * 1e-6; i++) {
        double v = first + i * step, y = to_y(f, v);
        format_number(text, sizeof(text), v, step);
        vly_buf_printf(w->to, "<path class=\"g\" d=\"M%.1f,%.1fh%.1f\"/>", f->left, y, f->width);
        add_label(w->to, f->left - 7, y + 4, "e", text, NULL);
    }
    if (p->y_label == NULL && p->y_unit == NULL)
        return;
    vly_buf_printf(w->to, "<g transform=\"translate(%.1f,%.1f)rotate(-90)\">", 14.0,
                   f->top + f->height / 2);
    add_label(w->to, 0, 0, "m", p->y_label, p->y_unit);
    vly_buf_puts(w->to, "</g>\n");
}

/* ---- what is shown ------------------------------------------------------------------------- */

static double line_x(const vly_plot_line *line, size_t i)
{
    return line->x != NULL ? line->x[i] : line->x_first + (double)i * line->x_step;
}

static void add_path(vly_buf *to, bool *is_open, double x, double y)
{
    vly_buf_printf(to, "%c%.1f,%.1f", *is_open ? 'L' : 'M', x, y);
    *is_open = true;
}

/* Points of one half pixel. */
typedef struct column {
    double at, x[4], y[4]; /* first, least, greatest, last */
    size_t idx[4];
    size_t n;
} column;

static void column_put(column *c, size_t slot, size_t idx, double x, double y)
{
    c->x[slot] = x;
    c->y[slot] = y;
    c->idx[slot] = idx;
}

static void column_add(column *c, size_t idx, double x, double y)
{
    if (c->n == 0)
        for (size_t slot = 0; slot < 3; slot++)
            column_put(c, slot, idx, x, y);
    if (y < c->y[1])
        column_put(c, 1, idx, x, y);
    if (y > c->y[2])
        column_put(c, 2, idx, x, y);
    column_put(c, 3, idx, x, y);
    c->n++;
}

/* In the order of the data, each point once. */
static void column_write(column *c, vly_buf *to, bool *is_open)
{
    size_t order[4] = {0, 1, 2, 3};

    if (c->n == 0)
        return;
    if (c->idx[1] > c->idx[2]) {
        order[1] = 2;
        order[2] = 1;
    }
    for (size_t k = 0; k < 4; k++)
        if (k == 0 || c->idx[order[k]] != c->idx[order[k - 1]])
            add_path(to, is_open, c->x[order[k]], c->y[order[k]]);
    c->n = 0;
}

static void add_line(writer *w, const frame *f, const vly_plot_line *line)
{
    double margin = (f->x_max - f->x_min) / f->width * 2; /* to leave through the border */
    column c = {0};
    bool is_open = false;

    vly_buf_printf(w->to, "<path class=\"l l%d%s%s\" d=\"", (int)line->colour,
                   line->is_thin ? " t" : "", line->is_dashed ? " d" : "");
    for (size_t i = 0; i < line->n; i++) {
        double v = line_x(line, i), y = (double)line->y[i];
        bool is_before = i + 1 < line->n && line_x(line, i + 1) < f->x_min - margin;
        bool is_behind = i > 0 && line_x(line, i - 1) > f->x_max + margin;
        if (!isfinite(v) || is_before || is_behind)
            continue;
        double x = to_x(f, v), at = floor(x * 2);
        if (!isfinite(y) || c.at != at)
            column_write(&c, w->to, &is_open);
        c.at = at;
        is_open = is_open && isfinite(y);
        if (isfinite(y))
            column_add(&c, i, x, fmin(fmax(to_y(f, y), f->top - 1e5), f->top + 1e5));
    }
    column_write(&c, w->to, &is_open);
    vly_buf_puts(w->to, "\"/>\n");
}

static void add_mark(writer *w, const frame *f, vly_plot_shape shape, double x)
{
    double top = f->top, bottom = f->top + f->height;

    switch (shape) {
    case VLY_PLOT_RULE:
        vly_buf_printf(w->to, "M%.1f,%.1fV%.1f", x, top, bottom);
        break;
    case VLY_PLOT_DOWN:
        vly_buf_printf(w->to, "M%.1f,%.1fh8l-4,7z", x - 4, top + 1);
        break;
    case VLY_PLOT_UP:
        vly_buf_printf(w->to, "M%.1f,%.1fh8l-4,-7z", x - 4, bottom - 1);
        break;
    }
}

static void add_marks(writer *w, const frame *f, const vly_plot_marks *m)
{
    double last = -BIG;

    if (m->shape == VLY_PLOT_RULE)
        vly_buf_printf(w->to, "<path class=\"r l%d\" d=\"", (int)m->colour);
    else
        vly_buf_printf(w->to, "<path class=\"f%d\" d=\"", (int)m->colour);
    for (size_t i = 0; i < m->n; i++) {
        double x = to_x(f, m->x[i]);
        if (!(m->x[i] >= f->x_min && m->x[i] <= f->x_max) || x - last < 0.5)
            continue;
        add_mark(w, f, m->shape, x);
        last = x;
    }
    vly_buf_puts(w->to, "\"/>\n");
}

static void add_stretches(writer *w, const frame *f, const vly_plot_stretches *s)
{
    bool is_whole = s->bottom == 0 && s->top == 0;
    double y = f->top + (is_whole ? 0 : 1 - (double)s->top) * f->height;
    double height = (is_whole ? 1 : (double)s->top - (double)s->bottom) * f->height;
    double last = -BIG; /* right end of what is drawn */

    vly_buf_printf(w->to, "<path class=\"%sf%d\" d=\"", s->is_strong ? "" : "s ", (int)s->colour);
    for (size_t i = 0; i < s->n; i++) {
        double from = fmax(s->list[i].from, f->x_min), to = fmin(s->list[i].to, f->x_max);
        if (!(to >= from))
            continue;
        double left = fmax(to_x(f, from), last), right = to_x(f, to);
        if (right - left < 0.5 && left == last)
            continue; /* covered by the one before */
        right = fmax(right, left + 0.5);
        vly_buf_printf(w->to, "M%.1f,%.1fH%.1fv%.1fH%.1fz", left, y, right, height, left);
        last = right;
    }
    vly_buf_puts(w->to, "\"/>\n");
}

/* ---- legend -------------------------------------------------------------------------------- */

typedef struct entry {
    const char *label;
    enum { ENTRY_LINE, ENTRY_MARK, ENTRY_STRETCH } kind;
    const void *series;
} entry;

static size_t legend_entries(const vly_plot_panel *p, entry to[3 * VLY_PLOT_SERIES_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < p->n_lines; i++)
        if (p->lines[i].label != NULL)
            to[n++] = (entry){p->lines[i].label, ENTRY_LINE, &p->lines[i]};
    for (size_t i = 0; i < p->n_marks; i++)
        if (p->marks[i].label != NULL)
            to[n++] = (entry){p->marks[i].label, ENTRY_MARK, &p->marks[i]};
    for (size_t i = 0; i < p->n_stretches; i++)
        if (p->stretches[i].label != NULL)
            to[n++] = (entry){p->stretches[i].label, ENTRY_STRETCH, &p->stretches[i]};
    return n;
}

/* x: left of a field of 16 px; y: base of the text */
static void add_sample(writer *w, const entry *e, double x, double y)
{
    const vly_plot_line *line = e->series;
    const vly_plot_marks *marks = e->series;
    const vly_plot_stretches *stretches = e->series;

    switch (e->kind) {
    case ENTRY_LINE:
        vly_buf_printf(w->to, "<path class=\"l l%d%s\" d=\"M%.1f,%.1fh16\"/>", (int)line->colour,
                       line->is_dashed ? " d" : "", x, y - 4);
        break;
    case ENTRY_MARK:
        if (marks->shape == VLY_PLOT_RULE)
            vly_buf_printf(w->to, "<path class=\"r l%d\" d=\"M%.1f,%.1fv11\"/>", (int)marks->colour,
                           x + 8, y - 9);
        else
            vly_buf_printf(w->to, "<path class=\"f%d\" d=\"M%.1f,%.1fh8l-4,%dz\"/>",
                           (int)marks->colour, x + 4, y - (marks->shape == VLY_PLOT_UP ? 0 : 7),
                           marks->shape == VLY_PLOT_UP ? -7 : 7);
        break;
    case ENTRY_STRETCH:
        vly_buf_printf(w->to, "<path class=\"%sf%d\" d=\"M%.1f,%.1fh14v10h-14z\"/>",
                       stretches->is_strong ? "" : "s ", (int)stretches->colour, x + 1, y - 9);
        break;
    }
}

/* At the right, in the head of the panel. */
static void add_legend(writer *w, const frame *f, const vly_plot_panel *p)
{
    entry entries[3 * VLY_PLOT_SERIES_MAX];
    size_t n = legend_entries(p, entries);
    double x = f->left + f->width, y = f->top - 9;

    for (size_t i = 0; i < n; i++)
        x -= text_width(entries[i].label) + 36;
    x += 14;
    for (size_t i = 0; i < n; i++) {
        add_sample(w, &entries[i], x, y);
        add_label(w->to, x + 21, y, "", entries[i].label, NULL);
        x += text_width(entries[i].label) + 36;
    }
}

/* ---- the picture --------------------------------------------------------------------------- */

static void widen(double *min, double *max, double v)
{
    if (isfinite(v)) {
        *min = fmin(*min, v);
        *max = fmax(*max, v);
    }
}

/* Never empty, never turned round. */
static void settle(double *min, double *max, double pad)
{
    if (!(*min <= *max)) {
        *min = 0;
        *max = 1;
    }
    double room = (*max - *min) * pad;
    if (*max - *min <= fabs(*max) * 1e-9 || *max - *min < 1e-12)
        room = fmax(fabs(*max) * 0.1, 0.5);
    *min -= room;
    *max += room;
}

static void x_range(const vly_plot *plot, const vly_plot_panel *p, double *ret_min, double *ret_max)
{
    double min = BIG, max = -BIG;

    if (p->x_min < p->x_max) {
        min = p->x_min;
        max = p->x_max;
    } else if (plot->x_min < plot->x_max) {
        min = plot->x_min;
        max = plot->x_max;
    } else {
        for (size_t k = 0; k < plot->n_panels; k++)
            for (size_t i = 0; i < plot->panels[k].n_lines; i++) {
                const vly_plot_line *line = &plot->panels[k].lines[i];
                for (size_t j = 0; j < line->n; j++)
                    widen(&min, &max, line_x(line, j));
            }
    }
    settle(&min, &max, 0);
    *ret_min = min;
    *ret_max = max;
}

/* Of what lies in the x range. */
static void y_range(const vly_plot_panel *p, frame *f)
{
    f->y_min = p->y_min;
    f->y_max = p->y_max;
    if (p->y_min < p->y_max)
        return;
    f->y_min = BIG;
    f->y_max = -BIG;
    for (size_t i = 0; i < p->n_lines; i++)
        for (size_t j = 0; j < p->lines[i].n; j++) {
            double x = line_x(&p->lines[i], j);
            if (x >= f->x_min && x <= f->x_max)
                widen(&f->y_min, &f->y_max, (double)p->lines[i].y[j]);
        }
    settle(&f->y_min, &f->y_max, 0.06);
}

static unsigned panel_height(const vly_plot_panel *p)
{
    return p->height > 0 ? p->height : HEIGHT_DEFAULT;
}

static void add_panel(writer *w, const vly_plot_panel *p, double top)
{
    frame f = {.left = MARGIN_LEFT,
               .top = top + PANEL_HEAD,
               .width = w->width - MARGIN_LEFT - MARGIN_RIGHT,
               .height = panel_height(p)};

    x_range(w->plot, p, &f.x_min, &f.x_max);
    y_range(p, &f);
    if (p->title != NULL)
        add_label(w->to, f.left, f.top - 9, "p", p->title, NULL);
    add_legend(w, &f, p);
    add_x_axis(w, &f, p);
    add_y_axis(w, &f, p);
    vly_buf_printf(w->to,
                   "<clipPath id=\"c%zu\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                   "height=\"%.1f\"/></clipPath>\n<g clip-path=\"url(#c%zu)\">\n",
                   w->panel, f.left, f.top, f.width, f.height, w->panel);
    for (size_t i = 0; i < p->n_stretches; i++)
        add_stretches(w, &f, &p->stretches[i]);
    for (size_t i = 0; i < p->n_lines; i++)
        add_line(w, &f, &p->lines[i]);
    for (size_t i = 0; i < p->n_marks; i++)
        add_marks(w, &f, &p->marks[i]);
    vly_buf_puts(w->to, "</g>\n");
    w->panel++;
}

static vly_status check(const vly_plot *plot, vly_err *err)
{
    if (plot->n_panels < 1 || plot->n_panels > VLY_PLOT_PANELS_MAX)
        return vly_fail(err, VLY_EINVAL, "plot: expected 1 .. %d panels, got %zu",
                        VLY_PLOT_PANELS_MAX, plot->n_panels);
    if (plot->width > VLY_PLOT_WIDTH_MAX || (plot->width > 0 && plot->width < 200))
        return vly_fail(err, VLY_EINVAL, "plot: expected a width of 200 .. %d px, got %u",
                        VLY_PLOT_WIDTH_MAX, plot->width);
    for (size_t i = 0; i < plot->n_panels; i++) {
        const vly_plot_panel *p = &plot->panels[i];
        if (p->height > HEIGHT_MAX || p->n_lines > VLY_PLOT_SERIES_MAX ||
            p->n_marks > VLY_PLOT_SERIES_MAX || p->n_stretches > VLY_PLOT_SERIES_MAX)
            return vly_fail(err, VLY_EINVAL,
                            "plot: panel %zu: at most %d series of a kind, and %d px of height", i,
                            VLY_PLOT_SERIES_MAX, HEIGHT_MAX);
    }
    return VLY_OK;
}

vly_status vly_plot_svg(const vly_plot *plot, vly_buf *to, vly_err *err)
{
    vly_status st = check(plot, err);

    if (st != VLY_OK)
        return st;
    writer w = {.plot = plot, .to = to, .width = plot->width > 0 ? plot->width : WIDTH_DEFAULT};
    double y = 10 + (plot->title != NULL ? 20 : 0) + (plot->subtitle != NULL ? 18 : 0);
    double height = y + (plot->x_label != NULL ? 18 : 0) + 8;
    for (size_t i = 0; i < plot->n_panels; i++)
        height += PANEL_HEAD + panel_height(&plot->panels[i]) + PANEL_FOOT;
    vly_buf_printf(to,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                   "viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
                   w.width, height, w.width, height);
    if (plot->title != NULL) {
        vly_buf_puts(to, "<title>");
        add_text(to, plot->title);
        vly_buf_puts(to, "</title>\n");
    }
    vly_buf_puts(to, style);
    vly_buf_puts(to, "<rect class=\"bg\" width=\"100%\" height=\"100%\"/>\n");
    if (plot->title != NULL)
        add_label(to, MARGIN_LEFT, 26, "h", plot->title, NULL);
    if (plot->subtitle != NULL)
        add_label(to, MARGIN_LEFT, y - 4, "", plot->subtitle, NULL);
    for (size_t i = 0; i < plot->n_panels; i++) {
        add_panel(&w, &plot->panels[i], y);
        y += PANEL_HEAD + panel_height(&plot->panels[i]) + PANEL_FOOT;
    }
    if (plot->x_label != NULL)
        add_label(to, MARGIN_LEFT + (w.width - MARGIN_LEFT - MARGIN_RIGHT) / 2, y + 13, "m",
                  plot->x_label, plot->x_unit);
    vly_buf_puts(to, "</svg>\n");
    return to->failed ? vly_fail(err, VLY_ELIMIT, "plot: larger than %zu bytes, or out of memory",
                                 to->max_bytes)
                      : VLY_OK;
}

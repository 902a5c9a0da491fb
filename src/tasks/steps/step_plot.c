/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_plot.h"

#include "base/arena.h"
#include "codec/svg_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_BYTES_MAX ((size_t)2 << 30)
#define SHORT_S           45.0 /* at most this is shown whole */
#define EXCERPT_S         15.0
#define BOUT_S            1.5 /* a longer pause between steps ends a bout */
#define SMOOTH            2   /* cadence: over so many steps on each side */
#define TOLERANCE_S       0.1

/* Times are seconds from the first reading. */
typedef struct steps {
    vly_plot_stretch *list; /* start .. end */
    size_t n;
} steps;

typedef struct drawing {
    const vly_step_plot *in;
    vly_step_event *events; /* [in->n_events], by time */
    vly_arena arena;
    double t0_us, end_s;
    float *acc; /* [n_readings] */
    double *t;  /* [n_readings] */
    steps found;
    steps truth;
    double *starts[2], *ends[2]; /* [right, false] */
    size_t n_starts[2], n_ends[2];
    vly_plot_stretches strips[VLY_ACTIVITIES];
    vly_plot_line cadence[2];
    size_t n_cadence;
    vly_plot_line line;
    vly_plot_marks marks[4];
    vly_plot_stretches shades[2];
} drawing;

static const struct {
    const char *label;
    vly_plot_colour colour;
} activities[VLY_ACTIVITIES] = {
    [VLY_ACTIVITY_STANDING] = {"standing", VLY_PLOT_GREY},
    [VLY_ACTIVITY_WALKING] = {"walking", VLY_PLOT_BLUE},
    [VLY_ACTIVITY_STAIRS_UP] = {"stairs up", VLY_PLOT_ORANGE},
    [VLY_ACTIVITY_STAIRS_DOWN] = {"stairs down", VLY_PLOT_PURPLE},
};

static double seconds(const drawing *d, int64_t t_us)
{
    return ((double)t_us - d->t0_us) / 1e6;
}

/* Zeroed; NULL is told by vly_arena_fail. n may be 0. */
static void *scratch(drawing *d, size_t n, size_t size)
{
    return vly_arena_calloc(&d->arena, n + 1, size);
}

/* ---- what there is to show ----------------------------------------------------------------- */

typedef struct point {
    double t;
    float acc;
} point;

static int compare_points(const void *a, const void *b)
{
    const point *p = a, *q = b;
    return (p->t > q->t) - (p->t < q->t);
}

/* A clock that was set back, readings out of order. */
static bool sort_readings(drawing *d)
{
    size_t n = d->in->n_readings;
    point *points = scratch(d, n, sizeof(*points));

    if (points == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        points[i] = (point){d->t[i], d->acc[i]};
    qsort(points, n, sizeof(*points), compare_points);
    for (size_t i = 0; i < n; i++) {
        d->t[i] = points[i].t;
        d->acc[i] = points[i].acc;
    }
    return true;
}

/* Where an end and a start are one instant, the end is first. */
static int compare_events(const void *a, const void *b)
{
    const vly_step_event *p = a, *q = b;

    if (p->t_us != q->t_us)
        return p->t_us < q->t_us ? -1 : 1;
    if (p->step != q->step)
        return p->step < q->step ? -1 : 1;
    return (p->type > q->type) - (p->type < q->type);
}

static bool sort_events(drawing *d)
{
    size_t n = d->in->n_events;

    d->events = scratch(d, n, sizeof(*d->events));
    if (d->events == NULL)
        return false;
    if (n > 0)
        memcpy(d->events, d->in->events, n * sizeof(*d->events));
    qsort(d->events, n, sizeof(*d->events), compare_events);
    return true;
}

static bool take_readings(drawing *d)
{
    const vly_step_plot *in = d->in;
    bool is_ascending = true;

    d->acc = scratch(d, in->n_readings, sizeof(*d->acc));
    d->t = scratch(d, in->n_readings, sizeof(*d->t));
    if (d->acc == NULL || d->t == NULL)
        return false;
    for (size_t i = 0; i < in->n_readings; i++) {
        const float *a = in->readings[i].acc;
        d->acc[i] = sqrtf(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
        d->t[i] = seconds(d, in->readings[i].t_us);
        d->end_s = fmax(d->end_s, d->t[i]);
        is_ascending = is_ascending && (i == 0 || d->t[i] >= d->t[i - 1]);
    }
    if (!is_ascending && !sort_readings(d))
        return false;
    d->line = (vly_plot_line){
        .label = "|a|", .colour = VLY_PLOT_BLUE, .x = d->t, .y = d->acc, .n = in->n_readings};
    return true;
}

static bool take_truth(drawing *d)
{
    const vly_step_truth *truth = d->in->truth;
    size_t n = truth != NULL ? truth->n_steps : 0;

    d->truth.list = scratch(d, n, sizeof(*d->truth.list));
    if (d->truth.list == NULL)
        return false;
    for (; d->truth.n < n; d->truth.n++)
        d->truth.list[d->truth.n] =
            (vly_plot_stretch){seconds(d, truth->steps[d->truth.n].start_us),
                               seconds(d, truth->steps[d->truth.n].end_us)};
    return true;
}

/* Is a beginning, or an end, within the tolerance of t? Steps are in order: the nearest is the one
 * before or behind the place of t among them. */
static bool is_near(const steps *s, double t, bool is_end)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if ((is_end ? s->list[mid].to : s->list[mid].from) < t - TOLERANCE_S)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->n && (is_end ? s->list[low].to : s->list[low].from) <= t + TOLERANCE_S;
}

static bool take_events(drawing *d)
{
    size_t n = d->in->n_events;
    bool is_in_step = false;
    double start = 0;

    d->found.list = scratch(d, n, sizeof(*d->found.list));
    for (int k = 0; k < 2; k++) {
        d->starts[k] = scratch(d, n, sizeof(double));
        d->ends[k] = scratch(d, n, sizeof(double));
        if (d->starts[k] == NULL || d->ends[k] == NULL || d->found.list == NULL)
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        const vly_step_event *e = &d->events[i];
        double t = seconds(d, e->t_us);
        bool is_end = e->type == VLY_STEP_END;
        int is_false = d->in->truth != NULL && !is_near(&d->truth, t, is_end);
        if (is_end)
            d->ends[is_false][d->n_ends[is_false]++] = t;
        else
            d->starts[is_false][d->n_starts[is_false]++] = t;
        if (is_end && is_in_step)
            d->found.list[d->found.n++] = (vly_plot_stretch){start, t};
        is_in_step = !is_end;
        start = t;
    }
    return true;
}

/* ---- over all of it ------------------------------------------------------------------------ */

static bool is_same_bout(const steps *s, size_t a, size_t b)
{
    for (size_t i = a; i < b; i++)
        if (s->list[i + 1].from - s->list[i].to > BOUT_S)
            return false;
    return true;
}

/* Steps a minute around step i, of its bout. */
static float cadence_at(const steps *s, size_t i)
{
    size_t a = i > SMOOTH ? i - SMOOTH : 0, b = i + SMOOTH < s->n ? i + SMOOTH : s->n - 1;
    double sum = 0, n = 0;

    for (size_t k = a; k <= b; k++)
        if (is_same_bout(s, k < i ? k : i, k < i ? i : k)) {
            sum += s->list[k].to - s->list[k].from;
            n++;
        }
    return sum > 0 ? (float)(60 * n / sum) : NAN;
}

/* A point in the middle of each step, and one that is none between bouts. */
static bool add_cadence(drawing *d, const steps *s, const char *label, vly_plot_colour colour,
                        bool is_dashed)
{
    double *x = scratch(d, 2 * s->n, sizeof(*x));
    float *y = scratch(d, 2 * s->n, sizeof(*y));
    size_t n = 0;

    if (x == NULL || y == NULL)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0 && !is_same_bout(s, i - 1, i)) {
            x[n] = s->list[i].from;
            y[n++] = NAN;
        }
        x[n] = (s->list[i].from + s->list[i].to) / 2;
        y[n++] = cadence_at(s, i);
    }
    d->cadence[d->n_cadence++] = (vly_plot_line){
        .label = label, .colour = colour, .x = x, .y = y, .n = n, .is_dashed = is_dashed};
    return true;
}

static void add_stretch(drawing *d, vly_plot_stretch **lists, vly_activity a, double from,
                        double to)
{
    vly_plot_stretches *s = &d->strips[a];

    if (s->n > 0 && lists[a][s->n - 1].to >= from)
        lists[a][s->n - 1].to = to;
    else
        lists[a][s->n++] = (vly_plot_stretch){from, to};
}

/* Between one event and the next the person does what the later one says, unless it is far. */
static bool take_activities(drawing *d)
{
    vly_plot_stretch *lists[VLY_ACTIVITIES];
    double last = 0;

    for (int a = 0; a < VLY_ACTIVITIES; a++) {
        lists[a] = scratch(d, d->in->n_events + 1, sizeof(*lists[a]));
        if (lists[a] == NULL)
            return false;
        d->strips[a] = (vly_plot_stretches){.label = activities[a].label,
                                            .colour = activities[a].colour,
                                            .bottom = 0,
                                            .top = 0.07F,
                                            .is_strong = true,
                                            .list = lists[a]};
    }
    for (size_t i = 0; i < d->in->n_events; i++) {
        const vly_step_event *e = &d->events[i];
        double t = seconds(d, e->t_us);
        if (e->type == VLY_STEP_START && t - last > BOUT_S)
            add_stretch(d, lists, VLY_ACTIVITY_STANDING, last, t);
        else
            add_stretch(d, lists, e->activity, last, t);
        last = t;
    }
    if (d->end_s - last > BOUT_S)
        add_stretch(d, lists, VLY_ACTIVITY_STANDING, last, d->end_s);
    return true;
}

/* ---- excerpts ------------------------------------------------------------------------------ */

static void count_fault(const drawing *d, uint32_t *halves, double t)
{
    if (t >= 0 && t <= d->end_s)
        halves[(size_t)(t / (EXCERPT_S / 2))]++;
}

/* True events that nothing found is near to, and found ones that nothing true is near to, in each
 * half of an excerpt. */
static void count_faults(const drawing *d, uint32_t *halves)
{
    for (size_t i = 0; i < d->n_starts[1]; i++)
        count_fault(d, halves, d->starts[1][i]);
    for (size_t i = 0; i < d->n_ends[1]; i++)
        count_fault(d, halves, d->ends[1][i]);
    for (size_t i = 0; i < d->truth.n; i++) {
        if (!is_near(&d->found, d->truth.list[i].from, false))
            count_fault(d, halves, d->truth.list[i].from);
        if (!is_near(&d->found, d->truth.list[i].to, true))
            count_fault(d, halves, d->truth.list[i].to);
    }
}

/* Where the excerpt begins that has most of them; the middle without a truth. */
static double worst_excerpt(drawing *d)
{
    double worst = d->end_s / 2 - EXCERPT_S / 2, n_halves = d->end_s / (EXCERPT_S / 2) + 2;
    uint32_t *halves = NULL, most = 0;

    if (d->truth.n > 0 && n_halves < 1e6)
        halves = scratch(d, (size_t)n_halves, sizeof(*halves));
    if (halves == NULL)
        return worst;
    count_faults(d, halves);
    for (size_t k = 0; (double)k + 2 < n_halves; k++)
        if (halves[k] + halves[k + 1] > most) {
            most = halves[k] + halves[k + 1];
            worst = (double)k * (EXCERPT_S / 2);
        }
    return worst;
}

static size_t choose_excerpts(drawing *d, vly_plot_panel *to)
{
    const steps *s = d->truth.n > 0 ? &d->truth : &d->found;
    double first = s->n > 0 ? s->list[0].from - 2 : 0;
    double last = s->n > 0 ? s->list[s->n - 1].to + 2 - EXCERPT_S : d->end_s;
    double from[] = {first, worst_excerpt(d), last};
    const char *titles[] = {"The first steps",
                            d->truth.n > 0 ? "Where most is wrong" : "In the middle",
                            "The last steps"};
    size_t n = 0;

    if (d->end_s <= SHORT_S) {
        to[0].x_min = 0;
        to[0].x_max = fmax(d->end_s, 1);
        return 1;
    }
    for (; n < sizeof(from) / sizeof(from[0]); n++) {
        to[n].title = titles[n];
        to[n].x_min = fmin(fmax(from[n], 0), d->end_s - EXCERPT_S);
        to[n].x_max = to[n].x_min + EXCERPT_S;
    }
    return n;
}

/* Every other step in one colour, so that steps that touch can be told apart. */
static bool shade_steps(drawing *d, const steps *s, const char *label)
{
    for (size_t k = 0; k < 2; k++) {
        vly_plot_stretch *list = scratch(d, s->n, sizeof(*list));
        size_t n = 0;
        if (list == NULL)
            return false;
        for (size_t i = k; i < s->n; i += 2)
            list[n++] = s->list[i];
        d->shades[k] = (vly_plot_stretches){.label = k == 0 ? label : NULL,
                                            .colour = k == 0 ? VLY_PLOT_GREEN : VLY_PLOT_GREY,
                                            .list = list,
                                            .n = n};
    }
    return true;
}

/* Whole when short: width 1000 px then leaves some 20 px for a second. */
static size_t add_excerpts(drawing *d, vly_plot_panel *panels)
{
    bool has_truth = d->in->truth != NULL;
    size_t n = choose_excerpts(d, panels), n_marks = 0;

    d->marks[n_marks++] =
        (vly_plot_marks){"start", VLY_PLOT_PURPLE, VLY_PLOT_DOWN, d->starts[0], d->n_starts[0]};
    d->marks[n_marks++] =
        (vly_plot_marks){"end", VLY_PLOT_PURPLE, VLY_PLOT_UP, d->ends[0], d->n_ends[0]};
    if (has_truth) {
        d->marks[n_marks++] = (vly_plot_marks){"not within 100 ms", VLY_PLOT_RED, VLY_PLOT_DOWN,
                                               d->starts[1], d->n_starts[1]};
        d->marks[n_marks++] =
            (vly_plot_marks){NULL, VLY_PLOT_RED, VLY_PLOT_UP, d->ends[1], d->n_ends[1]};
    }
    for (size_t i = 0; i < n; i++) {
        panels[i].y_label = "acceleration";
        panels[i].y_unit = "m/s\xC2\xB2";
        panels[i].lines = &d->line;
        panels[i].n_lines = 1;
        panels[i].marks = d->marks;
        panels[i].n_marks = n_marks;
        panels[i].stretches = d->shades;
        panels[i].n_stretches = 2;
    }
    return n;
}

static vly_status draw(drawing *d, vly_buf *to, vly_err *err)
{
    vly_plot_panel panels[4] = {0};
    char subtitle[128];

    if (d->in->truth != NULL)
        snprintf(subtitle, sizeof(subtitle), "%zu steps found, %zu true", d->found.n, d->truth.n);
    else
        snprintf(subtitle, sizeof(subtitle), "%zu steps found", d->found.n);
    panels[0] = (vly_plot_panel){.title = "Cadence and activity",
                                 .y_label = "steps per minute",
                                 .height = 110,
                                 .lines = d->cadence,
                                 .n_lines = d->n_cadence,
                                 .stretches = d->strips,
                                 .n_stretches = VLY_ACTIVITIES,
                                 .x_min = 0,
                                 .x_max = fmax(d->end_s, 1)};
    vly_plot plot = {.title = d->in->title,
                     .subtitle = d->in->subtitle != NULL ? d->in->subtitle : subtitle,
                     .x_label = "time",
                     .x_unit = "min:s",
                     .is_time = true,
                     .panels = panels,
                     .n_panels = 1 + add_excerpts(d, panels + 1)};
    return vly_plot_svg(&plot, to, err);
}

vly_status vly_step_plot_svg(const vly_step_plot *plot, vly_buf *to, vly_err *err)
{
    drawing d = {.in = plot};
    vly_status st;

    if (plot->n_readings == 0)
        return vly_fail(err, VLY_EINVAL, "plot: no readings");
    d.t0_us = (double)plot->readings[0].t_us;
    vly_arena_init(&d.arena, VLY_MEM_BASE, 1 << 16, SCRATCH_BYTES_MAX);
    bool ok = sort_events(&d) && take_readings(&d) && take_truth(&d) && take_events(&d) &&
              take_activities(&d) &&
              add_cadence(&d, &d.found, plot->truth != NULL ? "found" : NULL, VLY_PLOT_BLUE, false);
    if (ok && plot->truth != NULL)
        ok = add_cadence(&d, &d.truth, "true", VLY_PLOT_GREEN, true);
    if (ok)
        ok = shade_steps(&d, plot->truth != NULL ? &d.truth : &d.found,
                         plot->truth != NULL ? "true step" : "step");
    st = ok ? draw(&d, to, err) : vly_arena_fail(&d.arena, err);
    vly_arena_release(&d.arena);
    return st;
}

/* SPDX-License-Identifier: MIT */
/*
 * Time series as SVG: panels below each other, each with shaded stretches, lines and marks over an
 * axis of its own. Readable on light and on dark ground, in a browser and in print.
 *
 * The size of the picture is bounded by its width, not by the data: a line is reduced to first,
 * least, greatest and last point of each half pixel, so no peak is lost; marks and stretches that
 * fall on one half pixel become one. Text is escaped; bytes that are not UTF-8 become U+FFFD.
 * A value that is not finite interrupts its line.
 *
 *     vly_plot_line a = {.label = "|a|", .y = y, .n = n, .x_step = 0.0125};
 *     vly_plot_panel p = {.y_label = "acceleration", .y_unit = "m/s2", .lines = &a, .n_lines = 1};
 *     vly_plot plot = {.title = "walk.csv", .x_label = "time", .is_time = true, .panels = &p,
 *                      .n_panels = 1};
 */
#ifndef VLY_CODEC_SVG_PLOT_H
#define VLY_CODEC_SVG_PLOT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum vly_plot_colour {
    VLY_PLOT_BLUE,
    VLY_PLOT_ORANGE,
    VLY_PLOT_GREEN,
    VLY_PLOT_RED,
    VLY_PLOT_PURPLE,
    VLY_PLOT_GREY,
    VLY_PLOT_COLOURS,
} vly_plot_colour;

/* Labels show in the legend of the panel; NULL: not there. All is borrowed until the writer has
 * returned. */
typedef struct vly_plot_line {
    const char *label;
    vly_plot_colour colour;
    bool is_thin, is_dashed;
    const double *x; /* ascending; NULL: x_first + i * x_step */
    double x_first, x_step;
    const float *y;
    size_t n;
} vly_plot_line;

typedef enum vly_plot_shape {
    VLY_PLOT_RULE, /* a thin line from bottom to top */
    VLY_PLOT_DOWN, /* a triangle at the top, pointing down */
    VLY_PLOT_UP,   /* a triangle at the bottom, pointing up */
} vly_plot_shape;

typedef struct vly_plot_marks {
    const char *label;
    vly_plot_colour colour;
    vly_plot_shape shape;
    const double *x; /* ascending */
    size_t n;
} vly_plot_marks;

typedef struct vly_plot_stretch {
    double from, to;
} vly_plot_stretch;

typedef struct vly_plot_stretches {
    const char *label;
    vly_plot_colour colour;
    float bottom, top;            /* share of the panel's height, 0 .. 1; both 0: all of it */
    bool is_strong;               /* a coloured strip; else a tint behind the lines */
    const vly_plot_stretch *list; /* ascending */
    size_t n;
} vly_plot_stretches;

/* A place on the x axis, for axes that are not linear: x is its logarithm, say, and the text tells
 * the number. */
typedef struct vly_plot_tick {
    double at;
    const char *text;
} vly_plot_tick;

typedef struct vly_plot_panel {
    const char *title;            /* may be NULL */
    const char *y_label, *y_unit; /* either may be NULL */
    double y_min, y_max;          /* equal: of the data */
    double x_min, x_max;          /* equal: those of the plot */
    const vly_plot_tick *x_ticks; /* NULL: numbers */
    size_t n_x_ticks;
    unsigned height; /* of the axes, in px; 0: 160 */
    const vly_plot_line *lines;
    size_t n_lines;
    const vly_plot_marks *marks;
    size_t n_marks;
    const vly_plot_stretches *stretches;
    size_t n_stretches;
} vly_plot_panel;

#define VLY_PLOT_PANELS_MAX 16
#define VLY_PLOT_SERIES_MAX 32 /* of each kind in a panel */
#define VLY_PLOT_WIDTH_MAX  8192

typedef struct vly_plot {
    const char *title, *subtitle; /* either may be NULL */
    const char *x_label, *x_unit; /* below the last panel */
    bool is_time;                 /* x is in seconds: ticks as 0:30, 1:00 */
    double x_min, x_max;          /* equal: of the lines */
    unsigned width;               /* px; 0: 1000 */
    const vly_plot_panel *panels;
    size_t n_panels;
} vly_plot;

/* Appends the picture. EINVAL: sizes or numbers of things past the limits; ELIMIT: past the maximum
 * of the buffer, or out of memory. */
vly_status vly_plot_svg(const vly_plot *plot, vly_buf *to, vly_err *err) VLY_MUST_CHECK;

/* At most about n_wanted + 1 round numbers (1, 2, 5 times a power of ten; of time: 1, 2, 5, 10, 15,
 * 30 s, min, h) cover min .. max: the least of them and their distance. */
void vly_plot_ticks(double min, double max, unsigned n_wanted, bool is_time, double *ret_first,
                    double *ret_step);

#endif

/* SPDX-License-Identifier: MIT */
#include "train/steps/step_report.h"

#include "base/mem.h"
#include "codec/svg_plot.h"
#include "prep/imu/imu_features.h"

#include <math.h>
#include <string.h>

#define MS(readings) ((double)(readings)*1000 / VLY_IMU_FEATURES_RATE_HZ)

/* ---- table --------------------------------------------------------------------------------- */

static void add_head(vly_buf *out)
{
    vly_buf_puts(out, "| left out | steps | start 50 ms | end 50 ms | start 100 ms | end 100 ms | "
                      "count error | bias | false/min | delay p50, max ms |\n"
                      "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
}

void vly_step_report_row(const char *name, const vly_step_score *s, vly_buf *out)
{
    double n = s->n_true > 0 ? (double)s->n_true : 1;
    double minutes = s->standing_s > 0 ? s->standing_s / 60 : 1;

    vly_buf_printf(out,
                   "| %s | %llu | %.3f | %.3f | %.3f | %.3f | %.1f %% | %+.1f %% | %.2f | %.0f, "
                   "%.0f |\n",
                   name, (unsigned long long)s->n_true, vly_match_f1(&s->match[0][0]),
                   vly_match_f1(&s->match[1][0]), vly_match_f1(&s->match[0][1]),
                   vly_match_f1(&s->match[1][1]), 100 * s->abs_count_error / n,
                   100 * s->signed_count_error / n, (double)s->n_false_standing / minutes,
                   vly_step_score_delay(s, 0.5), s->delay_ms_max);
}

static void add_mean(const vly_step_cross *c, vly_buf *out)
{
    double f1[2][VLY_STEP_TOLERANCES] = {{0}}, n = (double)c->n_persons;

    for (size_t p = 0; p < c->n_persons; p++)
        for (int type = 0; type < 2; type++)
            for (int k = 0; k < VLY_STEP_TOLERANCES; k++)
                f1[type][k] += vly_match_f1(&c->scores[p].match[type][k]) / n;
    vly_buf_printf(out, "| mean | | %.3f | %.3f | %.3f | %.3f | | | | |\n", f1[0][0], f1[1][0],
                   f1[0][1], f1[1][1]);
}

void vly_step_report_table(const vly_step_tracks *tracks, const vly_step_cross *cross, vly_buf *out)
{
    add_head(out);
    for (size_t p = 0; p < cross->n_persons; p++)
        vly_step_report_row(tracks->set.persons[p], &cross->scores[p], out);
    add_mean(cross, out);
    vly_step_report_row("pooled", &cross->pooled, out);
}

/* ---- card ---------------------------------------------------------------------------------- */

static void add_data(const vly_step_report *r, vly_buf *out)
{
    size_t n_steps = 0;

    for (size_t i = 0; i < r->tracks->set.n_recordings; i++)
        n_steps += r->tracks->tracks[i].n_steps;
    vly_buf_printf(out,
                   "\n## Data\n"
                   "%zu persons, %zu recordings, %.1f minutes, %zu steps, 80 Hz, held in the "
                   "hand: extracts of\nSIMUL, \"Synchronized IMU Dataset of Walking People at Six "
                   "Body Locations\", by the simpleLoc group\n"
                   "(https://simpleloc.github.io/SIMUL-dataset), licensed CC BY-SA 4.0\n"
                   "(https://creativecommons.org/licenses/by-sa/4.0/). Changed here: resampled "
                   "windows, augmented, made\ninto features. The model is shared under the same "
                   "licence.\n",
                   r->tracks->set.n_persons, r->tracks->set.n_recordings,
                   (double)r->tracks->n_readings / VLY_IMU_FEATURES_RATE_HZ / 60, n_steps);
}

static void add_net(const vly_step_report *r, vly_buf *out)
{
    const vly_step_fit_opts *o = r->opts;
    const vly_step_decoder_rule *rule = r->cross != NULL ? &r->cross->rule : &o->rule;

    vly_buf_printf(out,
                   "\n## Net\n"
                   "%zu parameters: frames of %d readings (%.0f ms), dense %d with relu, %d GRU "
                   "of %d, two heads\n(start and end of each reading; activity). It speaks of "
                   "readings %.0f ms back. Features: version %d of\nsrc/prep/imu/imu_features.h.\n",
                   r->n_params, o->net.hop, MS(o->net.hop), o->net.dense, o->net.n_layers,
                   o->net.hidden, MS(o->shape.delay), VLY_IMU_FEATURES_VERSION);
    vly_buf_printf(out,
                   "Decoder%s: mean of %d readings, first threshold %.2f, then %.2f falling\nto "
                   "%.2f from %.0f to %.0f ms after a boundary; at least %.0f ms between "
                   "boundaries.\n",
                   r->cross != NULL ? ", chosen over the persons left out" : "",
                   2 * rule->smooth + 1, (double)rule->threshold_first,
                   (double)rule->threshold_early, (double)rule->threshold_due, MS(rule->fall_from),
                   MS(rule->fall_to), MS(rule->min_gap));
}

static void add_training(const vly_step_report *r, vly_buf *out)
{
    const vly_step_fit_opts *o = r->opts;
    const vly_step_changes *c = &o->changes;

    vly_buf_printf(out,
                   "\n## Training\n    %s\n\n"
                   "Seed %llu, %u epochs, batches of %zu windows of %.0f s, AdamW (rate %g, "
                   "cosine; decay %g), average of\nthe weights (%g). Windows are changed at "
                   "random: speed e^+-%.2g, size of motion e^+-%.2g, place of the\nsensor by "
                   "%.2g m, low-pass of up to %.2g readings, noise, bias; %.0f %% in a "
                   "mirror, %.0f %% without gyroscope.\n![learning curves](curves.svg)\n",
                   r->command, (unsigned long long)o->seed, o->n_epochs, o->n_parts * (size_t)o->n,
                   MS(o->shape.frames * o->shape.hop) / 1000, (double)o->rate, (double)o->decay,
                   (double)o->average, (double)c->speed, (double)c->size, (double)c->lever,
                   (double)c->smooth, 100 * (double)c->mirror, 100 * (double)c->no_gyro);
}

void vly_step_report_card(const vly_step_report *r, vly_buf *out)
{
    vly_buf_puts(out,
                 "# steps: model card\n"
                 "`steps.onnx` finds beginnings and ends of steps in readings of a hand-held "
                 "motion sensor, and says\nwhether the person stands, walks or takes stairs "
                 "(interface: `src/tasks/steps/step_model.h`). It is\nbuilt into `volley`. This "
                 "page is written by the command below.\n");
    if (r->cross != NULL) {
        vly_buf_puts(out, "\n## How good it is with persons it has not seen\n"
                          "F1 of starts and ends, matched one to one within 50 and 100 ms; each "
                          "row is a net of its own that\nlearned from the others, thresholds "
                          "chosen among them too. Count error: sum of |found - true| over\n"
                          "recordings; false/min: steps in a minute of standing.\n\n");
        vly_step_report_table(r->tracks, r->cross, out);
    }
    add_data(r, out);
    add_net(r, out);
    add_training(r, out);
    vly_buf_puts(out,
                 "\n## Limits\n"
                 "Hand-held walking and stairs only, adults, one kind of sensor. Trouser pocket, "
                 "wrist, running, cycling,\nelevators: not trained, not measured. Labels are made "
                 "from foot sensors and are uncertain by 25 to 30 ms\n(standard deviation). Stairs "
                 "differ most from person to person.\n");
}

/* ---- curves -------------------------------------------------------------------------------- */

/* Column `what` of the history, over epochs; those with no number are left out. */
static size_t column(const vly_train_history *h, int what, double *x, float *y)
{
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        if (isnan(h->rows[i][what]))
            continue;
        x[n] = (double)(i + 1);
        y[n++] = h->rows[i][what];
    }
    return n;
}

vly_status vly_step_report_curves(const vly_step_report *r, vly_buf *out, vly_err *err)
{
    enum { LINES = 4 };
    static const struct {
        int what;
        const char *label;
        vly_plot_colour colour;
    } lines[LINES] = {
        {VLY_STEP_CURVE_EVENTS, "events", VLY_PLOT_BLUE},
        {VLY_STEP_CURVE_ACTIVITY, "activity", VLY_PLOT_ORANGE},
        {VLY_STEP_CURVE_F1_50, "within 50 ms", VLY_PLOT_BLUE},
        {VLY_STEP_CURVE_F1_100, "within 100 ms", VLY_PLOT_GREEN},
    };
    size_t n = r->history->n > 0 ? r->history->n : 1;
    double *x = vly_calloc(VLY_MEM_MODEL, LINES * n, sizeof(*x));
    float *y = vly_calloc(VLY_MEM_MODEL, LINES * n, sizeof(*y));
    vly_plot_line line[LINES];
    vly_status st = VLY_OK;

    if (x == NULL || y == NULL) {
        vly_free(x);
        vly_free(y);
        return vly_fail(err, VLY_ENOMEM, "curves: out of memory");
    }
    for (size_t i = 0; i < LINES; i++)
        line[i] = (vly_plot_line){.label = lines[i].label,
                                  .colour = lines[i].colour,
                                  .x = x + i * n,
                                  .y = y + i * n,
                                  .n = column(r->history, lines[i].what, x + i * n, y + i * n)};
    const vly_plot_panel panels[] = {
        {.title = "loss", .y_label = "cross-entropy", .lines = line, .n_lines = 2},
        {.title = r->judged, .y_label = "F1", .lines = line + 2, .n_lines = 2},
    };
    st = vly_plot_svg(&(vly_plot){.title = "training of the step model",
                                  .subtitle = r->command,
                                  .x_label = "epoch",
                                  .panels = panels,
                                  .n_panels = 2},
                      out, err);
    vly_free(x);
    vly_free(y);
    return st;
}

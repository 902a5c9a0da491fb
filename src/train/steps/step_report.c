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
    size_t n_persons = 0, n_recordings = 0, n_readings = 0, n_steps = 0;

    for (uint64_t bits = r->persons; bits != 0; bits &= bits - 1)
        n_persons++;
    for (size_t i = 0; i < r->tracks->set.n_recordings; i++) {
        const vly_step_track *t = &r->tracks->tracks[i];
        if ((r->persons >> t->person & 1) == 0)
            continue;
        n_recordings++;
        n_readings += t->n;
        n_steps += t->n_steps;
    }
    vly_buf_printf(out,
                   "\n## Data\n"
                   "Learned from %zu persons, %zu recordings, %.1f minutes, %zu steps; in windows "
                   "at %d Hz, changed at random and made\ninto features. Credit and licence of "
                   "the recordings: %s.\n",
                   n_persons, n_recordings, (double)n_readings / VLY_IMU_FEATURES_RATE_HZ / 60,
                   n_steps, VLY_IMU_FEATURES_RATE_HZ,
                   r->origin->credit != NULL ? r->origin->credit : "not stated");
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
                   "mirror, %.0f %% without gyroscope.\nNet, changes and the defaults of "
                   "epochs and look-ahead were chosen with all six persons of SIMUL in view\n"
                   "(sensor in the hand): figures of those persons are mildly optimistic.\n"
                   "![learning curves](curves.svg)\n",
                   r->origin->command, (unsigned long long)o->seed, o->n_epochs,
                   o->n_parts * (size_t)o->n, MS(o->shape.frames * o->shape.hop) / 1000,
                   (double)o->rate, (double)o->decay, (double)o->average, (double)c->speed,
                   (double)c->size, (double)c->lever, (double)c->smooth, 100 * (double)c->mirror,
                   100 * (double)c->no_gyro);
}

/* Among the persons left out the one with the lowest figure. */
static size_t worst_person(const vly_step_cross *c)
{
    size_t worst = 0;

    for (size_t p = 1; p < c->n_persons; p++)
        if (vly_step_figure(&c->scores[p]) < vly_step_figure(&c->scores[worst]))
            worst = p;
    return worst;
}

static void add_limits(const vly_step_report *r, vly_buf *out)
{
    vly_buf_puts(out, "\n## Limits\n"
                      "Standing, walking and stairs with the sensor in the hand, as in these "
                      "recordings. Other places of the sensor,\nother ways to move and persons "
                      "unlike these were not measured. Times are as good as the labels are.\n");
    if (r->cross == NULL)
        return;
    size_t p = worst_person(r->cross);
    const vly_step_score *s = &r->cross->scores[p];
    vly_buf_printf(out,
                   "Persons differ. Worst is %s: F1 %.2f within 50 ms and %.2f within 100 ms "
                   "(starts), %.2f false steps in a minute\nof standing.\n",
                   r->tracks->set.persons[p], vly_match_f1(&s->match[0][0]),
                   vly_match_f1(&s->match[0][1]),
                   s->standing_s > 0 ? 60 * (double)s->n_false_standing / s->standing_s : 0);
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
    add_limits(r, out);
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
                                  .subtitle = r->origin->command,
                                  .x_label = "epoch",
                                  .panels = panels,
                                  .n_panels = 2},
                      out, err);
    vly_free(x);
    vly_free(y);
    return st;
}

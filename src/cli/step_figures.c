/* SPDX-License-Identifier: MIT */
#include "cli/step_figures.h"

#include "base/assert.h"

static double late_share(const vly_step_score *s, size_t delay_ms)
{
    size_t n_late = 0;

    for (size_t k = delay_ms + 1; k < VLY_COUNT(s->delay_ms); k++)
        n_late += s->delay_ms[k];
    return s->n_delays > 0 ? (double)n_late / (double)s->n_delays : 0;
}

vly_step_figures vly_step_figures_of(const vly_step_score *s, size_t delay_ms)
{
    double n = s->n_true > 0 ? (double)s->n_true : 1;
    vly_step_figures f = {.n_true = (double)s->n_true,
                          .n_found = (double)s->n_found,
                          .count_error = s->abs_count_error / n,
                          .bias = s->signed_count_error / n,
                          .standing_s = s->standing_s,
                          .delay_p50 = vly_step_score_delay(s, 0.5),
                          .delay_p95 = vly_step_score_delay(s, 0.95),
                          .delay_max = s->delay_ms_max,
                          .late = late_share(s, delay_ms)};

    if (s->standing_s > 0)
        f.false_per_minute = (double)s->n_false_standing / (s->standing_s / 60);
    for (int type = 0; type < 2; type++) {
        uint64_t n_hit = s->match[type][VLY_STEP_TOLERANCES - 1].n_hit;
        for (int k = 0; k < VLY_STEP_TOLERANCES; k++)
            f.f1[type][k] = vly_match_f1(&s->match[type][k]);
        f.offset_ms[type] = n_hit > 0 ? s->offset_ms_sum[type] / (double)n_hit : 0;
    }
    return f;
}

void vly_step_figures_json(vly_buf *b, const vly_step_figures *f)
{
    vly_buf_printf(b,
                   "\"true\":%.10g,\"found\":%.10g,\"f1\":{\"50\":{\"start\":%.6f,\"end\":%.6f},"
                   "\"100\":{\"start\":%.6f,\"end\":%.6f}},\"count_error\":%.6f,\"bias\":%.6f,"
                   "\"standing_s\":%.3f,\"false_per_standing_minute\":%.4f,\"delay_ms\":{\"p50\":"
                   "%.1f,\"p95\":%.1f,\"max\":%.1f},\"offset_ms\":{\"start\":%.2f,\"end\":%.2f}",
                   f->n_true, f->n_found, f->f1[0][0], f->f1[1][0], f->f1[0][1], f->f1[1][1],
                   f->count_error, f->bias, f->standing_s, f->false_per_minute, f->delay_p50,
                   f->delay_p95, f->delay_max, f->offset_ms[0], f->offset_ms[1]);
}

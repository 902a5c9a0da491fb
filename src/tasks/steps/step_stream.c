/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_stream.h"

#include "tasks/steps/step_segment.h"

#include <math.h>
#include <string.h>

#define SECOND_US 1000000

void vly_step_stream_init(vly_step_stream *s, const vly_step_model *m, bool has_gyro)
{
    memset(s, 0, sizeof(*s)); /* the padding, too: streams are compared and stored as bytes */
    s->version = VLY_STEP_STREAM_VERSION;
    s->model = m->tag;
    s->has_gyro = has_gyro;
    vly_imu_grid_init(&s->grid, m->rate_hz);
    vly_imu_features_init(&s->features);
    vly_step_decoder_init(&s->decoder);
}

static bool is_bool(const bool *b)
{
    return *(const unsigned char *)b <= 1;
}

/* NaN is not. */
static bool are_within(const float *x, size_t n, float least, float most)
{
    for (size_t i = 0; i < n; i++)
        if (!(x[i] >= least && x[i] <= most))
            return false;
    return true;
}

static bool are_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* Means of readings that were within their range, with room for rounding. */
static bool are_values(const float *x, size_t n)
{
    return are_within(x, n, -2 * VLY_IMU_ACC_MAX, 2 * VLY_IMU_ACC_MAX);
}

static bool is_segment(const vly_step_stream *s, const vly_step_model *m)
{
    const vly_imu_grid *g = &s->grid;
    uint64_t n_known = s->n_run > m->delay ? s->n_run - m->delay : 0;

    if (s->n_run % m->hop != 0 || s->n_run + s->n_frame != s->n_segment ||
        s->n_segment > (g->has_last != 0 ? g->n_points : 0) || s->decoder.n != n_known)
        return false;
    return s->n_segment == 0 || (s->t_first_us >= g->t_first_us && s->t_first_us <= g->t_last_us);
}

static bool is_decoder(const vly_step_decoder *d)
{
    return d->has_boundary <= 1 && d->is_in_step <= 1 && d->boundary <= d->n &&
           are_within(d->p_start, VLY_STEP_PAST, 0, 1) &&
           are_within(d->p_end, VLY_STEP_PAST, 0, 1) && are_within(d->start, VLY_STEP_PAST, 0, 1) &&
           are_within(d->end, VLY_STEP_PAST, 0, 1);
}

bool vly_step_stream_valid(const vly_step_stream *s, size_t n_bytes, const vly_step_model *m)
{
    return n_bytes == sizeof(*s) && s->version == VLY_STEP_STREAM_VERSION && s->model == m->tag &&
           s->n_frame < m->hop && s->activity < VLY_ACTIVITIES && is_bool(&s->has_gyro) &&
           vly_imu_grid_valid(&s->grid, m->rate_hz) && is_segment(s, m) &&
           is_decoder(&s->decoder) && s->features.has_gravity <= 1 &&
           are_values(s->features.gravity, 4) && are_values(s->features.late, 4) &&
           are_values(s->motion[0], sizeof(s->motion) / sizeof(float)) &&
           are_finite(s->state, VLY_STEP_HIDDEN_MAX);
}

/* ---- readings to frames ------------------------------------------------------------------- */

static bool is_full(vly_step_stream *s, const vly_step_model *m)
{
    if (++s->n_frame < m->hop)
        return false;
    s->n_frame = 0;
    return true;
}

bool vly_step_segment_take(vly_step_stream *s, const vly_step_model *m,
                           const vly_imu_reading *point)
{
    float *to = s->motion[s->n_frame];

    if (s->n_segment++ == 0)
        s->t_first_us = point->t_us;
    memcpy(to, point->acc, sizeof(point->acc));
    memcpy(to + 3, point->gyro, sizeof(point->gyro));
    return is_full(s, m);
}

bool vly_step_segment_pad(vly_step_stream *s, const vly_step_model *m)
{
    size_t last = s->n_frame == 0 ? m->hop - 1 : s->n_frame - 1U;

    memmove(s->motion[s->n_frame], s->motion[last], sizeof(s->motion[0]));
    return is_full(s, m);
}

void vly_step_segment_frame(vly_step_stream *s, const vly_step_model *m, float *ret)
{
    vly_imu_features_run(&s->features, (const float(*)[VLY_IMU_AXES])s->motion, m->hop, s->has_gyro,
                         ret);
    ret[vly_step_model_width(m) - 1] = s->has_gyro ? 1.0F : 0.0F;
}

unsigned vly_step_segment_pads(const vly_step_stream *s, const vly_step_model *m)
{
    unsigned n = m->delay + m->rule.smooth + m->rule.confirm, over = (s->n_frame + n) % m->hop;

    if (s->n_segment < VLY_STEP_LEAST)
        return 0;
    return over == 0 ? n : n + m->hop - over;
}

/* ---- outputs to events -------------------------------------------------------------------- */

/* Time of a reading of the grid. */
static int64_t time_of(const vly_step_stream *s, const vly_step_model *m, uint64_t reading)
{
    return s->t_first_us + (int64_t)((reading * SECOND_US + m->rate_hz / 2) / m->rate_hz);
}

static int64_t time_of_peak(const vly_step_stream *s, const vly_step_model *m,
                            const vly_step_peak *peak)
{
    float period_us = (float)SECOND_US / (float)m->rate_hz;
    return time_of(s, m, peak->reading) + (int64_t)floorf(peak->after * period_us + 0.5F);
}

static vly_activity likeliest(const float *activity)
{
    int best = 0;

    for (int i = 1; i < VLY_ACTIVITIES; i++)
        if (activity[i] > activity[best])
            best = i;
    return (vly_activity)best;
}

void vly_step_segment_decode(vly_step_stream *s, const vly_step_model *m, const float *events,
                             const float *activity, vly_step_event_fn on_events, void *arg)
{
    vly_step_event told[VLY_STEP_HOP_MAX * VLY_STEP_PEAKS_MAX];
    vly_step_peak peaks[VLY_STEP_PEAKS_MAX];
    size_t n_told = 0;
    uint64_t first = s->n_run;
    unsigned ahead = (unsigned)m->rule.smooth + m->rule.confirm;

    s->n_run += m->hop;
    s->totals.n_net += m->hop;
    s->activity = (uint8_t)likeliest(activity);
    uint64_t last = s->n_run < s->n_segment ? s->n_run : s->n_segment;
    int64_t known_us = time_of(s, m, last - 1);
    for (unsigned i = 0; i < m->hop; i++) {
        if (first + i < m->delay || first + i >= s->n_segment + m->delay + ahead)
            continue; /* speaks of nothing in this segment */
        if (first + i - m->delay < s->n_segment)
            s->totals.n_activity[s->activity]++;
        size_t n = vly_step_decoder_next(&s->decoder, &m->rule, events[2 * (size_t)i],
                                         events[2 * (size_t)i + 1], activity[VLY_ACTIVITY_STANDING],
                                         peaks);
        for (size_t k = 0; k < n; k++)
            told[n_told++] = (vly_step_event){.type = peaks[k].type,
                                              .activity = (vly_activity)s->activity,
                                              .step = peaks[k].step,
                                              .t_us = time_of_peak(s, m, &peaks[k]),
                                              .known_us = known_us,
                                              .confidence = peaks[k].confidence};
    }
    s->totals.n_steps = s->decoder.n_steps;
    if (n_told > 0 && on_events != NULL)
        on_events(arg, told, n_told);
}

void vly_step_segment_break(vly_step_stream *s)
{
    s->n_frame = 0;
    s->n_segment = s->n_run = 0;
    memset(s->motion, 0, sizeof(s->motion));
    memset(s->state, 0, sizeof(s->state));
    vly_imu_features_init(&s->features);
    vly_step_decoder_break(&s->decoder);
}

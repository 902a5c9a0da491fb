/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_baseline.h"

#include <math.h>

#define METRONOME_US   525000
#define MOVING_SPREAD  0.6 /* m/s^2, standard deviation */
#define MOVING_SECONDS 1.0
#define GRAVITY        9.81

const vly_step_peak_rule vly_step_peak_rule_default = {
    .cutoff_hz = 2.5, .least = 0.7, .min_gap_s = 0.25, .max_step_s = 0.9, .offset_s = 0.142};

/* Puts down a step that is complete: its beginning and its end. */
static void add_step(vly_step_event_list *to, int64_t start_us, int64_t start_known_us,
                     int64_t end_us, int64_t end_known_us)
{
    uint64_t step = to->n / 2 + 1;
    const vly_step_event events[] = {
        {VLY_STEP_START, VLY_ACTIVITY_WALKING, step, start_us, start_known_us, 1},
        {VLY_STEP_END, VLY_ACTIVITY_WALKING, step, end_us, end_known_us, 1},
    };

    vly_step_event_list_add(to, events, 2);
}

/* ---- metronome ----------------------------------------------------------------------------- */

static bool is_moving(const vly_imu_reading *last, size_t n)
{
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++) {
        double a = vly_imu_length(last[i].acc);
        sum += a;
        squares += a * a;
    }
    double mean = sum / (double)n;
    return squares / (double)n - mean * mean > MOVING_SPREAD * MOVING_SPREAD;
}

void vly_step_metronome(const vly_imu_reading *readings, size_t n, double rate_hz,
                        vly_step_event_list *to)
{
    size_t window = (size_t)(MOVING_SECONDS * rate_hz);
    int64_t begun_us = 0;
    bool is_in_step = false;

    for (size_t i = window; i < n; i++) {
        int64_t now_us = readings[i].t_us;
        if (is_in_step && now_us - begun_us >= METRONOME_US) {
            int64_t end_us = begun_us + METRONOME_US;
            add_step(to, begun_us, begun_us, end_us, end_us);
            begun_us = end_us;
            is_in_step = is_moving(readings + i - window, window);
        } else if (!is_in_step && is_moving(readings + i - window, window)) {
            begun_us = now_us;
            is_in_step = true;
        }
    }
}

/* ---- peaks --------------------------------------------------------------------------------- */

/* y = b0 x + b1 x1 + b2 x2 - a1 y1 - a2 y2 */
typedef struct biquad {
    double b0, b1, b2, a1, a2;
    double x1, x2, y1, y2;
} biquad;

/* Bilinear transform of the Butterworth low-pass; at rest at the level given. */
static biquad low_pass(double cutoff_hz, double rate_hz, double level)
{
    double k = tan(M_PI * cutoff_hz / rate_hz);
    double norm = 1 / (1 + M_SQRT2 * k + k * k);

    return (biquad){.b0 = k * k * norm,
                    .b1 = 2 * k * k * norm,
                    .b2 = k * k * norm,
                    .a1 = 2 * (k * k - 1) * norm,
                    .a2 = (1 - M_SQRT2 * k + k * k) * norm,
                    .x1 = level,
                    .x2 = level,
                    .y1 = level,
                    .y2 = level};
}

static double filter(biquad *f, double x)
{
    double y = f->b0 * x + f->b1 * f->x1 + f->b2 * f->x2 - f->a1 * f->y1 - f->a2 * f->y2;

    f->x2 = f->x1;
    f->x1 = x;
    f->y2 = f->y1;
    f->y1 = y;
    return y;
}

typedef struct peak_steps {
    const vly_step_peak_rule *rule;
    vly_step_event_list *to;
    int64_t start_us, known_us, peak_us; /* of the step at hand */
    bool is_in_step;
} peak_steps;

static int64_t us(double s)
{
    return llround(s * 1e6);
}

static void end_step(peak_steps *p, int64_t end_us, int64_t now_us)
{
    if (p->is_in_step)
        add_step(p->to, p->start_us, p->known_us, end_us, now_us);
    p->is_in_step = false;
}

static void take_peak(peak_steps *p, int64_t peak_us, int64_t now_us)
{
    int64_t start_us = peak_us - us(p->rule->offset_s);

    end_step(p, start_us, now_us);
    *p = (peak_steps){p->rule, p->to, start_us, now_us, peak_us, true};
}

void vly_step_peaks(const vly_step_peak_rule *rule, const vly_imu_reading *readings, size_t n,
                    double rate_hz, vly_step_event_list *to)
{
    peak_steps p = {.rule = rule, .to = to};
    biquad f = low_pass(rule->cutoff_hz, rate_hz, GRAVITY);
    double before = GRAVITY;

    for (size_t i = 0; i < n; i++) {
        double last = f.y1;
        double y = filter(&f, vly_imu_length(readings[i].acc));
        int64_t now_us = readings[i].t_us;
        if (p.is_in_step && now_us - p.known_us > us(rule->max_step_s))
            end_step(&p, p.start_us + us(rule->max_step_s), now_us);
        bool is_peak = i > 0 && last > before && last >= y && last > GRAVITY + rule->least;
        if (is_peak && !(p.is_in_step && readings[i - 1].t_us - p.peak_us < us(rule->min_gap_s)))
            take_peak(&p, readings[i - 1].t_us, now_us);
        before = last;
    }
    if (n > 0)
        end_step(&p, readings[n - 1].t_us, readings[n - 1].t_us);
}

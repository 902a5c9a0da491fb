/* SPDX-License-Identifier: MIT */
#include "train/optimiser.h"

#include <math.h>

void vly_adamw_step(const vly_adamw *o, uint64_t step, size_t n, const float *grads, float *params,
                    float *mean, float *square)
{
    /* both moments begin at 0: their expectation is short by this */
    float unbias1 = (float)(1 / (1 - pow((double)o->beta1, (double)step)));
    float unbias2 = (float)(1 / (1 - pow((double)o->beta2, (double)step)));

    for (size_t i = 0; i < n; i++) {
        mean[i] += (1 - o->beta1) * (grads[i] - mean[i]);
        square[i] += (1 - o->beta2) * (grads[i] * grads[i] - square[i]);
        float move = mean[i] * unbias1 / (sqrtf(square[i] * unbias2) + o->epsilon);
        params[i] -= o->rate * (move + o->decay * params[i]);
    }
}

double vly_clip_norm(float *grads, size_t n, double max_norm)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)grads[i] * (double)grads[i];
    double norm = sqrt(sum);
    if (max_norm <= 0 || norm <= max_norm)
        return norm;
    for (size_t i = 0; i < n; i++)
        grads[i] *= (float)(max_norm / norm);
    return norm;
}

void vly_average(float *average, const float *values, size_t n, float keep)
{
    for (size_t i = 0; i < n; i++)
        average[i] += (1 - keep) * (values[i] - average[i]);
}

double vly_schedule_at(const vly_schedule *s, const vly_plateau *p, uint64_t step)
{
    double factor = 1;

    if (step < s->n_warmup)
        return (double)(step + 1) / (double)s->n_warmup;
    if (s->kind == VLY_SCHEDULE_COSINE && s->n_steps > s->n_warmup) {
        double way = (double)(step - s->n_warmup) / (double)(s->n_steps - s->n_warmup);
        factor = s->floor + (1 - s->floor) * 0.5 * (1 + cos(M_PI * fmin(way, 1)));
    }
    if (s->kind == VLY_SCHEDULE_PLATEAU)
        factor = fmax(p->scale, s->floor);
    return factor;
}

void vly_plateau_tell(const vly_schedule *s, vly_plateau *p, double figure)
{
    if (figure > p->best) {
        p->best = figure;
        p->n_bad = 0;
        return;
    }
    p->n_bad++;
    if (s->kind == VLY_SCHEDULE_PLATEAU && p->n_bad > s->patience) {
        p->scale *= s->factor;
        p->n_bad = 0;
    }
}

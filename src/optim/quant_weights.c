/* SPDX-License-Identifier: MIT */
/* int8 weights: per output channel the scale that loses least, counting an error the more the
 * larger the inputs that it is multiplied with. */
#include "optim/quant.h"

#include <float.h>
#include <math.h>

#define LEVEL_MAX 127

static float rounded(float w, float scale)
{
    float q = rintf(w / scale);

    return q > LEVEL_MAX ? LEVEL_MAX : (q < -LEVEL_MAX ? -LEVEL_MAX : q);
}

/* Mean square of the input that weight k of channel c meets; 1: unknown. */
static double importance(const vly_quant_node *n, const vly_quant_value *in, size_t c, size_t k)
{
    size_t at = c / n->group_out * n->in_each + k / n->kernel;

    return in->square != NULL && at < in->n_means ? in->square[at] : 1.0;
}

static double channel_error(const vly_quant_node *n, const vly_quant_value *in, const float *w,
                            size_t c, float scale)
{
    double sum = 0;

    for (size_t k = 0; k < n->w.n_each; k++) {
        float x = w[c * n->w.channel_step + k * n->w.step];
        double d = (double)x - (double)(rounded(x, scale) * scale);
        sum += d * d * importance(n, in, c, k);
    }
    return sum;
}

static float channel_max(const vly_quant_node *n, const float *w, size_t c)
{
    float most = 0;

    for (size_t k = 0; k < n->w.n_each; k++)
        most = fmaxf(most, fabsf(w[c * n->w.channel_step + k * n->w.step]));
    return most;
}

static float best_scale(const vly_quantizer *q, const vly_quant_node *n, const float *w, size_t c)
{
    float full = channel_max(n, w, c) / LEVEL_MAX, best = full;
    double least = DBL_MAX;

    if (!(full > FLT_MIN))
        return 1.0f; /* a channel of zeroes */
    if (q->opts.has_plain_weights)
        return full;
    for (int step = 100; step >= 60; step -= 2) {
        float scale = full * (float)step / 100;
        double error = channel_error(n, &q->values[n->input], w, c, scale);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

vly_status vly_quant__weights(vly_quantizer *q, vly_quant_node *n, vly_err *err)
{
    vly_quant_weights *out = &n->w;
    const float *w;
    vly_status st = vly_edit_floats(&q->edit, n->weight, &w, err);

    if (st != VLY_OK)
        return st;
    out->q = vly_arena_calloc(&q->edit.arena, n->weight->n_elems, 1);
    out->scale = vly_arena_calloc(&q->edit.arena, out->n_channels, sizeof(*out->scale));
    if (out->q == NULL || out->scale == NULL)
        return vly_arena_fail(&q->edit.arena, err);
    for (size_t c = 0; c < out->n_channels; c++) {
        if (!(channel_max(n, w, c) <= FLT_MAX))
            return vly_fail(err, VLY_EINVAL, "weights '%.*s': a value is not finite",
                            VLY_STR_ARG(n->weight->name));
        out->scale[c] = best_scale(q, n, w, c);
        for (size_t k = 0; k < out->n_each; k++) {
            size_t at = c * out->channel_step + k * out->step;
            out->q[at] = (int8_t)rounded(w[at], out->scale[c]);
        }
    }
    return VLY_OK;
}

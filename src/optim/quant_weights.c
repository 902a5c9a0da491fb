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
    size_t at = vly_layer_input_of(&n->layer, c, k);

    return at < in->stats.n ? in->stats.square[at] : 1.0;
}

static double channel_error(const vly_quant_node *n, const vly_quant_value *in, const float *w,
                            size_t c, float scale)
{
    double sum = 0;

    for (size_t k = 0; k < n->layer.n_each; k++) {
        float x = w[c * n->layer.channel_step + k * n->layer.step];
        double d = (double)x - (double)(rounded(x, scale) * scale);
        sum += d * d * importance(n, in, c, k);
    }
    return sum;
}

static float channel_max(const vly_quant_node *n, const float *w, size_t c)
{
    float most = 0;

    for (size_t k = 0; k < n->layer.n_each; k++)
        most = fmaxf(most, fabsf(w[c * n->layer.channel_step + k * n->layer.step]));
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
    const vly_layer *l = &n->layer;
    const float *w;
    vly_status st = vly_edit_floats(&q->edit, l->weight, &w, err);

    if (st != VLY_OK)
        return st;
    n->q = vly_arena_calloc(&q->edit.arena, l->weight->n_elems, 1);
    n->scale = vly_arena_calloc(&q->edit.arena, l->n_channels, sizeof(*n->scale));
    if (n->q == NULL || n->scale == NULL)
        return vly_arena_fail(&q->edit.arena, err);
    for (size_t c = 0; c < l->n_channels; c++) {
        if (!(channel_max(n, w, c) <= FLT_MAX))
            return vly_fail(err, VLY_EINVAL, "weights '%.*s': a value is not finite",
                            VLY_STR_ARG(l->weight->name));
        n->scale[c] = best_scale(q, n, w, c);
        for (size_t k = 0; k < l->n_each; k++) {
            size_t at = c * l->channel_step + k * l->step;
            n->q[at] = (int8_t)rounded(w[at], n->scale[c]);
        }
    }
    return VLY_OK;
}

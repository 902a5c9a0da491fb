/* SPDX-License-Identifier: MIT */
/* Single weights: the least important become 0. */
#include "optim/prune.h"

#include "base/mem.h"
#include "optim/prune_common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double vly_prune_schedule(double initial, double final, size_t step, size_t n_steps)
{
    double left = n_steps > 0 && step < n_steps ? 1.0 - (double)step / (double)n_steps : 0.0;

    return final + (initial - final) * left * left * left;
}

/* One run over the net with a sparsity. */
typedef struct pass {
    vly_edit *e;
    vly_prune_layers *l;
    float *scores; /* of all weights, layer after layer */
    float *sorted;
    size_t n;
} pass;

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* What each weight adds to the output; with samples relative to its layer, since layers then differ
 * by the scale of their inputs too. */
static void score_layer(const pass *p, size_t i, const float *w, float *scores)
{
    const vly_layer *l = &p->l->layers[i];
    const vly_channel_stats *stats = p->l->stats != NULL ? &p->l->stats[i] : NULL;
    double sum = 0;

    for (size_t c = 0; c < l->n_channels; c++)
        for (size_t k = 0; k < l->n_each; k++) {
            size_t at = c * l->channel_step + k * l->step, in = vly_layer_input_of(l, c, k);
            double rms = stats != NULL && in < stats->n ? sqrt(stats->square[in]) : 1.0;
            scores[at] = (float)(fabs((double)w[at]) * rms);
            sum += (double)scores[at] * (double)scores[at];
        }
    float norm = stats != NULL ? (float)sqrt(sum / (double)l->weight->n_elems) : 1.0f;
    for (size_t k = 0; k < l->weight->n_elems && norm > 0.0f; k++)
        scores[k] /= norm;
}

/* Which scores go: those below `at`, and of those equal to it the first n_equal. */
typedef struct cut_limit {
    float at;
    size_t n_equal;
} cut_limit;

static cut_limit limit_of(const float *scores, float *sorted, size_t n, double share)
{
    size_t n_gone = (size_t)(share * (double)n), n_less = 0;

    memcpy(sorted, scores, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_value);
    if (n_gone == 0)
        return (cut_limit){-1.0f, 0};
    float at = sorted[n_gone - 1];
    while (n_less < n_gone && sorted[n_less] < at)
        n_less++;
    return (cut_limit){at, n_gone - n_less};
}

static bool goes(cut_limit *l, float score)
{
    if (score == l->at && l->n_equal > 0) {
        l->n_equal--;
        return true;
    }
    return score < l->at;
}

/* Weights within the limit become 0; their mean contribution goes to the bias. */
static vly_status cut_layer(const pass *p, size_t i, const float *scores, cut_limit *limit,
                            vly_err *err)
{
    vly_layer *l = &p->l->layers[i];
    const vly_channel_stats *stats = p->l->stats != NULL ? &p->l->stats[i] : NULL;
    const vly_edit_value *value = vly_edit_find(p->e, l->weight->name);
    float *cut = vly_arena_calloc(&p->e->arena, l->weight->n_elems, sizeof(*cut));
    float *bias = vly_arena_calloc(&p->e->arena, l->n_channels, sizeof(*bias));
    const float *w = NULL, *old_bias = NULL;

    if (cut == NULL || bias == NULL)
        return vly_arena_fail(&p->e->arena, err);
    vly_status st = vly_edit_floats(p->e, l->weight, &w, err);
    if (st == VLY_OK && l->bias != NULL)
        st = vly_edit_floats(p->e, l->bias, &old_bias, err);
    if (st != VLY_OK)
        return st;
    for (size_t c = 0; c < l->n_channels; c++) {
        double shift = 0;
        for (size_t k = 0; k < l->n_each; k++) {
            size_t at = c * l->channel_step + k * l->step, in = vly_layer_input_of(l, c, k);
            cut[at] = goes(limit, scores[at]) ? 0.0f : w[at];
            shift +=
                stats != NULL && in < stats->n ? (double)(w[at] - cut[at]) * stats->mean[in] : 0;
        }
        bias[c] = (float)((old_bias != NULL ? (double)old_bias[c] : 0) + shift);
    }
    p->e->tensors[value->tensor].data = cut;
    return stats != NULL && l->has_bias_input
               ? vly_prune__set_bias(p->e, l, bias, l->n_channels, err)
               : VLY_OK;
}

static vly_status cut_all(pass *p, const vly_prune_opts *opts, double sparsity, vly_err *err)
{
    vly_status st = VLY_OK;
    size_t at = 0;
    cut_limit limit = {0};

    for (size_t i = 0; i < p->l->n && st == VLY_OK; i++) {
        const float *w;
        st = vly_edit_floats(p->e, p->l->layers[i].weight, &w, err);
        if (st == VLY_OK)
            score_layer(p, i, w, p->scores + at);
        at += (size_t)p->l->layers[i].weight->n_elems;
    }
    if (st == VLY_OK && !opts->is_per_layer)
        limit = limit_of(p->scores, p->sorted, p->n, sparsity);
    at = 0;
    for (size_t i = 0; i < p->l->n && st == VLY_OK; i++) {
        size_t n = (size_t)p->l->layers[i].weight->n_elems;
        if (opts->is_per_layer)
            limit = limit_of(p->scores + at, p->sorted, n, sparsity);
        st = cut_layer(p, i, p->scores + at, &limit, err);
        at += n;
    }
    if (st == VLY_OK)
        st = vly_edit_index(p->e, err);
    for (size_t i = 0; i < p->l->n && st == VLY_OK; i++) /* biases have new names, lists moved */
        if (!vly_layer_describe(p->e, p->l->layers[i].node, &p->l->layers[i]))
            st = vly_fail(err, VLY_EINTERNAL, "a pruned layer is no layer any more");
    return st;
}

static void count_zeros(pass *p, vly_prune_report *ret)
{
    ret->n_weights = p->n;
    for (size_t i = 0; i < p->l->n; i++) {
        const vly_onnx_tensor *t = p->l->layers[i].weight;
        for (size_t k = 0; k < t->n_elems; k++) {
            float w;
            memcpy(&w, (const char *)t->data + k * sizeof(w), sizeof(w));
            ret->n_zeros += w == 0.0f;
        }
    }
}

vly_status vly_optim_prune_weights(vly_edit *e, const vly_prune_opts *opts,
                                   const vly_samples *samples, vly_prune_report *ret, vly_err *err)
{
    size_t n_steps = samples != NULL && opts->n_steps > 1 ? opts->n_steps : 1;
    vly_prune_layers l;
    vly_prune_report report = {0};
    vly_status st = vly_prune__begin(e, opts, &l, err);
    pass p = {.e = e, .l = &l};

    if (st != VLY_OK)
        return st;
    for (size_t i = 0; i < l.n; i++)
        p.n += (size_t)l.layers[i].weight->n_elems;
    p.scores = vly_calloc(VLY_MEM_MODEL, p.n, sizeof(*p.scores));
    p.sorted = vly_calloc(VLY_MEM_MODEL, p.n, sizeof(*p.sorted));
    if (p.scores == NULL || p.sorted == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory to score %zu weights", p.n);
    for (size_t step = 1; step <= n_steps && st == VLY_OK; step++) {
        st = vly_prune__look(e, samples, &l, err);
        if (st == VLY_OK)
            st = cut_all(&p, opts, vly_prune_schedule(0, opts->sparsity, step, n_steps), err);
    }
    if (st == VLY_OK) {
        count_zeros(&p, &report);
        *ret = report;
    }
    vly_free(p.scores);
    vly_free(p.sorted);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* Whole channels: score, choose, cut out. */
#include "optim/prune.h"

#include "optim/channels.h"
#include "tensor/dtype.h"

#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 8, /* channels that units of at least ALIGN_LEAST keep are a multiple of this */
    ALIGN_LEAST = 16,
};

/* ---- score -------------------------------------------------------------------------------- */

static double weight_square(const vly_layer *l, const float *w, size_t c, size_t k)
{
    double x = (double)w[c * l->channel_step + k * l->step];

    return x * x;
}

/* Squares of the weights of each output channel, relative to the layer's mean. */
static void score_outputs(vly_channel_map *m, const vly_layer *l, const float *w)
{
    vly_channel_list out = vly_channels__list(m, m->e->nodes[l->node].outputs[0]);
    double all = 1e-30;

    for (size_t c = 0; c < l->n_channels; c++)
        for (size_t k = 0; k < l->n_each; k++)
            all += weight_square(l, w, c, k);
    for (size_t c = 0; c < l->n_channels && out.at != NULL; c++) {
        double sum = 0;
        for (size_t k = 0; k < l->n_each; k++)
            sum += weight_square(l, w, c, k);
        m->channels[vly_channels__root(m, out.at[c])].score += sum * (double)l->n_channels / all;
    }
}

/* What each input channel adds to the layer's output on the samples, relative to all of them. */
static void score_inputs(vly_channel_map *m, const vly_layer *l, const vly_channel_stats *stats,
                         const float *w)
{
    vly_channel_list in = vly_channels__list(m, m->e->nodes[l->node].inputs[0]);
    double all = 1e-30;

    if (in.at == NULL || in.n != l->in_each || l->group_out != l->n_channels || stats->n != in.n)
        return;
    for (int is_second = 0; is_second < 2; is_second++)
        for (size_t k = 0; k < l->n_each; k++) {
            double sum = 0;
            for (size_t c = 0; c < l->n_channels; c++)
                sum += weight_square(l, w, c, k);
            sum *= stats->square[k / l->kernel];
            if (is_second == 0)
                all += sum;
            else
                m->channels[vly_channels__root(m, in.at[k / l->kernel])].score +=
                    sum * (double)in.n / all;
        }
}

static vly_status score(vly_channel_map *m, vly_err *err)
{
    for (size_t i = 0; i < m->l->n; i++) {
        const vly_layer *l = &m->l->layers[i];
        const float *w;
        vly_status st = vly_edit_floats(m->e, l->weight, &w, err);
        if (st != VLY_OK)
            return st;
        if (vly_channels__is_depthwise(l))
            continue;
        if (m->l->stats == NULL)
            score_outputs(m, l, w);
        else
            score_inputs(m, l, &m->l->stats[i], w);
    }
    return VLY_OK;
}

/* ---- choose ------------------------------------------------------------------------------- */

typedef struct candidate {
    size_t unit, root;
    double score;
} candidate;

static int by_unit_and_score(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return (x->root > y->root) - (x->root < y->root);
}

/* How many of n channels, n_free of which may go. */
static size_t share_of(size_t n, size_t n_free, double sparsity)
{
    size_t keep = n - (size_t)((double)n * sparsity);

    if (n >= ALIGN_LEAST)
        keep = (keep + ALIGN - 1) / ALIGN * ALIGN;
    size_t gone = keep < n ? n - keep : 0;
    return gone < n_free ? gone : (n_free > 0 ? n_free - 1 : 0);
}

static vly_status choose(vly_channel_map *m, double sparsity, vly_prune_report *report,
                         vly_err *err)
{
    candidate *list = vly_arena_calloc(&m->e->arena, m->n, sizeof(*list));
    size_t *n_all = vly_arena_calloc(&m->e->arena, m->l->n, sizeof(*n_all));
    size_t n = 0;

    if (list == NULL || n_all == NULL)
        return vly_arena_fail(&m->e->arena, err);
    for (size_t c = 0; c < m->n; c++) {
        size_t unit = vly_channels__unit(m, m->channels[c].unit);
        if (vly_channels__root(m, c) != c)
            continue;
        n_all[unit]++;
        if (!m->channels[c].is_fixed)
            list[n++] = (candidate){unit, c, m->channels[c].score};
    }
    qsort(list, n, sizeof(*list), by_unit_and_score);
    for (size_t begin = 0, end = 0; begin < n; begin = end) {
        while (end < n && list[end].unit == list[begin].unit)
            end++;
        size_t n_gone = share_of(n_all[list[begin].unit], end - begin, sparsity);
        for (size_t i = begin; i < begin + n_gone; i++)
            m->channels[list[i].root].is_gone = true;
        report->n_channels_gone += n_gone;
    }
    report->n_channels = n;
    return VLY_OK;
}

static bool is_gone(vly_channel_map *m, vly_channel_list list, size_t i)
{
    return list.at != NULL && m->channels[vly_channels__root(m, list.at[i])].is_gone;
}

static size_t count_kept(vly_channel_map *m, vly_channel_list list)
{
    size_t n = 0;

    for (size_t i = 0; i < list.n; i++)
        n += !is_gone(m, list, i);
    return n;
}

/* ---- cut ---------------------------------------------------------------------------------- */

/* The two dimensions of a layer's weights. */
typedef struct cut {
    vly_channel_list out, in; /* in.at NULL: that dimension stays whole */
    size_t n_out, n_in;       /* kept */
    const float *w;
} cut;

static bool keeps(vly_channel_map *m, const cut *c, const vly_layer *l, size_t d0, size_t d1)
{
    size_t o = l->axis == 0 ? d0 : d1, i = l->axis == 0 ? d1 : d0;

    return !is_gone(m, c->out, o) && !is_gone(m, c->in, i);
}

static vly_status cut_weights(vly_channel_map *m, const vly_layer *l, const cut *c, vly_err *err)
{
    const vly_onnx_tensor *t = l->weight;
    int64_t *dims = vly_arena_calloc(&m->e->arena, t->n_dims, sizeof(*dims));
    float *to = vly_arena_calloc(&m->e->arena, t->n_elems, sizeof(*to));
    size_t d0 = (size_t)t->dims[0], d1 = (size_t)t->dims[1], n = 0;
    size_t inner = (size_t)t->n_elems / (d0 * d1);
    vly_str name;

    if (dims == NULL || to == NULL)
        return vly_arena_fail(&m->e->arena, err);
    memcpy(dims, t->dims, t->n_dims * sizeof(*dims));
    dims[l->axis == 0 ? 0 : 1] = (int64_t)c->n_out;
    dims[l->axis == 0 ? 1 : 0] = (int64_t)c->n_in;
    for (size_t a = 0; a < d0; a++)
        for (size_t b = 0; b < d1; b++)
            if (keeps(m, c, l, a, b)) {
                memcpy(to + n, c->w + (a * d1 + b) * inner, inner * sizeof(*to));
                n += inner;
            }
    vly_status st = vly_edit_name(m->e, t->name, "pruned", &name, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(m->e, name, VLY_DTYPE_F32, t->n_dims, dims, to, err);
    return st == VLY_OK ? vly_edit_set_input(m->e, l->node, 1, name, err) : st;
}

/* What the channels that are gone gave on average to output o. */
static double mean_lost(vly_channel_map *m, const vly_layer *l, const vly_channel_stats *stats,
                        const cut *c, size_t o)
{
    double sum = 0;

    if (stats == NULL || c->in.at == NULL || stats->n != c->in.n)
        return 0;
    for (size_t k = 0; k < l->n_each; k++)
        if (is_gone(m, c->in, k / l->kernel))
            sum += (double)c->w[o * l->channel_step + k * l->step] * stats->mean[k / l->kernel];
    return sum;
}

static vly_status cut_bias(vly_channel_map *m, const vly_layer *l, const vly_channel_stats *stats,
                           const cut *c, vly_err *err)
{
    float *to = vly_arena_calloc(&m->e->arena, l->n_channels, sizeof(*to));
    const float *bias = NULL;
    size_t n = 0;
    vly_status st = VLY_OK;

    if (!l->has_bias_input || (l->bias == NULL && stats == NULL))
        return VLY_OK;
    if (to == NULL)
        return vly_arena_fail(&m->e->arena, err);
    if (l->bias != NULL)
        st = vly_edit_floats(m->e, l->bias, &bias, err);
    if (st != VLY_OK)
        return st;
    for (size_t o = 0; o < l->n_channels; o++)
        if (!is_gone(m, c->out, o))
            to[n++] = (float)((bias != NULL ? (double)bias[o] : 0) + mean_lost(m, l, stats, c, o));
    return vly_prune__set_bias(m->e, l, to, n, err);
}

static vly_status set_group(vly_edit *e, vly_onnx_node *node, size_t group, vly_err *err)
{
    vly_onnx_attr *attrs = vly_arena_calloc(&e->arena, node->n_attrs, sizeof(*attrs));

    if (attrs == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < node->n_attrs; i++) {
        attrs[i] = node->attrs[i];
        if (vly_str_is(attrs[i].name, "group"))
            attrs[i].i = (int64_t)group;
    }
    node->attrs = attrs;
    return VLY_OK;
}

static vly_status cut_layer(vly_channel_map *m, size_t i, vly_err *err)
{
    const vly_layer *l = &m->l->layers[i];
    vly_onnx_node *node = &m->e->nodes[l->node];
    bool is_depthwise = vly_channels__is_depthwise(l);
    cut c = {.out = vly_channels__list(m, node->outputs[0]),
             .in = vly_channels__list(m, node->inputs[0])};

    if (is_depthwise || c.in.n != l->in_each)
        c.in = (vly_channel_list){NULL, 0};
    c.n_out = c.out.at != NULL ? count_kept(m, c.out) : l->n_channels;
    c.n_in = c.in.at != NULL ? count_kept(m, c.in) : l->in_each;
    if (c.n_out == l->n_channels && c.n_in == l->in_each)
        return VLY_OK;
    vly_status st = vly_edit_floats(m->e, l->weight, &c.w, err);
    if (st == VLY_OK)
        st = cut_weights(m, l, &c, err);
    if (st == VLY_OK)
        st = cut_bias(m, l, m->l->stats != NULL ? &m->l->stats[i] : NULL, &c, err);
    return st == VLY_OK && is_depthwise ? set_group(m->e, node, c.n_out, err) : st;
}

/* The parts that are left, as input 1; num_outputs goes with it. */
static vly_status cut_split(vly_channel_map *m, size_t at, vly_err *err)
{
    vly_onnx_node *node = &m->e->nodes[at];
    vly_channel_list in = vly_channels__list(m, vly_edit_input(node, 0));
    int64_t parts[VLY_CHANNELS_PARTS_MAX], n = (int64_t)node->n_outputs;
    vly_str name;

    if (in.at == NULL || count_kept(m, in) == in.n || !vly_channels__parts(m->e, node, in.n, parts))
        return VLY_OK;
    for (size_t i = 0; i < node->n_outputs; i++)
        parts[i] = (int64_t)count_kept(m, vly_channels__list(m, node->outputs[i]));
    vly_onnx_attr *attrs = vly_arena_calloc(&m->e->arena, node->n_attrs, sizeof(*attrs));
    if (attrs == NULL)
        return vly_arena_fail(&m->e->arena, err);
    size_t n_attrs = 0;
    for (size_t i = 0; i < node->n_attrs; i++)
        if (!vly_str_is(node->attrs[i].name, "num_outputs"))
            attrs[n_attrs++] = node->attrs[i];
    node->attrs = attrs;
    node->n_attrs = n_attrs;
    vly_status st = vly_edit_name(m->e, node->outputs[0], "parts", &name, err);
    if (st == VLY_OK)
        st = vly_edit_add_tensor(m->e, name, VLY_DTYPE_I64, 1, &n, parts, err);
    return st == VLY_OK ? vly_edit_set_input(m->e, at, 1, name, err) : st;
}

static vly_status cut_all(vly_channel_map *m, vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < m->l->n && st == VLY_OK; i++)
        st = cut_layer(m, i, err);
    for (size_t i = 0; i < m->e->n_nodes && st == VLY_OK; i++)
        if (vly_edit_is(&m->e->nodes[i], "Split"))
            st = cut_split(m, i, err);
    return st == VLY_OK ? vly_edit_index(m->e, err) : st;
}

vly_status vly_optim_prune_channels(vly_edit *e, const vly_prune_opts *opts,
                                    const vly_samples *samples, vly_prune_report *ret, vly_err *err)
{
    vly_prune_report report = {0};
    vly_prune_layers l;
    vly_channel_map m;
    vly_status st = vly_prune__begin(e, opts, &l, err);

    if (st == VLY_OK)
        st = vly_prune__look(e, samples, &l, err);
    if (st == VLY_OK)
        st = vly_channels__trace(e, &l, &m, err);
    if (st == VLY_OK)
        st = score(&m, err);
    if (st == VLY_OK)
        st = choose(&m, opts->sparsity, &report, err);
    if (st == VLY_OK && report.n_channels == 0)
        st = vly_fail(err, VLY_EUNSUPPORTED,
                      "no channel can go: each reaches an output or an "
                      "operator that needs all of them");
    if (st == VLY_OK)
        st = cut_all(&m, err);
    for (size_t i = 0; i < l.n && st == VLY_OK; i++) {
        vly_layer now;
        if (vly_layer_describe(e, l.layers[i].node, &now))
            report.n_weights += now.weight->n_elems;
    }
    if (st == VLY_OK)
        *ret = report;
    return st;
}

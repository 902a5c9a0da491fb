/* SPDX-License-Identifier: MIT */
/*
 * Calibration, in up to three runs over the samples: how far each value goes, how it is tally
 * (min-max needs no second run), and what each quantised layer loses beside its float twin.
 */
#include "optim/quantize.h"

#include "base/mem.h"
#include "optim/norms.h"
#include "optim/observe.h"
#include "optim/opset.h"
#include "optim/quant.h"

#include <math.h>

vly_status vly_quantizer_new(const void *bytes, size_t len, const char *dir,
                             const vly_quant_opts *opts, vly_quantizer **ret, vly_err *err)
{
    vly_quantizer *q = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*q));

    if (q == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the quantiser");
    q->opts = *opts;
    vly_status st = vly_edit_open(&q->edit, bytes, len, dir, err);
    if (st == VLY_OK)
        st = vly_optim_fold_norms(&q->edit, NULL, err);
    if (st == VLY_OK)
        st = vly_optim_raise_opset(&q->edit, err);
    if (st == VLY_OK)
        st = vly_quant__find(q, err);
    if (st != VLY_OK) {
        vly_quantizer_free(q);
        return st;
    }
    *ret = q;
    return VLY_OK;
}

void vly_quantizer_free(vly_quantizer *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < q->n_values; i++)
        vly_free(q->values[i].tally);
    vly_edit_close(&q->edit);
    vly_free(q);
}

const vly_quant_layer *vly_quantizer_layers(const vly_quantizer *q, size_t *ret_n)
{
    *ret_n = q->n_layers;
    return q->layers;
}

void vly_quantizer_keep(vly_quantizer *q, size_t i, bool is_float)
{
    q->layers[i].is_float = is_float;
}

static vly_status check_float(vly_str name, const vly_tensor *t, vly_err *err)
{
    return t->dtype == VLY_DTYPE_F32
               ? VLY_OK
               : vly_fail(err, VLY_EUNSUPPORTED, "value '%.*s': expected float32, got %s",
                          VLY_STR_ARG(name), vly_dtype_name(t->dtype));
}

/* ---- how far ------------------------------------------------------------------------------ */

typedef struct extent_run {
    vly_quantizer *q;
    size_t *out_at; /* [n_layers] where the layer's output is among what is watched */
} extent_run;

static vly_status see_extent(void *arg, size_t sample, const vly_tensor *values, vly_err *err)
{
    extent_run *run = arg;
    vly_quantizer *q = run->q;

    for (size_t i = 0; i < q->n_values; i++) {
        vly_quant_value *v = &q->values[i], *root = &q->values[vly_quant__root(q, i)];
        vly_status st = check_float(v->name, &values[i], err);
        if (st == VLY_OK)
            st = vly_channel_stats_add(&v->stats, &values[i], v->is_last, &q->edit.arena, err);
        if (st != VLY_OK)
            return st;
        if (!vly_range_widen(&root->range, values[i].data, (size_t)vly_tensor_count(&values[i])))
            return vly_fail(err, VLY_EINVAL, "value '%.*s' is not finite everywhere on sample %zu",
                            VLY_STR_ARG(v->name), sample);
    }
    for (size_t i = 0; i < q->n_layers; i++)
        q->nodes[i].macs =
            (double)vly_tensor_count(&values[run->out_at[i]]) * (double)q->nodes[i].layer.n_each;
    return VLY_OK;
}

/* The values, and behind them what the layers put out (unless it is one of the values). */
static vly_status see_extents(vly_quantizer *q, const vly_samples *samples, vly_err *err)
{
    size_t most = q->n_values + q->n_layers, n = q->n_values;
    vly_str *names = vly_arena_calloc(&q->edit.arena, most, sizeof(*names));
    extent_run run = {q, vly_arena_calloc(&q->edit.arena, q->n_layers, sizeof(size_t))};

    if (names == NULL || run.out_at == NULL)
        return vly_arena_fail(&q->edit.arena, err);
    for (size_t i = 0; i < q->n_values; i++)
        names[i] = q->values[i].name;
    for (size_t i = 0; i < q->n_layers; i++) {
        vly_str out = q->edit.nodes[q->nodes[i].layer.node].outputs[0];
        int64_t at = q->value_of[vly_edit_find(&q->edit, out) - q->edit.values];
        run.out_at[i] = at >= 0 ? (size_t)at : n;
        if (at < 0)
            names[n++] = out;
    }
    vly_status st = vly_observe(&q->edit, names, n, samples, "ranges", see_extent, &run, err);
    for (size_t i = 0; i < q->n_values && st == VLY_OK; i++)
        vly_channel_stats_finish(&q->values[i].stats);
    return st;
}

static void set_shares(vly_quantizer *q)
{
    double sum = 0;

    for (size_t i = 0; i < q->n_layers; i++)
        sum += q->nodes[i].macs;
    for (size_t i = 0; i < q->n_layers; i++) {
        q->layers[i].share = sum > 0 ? q->nodes[i].macs / sum : 0;
        q->layers[i].is_float = q->layers[i].is_float || q->layers[i].share < VLY_QUANT_SHARE_LEAST;
    }
}

/* ---- how it is tally --------------------------------------------------------------------- */

static vly_status see_tally(void *arg, size_t sample, const vly_tensor *values, vly_err *err)
{
    vly_quantizer *q = arg;

    (void)sample, (void)err;
    for (size_t i = 0; i < q->n_values; i++) {
        size_t root = vly_quant__root(q, i);
        if (!q->values[i].is_passed) /* what was moved here is counted where it came from */
            vly_tally_add(q->values[root].tally, values[i].data,
                          (size_t)vly_tensor_count(&values[i]));
    }
    return VLY_OK;
}

static vly_status see_tallies(vly_quantizer *q, const vly_samples *samples, vly_err *err)
{
    vly_str *names = vly_arena_calloc(&q->edit.arena, q->n_values, sizeof(*names));

    if (names == NULL)
        return vly_arena_fail(&q->edit.arena, err);
    for (size_t i = 0; i < q->n_values; i++) {
        vly_quant_value *v = &q->values[i];
        names[i] = v->name;
        if (vly_quant__root(q, i) != i)
            continue;
        v->tally = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*v->tally));
        if (v->tally == NULL)
            return vly_fail(err, VLY_ENOMEM, "out of memory for the tally of '%.*s'",
                            VLY_STR_ARG(v->name));
        v->tally->lo = v->range.lo;
        v->tally->hi = v->range.hi;
    }
    return vly_observe(&q->edit, names, q->n_values, samples, "tallies", see_tally, q, err);
}

static void set_scales(vly_quantizer *q)
{
    for (size_t i = 0; i < q->n_values; i++) {
        vly_quant_value *v = &q->values[i];
        if (v->tally != NULL)
            v->range = vly_tally_range(v->tally, q->opts.method, q->opts.percentile);
        v->affine = vly_affine_of(v->range);
    }
}

/* ---- what each layer loses ---------------------------------------------------------------- */

typedef struct twin_run {
    vly_quantizer *q;
    double *signal, *noise, *count; /* [n_layers] */
    double **shift;                 /* [n_layers][n_channels] sums of float - quantised */
} twin_run;

static vly_status see_twins(void *arg, size_t sample, const vly_tensor *values, vly_err *err)
{
    twin_run *run = arg;

    (void)sample, (void)err;
    for (size_t l = 0; l < run->q->n_layers; l++) {
        const float *a = values[2 * l].data, *b = values[2 * l + 1].data;
        vly_channels ch = vly_channels_of(&values[2 * l], !run->q->nodes[l].layer.is_conv);
        for (size_t o = 0; o < ch.outer; o++)
            for (size_t c = 0; c < ch.n; c++) {
                double signal = 0, noise = 0, shift = 0;
                for (size_t i = 0; i < ch.inner; i++) {
                    size_t at = (o * ch.n + c) * ch.inner + i;
                    double d = (double)a[at] - (double)b[at];
                    signal += (double)a[at] * (double)a[at];
                    noise += d * d;
                    shift += d;
                }
                run->signal[l] += signal;
                run->noise[l] += noise;
                run->shift[l][c] += shift;
            }
        run->count[l] += (double)(ch.outer * ch.inner);
    }
    return VLY_OK;
}

/* A quantised copy of the layer beside it, on the same float input. */
static vly_status add_twin(const vly_quantizer *q, vly_edit *e, size_t l, vly_str *input,
                           vly_str *ret, vly_err *err)
{
    const vly_quant_node *n = &q->nodes[l];
    vly_onnx_node twin = e->nodes[n->layer.node];
    vly_str inputs[3] = {{NULL, 0}, {NULL, 0}, vly_edit_input(&twin, 2)};
    vly_status st = VLY_OK;

    if (input->len == 0)
        st = vly_quant__add_input(q, e, n->input, input, err);
    inputs[0] = *input;
    if (st == VLY_OK)
        st = vly_quant__add_weights(q, e, n, &inputs[1], err);
    if (st == VLY_OK)
        st = vly_edit_name(e, twin.outputs[0], "twin", ret, err);
    twin.inputs = inputs;
    twin.n_inputs = inputs[2].len > 0 ? 3 : 2;
    twin.outputs = ret;
    twin.n_outputs = 1;
    return st == VLY_OK ? vly_edit_add_node(e, &twin, err) : st;
}

/* names: [2 * n_layers] each layer's output and its twin's. */
static vly_status add_twins(const vly_quantizer *q, vly_edit *e, vly_str *names, vly_err *err)
{
    vly_str *inputs = vly_arena_calloc(&e->arena, q->n_values, sizeof(*inputs));
    vly_status st = VLY_OK;

    if (inputs == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t l = 0; l < q->n_layers && st == VLY_OK; l++) {
        names[2 * l] = e->nodes[q->nodes[l].layer.node].outputs[0];
        st = add_twin(q, e, l, &inputs[q->nodes[l].input], &names[2 * l + 1], err);
    }
    return st == VLY_OK ? vly_edit_index(e, err) : st;
}

static vly_status watch_twins(vly_quantizer *q, twin_run *run, const vly_samples *samples,
                              vly_err *err)
{
    vly_str *names = vly_arena_calloc(&q->edit.arena, 2 * q->n_layers, sizeof(*names));
    vly_edit e;

    if (names == NULL)
        return vly_arena_fail(&q->edit.arena, err);
    vly_status st = vly_edit_clone(&e, &q->edit, err);
    if (st != VLY_OK)
        return st;
    st = add_twins(q, &e, names, err);
    if (st == VLY_OK)
        st = vly_observe(&e, names, 2 * q->n_layers, samples, "layers", see_twins, run, err);
    vly_edit_close(&e);
    return st;
}

/* From the sums to decibels and corrections. */
static void settle_layer(vly_quantizer *q, const twin_run *run, size_t l)
{
    vly_quant_node *n = &q->nodes[l];
    double noise = run->noise[l], count = fmax(run->count[l], 1);

    for (size_t c = 0; c < n->layer.n_channels; c++)
        run->shift[l][c] /= count;
    if (n->layer.has_bias_input && !q->opts.has_plain_weights) {
        n->shift = run->shift[l];
        for (size_t c = 0; c < n->layer.n_channels; c++) /* what the correction takes away */
            noise -= count * n->shift[c] * n->shift[c];
    }
    q->layers[l].sqnr_db = 10 * log10(fmax(run->signal[l], 1e-30) / fmax(noise, 1e-30));
    q->layers[l].is_float = q->layers[l].is_float || q->layers[l].sqnr_db < VLY_QUANT_SQNR_LEAST;
}

static vly_status see_losses(vly_quantizer *q, const vly_samples *samples, vly_err *err)
{
    vly_arena *a = &q->edit.arena;
    twin_run run = {.q = q,
                    .signal = vly_arena_calloc(a, q->n_layers, sizeof(double)),
                    .noise = vly_arena_calloc(a, q->n_layers, sizeof(double)),
                    .count = vly_arena_calloc(a, q->n_layers, sizeof(double)),
                    .shift = vly_arena_calloc(a, q->n_layers, sizeof(double *))};

    if (run.signal == NULL || run.noise == NULL || run.count == NULL || run.shift == NULL)
        return vly_arena_fail(a, err);
    for (size_t l = 0; l < q->n_layers; l++) {
        run.shift[l] = vly_arena_calloc(a, q->nodes[l].layer.n_channels, sizeof(double));
        if (run.shift[l] == NULL)
            return vly_arena_fail(a, err);
    }
    vly_status st = watch_twins(q, &run, samples, err);
    for (size_t l = 0; l < q->n_layers && st == VLY_OK; l++)
        settle_layer(q, &run, l);
    return st;
}

vly_status vly_quantizer_calibrate(vly_quantizer *q, const vly_samples *samples, vly_err *err)
{
    vly_status st = see_extents(q, samples, err);

    if (st != VLY_OK)
        return st;
    set_shares(q);
    if (q->opts.method != VLY_RANGE_MINMAX)
        st = see_tallies(q, samples, err);
    if (st != VLY_OK)
        return st;
    set_scales(q);
    for (size_t l = 0; l < q->n_layers && st == VLY_OK; l++)
        st = vly_quant__weights(q, &q->nodes[l], err);
    return st == VLY_OK ? see_losses(q, samples, err) : st;
}

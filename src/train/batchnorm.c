/* SPDX-License-Identifier: MIT */
/*
 * Each channel to mean 0 and variance 1 over the rows of the pass, then y = scale * x + shift.
 * Outside of training the running mean and variance take the place of the pass' own.
 *
 * The rows are those of one part of a batch (train/trainer.h), not of all of it: parts share
 * nothing, so the result does not depend on how they run, and small parts are a little noise that
 * helps rather than hurts (Hoffer et al. 2017, "ghost" batch norm).
 *
 * Parameters: scale [c], shift [c]; none decays. Running: mean [c], variance [c]. Cache: 1 /
 * deviation [c], then the rows before scale.
 */
#include "base/bits.h"
#include "train/affine.h"
#include "train/net_onnx.h"

#include <math.h>
#include <string.h>

#define EPSILON 1e-5F

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    (void)err;
    l->n_params = l->n_running = (size_t)(2 * l->in);
    return VLY_OK;
}

static size_t cache_floats(const vly_train_layer *l, int64_t t, int64_t n)
{
    return vly_align_up((size_t)((t * n + 1) * l->in), 16);
}

static size_t scratch_floats(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                             int64_t n)
{
    (void)kernel, (void)t, (void)n;
    return vly_align_up((size_t)(2 * l->in), 16);
}

static void init(const vly_train_layer *l, float *params, float *running, vly_rng *rng)
{
    (void)rng;
    for (int64_t c = 0; c < l->in; c++) {
        params[c] = running[l->in + c] = 1;
        params[l->in + c] = running[c] = 0;
    }
}

static void measure(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t rows = p->t * p->n, n = l->in;
    float *mean = p->seen, *variance = p->seen + n;

    memset(p->seen, 0, (size_t)(2 * n) * sizeof(*p->seen));
    vly_rows_sum(p->x, rows, n, mean);
    for (int64_t c = 0; c < n; c++)
        mean[c] /= (float)rows;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < n; c++)
            variance[c] += (p->x[i * n + c] - mean[c]) * (p->x[i * n + c] - mean[c]);
    for (int64_t c = 0; c < n; c++)
        variance[c] /= (float)rows;
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t rows = p->t * p->n, n = l->in;
    const float *scale = p->params, *shift = p->params + n;
    const float *stats = p->is_training ? p->seen : p->running;
    float *inverse = p->cache, *even = p->cache + n;

    if (p->is_training)
        measure(l, p);
    for (int64_t c = 0; c < n; c++)
        inverse[c] = 1 / sqrtf(stats[n + c] + EPSILON);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < n; c++) {
            even[i * n + c] = (p->x[i * n + c] - stats[c]) * inverse[c];
            p->y[i * n + c] = even[i * n + c] * scale[c] + shift[c];
        }
}

/* As in a layer norm, with means over rows in the place of means over channels. */
static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t rows = p->t * p->n, n = l->in;
    const float *scale = p->params, *inverse = p->cache, *even = p->cache + n;
    float *sum = p->scratch, *along = p->scratch + n;

    memset(sum, 0, (size_t)(2 * n) * sizeof(*sum));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t c = 0; c < n; c++) {
            sum[c] += p->dy[i * n + c];
            along[c] += p->dy[i * n + c] * even[i * n + c];
        }
    for (int64_t c = 0; c < n; c++) {
        p->grads[c] += along[c];
        p->grads[n + c] += sum[c];
    }
    for (int64_t i = 0; i < rows && p->dx != NULL; i++)
        for (int64_t c = 0; c < n; c++)
            p->dx[i * n + c] =
                scale[c] * inverse[c] *
                (p->dy[i * n + c] - (sum[c] + even[i * n + c] * along[c]) / (float)rows);
}

/* One factor and one summand for each channel. */
static vly_status write_nodes(const vly_train_layer *l, const float *params, const float *running,
                              vly_train_net_writer *w, vly_err *err)
{
    size_t n = (size_t)l->in;
    float *factor = vly_arena_calloc(&w->arena, 2 * n, sizeof(*factor));
    vly_str in[2] = {w->value};

    if (factor == NULL)
        return vly_arena_fail(&w->arena, err);
    for (size_t c = 0; c < n; c++) {
        factor[c] = params[c] / sqrtf(running[n + c] + EPSILON);
        factor[n + c] = params[n + c] - running[c] * factor[c];
    }
    vly_status st = vly_train_write_tensor(w, "factor", 1, &l->in, factor, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_node(w, "Mul", in, 2, NULL, 0, &in[0], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "summand", 1, &l->in, factor + n, &in[1], err);
    return st == VLY_OK ? vly_train_write_node(w, "Add", in, 2, NULL, 0, &w->value, err) : st;
}

const vly_train_layer_ops vly_train_batch_norm = {
    .name = "batch_norm",
    .shape = shape,
    .cache_floats = cache_floats,
    .scratch_floats = scratch_floats,
    .init = init,
    .forward = forward,
    .backward = backward,
    .write = write_nodes,
};

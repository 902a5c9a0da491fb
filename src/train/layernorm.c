/* SPDX-License-Identifier: MIT */
/* Each row to mean 0 and variance 1 over its channels, then y = scale * x + shift. Parameters:
 * scale [c], shift [c]; none decays. Cache: 1 / deviation of each row, then the rows before scale.
 */
#include "base/bits.h"
#include "train/net_onnx.h"

#include <math.h>

#define EPSILON 1e-5F

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    (void)err;
    l->n_params = (size_t)(2 * l->in);
    return VLY_OK;
}

static size_t cache_floats(const vly_train_layer *l, int64_t t, int64_t n)
{
    return vly_align_up((size_t)(t * n * (l->in + 1)), 16);
}

static void init(const vly_train_layer *l, float *params, float *running, vly_rng *rng)
{
    (void)running, (void)rng;
    for (int64_t c = 0; c < l->in; c++) {
        params[c] = 1;
        params[l->in + c] = 0;
    }
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t rows = p->t * p->n, n = l->in;
    const float *scale = p->params, *shift = p->params + n;

    for (int64_t i = 0; i < rows; i++) {
        const float *x = p->x + i * n;
        float *y = p->y + i * n, *even = p->cache + rows + i * n, mean = 0, square = 0;
        for (int64_t c = 0; c < n; c++)
            mean += x[c];
        mean /= (float)n;
        for (int64_t c = 0; c < n; c++)
            square += (x[c] - mean) * (x[c] - mean);
        float inverse = 1 / sqrtf(square / (float)n + EPSILON);
        p->cache[i] = inverse;
        for (int64_t c = 0; c < n; c++) {
            even[c] = (x[c] - mean) * inverse;
            y[c] = even[c] * scale[c] + shift[c];
        }
    }
}

/* dx = (g - mean g - even * mean(g * even)) / deviation, with g = dy * scale. */
static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    int64_t rows = p->t * p->n, n = l->in;
    const float *scale = p->params;

    for (int64_t i = 0; i < rows; i++) {
        const float *dy = p->dy + i * n, *even = p->cache + rows + i * n;
        float sum = 0, along = 0;
        for (int64_t c = 0; c < n; c++) {
            p->grads[c] += dy[c] * even[c];
            p->grads[n + c] += dy[c];
            sum += dy[c] * scale[c];
            along += dy[c] * scale[c] * even[c];
        }
        for (int64_t c = 0; c < n && p->dx != NULL; c++)
            p->dx[i * n + c] =
                p->cache[i] * (dy[c] * scale[c] - (sum + even[c] * along) / (float)n);
    }
}

static vly_status write_nodes(const vly_train_layer *l, const float *params, const float *running,
                              vly_train_net_writer *w, vly_err *err)
{
    vly_onnx_attr attrs[] = {
        {VLY_STR("axis"), VLY_ONNX_ATTR_INT, 0, .i = -1},
        {VLY_STR("epsilon"), VLY_ONNX_ATTR_FLOAT, 0, .f = EPSILON},
    };
    vly_str in[3] = {w->value};

    (void)running;
    vly_status st = vly_train_write_tensor(w, "scale", 1, &l->in, params, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "shift", 1, &l->in, params + l->in, &in[2], err);
    return st == VLY_OK
               ? vly_train_write_node(w, "LayerNormalization", in, 3, attrs, 2, &w->value, err)
               : st;
}

const vly_train_layer_ops vly_train_layer_norm = {
    .name = "layer_norm",
    .shape = shape,
    .cache_floats = cache_floats,
    .init = init,
    .forward = forward,
    .backward = backward,
    .write = write_nodes,
};

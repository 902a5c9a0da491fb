/* SPDX-License-Identifier: MIT */
/* In training: channels of a row become 0 with probability rate, the others grow by 1 / (1 - rate),
 * so that the mean stays. Else: nothing. Which ones, the seed of the pass decides. */
#include "train/layer.h"

#include "base/bits.h"

#include <string.h>

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    (void)l, (void)err;
    return VLY_OK;
}

static size_t cache_floats(const vly_train_layer *l, int64_t t, int64_t n)
{
    return vly_align_up((size_t)(t * n * l->in), 16);
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    size_t n = (size_t)(p->t * p->n * l->in);
    float rate = l->spec.rate, kept = 1 / (1 - rate);
    vly_rng rng;

    if (!p->is_training) {
        memcpy(p->y, p->x, n * sizeof(*p->y));
        return;
    }
    vly_rng_init(&rng, p->seed, 0);
    for (size_t i = 0; i < n; i++)
        p->cache[i] = vly_rng_uniform(&rng) < rate ? 0 : kept;
    for (size_t i = 0; i < n; i++)
        p->y[i] = p->x[i] * p->cache[i];
}

static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    size_t n = (size_t)(p->t * p->n * l->in);

    for (size_t i = 0; i < n && p->dx != NULL; i++)
        p->dx[i] = p->is_training ? p->dy[i] * p->cache[i] : p->dy[i];
}

const vly_train_layer_ops vly_train_dropout = {
    .name = "dropout",
    .shape = shape,
    .cache_floats = cache_floats,
    .forward = forward,
    .backward = backward,
};

/* SPDX-License-Identifier: MIT */
/* y = W x + b. Parameters: W [out, in], b [out]. */
#include "train/affine.h"
#include "train/net_onnx.h"

#include <math.h>
#include <string.h>

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    if (l->spec.out < 1)
        return vly_fail(err, VLY_EINVAL, "layer dense: expected channels, got none");
    l->out = l->spec.out;
    l->n_weights = (size_t)(l->out * l->in);
    l->n_params = l->n_weights + (size_t)l->out;
    return VLY_OK;
}

static size_t scratch_floats(const vly_train_layer *l, const vly_gemm_kernel *kernel, int64_t t,
                             int64_t n)
{
    (void)t, (void)n;
    return vly_affine_map_scratch(kernel, l->in, l->out);
}

static void init(const vly_train_layer *l, float *params, float *running, vly_rng *rng)
{
    (void)running;
    vly_init_uniform(params, l->n_weights, sqrt(6.0 / (double)(l->in + l->out)), rng);
    memset(params + l->n_weights, 0, (size_t)l->out * sizeof(*params));
}

static vly_affine_map map_of(const vly_train_layer *l, const vly_train_pass *p)
{
    return (vly_affine_map){p->kernel, p->t * p->n, l->in,     l->out,
                            l->in,     l->out,      p->params, p->scratch};
}

static void forward(const vly_train_layer *l, const vly_train_pass *p)
{
    vly_affine_map map = map_of(l, p);

    vly_rows_fill(p->y, map.rows, l->out, p->params + l->n_weights);
    vly_affine_map_forward(&map, p->x, p->y, true);
}

static void backward(const vly_train_layer *l, const vly_train_pass *p)
{
    vly_affine_map map = map_of(l, p);

    vly_affine_map_grads(&map, p->x, p->dy, p->grads);
    vly_rows_sum(p->dy, map.rows, l->out, p->grads + l->n_weights);
    if (p->dx != NULL)
        vly_affine_map_back(&map, p->dy, p->dx, false);
}

/* MatMul and Add: Gemm knows two dimensions only. */
static vly_status write_nodes(const vly_train_layer *l, const float *params, const float *running,
                              vly_train_net_writer *w, vly_err *err)
{
    vly_str in[2] = {w->value}, name;

    (void)running;
    vly_status st = vly_train_write_turned(w, "weight", l->out, l->in, params, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_node(w, "MatMul", in, 2, NULL, 0, &in[0], err);
    if (st == VLY_OK)
        st = vly_train_write_tensor(w, "bias", 1, &l->out, params + l->n_weights, &in[1], err);
    if (st == VLY_OK)
        st = vly_train_write_node(w, "Add", in, 2, NULL, 0, &name, err);
    if (st == VLY_OK)
        w->value = name;
    return st;
}

const vly_train_layer_ops vly_train_dense = {
    .name = "dense",
    .shape = shape,
    .scratch_floats = scratch_floats,
    .init = init,
    .forward = forward,
    .backward = backward,
    .write = write_nodes,
};

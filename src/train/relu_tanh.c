/* SPDX-License-Identifier: MIT */
/* relu and tanh: no parameters, and gradients that the result tells. */
#include "dsp/act.h"
#include "train/net_onnx.h"

static vly_status shape(vly_train_layer *l, vly_err *err)
{
    (void)l, (void)err;
    return VLY_OK;
}

static size_t count(const vly_train_layer *l, const vly_train_pass *p)
{
    return (size_t)(p->t * p->n * l->in);
}

static void relu_forward(const vly_train_layer *l, const vly_train_pass *p)
{
    for (size_t i = 0, n = count(l, p); i < n; i++)
        p->y[i] = p->x[i] > 0 ? p->x[i] : 0;
}

static void relu_backward(const vly_train_layer *l, const vly_train_pass *p)
{
    size_t n = p->dx != NULL ? count(l, p) : 0;

    for (size_t i = 0; i < n; i++)
        p->dx[i] = p->y[i] > 0 ? p->dy[i] : 0;
}

static void tanh_forward(const vly_train_layer *l, const vly_train_pass *p)
{
    vly_act_tanh(p->x, p->y, count(l, p));
}

static void tanh_backward(const vly_train_layer *l, const vly_train_pass *p)
{
    size_t n = p->dx != NULL ? count(l, p) : 0;

    for (size_t i = 0; i < n; i++)
        p->dx[i] = p->dy[i] * (1 - p->y[i] * p->y[i]);
}

static vly_status write_relu(const vly_train_layer *l, const float *params, const float *running,
                             vly_train_net_writer *w, vly_err *err)
{
    vly_str in = w->value;

    (void)l, (void)params, (void)running;
    return vly_train_write_node(w, "Relu", &in, 1, NULL, 0, &w->value, err);
}

static vly_status write_tanh(const vly_train_layer *l, const float *params, const float *running,
                             vly_train_net_writer *w, vly_err *err)
{
    vly_str in = w->value;

    (void)l, (void)params, (void)running;
    return vly_train_write_node(w, "Tanh", &in, 1, NULL, 0, &w->value, err);
}

const vly_train_layer_ops vly_train_relu = {
    .name = "relu",
    .shape = shape,
    .forward = relu_forward,
    .backward = relu_backward,
    .write = write_relu,
};

const vly_train_layer_ops vly_train_tanh = {
    .name = "tanh",
    .shape = shape,
    .forward = tanh_forward,
    .backward = tanh_backward,
    .write = write_tanh,
};

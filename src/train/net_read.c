/* SPDX-License-Identifier: MIT */
/* The parameters of a net back from the file that net_onnx.c wrote, or one that keeps its names. */
#include "train/net_onnx.h"

#include "tensor/dtype.h"

#include <stdio.h>
#include <string.h>

/* The floats of "<chain>.<layer>.<suffix>", n of them, unaligned. */
static vly_status find(const vly_onnx_graph *g, const vly_train_chain *chain, size_t layer,
                       const char *suffix, size_t n, const char **ret, vly_err *err)
{
    char name[96];

    snprintf(name, sizeof(name), "%s.%zu.%s", chain->name, layer, suffix);
    for (size_t i = 0; i < g->n_initialisers; i++) {
        const vly_onnx_tensor *t = &g->initialisers[i];
        if (!vly_str_is(t->name, name))
            continue;
        if (t->data_type != VLY_DTYPE_F32 || t->data == NULL || t->n_bytes != n * sizeof(float))
            return vly_fail(err, VLY_EFORMAT, "'%s': expected %zu floats", name, n);
        *ret = t->data;
        return VLY_OK;
    }
    return vly_fail(err, VLY_EFORMAT, "no '%s': not a file of such a net", name);
}

/* W is [in, out] there, [out, in] here. */
static vly_status read_dense(const vly_onnx_graph *g, const vly_train_chain *chain, size_t i,
                             float *params, vly_err *err)
{
    const vly_train_layer *l = &chain->layers[i];
    const char *weight, *bias;
    vly_status st = find(g, chain, i, "weight", l->n_weights, &weight, err);

    if (st == VLY_OK)
        st = find(g, chain, i, "bias", (size_t)l->out, &bias, err);
    if (st != VLY_OK)
        return st;
    for (size_t k = 0; k < l->n_weights; k++) {
        size_t in = k / (size_t)l->out, out = k % (size_t)l->out;
        memcpy(&params[out * (size_t)l->in + in], weight + k * sizeof(float), sizeof(float));
    }
    memcpy(params + l->n_weights, bias, (size_t)l->out * sizeof(float));
    return VLY_OK;
}

static vly_status read_gru(const vly_onnx_graph *g, const vly_train_chain *chain, size_t i,
                           float *params, vly_err *err)
{
    const vly_train_layer *l = &chain->layers[i];
    size_t h = (size_t)l->out, n_w = 3 * h * (size_t)l->in, n_r = 3 * h * h;
    const char *w, *r, *b;
    vly_status st = find(g, chain, i, "weight", n_w, &w, err);

    if (st == VLY_OK)
        st = find(g, chain, i, "recurrent", n_r, &r, err);
    if (st == VLY_OK)
        st = find(g, chain, i, "bias", 6 * h, &b, err);
    if (st != VLY_OK)
        return st;
    memcpy(params, w, n_w * sizeof(float));
    memcpy(params + n_w, r, n_r * sizeof(float));
    memcpy(params + n_w + n_r, b, 6 * h * sizeof(float));
    return VLY_OK;
}

static vly_status read_chain(const vly_onnx_graph *g, const vly_train_chain *chain, float *params,
                             vly_err *err)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < chain->n_layers && st == VLY_OK; i++) {
        const vly_train_layer *l = &chain->layers[i];
        if (l->spec.kind == VLY_TRAIN_DENSE)
            st = read_dense(g, chain, i, params + l->params_at, err);
        else if (l->spec.kind == VLY_TRAIN_GRU)
            st = read_gru(g, chain, i, params + l->params_at, err);
        else if (l->n_params > 0)
            st = vly_fail(err, VLY_EUNSUPPORTED, "%s.%zu: layers of kind %s are not read",
                          chain->name, i, l->ops->name);
    }
    return st;
}

vly_status vly_train_net_read(const vly_train_net *net, const void *bytes, size_t len,
                              float *params, vly_err *err)
{
    const vly_onnx_model *m;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_MODEL, 1 << 16, VLY_ONNX_ARENA_BUDGET(len));
    vly_status st = vly_onnx_model_parse(bytes, len, &arena, &m, err);
    if (st == VLY_OK)
        st = read_chain(m->graph, &net->trunk, params, err);
    for (size_t i = 0; i < net->n_heads && st == VLY_OK; i++)
        st = read_chain(m->graph, &net->heads[i], params, err);
    vly_arena_release(&arena);
    return st;
}

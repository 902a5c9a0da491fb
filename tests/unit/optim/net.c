/* SPDX-License-Identifier: MIT */
#include "optim/net.h"

#include "codec/onnx.h"
#include "engine/model.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

static vly_status get(void *arg, size_t i, vly_tensor *inputs, vly_err *err)
{
    net_samples *s = arg;
    vly_status st = vly_tensor_new(VLY_DTYPE_F32, &s->shape, &inputs[0], err);

    if (st != VLY_OK)
        return st;
    size_t n = (size_t)vly_tensor_count(&inputs[0]);
    float *x = inputs[0].data;
    for (size_t k = 0; k < n; k++) {
        size_t at = (k * 7919 + i * 31) % n; /* a prime: every value comes once */
        x[k] = s->lo + (s->hi - s->lo) * (float)at / (float)(n > 1 ? n - 1 : 1);
    }
    s->n_got++;
    return VLY_OK;
}

void net_samples_init(net_samples *s, size_t n, vly_shape shape, float lo, float hi)
{
    *s = (net_samples){.base = {.n = n, .get = get}, .shape = shape, .lo = lo, .hi = hi};
    s->base.arg = s;
}

void net_run(vly_str file, const net_samples *s, size_t i, vly_tensor *ret)
{
    vly_model *m = NULL;
    vly_instance *instance = NULL;
    vly_tensor input = {0}, outputs[4] = {{0}};
    vly_err err = VLY_ERR_INIT;
    net_samples copy = *s;

    copy.base.arg = &copy;
    vly_status st = vly_model_load_bytes(file.ptr, file.len, NULL, &m, &err);
    if (st == VLY_OK)
        st = vly_instance_new(m, NULL, &instance, &err);
    if (st == VLY_OK)
        st = copy.base.get(&copy, i, &input, &err);
    if (st == VLY_OK)
        st = vly_instance_run(instance, &input, outputs, &err);
    if (st == VLY_OK)
        st = vly_tensor_copy(&outputs[0], ret, &err);
    if (st != VLY_OK)
        fail_msg("%s", err.msg);
    vly_tensor_release(&input);
    for (size_t k = 0; k < 4; k++)
        vly_tensor_release(&outputs[k]);
    vly_instance_free(instance);
    vly_model_unref(m);
}

double net_snr(const vly_tensor *a, const vly_tensor *b)
{
    const float *x = a->data, *y = b->data;
    double signal = 0, noise = 1e-30;

    assert_true(vly_shape_eq(&a->shape, &b->shape));
    for (uint64_t i = 0; i < vly_tensor_count(a); i++) {
        double d = (double)x[i] - (double)y[i];
        signal += (double)x[i] * (double)x[i];
        noise += d * d;
    }
    return 10 * log10(signal / noise);
}

size_t net_count(vly_str file, const char *op)
{
    const vly_onnx_model *m;
    vly_arena arena;
    vly_err err = VLY_ERR_INIT;
    size_t n = 0;

    vly_arena_init(&arena, VLY_MEM_MODEL, 4096, VLY_ONNX_ARENA_BUDGET(file.len));
    if (vly_onnx_model_parse(file.ptr, file.len, &arena, &m, &err) != VLY_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < m->graph->n_nodes; i++)
        n += vly_str_is(m->graph->nodes[i].op_type, op);
    vly_arena_release(&arena);
    return n;
}

void net_weights(onnx_builder *b, const char *name, int n_dims, const int64_t *dims)
{
    size_t n = 1;

    for (int i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    float *w = calloc(n, sizeof(*w));
    assert_non_null(w);
    for (size_t i = 0; i < n; i++)
        w[i] = (float)((i * 37 + 11) % 101) / 50.0f - 1.0f;
    ob_floats(b, name, n_dims, dims, w);
    free(w);
}

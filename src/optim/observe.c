/* SPDX-License-Identifier: MIT */
#include "optim/observe.h"

#include "base/mem.h"
#include "codec/onnx_writer.h"
#include "engine/model.h"

typedef struct observer {
    vly_model *model;
    vly_instance *instance;
    size_t n_inputs, n_outputs, n_values;
    vly_tensor *inputs, *outputs, *values;
    int64_t *from; /* [n_values]: output i, or input -1 - i */
} observer;

/* Where each name comes from: inputs are looked at directly, the rest becomes the outputs. */
static vly_status choose_outputs(vly_edit *e, const vly_str *names, observer *o, vly_err *err)
{
    vly_onnx_value_info *outputs = vly_arena_calloc(&e->arena, o->n_values, sizeof(*outputs));

    if (outputs == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < o->n_values; i++) {
        o->from[i] = (int64_t)o->n_outputs;
        for (size_t k = 0; k < e->graph.n_inputs; k++)
            if (vly_str_eq(e->graph.inputs[k].name, names[i]))
                o->from[i] = -1 - (int64_t)k;
        if (o->from[i] >= 0)
            outputs[o->n_outputs++].name = names[i];
    }
    e->graph.outputs = outputs;
    e->graph.n_outputs = o->n_outputs;
    return VLY_OK;
}

static vly_status load(observer *o, const vly_edit *source, const vly_str *names,
                       const vly_samples *samples, vly_err *err)
{
    vly_edit e;
    vly_buf file;
    vly_status st = vly_edit_clone(&e, source, err);

    if (st != VLY_OK)
        return st;
    vly_buf_init(&file, VLY_MEM_MODEL, VLY_ONNX_FILE_MAX);
    st = choose_outputs(&e, names, o, err);
    if (st == VLY_OK && o->n_outputs > 0)
        st = vly_edit_write(&e, &file, err);
    if (st == VLY_OK && o->n_outputs > 0)
        st = vly_model_load_bytes(file.ptr, file.len, NULL, &o->model, err);
    if (st == VLY_OK && o->n_outputs > 0)
        st = vly_instance_new(o->model, samples->pool, &o->instance, err);
    vly_buf_release(&file);
    vly_edit_close(&e);
    return st;
}

static void release_tensors(observer *o)
{
    for (size_t i = 0; i < o->n_inputs; i++)
        vly_tensor_release(&o->inputs[i]);
    for (size_t i = 0; i < o->n_outputs; i++)
        vly_tensor_release(&o->outputs[i]);
}

static vly_status run_sample(observer *o, const vly_samples *samples, size_t i, vly_observe_fn fn,
                             void *arg, vly_err *err)
{
    vly_status st = samples->get(samples->arg, i, o->inputs, err);

    if (st == VLY_OK && o->instance != NULL)
        st = vly_instance_run(o->instance, o->inputs, o->outputs, err);
    for (size_t k = 0; k < o->n_values && st == VLY_OK; k++)
        o->values[k] = o->from[k] >= 0 ? o->outputs[o->from[k]] : o->inputs[-1 - o->from[k]];
    if (st == VLY_OK)
        st = fn(arg, i, o->values, err);
    release_tensors(o);
    return st;
}

vly_status vly_observe(const vly_edit *e, const vly_str *names, size_t n,
                       const vly_samples *samples, const char *what, vly_observe_fn fn, void *arg,
                       vly_err *err)
{
    observer o = {.n_inputs = e->graph.n_inputs, .n_values = n};
    vly_status st = VLY_OK;

    o.inputs = vly_calloc(VLY_MEM_MODEL, o.n_inputs + 1, sizeof(*o.inputs));
    o.outputs = vly_calloc(VLY_MEM_MODEL, n + 1, sizeof(*o.outputs));
    o.values = vly_calloc(VLY_MEM_MODEL, n + 1, sizeof(*o.values));
    o.from = vly_calloc(VLY_MEM_MODEL, n + 1, sizeof(*o.from));
    if (o.inputs == NULL || o.outputs == NULL || o.values == NULL || o.from == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory to observe %zu values", n);
    if (st == VLY_OK)
        st = load(&o, e, names, samples, err);
    for (size_t i = 0; i < samples->n && st == VLY_OK; i++) {
        st = run_sample(&o, samples, i, fn, arg, err);
        if (samples->progress != NULL)
            samples->progress(samples->arg, what, i + 1, samples->n);
    }
    vly_instance_free(o.instance);
    vly_model_unref(o.model);
    vly_free(o.from);
    vly_free(o.values);
    vly_free(o.outputs);
    vly_free(o.inputs);
    return st;
}

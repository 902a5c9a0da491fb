/* SPDX-License-Identifier: MIT */
#include "optim/prune_common.h"

#include "optim/norms.h"
#include "optim/observe.h"
#include "optim/opset.h"

vly_status vly_prune__begin(vly_edit *e, const vly_prune_opts *opts, vly_prune_layers *ret,
                            vly_err *err)
{
    vly_prune_layers l = {0};

    if (!(opts->sparsity >= 0 && opts->sparsity < 1))
        return vly_fail(err, VLY_EINVAL, "sparsity %g: expected 0 or more, and less than 1",
                        opts->sparsity);
    vly_status st = vly_optim_fold_norms(e, NULL, err);
    if (st == VLY_OK)
        st = vly_optim_raise_opset(e, err);
    if (st != VLY_OK)
        return st;
    l.layers = vly_arena_calloc(&e->arena, e->n_nodes, sizeof(*l.layers));
    if (l.layers == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < e->n_nodes; i++) {
        const vly_edit_value *x = vly_edit_find(e, vly_edit_input(&e->nodes[i], 0));
        l.n += x != NULL && x->tensor < 0 && vly_layer_describe(e, i, &l.layers[l.n]);
    }
    if (l.n == 0)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "no Conv, Gemm or MatMul with constant float32 weights to prune");
    *ret = l;
    return VLY_OK;
}

typedef struct look_run {
    vly_edit *e;
    vly_prune_layers *l;
    size_t *value; /* [n] which of the watched values each layer reads */
} look_run;

static vly_status see(void *arg, size_t sample, const vly_tensor *values, vly_err *err)
{
    look_run *run = arg;

    (void)sample;
    for (size_t i = 0; i < run->l->n; i++) {
        const vly_tensor *t = &values[run->value[i]];
        if (t->dtype != VLY_DTYPE_F32)
            return vly_fail(err, VLY_EUNSUPPORTED, "a layer reads %s, expected float32",
                            vly_dtype_name(t->dtype));
        vly_status st = vly_channel_stats_add(&run->l->stats[i], t, !run->l->layers[i].is_conv,
                                              &run->e->arena, err);
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

vly_status vly_prune__look(vly_edit *e, const vly_samples *samples, vly_prune_layers *l,
                           vly_err *err)
{
    size_t n_names = 0;

    if (samples == NULL)
        return VLY_OK;
    vly_str *names = vly_arena_calloc(&e->arena, l->n, sizeof(*names));
    look_run run = {.e = e, .l = l, .value = vly_arena_calloc(&e->arena, l->n, sizeof(size_t))};
    l->stats = vly_arena_calloc(&e->arena, l->n, sizeof(*l->stats));
    if (names == NULL || run.value == NULL || l->stats == NULL)
        return vly_arena_fail(&e->arena, err);
    for (size_t i = 0; i < l->n; i++) {
        vly_str x = vly_edit_input(&e->nodes[l->layers[i].node], 0);
        size_t at = 0;
        while (at < n_names && !vly_str_eq(names[at], x))
            at++;
        names[at] = x;
        n_names += at == n_names;
        run.value[i] = at;
    }
    vly_status st = vly_observe(e, names, n_names, samples, "channels", see, &run, err);
    for (size_t i = 0; i < l->n; i++)
        vly_channel_stats_finish(&l->stats[i]);
    return st;
}

vly_status vly_prune__set_bias(vly_edit *e, const vly_layer *l, const float *bias, size_t n,
                               vly_err *err)
{
    int64_t dim = (int64_t)n;
    vly_str name;
    vly_status st = vly_edit_name(e, e->nodes[l->node].outputs[0], "bias", &name, err);

    if (st == VLY_OK)
        st = vly_edit_add_tensor(e, name, VLY_DTYPE_F32, 1, &dim, bias, err);
    return st == VLY_OK ? vly_edit_set_input(e, l->node, 2, name, err) : st;
}

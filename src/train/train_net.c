/* SPDX-License-Identifier: MIT */
#include "train/train_net.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/cpu.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define PARAMS_MAX ((size_t)1 << 28)
#define TAPE_MAX   ((size_t)1 << 30) /* floats */

/* ---- description --------------------------------------------------------------------------- */

static vly_status chain_init(vly_train_net *net, vly_train_chain *chain,
                             const vly_train_chain_spec *spec, int64_t in, vly_err *err)
{
    vly_status st = VLY_OK;

    snprintf(chain->name, sizeof(chain->name), "%s", spec->name != NULL ? spec->name : "trunk");
    chain->output = spec->output;
    chain->in = in;
    chain->n_layers = spec->n_layers;
    for (size_t i = 0; i < spec->n_layers && st == VLY_OK; i++) {
        vly_train_layer *l = &chain->layers[i];
        *l = (vly_train_layer){.spec = spec->layers[i], .in = in};
        st = vly_train_layer_shape(l, err);
        if (st != VLY_OK)
            return vly_fail_in(err, st, "%s.%zu", chain->name, i);
        l->params_at = net->n_params;
        l->running_at = net->n_running;
        net->n_params += l->n_params;
        net->n_running += l->n_running;
        in = l->out;
        if (net->n_params > PARAMS_MAX)
            return vly_fail(err, VLY_ELIMIT, "%s.%zu: more than %zu parameters", chain->name, i,
                            PARAMS_MAX);
    }
    chain->out = in;
    return st;
}

static vly_status net_fill(vly_train_net *net, const vly_train_net_spec *spec, vly_err *err)
{
    vly_train_layer *next = net->layers;

    net->n_heads = spec->n_heads;
    net->trunk.layers = next;
    vly_status st = chain_init(net, &net->trunk, &spec->trunk, spec->in, err);
    next += spec->trunk.n_layers;
    for (size_t i = 0; i < spec->n_heads && st == VLY_OK; i++) {
        net->heads[i].layers = next;
        st = chain_init(net, &net->heads[i], &spec->heads[i], net->trunk.out, err);
        next += spec->heads[i].n_layers;
    }
    for (size_t i = 0; i < net->trunk.n_layers && st == VLY_OK; i++)
        if (net->trunk.layers[i].spec.kind == VLY_TRAIN_GRU)
            net->n_state += (size_t)net->trunk.layers[i].out;
    return st;
}

vly_status vly_train_net_new(const vly_train_net_spec *spec, vly_train_net **ret, vly_err *err)
{
    size_t n = spec->trunk.n_layers;
    bool fits = n <= VLY_TRAIN_LAYERS_MAX;

    if (spec->n_heads < 1 || spec->n_heads > VLY_TRAIN_HEADS_MAX)
        return vly_fail(err, VLY_EINVAL, "net: expected 1 to %d heads, got %zu",
                        VLY_TRAIN_HEADS_MAX, spec->n_heads);
    for (size_t i = 0; i < spec->n_heads && fits; i++) {
        fits = spec->heads[i].n_layers <= VLY_TRAIN_LAYERS_MAX;
        n += spec->heads[i].n_layers;
    }
    if (!fits)
        return vly_fail(err, VLY_ELIMIT, "net: more than %d layers one behind the other",
                        VLY_TRAIN_LAYERS_MAX);
    vly_train_net *net = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*net) + n * sizeof(vly_train_layer));
    if (net == NULL)
        return vly_fail(err, VLY_ENOMEM, "net: out of memory");
    vly_status st = net_fill(net, spec, err);
    if (st == VLY_OK)
        *ret = net;
    else
        vly_train_net_free(net);
    return st;
}

void vly_train_net_free(vly_train_net *net)
{
    vly_free(net);
}

size_t vly_train_net_n_layers(const vly_train_net *net)
{
    size_t n = net->trunk.n_layers;

    for (size_t i = 0; i < net->n_heads; i++)
        n += net->heads[i].n_layers;
    return n;
}

void vly_train_net_init(const vly_train_net *net, uint64_t seed, float *params, float *running)
{
    for (size_t i = 0, n = vly_train_net_n_layers(net); i < n; i++) {
        const vly_train_layer *l = &net->layers[i];
        vly_rng rng;
        vly_rng_init(&rng, seed, i);
        if (l->ops->init != NULL)
            l->ops->init(l, params + l->params_at, running + l->running_at, &rng);
    }
}

uint64_t vly_train_net_fingerprint(const vly_train_net *net)
{
    uint64_t sum = vly_rng_mix((uint64_t)net->trunk.in, net->n_heads);

    for (size_t i = 0, n = vly_train_net_n_layers(net); i < n; i++) {
        const vly_train_spec *s = &net->layers[i].spec;
        uint64_t shape = (uint64_t)s->kernel << 40 | (uint64_t)s->dilation << 20 |
                         (uint64_t)s->groups << 1 | s->is_same;
        sum = vly_rng_mix(sum, (uint64_t)s->kind << 32 | (uint64_t)net->layers[i].in);
        sum = vly_rng_mix(sum, (uint64_t)net->layers[i].out);
        sum = vly_rng_mix(sum, shape);
    }
    for (size_t i = 0; i < net->n_heads; i++)
        sum = vly_rng_mix(sum, net->heads[i].n_layers);
    return sum;
}

/* ---- one pass ------------------------------------------------------------------------------ */

/* What a layer leaves on the tape. */
typedef struct slot {
    float *y, *dy, *cache;
} slot;

struct vly_train_tape {
    const vly_train_net *net;
    const vly_gemm_kernel *kernel;
    vly_gemm_dsp dsp;
    vly_train_input input;
    int64_t t_max, n_max;
    float *block;   /* all of the memory below */
    float *scratch; /* of the layer at work */
    float *trunk;   /* gradient by the trunk's result: sum over the heads */
    float *part;    /* what one head adds to it */
    float *state, *seen;
    slot slots[]; /* as net->layers */
};

/* Places for one thing after the other; without a block it only counts. */
typedef struct layout {
    float *block;
    size_t used;
} layout;

static float *place(layout *at, size_t floats)
{
    float *p = at->block != NULL ? at->block + at->used : NULL;

    at->used += vly_align_up(floats, 16);
    return p;
}

static void lay_out(vly_train_tape *tape, layout *at)
{
    const vly_train_net *net = tape->net;
    int64_t t = tape->t_max, n = tape->n_max;
    size_t scratch = 0, rows = (size_t)(t * n);

    for (size_t i = 0, n_layers = vly_train_net_n_layers(net); i < n_layers; i++) {
        const vly_train_layer *l = &net->layers[i];
        slot *s = &tape->slots[i];
        s->y = place(at, rows * (size_t)l->out);
        s->dy = place(at, rows * (size_t)l->out);
        s->cache = place(at, l->ops->cache_floats != NULL ? l->ops->cache_floats(l, t, n) : 0);
        size_t mine =
            l->ops->scratch_floats != NULL ? l->ops->scratch_floats(l, tape->kernel, t, n) : 0;
        scratch = mine > scratch ? mine : scratch;
    }
    tape->scratch = place(at, scratch);
    tape->trunk = place(at, rows * (size_t)net->trunk.out);
    tape->part = place(at, rows * (size_t)net->trunk.out);
    tape->state = place(at, (size_t)n * net->n_state);
    tape->seen = place(at, net->n_running);
}

vly_status vly_train_tape_new(const vly_train_net *net, int64_t t, int64_t n, vly_train_tape **ret,
                              vly_err *err)
{
    size_t n_layers = vly_train_net_n_layers(net);
    vly_train_tape *tape = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*tape) + n_layers * sizeof(slot));
    layout at = {0};

    VLY_ASSERT(t >= 1 && n >= 1);
    if (tape == NULL)
        return vly_fail(err, VLY_ENOMEM, "tape: out of memory");
    tape->net = net;
    tape->t_max = t;
    tape->n_max = n;
    vly_gemm_dsp_init(&tape->dsp, vly_cpu_flags());
    tape->kernel = &tape->dsp.f32;
    lay_out(tape, &at);
    if (at.used <= TAPE_MAX)
        tape->block = vly_alloc_aligned(VLY_MEM_MODEL, at.used * sizeof(float) + 64);
    if (tape->block == NULL) {
        vly_free(tape);
        return vly_fail(err, at.used > TAPE_MAX ? VLY_ELIMIT : VLY_ENOMEM,
                        "tape: %zu floats are too many", at.used);
    }
    at = (layout){.block = tape->block};
    lay_out(tape, &at);
    *ret = tape;
    return VLY_OK;
}

void vly_train_tape_free(vly_train_tape *tape)
{
    if (tape == NULL)
        return;
    vly_free(tape->block);
    vly_free(tape);
}

/* The pass of layer i, forward. state_at: floats of state in front of it. */
static vly_train_pass pass_of(vly_train_tape *tape, size_t i, const float *x, size_t state_at)
{
    const vly_train_layer *l = &tape->net->layers[i];
    const vly_train_input *in = &tape->input;
    size_t at = state_at * (size_t)in->n;

    return (vly_train_pass){
        .kernel = tape->kernel,
        .t = in->t,
        .n = in->n,
        .is_training = in->is_training,
        .seed = vly_rng_mix(in->seed, i),
        .params = in->params + l->params_at,
        .running = in->running != NULL ? in->running + l->running_at : NULL,
        .x = x,
        .y = tape->slots[i].y,
        .cache = tape->slots[i].cache,
        .scratch = tape->scratch,
        .state = in->state != NULL ? in->state + at : NULL,
        .state_out = tape->state + at,
        .seen = tape->seen + l->running_at,
    };
}

static void chain_forward(vly_train_tape *tape, const vly_train_chain *chain, const float *x)
{
    bool is_trunk = chain == &tape->net->trunk;
    size_t first = (size_t)(chain->layers - tape->net->layers), state_at = 0;

    for (size_t k = 0; k < chain->n_layers; k++) {
        const vly_train_layer *l = &chain->layers[k];
        vly_train_pass p = pass_of(tape, first + k, x, state_at);
        if (!is_trunk)
            p.state = NULL, p.state_out = NULL;
        else if (l->spec.kind == VLY_TRAIN_GRU)
            state_at += (size_t)l->out;
        l->ops->forward(l, &p);
        x = p.y;
    }
}

static const float *chain_result(const vly_train_tape *tape, const vly_train_chain *chain,
                                 const float *otherwise)
{
    size_t end = (size_t)(chain->layers - tape->net->layers) + chain->n_layers;

    return chain->n_layers > 0 ? tape->slots[end - 1].y : otherwise;
}

void vly_train_tape_forward(vly_train_tape *tape, const vly_train_input *input)
{
    const vly_train_net *net = tape->net;

    VLY_ASSERT(input->t >= 1 && input->t <= tape->t_max);
    VLY_ASSERT(input->n >= 1 && input->n <= tape->n_max);
    tape->input = *input;
    chain_forward(tape, &net->trunk, input->x);
    for (size_t i = 0; i < net->n_heads; i++)
        chain_forward(tape, &net->heads[i], chain_result(tape, &net->trunk, input->x));
}

const float *vly_train_tape_output(const vly_train_tape *tape, size_t head)
{
    VLY_ASSERT(head < tape->net->n_heads && tape->net->heads[head].n_layers > 0);
    return chain_result(tape, &tape->net->heads[head], NULL);
}

float *vly_train_tape_gradient(vly_train_tape *tape, size_t head)
{
    const vly_train_chain *chain = &tape->net->heads[head];

    VLY_ASSERT(head < tape->net->n_heads && chain->n_layers > 0);
    return tape->slots[(size_t)(chain->layers - tape->net->layers) + chain->n_layers - 1].dy;
}

const float *vly_train_tape_state(const vly_train_tape *tape)
{
    return tape->state;
}

const float *vly_train_tape_seen(const vly_train_tape *tape)
{
    return tape->seen;
}

/* dx of the chain's first layer is written, as the gradient by what it read; NULL: not wanted. */
static void chain_backward(vly_train_tape *tape, const vly_train_chain *chain, const float *x,
                           const float *dy, float *grads, float *dx)
{
    bool is_trunk = chain == &tape->net->trunk;
    size_t first = (size_t)(chain->layers - tape->net->layers);
    size_t state_at = is_trunk ? tape->net->n_state : 0;

    for (size_t k = chain->n_layers; k-- > 0;) {
        const vly_train_layer *l = &chain->layers[k];
        if (is_trunk && l->spec.kind == VLY_TRAIN_GRU)
            state_at -= (size_t)l->out;
        vly_train_pass p =
            pass_of(tape, first + k, k > 0 ? tape->slots[first + k - 1].y : x, state_at);
        if (!is_trunk)
            p.state = NULL;
        p.dy = dy;
        p.dx = k > 0 ? tape->slots[first + k - 1].dy : dx;
        p.grads = grads + l->params_at;
        l->ops->backward(l, &p);
        dy = p.dx;
    }
}

void vly_train_tape_backward(vly_train_tape *tape, float *grads, float *dx)
{
    const vly_train_net *net = tape->net;
    const vly_train_input *in = &tape->input;
    size_t n = (size_t)(in->t * in->n * net->trunk.out);
    const float *x = chain_result(tape, &net->trunk, in->x);

    for (size_t i = 0; i < net->n_heads; i++) {
        float *to = i == 0 ? tape->trunk : tape->part;
        chain_backward(tape, &net->heads[i], x, vly_train_tape_gradient(tape, i), grads, to);
        for (size_t k = 0; k < n && i > 0; k++)
            tape->trunk[k] += tape->part[k];
    }
    if (net->trunk.n_layers > 0)
        chain_backward(tape, &net->trunk, in->x, tape->trunk, grads, dx);
    else if (dx != NULL)
        memcpy(dx, tape->trunk, n * sizeof(*dx));
}

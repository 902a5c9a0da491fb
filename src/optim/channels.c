/* SPDX-License-Identifier: MIT */
#include "optim/channels.h"

#include "base/assert.h"

size_t vly_channels__root(vly_channel_map *m, size_t c)
{
    while (m->channels[c].parent != c) {
        m->channels[c].parent = m->channels[m->channels[c].parent].parent;
        c = m->channels[c].parent;
    }
    return c;
}

size_t vly_channels__unit(vly_channel_map *m, size_t u)
{
    while (m->units[u] != u) {
        m->units[u] = m->units[m->units[u]];
        u = m->units[u];
    }
    return u;
}

static void tie(vly_channel_map *m, size_t a, size_t b)
{
    a = vly_channels__root(m, a);
    b = vly_channels__root(m, b);
    m->channels[b].is_fixed = m->channels[b].is_fixed || m->channels[a].is_fixed;
    m->units[vly_channels__unit(m, m->channels[a].unit)] =
        vly_channels__unit(m, m->channels[b].unit);
    m->channels[a].parent = b;
}

static void fix(vly_channel_map *m, vly_channel_list list)
{
    for (size_t i = 0; i < list.n && list.at != NULL; i++)
        m->channels[vly_channels__root(m, list.at[i])].is_fixed = true;
}

vly_channel_list vly_channels__list(const vly_channel_map *m, vly_str name)
{
    const vly_edit_value *v = vly_edit_find(m->e, name);

    return v != NULL ? m->of[v - m->e->values] : (vly_channel_list){NULL, 0};
}

static void set(vly_channel_map *m, vly_str name, vly_channel_list list)
{
    const vly_edit_value *v = vly_edit_find(m->e, name);

    if (v != NULL)
        m->of[v - m->e->values] = list;
}

bool vly_channels__is_depthwise(const vly_layer *l)
{
    return l->is_conv && l->in_each == 1 && l->group_out == 1;
}

/* What the channels of its inputs mean behind this node is not known: they stay. */
static void block(vly_channel_map *m, const vly_onnx_node *node)
{
    for (size_t i = 0; i < node->n_inputs; i++)
        fix(m, vly_channels__list(m, node->inputs[i]));
}

/* ---- kinds of nodes ----------------------------------------------------------------------- */

static vly_status trace_layer(vly_channel_map *m, size_t layer, vly_err *err)
{
    const vly_layer *l = &m->l->layers[layer];
    const vly_onnx_node *node = &m->e->nodes[l->node];
    vly_channel_list in = vly_channels__list(m, node->inputs[0]);

    if (vly_channels__is_depthwise(l) && in.n == l->n_channels) {
        set(m, node->outputs[0], in);
        return VLY_OK;
    }
    vly_channel_list out = {vly_arena_calloc(&m->e->arena, l->n_channels, sizeof(size_t)),
                            l->n_channels};
    if (out.at == NULL)
        return vly_arena_fail(&m->e->arena, err);
    VLY_ASSERT(m->n + out.n <= m->cap);
    for (size_t c = 0; c < out.n; c++) {
        m->channels[m->n] = (vly_channel){.parent = m->n, .unit = layer};
        out.at[c] = m->n++;
    }
    set(m, node->outputs[0], out);
    if (l->group_out != l->n_channels || (in.at != NULL && in.n != l->in_each)) {
        fix(m, in); /* groups of several channels keep their sizes */
        fix(m, out);
    }
    return VLY_OK;
}

static bool passes_on(const vly_onnx_node *node)
{
    static const char *const ops[] = {"Relu",
                                      "LeakyRelu",
                                      "Sigmoid",
                                      "Tanh",
                                      "Clip",
                                      "HardSwish",
                                      "HardSigmoid",
                                      "Elu",
                                      "Softplus",
                                      "Mish",
                                      "Gelu",
                                      "Erf",
                                      "Identity",
                                      "Dropout",
                                      "MaxPool",
                                      "AveragePool",
                                      "GlobalAveragePool",
                                      "GlobalMaxPool"};

    for (size_t i = 0; i < VLY_COUNT(ops); i++)
        if (vly_edit_is(node, ops[i]))
            return node->n_outputs == 1;
    return vly_edit_is(node, "Resize") && vly_edit_input(node, 3).len == 0; /* scales, not sizes */
}

/* Flatten behind a global pool: one value for each channel. */
static bool is_flat(const vly_channel_map *m, const vly_onnx_node *node)
{
    const vly_edit_value *x = vly_edit_find(m->e, vly_edit_input(node, 0));

    return vly_edit_is(node, "Flatten") && vly_edit_attr_int(node, "axis", 1) == 1 && x != NULL &&
           x->producer >= 0 && vly_edit_is(&m->e->nodes[x->producer], "GlobalAveragePool");
}

static bool is_elementwise(const vly_onnx_node *node)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"};

    for (size_t i = 0; i < VLY_COUNT(ops); i++)
        if (vly_edit_is(node, ops[i]))
            return true;
    return false;
}

/* All inputs are activations of the same channels, or constants of one element. */
static void trace_elementwise(vly_channel_map *m, const vly_onnx_node *node)
{
    vly_channel_list first = {NULL, 0};

    for (size_t i = 0; i < node->n_inputs; i++) {
        const vly_onnx_tensor *t = vly_edit_tensor(m->e, node->inputs[i]);
        vly_channel_list list = vly_channels__list(m, node->inputs[i]);
        if (t != NULL && t->n_elems == 1)
            continue;
        if (list.at == NULL || (first.at != NULL && list.n != first.n)) {
            block(m, node);
            return;
        }
        for (size_t c = 0; c < list.n && first.at != NULL; c++)
            tie(m, first.at[c], list.at[c]);
        first = first.at != NULL ? first : list;
    }
    set(m, node->outputs[0], first);
}

static vly_status trace_concat(vly_channel_map *m, const vly_onnx_node *node, vly_err *err)
{
    vly_channel_list all = {NULL, 0};
    bool is_known = vly_edit_attr_int(node, "axis", 0) == 1;

    for (size_t i = 0; i < node->n_inputs; i++) {
        vly_channel_list list = vly_channels__list(m, node->inputs[i]);
        is_known = is_known && list.at != NULL;
        all.n += list.n;
    }
    if (!is_known) {
        block(m, node);
        return VLY_OK;
    }
    all.at = vly_arena_calloc(&m->e->arena, all.n, sizeof(*all.at));
    if (all.at == NULL)
        return vly_arena_fail(&m->e->arena, err);
    size_t n = 0;
    for (size_t i = 0; i < node->n_inputs; i++) {
        vly_channel_list list = vly_channels__list(m, node->inputs[i]);
        for (size_t c = 0; c < list.n; c++)
            all.at[n++] = list.at[c];
    }
    set(m, node->outputs[0], all);
    return VLY_OK;
}

bool vly_channels__parts(const vly_edit *e, const vly_onnx_node *node, size_t n_in,
                         int64_t ret[VLY_CHANNELS_PARTS_MAX])
{
    const vly_onnx_tensor *sizes = vly_edit_tensor(e, vly_edit_input(node, 1));
    size_t n = 0;
    int64_t sum = 0;

    if (vly_edit_attr_int(node, "axis", 0) != 1 || node->n_outputs == 0 ||
        node->n_outputs > VLY_CHANNELS_PARTS_MAX)
        return false;
    if (vly_edit_input(node, 1).len == 0) {
        for (size_t i = 0; i < node->n_outputs; i++)
            ret[i] = (int64_t)(n_in / node->n_outputs);
        return n_in % node->n_outputs == 0;
    }
    if (!vly_edit_ints(sizes, ret, VLY_CHANNELS_PARTS_MAX, &n) || n != node->n_outputs)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (ret[i] < 0 || ret[i] > (int64_t)n_in)
            return false;
        sum += ret[i];
    }
    return sum == (int64_t)n_in;
}

static void trace_split(vly_channel_map *m, const vly_onnx_node *node)
{
    vly_channel_list in = vly_channels__list(m, node->inputs[0]);
    int64_t parts[VLY_CHANNELS_PARTS_MAX];
    size_t begin = 0;

    if (in.at == NULL || !vly_channels__parts(m->e, node, in.n, parts)) {
        block(m, node);
        return;
    }
    for (size_t i = 0; i < node->n_outputs; i++) {
        set(m, node->outputs[i], (vly_channel_list){in.at + begin, (size_t)parts[i]});
        begin += (size_t)parts[i];
    }
}

static vly_status trace_node(vly_channel_map *m, const vly_onnx_node *node, vly_err *err)
{
    if (passes_on(node) || is_flat(m, node))
        set(m, node->outputs[0], vly_channels__list(m, node->inputs[0]));
    else if (is_elementwise(node))
        trace_elementwise(m, node);
    else if (vly_edit_is(node, "Concat"))
        return trace_concat(m, node, err);
    else if (vly_edit_is(node, "Split"))
        trace_split(m, node);
    else
        block(m, node);
    return VLY_OK;
}

static vly_status allocate(vly_channel_map *m, vly_err *err)
{
    for (size_t i = 0; i < m->l->n; i++)
        m->cap += m->l->layers[i].n_channels;
    m->of = vly_arena_calloc(&m->e->arena, m->e->n_values, sizeof(*m->of));
    m->channels = vly_arena_calloc(&m->e->arena, m->cap, sizeof(*m->channels));
    m->units = vly_arena_calloc(&m->e->arena, m->l->n, sizeof(*m->units));
    if (m->of == NULL || m->channels == NULL || m->units == NULL)
        return vly_arena_fail(&m->e->arena, err);
    for (size_t i = 0; i < m->l->n; i++)
        m->units[i] = i;
    return VLY_OK;
}

vly_status vly_channels__trace(vly_edit *e, const vly_prune_layers *l, vly_channel_map *ret,
                               vly_err *err)
{
    vly_channel_map m = {.e = e, .l = l};
    vly_status st = allocate(&m, err);
    size_t layer = 0;

    for (size_t i = 0; i < e->n_nodes && st == VLY_OK; i++) {
        if (e->nodes[i].op_type.len == 0 || e->nodes[i].n_inputs == 0)
            continue;
        bool is_layer = layer < l->n && l->layers[layer].node == i;
        if (is_layer && l->layers[layer].has_bias_input)
            st = trace_layer(&m, layer, err);
        else
            st = trace_node(&m, &e->nodes[i], err); /* MatMul too: its channels are the last */
        layer += is_layer;
    }
    for (size_t i = 0; i < e->graph.n_outputs && st == VLY_OK; i++)
        fix(&m, vly_channels__list(&m, e->graph.outputs[i].name));
    if (st == VLY_OK)
        *ret = m;
    return st;
}

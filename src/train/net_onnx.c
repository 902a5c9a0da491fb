/* SPDX-License-Identifier: MIT */
#include "train/net_onnx.h"

#include "codec/onnx_writer.h"
#include "tensor/dtype.h"

#include <string.h>

#define OPSET          17 /* the first with LayerNormalization */
#define IR_VERSION     8
#define NODES_EACH     8 /* at most, of a layer */
#define ARENA_BYTES    ((size_t)1 << 16)
#define ARENA_BYTES_OF ((size_t)64 << 20) /* beside the copies of parameters */

static void *copy(vly_train_net_writer *w, const void *from, size_t n, size_t size)
{
    void *to = vly_arena_calloc(&w->arena, n > 0 ? n : 1, size);

    if (to != NULL && n > 0)
        memcpy(to, from, n * size);
    return to;
}

/* "<chain>.<layer>.<suffix>"; ptr NULL: no memory. */
static vly_str name_of(vly_train_net_writer *w, const char *suffix)
{
    return vly_str_from(vly_arena_printf(&w->arena, "%s.%zu.%s", w->chain, w->layer, suffix));
}

static vly_status add_tensor(vly_train_net_writer *w, const vly_onnx_tensor *t, vly_str *ret,
                             vly_err *err)
{
    vly_onnx_tensor mine = *t;

    mine.dims = copy(w, t->dims, t->n_dims, sizeof(*t->dims));
    if (mine.name.ptr == NULL || mine.dims == NULL || mine.data == NULL)
        return vly_arena_fail(&w->arena, err);
    if (w->n_tensors == w->tensors_cap)
        return vly_fail(err, VLY_ELIMIT, "more than %zu tensors", w->tensors_cap);
    mine.n_elems = 1;
    for (size_t i = 0; i < t->n_dims; i++)
        mine.n_elems *= (uint64_t)t->dims[i];
    w->tensors[w->n_tensors++] = mine;
    *ret = mine.name;
    return VLY_OK;
}

vly_status vly_train_write_tensor(vly_train_net_writer *w, const char *suffix, size_t n_dims,
                                  const int64_t *dims, const float *data, vly_str *ret,
                                  vly_err *err)
{
    size_t n = sizeof(*data);

    for (size_t i = 0; i < n_dims; i++)
        n *= (size_t)dims[i];
    return add_tensor(w,
                      &(vly_onnx_tensor){.name = name_of(w, suffix),
                                         .data_type = VLY_DTYPE_F32,
                                         .n_dims = n_dims,
                                         .dims = dims,
                                         .data = data,
                                         .n_bytes = n},
                      ret, err);
}

vly_status vly_train_write_turned(vly_train_net_writer *w, const char *suffix, int64_t rows,
                                  int64_t cols, const float *data, vly_str *ret, vly_err *err)
{
    float *turned = vly_arena_calloc(&w->arena, (size_t)(rows * cols), sizeof(*turned));
    int64_t dims[] = {cols, rows};

    if (turned == NULL)
        return vly_arena_fail(&w->arena, err);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            turned[j * rows + i] = data[i * cols + j];
    return vly_train_write_tensor(w, suffix, 2, dims, turned, ret, err);
}

vly_status vly_train_write_ints(vly_train_net_writer *w, const char *suffix, size_t n,
                                const int64_t *values, vly_str *ret, vly_err *err)
{
    int64_t dim = (int64_t)n;

    return add_tensor(w,
                      &(vly_onnx_tensor){.name = name_of(w, suffix),
                                         .data_type = VLY_DTYPE_I64,
                                         .n_dims = 1,
                                         .dims = &dim,
                                         .data = copy(w, values, n, sizeof(*values)),
                                         .n_bytes = n * sizeof(*values)},
                      ret, err);
}

/* Attributes with their lists. */
static vly_onnx_attr *copy_attrs(vly_train_net_writer *w, const vly_onnx_attr *attrs, size_t n)
{
    vly_onnx_attr *mine = copy(w, attrs, n, sizeof(*attrs));

    for (size_t i = 0; i < n && mine != NULL; i++) {
        if (attrs[i].type != VLY_ONNX_ATTR_INTS)
            continue;
        mine[i].ints = copy(w, attrs[i].ints, attrs[i].n, sizeof(*attrs[i].ints));
        if (mine[i].ints == NULL)
            return NULL;
    }
    return mine;
}

static vly_status add_node(vly_train_net_writer *w, const vly_onnx_node *node, vly_err *err)
{
    vly_onnx_node mine = *node;

    mine.inputs = copy(w, node->inputs, node->n_inputs, sizeof(*node->inputs));
    mine.outputs = copy(w, node->outputs, node->n_outputs, sizeof(*node->outputs));
    mine.attrs = copy_attrs(w, node->attrs, node->n_attrs);
    if (mine.inputs == NULL || mine.outputs == NULL || mine.attrs == NULL)
        return vly_arena_fail(&w->arena, err);
    for (size_t i = 0; i < mine.n_outputs; i++)
        if (mine.outputs[i].ptr == NULL)
            return vly_arena_fail(&w->arena, err);
    if (w->n_nodes == w->nodes_cap)
        return vly_fail(err, VLY_ELIMIT, "more than %zu nodes", w->nodes_cap);
    w->nodes[w->n_nodes++] = mine;
    return VLY_OK;
}

vly_status vly_train_write_node(vly_train_net_writer *w, const char *op, const vly_str *inputs,
                                size_t n_inputs, const vly_onnx_attr *attrs, size_t n_attrs,
                                vly_str *ret, vly_err *err)
{
    vly_str out = vly_str_from(
        vly_arena_printf(&w->arena, "%s.%zu.%s.%zu", w->chain, w->layer, op, w->n_nodes));
    vly_onnx_node node = {.name = out,
                          .op_type = vly_str_from(op),
                          .n_inputs = n_inputs,
                          .inputs = inputs,
                          .n_outputs = 1,
                          .outputs = &out,
                          .n_attrs = n_attrs,
                          .attrs = attrs};
    vly_status st = add_node(w, &node, err);

    if (st == VLY_OK)
        *ret = out;
    return st;
}

vly_status vly_train_write_gru(vly_train_net_writer *w, vly_str inputs[6],
                               const vly_onnx_attr *attrs, size_t n_attrs, vly_str *ret,
                               vly_err *err)
{
    size_t which = w->n_states_used++;
    vly_str outputs[] = {name_of(w, "Y"), w->states_out[which]};
    vly_onnx_node node = {.name = name_of(w, "GRU"),
                          .op_type = VLY_STR("GRU"),
                          .n_inputs = 6,
                          .inputs = inputs,
                          .n_outputs = 2,
                          .outputs = outputs,
                          .n_attrs = n_attrs,
                          .attrs = attrs};

    inputs[4] = (vly_str){NULL, 0};
    inputs[5] = w->states[which];
    vly_status st = add_node(w, &node, err);
    if (st == VLY_OK)
        *ret = outputs[0];
    return st;
}

/* ---- the state of all GRUs ----------------------------------------------------------------- */

/* One GRU reads and writes the graph's state itself; several a part of it each. */
static vly_status begin_states(vly_train_net_writer *w, const vly_train_net *net, vly_err *err)
{
    vly_str in = VLY_STR("state");
    vly_onnx_attr axis = {VLY_STR("axis"), VLY_ONNX_ATTR_INT, 0, .i = 0};

    w->chain = "state";
    for (size_t i = 0; i < net->trunk.n_layers; i++)
        w->n_states += net->trunk.layers[i].spec.kind == VLY_TRAIN_GRU;
    for (size_t i = 0; i < w->n_states; i++) {
        bool is_one = w->n_states == 1;
        w->states[i] = is_one ? in : vly_str_from(vly_arena_printf(&w->arena, "state.%zu", i));
        w->states_out[i] = is_one ? VLY_STR("state_out")
                                  : vly_str_from(vly_arena_printf(&w->arena, "state_out.%zu", i));
    }
    if (w->n_states < 2)
        return VLY_OK;
    return add_node(w,
                    &(vly_onnx_node){.name = VLY_STR("state.Split"),
                                     .op_type = VLY_STR("Split"),
                                     .n_inputs = 1,
                                     .inputs = &in,
                                     .n_outputs = w->n_states,
                                     .outputs = w->states,
                                     .n_attrs = 1,
                                     .attrs = &axis},
                    err);
}

static vly_status end_states(vly_train_net_writer *w, vly_err *err)
{
    vly_str out = VLY_STR("state_out");
    vly_onnx_attr axis = {VLY_STR("axis"), VLY_ONNX_ATTR_INT, 0, .i = 0};

    if (w->n_states < 2)
        return VLY_OK;
    return add_node(w,
                    &(vly_onnx_node){.name = VLY_STR("state_out.Concat"),
                                     .op_type = VLY_STR("Concat"),
                                     .n_inputs = w->n_states,
                                     .inputs = w->states_out,
                                     .n_outputs = 1,
                                     .outputs = &out,
                                     .n_attrs = 1,
                                     .attrs = &axis},
                    err);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static vly_status write_chain(vly_train_net_writer *w, const vly_train_chain *chain,
                              const float *params, const float *running, vly_err *err)
{
    vly_status st = VLY_OK;

    w->chain = chain->name;
    for (w->layer = 0; w->layer < chain->n_layers && st == VLY_OK; w->layer++) {
        const vly_train_layer *l = &chain->layers[w->layer];
        if (l->ops->write != NULL)
            st = l->ops->write(l, params + l->params_at, running + l->running_at, w, err);
    }
    return st;
}

static vly_status write_head(vly_train_net_writer *w, const vly_train_chain *head, vly_err *err)
{
    static const char *const ops[] = {
        [VLY_TRAIN_LINEAR] = "Identity",
        [VLY_TRAIN_SIGMOID] = "Sigmoid",
        [VLY_TRAIN_SOFTMAX] = "Softmax",
    };
    vly_onnx_attr axis = {VLY_STR("axis"), VLY_ONNX_ATTR_INT, 0, .i = -1};
    vly_str name = vly_str_from(head->name);

    return add_node(w,
                    &(vly_onnx_node){.name = name,
                                     .op_type = vly_str_from(ops[head->output]),
                                     .n_inputs = 1,
                                     .inputs = &w->value,
                                     .n_outputs = 1,
                                     .outputs = &name,
                                     .n_attrs = head->output == VLY_TRAIN_SOFTMAX,
                                     .attrs = &axis},
                    err);
}

static vly_status write_graph(vly_train_net_writer *w, const vly_train_net *net,
                              const float *params, const float *running, const char *input,
                              vly_err *err)
{
    vly_status st = begin_states(w, net, err);

    w->value = vly_str_from(input);
    if (st == VLY_OK)
        st = write_chain(w, &net->trunk, params, running, err);
    vly_str trunk = w->value;
    for (size_t i = 0; i < net->n_heads && st == VLY_OK; i++) {
        w->value = trunk;
        st = write_chain(w, &net->heads[i], params, running, err);
        if (st == VLY_OK)
            st = write_head(w, &net->heads[i], err);
    }
    return st == VLY_OK ? end_states(w, err) : st;
}

/* [first, "n", last]: first is a name, or, when that is NULL, a number. */
static vly_onnx_value_info value_of(const char *name, const char *first, int64_t n_first,
                                    int64_t last, vly_onnx_dim dims[3])
{
    dims[0] = (vly_onnx_dim){first != NULL ? -1 : n_first, vly_str_from(first)};
    dims[1] = (vly_onnx_dim){-1, VLY_STR("n")};
    dims[2] = (vly_onnx_dim){last, {NULL, 0}};
    return (vly_onnx_value_info){.name = vly_str_from(name),
                                 .kind = VLY_ONNX_KIND_TENSOR,
                                 .elem_type = VLY_DTYPE_F32,
                                 .has_shape = true,
                                 .n_dims = 3,
                                 .dims = dims};
}

static vly_status write_model(const vly_train_net_writer *w, const vly_train_net *net,
                              const vly_train_onnx_opts *opts, vly_buf *out, vly_err *err)
{
    vly_onnx_dim dims[VLY_TRAIN_HEADS_MAX + 3][3];
    vly_onnx_value_info inputs[2], outputs[VLY_TRAIN_HEADS_MAX + 1];
    vly_onnx_opset opset = {.version = OPSET};
    int64_t n = (int64_t)w->n_states, hidden = n > 0 ? (int64_t)net->n_state / n : 0;

    inputs[0] = value_of(opts->input, "t", 0, net->trunk.in, dims[0]);
    inputs[1] = value_of("state", NULL, n, hidden, dims[1]);
    for (size_t i = 0; i < net->n_heads; i++)
        outputs[i] = value_of(net->heads[i].name, "t", 0, net->heads[i].out, dims[3 + i]);
    outputs[net->n_heads] = value_of("state_out", NULL, n, hidden, dims[2]);
    vly_onnx_graph graph = {.name = vly_str_from(opts->name),
                            .n_nodes = w->n_nodes,
                            .nodes = w->nodes,
                            .n_initialisers = w->n_tensors,
                            .initialisers = w->tensors,
                            .n_inputs = n > 0 ? 2 : 1,
                            .inputs = inputs,
                            .n_outputs = net->n_heads + (n > 0),
                            .outputs = outputs};
    vly_onnx_model model = {.ir_version = IR_VERSION,
                            .producer_name = VLY_STR("volley train"),
                            .opset = OPSET,
                            .n_opsets = 1,
                            .opsets = &opset,
                            .n_props = opts->n_props,
                            .props = opts->props,
                            .graph = &graph};
    return vly_onnx_model_write(&model, out, err);
}

static vly_status check_states(const vly_train_net *net, vly_err *err)
{
    int64_t hidden = 0;

    for (size_t i = 0; i < net->trunk.n_layers; i++) {
        const vly_train_layer *l = &net->trunk.layers[i];
        if (l->spec.kind != VLY_TRAIN_GRU)
            continue;
        if (hidden != 0 && l->out != hidden)
            return vly_fail(err, VLY_EINVAL, "%s.%zu: a GRU of %lld channels beside one of %lld",
                            net->trunk.name, i, (long long)l->out, (long long)hidden);
        hidden = l->out;
    }
    return VLY_OK;
}

vly_status vly_train_net_write(const vly_train_net *net, const float *params, const float *running,
                               const vly_train_onnx_opts *opts, vly_buf *out, vly_err *err)
{
    vly_train_net_writer w = {.nodes_cap = (vly_train_net_n_layers(net) + 4) * NODES_EACH};
    vly_status st = check_states(net, err);

    if (st != VLY_OK)
        return st;
    vly_arena_init(&w.arena, VLY_MEM_MODEL, ARENA_BYTES,
                   ARENA_BYTES_OF + 4 * net->n_params * sizeof(float));
    w.tensors_cap = w.nodes_cap;
    w.nodes = vly_arena_calloc(&w.arena, w.nodes_cap, sizeof(*w.nodes));
    w.tensors = vly_arena_calloc(&w.arena, w.tensors_cap, sizeof(*w.tensors));
    if (w.nodes == NULL || w.tensors == NULL)
        st = vly_arena_fail(&w.arena, err);
    if (st == VLY_OK)
        st = write_graph(&w, net, params, running, opts->input, err);
    if (st == VLY_OK)
        st = write_model(&w, net, opts, out, err);
    vly_arena_release(&w.arena);
    return st;
}

/* SPDX-License-Identifier: MIT */
#include "sched/sequence_plan.h"

#include "base/assert.h"
#include "sys/file.h"

#include <string.h>

#define DEFAULT_IDLE_US 1000000 /* Triton's */

typedef struct maker {
    const char *name; /* of the model, for messages */
    const vly_triton_config *config;
    const vly_triton_sequence_batching *batching;
    const vly_model_info *run;
    const char *model_dir;
    vly_arena *arena;
    vly_sequence_plan *plan;
    bool *is_state_output; /* [n_outputs] of the run */
    unsigned seen_kinds;   /* bit of each control that was met */
    vly_err *err;
} maker;

static const char *const kind_names[] = {
    [VLY_TRITON_CONTROL_SEQUENCE_START] = "CONTROL_SEQUENCE_START",
    [VLY_TRITON_CONTROL_SEQUENCE_READY] = "CONTROL_SEQUENCE_READY",
    [VLY_TRITON_CONTROL_SEQUENCE_END] = "CONTROL_SEQUENCE_END",
    [VLY_TRITON_CONTROL_SEQUENCE_CORRID] = "CONTROL_SEQUENCE_CORRID",
};

static const vly_sequence_source sources[] = {
    [VLY_TRITON_CONTROL_SEQUENCE_START] = VLY_SEQUENCE_START,
    [VLY_TRITON_CONTROL_SEQUENCE_READY] = VLY_SEQUENCE_READY,
    [VLY_TRITON_CONTROL_SEQUENCE_END] = VLY_SEQUENCE_END,
    [VLY_TRITON_CONTROL_SEQUENCE_CORRID] = VLY_SEQUENCE_CORRID,
};

static size_t find(const vly_model_io *ios, size_t n, vly_str name)
{
    size_t i = 0;

    while (i < n && !vly_str_is(name, ios[i].name))
        i++;
    return i;
}

/* A tensor of shape in the arena, zeroed. */
static vly_status new_tensor(maker *k, vly_dtype dtype, const vly_shape *shape, vly_tensor *ret)
{
    size_t bytes;

    if (!vly_shape_bytes(shape, dtype, &bytes))
        return vly_fail(k->err, VLY_ELIMIT, "model '%s': a state is too large", k->name);
    void *data = vly_arena_calloc(k->arena, bytes + VLY_TENSOR_PADDING, 1);
    if (data == NULL)
        return vly_arena_fail(k->arena, k->err);
    *ret = vly_tensor_borrow(dtype, shape, data);
    return VLY_OK;
}

/* ---- control inputs ---- */

/* The shape of one element as the model wants it: 1 in every dimension. */
static vly_status control_shape(maker *k, const vly_model_io *io, vly_shape *ret)
{
    *ret = (vly_shape){.rank = io->has_shape ? io->shape.rank : 1};
    for (int i = 0; i < ret->rank; i++) {
        int64_t dim = io->has_shape ? io->shape.dim[i] : 1;
        if (dim != 1 && dim != VLY_DIM_UNKNOWN)
            return vly_fail(k->err, VLY_EINVAL,
                            "model '%s': sequence control '%s': expected one element, got a "
                            "dimension of %lld",
                            k->name, io->name, (long long)dim);
        ret->dim[i] = 1;
    }
    return VLY_OK;
}

static vly_status fail_pair(maker *k, const vly_triton_control *c, const char *list)
{
    return vly_fail(k->err, VLY_EINVAL,
                    "sequence batching control '%s' must have exactly 2 entries for %s for %s",
                    list, kind_names[c->kind], k->name);
}

/* The pair that is given, and the type that it is for. */
static vly_status read_pair(maker *k, const vly_triton_control *c, double ret[2], vly_dtype *dtype)
{
    size_t n_lists = (c->n_int32_false_true > 0) + (c->n_fp32_false_true > 0) +
                     (size_t)(c->n_bool_false_true > 0);

    if (n_lists != 1)
        return vly_fail(k->err, VLY_EINVAL,
                        n_lists == 0
                            ? "sequence batching must specify either 'int32_false_true', "
                              "'fp32_false_true' or 'bool_false_true' for %s for %s"
                            : "sequence batching specifies more than one from 'int32_false_true', "
                              "'fp32_false_true' and 'bool_false_true' for %s for %s",
                        kind_names[c->kind], k->name);
    *dtype = c->n_int32_false_true > 0  ? VLY_DTYPE_I32
             : c->n_fp32_false_true > 0 ? VLY_DTYPE_F32
                                        : VLY_DTYPE_BOOL;
    if (*dtype == VLY_DTYPE_I32 && c->n_int32_false_true != 2)
        return fail_pair(k, c, "int32_false_true");
    if (*dtype == VLY_DTYPE_F32 && c->n_fp32_false_true != 2)
        return fail_pair(k, c, "fp32_false_true");
    if (*dtype == VLY_DTYPE_BOOL && c->n_bool_false_true != 2)
        return fail_pair(k, c, "bool_false_true");
    for (int i = 0; i < 2; i++)
        ret[i] = *dtype == VLY_DTYPE_I32   ? (double)c->int32_false_true[i]
                 : *dtype == VLY_DTYPE_F32 ? c->fp32_false_true[i]
                                           : (double)c->bool_false_true[i];
    return VLY_OK;
}

static vly_status check_dtype(maker *k, const vly_model_io *io, vly_dtype want)
{
    if (io->dtype == want)
        return VLY_OK;
    return vly_fail(k->err, VLY_EINVAL,
                    "model '%s': '%s' is %s in the configuration, but %s in the model", k->name,
                    io->name, vly_dtype_name(want), vly_dtype_name(io->dtype));
}

static vly_status make_pair(maker *k, const vly_triton_control *c, const vly_model_io *io,
                            vly_sequence_input *in)
{
    double values[2] = {0, 0};
    vly_dtype dtype = VLY_DTYPE_UNDEFINED;
    vly_shape shape;
    vly_status st = read_pair(k, c, values, &dtype);

    if (st == VLY_OK)
        st = check_dtype(k, io, dtype);
    if (st == VLY_OK)
        st = control_shape(k, io, &shape);
    for (int i = 0; i < 2 && st == VLY_OK; i++) {
        st = new_tensor(k, dtype, &shape, &in->values[i]);
        if (st != VLY_OK)
            break;
        if (dtype == VLY_DTYPE_I32)
            *(int32_t *)in->values[i].data = (int32_t)values[i];
        else if (dtype == VLY_DTYPE_F32)
            *(float *)in->values[i].data = (float)values[i];
        else
            *(bool *)in->values[i].data = values[i] != 0;
    }
    return st;
}

static vly_status make_corrid(maker *k, const vly_triton_control *c, const vly_model_io *io,
                              vly_sequence_input *in)
{
    vly_dtype dtype = VLY_DTYPE_UNDEFINED;
    vly_shape shape;

    if (c->n_int32_false_true + c->n_fp32_false_true + c->n_bool_false_true > 0)
        return vly_fail(k->err, VLY_EINVAL,
                        "sequence batching must not specify either 'int32_false_true', "
                        "'fp32_false_true' or 'bool_false_true' for %s for %s",
                        kind_names[c->kind], k->name);
    if (!vly_dtype_from_kserve(c->datatype, &dtype) ||
        (dtype != VLY_DTYPE_U64 && dtype != VLY_DTYPE_I64 && dtype != VLY_DTYPE_U32 &&
         dtype != VLY_DTYPE_I32 && dtype != VLY_DTYPE_STRING))
        return vly_fail(k->err, VLY_EINVAL,
                        "unexpected control data type, expected TYPE_UINT64, TYPE_INT64, "
                        "TYPE_UINT32, TYPE_INT32, or TYPE_STRING for %s for %s",
                        kind_names[c->kind], k->name);
    vly_status st = check_dtype(k, io, dtype);
    if (st == VLY_OK)
        st = control_shape(k, io, &shape);
    k->plan->corrid_dtype = dtype;
    return st == VLY_OK ? new_tensor(k, dtype, &shape, &in->values[0]) : st;
}

static vly_status make_control(maker *k, const vly_triton_control_input *ci,
                               const vly_triton_control *c)
{
    size_t at = find(k->run->inputs, k->run->n_inputs, ci->name);
    vly_sequence_input *in = &k->plan->inputs[at];

    if (at == k->run->n_inputs)
        return vly_fail(k->err, VLY_EINVAL,
                        "configuration specified sequence control '%.*s', but model does not "
                        "provide that input",
                        VLY_STR_ARG(ci->name));
    if (in->source != VLY_SEQUENCE_CLIENT)
        return vly_fail(k->err, VLY_EINVAL,
                        "sequence batching control tensor '%.*s' is specified for multiple control "
                        "kinds for %s",
                        VLY_STR_ARG(ci->name), k->name);
    if ((k->seen_kinds >> c->kind & 1) != 0)
        return vly_fail(k->err, VLY_EINVAL,
                        "sequence batching specifies multiple %s tensors for %s",
                        kind_names[c->kind], k->name);
    k->seen_kinds |= 1u << c->kind;
    in->source = sources[c->kind];
    return c->kind == VLY_TRITON_CONTROL_SEQUENCE_CORRID
               ? make_corrid(k, c, &k->run->inputs[at], in)
               : make_pair(k, c, &k->run->inputs[at], in);
}

static vly_status make_controls(maker *k)
{
    vly_status st = VLY_OK;

    for (size_t i = 0; i < k->batching->n_control_inputs && st == VLY_OK; i++) {
        const vly_triton_control_input *ci = &k->batching->control_inputs[i];
        if (ci->name.len == 0)
            return vly_fail(k->err, VLY_EINVAL,
                            "sequence batching control tensor must have a name for %s", k->name);
        for (size_t c = 0; c < ci->n_controls && st == VLY_OK; c++)
            st = make_control(k, ci, &ci->controls[c]);
    }
    return st;
}

/* ---- states ---- */

/* With 1 for the batch, and for what is open: as Triton has it before the first run. */
static vly_status state_shape(maker *k, const vly_triton_state *s, vly_shape *ret)
{
    int batch = k->config->max_batch_size > 0 ? 1 : 0;

    if (s->n_dims + (size_t)batch > VLY_RANK_MAX)
        return vly_fail(k->err, VLY_EINVAL, "model '%s': state '%.*s': expected at most %d dims",
                        k->name, VLY_STR_ARG(s->input_name), VLY_RANK_MAX - batch);
    *ret = (vly_shape){.rank = (int)s->n_dims + batch, .dim = {1}};
    for (size_t i = 0; i < s->n_dims; i++)
        ret->dim[i + (size_t)batch] = s->dims[i] < 0 ? 1 : s->dims[i];
    return VLY_OK;
}

/* The shape of initial_state, which agrees with that of the state. */
static vly_status initial_shape(maker *k, const vly_triton_state *s,
                                const vly_triton_initial_state *init, vly_shape *shape)
{
    size_t batch = (size_t)shape->rank - s->n_dims;

    if (!vly_str_eq(init->datatype, s->datatype))
        return vly_fail(k->err, VLY_EINVAL,
                        "The data type used for 'initial_state' field of state '%.*s' does not "
                        "match the state data type.",
                        VLY_STR_ARG(s->input_name));
    if (init->name.len == 0)
        return vly_fail(k->err, VLY_EINVAL,
                        "Field 'name' must be set when using initial_state for state input '%.*s'.",
                        VLY_STR_ARG(s->input_name));
    if (init->n_dims != s->n_dims)
        return vly_fail(k->err, VLY_EINVAL,
                        "Number of dimensions in 'initial_state' doesn't match the size of 'state' "
                        "dimensions for state input '%.*s'. %zu != %zu",
                        VLY_STR_ARG(s->input_name), init->n_dims, s->n_dims);
    for (size_t i = 0; i < init->n_dims; i++) {
        if (init->dims[i] < 0)
            return vly_fail(k->err, VLY_EINVAL,
                            "'initial_state' field for state input name '%.*s' contains variable "
                            "dimensions.",
                            VLY_STR_ARG(s->input_name));
        if (s->dims[i] >= 0 && s->dims[i] != init->dims[i])
            return vly_fail(k->err, VLY_EINVAL,
                            "'initial_state' dim for input name '%.*s' doesn't match 'state' dim "
                            "description. %lld != %lld",
                            VLY_STR_ARG(s->input_name), (long long)init->dims[i],
                            (long long)s->dims[i]);
        shape->dim[i + batch] = init->dims[i];
    }
    return VLY_OK;
}

/* The name is the file's alone: a configuration may come over the network. */
static vly_status read_initial(maker *k, const vly_triton_state *s, vly_str file, vly_tensor *t)
{
    vly_buf bytes;

    if (memchr(file.ptr, '/', file.len) != NULL || vly_str_is(file, ".."))
        return vly_fail(k->err, VLY_EINVAL,
                        "model '%s': initial_state of '%.*s': expected the name of a file in "
                        "initial_state/, got '%.*s'",
                        k->name, VLY_STR_ARG(s->input_name), VLY_STR_ARG(file));
    if (t->dtype == VLY_DTYPE_STRING || k->model_dir == NULL)
        return vly_fail(k->err, VLY_EUNSUPPORTED,
                        "model '%s': initial_state of '%.*s' cannot come from a file", k->name,
                        VLY_STR_ARG(s->input_name));
    const char *path =
        vly_arena_printf(k->arena, "%s/initial_state/%.*s", k->model_dir, VLY_STR_ARG(file));
    if (path == NULL)
        return vly_arena_fail(k->arena, k->err);
    vly_buf_init(&bytes, VLY_MEM_SCHED, t->bytes);
    vly_status st = vly_file_read(path, t->bytes, &bytes, k->err);
    if (st == VLY_OK && bytes.len < t->bytes)
        st = vly_fail(k->err, VLY_EINVAL,
                      "initial_state setting expects %zu bytes, but the data provided from %.*s "
                      "only has %zu bytes.",
                      t->bytes, VLY_STR_ARG(file), bytes.len);
    if (st == VLY_OK && t->bytes > 0)
        memcpy(t->data, bytes.ptr, t->bytes);
    vly_buf_release(&bytes);
    return st;
}

static vly_status make_initial(maker *k, const vly_triton_state *s, vly_dtype dtype,
                               vly_tensor *ret)
{
    const vly_triton_initial_state *init = s->n_initial_states > 0 ? s->initial_states : NULL;
    vly_shape shape;
    vly_status st = state_shape(k, s, &shape);

    if (st == VLY_OK && s->n_initial_states > 1)
        st = vly_fail(k->err, VLY_EINVAL,
                      "initial_state field for state input '%.*s' must contain exactly one or zero "
                      "element. Found '%zu' elements.",
                      VLY_STR_ARG(s->input_name), s->n_initial_states);
    if (st == VLY_OK && init != NULL)
        st = initial_shape(k, s, init, &shape);
    if (st == VLY_OK)
        st = new_tensor(k, dtype, &shape, ret);
    if (st == VLY_OK && init != NULL && init->data_file.len > 0)
        st = read_initial(k, s, init->data_file, ret);
    return st;
}

static vly_status make_state(maker *k, size_t idx)
{
    const vly_triton_state *s = &k->batching->states[idx];
    const vly_model_info *run = k->run;
    size_t in = find(run->inputs, run->n_inputs, s->input_name);
    size_t out = find(run->outputs, run->n_outputs, s->output_name);
    vly_dtype dtype = VLY_DTYPE_UNDEFINED;

    if (in == run->n_inputs || out == run->n_outputs)
        return vly_fail(k->err, VLY_EINVAL, "model '%s': there is no %s '%.*s' to keep a state in",
                        k->name, in == run->n_inputs ? "input" : "output",
                        VLY_STR_ARG(in == run->n_inputs ? s->input_name : s->output_name));
    if (k->plan->inputs[in].source != VLY_SEQUENCE_CLIENT || k->is_state_output[out])
        return vly_fail(k->err, VLY_EINVAL, "State input name '%.*s' specified more than once.",
                        VLY_STR_ARG(s->input_name));
    if (!vly_dtype_from_kserve(s->datatype, &dtype))
        return vly_fail(k->err, VLY_EINVAL, "model '%s': state '%.*s': expected a data_type",
                        k->name, VLY_STR_ARG(s->input_name));
    vly_status st = check_dtype(k, &run->inputs[in], dtype);
    if (st == VLY_OK)
        st = check_dtype(k, &run->outputs[out], dtype);
    if (st != VLY_OK)
        return st;
    k->is_state_output[out] = true;
    k->plan->inputs[in].source = VLY_SEQUENCE_STATE;
    k->plan->inputs[in].idx = idx;
    k->plan->states[idx].output = out;
    return make_initial(k, s, dtype, &k->plan->states[idx].initial);
}

/* ---- what is left for clients ---- */

static bool is_listed(const vly_triton_config *c, const char *output)
{
    for (size_t i = 0; i < c->n_outputs; i++)
        if (vly_str_is(c->outputs[i].name, output))
            return true;
    return false;
}

static vly_status make_info(maker *k)
{
    const vly_model_info *run = k->run;
    vly_model_info *info = vly_arena_calloc(k->arena, 1, sizeof(*info));
    vly_model_io *inputs = vly_arena_calloc(k->arena, run->n_inputs + 1, sizeof(*inputs));
    vly_model_io *outputs = vly_arena_calloc(k->arena, run->n_outputs + 1, sizeof(*outputs));

    if (info == NULL || inputs == NULL || outputs == NULL)
        return vly_arena_fail(k->arena, k->err);
    *info = *run;
    info->inputs = inputs;
    info->outputs = outputs;
    info->n_inputs = 0;
    info->n_outputs = 0;
    for (size_t i = 0; i < run->n_inputs; i++) {
        if (k->plan->inputs[i].source != VLY_SEQUENCE_CLIENT)
            continue;
        k->plan->inputs[i].idx = info->n_inputs;
        inputs[info->n_inputs++] = run->inputs[i];
    }
    for (size_t i = 0; i < run->n_outputs; i++) {
        if (k->is_state_output[i] && !is_listed(k->config, run->outputs[i].name))
            continue;
        k->plan->outputs[info->n_outputs] = i;
        outputs[info->n_outputs++] = run->outputs[i];
    }
    k->plan->info = info;
    return VLY_OK;
}

vly_status vly_sequence_plan_make(const char *name, const vly_triton_config *config,
                                  const vly_model_info *run_info, const char *model_dir,
                                  vly_arena *arena, const vly_sequence_plan **ret, vly_err *err)
{
    const vly_triton_sequence_batching *b = config->sequence_batching;
    int64_t max_candidates = b->oldest != NULL ? b->oldest->max_candidate_sequences : 0;
    uint64_t idle_us = b->max_sequence_idle_us != 0 ? b->max_sequence_idle_us : DEFAULT_IDLE_US;
    maker k = {.name = name,
               .config = config,
               .batching = b,
               .run = run_info,
               .model_dir = model_dir,
               .arena = arena,
               .err = err};

    if (b->is_iterative)
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "model '%s': iterative_sequence wants a backend that asks to be called "
                        "again, which an ONNX model cannot",
                        name);
    k.plan = vly_arena_calloc(arena, 1, sizeof(*k.plan));
    k.is_state_output = vly_arena_calloc(arena, run_info->n_outputs + 1, 1);
    if (k.plan == NULL || k.is_state_output == NULL)
        return vly_arena_fail(arena, err);
    k.plan->inputs = vly_arena_calloc(arena, run_info->n_inputs + 1, sizeof(*k.plan->inputs));
    k.plan->outputs = vly_arena_calloc(arena, run_info->n_outputs + 1, sizeof(*k.plan->outputs));
    k.plan->states = vly_arena_calloc(arena, b->n_states + 1, sizeof(*k.plan->states));
    if (k.plan->inputs == NULL || k.plan->outputs == NULL || k.plan->states == NULL)
        return vly_arena_fail(arena, err);
    k.plan->n_states = b->n_states;
    k.plan->max_candidates = max_candidates > 0 ? (size_t)max_candidates : SIZE_MAX;
    k.plan->max_idle_ns =
        idle_us < UINT64_MAX / 4 / VLY_NSEC_PER_US ? idle_us * VLY_NSEC_PER_US : UINT64_MAX / 4;
    vly_status st = make_controls(&k);
    for (size_t i = 0; i < b->n_states && st == VLY_OK; i++)
        st = make_state(&k, i);
    if (st == VLY_OK)
        st = make_info(&k);
    if (st == VLY_OK)
        *ret = k.plan;
    return st;
}

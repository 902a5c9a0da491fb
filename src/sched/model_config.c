/* SPDX-License-Identifier: MIT */
#include "sched/model_config.h"

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

/* Triton's, for models that batch and say no number themselves. */
#define DEFAULT_MAX_BATCH 4

/* ---- platform ---- */

static vly_status check_platform(const vly_triton_config *c, vly_err *err)
{
    bool is_onnx = vly_str_is(c->platform, VLY_ONNX_PLATFORM);

    if (c->backend.len > 0 && !vly_str_is(c->backend, VLY_ONNX_BACKEND))
        return vly_fail(err, VLY_EINVAL,
                        "unable to find backend library for backend '%.*s', try specifying runtime "
                        "on the model configuration.",
                        VLY_STR_ARG(c->backend));
    if (c->platform.len > 0 && !is_onnx && c->backend.len > 0)
        return vly_fail(err, VLY_EINVAL, "unexpected 'platform' and 'backend' pair, got:%.*s, %.*s",
                        VLY_STR_ARG(c->platform), VLY_STR_ARG(c->backend));
    if (c->platform.len > 0 && !is_onnx)
        return vly_fail(err, VLY_EINVAL, "unexpected platform type '%.*s' for %.*s",
                        VLY_STR_ARG(c->platform), VLY_STR_ARG(c->name));
    return VLY_OK;
}

/* ---- batching ---- */

static bool is_open(const vly_model_io *io)
{
    return io->has_shape && io->shape.rank > 0 && io->shape.dim[0] == VLY_DIM_UNKNOWN;
}

static bool can_batch(const vly_model_info *run)
{
    for (size_t i = 0; i < run->n_inputs; i++)
        if (!is_open(&run->inputs[i]))
            return false;
    for (size_t i = 0; i < run->n_outputs; i++)
        if (!is_open(&run->outputs[i]))
            return false;
    return run->n_inputs > 0;
}

static vly_status complete_batching(vly_triton_config *c, const vly_model_info *run,
                                    vly_arena *arena, vly_err *err)
{
    bool has_all = c->n_inputs + c->n_batch_inputs > 0 && c->n_outputs > 0;

    if (has_all)
        return VLY_OK;
    if (!can_batch(run)) {
        if (c->max_batch_size == 0)
            return VLY_OK;
        return vly_fail(err, VLY_EINVAL,
                        "autofill failed for model '%.*s': model does not support batching while "
                        "non-zero max_batch_size is specified",
                        VLY_STR_ARG(c->name));
    }
    if (!c->has_max_batch_size)
        c->max_batch_size = DEFAULT_MAX_BATCH;
    if (c->max_batch_size > 1 && c->dynamic_batching == NULL && c->sequence_batching == NULL) {
        c->dynamic_batching = vly_arena_calloc(arena, 1, sizeof(*c->dynamic_batching));
        if (c->dynamic_batching == NULL)
            return vly_arena_fail(arena, err);
    }
    return VLY_OK;
}

static vly_status check_policy(const vly_triton_config *c, const vly_triton_queue_policy *p,
                               vly_err *err)
{
    if (p != NULL && p->default_timeout_us != 0 && p->timeout_action == VLY_TRITON_TIMEOUT_DELAY)
        return vly_fail(err, VLY_EINVAL,
                        "Queue policy can not have DELAY as timeout action when "
                        "'preserve_ordering' is true for %.*s",
                        VLY_STR_ARG(c->name));
    return VLY_OK;
}

static vly_status check_levels(const vly_triton_config *c, const vly_triton_dynamic_batching *d,
                               vly_err *err)
{
    unsigned long long n = d->n_priority_levels;

    if (n == 0)
        return VLY_OK;
    if (d->default_priority_level == 0 || d->default_priority_level > n)
        return vly_fail(err, VLY_EINVAL,
                        "default priority level must be in range [1, %llu] for %.*s", n,
                        VLY_STR_ARG(c->name));
    for (size_t i = 0; i < d->n_priority_queue_policies; i++)
        if (d->priority_queue_policies[i].key == 0 || d->priority_queue_policies[i].key > n)
            return vly_fail(err, VLY_EINVAL,
                            "priority queue policy must have priority level in range [1, %llu] for "
                            "%.*s",
                            n, VLY_STR_ARG(c->name));
    return VLY_OK;
}

static vly_status check_ordering(const vly_triton_config *c, const vly_triton_dynamic_batching *d,
                                 vly_err *err)
{
    if (!d->preserve_ordering)
        return VLY_OK;
    if (d->n_priority_levels > 1)
        return vly_fail(err, VLY_EINVAL,
                        "Only one priority level is allowed when 'preserve_ordering' is true for "
                        "%.*s",
                        VLY_STR_ARG(c->name));
    vly_status st = check_policy(c, d->default_queue_policy, err);
    for (size_t i = 0; i < d->n_priority_queue_policies && st == VLY_OK; i++)
        st = check_policy(c, &d->priority_queue_policies[i].value, err);
    return st;
}

static vly_status check_sizes(const vly_triton_config *c, const char *what, const int64_t *sizes,
                              size_t n, vly_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (sizes[i] <= 0)
            return vly_fail(err, VLY_EINVAL, "%s must be positive for %.*s", what,
                            VLY_STR_ARG(c->name));
        if (sizes[i] > c->max_batch_size)
            return vly_fail(err, VLY_EINVAL, "%s must be <= max batch size for %.*s", what,
                            VLY_STR_ARG(c->name));
    }
    return VLY_OK;
}

static vly_status check_batching(const vly_triton_config *c, vly_err *err)
{
    const vly_triton_dynamic_batching *d = c->dynamic_batching;
    const vly_triton_oldest *o = c->sequence_batching != NULL ? c->sequence_batching->oldest : NULL;
    vly_status st = VLY_OK;

    if (d != NULL)
        st = check_sizes(c, "dynamic batching preferred size", d->preferred_batch_sizes,
                         d->n_preferred_batch_sizes, err);
    if (d != NULL && st == VLY_OK)
        st = check_levels(c, d, err);
    if (d != NULL && st == VLY_OK)
        st = check_ordering(c, d, err);
    if (o != NULL && st == VLY_OK)
        st = check_sizes(c, "sequence batching preferred batch size", o->preferred_batch_sizes,
                         o->n_preferred_batch_sizes, err);
    return st;
}

/* ---- the first half ---- */

static vly_status complete_policy(vly_triton_config *c, vly_arena *arena, vly_err *err)
{
    if (c->version_policy != NULL)
        return VLY_OK;
    vly_triton_latest *latest = vly_arena_calloc(arena, 1, sizeof(*latest));
    vly_triton_version_policy *policy = vly_arena_calloc(arena, 1, sizeof(*policy));
    if (latest == NULL || policy == NULL)
        return vly_arena_fail(arena, err);
    latest->n_versions = 1;
    policy->latest = latest;
    c->version_policy = policy;
    return VLY_OK;
}

/* Instances that ask for a GPU run on the CPU, and that is told. */
static vly_status note_gpus(vly_triton_config *c, vly_arena *arena, vly_err *err)
{
    size_t i = 0;

    while (i < c->n_instance_groups && c->instance_groups[i].kind != VLY_TRITON_KIND_GPU)
        i++;
    if (i == c->n_instance_groups)
        return VLY_OK;
    vly_triton_ignored *list = vly_arena_calloc(arena, c->n_ignored + 1, sizeof(*list));
    if (list == NULL)
        return vly_arena_fail(arena, err);
    if (c->n_ignored > 0)
        memcpy(list, c->ignored, c->n_ignored * sizeof(*list));
    list[c->n_ignored++] =
        (vly_triton_ignored){VLY_STR("instance_group.kind"), "models run on the CPU"};
    c->ignored = list;
    return VLY_OK;
}

vly_status vly_model_config_start(const vly_triton_config *given, const char *name,
                                  const char *path, const vly_model_info *run, vly_arena *arena,
                                  vly_triton_config **ret, vly_err *err)
{
    vly_triton_config *c = vly_arena_calloc(arena, 1, sizeof(*c));
    const char *slash = strrchr(path, '/');

    if (c == NULL)
        return vly_arena_fail(arena, err);
    if (given != NULL)
        *c = *given;
    c->name = vly_str_from(name);
    vly_status st = check_platform(c, err);
    if (st == VLY_OK)
        st = complete_policy(c, arena, err);
    if (st == VLY_OK)
        st = complete_batching(c, run, arena, err);
    if (st == VLY_OK)
        st = check_batching(c, err);
    if (st == VLY_OK)
        st = note_gpus(c, arena, err);
    if (st != VLY_OK)
        return st;
    c->platform = VLY_STR(VLY_ONNX_PLATFORM);
    c->backend = VLY_STR(VLY_ONNX_BACKEND);
    if (c->default_model_filename.len == 0)
        c->default_model_filename = vly_str_from(slash != NULL ? slash + 1 : path);
    *ret = c;
    return VLY_OK;
}

vly_status vly_model_config_plain(const vly_triton_config *given, const char *name,
                                  vly_arena *arena, vly_triton_config **ret, vly_err *err)
{
    vly_triton_config *c = vly_arena_calloc(arena, 1, sizeof(*c));

    if (c == NULL)
        return vly_arena_fail(arena, err);
    if (given != NULL)
        *c = *given;
    c->name = vly_str_from(name);
    vly_status st = complete_policy(c, arena, err);
    if (st == VLY_OK)
        *ret = c;
    return st;
}

/* ---- tensors: completing ---- */

/* The model's dims, without that of the batch. A tensor of no dimension is one of [1], reshaped. */
static vly_status complete_dims(const vly_triton_config *c, const vly_model_io *io,
                                vly_triton_io *t, vly_arena *arena, vly_err *err)
{
    int from = c->max_batch_size > 0 ? 1 : 0;
    int rank = io->has_shape ? io->shape.rank : 1;
    size_t n = rank > from ? (size_t)(rank - from) : 0;
    int64_t *dims = vly_arena_calloc(arena, n + 1, sizeof(*dims));

    if (dims == NULL)
        return vly_arena_fail(arena, err);
    for (size_t d = 0; d < n; d++)
        dims[d] = io->has_shape ? io->shape.dim[from + (int)d] : -1;
    t->dims = dims;
    t->n_dims = n;
    if (n > 0)
        return VLY_OK;
    dims[0] = 1;
    t->n_dims = 1;
    if (c->max_batch_size > 0 && t->reshape == NULL) {
        t->reshape = vly_arena_calloc(arena, 1, sizeof(*t->reshape));
        if (t->reshape == NULL)
            return vly_arena_fail(arena, err);
    }
    return VLY_OK;
}

static vly_status complete_tensor(const vly_triton_config *c, const vly_model_io *io,
                                  vly_triton_io *t, vly_arena *arena, vly_err *err)
{
    t->name = vly_str_from(io->name);
    if (t->datatype.len == 0)
        t->datatype = vly_str_from(vly_dtype_kserve(io->dtype));
    return t->n_dims == 0 ? complete_dims(c, io, t, arena, err) : VLY_OK;
}

/* ---- tensors: checking ---- */

static const vly_model_io *find_io(const vly_model_io *ios, size_t n, vly_str name)
{
    for (size_t i = 0; i < n; i++)
        if (vly_str_is(name, ios[i].name))
            return &ios[i];
    return NULL;
}

static vly_status fail_name(bool is_input, vly_str name, const vly_model_io *ios, size_t n,
                            vly_err *err)
{
    const char *what = is_input ? "input" : "output";
    char allowed[VLY_ERR_MSG_MAX] = "";
    size_t len = 0;

    for (size_t i = 0; ios != NULL && i < n && len < sizeof(allowed) - 1; i++) {
        int put =
            snprintf(allowed + len, sizeof(allowed) - len, "%s%s", i > 0 ? ", " : "", ios[i].name);
        len += put > 0 ? (size_t)put : 0;
    }
    return vly_fail(err, VLY_EINVAL, "unexpected inference %s '%.*s', allowed %ss are: %s", what,
                    VLY_STR_ARG(name), what, allowed);
}

static void put_dims(char *text, size_t bytes, const int64_t *dims, size_t n, bool has_batch)
{
    size_t len = (size_t)snprintf(text, bytes, "[%s", has_batch ? "-1" : "");

    for (size_t i = 0; i < n && len + 24 < bytes; i++)
        len += (size_t)snprintf(text + len, bytes - len, "%s%lld", i > 0 || has_batch ? "," : "",
                                (long long)dims[i]);
    snprintf(text + len, bytes - len, "]");
}

#define TEXT_BYTES 200

static vly_status fail_shape(const vly_triton_config *c, const vly_model_io *io, size_t n_dims,
                             const int64_t *dims, vly_err *err)
{
    bool batches = c->max_batch_size > 0;
    bool is_rank = (size_t)io->shape.rank != n_dims + batches;
    char model[TEXT_BYTES], given[TEXT_BYTES], full[TEXT_BYTES], why[3 * TEXT_BYTES] = "";

    put_dims(model, sizeof(model), io->shape.dim, (size_t)io->shape.rank, false);
    put_dims(given, sizeof(given), dims, n_dims, false);
    put_dims(full, sizeof(full), dims, n_dims, true);
    if (batches)
        snprintf(why, sizeof(why),
                 " (an initial batch dimension because max_batch_size > 0 followed by the explicit "
                 "tensor shape, making complete shape %s)",
                 full);
    else if (is_rank)
        snprintf(why, sizeof(why), " (shape %s)", given);
    if (is_rank)
        return vly_fail(err, VLY_EINVAL,
                        "model '%.*s', tensor '%s': the model expects %d dimensions (shape %s) but "
                        "the model configuration specifies %zu dimensions%s",
                        VLY_STR_ARG(c->name), io->name, io->shape.rank, model, n_dims + batches,
                        why);
    return vly_fail(err, VLY_EINVAL,
                    "model '%.*s', tensor '%s': the model expects shape %s but the model "
                    "configuration specifies shape %s%s",
                    VLY_STR_ARG(c->name), io->name, model, given, why);
}

static vly_status check_dims(const vly_triton_config *c, const vly_triton_io *t,
                             const vly_model_io *io, bool is_input, vly_err *err)
{
    size_t n = t->reshape != NULL ? t->reshape->n_dims : t->n_dims;
    const int64_t *dims = t->reshape != NULL ? t->reshape->dims : t->dims;
    size_t from = c->max_batch_size > 0 ? 1 : 0;
    char shape[TEXT_BYTES];

    if (!io->has_shape || (from == 0 && io->shape.rank == 0))
        return VLY_OK;
    if (from == 1 && !is_open(io)) {
        put_dims(shape, sizeof(shape), io->shape.dim, (size_t)io->shape.rank, false);
        return vly_fail(err, VLY_EINVAL,
                        "model '%.*s', tensor '%s': for the model to support batching the shape "
                        "should have at least 1 dimension and the first dimension must be -1; but "
                        "shape expected by the model is %s",
                        VLY_STR_ARG(c->name), io->name, shape);
    }
    if ((size_t)io->shape.rank != n + from)
        return fail_shape(c, io, n, dims, err);
    for (size_t d = 0; d < n; d++) {
        int64_t want = io->shape.dim[from + d];
        bool is_loose = want == VLY_DIM_UNKNOWN || (!is_input && dims[d] == -1);
        if (!is_loose && dims[d] != want)
            return fail_shape(c, io, n, dims, err);
    }
    return VLY_OK;
}

static const char *type_text(vly_str kserve)
{
    return vly_str_is(kserve, "BYTES") ? "STRING" : kserve.ptr;
}

static vly_status check_tensor(const vly_triton_config *c, const vly_triton_io *t,
                               const vly_model_io *io, bool is_input, vly_err *err)
{
    vly_str model = vly_str_from(vly_dtype_kserve(io->dtype));

    if (!vly_str_eq(t->datatype, model))
        return vly_fail(err, VLY_EINVAL,
                        "unable to load model '%.*s', configuration expects datatype TYPE_%s for "
                        "%s '%s', model provides TYPE_%s",
                        VLY_STR_ARG(c->name), type_text(t->datatype), is_input ? "input" : "output",
                        io->name, type_text(model));
    return check_dims(c, t, io, is_input, err);
}

/* ---- tensors: both ---- */

typedef struct side {
    bool is_input;
    size_t n_given, n_model;
    const vly_triton_io *given;
    const vly_model_io *model; /* as clients see them */
} side;

static vly_status finish_side(const vly_triton_config *c, const side *s, vly_arena *arena,
                              const vly_triton_io **ret, size_t *ret_n, vly_err *err)
{
    size_t n = s->n_given > 0 ? s->n_given : s->n_model;
    vly_triton_io *list = vly_arena_calloc(arena, n, sizeof(*list));
    vly_status st = VLY_OK;

    if (list == NULL)
        return vly_arena_fail(arena, err);
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        const vly_model_io *io = &s->model[i < s->n_model ? i : 0];
        if (s->n_given > 0) {
            list[i] = s->given[i];
            io = find_io(s->model, s->n_model, list[i].name);
        }
        if (io == NULL)
            return fail_name(s->is_input, list[i].name, s->model, s->n_model, err);
        st = complete_tensor(c, io, &list[i], arena, err);
        if (st == VLY_OK)
            st = check_tensor(c, &list[i], io, s->is_input, err);
    }
    *ret = list;
    *ret_n = n;
    return st;
}

/* All inputs that clients must send are to be listed, when any is. */
static vly_status check_count(const vly_triton_config *c, const vly_model_info *info, vly_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_inputs; i++)
        n += !c->inputs[i].is_optional;
    if (c->n_inputs == 0 || n == info->n_inputs || c->n_inputs == info->n_inputs)
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "unable to load model '%.*s', configuration expects %zu inputs, model provides "
                    "%zu",
                    VLY_STR_ARG(c->name), n, info->n_inputs);
}

vly_status vly_model_config_finish(vly_triton_config *c, const vly_model_info *info,
                                   vly_arena *arena, vly_err *err)
{
    const side in = {true, c->n_inputs, info->n_inputs, c->inputs, info->inputs};
    const side out = {false, c->n_outputs, info->n_outputs, c->outputs, info->outputs};
    vly_status st = check_count(c, info, err);

    if (st == VLY_OK)
        st = finish_side(c, &in, arena, &c->inputs, &c->n_inputs, err);
    if (st == VLY_OK)
        st = finish_side(c, &out, arena, &c->outputs, &c->n_outputs, err);
    return st;
}

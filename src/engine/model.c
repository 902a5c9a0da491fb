/* SPDX-License-Identifier: MIT */
#include "engine/model.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/mem.h"
#include "engine/graph/graph.h"
#include "engine/native/exec.h"
#include "sys/file.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* Plans and bindings kept per model and per instance; the least recently used one goes. */
#define PLANS_MAX 8
#define EXECS_MAX 8
/* Of arenas that are large only the latest few are kept. */
#define LARGE_EXECS_MAX   4
#define LARGE_ARENA_BYTES ((size_t)1 << 20)

struct vly_model {
    _Atomic uint32_t n_refs;
    vly_model_options options;
    vly_mmap file; /* of vly_model_load */
    void *copy;    /* of vly_model_load_bytes */
    vly_arena arena;
    const vly_onnx_model *onnx;
    vly_graph graph;
    vly_packs packs; /* guarded by lock */
    vly_model_info info;
    pthread_mutex_t lock;
    vly_plan *plans[PLANS_MAX]; /* guarded by lock; most recently used first; NULL: free */
};

struct vly_instance {
    vly_model *model;
    struct vly_worker_pool *pool;
    vly_exec *execs[EXECS_MAX]; /* most recently used first; NULL: free */
    vly_shape *shapes;          /* [n_inputs], scratch of a run */
};

/* ---- precision ---------------------------------------------------------------------------- */

static const char *const precision_names[] = {
    [VLY_PRECISION_FP32] = "fp32", [VLY_PRECISION_EXACT] = "exact", [VLY_PRECISION_BF16] = "bf16",
    [VLY_PRECISION_INT8] = "int8", [VLY_PRECISION_AUTO] = "auto",
};

vly_status vly_precision_parse(vly_str text, vly_model_options *ret, vly_err *err)
{
    vly_str nodes = text, name = vly_str_split(&nodes, ':');

    for (size_t i = 0; i < VLY_COUNT(precision_names); i++) {
        if (vly_str_eq(name, vly_str_from(precision_names[i]))) {
            ret->precision = (vly_precision)i;
            ret->fp32_nodes = nodes;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EINVAL, "precision '%.*s': expected exact, fp32, bf16, int8 or auto",
                    VLY_STR_ARG(name));
}

const char *vly_precision_name(vly_precision p)
{
    return precision_names[p];
}

/* ---- describing --------------------------------------------------------------------------- */

static vly_status describe_io(vly_model *m, int v, vly_model_io *io, vly_err *err)
{
    const vly_value *value = &m->graph.values[v];
    const vly_onnx_value_info *d = value->declared;

    *io = (vly_model_io){.name = value->name,
                         .dtype = value->constant.dtype,
                         .shape = value->constant.shape,
                         .has_shape = value->constant.dtype != VLY_DTYPE_UNDEFINED};
    if (d == NULL || d->kind != VLY_ONNX_KIND_TENSOR)
        return VLY_OK;
    if (vly_dtype_valid(d->elem_type))
        io->dtype = (vly_dtype)d->elem_type;
    io->has_shape = d->has_shape && d->n_dims <= VLY_RANK_MAX;
    io->shape = (vly_shape){.rank = io->has_shape ? (int)d->n_dims : 0};
    for (int i = 0; i < io->shape.rank; i++) {
        io->shape.dim[i] = d->dims[i].value >= 0 ? d->dims[i].value : VLY_DIM_UNKNOWN;
        if (d->dims[i].param.len == 0)
            continue;
        io->dim_names[i] = vly_arena_strdup(&m->arena, d->dims[i].param);
        if (io->dim_names[i] == NULL)
            return vly_fail(err, VLY_ENOMEM, "out of memory for the model");
    }
    return VLY_OK;
}

static vly_status describe_list(vly_model *m, const int *values, int n, const vly_model_io **ret,
                                vly_err *err)
{
    vly_model_io *list = vly_arena_calloc(&m->arena, (size_t)n, sizeof(*list));

    if (list == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the model");
    for (int i = 0; i < n; i++) {
        vly_status st = describe_io(m, values[i], &list[i], err);
        if (st != VLY_OK)
            return st;
    }
    *ret = list;
    return VLY_OK;
}

static vly_status describe_files(vly_model *m, vly_str own, vly_err *err)
{
    const vly_external *x = &m->graph.external;
    vly_model_file *files = vly_arena_calloc(&m->arena, x->n_files + 1, sizeof(*files));

    if (files == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the model");
    files[0].bytes = own;
    for (size_t i = 0; i < x->n_files; i++)
        files[i + 1] = (vly_model_file){
            .name = x->files[i].location,
            .bytes = {(const char *)x->files[i].map.ptr, x->files[i].map.len},
        };
    m->info.files = files;
    m->info.n_files = x->n_files + 1;
    return VLY_OK;
}

static vly_status describe(vly_model *m, size_t file_bytes, vly_err *err)
{
    vly_model_info *info = &m->info;
    const vly_onnx_model *onnx = m->onnx;
    vly_model_property *props = vly_arena_calloc(&m->arena, onnx->n_props, sizeof(*props));
    vly_status st;

    info->name = vly_arena_strdup(&m->arena, onnx->graph->name);
    info->producer = vly_arena_printf(&m->arena, "%.*s%s%.*s", VLY_STR_ARG(onnx->producer_name),
                                      onnx->producer_version.len > 0 ? " " : "",
                                      VLY_STR_ARG(onnx->producer_version));
    if (props == NULL || info->name == NULL || info->producer == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the model");
    for (size_t i = 0; i < onnx->n_props; i++)
        props[i] = (vly_model_property){onnx->props[i].key, onnx->props[i].value};
    info->properties = props;
    info->n_properties = onnx->n_props;
    info->opset = (int)onnx->opset;
    info->n_nodes = (size_t)m->graph.n_nodes;
    info->n_parameters = m->graph.n_parameters;
    info->file_bytes = file_bytes;
    info->n_inputs = (size_t)m->graph.n_inputs;
    info->n_outputs = (size_t)m->graph.n_outputs;
    st = describe_list(m, m->graph.inputs, m->graph.n_inputs, &info->inputs, err);
    if (st == VLY_OK)
        st = describe_list(m, m->graph.outputs, m->graph.n_outputs, &info->outputs, err);
    return st;
}

/* ---- loading ------------------------------------------------------------------------------ */

static vly_model *model_new(const vly_model_options *options)
{
    static const vly_model_options defaults = VLY_MODEL_OPTIONS_DEFAULT;
    vly_model *m = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*m));

    if (m == NULL)
        return NULL;
    atomic_init(&m->n_refs, 1);
    m->options = options != NULL ? *options : defaults;
    pthread_mutex_init(&m->lock, NULL);
    vly_packs_init(&m->packs);
    return m;
}

/* The names in options.fp32_nodes become the graph's flags. */
static vly_status mark_fp32_nodes(vly_model *m, vly_err *err)
{
    vly_str rest = m->options.fp32_nodes;

    while (rest.len > 0) {
        vly_str name = vly_str_split(&rest, ',');
        bool is_found = false;
        for (int i = 0; i < m->graph.n_nodes; i++) {
            if (!vly_str_eq(name, vly_str_from(m->graph.nodes[i].label)))
                continue;
            m->graph.nodes[i].is_fp32 = is_found = true;
        }
        if (!is_found)
            return vly_fail(err, VLY_EINVAL, "precision: the graph has no node '%.*s'",
                            VLY_STR_ARG(name));
    }
    m->options.fp32_nodes = (vly_str){NULL, 0};
    return VLY_OK;
}

/* bytes stay where they are until the model goes. */
static vly_status load(vly_model *m, const void *bytes, size_t len, const char *dir, vly_err *err)
{
    const vly_external external = {
        .dir = dir,
        .max_file_bytes = m->options.max_file_bytes,
        .is_copied = m->options.is_copied,
        .on_open = m->options.on_external,
        .ctx = m->options.ctx,
    };
    vly_arena scratch;
    vly_status st;

    vly_arena_init(&m->arena, VLY_MEM_MODEL, 1 << 16, VLY_ONNX_ARENA_BUDGET(len) + (1 << 20));
    vly_arena_init(&scratch, VLY_MEM_MODEL, 1 << 16, SIZE_MAX / 2);
    st = vly_onnx_model_parse(bytes, len, &m->arena, &m->onnx, err);
    if (st == VLY_OK)
        st = vly_graph_build(m->onnx, &external, m->options.max_memory_bytes, &m->arena, &m->graph,
                             err);
    if (st == VLY_OK)
        st = mark_fp32_nodes(m, err);
    if (st == VLY_OK)
        st = vly_graph_fold(&m->graph, m->options.max_memory_bytes, &scratch, err);
    if (st == VLY_OK)
        st = describe_files(m, (vly_str){bytes, len}, err);
    if (st == VLY_OK)
        st = describe(m, len, err);
    vly_arena_release(&scratch);
    return st;
}

/* The directory part of path, "." when it has none. */
static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return vly_strndup(VLY_MEM_MODEL, ".", 1);
    return vly_strndup(VLY_MEM_MODEL, path, slash == path ? 1 : (size_t)(slash - path));
}

vly_status vly_model_load(const char *path, const vly_model_options *options, vly_model **ret,
                          vly_err *err)
{
    vly_model *m = model_new(options);
    char *dir = dir_of(path);
    vly_status st = VLY_ENOMEM;

    if (m == NULL || dir == NULL) {
        vly_fail(err, st, "out of memory for model '%s'", path);
        goto out;
    }
    st = m->options.is_copied ? vly_mmap_read(path, m->options.max_file_bytes, &m->file, err)
                              : vly_mmap_open(path, m->options.max_file_bytes, &m->file, err);
    if (st != VLY_OK)
        goto out;
    st = load(m, m->file.ptr, m->file.len, dir, err);
    if (st != VLY_OK) {
        vly_fail_in(err, st, "model '%s'", path);
        goto out;
    }
    m->graph.external.dir = NULL; /* every file is open by now */
    *ret = m;
    m = NULL;
out:
    vly_free(dir);
    vly_model_unref(m);
    return st;
}

vly_status vly_model_load_bytes(const void *bytes, size_t len, const vly_model_options *options,
                                vly_model **ret, vly_err *err)
{
    vly_model *m = model_new(options);
    vly_status st = VLY_ENOMEM;

    if (m != NULL && len > m->options.max_file_bytes) {
        st = vly_fail(err, VLY_ELIMIT, "model of %zu bytes: the limit is %zu", len,
                      m->options.max_file_bytes);
        goto out;
    }
    if (m != NULL)
        m->copy = vly_alloc_aligned(VLY_MEM_MODEL, len);
    if (m == NULL || m->copy == NULL) {
        vly_fail(err, st, "out of memory for a model of %zu bytes", len);
        goto out;
    }
    if (len > 0)
        memcpy(m->copy, bytes, len);
    st = load(m, m->copy, len, NULL, err);
    if (st != VLY_OK)
        goto out;
    *ret = m;
    m = NULL;
out:
    vly_model_unref(m);
    return st;
}

vly_model *vly_model_ref(vly_model *m)
{
    atomic_fetch_add_explicit(&m->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return m;
}

void vly_model_unref(vly_model *m)
{
    /* acq_rel: as vly_tensor_release */
    if (m == NULL || atomic_fetch_sub_explicit(&m->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (int i = 0; i < PLANS_MAX; i++)
        vly_plan_unref(m->plans[i]);
    vly_packs_release(&m->packs);
    vly_graph_release(&m->graph);
    vly_arena_release(&m->arena);
    vly_mmap_close(&m->file);
    vly_free(m->copy);
    pthread_mutex_destroy(&m->lock);
    vly_free(m);
}

const vly_model_info *vly_model_describe(const vly_model *m)
{
    return &m->info;
}

/* ---- plans -------------------------------------------------------------------------------- */

static bool shapes_equal(const vly_shape *a, const vly_shape *b, int n)
{
    for (int i = 0; i < n; i++)
        if (!vly_shape_eq(&a[i], &b[i]))
            return false;
    return true;
}

/* Moves entry `at` of a most-recently-used list to its front. */
static void *to_front(void **list, int at)
{
    void *item = list[at];
    memmove(list + 1, list, (size_t)at * sizeof(list[0]));
    list[0] = item;
    return item;
}

/* A new reference to the plan for these shapes: kept from before, or compiled. Two threads that
 * miss at once compile one after the other: the lock is held, so the second one finds it. */
static vly_status get_plan(vly_model *m, const vly_shape *shapes, vly_plan **ret, vly_err *err)
{
    vly_status st = VLY_OK;
    int at = 0;

    pthread_mutex_lock(&m->lock);
    while (at < PLANS_MAX && m->plans[at] != NULL &&
           !shapes_equal(m->plans[at]->input_shapes, shapes, m->graph.n_inputs))
        at++;
    if (at == PLANS_MAX || m->plans[at] == NULL) {
        vly_plan *fresh = NULL;
        st = vly_plan_compile(&m->graph, shapes, &m->options, &m->packs, &fresh, err);
        if (st == VLY_OK) {
            at = at == PLANS_MAX ? PLANS_MAX - 1 : at;
            vly_plan_unref(m->plans[at]);
            m->plans[at] = fresh;
        }
    }
    if (st == VLY_OK)
        *ret = vly_plan_ref(to_front((void **)m->plans, at));
    pthread_mutex_unlock(&m->lock);
    return st;
}

static void forget_large(vly_instance *inst)
{
    int n = 0;

    for (int i = 0; i < EXECS_MAX; i++) {
        vly_exec *x = inst->execs[i];
        inst->execs[i] = NULL;
        if (x != NULL && i >= LARGE_EXECS_MAX && vly_exec_plan(x)->arena_bytes > LARGE_ARENA_BYTES)
            vly_exec_free(x);
        else if (x != NULL)
            inst->execs[n++] = x;
    }
}

/* Borrowed until the instance's next run with other shapes. */
static vly_status get_exec(vly_instance *inst, const vly_shape *shapes, vly_exec **ret,
                           vly_err *err)
{
    vly_plan *plan;
    vly_exec *fresh = NULL;
    int at = 0;

    for (; at < EXECS_MAX && inst->execs[at] != NULL; at++) {
        if (shapes_equal(vly_exec_plan(inst->execs[at])->input_shapes, shapes,
                         inst->model->graph.n_inputs)) {
            *ret = to_front((void **)inst->execs, at);
            return VLY_OK;
        }
    }
    vly_status st = get_plan(inst->model, shapes, &plan, err);
    if (st != VLY_OK)
        return st;
    st = vly_exec_new(plan, inst->pool, inst->model->options.max_memory_bytes, &fresh, err);
    vly_plan_unref(plan);
    if (st != VLY_OK)
        return st;
    at = at == EXECS_MAX ? EXECS_MAX - 1 : at;
    vly_exec_free(inst->execs[at]);
    inst->execs[at] = fresh;
    *ret = to_front((void **)inst->execs, at);
    forget_large(inst);
    return VLY_OK;
}

/* ---- instances ---------------------------------------------------------------------------- */

vly_status vly_instance_new(vly_model *m, struct vly_worker_pool *pool, vly_instance **ret,
                            vly_err *err)
{
    vly_instance *inst = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*inst));
    vly_shape *shapes = vly_calloc(VLY_MEM_MODEL, m->info.n_inputs, sizeof(*shapes));

    if (inst == NULL || shapes == NULL) {
        vly_free(inst);
        vly_free(shapes);
        return vly_fail(err, VLY_ENOMEM, "out of memory for an instance of the model");
    }
    *inst = (vly_instance){.model = vly_model_ref(m), .pool = pool, .shapes = shapes};
    *ret = inst;
    return VLY_OK;
}

void vly_instance_free(vly_instance *inst)
{
    if (inst == NULL)
        return;
    for (int i = 0; i < EXECS_MAX; i++)
        vly_exec_free(inst->execs[i]);
    vly_model_unref(inst->model);
    vly_free(inst->shapes);
    vly_free(inst);
}

static vly_status check_input(const vly_model_io *io, const vly_tensor *t, vly_err *err)
{
    char got[VLY_SHAPE_TEXT_MAX], want[VLY_SHAPE_TEXT_MAX];
    bool fits = !io->has_shape || io->shape.rank == t->shape.rank;

    if (t->dtype != io->dtype)
        return vly_fail(err, VLY_EINVAL, "input '%s': expected %s, got %s", io->name,
                        vly_dtype_name(io->dtype), vly_dtype_name(t->dtype));
    for (int i = 0; io->has_shape && fits && i < io->shape.rank; i++)
        fits = io->shape.dim[i] == VLY_DIM_UNKNOWN || io->shape.dim[i] == t->shape.dim[i];
    if (!fits || !vly_shape_known(&t->shape))
        return vly_fail(err, VLY_EINVAL, "input '%s': expected shape %s, got %s", io->name,
                        vly_shape_text(&io->shape, want), vly_shape_text(&t->shape, got));
    return VLY_OK;
}

/* The executor for these inputs, checked. */
static vly_status exec_for(vly_instance *inst, const vly_tensor *inputs, vly_exec **ret,
                           vly_err *err)
{
    const vly_model_info *info = &inst->model->info;

    for (size_t i = 0; i < info->n_inputs; i++) {
        vly_status st = check_input(&info->inputs[i], &inputs[i], err);
        if (st != VLY_OK)
            return st;
        inst->shapes[i] = inputs[i].shape;
    }
    return get_exec(inst, inst->shapes, ret, err);
}

vly_status vly_instance_run(vly_instance *inst, const vly_tensor *inputs, vly_tensor *outputs,
                            vly_err *err)
{
    vly_exec *x;
    vly_status st = exec_for(inst, inputs, &x, err);

    return st == VLY_OK ? vly_exec_run(x, inputs, outputs, NULL, err) : st;
}

vly_status vly_instance_profile(vly_instance *inst, const vly_tensor *inputs, vly_tensor *outputs,
                                vly_step_profile *steps, vly_err *err)
{
    vly_exec *x;
    vly_status st = exec_for(inst, inputs, &x, err);

    if (st != VLY_OK)
        return st;
    const vly_plan *plan = vly_exec_plan(x);
    vly_nsec *ns = vly_calloc(VLY_MEM_MODEL, (size_t)plan->n_steps, sizeof(*ns));
    if (ns == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the times of %d steps", plan->n_steps);
    st = vly_exec_run(x, inputs, outputs, ns, err);
    for (int s = 0; st == VLY_OK && s < plan->n_steps; s++) {
        vly_plan_describe(plan, &plan->steps[s], &steps[s]);
        steps[s].ns = ns[s];
    }
    vly_free(ns);
    return st;
}

/* The shapes asked for, or the model's own with 1 where it leaves the choice. */
static const vly_shape *plan_shapes(vly_instance *inst, const vly_shape *input_shapes)
{
    if (input_shapes != NULL)
        return input_shapes;
    for (size_t i = 0; i < inst->model->info.n_inputs; i++) {
        inst->shapes[i] = inst->model->info.inputs[i].shape;
        for (int k = 0; k < inst->shapes[i].rank; k++)
            if (inst->shapes[i].dim[k] == VLY_DIM_UNKNOWN)
                inst->shapes[i].dim[k] = 1;
    }
    return inst->shapes;
}

vly_status vly_instance_plan(vly_instance *inst, const vly_shape *input_shapes,
                             vly_plan_summary *ret, vly_err *err)
{
    vly_plan *plan;
    vly_status st = get_plan(inst->model, plan_shapes(inst, input_shapes), &plan, err);

    if (st != VLY_OK)
        return st;
    *ret = (vly_plan_summary){.n_steps = (size_t)plan->n_steps,
                              .arena_bytes = plan->arena_bytes,
                              .constant_bytes =
                                  inst->model->graph.constant_bytes + plan->constant_bytes,
                              .flops = plan->flops};
    vly_plan_unref(plan);
    return VLY_OK;
}

vly_status vly_instance_print_plan(vly_instance *inst, const vly_shape *input_shapes, vly_buf *out,
                                   vly_err *err)
{
    vly_plan *plan;
    vly_status st = get_plan(inst->model, plan_shapes(inst, input_shapes), &plan, err);

    if (st != VLY_OK)
        return st;
    vly_plan_print(plan, out);
    vly_plan_unref(plan);
    return VLY_OK;
}

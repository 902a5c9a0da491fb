/* SPDX-License-Identifier: MIT */
#include "sched/servable.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sched/ensemble_plan.h"
#include "sched/model_config.h"
#include "sched/repository.h"
#include "sched/sequence_plan.h"
#include "sched/step.h"
#include "sys/file.h"

#include <stdatomic.h>
#include <string.h>

/* The public part comes first, so that a pointer to it is a pointer to the whole. */
typedef struct servable {
    vly_servable pub;
    _Atomic uint32_t n_refs;
    vly_arena arena; /* strings, class names */
} servable;

/* "dir/yolov8n.onnx" -> "yolov8n" */
static vly_str base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    vly_str name = vly_str_from(slash != NULL ? slash + 1 : path);

    if (vly_str_ends(name, VLY_STR(".onnx")))
        name.len -= strlen(".onnx");
    return name;
}

static vly_status read_config_json(servable *s, const char *json, vly_err *err)
{
    const char *copy = vly_arena_strdup(&s->arena, vly_str_from(json));

    if (copy == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a configuration");
    s->pub.config_text = vly_str_from(copy);
    return vly_triton_config_parse_json(vly_str_from(copy), &s->arena, &s->pub.config, err);
}

static vly_status read_config(servable *s, const char *path, vly_err *err)
{
    vly_buf text;
    vly_buf_init(&text, VLY_MEM_SCHED, VLY_CONFIG_BYTES_MAX);
    vly_status st = vly_file_read(path, VLY_CONFIG_BYTES_MAX, &text, err);
    char *copy = st == VLY_OK ? vly_arena_strdup(&s->arena, vly_buf_str(&text)) : NULL;

    if (st == VLY_OK && copy == NULL)
        st = vly_fail(err, VLY_ENOMEM, "out of memory for '%s'", path);
    if (st == VLY_OK) {
        s->pub.config_text = (vly_str){copy, text.len};
        st = vly_triton_config_parse(s->pub.config_text, &s->arena, &s->pub.config, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "'%s'", path);
    }
    vly_buf_release(&text);
    return st;
}

static vly_str task_of(const vly_servable_spec *spec, const vly_triton_config *config)
{
    return spec->task != NULL ? vly_str_from(spec->task) : vly_triton_config_param(config, "task");
}

/* The configuration's word on precision goes before the server's. */
static vly_status model_options(const vly_servable_spec *spec, const vly_triton_config *config,
                                vly_model_options *ret, vly_err *err)
{
    vly_str precision = vly_triton_config_param(config, "precision");

    *ret = spec->options;
    return precision.len > 0 ? vly_precision_parse(precision, ret, err) : VLY_OK;
}

/* "dir/name/config.pbtxt" -> "dir/name" */
static vly_str dir_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (vly_str){path, (size_t)(slash - path)} : VLY_STR(".");
}

static vly_status plan_sequences(servable *s, const vly_servable_spec *spec, vly_err *err)
{
    const char *dir = NULL;

    if (spec->config_path != NULL) {
        dir = vly_arena_strdup(&s->arena, dir_name(spec->config_path));
        if (dir == NULL)
            return vly_arena_fail(&s->arena, err);
    }
    vly_status st = vly_sequence_plan_make(s->pub.name, s->pub.config, s->pub.run_info, dir,
                                           &s->arena, &s->pub.sequence, err);
    if (st == VLY_OK)
        s->pub.info = s->pub.sequence->info;
    return st;
}

static vly_status open_file(servable *s, const vly_servable_spec *spec, vly_err *err)
{
    vly_model_options options;
    vly_status st = model_options(spec, s->pub.config, &options, err);

    if (st == VLY_OK)
        st = vly_model_load(spec->path, &options, &s->pub.model, err);
    if (st != VLY_OK)
        return st;
    vly_task_config task = {.task = task_of(spec, s->pub.config)};
    s->pub.run_info = vly_model_describe(s->pub.model);
    s->pub.info = s->pub.run_info;
    vly_triton_config *whole;
    st = vly_model_config_start(s->pub.config, s->pub.name, s->pub.path, s->pub.run_info, &s->arena,
                                &whole, err);
    if (st != VLY_OK)
        return st;
    s->pub.config = whole;
    if (s->pub.config != NULL && s->pub.config->sequence_batching != NULL)
        st = plan_sequences(s, spec, err);
    if (st == VLY_OK)
        st = vly_model_config_finish(whole, s->pub.info, &s->arena, err);
    if (st == VLY_OK)
        st = vly_decoder_init(&s->pub.decoder, s->pub.run_info, &task, &s->arena, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "model '%s'", spec->path);
}

/* What is described by its configuration alone. */
static vly_status open_config(servable *s, vly_err *err)
{
    const vly_triton_config *config = s->pub.config;
    vly_triton_config *whole;
    vly_status st = vly_model_config_plain(config, s->pub.name, &s->arena, &whole, err);

    if (st != VLY_OK)
        return st;
    s->pub.config = whole;
    s->pub.decoder = (vly_decoder){.kind = VLY_TASK_TENSOR, .name = "tensor"};
    if (config != NULL && config->ensemble_scheduling != NULL) {
        st = vly_ensemble_plan_make(s->pub.name, config, &s->arena, &s->pub.ensemble, err);
        s->pub.info = st == VLY_OK ? &s->pub.ensemble->info : NULL;
    } else if (vly_step_is(config)) {
        st = vly_step_make(s->pub.name, config, &s->arena, &s->pub.step, err);
        s->pub.info = st == VLY_OK ? &s->pub.step->info : NULL;
        if (st == VLY_OK)
            st = vly_model_config_finish(whole, s->pub.info, &s->arena, err);
    } else {
        st = vly_fail(err, VLY_EINVAL,
                      "model '%s': there is no file, and it is neither an ensemble nor of backend "
                      "\"volley\"",
                      s->pub.name);
    }
    s->pub.run_info = s->pub.info;
    return st;
}

static vly_status open_model(servable *s, const vly_servable_spec *spec, vly_err *err)
{
    vly_status st = VLY_OK;

    if (spec->config_json != NULL)
        st = read_config_json(s, spec->config_json, err);
    else if (spec->config_path != NULL)
        st = read_config(s, spec->config_path, err);
    if (st != VLY_OK)
        return st;
    return spec->path != NULL ? open_file(s, spec, err) : open_config(s, err);
}

vly_status vly_servable_open(const vly_servable_spec *spec, vly_servable **ret, vly_err *err)
{
    servable *s = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*s));
    vly_str name = spec->name != NULL ? vly_str_from(spec->name) : base_name(spec->path);
    vly_str version = vly_str_from(spec->version != NULL ? spec->version : "1");

    if (s == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%.*s'", VLY_STR_ARG(name));
    atomic_init(&s->n_refs, 1);
    vly_arena_init(&s->arena, VLY_MEM_SCHED, 1 << 14, (size_t)64 << 20);
    s->pub.name = vly_arena_strdup(&s->arena, name);
    s->pub.version = vly_arena_strdup(&s->arena, version);
    if (spec->path != NULL)
        s->pub.path = vly_arena_strdup(&s->arena, vly_str_from(spec->path));
    vly_status st = VLY_OK;
    if (s->pub.name == NULL || s->pub.version == NULL ||
        (s->pub.path == NULL) != (spec->path == NULL))
        st = vly_fail(err, VLY_ENOMEM, "out of memory for model '%.*s'", VLY_STR_ARG(name));
    if (st == VLY_OK)
        st = open_model(s, spec, err);
    if (st != VLY_OK) {
        vly_servable_unref(&s->pub);
        return st;
    }
    *ret = &s->pub;
    return VLY_OK;
}

vly_arena *vly_servable_arena(vly_servable *pub)
{
    return &((servable *)pub)->arena;
}

vly_servable *vly_servable_ref(vly_servable *pub)
{
    servable *s = (servable *)pub;
    atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed); /* the caller holds one */
    return pub;
}

void vly_servable_unref(vly_servable *pub)
{
    servable *s = (servable *)pub;

    /* acq_rel: the last owner must see what the others did before the memory goes */
    if (s == NULL || atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    vly_model_unref(s->pub.model);
    vly_arena_release(&s->arena);
    vly_free(s);
}

/* SPDX-License-Identifier: MIT */
#include "cli/serve_models.h"

#include "base/log.h"

#include <stdio.h>

#define LOAD_MAX_BYTES ((size_t)64 << 10)

vly_status vly_serve_set_load(vly_config *c, const vly_opt_list *names, vly_err *err)
{
    vly_buf text;

    if (names->n == 0)
        return VLY_OK;
    vly_buf_init(&text, VLY_MEM_CLI, LOAD_MAX_BYTES);
    for (size_t i = 0; i < names->n; i++) {
        vly_buf_puts(&text, i > 0 ? "," : "");
        vly_buf_puts(&text, names->item[i]);
    }
    vly_status st = text.failed ? vly_fail(err, VLY_ELIMIT, "option --load-model: too many names")
                                : vly_config_set(c, VLY_STR("models.load"), vly_buf_str(&text),
                                                 VLY_CONFIG_ARG, err);
    vly_buf_release(&text);
    return st;
}

static vly_status read_options(const vly_config *c, vly_control_opts *ret, vly_err *err)
{
    *ret = (vly_control_opts){
        .dir = c->models_dir,
        .load = c->models_load[0] != '\0' ? c->models_load : NULL,
        .poll_interval_ms = (unsigned)c->models_poll_interval_ms,
        .max_waiting = (size_t)c->models_max_waiting,
        .has_digests = c->cache_redis_url[0] != '\0',
        .model = {.max_file_bytes = c->model_max_file_bytes,
                  .max_memory_bytes = c->model_arena_max_bytes,
                  .is_copied = !c->models_map_files},
    };
    if (!vly_control_mode_parse(c->models_control, &ret->mode))
        return vly_fail(err, VLY_EINVAL,
                        "setting 'models.control': expected none, poll or explicit, got '%s'",
                        c->models_control);
    if (ret->load != NULL && ret->mode != VLY_CONTROL_EXPLICIT)
        return vly_fail(err, VLY_EINVAL,
                        "setting 'models.load': expected models.control explicit with it, got '%s'",
                        c->models_control);
    vly_status st = vly_precision_parse(vly_str_from(c->model_precision), &ret->model, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "setting 'model.precision'");
}

static void print_model(const vly_served *m)
{
    char shape[VLY_SHAPE_TEXT_MAX];

    if (m->servable == NULL) {
        printf("  %-20s %-4s unavailable: %s\n", m->name, m->version,
               m->error != NULL ? m->error : "");
        return;
    }
    const vly_model_info *info = m->servable->info;
    printf("  %-20s %-4s %-16s %s %s%s  %s\n", m->name, m->version, m->servable->decoder.name,
           info->n_inputs > 0 ? vly_dtype_name(info->inputs[0].dtype) : "no input",
           info->n_inputs > 0 ? vly_shape_text(&info->inputs[0].shape, shape) : "",
           info->n_inputs > 1 ? ", ..." : "", m->path != NULL ? m->path : "");
}

vly_status vly_serve_models(const vly_config *c, vly_scheduler *s, vly_control **ret, vly_err *err)
{
    vly_control_opts opts;
    vly_status st = read_options(c, &opts, err);

    if (st == VLY_OK)
        st = vly_control_new(s, &opts, ret, err);
    if (st == VLY_ENOTFOUND)
        vly_fail_in(err, st, "no models to serve (say --models DIR)");
    if (st != VLY_OK)
        return st;
    vly_model_set *set = vly_scheduler_models(s);
    for (size_t i = 0; i < set->n; i++)
        print_model(set->models[i]);
    if (set->n == 0 && opts.mode != VLY_CONTROL_EXPLICIT)
        vly_warn("'%s' holds no models", c->models_dir);
    vly_model_set_unref(set);
    return VLY_OK;
}

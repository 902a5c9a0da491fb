/* SPDX-License-Identifier: MIT */
/* Metadata of server and models, readiness of a model, and its configuration. */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "api/v2.h"
#include "codec/triton_config_write.h"
#include "volley/version.h"

void vly_v2_put_server(vly_buf *b)
{
    vly_buf_puts(b, "{\"name\":\"volley\",\"version\":\"" VOLLEY_VERSION "\",\"extensions\":["
                    "\"classification\",\"sequence\",\"model_repository\","
                    "\"model_repository(unload_dependents)\",\"schedule_policy\","
                    "\"model_configuration\",\"system_shared_memory\",\"binary_tensor_data\","
                    "\"parameters\",\"statistics\",\"trace\",\"logging\"]}");
}

void vly_route_v2_server(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_buf b;

    (void)captures;
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    vly_v2_put_server(&b);
    vly_answer_json(req, 200, &b);
}

int64_t vly_v2_max_batch(const vly_servable *s)
{
    return s->config->max_batch_size;
}

static void put_dims(vly_buf *b, const vly_model_io *io, int from)
{
    vly_buf_putc(b, '[');
    for (int i = from; i < io->shape.rank; i++)
        vly_buf_printf(b, "%s%lld", i > from ? "," : "", (long long)io->shape.dim[i]);
    if (!io->has_shape)
        vly_buf_puts(b, "-1");
    vly_buf_putc(b, ']');
}

static void put_metadata_ios(vly_buf *b, const char *key, const vly_model_io *ios, size_t n)
{
    vly_buf_printf(b, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        vly_buf_json_str(b, vly_str_from(ios[i].name));
        vly_buf_printf(b, ",\"datatype\":\"%s\",\"shape\":", vly_dtype_kserve(ios[i].dtype));
        put_dims(b, &ios[i], 0);
        vly_buf_putc(b, '}');
    }
    vly_buf_putc(b, ']');
}

static void put_versions(vly_buf *b, const vly_api *api, const char *name)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    bool is_first = true;

    vly_buf_puts(b, ",\"versions\":[");
    for (size_t i = 0; i < set->n; i++) {
        const vly_served *m = set->models[i];
        if (m->servable == NULL || strcmp(m->name, name) != 0)
            continue;
        vly_buf_puts(b, is_first ? "" : ",");
        vly_buf_json_str(b, vly_str_from(m->version));
        is_first = false;
    }
    vly_model_set_unref(set);
    vly_buf_putc(b, ']');
}

static const char *platform_of(const vly_servable *s)
{
    if (s->model != NULL)
        return VLY_V2_PLATFORM;
    return s->ensemble != NULL ? "ensemble" : "";
}

void vly_v2_put_model(const vly_api *api, const vly_served *m, vly_buf *b)
{
    const vly_model_info *info = m->servable->info;

    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    put_versions(b, api, m->name);
    vly_buf_printf(b, ",\"platform\":\"%s\"", platform_of(m->servable));
    put_metadata_ios(b, "inputs", info->inputs, info->n_inputs);
    put_metadata_ios(b, "outputs", info->outputs, info->n_outputs);
    vly_buf_putc(b, '}');
}

/* Answers with what put says of the model that captures name. */
static void answer_model(vly_api *api, vly_http_request *req, const vly_str *captures,
                         void (*put)(const vly_api *api, const vly_served *m, vly_buf *b))
{
    vly_err err;
    vly_served *m;
    vly_buf b;

    if (vly_infer_find(api, captures[0], captures[1], &m, &err) != VLY_OK) {
        vly_answer_err(req, &err);
        return;
    }
    vly_buf_init(&b, VLY_MEM_NET, api->max_answer_bytes);
    put(api, m, &b);
    vly_served_unref(m);
    vly_answer_json(req, 200, &b);
}

void vly_route_v2_model(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    answer_model(api, req, captures, vly_v2_put_model);
}

void vly_route_v2_model_ready(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    vly_served *m;
    vly_err err;

    if (vly_infer_find(api, captures[0], captures[1], &m, &err) == VLY_OK) {
        vly_served_unref(m);
        vly_answer_empty(req, 200);
        return;
    }
    vly_fail(&err, VLY_EINVAL, "Model version not ready");
    vly_answer_err(req, &err);
}

/* Group i as it runs here: with a name, and on the CPU. config: given or not. */
static vly_status complete_group(const vly_triton_config *config, size_t i, unsigned n_instances,
                                 vly_arena *arena, vly_triton_instance_group *g)
{
    bool is_given = config->n_instance_groups > 0;
    const char *name;

    if (is_given)
        *g = config->instance_groups[i];
    g->kind = VLY_TRITON_KIND_CPU;
    g->n_gpus = 0;
    if (g->count == 0)
        g->count = n_instances;
    if (g->name.len > 0)
        return VLY_OK;
    name = is_given ? vly_arena_printf(arena, "%.*s_%zu", VLY_STR_ARG(config->name), i)
                    : vly_arena_strdup(arena, config->name);
    g->name = vly_str_from(name);
    return name != NULL ? VLY_OK : VLY_ENOMEM;
}

void vly_v2_put_config(const vly_api *api, const vly_served *m, vly_buf *b)
{
    vly_triton_config config = *m->servable->config;
    unsigned n_instances = vly_worker_pool_threads(vly_scheduler_pool(api->scheduler));
    size_t n = config.n_instance_groups > 0 ? config.n_instance_groups : 1;
    vly_arena arena;

    vly_arena_init(&arena, VLY_MEM_NET, 4096, SIZE_MAX);
    if (config.ensemble_scheduling == NULL) {
        vly_triton_instance_group *groups = vly_arena_calloc(&arena, n, sizeof(*groups));
        for (size_t i = 0; i < n && !b->failed; i++)
            b->failed = groups == NULL ||
                        complete_group(&config, i, n_instances, &arena, &groups[i]) != VLY_OK;
        config.instance_groups = groups;
        config.n_instance_groups = n;
    }
    if (!b->failed)
        vly_triton_config_put_json(&config, b);
    vly_arena_release(&arena);
}

void vly_route_v2_config(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    answer_model(api, req, captures, vly_v2_put_config);
}

/* SPDX-License-Identifier: MIT */
/* Metadata of server and models, readiness of a model, and its configuration. */
#include "api/routes.h"

#include "api/answer.h"
#include "api/infer.h"
#include "api/v2.h"
#include "volley/version.h"

/* Triton's, for models that batch and say no number themselves. */
#define DEFAULT_MAX_BATCH 4

void vly_v2_put_server(vly_buf *b)
{
    vly_buf_puts(b, "{\"name\":\"volley\",\"version\":\"" VOLLEY_VERSION "\",\"extensions\":["
                    "\"classification\",\"model_configuration\",\"binary_tensor_data\","
                    "\"parameters\"]}");
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
    const vly_model_info *info = s->info;

    if (s->config != NULL && (s->config->has_max_batch_size || s->model == NULL))
        return s->config->max_batch_size;
    for (size_t i = 0; i < info->n_inputs + info->n_outputs; i++) {
        const vly_model_io *io =
            i < info->n_inputs ? &info->inputs[i] : &info->outputs[i - info->n_inputs];
        if (!io->has_shape || io->shape.rank == 0 || io->shape.dim[0] != VLY_DIM_UNKNOWN)
            return 0;
    }
    return info->n_inputs > 0 ? DEFAULT_MAX_BATCH : 0;
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

/* Triton's ensembles have none. */
static const char *backend_of(const vly_servable *s)
{
    if (s->model != NULL)
        return VLY_V2_BACKEND;
    return s->ensemble != NULL ? "" : "volley";
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
    vly_served *m = vly_scheduler_find(api->scheduler, captures[0], captures[1]);
    bool is_ready = m != NULL && m->servable != NULL;
    vly_err err;

    vly_served_unref(m);
    if (is_ready) {
        vly_answer_empty(req, 200);
        return;
    }
    vly_fail(&err, VLY_EINVAL, "Model version not ready");
    vly_answer_err(req, &err);
}

/* TYPE_STRING is what the configuration calls BYTES. */
static void put_data_type(vly_buf *b, vly_dtype t)
{
    vly_buf_printf(b, ",\"data_type\":\"TYPE_%s\"",
                   t == VLY_DTYPE_STRING ? "STRING" : vly_dtype_kserve(t));
}

static void put_config_ios(vly_buf *b, const vly_servable *s, bool is_input)
{
    const vly_model_info *info = s->info;
    const vly_model_io *ios = is_input ? info->inputs : info->outputs;
    size_t n = is_input ? info->n_inputs : info->n_outputs;
    int from = vly_v2_max_batch(s) > 0 ? 1 : 0;

    vly_buf_puts(b, is_input ? ",\"input\":[" : ",\"output\":[");
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        vly_buf_json_str(b, vly_str_from(ios[i].name));
        put_data_type(b, ios[i].dtype);
        if (is_input)
            vly_buf_puts(b, ",\"format\":\"FORMAT_NONE\"");
        vly_buf_puts(b, ",\"dims\":");
        put_dims(b, &ios[i], from);
        vly_buf_puts(b, is_input ? ",\"is_shape_tensor\":false,\"allow_ragged_batch\":false"
                                 : ",\"label_filename\":\"\",\"is_shape_tensor\":false");
        if (is_input)
            vly_buf_puts(b, ",\"optional\":false");
        vly_buf_putc(b, '}');
    }
    vly_buf_putc(b, ']');
}

void vly_v2_put_config(const vly_api *api, const vly_served *m, vly_buf *b)
{
    unsigned n_instances = vly_worker_pool_threads(vly_scheduler_pool(api->scheduler));
    const char *path = m->path != NULL ? m->path : "";
    const char *slash = strrchr(path, '/');

    vly_buf_puts(b, "{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_printf(b,
                   ",\"platform\":\"%s\",\"backend\":\"%s\","
                   "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":%lld",
                   platform_of(m->servable), backend_of(m->servable),
                   (long long)vly_v2_max_batch(m->servable));
    put_config_ios(b, m->servable, true);
    put_config_ios(b, m->servable, false);
    vly_buf_puts(b, ",\"batch_input\":[],\"batch_output\":[],\"instance_group\":[{\"name\":");
    vly_buf_json_str(b, vly_str_from(m->name));
    vly_buf_printf(b,
                   ",\"kind\":\"KIND_CPU\",\"count\":%u,\"gpus\":[],\"secondary_devices\":[],"
                   "\"profile\":[],\"passive\":false,\"host_policy\":\"\"}],"
                   "\"default_model_filename\":",
                   n_instances);
    vly_buf_json_str(b, vly_str_from(slash != NULL ? slash + 1 : path));
    vly_buf_puts(b, ",\"cc_model_filenames\":{},\"metric_tags\":{},\"parameters\":{},"
                    "\"model_warmup\":[]}");
}

void vly_route_v2_config(vly_api *api, vly_http_request *req, const vly_str *captures)
{
    answer_model(api, req, captures, vly_v2_put_config);
}

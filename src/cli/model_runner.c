/* SPDX-License-Identifier: MIT */
#include "cli/model_runner.h"

#include "base/mem.h"
#include "cli/model_io.h"
#include "sys/core_count.h"

vly_status vly_runner_open(vly_runner *r, const char *path, const vly_model_options *options,
                           int64_t threads, vly_err *err)
{
    unsigned n = threads > 0 ? (unsigned)threads : vly_core_count();
    vly_status st;

    *r = (vly_runner){0};
    if (threads < 0 || n > 1024)
        return vly_fail(err, VLY_EINVAL, "option --threads: expected 0 to 1024");
    st = vly_model_load(path, options, &r->model, err);
    if (st != VLY_OK)
        return st;
    r->info = vly_model_describe(r->model);
    r->inputs = vly_calloc(VLY_MEM_CLI, r->info->n_inputs, sizeof(*r->inputs));
    r->outputs = vly_calloc(VLY_MEM_CLI, r->info->n_outputs, sizeof(*r->outputs));
    if (r->inputs == NULL || r->outputs == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory");
    if (n > 1)
        st = vly_worker_pool_new(n - 1, 1, &r->pool, err); /* the calling thread takes part */
    return st == VLY_OK ? vly_instance_new(r->model, r->pool, &r->instance, err) : st;
}

void vly_runner_release_outputs(vly_runner *r)
{
    for (size_t i = 0; r->outputs != NULL && i < r->info->n_outputs; i++)
        vly_tensor_release(&r->outputs[i]);
}

void vly_runner_release_tensors(vly_runner *r)
{
    for (size_t i = 0; r->inputs != NULL && i < r->info->n_inputs; i++)
        vly_tensor_release(&r->inputs[i]);
    vly_runner_release_outputs(r);
}

void vly_runner_close(vly_runner *r)
{
    vly_runner_release_tensors(r);
    vly_instance_free(r->instance);
    vly_worker_pool_free(r->pool);
    vly_model_unref(r->model);
    vly_free(r->inputs);
    vly_free(r->outputs);
}

vly_status vly_runner_read_inputs(vly_runner *r, const vly_opt_list *args, vly_err *err)
{
    for (size_t i = 0; i < args->n; i++) {
        size_t at;
        vly_str path;
        vly_status st = vly_cli_input_arg(r->info, args->item[i], &at, &path, err);
        if (st != VLY_OK)
            return st;
        vly_tensor_release(&r->inputs[at]);
        st = vly_cli_tensor_read(path.ptr, &r->inputs[at], err); /* the tail of argv: terminated */
        if (st != VLY_OK)
            return st;
    }
    return VLY_OK;
}

vly_status vly_runner_run(vly_runner *r, vly_err *err)
{
    vly_runner_release_outputs(r);
    return vly_instance_run(r->instance, r->inputs, r->outputs, err);
}

/* SPDX-License-Identifier: MIT */
/* `volley model inspect`: what a model file holds and what running it takes. */
#include "engine/model.h"
#include "base/buf.h"
#include "cli/command.h"
#include "cli/model_io.h"
#include "tasks/task.h"

#include <inttypes.h>
#include <stdio.h>

#define OUTPUT_MAX ((size_t)64 << 20)

typedef struct inspect_opts {
    vly_opt_list shapes;
    const char *precision;
    bool json, plan;
} inspect_opts;

static const vly_opt options[] = {
    VLY_OPT(inspect_opts, json, 0, FLAG, "json", NULL, "print JSON"),
    VLY_OPT(inspect_opts, plan, 0, FLAG, "plan", NULL,
            "print the plan: each step with shape, place in memory and cost"),
    VLY_OPT(inspect_opts, shapes, 0, LIST, "shape", "NAME=1x3x640x640",
            "shape of an input that the model leaves open (default: 1 for each)"),
    VLY_OPT(inspect_opts, precision, 0, TEXT, "precision", "P[:NODE,..]",
            "plan for exact, fp32, bf16, int8 or auto (default auto)"),
    VLY_OPT_END,
};

/* What is told of a model: the file's description, its task, and the plan for the shapes asked. */
typedef struct inspection {
    vly_model *model;
    const vly_model_info *info;
    vly_instance *instance;
    vly_arena arena;
    vly_decoder decoder;
    vly_shape *shapes;
    vly_plan_summary plan;
    bool has_plan;
    vly_err plan_error; /* why there is none */
} inspection;

static vly_status inspect(inspection *x, const char *path, const inspect_opts *opts, vly_err *err)
{
    vly_model_options model = VLY_MODEL_OPTIONS_DEFAULT;
    const char *precision = opts->precision != NULL ? opts->precision : "auto";
    vly_status st = vly_precision_parse(vly_str_from(precision), &model, err);

    if (st == VLY_OK)
        st = vly_model_load(path, &model, &x->model, err);
    if (st != VLY_OK)
        return st;
    x->info = vly_model_describe(x->model);
    st = vly_decoder_init(&x->decoder, x->info, NULL, &x->arena, err);
    if (st == VLY_OK)
        st = vly_instance_new(x->model, NULL, &x->instance, err);
    if (st == VLY_OK)
        st = vly_cli_input_shapes(x->info, &opts->shapes, &x->arena, &x->shapes, err);
    if (st == VLY_OK)
        x->has_plan = vly_instance_plan(x->instance, x->shapes, &x->plan, &x->plan_error) == VLY_OK;
    return st;
}

static void release(inspection *x)
{
    vly_instance_free(x->instance);
    vly_model_unref(x->model);
    vly_arena_release(&x->arena);
}

/* "[batch,3,640,640]": names where the file gives them. */
static void add_shape(vly_buf *out, const vly_model_io *io)
{
    vly_buf_putc(out, '[');
    for (int i = 0; i < io->shape.rank; i++) {
        vly_buf_puts(out, i > 0 ? "," : "");
        if (io->shape.dim[i] != VLY_DIM_UNKNOWN)
            vly_buf_printf(out, "%" PRId64, io->shape.dim[i]);
        else
            vly_buf_puts(out, io->dim_names[i] != NULL ? io->dim_names[i] : "?");
    }
    vly_buf_puts(out, io->has_shape ? "]" : "...]");
}

static void add_ios(vly_buf *out, const char *what, const vly_model_io *ios, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vly_buf_printf(out, "  %-10s %s %s ", i == 0 ? what : "", ios[i].name,
                       vly_dtype_name(ios[i].dtype));
        add_shape(out, &ios[i]);
        vly_buf_putc(out, '\n');
    }
}

static void add_text(vly_buf *out, const inspection *x, const char *path)
{
    const vly_model_info *m = x->info;

    vly_buf_printf(out, "%s\n", path);
    vly_buf_printf(out, "  %-10s %s, by %s, opset %d\n", "graph", m->name,
                   m->producer[0] != '\0' ? m->producer : "unknown", m->opset);
    add_ios(out, "inputs", m->inputs, m->n_inputs);
    add_ios(out, "outputs", m->outputs, m->n_outputs);
    vly_buf_printf(out, "  %-10s %s", "task", x->decoder.name);
    if (x->decoder.labels.count > 0)
        vly_buf_printf(out, ", %zu classes", x->decoder.labels.count);
    vly_buf_printf(out, "\n  %-10s %zu nodes, %" PRIu64 " parameters, %.1f MB file\n", "size",
                   m->n_nodes, m->n_parameters, (double)m->file_bytes / 1e6);
    if (x->has_plan)
        vly_buf_printf(out,
                       "  %-10s %zu steps, %.3f GFLOP, %.1f MB constants, %.1f MB arena per "
                       "instance\n",
                       "plan", x->plan.n_steps, (double)x->plan.flops / 1e9,
                       (double)x->plan.constant_bytes / 1e6, (double)x->plan.arena_bytes / 1e6);
    else
        vly_buf_printf(out, "  %-10s none: %s (see --shape)\n", "plan", x->plan_error.msg);
    for (size_t i = 0; i < m->n_properties; i++)
        vly_buf_printf(out, "  %-10s %.*s: %.*s\n", i == 0 ? "metadata" : "",
                       VLY_STR_ARG(m->properties[i].key),
                       (int)(m->properties[i].value.len > 100 ? 100 : m->properties[i].value.len),
                       m->properties[i].value.ptr);
}

static void add_ios_json(vly_buf *out, const vly_model_io *ios, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vly_buf_puts(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        vly_buf_json_str(out, vly_str_from(ios[i].name));
        vly_buf_printf(out, ",\"dtype\":\"%s\",\"shape\":", vly_dtype_name(ios[i].dtype));
        if (!ios[i].has_shape)
            vly_buf_puts(out, "null");
        for (int k = 0; k < ios[i].shape.rank; k++)
            vly_buf_printf(out, "%s%" PRId64, k > 0 ? "," : "[", ios[i].shape.dim[k]);
        if (ios[i].has_shape)
            vly_buf_puts(out, ios[i].shape.rank > 0 ? "]" : "[]");
        vly_buf_putc(out, '}');
    }
}

static void add_json(vly_buf *out, const inspection *x)
{
    const vly_model_info *m = x->info;

    vly_buf_puts(out, "{\"graph\":");
    vly_buf_json_str(out, vly_str_from(m->name));
    vly_buf_puts(out, ",\"producer\":");
    vly_buf_json_str(out, vly_str_from(m->producer));
    vly_buf_printf(out, ",\"opset\":%d,\"inputs\":[", m->opset);
    add_ios_json(out, m->inputs, m->n_inputs);
    vly_buf_puts(out, "],\"outputs\":[");
    add_ios_json(out, m->outputs, m->n_outputs);
    vly_buf_printf(out,
                   "],\"task\":\"%s\",\"classes\":%zu,\"nodes\":%zu,\"parameters\":%" PRIu64
                   ",\"file_bytes\":%zu",
                   x->decoder.name, x->decoder.labels.count, m->n_nodes, m->n_parameters,
                   m->file_bytes);
    if (x->has_plan)
        vly_buf_printf(out,
                       ",\"plan\":{\"steps\":%zu,\"flops\":%" PRIu64
                       ",\"constant_bytes\":%zu,\"arena_bytes\":%zu}",
                       x->plan.n_steps, x->plan.flops, x->plan.constant_bytes, x->plan.arena_bytes);
    vly_buf_puts(out, ",\"metadata\":{");
    for (size_t i = 0; i < m->n_properties; i++) {
        vly_buf_puts(out, i > 0 ? "," : "");
        vly_buf_json_str(out, m->properties[i].key);
        vly_buf_putc(out, ':');
        vly_buf_json_str(out, m->properties[i].value);
    }
    vly_buf_puts(out, "}}\n");
}

static int run_inspect(const void *opts_, int n_args, char *const *args)
{
    const inspect_opts *opts = opts_;
    inspection x = {0};
    vly_buf out;
    vly_err err;

    (void)n_args;
    vly_arena_init(&x.arena, VLY_MEM_CLI, 1 << 16, (size_t)256 << 20);
    vly_buf_init(&out, VLY_MEM_CLI, OUTPUT_MAX);
    vly_status st = inspect(&x, args[0], opts, &err);
    if (st == VLY_OK) {
        if (opts->json)
            add_json(&out, &x);
        else
            add_text(&out, &x, args[0]);
        if (opts->plan && !opts->json)
            st = vly_instance_print_plan(x.instance, x.shapes, &out, &err);
    }
    if (st == VLY_OK)
        fwrite(out.ptr, 1, out.len, stdout);
    else
        vly_command_fail(&err);
    vly_buf_release(&out);
    release(&x);
    return vly_cli_exit_status(st);
}

const vly_command vly_command_model_inspect = {
    .name = "model inspect",
    .args = "FILE",
    .summary = "show a model's graph, shapes, task, size and plan",
    .details =
        "Loads an .onnx file and prints its inputs and outputs, the task its outputs are read as,\n"
        "parameters, operations (2 per multiply-add), memory, and metadata. --plan adds one line\n"
        "per step: operator, output shape, dtype, where the tensor lies and what the step costs.\n",
    .examples = "  volley model inspect yolov8n.onnx\n"
                "  volley model inspect yolov8n_dyn.onnx --shape images=4x3x640x640 --plan\n",
    .opts = options,
    .opts_bytes = sizeof(inspect_opts),
    .n_args_min = 1,
    .n_args_max = 1,
    .run = run_inspect,
};

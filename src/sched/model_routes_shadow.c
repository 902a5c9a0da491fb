/* SPDX-License-Identifier: MIT */
#include "sched/model_routes_shadow.h"

#include "base/mem.h"
#include "sched/model_routes_compare.h"
#include "sched/model_routes_internal.h"
#include "sys/line_log.h"

#include <math.h>
#include <stdio.h>

#define ID_MAX     128
#define LINE_BYTES ((size_t)4 << 10)

struct vly_route_shadow {
    vly_job job;
    vly_model_routes *routes;
    vly_route_arm *to;        /* a reference: of the shadow */
    vly_served *from, *model; /* references: who has answered, and who is to */
    char id[ID_MAX + 1];
    vly_nsec from_ns, began_ns;
    vly_tensor *inputs;  /* [n_inputs] of model */
    vly_tensor *outputs; /* [n_outputs] of from */
    vly_buf picture;
    vly_detection *detections;
    size_t n_detections;
    vly_classification top; /* class_id -1: none */
    vly_buf line;           /* from the first to before the last brace */
    bool agrees;
};

/* ---- taking ---- */

static void release_tensors(vly_tensor *t, size_t n)
{
    for (size_t i = 0; t != NULL && i < n; i++)
        vly_tensor_release(&t[i]);
    vly_free(t);
}

static void free_shadow(vly_route_shadow *x)
{
    release_tensors(x->inputs, x->model->servable->info->n_inputs);
    release_tensors(x->outputs, x->from->servable->info->n_outputs);
    vly_buf_release(&x->picture);
    vly_buf_release(&x->line);
    vly_free(x->detections);
    vly_route_arm_unref(x->to);
    vly_served_unref(x->from);
    vly_served_unref(x->model);
    atomic_fetch_sub(&x->routes->n_shadows, 1);
    vly_free(x);
}

static void count(vly_route_shadow *x, vly_route_shadow_outcome o)
{
    vly_counter_add(&x->to->shadow[o], 1);
}

static bool is_busy(vly_model_routes *r, const vly_served *m)
{
    return vly_worker_pool_queued(vly_scheduler_pool(r->scheduler)) > 0 ||
           vly_gauge_get(&m->stats.pending) > 0;
}

static bool keep(const vly_tensor *t, vly_tensor *ret)
{
    if (t->store == NULL)
        return vly_tensor_copy(t, ret, NULL) == VLY_OK;
    *ret = vly_tensor_ref(t);
    return true;
}

static bool fits(const vly_model_io *io, const vly_tensor *t)
{
    bool is_fit = io->dtype == t->dtype;

    for (int i = 0; is_fit && io->has_shape && i < io->shape.rank; i++)
        is_fit = io->shape.rank == t->shape.rank &&
                 (io->shape.dim[i] == VLY_DIM_UNKNOWN || io->shape.dim[i] == t->shape.dim[i]);
    return is_fit;
}

static size_t bytes_of(const vly_job *job, const vly_model_info *info)
{
    size_t n = job->picture.len;

    for (size_t i = 0; job->kind == VLY_JOB_TENSORS && i < info->n_inputs; i++)
        n += job->inputs[i].bytes;
    for (size_t i = 0; job->kind == VLY_JOB_TENSORS && i < info->n_outputs; i++)
        n += job->outputs[i].bytes;
    return n;
}

/* The arm's inputs under the names of the other model. */
static bool take_inputs(vly_route_shadow *x, const vly_job *job)
{
    const vly_model_info *from = x->from->servable->info, *to = x->model->servable->info;

    if (from->n_inputs != to->n_inputs)
        return false;
    for (size_t i = 0; i < to->n_inputs; i++) {
        size_t k = 0;
        while (k < from->n_inputs && strcmp(from->inputs[k].name, to->inputs[i].name) != 0)
            k++;
        if (k == from->n_inputs || !fits(&to->inputs[i], &job->inputs[k]) ||
            !keep(&job->inputs[k], &x->inputs[i]))
            return false;
    }
    return true;
}

static bool take_tensors(vly_route_shadow *x, const vly_job *job)
{
    const vly_model_info *from = x->from->servable->info;

    x->inputs =
        vly_calloc(VLY_MEM_SCHED, x->model->servable->info->n_inputs + 1, sizeof(*x->inputs));
    x->outputs = vly_calloc(VLY_MEM_SCHED, from->n_outputs + 1, sizeof(*x->outputs));
    if (x->inputs == NULL || x->outputs == NULL || !take_inputs(x, job))
        return false;
    for (size_t i = 0; i < from->n_outputs; i++)
        if (!keep(&job->outputs[i], &x->outputs[i]))
            return false;
    return true;
}

/* Keypoints and masks are not compared, and end with the answer. */
static bool take_picture(vly_route_shadow *x, const vly_job *job)
{
    const vly_observations *o = &job->observations;

    vly_buf_add_str(&x->picture, job->picture);
    x->detections = vly_calloc(VLY_MEM_SCHED, o->n_detections + 1, sizeof(*x->detections));
    if (x->picture.failed || x->detections == NULL)
        return false;
    x->n_detections = o->n_detections;
    for (size_t i = 0; i < o->n_detections; i++) {
        x->detections[i] = o->detections[i];
        x->detections[i].keypoints = NULL;
        x->detections[i].mask = NULL;
    }
    x->top = o->n_classes > 0 ? o->classes[0] : (vly_classification){.class_id = -1};
    return true;
}

static vly_status compare(vly_job *job, vly_err *err);
static void done(vly_job *job);

static bool fill(vly_route_shadow *x, const vly_job *job, vly_str id)
{
    size_t max = x->routes->shadow_max_bytes;

    snprintf(x->id, sizeof(x->id), "%.*s", VLY_STR_ARG(id));
    vly_buf_init(&x->picture, VLY_MEM_SCHED, max);
    vly_buf_init(&x->line, VLY_MEM_SCHED, (size_t)64 << 10);
    x->from_ns = vly_clock_now() - job->received_ns;
    if (bytes_of(job, x->from->servable->info) > max ||
        !(job->kind == VLY_JOB_PICTURE ? take_picture(x, job) : take_tensors(x, job)))
        return false;
    x->job = (vly_job){.kind = job->kind,
                       .ctx = x,
                       .encode = compare,
                       .done = done,
                       .picture = vly_buf_str(&x->picture),
                       .options = job->options,
                       .inputs = x->inputs,
                       .is_copy = true,
                       .n_inferences = job->n_inferences};
    x->job.options.classes = NULL; /* which end with the request: of all classes, then */
    x->job.options.n_classes = 0;
    return true;
}

static bool can_run(const vly_served *m, const vly_job *job)
{
    return job->kind == VLY_JOB_TENSORS || (m->servable->decoder.kind != VLY_TASK_TENSOR &&
                                            m->servable->decoder.input_channels > 0);
}

vly_route_shadow *vly_route_shadow_take(vly_model_routes *r, vly_model_route *route, vly_served *m,
                                        const vly_job *job, vly_str id)
{
    vly_route_arm *to = route->shadow;
    vly_served *model = vly_route__find_model(r, &to->target);
    vly_route_shadow *x = NULL;

    if (atomic_fetch_add(&r->n_shadows, 1) < r->shadow_max && model != NULL &&
        can_run(model, job) && job->options.n_classes == 0 && !is_busy(r, model))
        x = vly_calloc(VLY_MEM_SCHED, 1, sizeof(*x));
    if (x == NULL) {
        atomic_fetch_sub(&r->n_shadows, 1);
        vly_counter_add(&to->shadow[VLY_ROUTE_SHADOW_DROPPED], 1);
        vly_served_unref(model);
        return NULL;
    }
    x->routes = r;
    x->to = vly_route_arm_ref(to);
    x->from = vly_served_ref(m);
    x->model = model;
    if (fill(x, job, id))
        return x;
    count(x, VLY_ROUTE_SHADOW_FAILED);
    free_shadow(x);
    return NULL;
}

void vly_route_shadow_drop(vly_route_shadow *x)
{
    if (x == NULL)
        return;
    count(x, VLY_ROUTE_SHADOW_DROPPED);
    free_shadow(x);
}

void vly_route_shadow_go(vly_route_shadow *x)
{
    vly_job *job;

    if (x == NULL)
        return;
    job = &x->job;
    x->began_ns = job->received_ns = vly_clock_now();
    if (is_busy(x->routes, x->model) || vly_scheduler_submit(x->model, &job, 1, NULL) != VLY_OK)
        vly_route_shadow_drop(x);
}

/* ---- comparing, on the worker that ran it ---- */

/* A number that JSON has. */
static void put(vly_route_shadow *x, const char *key, double v)
{
    if (isfinite(v))
        vly_buf_printf(&x->line, ",\"%s\":%.9g", key, v);
}

static void compare_boxes(vly_route_shadow *x, const vly_observations *o)
{
    vly_route_boxes_diff d =
        vly_route_compare_boxes(x->detections, x->n_detections, o->detections, o->n_detections);

    x->agrees = d.n_matched == d.n_first && d.n_matched == d.n_second;
    vly_buf_printf(&x->line,
                   ",\"kind\":\"boxes\",\"n_arm\":%zu,\"n_shadow\":%zu,\"matched\":%zu,"
                   "\"missing\":%zu,\"extra\":%zu",
                   d.n_first, d.n_second, d.n_matched, d.n_first - d.n_matched,
                   d.n_second - d.n_matched);
    put(x, "mean_iou", d.mean_iou);
    put(x, "mean_score_diff", d.mean_score_diff);
    put(x, "max_score_diff", d.max_score_diff);
}

static void compare_classes(vly_route_shadow *x, const vly_observations *o)
{
    vly_classification top =
        o->n_classes > 0 ? o->classes[0] : (vly_classification){.class_id = -1};

    x->agrees = top.class_id == x->top.class_id;
    vly_buf_printf(&x->line, ",\"kind\":\"class\",\"arm_class\":%d,\"shadow_class\":%d",
                   x->top.class_id, top.class_id);
    put(x, "score_diff", fabs((double)top.confidence - (double)x->top.confidence));
}

/* The worst of the outputs that both have. */
static void compare_tensors(vly_route_shadow *x, const vly_tensor *outputs)
{
    const vly_model_info *from = x->from->servable->info, *to = x->model->servable->info;
    vly_route_tensor_diff worst = {.cosine = 1};
    size_t n = 0;

    x->agrees = true;
    for (size_t i = 0; i < from->n_outputs; i++) {
        size_t k = 0;
        while (k < to->n_outputs && strcmp(from->outputs[i].name, to->outputs[k].name) != 0)
            k++;
        vly_route_tensor_diff d = {.is_same_type = false};
        if (k < to->n_outputs)
            d = vly_route_compare_tensors(&x->outputs[i], &outputs[k]);
        x->agrees = x->agrees && d.is_same_type && d.cosine >= VLY_ROUTE_COSINE_MIN;
        if (!d.is_same_type)
            continue;
        worst.max_abs = fmax(worst.max_abs, d.max_abs);
        worst.mean_abs = fmax(worst.mean_abs, d.mean_abs);
        worst.cosine = fmin(worst.cosine, d.cosine);
        n++;
    }
    vly_buf_printf(&x->line, ",\"kind\":\"tensors\",\"n\":%zu", n);
    if (n == 0)
        return;
    put(x, "max_abs", worst.max_abs);
    put(x, "mean_abs", worst.mean_abs);
    put(x, "cosine", worst.cosine);
}

static vly_status compare(vly_job *job, vly_err *err)
{
    vly_route_shadow *x = job->ctx;

    (void)err;
    if (job->kind == VLY_JOB_TENSORS)
        compare_tensors(x, job->outputs);
    else if (job->observations.kind == VLY_TASK_CLASSIFY)
        compare_classes(x, &job->observations);
    else
        compare_boxes(x, &job->observations);
    return VLY_OK;
}

static void put_model(vly_buf *b, const char *key, const vly_served *m)
{
    char text[VLY_ROUTE_MODEL_MAX + VLY_ROUTE_VERSION_MAX + 2];

    snprintf(text, sizeof(text), "%s/%s", m->name, m->version);
    vly_buf_printf(b, ",\"%s\":", key);
    vly_buf_json_str(b, vly_str_from(text));
}

static void write_line(const vly_route_shadow *x)
{
    char memory[LINE_BYTES];
    vly_buf b;

    if (x->routes->shadow_log == NULL)
        return;
    vly_buf_init(&b, VLY_MEM_SCHED, (size_t)128 << 10);
    vly_buf_lend(&b, memory, 0, sizeof(memory), NULL, NULL);
    vly_buf_printf(&b, "{\"time_ms\":%llu,\"id\":", (unsigned long long)vly_clock_unix_ms());
    vly_buf_json_str(&b, vly_str_from(x->id));
    vly_buf_printf(&b, ",\"route\":\"%s\"", x->to->route);
    put_model(&b, "arm", x->from);
    put_model(&b, "shadow", x->model);
    vly_buf_printf(&b, ",\"arm_ms\":%.3f,\"shadow_ms\":%.3f", vly_clock_ms(x->from_ns),
                   vly_clock_ms(vly_clock_now() - x->began_ns));
    if (x->job.status == VLY_OK) {
        vly_buf_printf(&b, ",\"agrees\":%s", x->agrees ? "true" : "false");
        vly_buf_add_str(&b, vly_buf_str(&x->line));
    } else {
        vly_buf_puts(&b, ",\"error\":");
        vly_buf_json_str(&b, vly_str_from(x->job.err.msg));
    }
    vly_buf_puts(&b, "}\n");
    if (!b.failed && !x->line.failed)
        vly_line_log_add(x->routes->shadow_log, vly_buf_str(&b));
    vly_buf_release(&b);
}

static void done(vly_job *job)
{
    vly_route_shadow *x = job->ctx;

    if (job->status != VLY_OK)
        count(x, VLY_ROUTE_SHADOW_FAILED);
    else
        count(x, x->agrees ? VLY_ROUTE_SHADOW_AGREED : VLY_ROUTE_SHADOW_DIFFERED);
    if (job->status == VLY_OK)
        vly_histogram_record(&x->to->latency, vly_clock_now() - x->began_ns);
    write_line(x);
    free_shadow(x);
}

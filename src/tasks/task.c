/* SPDX-License-Identifier: MIT */
#include "tasks/task.h"

#include "base/assert.h"
#include "base/log.h"
#include "tasks/decoder.h"
#include "tasks/metadata.h"

#define INPUT_DIM_DEFAULT 640
#define INPUT_DIM_MAX     65536 /* as vly_letterbox_run */

static const vly_task *const tasks[] = {
#define TASK_ROW(name) &vly_task_##name,
    VLY_TASK_LIST(TASK_ROW)
#undef TASK_ROW
};

const char *vly_task_name(size_t idx)
{
    return idx < VLY_COUNT(tasks) ? tasks[idx]->name : NULL;
}

const char *vly_task_kind_name(vly_task_kind kind)
{
    switch (kind) {
    case VLY_TASK_DETECT:
        return "detect";
    case VLY_TASK_POSE:
        return "pose";
    case VLY_TASK_SEGMENT:
        return "segment";
    case VLY_TASK_CLASSIFY:
        return "classify";
    case VLY_TASK_TENSOR:
        break;
    }
    return "tensor";
}

static bool is_unit(float v)
{
    return v >= 0.0f && v <= 1.0f;
}

vly_status vly_detector_options_check(const vly_detector_options *o, vly_err *err)
{
    if (!is_unit(o->conf_threshold))
        return vly_fail(err, VLY_EINVAL, "option 'conf_threshold': expected 0..1, got %g",
                        (double)o->conf_threshold);
    if (!is_unit(o->iou_threshold))
        return vly_fail(err, VLY_EINVAL, "option 'iou_threshold': expected 0..1, got %g",
                        (double)o->iou_threshold);
    if (o->max_detections < 1 || o->max_detections > VLY_NMS_CANDIDATES_MAX)
        return vly_fail(err, VLY_EINVAL, "option 'max_detections': expected 1..%d, got %u",
                        VLY_NMS_CANDIDATES_MAX, o->max_detections);
    if (o->max_classes < 1)
        return vly_fail(err, VLY_EINVAL, "option 'max_classes': expected 1 or more, got 0");
    return VLY_OK;
}

/* The value of a metadata property; empty when the model has none of this key. */
static vly_str property(const vly_model_info *m, const char *key)
{
    for (size_t i = 0; i < m->n_properties; i++)
        if (vly_str_is(m->properties[i].key, key))
            return vly_str_trim(m->properties[i].value);
    return (vly_str){"", 0};
}

/* The picture input: the only one, float [N, 1 or 3, H, W]; NULL when there is none. */
static const vly_model_io *picture_input(const vly_model_info *m)
{
    const vly_model_io *found = m->n_inputs == 1 ? &m->inputs[0] : NULL;

    if (found == NULL || !found->has_shape || found->shape.rank != 4 ||
        !vly_dtype_is_float(found->dtype))
        return NULL;
    int64_t channels = found->shape.dim[1];
    return channels == 3 || channels == 1 ? found : NULL;
}

/* The model's own size where it is fixed, then the configuration's, then the metadata's. */
static uint32_t input_dim(int64_t of_model, uint32_t of_config, int64_t of_metadata)
{
    if (of_model > 0 && of_model <= INPUT_DIM_MAX)
        return (uint32_t)of_model;
    if (of_config > 0 && of_config <= INPUT_DIM_MAX)
        return of_config;
    if (of_metadata > 0 && of_metadata <= INPUT_DIM_MAX)
        return (uint32_t)of_metadata;
    return INPUT_DIM_DEFAULT;
}

static void find_input(vly_decoder *d, const vly_model_info *m, const vly_task_config *config)
{
    const vly_model_io *in = picture_input(m);
    int64_t imgsz[2] = {0};
    size_t n = 0;

    if (in == NULL)
        return;
    if (vly_metadata_ints(property(m, "imgsz"), imgsz, 2, &n, NULL) != VLY_OK)
        n = 0; /* a hint only: a model without it, or with nonsense there, works as well */
    d->input_channels = (uint32_t)in->shape.dim[1];
    d->input_height = input_dim(in->shape.dim[2], config->input_height, n > 0 ? imgsz[0] : 0);
    d->input_width = input_dim(in->shape.dim[3], config->input_width, n > 0 ? imgsz[n - 1] : 0);
}

static vly_status find_labels(vly_decoder *d, const vly_model_info *m,
                              const vly_task_config *config, vly_arena *arena, vly_err *err)
{
    vly_str names = property(m, "names");

    if (config->labels != NULL) {
        d->labels = *config->labels;
        return VLY_OK;
    }
    if (names.len == 0)
        return VLY_OK;
    vly_err why = VLY_ERR_INIT;
    vly_status st = vly_metadata_names(names, arena, &d->labels.names, &d->labels.count, &why);
    if (st == VLY_ENOMEM)
        return vly_fail(err, st, "property 'names': %s", why.msg);
    if (st != VLY_OK)
        vly_debug("property 'names' is ignored: %s", why.msg);
    return VLY_OK;
}

/* Exporters say "end2end": "True" for heads without suppression (YOLOv10, YOLO26), and write
 * 'nms': True among the export arguments when they have appended it. */
static bool is_end2end(const vly_model_info *m)
{
    vly_str args = property(m, "args");
    static const char nms[] = "'nms': True";

    return vly_str_is(property(m, "end2end"), "True") ||
           (args.len > 0 && memmem(args.ptr, args.len, nms, sizeof(nms) - 1) != NULL);
}

static vly_task_probe make_probe(const vly_decoder *d, const vly_model_info *m,
                                 const vly_task_config *config)
{
    vly_task_probe p = {
        .model = m,
        .input_width = d->input_width,
        .input_height = d->input_height,
        .input_channels = d->input_channels,
        .task = property(m, "task"),
        .is_end2end = is_end2end(m),
        .n_classes = config->n_classes > 0 ? config->n_classes : (int64_t)d->labels.count,
        .n_keypoints = config->n_keypoints,
    };
    int64_t kpt_shape[2] = {0};
    size_t n = 0;

    if (vly_metadata_ints(property(m, "kpt_shape"), kpt_shape, 2, &n, NULL) != VLY_OK || n != 2 ||
        kpt_shape[0] < 1 || kpt_shape[1] < 2 || kpt_shape[1] > 3)
        return p;
    p.n_keypoints = p.n_keypoints > 0 ? p.n_keypoints : kpt_shape[0];
    p.n_keypoint_values = kpt_shape[1];
    return p;
}

/* Takes the best task of those that fit, the first among equals. */
static void find_task(vly_decoder *d, const vly_task_probe *p)
{
    vly_match best = VLY_MATCH_POSSIBLE;

    for (size_t i = 0; i < VLY_COUNT(tasks); i++) {
        vly_task_params params = {0};
        vly_match match = tasks[i]->match(p, &params);
        if (match <= best)
            continue;
        best = match;
        d->task = tasks[i];
        d->params = params;
    }
}

static vly_status use_task(vly_decoder *d, const vly_task_probe *p, vly_str name, vly_err *err)
{
    for (size_t i = 0; i < VLY_COUNT(tasks); i++) {
        if (!vly_str_is(name, tasks[i]->name))
            continue;
        d->task = tasks[i];
        if (tasks[i] != &vly_task_tensor && d->input_channels == 0)
            return vly_fail(err, VLY_EINVAL, "task '%s': the model has no picture input",
                            tasks[i]->name);
        if (tasks[i]->match(p, &d->params) == VLY_MATCH_NO)
            return vly_fail(err, VLY_EINVAL, "task '%s': does not fit the model's outputs",
                            tasks[i]->name);
        return VLY_OK;
    }
    return vly_fail(err, VLY_EINVAL, "task '%.*s': unknown", VLY_STR_ARG(name));
}

vly_status vly_decoder_init(vly_decoder *ret, const vly_model_info *model,
                            const vly_task_config *config, vly_arena *arena, vly_err *err)
{
    static const vly_task_config nothing = {0};
    vly_decoder d = {.task = &vly_task_tensor};

    if (config == NULL)
        config = &nothing;
    find_input(&d, model, config);
    vly_status st = find_labels(&d, model, config, arena, err);
    if (st != VLY_OK)
        return st;
    vly_task_probe p = make_probe(&d, model, config);
    if (config->task.len > 0) {
        st = use_task(&d, &p, config->task, err);
        if (st != VLY_OK)
            return st;
    } else if (d.input_channels != 0) {
        find_task(&d, &p);
    }
    d.name = d.task->name;
    d.kind = d.task->kind;
    d.prep = d.task->prep;
    if (d.task->prepare != NULL)
        d.task->prepare(&p, &d.prep);
    if (config->prep != NULL)
        d.prep = *config->prep;
    if (d.labels.count == 0 && d.task->labels != NULL)
        d.labels = *d.task->labels;
    else if (d.labels.count == 0 && d.params.n_classes == (int64_t)vly_labels_coco.count)
        d.labels = vly_labels_coco;
    *ret = d;
    return VLY_OK;
}

vly_status vly_decoder_run(const vly_decoder *d, const vly_decode_args *args, vly_observations *ret,
                           vly_err *err)
{
    VLY_ASSERT(args->map != NULL && args->opts != NULL && args->arena != NULL);
    vly_status st = d->task->decode(d, args, ret, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "task '%s'", d->name);
}

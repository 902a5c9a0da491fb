/* SPDX-License-Identifier: MIT */
/* include/volley/volley.h over the rooms below: conversions, no logic of its own. */
#include "volley/volley.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "sched/vision.h"
#include "sys/core_count.h"
#include "sys/worker_pool.h"

#include <string.h>

#define RESULT_BYTES_MAX ((size_t)1 << 30)

_Static_assert(VOLLEY_RANK_MAX == VLY_RANK_MAX, "ranks agree");
_Static_assert(sizeof(((volley_error *)NULL)->message) == VLY_ERR_MSG_MAX, "messages fit");
_Static_assert(VOLLEY_EINVAL == (int)VLY_EINVAL && VOLLEY_ENOTFOUND == (int)VLY_ENOTFOUND &&
                   VOLLEY_EUNSUPPORTED == (int)VLY_EUNSUPPORTED &&
                   VOLLEY_ENOMEM == (int)VLY_ENOMEM && VOLLEY_EIO == (int)VLY_EIO &&
                   VOLLEY_EFORMAT == (int)VLY_EFORMAT && VOLLEY_ELIMIT == (int)VLY_ELIMIT &&
                   VOLLEY_EINTERNAL == (int)VLY_EINTERNAL && VOLLEY_EMEDIA == (int)VLY_EMEDIA,
               "codes agree");

struct volley_model {
    vly_servable *servable;
    vly_arena arena;
    volley_tensor_info *inputs, *outputs;
    const char **class_names; /* [decoder.labels.count], NUL-terminated; NULL where there is none */
};

struct volley_session {
    vly_servable *servable;
    vly_model *model; /* the servable's */
    const vly_model_info *info;
    vly_worker_pool *pool;
    vly_instance *instance;
    vly_vision *vision; /* NULL until the first detect */
    vly_picture_limits limits;
    vly_arena arena;     /* of the last detect */
    vly_tensor *inputs;  /* [n_inputs] */
    vly_tensor *outputs; /* [n_outputs], of the last run */
};

static int report(vly_status st, const vly_err *from, volley_error *to)
{
    if (st != VLY_OK && to != NULL) {
        to->code = (int)st;
        memcpy(to->message, from->msg, sizeof(to->message));
    }
    return (int)st;
}

const char *volley_version(void)
{
    return VOLLEY_VERSION;
}

/* ---- models ------------------------------------------------------------------------------- */

static volley_tensor_info *describe(vly_arena *arena, const vly_model_io *ios, size_t n)
{
    volley_tensor_info *list = vly_arena_calloc(arena, n, sizeof(*list));

    for (size_t i = 0; list != NULL && i < n; i++) {
        list[i].name = ios[i].name;
        list[i].dtype = (int)ios[i].dtype;
        list[i].rank = ios[i].has_shape ? ios[i].shape.rank : -1;
        memcpy(list[i].dim, ios[i].shape.dim, sizeof(list[i].dim));
    }
    return list;
}

static const char **copy_names(vly_arena *arena, const vly_labels *labels)
{
    const char **names = vly_arena_calloc(arena, labels->count, sizeof(names[0]));

    for (size_t i = 0; names != NULL && i < labels->count; i++) {
        if (labels->names[i].len == 0)
            continue;
        names[i] = vly_arena_strdup(arena, labels->names[i]);
        if (names[i] == NULL)
            return NULL;
    }
    return names;
}

static vly_status load(const vly_servable_spec *spec, volley_model *m, vly_err *err)
{
    vly_status st = vly_servable_open(spec, &m->servable, err);

    if (st != VLY_OK)
        return st;
    const vly_model_info *info = m->servable->info;
    m->inputs = describe(&m->arena, info->inputs, info->n_inputs);
    m->outputs = describe(&m->arena, info->outputs, info->n_outputs);
    m->class_names = copy_names(&m->arena, &m->servable->decoder.labels);
    if (m->inputs == NULL || m->outputs == NULL || m->class_names == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for model '%s'", spec->path);
    return VLY_OK;
}

/* precision came after the others: a caller that knows only those has a smaller struct. */
static vly_status read_options(const volley_model_options *options, vly_servable_spec *spec,
                               vly_err *err)
{
    if (options == NULL)
        return VLY_OK;
    spec->task = options->task;
    if (options->max_file_bytes != 0)
        spec->options.max_file_bytes = options->max_file_bytes;
    if (options->max_memory_bytes != 0)
        spec->options.max_memory_bytes = options->max_memory_bytes;
    if (options->size < sizeof(*options) || options->precision == NULL)
        return VLY_OK;
    return vly_precision_parse(vly_str_from(options->precision), &spec->options, err);
}

int volley_model_load(const char *path, const volley_model_options *options, volley_model **ret,
                      volley_error *error)
{
    vly_servable_spec spec = {.path = path, .options = VLY_MODEL_OPTIONS_DEFAULT};
    volley_model *m = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*m));
    vly_err err = VLY_ERR_INIT;

    if (m == NULL)
        return report(vly_fail(&err, VLY_ENOMEM, "out of memory"), &err, error);
    vly_arena_init(&m->arena, VLY_MEM_MODEL, 1 << 14, (size_t)64 << 20);
    vly_status st = read_options(options, &spec, &err);
    if (st == VLY_OK)
        st = load(&spec, m, &err);
    if (st == VLY_OK)
        *ret = m;
    else
        volley_model_free(m);
    return report(st, &err, error);
}

void volley_model_free(volley_model *m)
{
    if (m == NULL)
        return;
    vly_servable_unref(m->servable);
    vly_arena_release(&m->arena);
    vly_free(m);
}

size_t volley_model_n_inputs(const volley_model *m)
{
    return m->servable->info->n_inputs;
}

size_t volley_model_n_outputs(const volley_model *m)
{
    return m->servable->info->n_outputs;
}

const volley_tensor_info *volley_model_input(const volley_model *m, size_t index)
{
    return index < volley_model_n_inputs(m) ? &m->inputs[index] : NULL;
}

const volley_tensor_info *volley_model_output(const volley_model *m, size_t index)
{
    return index < volley_model_n_outputs(m) ? &m->outputs[index] : NULL;
}

const char *volley_model_task(const volley_model *m)
{
    return m->servable->decoder.name;
}

const char *volley_model_class_name(const volley_model *m, int32_t class_id)
{
    if (class_id < 0 || (size_t)class_id >= m->servable->decoder.labels.count)
        return NULL;
    return m->class_names[class_id];
}

/* ---- sessions ----------------------------------------------------------------------------- */

static vly_status open_session(volley_session *s, const volley_session_options *options,
                               vly_err *err)
{
    unsigned n_threads =
        options != NULL && options->n_threads != 0 ? options->n_threads : vly_core_count();
    if (options != NULL && options->max_picture_bytes != 0)
        s->limits.max_bytes = options->max_picture_bytes;
    if (options != NULL && options->max_pixels != 0)
        s->limits.max_pixels = options->max_pixels;
    s->inputs = vly_calloc(VLY_MEM_MODEL, s->info->n_inputs, sizeof(*s->inputs));
    s->outputs = vly_calloc(VLY_MEM_MODEL, s->info->n_outputs, sizeof(*s->outputs));
    if (s->inputs == NULL || s->outputs == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for a session");
    vly_status st = VLY_OK;
    if (n_threads > 1) /* the calling thread takes part */
        st = vly_worker_pool_new(n_threads - 1, 1, &s->pool, err);
    return st == VLY_OK ? vly_instance_new(s->model, s->pool, &s->instance, err) : st;
}

int volley_session_new(volley_model *model, const volley_session_options *options,
                       volley_session **ret, volley_error *error)
{
    volley_session *s = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*s));
    vly_err err = VLY_ERR_INIT;

    if (s == NULL)
        return report(vly_fail(&err, VLY_ENOMEM, "out of memory"), &err, error);
    s->servable = vly_servable_ref(model->servable);
    s->model = s->servable->model;
    s->info = s->servable->info;
    s->limits = (vly_picture_limits)VLY_PICTURE_LIMITS_INIT;
    vly_arena_init(&s->arena, VLY_MEM_MODEL, 1 << 16, RESULT_BYTES_MAX);
    vly_status st = open_session(s, options, &err);
    if (st == VLY_OK)
        *ret = s;
    else
        volley_session_free(s);
    return report(st, &err, error);
}

static void release_outputs(volley_session *s)
{
    for (size_t i = 0; s->outputs != NULL && i < s->info->n_outputs; i++)
        vly_tensor_release(&s->outputs[i]);
}

void volley_session_free(volley_session *s)
{
    if (s == NULL)
        return;
    release_outputs(s);
    vly_vision_free(s->vision);
    vly_instance_free(s->instance);
    vly_worker_pool_free(s->pool);
    vly_servable_unref(s->servable);
    vly_arena_release(&s->arena);
    vly_free(s->inputs);
    vly_free(s->outputs);
    vly_free(s);
}

static vly_status take_input(const volley_tensor *t, const char *name, vly_tensor *ret,
                             vly_err *err)
{
    vly_shape shape = {.rank = t->rank};
    size_t bytes;

    if (!vly_dtype_valid(t->dtype) || t->dtype == VLY_DTYPE_STRING || t->rank < 0 ||
        t->rank > VLY_RANK_MAX || (t->data == NULL && t->bytes > 0))
        return vly_fail(err, VLY_EINVAL, "input '%s': bad dtype, rank or data", name);
    memcpy(shape.dim, t->dim, sizeof(shape.dim));
    if (!vly_shape_bytes(&shape, (vly_dtype)t->dtype, &bytes) || bytes != t->bytes)
        return vly_fail(err, VLY_EINVAL, "input '%s': bytes do not agree with dtype and dim", name);
    *ret = vly_tensor_borrow((vly_dtype)t->dtype, &shape, t->data);
    return VLY_OK;
}

static void give_output(const vly_tensor *t, volley_tensor *ret)
{
    *ret = (volley_tensor){
        .dtype = (int)t->dtype, .rank = t->shape.rank, .data = t->data, .bytes = t->bytes};
    memcpy(ret->dim, t->shape.dim, sizeof(ret->dim));
}

int volley_session_run(volley_session *s, const volley_tensor *inputs, volley_tensor *outputs,
                       volley_error *error)
{
    vly_err err = VLY_ERR_INIT;
    vly_status st = VLY_OK;

    release_outputs(s);
    for (size_t i = 0; i < s->info->n_inputs && st == VLY_OK; i++)
        st = take_input(&inputs[i], s->info->inputs[i].name, &s->inputs[i], &err);
    if (st == VLY_OK)
        st = vly_instance_run(s->instance, s->inputs, s->outputs, &err);
    for (size_t i = 0; i < s->info->n_outputs && st == VLY_OK; i++)
        give_output(&s->outputs[i], &outputs[i]);
    return report(st, &err, error);
}

/* ---- detection ---------------------------------------------------------------------------- */

static const char *class_name(volley_session *s, int32_t class_id)
{
    const vly_labels *labels = &s->servable->decoder.labels;

    if (class_id < 0 || (size_t)class_id >= labels->count || labels->names[class_id].len == 0)
        return NULL;
    return vly_arena_strdup(&s->arena, labels->names[class_id]);
}

static bool give_keypoints(volley_session *s, const vly_detection *from, volley_detection *to)
{
    volley_keypoint *points = vly_arena_calloc(&s->arena, from->n_keypoints, sizeof(*points));

    if (points == NULL)
        return false;
    for (size_t i = 0; i < from->n_keypoints; i++)
        points[i] =
            (volley_keypoint){from->keypoints[i].x, from->keypoints[i].y, from->keypoints[i].conf};
    to->keypoints = points;
    to->n_keypoints = from->n_keypoints;
    return true;
}

static vly_status give_detections(volley_session *s, const vly_observations *o,
                                  volley_detections *ret, vly_err *err)
{
    size_t n = o->n_detections + o->n_classes; /* one of the two is 0 */
    volley_detection *items = vly_arena_calloc(&s->arena, n, sizeof(*items));
    bool ok = items != NULL;

    for (size_t i = 0; i < o->n_detections && ok; i++) {
        const vly_detection *d = &o->detections[i];
        items[i] = (volley_detection){d->class_id,
                                      d->confidence,
                                      d->bbox[0],
                                      d->bbox[1],
                                      d->bbox[2],
                                      d->bbox[3],
                                      class_name(s, d->class_id),
                                      NULL,
                                      0};
        ok = give_keypoints(s, d, &items[i]);
    }
    for (size_t i = 0; i < o->n_classes && ok; i++)
        items[i] = (volley_detection){.class_id = o->classes[i].class_id,
                                      .confidence = o->classes[i].confidence,
                                      .x2 = (float)o->width,
                                      .y2 = (float)o->height,
                                      .class_name = class_name(s, o->classes[i].class_id)};
    if (!ok)
        return vly_fail(err, VLY_ENOMEM, "out of memory for %zu detections", n);
    *ret = (volley_detections){o->width, o->height, n, items};
    return VLY_OK;
}

int volley_session_detect(volley_session *s, const void *bytes, size_t len,
                          const volley_detect_options *options, volley_detections *ret,
                          volley_error *error)
{
    vly_detector_options detector = VLY_DETECTOR_OPTIONS_INIT;
    vly_observations seen;
    vly_err err = VLY_ERR_INIT;
    vly_status st = VLY_OK;

    if (options != NULL) {
        detector.conf_threshold = options->confidence;
        detector.iou_threshold = options->iou;
        detector.max_detections = options->max_detections;
    }
    vly_arena_reset(&s->arena);
    st = vly_detector_options_check(&detector, &err);
    if (st == VLY_OK && s->vision == NULL)
        st = vly_vision_new(s->servable, &s->limits, s->pool, &s->vision, &err);
    if (st == VLY_OK)
        st = vly_vision_run(s->vision, bytes, len, &detector, &s->arena, &seen, NULL, NULL, &err);
    if (st == VLY_OK)
        st = give_detections(s, &seen, ret, &err);
    return report(st, &err, error);
}

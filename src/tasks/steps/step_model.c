/* SPDX-License-Identifier: MIT */
#include "tasks/steps/step_model.h"

#include "base/assert.h"
#include "base/fnv1a.h"
#include "base/mem.h"
#include "prep/imu/imu_features.h"
#include "sys/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)64 << 20)

extern const char vly_steps_onnx[]; /* models/steps/steps.onnx */
extern const size_t vly_steps_onnx_len;

/* ---- metadata ----------------------------------------------------------------------------- */

typedef enum field_kind {
    SHARE,    /* float */
    COUNT,    /* unsigned */
    READINGS, /* uint16_t */
    DURATION, /* uint16_t, readings; ms in the file */
} field_kind;

typedef struct field {
    const char *name; /* after "volley.steps." */
    field_kind kind;
    size_t offset;
    double least, most;
    bool is_optional; /* 0 when absent */
} field;

#define FIELD(kind_, member, name_, least_, most_, is_optional_)                                   \
    {                                                                                              \
        .name = (name_), .kind = (kind_), .offset = offsetof(vly_step_model, member),              \
        .least = (least_), .most = (most_), .is_optional = (is_optional_)                          \
    }

/* rate_hz before durations */
static const field fields[VLY_STEP_PROPERTIES] = {
    FIELD(COUNT, features, "features", VLY_IMU_FEATURES_VERSION, VLY_IMU_FEATURES_VERSION, false),
    FIELD(COUNT, rate_hz, "rate_hz", VLY_IMU_FEATURES_RATE_HZ, VLY_IMU_FEATURES_RATE_HZ, false),
    FIELD(COUNT, hop, "hop", 1, VLY_STEP_HOP_MAX, false),
    FIELD(COUNT, delay, "delay", 0, 10 * VLY_IMU_FEATURES_RATE_HZ, false),
    FIELD(READINGS, rule.smooth, "smooth", 0, VLY_STEP_SMOOTH_MAX, true),
    FIELD(READINGS, rule.confirm, "confirm", 1, VLY_STEP_CONFIRM_MAX, false),
    FIELD(SHARE, rule.threshold_first, "threshold_first", 0, 1, false),
    FIELD(SHARE, rule.threshold_early, "threshold_early", 0, 1, false),
    FIELD(SHARE, rule.threshold_due, "threshold_due", 0, 1, false),
    FIELD(SHARE, rule.threshold_missed, "threshold_missed", 0, 1, true),
    FIELD(SHARE, rule.share, "share", 0, 1, false),
    FIELD(SHARE, rule.standing_max, "standing_max", 0, 1, true),
    FIELD(DURATION, rule.fall_from, "fall_from_ms", 0, 10000, false),
    FIELD(DURATION, rule.fall_to, "fall_to_ms", 0, 10000, false),
    FIELD(DURATION, rule.min_gap, "min_gap_ms", 0, 10000, false),
    FIELD(DURATION, rule.max_step, "max_step_ms", 0, 10000, false),
    FIELD(DURATION, rule.missed_step, "missed_step_ms", 0, 10000, true),
    FIELD(DURATION, rule.missed_gap, "missed_gap_ms", 0, 10000, true),
};

static vly_status set_field(vly_step_model *m, const field *f, double value, vly_err *err)
{
    char *to = (char *)m + f->offset;

    if (f->kind == DURATION)
        value = floor(value * m->rate_hz / 1000 + 0.5);
    if (f->kind != SHARE && value != floor(value))
        return vly_fail(err, VLY_EFORMAT, "metadata 'volley.steps.%s': expected a whole number",
                        f->name);
    if (f->kind == SHARE)
        *(float *)(void *)to = (float)value;
    else if (f->kind == COUNT)
        *(unsigned *)(void *)to = (unsigned)value;
    else
        *(uint16_t *)(void *)to = (uint16_t)value;
    return VLY_OK;
}

static double get_field(const vly_step_model *m, const field *f)
{
    const char *from = (const char *)m + f->offset;

    if (f->kind == SHARE)
        return (double)*(const float *)(const void *)from;
    if (f->kind == COUNT)
        return *(const unsigned *)(const void *)from;
    unsigned readings = *(const uint16_t *)(const void *)from;
    return f->kind == DURATION ? readings * 1000.0 / m->rate_hz : readings;
}

static vly_str find(const vly_step_model *m, const char *key)
{
    const vly_model_info *info = vly_model_describe(m->model);

    for (size_t i = 0; i < info->n_properties; i++)
        if (vly_str_is(info->properties[i].key, key))
            return info->properties[i].value;
    return (vly_str){NULL, 0};
}

static vly_status read_field(vly_step_model *m, const field *f, vly_err *err)
{
    char key[64];
    double value;

    snprintf(key, sizeof(key), "volley.steps.%s", f->name);
    vly_str text = find(m, key);
    if (text.ptr == NULL)
        return f->is_optional
                   ? VLY_OK
                   : vly_fail(err, VLY_EFORMAT, "not a step model: metadata has no '%s'", key);
    if (!vly_str_to_f64(text, &value) || !(value >= f->least) || !(value <= f->most))
        return vly_fail(err, VLY_EFORMAT,
                        "metadata '%s': expected a number of %g to %g, got '%.*s'", key, f->least,
                        f->most, VLY_STR_ARG(text));
    return set_field(m, f, value, err);
}

static vly_status read_metadata(vly_step_model *m, vly_err *err)
{
    vly_str task = find(m, "volley.task");
    vly_status st = VLY_OK;

    if (task.ptr == NULL)
        return vly_fail(err, VLY_EFORMAT, "not a step model: metadata has no 'volley.task'");
    if (!vly_str_is(task, "steps"))
        return vly_fail(err, VLY_EFORMAT, "not a step model: metadata 'volley.task' is '%.*s'",
                        VLY_STR_ARG(task));
    for (size_t i = 0; i < VLY_STEP_PROPERTIES && st == VLY_OK; i++)
        st = read_field(m, &fields[i], err);
    if (st == VLY_OK && m->rule.fall_from > m->rule.fall_to)
        st = vly_fail(err, VLY_EFORMAT,
                      "metadata: 'volley.steps.fall_from_ms' is after 'fall_to_ms'");
    return st;
}

void vly_step_model_properties(const vly_step_model *m, vly_step_property ret[VLY_STEP_PROPERTIES])
{
    for (size_t i = 0; i < VLY_STEP_PROPERTIES; i++) {
        snprintf(ret[i].key, sizeof(ret[i].key), "volley.steps.%s", fields[i].name);
        snprintf(ret[i].value, sizeof(ret[i].value), "%.9g", get_field(m, &fields[i]));
    }
}

/* ---- graph -------------------------------------------------------------------------------- */

/* [?, ?, width], or [?, ?, ?] with width < 0. */
static vly_status check_io(const vly_model_io *io, const char *name, int64_t width, vly_err *err)
{
    char text[VLY_SHAPE_TEXT_MAX];

    if (strcmp(io->name, name) != 0)
        return vly_fail(err, VLY_EFORMAT, "not a step model: expected '%s', got '%s'", name,
                        io->name);
    if (io->dtype != VLY_DTYPE_F32 || !io->has_shape || io->shape.rank != 3 ||
        (width >= 0 && io->shape.dim[2] != width))
        return vly_fail(err, VLY_EFORMAT,
                        "step model: '%s': expected float [., ., %" PRId64 "], got %s", name, width,
                        io->has_shape ? vly_shape_text(&io->shape, text) : "no shape");
    return VLY_OK;
}

static vly_status read_graph(vly_step_model *m, vly_err *err)
{
    const vly_model_info *info = vly_model_describe(m->model);

    if (info->n_inputs != 2 || info->n_outputs != 3)
        return vly_fail(err, VLY_EFORMAT,
                        "not a step model: expected 2 inputs and 3 outputs, got %zu and %zu",
                        info->n_inputs, info->n_outputs);
    vly_status st = check_io(&info->inputs[0], "frames", vly_step_model_width(m), err);
    if (st == VLY_OK)
        st = check_io(&info->inputs[1], "state", -1, err);
    if (st == VLY_OK)
        st = check_io(&info->outputs[0], "events", (int64_t)m->hop * 2, err);
    if (st == VLY_OK)
        st = check_io(&info->outputs[1], "activity", VLY_ACTIVITIES, err);
    if (st == VLY_OK)
        st = check_io(&info->outputs[2], "state_out", info->inputs[1].shape.dim[2], err);
    if (st != VLY_OK)
        return st;
    int64_t layers = info->inputs[1].shape.dim[0], hidden = info->inputs[1].shape.dim[2];
    if (layers < 1 || hidden < 1 || layers > VLY_STEP_HIDDEN_MAX || hidden > VLY_STEP_HIDDEN_MAX ||
        layers * hidden > VLY_STEP_HIDDEN_MAX)
        return vly_fail(err, VLY_EFORMAT,
                        "step model: 'state': expected layers * hidden of 1 to %d, got %" PRId64
                        " * %" PRId64,
                        VLY_STEP_HIDDEN_MAX, layers, hidden);
    m->n_layers = (unsigned)layers;
    m->n_hidden = (unsigned)hidden;
    return VLY_OK;
}

unsigned vly_step_model_width(const vly_step_model *m)
{
    return m->hop * VLY_IMU_FEATURES + 1;
}

/* ---- load --------------------------------------------------------------------------------- */

/* From an event to the latest frame that it may need. An end is told for the reading before its
 * peak, and the vertex may lie half a reading off. */
static int64_t delay_us(const vly_step_model *m, unsigned confirm)
{
    unsigned readings = m->delay + m->rule.smooth + confirm + m->hop - 1;
    return (int64_t)(2 * readings + 3) * 500000 / m->rate_hz;
}

static int64_t delay_ms(const vly_step_model *m, unsigned confirm)
{
    return (delay_us(m, confirm) + 999) / 1000;
}

static vly_status set_look_ahead(vly_step_model *m, int64_t look_ahead_ms, vly_err *err)
{
    if (look_ahead_ms < delay_ms(m, 1))
        return vly_fail(err, VLY_EINVAL,
                        "look-ahead: expected at least %" PRId64 " ms, of which the net takes %u, "
                        "or -1 for the model's own; got %" PRId64,
                        delay_ms(m, 1), m->delay * 1000 / m->rate_hz, look_ahead_ms);
    while (delay_ms(m, m->rule.confirm) > look_ahead_ms)
        m->rule.confirm--;
    return VLY_OK;
}

static vly_status load(vly_step_model *m, const void *bytes, size_t n, int64_t look_ahead_ms,
                       vly_err *err)
{
    /* The same bits whatever the CPU multiplies fastest. */
    vly_model_options options = VLY_MODEL_OPTIONS_DEFAULT;

    options.precision = VLY_PRECISION_FP32;
    m->tag = vly_fnv1a(VLY_FNV1A, bytes, n);
    vly_status st = vly_model_load_bytes(bytes, n, &options, &m->model, err);
    if (st == VLY_OK)
        st = read_metadata(m, err);
    if (st == VLY_OK)
        st = read_graph(m, err);
    return st == VLY_OK && look_ahead_ms != -1 ? set_look_ahead(m, look_ahead_ms, err) : st;
}

vly_status vly_step_model_load_bytes(const void *bytes, size_t n, int64_t look_ahead_ms,
                                     vly_step_model **ret, vly_err *err)
{
    vly_step_model *m = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*m));

    if (m == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the step model");
    m->n_refs = 1;
    snprintf(m->name, sizeof(m->name), "steps");
    vly_status st = load(m, bytes, n, look_ahead_ms, err);
    if (st != VLY_OK) {
        vly_step_model_unref(m);
        return st;
    }
    *ret = m;
    return VLY_OK;
}

vly_status vly_step_model_variant(const vly_step_model *m, int64_t look_ahead_ms,
                                  vly_step_model **ret, vly_err *err)
{
    vly_step_model *v = vly_calloc(VLY_MEM_MODEL, 1, sizeof(*v));

    if (v == NULL)
        return vly_fail(err, VLY_ENOMEM, "out of memory for the step model");
    *v = *m;
    v->n_refs = 1;
    v->model = vly_model_ref(m->model);
    vly_status st = set_look_ahead(v, look_ahead_ms, err);
    if (st != VLY_OK) {
        vly_step_model_unref(v);
        return st;
    }
    *ret = v;
    return VLY_OK;
}

vly_status vly_step_model_load(const char *path, int64_t look_ahead_ms, vly_step_model **ret,
                               vly_err *err)
{
    vly_mmap file;
    vly_step_model *m;

    if (path == NULL)
        return vly_step_model_load_bytes(vly_steps_onnx, vly_steps_onnx_len, look_ahead_ms, ret,
                                         err);
    vly_status st = vly_mmap_read(path, FILE_BYTES_MAX, &file, err);
    if (st != VLY_OK)
        return st;
    st = vly_step_model_load_bytes(file.ptr, file.len, look_ahead_ms, &m, err);
    vly_mmap_close(&file);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "model '%s'", path);
    snprintf(m->name, sizeof(m->name), "%s", path);
    *ret = m;
    return VLY_OK;
}

vly_step_model *vly_step_model_ref(vly_step_model *m)
{
    atomic_fetch_add_explicit(&m->n_refs, 1,
                              memory_order_relaxed); /* the caller's keeps it alive */
    return m;
}

void vly_step_model_unref(vly_step_model *m)
{
    if (m == NULL || atomic_fetch_sub(&m->n_refs, 1) != 1)
        return;
    vly_model_unref(m->model);
    vly_free(m);
}

int64_t vly_step_model_delay_us(const vly_step_model *m)
{
    return delay_us(m, m->rule.confirm);
}

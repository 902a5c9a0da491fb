/* SPDX-License-Identifier: MIT */
#include "sched/step.h"

#include "base/assert.h"

#include <math.h>
#include <string.h>

#define SCRATCH_BYTES ((size_t)64 << 20)

/* ---- descriptions ---- */

static vly_status new_ios(vly_arena *arena, size_t n, vly_model_io **ret, vly_err *err)
{
    *ret = vly_arena_calloc(arena, n, sizeof(**ret));
    return *ret != NULL ? VLY_OK : vly_arena_fail(arena, err);
}

vly_status vly_step__set_io(vly_model_io *io, const char *name, size_t member, vly_dtype dtype,
                            vly_shape shape, vly_arena *arena, vly_err *err)
{
    *io = (vly_model_io){.dtype = dtype, .shape = shape, .has_shape = shape.rank > 0};
    io->name = member == SIZE_MAX ? vly_arena_strdup(arena, vly_str_from(name))
                                  : vly_arena_printf(arena, "%s_%zu", name, member);
    return io->name != NULL ? VLY_OK : vly_arena_fail(arena, err);
}

/* ---- box_fusion ---- */

enum { BOXES, SCORES, LABELS, N_PARTS };

static vly_status set_parts(vly_model_io *ios, size_t member, vly_arena *arena, vly_err *err)
{
    const vly_shape boxes = VLY_SHAPE(VLY_DIM_UNKNOWN, 4), list = VLY_SHAPE(VLY_DIM_UNKNOWN);
    vly_status st =
        vly_step__set_io(&ios[BOXES], "boxes", member, VLY_DTYPE_F32, boxes, arena, err);

    if (st == VLY_OK)
        st = vly_step__set_io(&ios[SCORES], "scores", member, VLY_DTYPE_F32, list, arena, err);
    if (st == VLY_OK)
        st = vly_step__set_io(&ios[LABELS], "labels", member, VLY_DTYPE_I32, list, arena, err);
    return st;
}

static vly_status describe_fusion(vly_step *s, vly_arena *arena, vly_err *err)
{
    vly_model_io *inputs, *outputs;
    vly_status st = new_ios(arena, s->n_members * N_PARTS, &inputs, err);

    if (st == VLY_OK)
        st = new_ios(arena, N_PARTS, &outputs, err);
    for (size_t m = 0; m < s->n_members && st == VLY_OK; m++)
        st = set_parts(&inputs[m * N_PARTS], m, arena, err);
    if (st == VLY_OK)
        st = set_parts(outputs, SIZE_MAX, arena, err);
    if (st != VLY_OK)
        return st;
    s->info.n_inputs = s->n_members * N_PARTS;
    s->info.inputs = inputs;
    s->info.n_outputs = N_PARTS;
    s->info.outputs = outputs;
    return VLY_OK;
}

static vly_status open_member(const vly_step *s, size_t m, const vly_tensor *parts,
                              vly_fusion_member *ret, vly_err *err)
{
    size_t n = (size_t)vly_tensor_count(&parts[SCORES]);

    if (vly_tensor_count(&parts[BOXES]) != (uint64_t)n * 4 || vly_tensor_count(&parts[LABELS]) != n)
        return vly_fail(err, VLY_EINVAL,
                        "boxes_%zu, scores_%zu, labels_%zu: expected [n, 4], [n] and [n] of one n",
                        m, m, m);
    *ret = (vly_fusion_member){.boxes = parts[BOXES].data,
                               .scores = parts[SCORES].data,
                               .labels = parts[LABELS].data,
                               .n = n,
                               .weight = s->weights[m]};
    return VLY_OK;
}

static vly_status new_parts(size_t n, vly_tensor *ret, vly_err *err)
{
    const vly_shape boxes = VLY_SHAPE((int64_t)n, 4), list = VLY_SHAPE((int64_t)n);
    vly_tensor t[N_PARTS] = {{.data = NULL}};
    vly_status st = vly_tensor_new(VLY_DTYPE_F32, &boxes, &t[BOXES], err);

    if (st == VLY_OK)
        st = vly_tensor_new(VLY_DTYPE_F32, &list, &t[SCORES], err);
    if (st == VLY_OK)
        st = vly_tensor_new(VLY_DTYPE_I32, &list, &t[LABELS], err);
    for (int i = 0; i < N_PARTS; i++) {
        if (st == VLY_OK)
            ret[i] = t[i];
        else
            vly_tensor_release(&t[i]);
    }
    return st;
}

static vly_status run_fusion(const vly_step *s, const vly_picture_limits *limits,
                             const vly_tensor *inputs, vly_tensor *outputs, vly_err *err)
{
    vly_fusion_member members[VLY_FUSION_MEMBERS_MAX];
    vly_fused_box *fused = NULL;
    vly_status st = VLY_OK;
    vly_arena arena;
    size_t n = 0;

    (void)limits;
    for (size_t m = 0; m < s->n_members && st == VLY_OK; m++)
        st = open_member(s, m, &inputs[m * N_PARTS], &members[m], err);
    if (st != VLY_OK)
        return st;
    vly_arena_init(&arena, VLY_MEM_SCHED, 1 << 16, SCRATCH_BYTES);
    st = vly_fuse_boxes(members, s->n_members, &s->fusion, &arena, &fused, &n, err);
    if (st == VLY_OK)
        st = new_parts(n, outputs, err);
    for (size_t i = 0; i < n && st == VLY_OK; i++) {
        memcpy((float *)outputs[BOXES].data + i * 4, fused[i].box, sizeof(fused[i].box));
        ((float *)outputs[SCORES].data)[i] = fused[i].score;
        ((int32_t *)outputs[LABELS].data)[i] = fused[i].label;
    }
    vly_arena_release(&arena);
    return st;
}

/* ---- vote ---- */

static vly_status describe_vote(vly_step *s, vly_arena *arena, vly_err *err)
{
    vly_model_io *inputs, *output;
    vly_status st = new_ios(arena, s->n_members, &inputs, err);

    if (st == VLY_OK)
        st = new_ios(arena, 1, &output, err);
    for (size_t m = 0; m < s->n_members && st == VLY_OK; m++)
        st = vly_step__set_io(&inputs[m], "scores", m, VLY_DTYPE_F32, VLY_SHAPE_SCALAR, arena, err);
    if (st == VLY_OK)
        st = vly_step__set_io(output, "scores", SIZE_MAX, VLY_DTYPE_F32, VLY_SHAPE_SCALAR, arena,
                              err);
    if (st != VLY_OK)
        return st;
    s->info.n_inputs = s->n_members;
    s->info.inputs = inputs;
    s->info.n_outputs = 1;
    s->info.outputs = output;
    return VLY_OK;
}

static vly_status run_vote(const vly_step *s, const vly_picture_limits *limits,
                           const vly_tensor *inputs, vly_tensor *outputs, vly_err *err)
{
    const float *scores[VLY_FUSION_MEMBERS_MAX];

    (void)limits;
    for (size_t m = 0; m < s->n_members; m++) {
        if (!vly_shape_eq(&inputs[m].shape, &inputs[0].shape))
            return vly_fail(err, VLY_EINVAL, "scores_%zu: expected the shape of scores_0", m);
        scores[m] = inputs[m].data;
    }
    vly_status st = vly_tensor_new(VLY_DTYPE_F32, &inputs[0].shape, &outputs[0], err);
    if (st == VLY_OK)
        vly_vote(scores, s->weights, s->n_members, (size_t)vly_tensor_count(&inputs[0]),
                 outputs[0].data);
    return st;
}

static const vly_step_kind fusion = {"box_fusion", describe_fusion, NULL, run_fusion};
static const vly_step_kind vote = {"vote", describe_vote, NULL, run_vote};

static const vly_step_kind *const kinds[] = {&fusion, &vly_step_picture, &vote};

/* ---- parameters ---- */

vly_status vly_step__fail_param(vly_err *err, const char *key, const char *want, vly_str got)
{
    return vly_fail(err, VLY_EINVAL, "parameter '%s': expected %s, got '%.*s'", key, want,
                    VLY_STR_ARG(got));
}

/* ret keeps its value when the parameter is not given. */
static vly_status read_number(const vly_triton_config *c, const char *key, float lo, float hi,
                              float *ret, vly_err *err)
{
    vly_str text = vly_triton_config_param(c, key);
    double v;

    if (text.ptr == NULL)
        return VLY_OK;
    if (!vly_str_to_f64(vly_str_trim(text), &v) || !(v >= (double)lo && v <= (double)hi))
        return vly_step__fail_param(err, key, "a number from 0 to 1", text);
    *ret = (float)v;
    return VLY_OK;
}

static vly_status read_weights(vly_step *s, vly_str text, vly_err *err)
{
    vly_str rest = text;

    while (rest.ptr != NULL) {
        double v;
        if (s->n_members == VLY_FUSION_MEMBERS_MAX ||
            !vly_str_to_f64(vly_str_trim(vly_str_split(&rest, ',')), &v) || !isfinite(v) ||
            !((float)v > 0))
            return vly_step__fail_param(err, "weights",
                                        "1 to 64 numbers above 0, with commas between", text);
        s->weights[s->n_members++] = (float)v;
    }
    return VLY_OK;
}

static vly_status read_members(vly_step *s, const vly_triton_config *c, vly_err *err)
{
    vly_str weights = vly_triton_config_param(c, "weights");
    vly_str members = vly_triton_config_param(c, "members");
    int64_t n = 2;

    if (members.ptr != NULL &&
        (!vly_str_to_i64(members, &n) || n < 1 || n > VLY_FUSION_MEMBERS_MAX))
        return vly_step__fail_param(err, "members", "1 to 64", members);
    if (weights.ptr != NULL) {
        vly_status st = read_weights(s, weights, err);
        if (st == VLY_OK && members.ptr != NULL && s->n_members != (size_t)n)
            st = vly_step__fail_param(err, "weights", "one for each of 'members'", weights);
        return st;
    }
    s->n_members = (size_t)n;
    for (size_t m = 0; m < s->n_members; m++)
        s->weights[m] = 1;
    return VLY_OK;
}

static vly_status read_params(vly_step *s, const vly_triton_config *c, vly_err *err)
{
    vly_str conf = vly_triton_config_param(c, "conf_type");
    vly_status st = read_members(s, c, err);

    if (st == VLY_OK)
        st = read_number(c, "iou_threshold", 0, 1, &s->fusion.iou_threshold, err);
    if (st == VLY_OK)
        st = read_number(c, "skip_box_threshold", 0, 1, &s->fusion.skip_box_threshold, err);
    if (st == VLY_OK && conf.ptr != NULL) {
        st = vly_fusion_conf_parse(conf, &s->fusion.conf, err);
        if (st != VLY_OK)
            vly_fail_in(err, st, "parameter 'conf_type'");
    }
    return st;
}

bool vly_step_is(const vly_triton_config *config)
{
    return config != NULL && vly_str_is(config->backend, "volley");
}

static const vly_step_kind *find_kind(vly_str name)
{
    for (size_t i = 0; i < VLY_COUNT(kinds); i++)
        if (vly_str_is(name, kinds[i]->name))
            return kinds[i];
    return NULL;
}

vly_status vly_step_make(const char *name, const vly_triton_config *config, vly_arena *arena,
                         const vly_step **ret, vly_err *err)
{
    vly_str kind = vly_triton_config_param(config, "step");
    vly_step *s = vly_arena_calloc(arena, 1, sizeof(*s));
    vly_status st = VLY_OK;

    if (s == NULL)
        return vly_arena_fail(arena, err);
    *s = (vly_step){.kind = find_kind(kind), .fusion = VLY_FUSION_OPTS_INIT};
    s->info.name = name;
    s->info.producer = "volley";
    if (s->kind == NULL)
        st = vly_step__fail_param(err, "step", "box_fusion, picture or vote", kind);
    if (st == VLY_OK)
        st = s->kind->configure != NULL ? s->kind->configure(s, config, err)
                                        : read_params(s, config, err);
    if (st == VLY_OK)
        st = s->kind->describe(s, arena, err);
    if (st != VLY_OK)
        return vly_fail_in(err, st, "model '%s'", name);
    *ret = s;
    return VLY_OK;
}

vly_status vly_step_run(const vly_step *s, const vly_picture_limits *limits,
                        const vly_tensor *inputs, vly_tensor *outputs, vly_err *err)
{
    for (size_t i = 0; i < s->info.n_inputs; i++) {
        const vly_model_io *io = &s->info.inputs[i];
        if (inputs[i].dtype != io->dtype)
            return vly_fail(err, VLY_EINVAL, "input '%s': expected %s, got %s", io->name,
                            vly_dtype_name(io->dtype), vly_dtype_name(inputs[i].dtype));
    }
    return s->kind->run(s, limits, inputs, outputs, err);
}

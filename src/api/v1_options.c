/* SPDX-License-Identifier: MIT */
#include "api/v1_options.h"

#include "api/infer.h"

#include <stdint.h>

#define CLASSES_MAX 1024

vly_status vly_v1_param(const vly_v1_params *p, const char *name, vly_str *ret, bool *ret_is_set,
                        vly_err *err)
{
    vly_status st = vly_http_msg_query(p->msg, name, ret);

    *ret_is_set = true;
    if (st == VLY_OK)
        return VLY_OK;
    if (st != VLY_ENOTFOUND)
        return vly_fail(err, st == VLY_EFORMAT ? VLY_EINVAL : st, "'%s': %s in the query", name,
                        st == VLY_EFORMAT ? "a bad escape" : vly_status_text(st));
    for (size_t i = 0; i < p->n_parts; i++) {
        if (p->parts[i].filename.ptr == NULL && vly_str_is(p->parts[i].name, name)) {
            *ret = p->parts[i].data;
            return VLY_OK;
        }
    }
    *ret_is_set = false;
    return VLY_OK;
}

bool vly_v1_takes_pictures(const vly_served *m)
{
    return m->servable != NULL && m->servable->decoder.kind != VLY_TASK_TENSOR &&
           m->servable->decoder.input_channels > 0;
}

/* The one model that takes pictures, of several versions the highest. */
static vly_status only_model(const vly_api *api, vly_served **ret, vly_err *err)
{
    vly_model_set *set = vly_scheduler_models(api->scheduler);
    vly_served *found = NULL;
    vly_status st = VLY_OK;

    for (size_t i = 0; i < set->n && st == VLY_OK; i++) {
        vly_served *m = set->models[i];
        if (!vly_v1_takes_pictures(m))
            continue;
        if (found != NULL && strcmp(found->name, m->name) != 0)
            st = vly_fail(err, VLY_EINVAL,
                          "'model': several models take pictures ('%s', '%s', ...); name one",
                          found->name, m->name);
        found = m;
    }
    if (st == VLY_OK && found == NULL)
        st = vly_fail(err, VLY_ENOTFOUND, "no model that takes pictures is served");
    if (st == VLY_OK)
        *ret = vly_served_ref(found);
    vly_model_set_unref(set);
    return st;
}

static vly_status check_takes_pictures(const vly_served *m, vly_err *err)
{
    if (vly_v1_takes_pictures(m))
        return VLY_OK;
    return vly_fail(err, VLY_EINVAL,
                    "model '%s' takes no pictures (its task is '%s'); send it tensors", m->name,
                    m->servable->decoder.name);
}

/* Only below /v2 do clients look for Triton's words. */
static vly_status in_words(vly_status st, vly_str name, vly_err *err)
{
    if (st != VLY_ENOTFOUND)
        return st;
    return vly_fail(err, st, "model '%.*s' is not served", VLY_STR_ARG(name));
}

vly_status vly_v1_model(const vly_api *api, const vly_v1_params *p, vly_served **ret, vly_err *err)
{
    vly_served *m = NULL;
    vly_str name;
    bool is_set;
    vly_status st = vly_v1_param(p, "model", &name, &is_set, err);

    if (st != VLY_OK)
        return st;
    if (!is_set)
        return only_model(api, ret, err);
    st = in_words(vly_infer_find(api, name, VLY_STR(""), &m, err), name, err);
    if (st == VLY_OK)
        st = check_takes_pictures(m, err);
    if (st == VLY_OK)
        *ret = m;
    else
        vly_served_unref(m);
    return st;
}

vly_status vly_v1_pick(const vly_api *api, const vly_v1_params *p, vly_route_pick *ret,
                       vly_err *err)
{
    vly_route_pick pick = {.model = NULL};
    vly_str name;
    bool is_set;
    vly_status st = vly_v1_param(p, "model", &name, &is_set, err);

    if (st == VLY_OK && !is_set)
        st = only_model(api, &pick.model, err);
    else if (st == VLY_OK)
        st = in_words(vly_infer_pick(api, name, VLY_STR(""), vly_infer_session(p->msg), &pick, err),
                      name, err);
    if (st == VLY_OK)
        st = check_takes_pictures(pick.model, err);
    if (st != VLY_OK && pick.arm != NULL) {
        vly_nsec now = vly_clock_now();
        vly_route_arm_count(pick.arm, now, st, false, now);
    }
    if (st == VLY_OK)
        *ret = pick;
    else
        vly_route_pick_release(&pick);
    return st;
}

static vly_status read_float(const vly_v1_params *p, const char *name, float *ret, vly_err *err)
{
    vly_str text;
    double v;
    bool is_set;
    vly_status st = vly_v1_param(p, name, &text, &is_set, err);

    if (st != VLY_OK || !is_set)
        return st;
    if (!vly_str_to_f64(text, &v) || !(v >= 0 && v <= 1))
        return vly_fail(err, VLY_EINVAL, "'%s': expected a number from 0 to 1, got '%.*s'", name,
                        VLY_STR_ARG(text));
    *ret = (float)v;
    return VLY_OK;
}

static vly_status read_max(const vly_v1_params *p, uint32_t *ret, vly_err *err)
{
    vly_str text;
    uint64_t v;
    bool is_set;
    vly_status st = vly_v1_param(p, "max", &text, &is_set, err);

    if (st != VLY_OK || !is_set)
        return st;
    if (!vly_str_to_u64(text, &v) || v < 1 || v > VLY_NMS_CANDIDATES_MAX)
        return vly_fail(err, VLY_EINVAL, "'max': expected a number from 1 to %d, got '%.*s'",
                        VLY_NMS_CANDIDATES_MAX, VLY_STR_ARG(text));
    *ret = (uint32_t)v;
    return VLY_OK;
}

static vly_status read_classes(const vly_v1_params *p, const vly_labels *labels,
                               vly_detector_options *o, vly_err *err)
{
    vly_str list;
    bool is_set;
    vly_status st = vly_v1_param(p, "classes", &list, &is_set, err);

    if (st != VLY_OK || !is_set)
        return st;
    int32_t *classes = vly_arena_calloc(&p->msg->arena, CLASSES_MAX, sizeof(*classes));
    if (classes == NULL)
        return vly_fail(err, VLY_ELIMIT, "'classes': out of scratch memory");
    o->classes = classes;
    st = vly_label_list(labels, list, classes, CLASSES_MAX, &o->n_classes, err);
    return st == VLY_OK ? st : vly_fail_in(err, st, "'classes'");
}

vly_status vly_v1_options(const vly_v1_params *p, const vly_labels *labels,
                          vly_detector_options *ret, vly_err *err)
{
    vly_detector_options o = VLY_DETECTOR_OPTIONS_INIT;
    vly_status st = read_float(p, "confidence", &o.conf_threshold, err);

    if (st == VLY_OK)
        st = read_float(p, "iou", &o.iou_threshold, err);
    if (st == VLY_OK)
        st = read_max(p, &o.max_detections, err);
    if (st == VLY_OK)
        st = read_classes(p, labels, &o, err);
    if (st == VLY_OK)
        st = vly_detector_options_check(&o, err);
    if (st == VLY_OK)
        *ret = o;
    return st;
}

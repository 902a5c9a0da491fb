/* SPDX-License-Identifier: MIT */
#include "api/detect_answer.h"

#include "tasks/draw.h"
#include "tasks/observation_json.h"

#define JPEG_QUALITY 90

vly_status vly_detect_answer(vly_job *job, const vly_served *m, bool is_drawn, vly_buf *ret,
                             vly_err *err)
{
    const vly_labels *labels = &m->servable->decoder.labels;

    if (is_drawn) {
        vly_draw_observations(&job->pixels, &job->observations, labels);
        return vly_picture_encode_jpeg(&job->pixels, JPEG_QUALITY, ret, err);
    }
    vly_observations_json(ret, &job->observations, labels, vly_str_from(m->name),
                          vly_str_from(m->version));
    return ret->failed ? vly_fail(err, VLY_ENOMEM, "out of memory for the answer") : VLY_OK;
}

static void add_float(vly_cache_hash *h, float v)
{
    vly_cache_hash_str(h, (vly_str){(const char *)&v, sizeof(v)});
}

static void add_options(vly_cache_hash *h, const vly_detector_options *o)
{
    add_float(h, o->conf_threshold);
    add_float(h, o->iou_threshold);
    vly_cache_hash_u64(h, o->max_detections);
    vly_cache_hash_u64(h, o->max_classes);
    vly_cache_hash_u64(h, o->is_multi_label);
    vly_cache_hash_u64(h, o->is_class_agnostic);
    vly_cache_hash_u64(h, o->classes != NULL);
    vly_cache_hash_str(h, (vly_str){(const char *)o->classes, o->n_classes * sizeof(*o->classes)});
}

bool vly_detect_key(const vly_api *api, const vly_served *m, const vly_cache_wish *wish,
                    const vly_detector_options *options, bool is_drawn, vly_str picture,
                    vly_cached_key *ret)
{
    vly_cache_hash h;

    if (!vly_cached_begin_key(api, m, is_drawn ? "drawn" : "observations", wish, &h, ret))
        return false;
    add_options(&h, options);
    vly_cache_hash_str(&h, picture);
    ret->key = vly_cache_hash_end(&h);
    return true;
}

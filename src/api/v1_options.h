/* SPDX-License-Identifier: MIT */
/*
 * What a request for detections may set: model, confidence, iou, max, classes. Each may stand in
 * the query, or in a form field of a multipart body; the query wins.
 */
#ifndef VLY_API_V1_OPTIONS_H
#define VLY_API_V1_OPTIONS_H

#include "api/api.h"
#include "codec/multipart.h"

typedef struct vly_v1_params {
    vly_http_msg *msg;               /* query and arena */
    const vly_multipart_part *parts; /* form fields and files */
    size_t n_parts;
} vly_v1_params;

/* The value of a parameter; false when there is none. EFORMAT, ELIMIT: as vly_http_msg_query. */
vly_status vly_v1_param(const vly_v1_params *p, const char *name, vly_str *ret, bool *ret_is_set,
                        vly_err *err) VLY_MUST_CHECK;

/* A new reference to the model of that name, or the only one that takes pictures. ENOTFOUND;
 * EINVAL: it is not clear which one; EUNAVAILABLE: it could not be loaded. */
vly_status vly_v1_model(const vly_api *api, const vly_v1_params *p, vly_served **ret,
                        vly_err *err) VLY_MUST_CHECK;

/* The same to run it: of a route, the arm that the request's session has. ret is the caller's to
 * release. */
vly_status vly_v1_pick(const vly_api *api, const vly_v1_params *p, vly_route_pick *ret,
                       vly_err *err) VLY_MUST_CHECK;

bool vly_v1_takes_pictures(const vly_served *m);

/* EINVAL names the parameter and what it expected. Classes live in the arena of the message. */
vly_status vly_v1_options(const vly_v1_params *p, const vly_labels *labels,
                          vly_detector_options *ret, vly_err *err) VLY_MUST_CHECK;

#endif

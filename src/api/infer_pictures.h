/* SPDX-License-Identifier: MIT */
/*
 * Encoded pictures (JPEG, PNG, WebP) as BYTES for a model whose input is an image, as OpenVINO
 * Model Server takes them: decoded, and prepared as the model's task wants it. N pictures make a
 * batch of N. Private to infer*.c.
 */
#ifndef VLY_API_INFER_PICTURES_H
#define VLY_API_INFER_PICTURES_H

#include "api/infer.h"

/* Does the request bring pictures? Then it is to be bound on a worker. */
bool vly_infer__has_pictures(const vly_infer *call);

/* bytes: n pictures, each behind its 4-byte length; a single one may come without. *ret gets
 * storage of its own. EINVAL, ELIMIT and the errors of vly_picture_decode, with the place of the
 * picture. */
vly_status vly_infer__read_pictures(const vly_infer *call, const vly_model_io *io, vly_str bytes,
                                    uint64_t n, vly_tensor *ret, vly_err *err) VLY_MUST_CHECK;

#endif

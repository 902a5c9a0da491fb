/* SPDX-License-Identifier: MIT */
/*
 * multipart/form-data (RFC 7578, RFC 2046): splits a whole body into its parts without copying.
 * Outside data: one pass, no allocation, no recursion. Thread: any.
 */
#ifndef VLY_CODEC_MULTIPART_H
#define VLY_CODEC_MULTIPART_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>

#define VLY_MULTIPART_BOUNDARY_MAX 70   /* RFC 2046, 5.1.1 */
#define VLY_MULTIPART_HEADER_MAX   4096 /* bytes of the headers of one part */

/* Views into the body. name and filename stand as sent: escapes are not undone. */
typedef struct vly_multipart_part {
    vly_str name;         /* of the form field; empty: none given */
    vly_str filename;     /* ptr NULL: not a file */
    vly_str content_type; /* empty: none given */
    vly_str data;
} vly_multipart_part;

/* The boundary named by a Content-Type header. EMEDIA: the type is not multipart/form-data;
 * EFORMAT: there is no boundary, or it is longer than RFC 2046 allows. *ret borrows from
 * content_type. */
vly_status vly_multipart_boundary(vly_str content_type, vly_str *ret, vly_err *err) VLY_MUST_CHECK;

/* Fills parts, at most max_parts. boundary: as given by vly_multipart_boundary.
 * EFORMAT: not a multipart body of this boundary, or it ends early; ELIMIT: more parts, or more
 * header bytes in one. */
vly_status vly_multipart_parse(vly_str body, vly_str boundary, vly_multipart_part *parts,
                               size_t max_parts, size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/* A Content-Type in the first line, the body behind it: any bytes, parts that lie inside the body.
 */
#include "base/assert.h"
#include "codec/multipart.h"

#define PARTS_MAX 16

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static void check_view(vly_str view, vly_str body)
{
    if (view.ptr != NULL)
        VLY_ASSERT(view.ptr >= body.ptr && view.len <= body.len &&
                   view.ptr + view.len <= body.ptr + body.len);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_multipart_part parts[PARTS_MAX];
    vly_str body = {(const char *)bytes, n};
    vly_str type = vly_str_split(&body, '\n');
    vly_str boundary;
    size_t n_parts = 0;
    vly_err err;

    if (vly_multipart_boundary(type, &boundary, &err) != VLY_OK)
        return 0;
    VLY_ASSERT(boundary.len > 0 && boundary.len <= VLY_MULTIPART_BOUNDARY_MAX);
    if (vly_multipart_parse(body, boundary, parts, PARTS_MAX, &n_parts, &err) != VLY_OK) {
        VLY_ASSERT(n_parts == 0);
        return 0;
    }
    VLY_ASSERT(n_parts <= PARTS_MAX);
    for (size_t i = 0; i < n_parts; i++) {
        check_view(parts[i].name, body);
        check_view(parts[i].filename, body);
        check_view(parts[i].content_type, body);
        check_view(parts[i].data, body);
    }
    return 0;
}

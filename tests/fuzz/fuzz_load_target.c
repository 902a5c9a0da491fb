/* SPDX-License-Identifier: MIT */
/* URLs: what is taken apart lies within the URL, and can stand in a request. */
#include "base/assert.h"
#include "load/load_target.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n);

static bool is_within(vly_str part, vly_str url)
{
    return part.ptr >= url.ptr && part.len <= url.len &&
           (size_t)(part.ptr - url.ptr) <= url.len - part.len;
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t n)
{
    vly_str url = {(const char *)bytes, n};
    vly_load_target t;
    vly_err err = VLY_ERR_INIT;

    if (vly_load_target_parse(url, &t, &err) != VLY_OK) {
        VLY_ASSERT(err.status == VLY_EINVAL && err.msg[0] != '\0');
        return 0;
    }
    VLY_ASSERT(is_within(t.host, url) && is_within(t.authority, url));
    VLY_ASSERT(t.host.len > 0 && t.host.len <= 255 && t.port > 0);
    VLY_ASSERT(t.path.len > 0 && t.path.ptr[0] == '/');
    VLY_ASSERT(t.headers == NULL && t.n_headers == 0 && t.method.len == 0);
    for (size_t i = 0; i < t.path.len; i++)
        VLY_ASSERT(t.path.ptr[i] > ' ' && t.path.ptr[i] <= '~');
    return 0;
}

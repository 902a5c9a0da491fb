/* SPDX-License-Identifier: MIT */
/* The client of a build without libcurl. */
#include "net/http_client.h"

#include "base/assert.h"

vly_status vly_http_client_new(vly_http_client **ret, vly_err *err)
{
    (void)ret;
    return vly_fail(err, VLY_EUNSUPPORTED, "this build has no HTTP client: it lacks libcurl");
}

void vly_http_client_free(vly_http_client *c)
{
    VLY_ASSERT(c == NULL);
}

vly_status vly_http_client_send(vly_http_client *c, const vly_http_client_request *r,
                                int *ret_status, vly_buf *answer, vly_err *err)
{
    (void)c;
    (void)r;
    (void)ret_status;
    (void)answer;
    return vly_fail(err, VLY_EUNSUPPORTED, "this build has no HTTP client");
}

unsigned vly_http_client_retry_after_ms(const vly_http_client *c)
{
    VLY_ASSERT(c == NULL);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* Answers that take longer to write than a loop may. */
#ifndef VLY_API_ON_WORKER_H
#define VLY_API_ON_WORKER_H

#include "api/api.h"

/* Calls answer, which gives req up, on a worker; here when the workers have more to do than they
 * can queue, for that is when figures are wanted most. */
void vly_on_worker(vly_api *api, vly_http_request *req,
                   void (*answer)(vly_api *api, vly_http_request *req));

#endif

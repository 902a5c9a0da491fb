/* SPDX-License-Identifier: MIT */
/* What `volley serve` needs for routes. */
#ifndef VLY_CLI_SERVE_ROUTES_H
#define VLY_CLI_SERVE_ROUTES_H

#include "sched/model_routes.h"
#include "sys/config.h"

typedef struct vly_serve_routes {
    vly_model_routes *routes;
} vly_serve_routes;

/* As the settings routes.* say; the models are loaded. Prints what there is. r is zeroed, and to be
 * closed whatever comes back. */
vly_status vly_serve_routes_open(const vly_config *c, vly_scheduler *s, vly_serve_routes *r,
                                 vly_err *err) VLY_MUST_CHECK;
/* They look after their arms no longer, which are the scheduler's; to be called before it goes. */
void vly_serve_routes_stop(vly_serve_routes *r);
/* Nothing uses them any more. */
void vly_serve_routes_close(vly_serve_routes *r);

#endif

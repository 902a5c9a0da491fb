/* SPDX-License-Identifier: MIT */
/* Requests that api/access.h and api/origin.h have refused, and why. */
#ifndef VLY_API_ACCESS_STATS_H
#define VLY_API_ACCESS_STATS_H

#include "base/metrics.h"

#define VLY_ACCESS_DENIAL_MAP(X)                                                                   \
    X(MISSING, "missing")   /* no key */                                                           \
    X(INVALID, "invalid")   /* one that is unknown, expired or revoked */                          \
    X(SCOPE, "scope")       /* one that may not do this */                                         \
    X(LISTENER, "listener") /* by the wrong listener */                                            \
    X(ORIGIN, "origin")     /* of a page of another server */

typedef enum vly_access_denial {
#define VLY_ACCESS_DENIAL_ENUM(id, name) VLY_ACCESS_##id,
    VLY_ACCESS_DENIAL_MAP(VLY_ACCESS_DENIAL_ENUM)
#undef VLY_ACCESS_DENIAL_ENUM
        VLY_ACCESS_N_DENIALS
} vly_access_denial;

/* Whose bound a request went past. */
#define VLY_ACCESS_BOUND_MAP(X) X(ADDRESS, "address") X(KEY, "key")

typedef enum vly_access_bound {
#define VLY_ACCESS_BOUND_ENUM(id, name) VLY_ACCESS_BY_##id,
    VLY_ACCESS_BOUND_MAP(VLY_ACCESS_BOUND_ENUM)
#undef VLY_ACCESS_BOUND_ENUM
        VLY_ACCESS_N_BOUNDS
} vly_access_bound;

const char *vly_access_denial_name(vly_access_denial d); /* "missing" */
const char *vly_access_bound_name(vly_access_bound b);   /* "address" */

typedef struct vly_access_stats {
    vly_counter denied[VLY_ACCESS_N_DENIALS];
    vly_counter limited[VLY_ACCESS_N_BOUNDS];
} vly_access_stats;

#endif

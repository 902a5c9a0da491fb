/* SPDX-License-Identifier: MIT */
/*
 * What a route is set to, as a plain value, and as JSON: the body of PUT /v1/routes/{name}, an item
 * of its answer, and an item of the file of routes ({"routes": [...]}).
 *
 *   {"name": "detector",
 *    "arms": [{"model": "yolov8n", "version": "1", "weight": 90},
 *             {"model": "yolov8n", "version": "2", "weight": 10, "state": "probation"}],
 *    "shadow": {"model": "yolov8s", "version": "1", "share": 0.05},
 *    "guard": {"window_s": 60, "min_requests": 50, "max_error_increase": 0.01},
 *    "schedule": {"shares": [0.01, 0.1, 0.5, 1], "hold_s": 600}}
 *
 * Members that answers add ("share", "stats", ...) are taken and left aside, so that what came out
 * goes in again; "revision" then says on what the change is made. Any other unknown member is an
 * error. Outside data: everything is bounded.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_SPEC_H
#define VLY_SCHED_MODEL_ROUTES_SPEC_H

#include "base/arena.h"
#include "base/buf.h"
#include "sched/model_routes_guard.h"

#define VLY_ROUTE_ARMS_MAX    16
#define VLY_ROUTE_STEPS_MAX   16
#define VLY_ROUTE_NAME_MAX    128 /* letters, digits, '.', '_' and '-' */
#define VLY_ROUTE_MODEL_MAX   255
#define VLY_ROUTE_VERSION_MAX 20
#define VLY_ROUTE_SALT_MAX    64
#define VLY_ROUTE_REVISION    17 /* 16 hexadecimal digits and a NUL */
#define VLY_ROUTE_WEIGHT_MAX  1e9
#define VLY_ROUTES_BYTES_MAX  ((size_t)4 << 20) /* of the file */

#define VLY_ROUTE_STATE_MAP(X)                                                                     \
    X(ACTIVE, "active")                                                                            \
    X(PROBATION, "probation") /* watched by the guard */                                           \
    X(ROLLED_BACK, "rolled_back")

typedef enum vly_route_state {
#define VLY_ROUTE_STATE_ENUM(name, text) VLY_ROUTE_##name,
    VLY_ROUTE_STATE_MAP(VLY_ROUTE_STATE_ENUM)
#undef VLY_ROUTE_STATE_ENUM
        VLY_ROUTE_STATES
} vly_route_state;

const char *vly_route_state_name(vly_route_state s);

/* A model, or one version of it. */
typedef struct vly_route_target {
    char model[VLY_ROUTE_MODEL_MAX + 1];
    char version[VLY_ROUTE_VERSION_MAX + 1]; /* empty: the one served by default */
} vly_route_target;

bool vly_route_target_eq(const vly_route_target *a, const vly_route_target *b);
/* "model/version", or "model"; returns text. */
#define VLY_ROUTE_TARGET_TEXT (VLY_ROUTE_MODEL_MAX + VLY_ROUTE_VERSION_MAX + 2)
const char *vly_route_target_text(const vly_route_target *t, char text[VLY_ROUTE_TARGET_TEXT]);

typedef struct vly_route_arm_spec {
    vly_route_target target;
    double weight;
    double set_weight; /* as it was set: what others return to when an arm is rolled back */
    vly_route_state state;
    vly_route_reason reason;     /* ROLLED_BACK: why, as the next two */
    char why[VLY_ROUTE_WHY_MAX]; /* in figures */
    uint64_t since_ms;           /* wall clock */
} vly_route_arm_spec;

typedef struct vly_route_spec {
    char name[VLY_ROUTE_NAME_MAX + 1];
    char salt[VLY_ROUTE_SALT_MAX + 1]; /* another one deals the sessions anew */
    vly_route_arm_spec arms[VLY_ROUTE_ARMS_MAX];
    size_t n_arms;
    vly_route_target shadow;
    double shadow_share; /* 0: there is no shadow */
    vly_route_guard guard;
    bool has_guard;
    double steps[VLY_ROUTE_STEPS_MAX]; /* shares of the arm on probation, rising */
    size_t n_steps;                    /* 0: it is promoted by hand */
    size_t step;                       /* the one it is at */
    uint64_t hold_ms;                  /* of each step */
    char revision[VLY_ROUTE_REVISION]; /* of what it is to replace; empty: of whatever is there */
} vly_route_spec;

/* The route of this JSON object, checked but for what is served. name: of the route, when json need
 * not have it; ptr NULL: it must. arena: scratch. EINVAL, ELIMIT; all is said of what is wrong. */
vly_status vly_route_spec_read(vly_str json, vly_str name, vly_arena *arena, vly_route_spec *ret,
                               vly_err *err) VLY_MUST_CHECK;
/* Those of a file, at most max; they live in arena. Two of one name: EINVAL. */
vly_status vly_route_specs_read(vly_str json, size_t max, vly_arena *arena, vly_route_spec **ret,
                                size_t *ret_n, vly_err *err) VLY_MUST_CHECK;

/* The members of this object into *guard, the others stay. EINVAL. */
vly_status vly_route_guard_read(vly_str json, vly_arena *arena, vly_route_guard *guard,
                                vly_err *err) VLY_MUST_CHECK;

/* The members of the object, without its braces. */
void vly_route_spec_put(vly_buf *b, const vly_route_spec *s);
/* Of one arm alone, likewise. */
void vly_route_arm_spec_put(vly_buf *b, const vly_route_arm_spec *a);
/* The other members: all but arms. */
void vly_route_spec_put_rest(vly_buf *b, const vly_route_spec *s);

/* Changes with anything that is printed; the same on every server. ENOMEM. */
vly_status vly_route_spec_revision(const vly_route_spec *s, uint64_t *ret,
                                   vly_err *err) VLY_MUST_CHECK;
void vly_route_revision_print(uint64_t revision, char text[VLY_ROUTE_REVISION]);

/* The arm's share of the requests: its weight over the sum. */
double vly_route_spec_share(const vly_route_spec *s, size_t arm);
/* Gives the arm this share (0 < share <= 1) by its own weight alone, so that only sessions that
 * come to it or go from it move; with 1 the weights of the others become 0. */
void vly_route_spec_set_share(vly_route_spec *s, size_t arm, double share);
/* The arm on probation gets the share of its schedule's step. */
void vly_route_spec_begin_schedule(vly_route_spec *s);
/* The arm gets nothing any more; when nothing is left, the others get what they were set to. False:
 * there is nobody else to take it. */
bool vly_route_spec_roll_back(vly_route_spec *s, size_t arm, vly_route_reason reason,
                              const char *why, uint64_t now_ms);
/* Its time of probation is over: it gets this share, and with 1 is the route's only arm with any.
 */
void vly_route_spec_promote(vly_route_spec *s, size_t arm, double share);
/* Index of the arm of that model and version (empty: any), of that state when several fit; n_arms:
 * none, or several. model empty: any. */
size_t vly_route_spec_find(const vly_route_spec *s, vly_str model, vly_str version);
/* The only arm on probation; n_arms: there is none, or several. */
size_t vly_route_spec_on_probation(const vly_route_spec *s);

bool vly_route_name_is_valid(vly_str name);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Model routes: one public name over several versions or models (arms).
 *
 *   detector -> yolov8n 1      weight 90
 *               yolov8n 2      weight 10, on probation
 *               yolov8s 1      shadow 0.05: a copy of this share of requests, answers compared
 *
 * Sticky: an arm is chosen by a fixed hash of the session id (sched/model_routes_choice.h), so a
 * session stays where it is over restarts and over servers. Requests without a session are spread
 * evenly. An arm that does not serve passes its requests on to the others, and that counts as its
 * failure.
 *
 * Guard: an arm on probation that is worse than the route allows (sched/model_routes_guard.h) is
 * rolled back: its weight goes to the others, with the reason in log, metrics and the route itself;
 * unless none of these serves, for a bad arm is better than none.
 * A healthy one is promoted, by schedule or by hand.
 *
 * A name with a version is never a route. A route may have the name of a model when that model is
 * one of its arms: it then stands in front of the model for whoever does not name a version. Arms
 * are models, never routes, so there are no cycles.
 *
 * A route is immutable and replaced as a whole; a request holds a reference, so a change never
 * waits for requests. What is counted is the arm's own, and outlives changes.
 *
 *     model_routes_choice  session -> arm          model_routes_guard  figures -> verdict
 *     model_routes_spec    settings of a route     model_routes_read   JSON -> settings
 *     model_routes         table and requests      model_routes_keep   changes, time
 *     model_routes_check   are the models fit      model_routes_file   the file
 *
 * Thread: any. Whoever changes a route may wait for the file.
 */
#ifndef VLY_SCHED_MODEL_ROUTES_H
#define VLY_SCHED_MODEL_ROUTES_H

#include "base/metrics.h"
#include "sched/model_routes_choice.h"
#include "sched/model_routes_spec.h"
#include "sched/scheduler.h"

#include <pthread.h>

typedef struct vly_model_routes vly_model_routes;

/* What becomes of a request that went to an arm. */
#define VLY_ROUTE_OUTCOME_MAP(X)                                                                   \
    X(OK, "ok")                                                                                    \
    X(CACHED, "cached")           /* the answer was known: the arm had nothing to do */            \
    X(FAILED, "failed")           /* by the model or the server */                                 \
    X(REJECTED, "rejected")       /* its queue was full, or it waited there too long */            \
    X(UNAVAILABLE, "unavailable") /* the arm did not serve; another one took it */                 \
    X(REFUSED, "refused")         /* the request was bad: nobody's fault here */                   \
    X(CANCELLED, "cancelled")     /* by its client, or past the deadline that the client set */

typedef enum vly_route_outcome {
#define VLY_ROUTE_OUTCOME_ENUM(name, text) VLY_ROUTE_OUTCOME_##name,
    VLY_ROUTE_OUTCOME_MAP(VLY_ROUTE_OUTCOME_ENUM)
#undef VLY_ROUTE_OUTCOME_ENUM
        VLY_ROUTE_OUTCOMES
} vly_route_outcome;

const char *vly_route_outcome_name(vly_route_outcome o);

/* What becomes of a copy of a request that goes to a shadow. */
#define VLY_ROUTE_SHADOW_MAP(X)                                                                    \
    X(AGREED, "agreed")                                                                            \
    X(DIFFERED, "differed")                                                                        \
    X(FAILED, "failed") /* it does not take such a request, or its run failed */                   \
    X(DROPPED, "dropped")

typedef enum vly_route_shadow_outcome {
#define VLY_ROUTE_SHADOW_ENUM(name, text) VLY_ROUTE_SHADOW_##name,
    VLY_ROUTE_SHADOW_MAP(VLY_ROUTE_SHADOW_ENUM)
#undef VLY_ROUTE_SHADOW_ENUM
        VLY_ROUTE_SHADOW_OUTCOMES
} vly_route_shadow_outcome;

const char *vly_route_shadow_name(vly_route_shadow_outcome o);

/* One arm or shadow of one route, as long as the route has it. Refcounted. */
typedef struct vly_route_arm {
    char route[VLY_ROUTE_NAME_MAX + 1]; /* immutable, as the target */
    vly_route_target target;
    vly_counter outcomes[VLY_ROUTE_OUTCOMES];
    vly_counter rollbacks[VLY_ROUTE_REASONS];
    vly_counter shadow[VLY_ROUTE_SHADOW_OUTCOMES]; /* of a shadow, which has no outcomes */
    vly_histogram latency; /* of what was OK, received to ready to be sent */
    _Atomic bool is_missing;
    pthread_mutex_t lock;
    vly_route_window *window; /* guarded by lock; NULL: nobody watches */
    uint64_t last_look; /* guarded by the routes' change lock, as the next: slot of the last verdict
                         */
    bool is_unsaved;    /* the guard rolled it back, and the file may not say so */
    _Atomic uint32_t n_refs;
} vly_route_arm;

vly_route_arm *vly_route_arm_ref(vly_route_arm *a);
void vly_route_arm_unref(vly_route_arm *a); /* accepts NULL */
/* What became of a request that went to the arm: counted, and for the guard to judge.
 * is_model_failure: as in vly_job. received_ns: when the request came. */
void vly_route_arm_count(vly_route_arm *a, vly_nsec now, vly_status st, bool is_model_failure,
                         vly_nsec received_ns);
/* It is past the deadline that its client set: cancelled, and for the guard one that was refused.
 */
void vly_route_arm_count_late(vly_route_arm *a, vly_nsec now);
/* The answer came out of the cache, which says nothing of the arm: counted alone. */
void vly_route_arm_count_known(vly_route_arm *a);

typedef struct vly_model_route {
    vly_route_spec spec; /* immutable, as the next four */
    uint64_t revision;
    vly_route_arm *arms[VLY_ROUTE_ARMS_MAX];
    vly_route_arm *shadow; /* NULL: none */
    vly_route_choice choices[VLY_ROUTE_ARMS_MAX];
    vly_nsec step_ns;           /* when its step of the schedule began; 0: not seen yet. Guarded by
                                   the change lock */
    vly_counter n_spread;       /* requests without a session */
    vly_counter n_shadow_drawn; /* requests that were considered for the shadow */
    _Atomic uint32_t n_refs;
} vly_model_route;

void vly_model_route_unref(vly_model_route *route); /* accepts NULL */

/* What a request goes to. */
typedef struct vly_route_pick {
    vly_served *model; /* a reference, as the arm */
    vly_route_arm *arm;
    vly_model_route *shadow; /* a reference: a copy of it goes to the shadow; NULL: none does */
} vly_route_pick;

void vly_route_pick_release(vly_route_pick *p);

typedef struct vly_model_routes_opts {
    vly_scheduler *scheduler; /* borrowed, outlives the routes */
    const char *file;         /* where changes are kept; NULL or empty: nowhere. Copied */
    size_t max_routes;
    const char *shadow_log;  /* comparisons are told there; NULL or empty: nowhere */
    size_t shadow_log_bytes; /* of lines that wait to be written */
    size_t shadow_max;       /* copies in work; 0: no shadow gets any */
    size_t shadow_max_bytes; /* of one copy */
    unsigned check_ms; /* how often the guard looks; 0: when vly_model_routes_tick is called */
} vly_model_routes_opts;

/* Reads the file, when there is one. Models that it names and that do not serve are told, no error.
 * EINVAL, EIO, ENOMEM. */
vly_status vly_model_routes_new(const vly_model_routes_opts *opts, vly_model_routes **ret,
                                vly_err *err) VLY_MUST_CHECK;
/* Ends the thread that looks after the arms: the models may go. Accepts NULL. */
void vly_model_routes_stop(vly_model_routes *r);
/* Opens the log of shadows anew, as vly_line_log_reopen. */
void vly_model_routes_reopen(vly_model_routes *r);
/* Nobody uses it any more. Accepts NULL. */
void vly_model_routes_free(vly_model_routes *r);

/* ---- requests ---- */

/* A new reference, or NULL: no route has that name. Costs one relaxed load when there are none. */
vly_model_route *vly_model_routes_find(vly_model_routes *r, vly_str name);
bool vly_model_routes_has_any(const vly_model_routes *r); /* accepts NULL */
/* The arm for a request of this session (vly_route_session_hash; 0: it has none). EUNAVAILABLE: no
 * arm with any weight serves. Never blocks. */
vly_status vly_model_route_pick(vly_model_routes *r, vly_model_route *route, uint64_t session,
                                vly_route_pick *ret, vly_err *err) VLY_MUST_CHECK;
/* The model of the first arm that serves, by which the route is described: a new reference.
 * EUNAVAILABLE. */
vly_status vly_model_route_first(vly_model_routes *r, const vly_model_route *route,
                                 vly_served **ret, vly_err *err) VLY_MUST_CHECK;

/* ---- the table ---- */

typedef struct vly_route_table {
    _Atomic uint32_t n_refs;
    size_t n;
    vly_model_route *routes[]; /* a reference each, in order of name */
} vly_route_table;

vly_route_table *vly_model_routes_table(vly_model_routes *r); /* new reference, never NULL */
void vly_route_table_unref(vly_route_table *t);

/* ---- changes: whole or not at all; those by request are in the file before they count ---- */

/* On what a change is made, and what may come of it. */
typedef struct vly_route_terms {
    vly_str revisions; /* text in which that of the route must occur; ptr NULL: any will do */
    bool must_exist;   /* the route, as the next one: else ECHANGED */
    bool must_be_new;
    bool may_revive;    /* an arm that was rolled back may get traffic again; for set */
    bool any_revision;  /* that in the setting is not looked at; for set */
    bool any_interface; /* arms may differ in what they take and give; for set and promote */
} vly_route_terms;

/* In all of them terms NULL is {0}; *ret, which may be NULL, is a new reference to the route after
 * it, or as it was removed. ECHANGED: the route is not the one that is meant, or the file was
 * changed by somebody else; EIO: the file cannot be written; EUNAVAILABLE: another process
 * holds its lock. */

/* Also ENOTFOUND, EUNAVAILABLE: an arm or the shadow does not serve; EEXIST: the name is that of a
 * model which is no arm; EINVAL: arms differ, the shadow cannot be asked, an arm that was rolled
 * back would work again; ELIMIT: too many routes. */
vly_status vly_model_routes_set(vly_model_routes *r, const vly_route_spec *spec,
                                const vly_route_terms *terms, vly_model_route **ret,
                                bool *ret_is_new, vly_err *err) VLY_MUST_CHECK;
/* ENOTFOUND. */
vly_status vly_model_routes_remove(vly_model_routes *r, vly_str name, const vly_route_terms *terms,
                                   vly_model_route **ret, vly_err *err) VLY_MUST_CHECK;

/* What is to become of one arm. */
typedef struct vly_route_order {
    vly_str model, version; /* empty: the one on probation */
    double share;           /* of a promotion */
    const char *why;        /* of a roll-back */
} vly_route_order;

/* Ends the probation of the arm, which gets this share. ENOTFOUND; EUNAVAILABLE: it does not serve;
 * EINVAL: it is not clear which one, or arms differ. */
vly_status vly_model_routes_promote(vly_model_routes *r, vly_str name, const vly_route_order *o,
                                    const vly_route_terms *terms, vly_model_route **ret,
                                    vly_err *err) VLY_MUST_CHECK;
/* Takes all traffic from the arm. ENOTFOUND; EINVAL: also, nobody else could take it. */
vly_status vly_model_routes_roll_back(vly_model_routes *r, vly_str name, const vly_route_order *o,
                                      const vly_route_terms *terms, vly_model_route **ret,
                                      vly_err *err) VLY_MUST_CHECK;

/* Takes up what somebody else has made of the file, whole or not at all; a route that is the same
 * goes on as it was, and arms keep what was counted. One that the guard has rolled back stays so
 * when the file knew nothing of it, and then the file is told. *ret_is_new, which may be NULL: it
 * had changed. EINVAL, EIO, ENOTFOUND: it was there; ENOMEM; then nothing changes. */
vly_status vly_model_routes_reload(vly_model_routes *r, bool *ret_is_new,
                                   vly_err *err) VLY_MUST_CHECK;

/* Lets the guard look at what it has not seen, and schedules go on. Blocks on the file. */
void vly_model_routes_tick(vly_model_routes *r, vly_nsec now);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Control: which models of a repository are loaded, and when that changes.
 *
 * One loader thread loads, one model after the other, away from the threads that answer: the new
 * version is loaded and warmed up, then takes the place of the old one, all versions of a model at
 * once; jobs that the old one had accepted still run on it. What cannot be loaded leaves the old
 * one serving and is told: in the log, in the index, in GET /v1/models.
 *
 *   NONE      what is there at start
 *   POLL      as NONE, and each interval the directory is looked at: models and versions that came,
 *             changed or went. What changed is loaded when it has stood still for one interval, so
 *             that half a file is not. A directory that cannot be read changes nothing
 *   EXPLICIT  at start what `load` names; then what requests ask for
 *
 * A rescan (SIGHUP) looks at once, in every mode; with EXPLICIT only at the models that are loaded.
 *
 * An ensemble is loaded after the models of its steps, and stops serving when one of them does.
 *
 * Thread: any, but for new and free, which belong to the owner.
 */
#ifndef VLY_SCHED_CONTROL_H
#define VLY_SCHED_CONTROL_H

#include "base/arena.h"
#include "sched/scheduler.h"

typedef enum vly_control_mode {
    VLY_CONTROL_NONE,
    VLY_CONTROL_POLL,
    VLY_CONTROL_EXPLICIT,
} vly_control_mode;

bool vly_control_mode_parse(const char *text, vly_control_mode *ret); /* "none", "poll", ... */

typedef struct vly_control_opts {
    const char *dir; /* as vly_repository_scan takes it */
    vly_control_mode mode;
    const char *load; /* EXPLICIT: names, separated by commas, or "*" for all */
    unsigned poll_interval_ms;
    size_t max_waiting; /* requests for the loader thread */
    vly_model_options model;
    bool has_digests; /* of models, for results that servers share */
} vly_control_opts;

typedef struct vly_control vly_control;

/* Loads what the mode says, blocking; a model that cannot be loaded is no failure. opts and its
 * strings are copied. ENOTFOUND: there is no such directory. */
vly_status vly_control_new(vly_scheduler *s, const vly_control_opts *opts, vly_control **ret,
                           vly_err *err) VLY_MUST_CHECK;
/* Ends the thread: requests that wait end as EUNAVAILABLE, as do later ones. Accepts NULL. */
void vly_control_stop(vly_control *c);
void vly_control_free(vly_control *c); /* stops it; the models stay; accepts NULL */
vly_control_mode vly_control_get_mode(const vly_control *c);

/* Looks at the directory at once. Never blocks. */
void vly_control_rescan(vly_control *c);

typedef enum vly_control_action {
    VLY_CONTROL_LOAD,   /* or reload when something changed; with what an ensemble needs */
    VLY_CONTROL_UNLOAD, /* OK also for a model that is not loaded, as with Triton */
    VLY_CONTROL_LOOK,   /* as each interval of POLL */
} vly_control_action;

/* A file in place of the repository's. */
typedef struct vly_control_file {
    vly_str name; /* "1/model.onnx" */
    vly_str bytes;
} vly_control_file;

/* Belongs to the loader from submit until done is called, with everything it points to. */
typedef struct vly_control_request vly_control_request;
struct vly_control_request {
    vly_control_action action;
    void *ctx;      /* the caller's */
    vly_str name;   /* of the model */
    vly_str config; /* LOAD: its configuration, as JSON; ptr NULL: that of the repository */
    size_t n_files; /* LOAD: all files of the model, instead of the repository's; want a config */
    const vly_control_file *files;
    bool unload_dependents; /* UNLOAD: also what only an ensemble that goes has needed */
    void (*done)(vly_control_request *r); /* on the loader thread, once */
    vly_status status;                    /* for done, as err: Triton's words and codes */
    vly_err err;
    vly_control_request *next; /* private */
};

/* Never blocks. EUNAVAILABLE: the mode is not EXPLICIT; EINVAL: not a name; EBUSY: too many wait;
 * then done is not called. */
vly_status vly_control_submit(vly_control *c, vly_control_request *r, vly_err *err) VLY_MUST_CHECK;

/* One version of one model, or a model that was never loaded. */
typedef struct vly_control_row {
    const char *name;
    const char *version; /* NULL: never loaded, as the next two */
    const char *state;   /* "READY" */
    const char *reason;  /* why it is not READY; NULL: it is, or none is known */
    const char *note;    /* why what the directory holds now is not what serves; NULL: it is */
    vly_served *model;   /* borrowed from `models`; NULL: never loaded */
} vly_control_row;

typedef struct vly_control_index {
    vly_model_set *models; /* for the caller to unref */
    const vly_control_row *rows;
    size_t n_rows;
} vly_control_index;

/* What the repository holds, in order of name, then version; rows live in arena. Reads the
 * directory, so never on a loop thread. A directory that cannot be read holds what is loaded. */
vly_status vly_control_list(vly_control *c, vly_arena *arena, vly_control_index *ret,
                            vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/* What the control*.c files share; private to them. */
#ifndef VLY_SCHED_CONTROL_STATE_H
#define VLY_SCHED_CONTROL_STATE_H

#include "sched/control.h"
#include "sched/data_files.h"
#include "sched/repository.h"

#include <pthread.h>

#define VLY_CONTROL_ARENA_BYTES ((size_t)64 << 20) /* for one look at the repository */

/* What the loader thread remembers of a model. Written by it alone, under the lock. */
typedef struct vly_control_record {
    struct vly_control_record *next;
    char *name;
    uint64_t seen;       /* stamp of its files at the last look; 0: none */
    uint64_t failed;     /* stamp that could not be loaded; 0: none */
    char *note;          /* why; NULL: nothing failed since */
    vly_data_files data; /* the loader's own */
    bool is_asked;       /* loaded for itself, not only for an ensemble */
    bool is_waiting;     /* an ensemble that could not be loaded for want of a model */
    bool is_overridden;  /* by the files or the configuration of a request */
    bool is_present;     /* in the directory, at the last look */
} vly_control_record;

struct vly_control {
    vly_scheduler *scheduler; /* immutable, as the next two */
    vly_control_opts opts;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t wake;
    vly_control_request *first, *last;
    size_t n_waiting;
    bool is_stopping, wants_rescan;
    vly_control_record *records;
};

/* How what the directory holds is brought to service. */
typedef struct vly_control_bring {
    const char *config_json; /* of the model `asked`; NULL: its own */
    bool is_patient;         /* what has changed since the last look waits for the next */
    const char *asked;       /* the model whose failure is told in err; NULL: none */
} vly_control_bring;

/* Loads what is new or changed of the models of repo, all entries of a model at once, ensembles
 * after what they are made of. Fails with what went wrong with the model `asked`, or with ENOMEM.
 * Thread: the owner before the loader starts, then the loader, as the others here. */
vly_status vly_control__bring(vly_control *c, const vly_repository *repo,
                              const vly_control_bring *how, vly_err *err) VLY_MUST_CHECK;

/* Ends the service of a model, and of the ensembles made of it. */
void vly_control__unload(vly_control *c, const char *name, const char *reason);
/* What only ensembles needed that do not serve any more. */
void vly_control__unload_orphans(vly_control *c);

bool vly_control__is_served(vly_control *c, const char *name);           /* some version is */
vly_control_record *vly_control__find(vly_control *c, const char *name); /* NULL: none */
/* Made when there is none; NULL: out of memory. */
vly_control_record *vly_control__record(vly_control *c, const char *name);
void vly_control__set_note(vly_control *c, vly_control_record *r, const char *note);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * One picture through a servable: decode -> letterbox -> run -> observations.
 *
 * A vly_vision is one thread's session: it keeps the instance, the input tensor and the work areas,
 * so that steady state allocates only the decoded picture. The CLI, the server and libvolley answer
 * with the same bytes because all of them come through here.
 * Owner: one thread at a time.
 */
#ifndef VLY_SCHED_VISION_H
#define VLY_SCHED_VISION_H

#include "base/arena.h"
#include "base/clock.h"
#include "codec/picture.h"
#include "sched/servable.h"

#include <stdbool.h>

typedef struct vly_vision vly_vision;
struct vly_worker_pool;

/* Where the time of one picture went. */
typedef struct vly_vision_times {
    vly_nsec decode; /* bytes -> pixels */
    vly_nsec prep;   /* pixels -> tensor */
    vly_nsec infer;  /* the net */
    vly_nsec post;   /* tensors -> observations */
} vly_vision_times;

/* Takes a reference to s. EUNSUPPORTED when the model has no task for pictures: the message says so
 * and lists the tasks there are. pool: as vly_instance_new. */
vly_status vly_vision_new(vly_servable *s, const vly_picture_limits *limits,
                          struct vly_worker_pool *pool, vly_vision **ret,
                          vly_err *err) VLY_MUST_CHECK;
void vly_vision_free(vly_vision *v); /* accepts NULL */

/* The observations lie in arena. ret_picture: takes the decoded picture (the caller releases it);
 * NULL: it is dropped. ret_times may be NULL; it also tells how far a failure came. Errors: as
 * vly_picture_decode, vly_instance_run and vly_decoder_run. */
vly_status vly_vision_run(vly_vision *v, const void *bytes, size_t len,
                          const vly_detector_options *opts, vly_arena *arena, vly_observations *ret,
                          vly_picture *ret_picture, vly_vision_times *ret_times,
                          vly_err *err) VLY_MUST_CHECK;
/* The same from a decoded picture, which is borrowed. */
vly_status vly_vision_see(vly_vision *v, const vly_picture *picture,
                          const vly_detector_options *opts, vly_arena *arena, vly_observations *ret,
                          vly_vision_times *ret_times, vly_err *err) VLY_MUST_CHECK;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Inference, whatever protocol asks for it: what REST, gRPC and WebSocket have in common.
 *
 * A protocol embeds a vly_infer in its own call, describes the request and starts it:
 *
 *   start -> model -> read -> checks -> cache -> job -> run -> write -> done
 *                    (on a worker, when it is much)
 *
 * Checks, batch, pictures, classification, shared memory, deadlines and sequences are written here
 * once; the texts of errors are Triton's, because its clients look at them. Inputs are known before
 * the job is submitted, so that it can join a batch.
 *
 * Nothing is copied that need not be: bytes are used where they lie when the model can read them
 * there, results are references to the tensors of the run. A small request allocates nothing but
 * from its arena.
 *
 * Owner: the caller until start; then one thread at a time until done, which gives the call back.
 */
#ifndef VLY_API_INFER_H
#define VLY_API_INFER_H

#include "api/api.h"
#include "cache/result_cache.h"
#include "codec/infer_json.h"
#include "sched/scheduler.h"
#include "sys/worker_pool.h"

/* What clients hear that name shared memory when it is not offered. */
#define VLY_NO_SHARED_MEMORY                                                                       \
    "shared memory of clients is not offered: the server must be started with --allow-client-shm"

typedef struct vly_infer vly_infer;
typedef struct vly_infer_input vly_infer_input;

/* A part of a registered region of shared memory. */
typedef struct vly_infer_region {
    vly_str name; /* ptr NULL: no shared memory */
    uint64_t offset;
    uint64_t bytes;
} vly_infer_region;

/* Puts the n elements of the input, elem_bytes each, into dst. EINVAL: there are not n, or not of
 * this class. */
typedef vly_status (*vly_infer_read_fn)(const vly_infer_input *in, vly_infer_json_class class,
                                        size_t elem_bytes, size_t n, void *dst, vly_err *err);

struct vly_infer_input {
    vly_str name;
    vly_str datatype; /* as sent: "FP32" */
    size_t rank;
    int64_t shape[VLY_RANK_MAX]; /* each >= 0 */

    /* The data, in exactly one of three ways; what they point to is borrowed until done. */
    vly_infer_region region; /* in shared memory, in the form of bytes */
    vly_infer_read_fn read;  /* in a form that only the protocol knows */
    const void *read_ctx;
    uint64_t max_elements; /* no more can be read: nothing is allocated for a shape that lies */
    vly_str bytes;         /* little-endian elements; of BYTES each behind its 4-byte length */
    size_t tail_bytes;     /* of bytes: so many more are there to be read */
};

typedef struct vly_infer_output {
    vly_str name;
    bool is_binary;     /* the writer's business */
    uint64_t n_classes; /* of the classification extension; 0: the tensor itself */
    vly_infer_region region;
} vly_infer_output;

typedef struct vly_infer_request {
    vly_str model, version; /* version empty: the one served by default */
    vly_str id;
    vly_infer_input *inputs; /* in any order */
    size_t n_inputs;
    bool is_raw; /* inputs[0] is bytes without name, datatype and shape: the model's only input */
    vly_infer_output *outputs;
    size_t n_outputs;      /* 0: all of the model's */
    bool is_binary_output; /* of those, when none is listed */
    uint64_t priority;     /* 0: the model's default */
    uint64_t timeout_us;   /* since it was received; 0: none */
    vly_job_sequence sequence;
    vly_str session; /* in a route; empty: that of the sequence, or none */
} vly_infer_request;

typedef struct vly_infer_result {
    vly_infer_output how; /* region.name.ptr not NULL: the data are there, region.bytes of them */
    vly_str name;
    vly_tensor tensor; /* STRING when classified. The call's own reference, until done returns */
} vly_infer_result;

struct vly_infer {
    /* Set before start; the rest zero. Pointers live until done. */
    vly_api *api;
    vly_arena *arena;
    const _Atomic bool *is_cancelled; /* NULL: never */
    vly_nsec received_ns;
    vly_nsec deadline_ns; /* of the protocol itself (grpc-timeout); 0: none */
    uint64_t session;     /* in a route: vly_infer_session; 0: what the request's parameters say */
    vly_str call_id;      /* of the request as a whole; may be empty */
    uint64_t stream;      /* or, when they say nothing, this one; 0: none */
    vly_infer_request request;
    const struct vly_cache_wish *cache_wish; /* api/cached.h; NULL: the request says nothing */
    /* Completes the request, of which model and version are set, once served is known: within
     * start, or on a worker when that would hold up a loop thread. NULL: it is complete. */
    vly_status (*read)(vly_infer *call, vly_err *err);
    unsigned loop; /* 1 + the loop thread of start, when it has turns (sched/job.h); else 0 */
    bool is_heavy; /* read takes long: a large JSON document, a compressed body */
    /* Turns results into an answer, on the thread that ran the model. Tensors may be kept beyond
     * done by vly_tensor_ref when they have a store. May be NULL. */
    vly_status (*write)(vly_infer *call, vly_err *err);
    /* Thread: any, that of start included, before start has returned. The end of the call. */
    void (*done)(vly_infer *call);

    /* For write and done. */
    const vly_served *served;  /* the model found; of a route, for read, that of any arm; valid
                                  until done returns */
    vly_route_arm *arm;        /* of the route that was asked for; NULL: it was a model */
    vly_infer_result *results; /* those that were asked for, in the model's order; for write only */
    size_t n_results;

    /* For done. */
    vly_status status;
    const vly_err *err; /* when status is not OK */
    vly_job_times times;
    vly_cache_outcome cache;

    /* Private. */
    vly_job job;
    vly_work work;
    vly_served *model;               /* a reference, until done has returned */
    vly_model_route *copied;         /* its shadow gets a copy; a reference, or NULL */
    struct vly_route_shadow *shadow; /* the copy, once the results were there */
    bool was_known;                  /* the results came out of the cache */
    bool is_late; /* for done, or who could not start: past, or sure to be, the deadline that the
                     client set */
    vly_model_route *route;          /* likewise; NULL: it is a model */
    vly_nsec read_ns;                /* when reading began; then, what reading and checking took */
    struct vly_infer_lookup *lookup; /* api/infer_cache.h; NULL: not looked up */
    vly_tensor *inputs;
    vly_infer_output *wanted; /* [n_outputs] of the model; name.ptr NULL: not asked for */
    void **places;            /* [n_outputs]: where in shared memory it is to go; NULL: nowhere */
    struct vly_shared_region **regions;
    size_t n_regions;
};

/* EINVAL, ENOTFOUND, EUNAVAILABLE, EBUSY, EDEADLINE, ELIMIT, ENOMEM: the request cannot be run, and
 * done is not called. Otherwise it is, exactly once. Never blocks. */
vly_status vly_infer_start(vly_infer *call, vly_err *err) VLY_MUST_CHECK;

/* Bytes of a tensor as the protocols send them: its own, but for BYTES, each of which gets its
 * length before it. */
size_t vly_infer_wire_bytes(const vly_tensor *t);
void vly_infer_put_wire(const vly_tensor *t, vly_buf *out);
/* Makes out, which must be empty, of those bytes where they lie, and keeps them for it. False: the
 * tensor, a result of the call, has no store of its own, or is of BYTES; then they can only be
 * copied. */
bool vly_infer_lend_wire(const vly_infer *call, const vly_tensor *t, vly_buf *out);

/* What the answer calls the model: the name that was asked for. */
vly_str vly_infer_name(const vly_infer *call);

/* The session that a request names for routes, by the header Volley-Session or `session` in the
 * query, as vly_route_session_hash; 0: none. */
uint64_t vly_infer_session(vly_http_msg *msg);
/* The session that stands in for one that no request of this stream names: the stream itself. */
uint64_t vly_infer_stream(const vly_http_request *req);
/* The model of this name, or the arm that the session has in the route of this name; a version asks
 * for the model. ret is the caller's to release. Errors as below. */
vly_status vly_infer_pick(const vly_api *api, vly_str name, vly_str version, uint64_t session,
                          vly_route_pick *ret, vly_err *err) VLY_MUST_CHECK;
/* The model of this name, which serves; of a route, by which it is described: a new reference.
 * ENOTFOUND, EUNAVAILABLE. */
vly_status vly_infer_find(const vly_api *api, vly_str name, vly_str version, vly_served **ret,
                          vly_err *err) VLY_MUST_CHECK;

#endif

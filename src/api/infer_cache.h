/* SPDX-License-Identifier: MIT */
/*
 * The cache in front of a model: a request whose results are known does not become a job. Private
 * to infer*.c.
 *
 * The key is over the inputs as the model sees them, so that JSON, binary data and gRPC share
 * results; of encoded pictures over their bytes, so that nothing is decoded to find out. Requests
 * with shared memory, whose bytes may change meanwhile, and those of sequences are not looked up.
 */
#ifndef VLY_API_INFER_CACHE_H
#define VLY_API_INFER_CACHE_H

#include "api/infer.h"

typedef void vly_infer_resume(vly_infer *call, vly_cache_found how);

/* HIT: the value is there, for vly_infer__use. WAIT: resume is called later, once, on any thread
 * and under no lock, and the call is no longer the caller's; then it is HIT, LEAD, or LATE: its
 * deadline has passed. LEAD: run it; also when there is no cache for this call. LATE: who computes
 * the same will not begin before the deadline.
 * Inputs are bound, but for pictures; outputs are chosen. */
vly_cache_found vly_infer__ask(vly_infer *call, vly_infer_resume *resume);
/* Makes call->results of the value. False: it cannot be used, run the call. */
bool vly_infer__use(vly_infer *call);
/* Is the value too much to be unpacked and written on a loop thread? */
bool vly_infer__is_much(const vly_infer *call);
/* The results are there, computed by this call. */
void vly_infer__keep(vly_infer *call);
/* What was found; NULL: nothing. */
vly_cache_value *vly_infer__known(const vly_infer *call);
/* The end of the call, however it ended. */
void vly_infer__leave(vly_infer *call);
/* Is the key of these inputs found within a moment? */
bool vly_infer__is_quick(const vly_infer *call);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Who may do what, and how often: the one place where a request is held against its key, the limits
 * of its key and of its address, and the listener it came by.
 *
 *   router or gRPC: the route is known -> vly_access_admit -> handler
 *                                      -> an error, which the caller answers
 *   answered, or the stream has closed -> vly_access_finished
 *
 * A key comes as "Authorization: Bearer KEY" or "X-Api-Key: KEY", in gRPC as metadata of these
 * names. Pages cannot set headers of a WebSocket: they offer the subprotocols "volley" and
 * "volley.key.KEY", of which the first is chosen. Never in the URL, which ends up in logs, in
 * histories and with other servers (Referer).
 *
 * Before its body is read, the same is looked at without being counted: a stranger's is not held.
 *
 * What needs no key (VLY_SCOPE_NONE) is not counted either, so that a busy client does not look
 * dead. The rest counts against the address first, also when its key is wrong or there is nothing
 * at its path, then against the key. A stream is one request, and one in work, until it closes,
 * which it does soon after its key has ended; each message on it that runs a model is one more
 * request. Readings of motion sensors are none: imu.max_waiting bounds those.
 *
 * With neither keys, limits nor trusted proxies there is no vly_access, and nothing is done.
 */
#ifndef VLY_API_ACCESS_H
#define VLY_API_ACCESS_H

#include "api/api.h"
#include "net/address.h"
#include "net/http_stream.h"
#include "sched/client_limits.h"
#include "store/key_ring.h"

/* The subprotocol that is chosen, for vly_http_opts. */
#define VLY_ACCESS_PROTOCOL "volley"

typedef struct vly_access vly_access;

typedef struct vly_access_opts {
    vly_key_ring *keys;          /* borrowed; NULL: none are asked for */
    vly_client_rule address;     /* of the start, as the next; zeroed: no bound */
    vly_client_rule key;         /* where the key itself says nothing */
    size_t max_clients;          /* that are remembered, of each sort */
    const char *trusted_proxies; /* ranges of addresses, by commas */
    uint64_t seed;               /* of the places of addresses: not to be guessed */
} vly_access_opts;

/* EINVAL: trusted_proxies; ENOMEM. */
vly_status vly_access_new(const vly_access_opts *opts, vly_access **ret,
                          vly_err *err) VLY_MUST_CHECK;
void vly_access_free(vly_access *a); /* accepts NULL */

/* From now on; what is in work keeps what it was granted. Addresses are bound only where they were
 * from the start. Thread: any. */
void vly_access_set_rules(vly_access *a, const vly_client_rule *address,
                          const vly_client_rule *key);

/* May req, of a route of this scope, be carried out? EUNAUTHENTICATED, EDENIED, EEXHAUSTED: no;
 * ENOMEM. Thread: loop. */
vly_status vly_access_admit(vly_api *api, vly_http_request *req, vly_key_scope scope,
                            vly_err *err) VLY_MUST_CHECK;
/* Of a request for what is not there: counts against the address, so that guessing costs as much as
 * asking. EEXHAUSTED, ENOMEM. Thread: loop. */
vly_status vly_access_count(vly_api *api, vly_http_request *req, vly_err *err) VLY_MUST_CHECK;
/* Of vly_http_opts, ctx its vly_api: who has no live key, or would be refused for a bound, may have
 * some bytes of a body held, others SIZE_MAX. Such a request is refused by admit. */
#define VLY_ACCESS_STRANGER_BODY ((size_t)4 << 10)
size_t vly_access_max_body(void *ctx, const vly_http_request *req);
/* For on_finished: what was taken is given back. */
void vly_access_finished(const vly_api *api, const vly_http_request *req);

/* A message on the stream of req that runs a model; the errors of admit, but EDENIED. Thread: loop,
 * before on_close. */
vly_status vly_access_message(const vly_http_request *req, vly_err *err) VLY_MUST_CHECK;

/* Of vly_http_opts, ctx its vly_api: false when the key that opened the stream of req is not live
 * any more, or may do less. Thread: loop, before on_close. */
bool vly_access_may_go_on(void *ctx, const vly_http_request *req, vly_stream_end_info *ret);

/* The address of who asks, when that is not the peer: behind trusted proxies. Thread: loop. */
bool vly_access_find_client(const vly_http_request *req, char text[VLY_ADDRESS_TEXT_MAX]);
/* What the grant of a request says for others; empty and 0 when there is none. */
vly_str vly_access_key_name(const vly_http_request *req);
/* Whose sessions it begins, and which it may see: those of its key's name; an admin's key all, as
 * everybody where no keys are asked for. Borrowed from req. */
vly_imu_who vly_access_who(const vly_api *api, const vly_http_request *req);
/* RateLimit and RateLimit-Policy as of draft-ietf-httpapi-ratelimit-headers-09, where limits apply;
 * returns how many. */
#define VLY_ACCESS_HEADERS_MAX 2
size_t vly_access_put_headers(vly_http_request *req, vly_http_header to[VLY_ACCESS_HEADERS_MAX]);
bool vly_access_has_key(const vly_http_request *req); /* it sent one, right or wrong */
/* Seconds for Retry-After of a request that was refused; 1 when not known. */
uint64_t vly_access_retry_s(const vly_http_request *req);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The keys that a server takes now: found by what a client sent, replaced as a whole.
 *
 * A key is found by its SHA-256, which is compared in constant time; how long the search takes
 * depends on nothing but that hash of what was sent.
 *
 * Thread: any; one lock, which a change holds only to swap a pointer.
 */
#ifndef VLY_STORE_KEY_RING_H
#define VLY_STORE_KEY_RING_H

#include "store/key_file.h"

typedef struct vly_key_ring vly_key_ring;

vly_status vly_key_ring_new(vly_key_ring **ret, vly_err *err) VLY_MUST_CHECK; /* without keys */
void vly_key_ring_free(vly_key_ring *r);                                      /* accepts NULL */
/* Takes the keys over and leaves s empty; on failure (ENOMEM) all is as before. */
vly_status vly_key_ring_load(vly_key_ring *r, vly_key_set *s, vly_err *err) VLY_MUST_CHECK;

/* A key that is live now, in *ret. False: there is none. */
bool vly_key_ring_find(vly_key_ring *r, const unsigned char hash[VLY_KEY_HASH_BYTES],
                       uint64_t now_ms, vly_key *ret);

#endif

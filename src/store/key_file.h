/* SPDX-License-Identifier: MIT */
/*
 * API keys at rest: a JSON file of names, scopes, expiry, limits and the SHA-256 of each key, which
 * itself is shown once, when it is minted: "vly_" and 43 characters of base64url, 256 random bits
 * (so a plain hash keeps them as well as a slow one would). Replaced by rename, mode 0600.
 */
#ifndef VLY_STORE_KEY_FILE_H
#define VLY_STORE_KEY_FILE_H

#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a key may do. Each includes the ones before it. */
typedef enum vly_key_scope {
    VLY_SCOPE_NONE,  /* /health: needs no key */
    VLY_SCOPE_READ,  /* metadata, statistics, metrics */
    VLY_SCOPE_INFER, /* models run, sessions change */
    VLY_SCOPE_ADMIN, /* models load and unload, routes, cache, settings change */
} vly_key_scope;

#define VLY_KEY_HASH_BYTES 32

typedef struct vly_key {
    char name[64];
    unsigned char hash[VLY_KEY_HASH_BYTES];
    vly_key_scope scope;
    uint64_t expires_ms;         /* Unix time; 0: never */
    double rate;                 /* requests a second; 0: the server's default */
    uint32_t burst, concurrency; /* 0: the server's default */
    bool is_revoked;
} vly_key;

#endif

/* SPDX-License-Identifier: MIT */
/*
 * API keys at rest: a JSON file of names, scopes, expiry, limits and the SHA-256 of each key.
 *
 *   {"version":1,"keys":[{"name":"camera-1","sha256":"<64 hex digits>","scope":"infer",
 *    "created_ms":1,"expires_ms":0,"rate":0,"burst":0,"concurrency":0,"revoked":false}]}
 *
 * The key itself is shown once, when it is minted: "vly_" and 43 characters of base64url, 256
 * random bits. That many cannot be guessed, so a plain hash keeps them as well as a slow one would.
 *
 * Outside data: the text and the number of keys are bounded, what is not known is an error, and so
 * are two keys of one name or one hash. Thread: any; a set has one owner.
 */
#ifndef VLY_STORE_KEY_FILE_H
#define VLY_STORE_KEY_FILE_H

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a key may do. Each includes the ones before it. */
#define VLY_KEY_SCOPE_MAP(X)                                                                       \
    X(NONE, "none")   /* health and static pages: needs no key */                                  \
    X(READ, "read")   /* metadata, statistics, metrics */                                          \
    X(INFER, "infer") /* models run, sessions change */                                            \
    X(ADMIN, "admin") /* models load and unload, routes, cache, settings change */

typedef enum vly_key_scope {
#define VLY_KEY_SCOPE_ENUM(id, name) VLY_SCOPE_##id,
    VLY_KEY_SCOPE_MAP(VLY_KEY_SCOPE_ENUM)
#undef VLY_KEY_SCOPE_ENUM
} vly_key_scope;

const char *vly_key_scope_name(vly_key_scope s); /* "infer" */
/* read, infer or admin; EINVAL. */
vly_status vly_key_scope_parse(vly_str name, vly_key_scope *ret, vly_err *err) VLY_MUST_CHECK;

#define VLY_KEY_HASH_BYTES 32
#define VLY_KEY_NAME_MAX   63
#define VLY_KEY_TEXT_BYTES 47 /* "vly_" and the rest */
#define VLY_KEYS_MAX       10000

typedef struct vly_key {
    char name[VLY_KEY_NAME_MAX + 1]; /* letters, digits, '.', '_', '-' */
    unsigned char hash[VLY_KEY_HASH_BYTES];
    vly_key_scope scope;
    uint64_t created_ms, expires_ms; /* Unix time; 0: not known; never */
    double rate;                     /* requests a second; 0: the server's default */
    uint32_t burst, concurrency;     /* 0: the server's default */
    bool is_revoked;
} vly_key;

/* Zeroed: empty. */
typedef struct vly_key_set {
    vly_key *keys; /* [n], in the order of the file; owned */
    size_t n;
} vly_key_set;

/* EFORMAT names the key and the member; ELIMIT, ENOMEM. *ret: to be released. */
vly_status vly_key_set_parse(vly_str json, vly_key_set *ret, vly_err *err) VLY_MUST_CHECK;
void vly_key_set_print(const vly_key_set *s, vly_buf *out);
void vly_key_set_release(vly_key_set *s);                      /* leaves it empty */
vly_key *vly_key_set_find(const vly_key_set *s, vly_str name); /* NULL: there is none */
/* In place of a revoked or expired one of its name. EEXIST: one of that name is in use; EINVAL: not
 * a name; ELIMIT, ENOMEM. */
vly_status vly_key_set_add(vly_key_set *s, const vly_key *key, uint64_t now_ms,
                           vly_err *err) VLY_MUST_CHECK;
bool vly_key_is_live(const vly_key *key, uint64_t now_ms);

/* The whole file. Errors: as vly_key_set_parse and of sys/file.h, and name the path. Blocks. */
vly_status vly_key_file_read(const char *path, vly_key_set *ret, vly_err *err) VLY_MUST_CHECK;
/* Reads the set (of no file: an empty one), has it changed, and replaces the file by rename, mode
 * 0600. A lock on "PATH.lock" keeps a second writer waiting until then. */
typedef vly_status (*vly_key_edit_fn)(void *ctx, vly_key_set *s, vly_err *err);
vly_status vly_key_file_edit(const char *path, vly_key_edit_fn edit, void *ctx,
                             vly_err *err) VLY_MUST_CHECK;

/* A new key, NUL-terminated, and its hash. EIO: the system has no random bytes. */
vly_status vly_key_make(char text[VLY_KEY_TEXT_BYTES + 1], unsigned char hash[VLY_KEY_HASH_BYTES],
                        vly_err *err) VLY_MUST_CHECK;
/* False: not of the form of a key. */
bool vly_key_hash(vly_str text, unsigned char hash[VLY_KEY_HASH_BYTES]);

#endif

/* SPDX-License-Identifier: MIT */
/* Keys, limits and the admin listener of a server, by its settings. */
#ifndef VLY_CLI_SERVE_ACCESS_H
#define VLY_CLI_SERVE_ACCESS_H

#include "api/access.h"
#include "sys/config.h"
#include "sys/file.h"

/* Zeroed before open; owner: main. */
typedef struct vly_serve_access {
    const char *path;      /* of the key file, borrowed; "": none */
    vly_file_info seen;    /* the file as it was read last */
    vly_file_info refused; /* the one that could not be read, which has been said */
    bool is_refused;       /* the last look found no keys; refused says what */
    vly_key_ring *keys;    /* NULL: none are asked for */
    vly_access *access;    /* NULL: neither keys, limits nor trusted proxies */
    vly_http_server *admin;
} vly_serve_access;

/* EINVAL names the setting; those of the key file; ENOMEM. Close it in any case. */
vly_status vly_serve_access_open(const vly_config *c, uint64_t seed, vly_serve_access *a,
                                 vly_err *err) VLY_MUST_CHECK;
/* Addresses are bound. Only where they were at the start, a reload can change how. */
bool vly_serve_access_has_limits(const vly_config *c);
/* The limits as the settings say. */
void vly_serve_access_set(vly_access *a, const vly_config *c);
/* Starts the admin listener, when there is to be one; opts: of the public one. */
vly_status vly_serve_access_listen(const vly_config *c, const vly_http_opts *opts,
                                   vly_serve_access *a, vly_err *err) VLY_MUST_CHECK;
/* Reads the key file again when it is another one, or is_forced. One that cannot be read is said in
 * the log, and the keys before it stay. */
void vly_serve_access_check(vly_serve_access *a, bool is_forced);
void vly_serve_access_stop_admin(vly_serve_access *a); /* no request is in work there any more */
void vly_serve_access_close(vly_serve_access *a);

#endif

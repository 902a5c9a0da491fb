/* SPDX-License-Identifier: MIT */
/*
 * POSIX shared memory that clients have made and named here, so that tensors need not travel.
 *
 * A region is a mapped part of an object that shm_open finds under its key. It is known by a name
 * until it is unregistered, and stays mapped as long as somebody holds a reference. The bytes are
 * the client's: they change under our hands, so whatever is checked must be copied first. A client
 * that shortens the object while it is being read ends this process with SIGBUS; a view checks the
 * size when it is made, which narrows that window and does not close it. Therefore shared memory is
 * for clients that are trusted like the process itself.
 *
 * Register and view make a system call; the rest takes a lock for a moment. Thread: any.
 */
#ifndef VLY_SYS_SHARED_MEMORY_H
#define VLY_SYS_SHARED_MEMORY_H

#include "base/status.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#define VLY_SHM_NAME_MAX   255  /* bytes of a name, and of a key */
#define VLY_SHM_TAIL_BYTES 4096 /* that may be read behind a region, and so behind a view */

typedef struct vly_shared_memory vly_shared_memory;

/* Immutable. */
typedef struct vly_shared_region {
    const char *name;
    const char *key;
    uint64_t offset; /* in the object */
    uint64_t bytes;
} vly_shared_region;

/* max_regions: registered at a time. ENOMEM. */
vly_status vly_shared_memory_new(size_t max_regions, vly_shared_memory **ret,
                                 vly_err *err) VLY_MUST_CHECK;
void vly_shared_memory_free(vly_shared_memory *m); /* accepts NULL */

/* EEXIST: the name is taken; EINVAL: the key is no name of an object, or the object is shorter than
 * offset + bytes; ENOTFOUND: there is no such object that may be written; ELIMIT: too many; ENOMEM.
 * Messages are Triton's where it has one. */
vly_status vly_shared_memory_register(vly_shared_memory *m, vly_str name, vly_str key,
                                      uint64_t offset, uint64_t bytes, vly_err *err) VLY_MUST_CHECK;
/* name empty: all. Nothing happens when there is none. */
void vly_shared_memory_unregister(vly_shared_memory *m, vly_str name);

/* A part of a region: *ret_ptr is readable and writable as long as the caller holds *ret, a new
 * reference. ENOTFOUND: no such region; EINVAL: outside of it, or the object has become shorter. */
vly_status vly_shared_memory_view(vly_shared_memory *m, vly_str name, uint64_t offset,
                                  uint64_t bytes, vly_shared_region **ret, void **ret_ptr,
                                  vly_err *err) VLY_MUST_CHECK;
void vly_shared_region_unref(vly_shared_region *r); /* accepts NULL */

/* The region of this name, all when it is empty: an array of new references, in order of
 * registration, to be given back with vly_shared_list_free. ENOTFOUND, ENOMEM. */
typedef struct vly_shared_list {
    vly_shared_region **regions;
    size_t n;
} vly_shared_list;
vly_status vly_shared_memory_list(vly_shared_memory *m, vly_str name, vly_shared_list *ret,
                                  vly_err *err) VLY_MUST_CHECK;
void vly_shared_list_free(vly_shared_list *l);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Memory of one nghttp2 session. The first failure to get some ends the use of the session: nghttp2
 * must not be called any more, but to end it here. Owner: that of the session.
 */
#ifndef VLY_NET_HTTP2_MEM_H
#define VLY_NET_HTTP2_MEM_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

typedef struct vly_http2_block vly_http2_block;

/* Zeroed: of no session. */
typedef struct vly_http2_mem {
    vly_http2_block *blocks;
    bool is_out; /* of memory */
} vly_http2_mem;

nghttp2_mem vly_http2_mem_of(vly_http2_mem *m);
/* Frees the session, NULL when it could not be made, and all its memory. */
void vly_http2_mem_end(vly_http2_mem *m, nghttp2_session *ng);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.x answers out of bytes that come in any pieces: counted, not stored. llhttp reads heads
 * and chunks; of a body whose length is known it sees nothing, so that a client may drop those
 * bytes unread (MSG_TRUNC). Informational answers (1xx, but for 101) are passed over.
 *
 *     begin -> feed ... MORE, feed ... WHOLE -> begin
 *                                  \-> BROKEN: reason says why; feed no more
 */
#ifndef VLY_LOAD_LOAD_ANSWER_H
#define VLY_LOAD_LOAD_ANSWER_H

#include "base/str.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum vly_load_answer_event {
    VLY_LOAD_ANSWER_MORE,  /* all bytes were taken */
    VLY_LOAD_ANSWER_WHOLE, /* *in begins behind the answer */
    VLY_LOAD_ANSWER_BROKEN,
} vly_load_answer_event;

typedef struct vly_load_answer {
    void (*on_body)(void *ctx, vly_str piece); /* NULL: nobody wants it */
    void *ctx;

    int status;          /* 0: not known yet */
    bool is_cached;      /* "Volley-Cache: hit" */
    bool has_keep_alive; /* another may follow on the connection; once it is whole */
    vly_str reason;      /* of BROKEN; static */
    char accept[32];     /* Sec-WebSocket-Accept; empty: none that could be right */

    /* Private. */
    llhttp_t parser;
    bool is_to_head, has_begun, is_in_body, is_whole;
    uint64_t body_left; /* of a length that is known */
    size_t n_name;      /* of the header under way; past what is of use: it is none of those */
    size_t n_value;
    char name[24], value[32];
} vly_load_answer;

/* on_body and ctx are kept. is_to_head: the request was HEAD, so no body follows. */
void vly_load_answer_begin(vly_load_answer *a, bool is_to_head);
vly_load_answer_event vly_load_answer_feed(vly_load_answer *a, vly_str *in);
/* The connection has ended: WHOLE, when that ends the answer, else BROKEN. */
vly_load_answer_event vly_load_answer_end(vly_load_answer *a);

/* Bytes, to come, that are a body's and nothing else. */
static inline uint64_t vly_load_answer_body_left(const vly_load_answer *a)
{
    return a->body_left;
}
/* n of them were not fed but dropped. */
vly_load_answer_event vly_load_answer_skip(vly_load_answer *a, uint64_t n);

static inline bool vly_load_answer_has_begun(const vly_load_answer *a)
{
    return a->has_begun;
}

#endif

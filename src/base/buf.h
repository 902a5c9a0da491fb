/* SPDX-License-Identifier: MIT */
/*
 * Growable byte buffer with a stated maximum.
 *
 * An append past max_bytes, or without memory, sets `failed` and changes nothing more: a writer may
 * append a whole message unchecked and look at `failed` once at the end.
 * ptr is NUL-terminated after each append that succeeded (the NUL is not counted in len).
 * Owner: one thread at a time.
 */
#ifndef VLY_BASE_BUF_H
#define VLY_BASE_BUF_H

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct vly_buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max_bytes;
    vly_mem_kind kind;
    bool failed;
    bool is_lent;                 /* ptr is somebody else's */
    void (*give_back)(void *ctx); /* of what is lent; NULL: nobody waits for it */
    void *ctx;
} vly_buf;

void vly_buf_init(vly_buf *b, vly_mem_kind kind, size_t max_bytes); /* allocates nothing */
/* Makes b, which must be empty, of memory that somebody else owns: len bytes, with room for cap (0:
 * none to write to). When b no longer needs it, by release or because it grew out of it onto the
 * heap, it calls give_back(ctx), on whatever thread that is. */
void vly_buf_lend(vly_buf *b, void *bytes, size_t len, size_t cap, void (*give_back)(void *ctx),
                  void *ctx);
void vly_buf_release(vly_buf *b);
void vly_buf_clear(vly_buf *b); /* empty, keeps its memory, forgets `failed` */

/* Makes room for n more bytes; false when that fails. */
bool vly_buf_reserve(vly_buf *b, size_t n);
void vly_buf_add(vly_buf *b, const void *bytes, size_t n);
void vly_buf_add_str(vly_buf *b, vly_str s);
void vly_buf_puts(vly_buf *b, const char *cstr);
void vly_buf_putc(vly_buf *b, char c);
void vly_buf_printf(vly_buf *b, const char *fmt, ...) VLY_PRINTF(2, 3);
/* JSON string literal with quotes: escapes ", \ and control bytes; bytes that are not UTF-8 become
 * U+FFFD, so that what comes out is always valid JSON. */
void vly_buf_json_str(vly_buf *b, vly_str s);

static inline vly_str vly_buf_str(const vly_buf *b)
{
    return (vly_str){b->ptr, b->len};
}

#endif

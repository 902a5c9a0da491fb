/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void vly_buf_init(vly_buf *b, vly_mem_kind kind, size_t max_bytes)
{
    *b = (vly_buf){.kind = kind, .max_bytes = max_bytes};
}

void vly_buf_lend(vly_buf *b, void *bytes, size_t len, size_t cap, void (*give_back)(void *ctx),
                  void *ctx)
{
    VLY_ASSERT(b->ptr == NULL && !b->is_lent);
    b->ptr = bytes;
    b->len = len;
    b->cap = cap;
    b->is_lent = true;
    b->give_back = give_back;
    b->ctx = ctx;
}

static void give_back(vly_buf *b)
{
    if (b->is_lent && b->give_back != NULL)
        b->give_back(b->ctx);
    if (!b->is_lent)
        vly_free(b->ptr);
    b->is_lent = false;
    b->give_back = NULL;
    b->ctx = NULL;
}

void vly_buf_release(vly_buf *b)
{
    give_back(b);
    b->ptr = NULL;
    b->len = b->cap = 0;
}

/* What is lent stays as it is; what b writes from now on is its own. */
static char *grow(vly_buf *b, size_t cap)
{
    if (!b->is_lent)
        return vly_realloc(b->kind, b->ptr, cap);
    char *ptr = vly_alloc(b->kind, cap);
    if (ptr == NULL)
        return NULL;
    if (b->len > 0)
        memcpy(ptr, b->ptr, b->len);
    give_back(b);
    return ptr;
}

void vly_buf_clear(vly_buf *b)
{
    b->len = 0;
    b->failed = false;
}

bool vly_buf_reserve(vly_buf *b, size_t n)
{
    size_t need;

    if (b->failed)
        return false;
    if (!vly_size_add(b->len, n, &need) || need > b->max_bytes || need == SIZE_MAX) {
        b->failed = true;
        return false;
    }
    if (need < b->cap)
        return true;
    size_t cap = b->cap < 256 ? 256 : b->cap;
    while (cap <= need)
        cap = cap > SIZE_MAX / 2 ? need + 1 : cap * 2;
    char *ptr = grow(b, cap);
    if (ptr == NULL) {
        b->failed = true;
        return false;
    }
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

void vly_buf_add(vly_buf *b, const void *bytes, size_t n)
{
    if (!vly_buf_reserve(b, n))
        return;
    if (n > 0)
        memcpy(b->ptr + b->len, bytes, n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void vly_buf_add_str(vly_buf *b, vly_str s)
{
    vly_buf_add(b, s.ptr, s.len);
}

void vly_buf_puts(vly_buf *b, const char *cstr)
{
    vly_buf_add(b, cstr, strlen(cstr));
}

void vly_buf_putc(vly_buf *b, char c)
{
    vly_buf_add(b, &c, 1);
}

void vly_buf_printf(vly_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !vly_buf_reserve(b, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void vly_buf_json_str(vly_buf *b, vly_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    vly_buf_putc(b, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = vly_utf8_len((vly_str){s.ptr + i, s.len - i});
        if (n == 0) {
            vly_buf_puts(b, "\xef\xbf\xbd");
            n = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            vly_buf_putc(b, '\\');
            vly_buf_putc(b, (char)p[i]);
        } else if (p[i] < 0x20) {
            vly_buf_printf(b, "\\u%04x", p[i]);
        } else {
            vly_buf_add(b, p + i, n);
        }
        i += n;
    }
    vly_buf_putc(b, '"');
}

/* SPDX-License-Identifier: MIT */
/*
 * String view: bytes somebody else owns, not NUL-terminated. Print with "%.*s", VLY_STR_ARG(s).
 */
#ifndef VLY_BASE_STR_H
#define VLY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct vly_str {
    const char *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;
} vly_str;

#define VLY_STR(literal) ((vly_str){"" literal, sizeof(literal) - 1})
#define VLY_STR_ARG(s)   (int)((s).len), ((s).ptr != NULL ? (s).ptr : "")

static inline vly_str vly_str_from(const char *cstr)
{
    return (vly_str){cstr, cstr != NULL ? strlen(cstr) : 0};
}

static inline bool vly_str_eq(vly_str a, vly_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool vly_str_is(vly_str a, const char *cstr)
{
    return vly_str_eq(a, vly_str_from(cstr));
}

bool vly_str_eq_nocase(vly_str a, vly_str b); /* ASCII only, as HTTP header names want it */
bool vly_str_starts(vly_str s, vly_str prefix);
bool vly_str_ends(vly_str s, vly_str suffix);
vly_str vly_str_trim(vly_str s); /* without leading and trailing blanks, tabs, CR and LF */

/* Cuts s at the first sep: returns what stands before it and moves *s behind it. Without a sep
 * returns all of it and leaves *s empty with ptr NULL, so `while (s.ptr != NULL)` visits all. */
vly_str vly_str_split(vly_str *s, char sep);

/* Length of the UTF-8 sequence that s begins with; 0: none (RFC 3629, so no surrogates). */
size_t vly_utf8_len(vly_str s);
bool vly_str_is_utf8(vly_str s);

/* Decimal integer and float over the whole view; false on anything else, overflow included. */
bool vly_str_to_i64(vly_str s, int64_t *ret);
bool vly_str_to_u64(vly_str s, uint64_t *ret);
bool vly_str_to_f64(vly_str s, double *ret); /* at most 63 bytes; inf and nan accepted */

#endif

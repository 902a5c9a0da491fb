/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include "base/bits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static char lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
}

bool vly_str_eq_nocase(vly_str a, vly_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool vly_str_starts(vly_str s, vly_str prefix)
{
    return s.len >= prefix.len && vly_str_eq((vly_str){s.ptr, prefix.len}, prefix);
}

bool vly_str_ends(vly_str s, vly_str suffix)
{
    if (suffix.len == 0 || s.len < suffix.len)
        return suffix.len == 0;
    return vly_str_eq((vly_str){s.ptr + s.len - suffix.len, suffix.len}, suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

vly_str vly_str_trim(vly_str s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

vly_str vly_str_split(vly_str *s, char sep)
{
    vly_str head = *s;
    const char *at = s->len > 0 ? memchr(s->ptr, sep, s->len) : NULL;

    if (at == NULL) {
        *s = (vly_str){NULL, 0};
        return head;
    }
    head.len = (size_t)(at - head.ptr);
    s->ptr = at + 1;
    s->len -= head.len + 1;
    return head;
}

size_t vly_utf8_len(vly_str s)
{
    static const struct {
        unsigned char lead_lo, lead_hi, second_lo, second_hi, len;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *p = (const unsigned char *)s.ptr;

    for (size_t r = 0; s.len > 0 && r < sizeof(rows) / sizeof(rows[0]); r++) {
        if (p[0] < rows[r].lead_lo || p[0] > rows[r].lead_hi)
            continue;
        if (rows[r].len > s.len)
            return 0;
        if (rows[r].len > 1 && (p[1] < rows[r].second_lo || p[1] > rows[r].second_hi))
            return 0;
        for (size_t i = 2; i < rows[r].len; i++)
            if (p[i] < 0x80 || p[i] > 0xbf)
                return 0;
        return rows[r].len;
    }
    return 0;
}

/* Eight bytes at a time where all are ASCII, as most text is. */
bool vly_str_is_utf8(vly_str s)
{
    while (s.len > 0) {
        size_t n = 8;
        if (s.len < n || (vly_load_le64(s.ptr) & UINT64_C(0x8080808080808080)) != 0)
            n = vly_utf8_len(s);
        if (n == 0)
            return false;
        s = (vly_str){s.ptr + n, s.len - n};
    }
    return true;
}

bool vly_str_to_u64(vly_str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.ptr[i] - '0'), &v))
            return false;
    }
    *ret = v;
    return true;
}

bool vly_str_to_i64(vly_str s, int64_t *ret)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t magnitude;

    if (negative || (s.len > 0 && s.ptr[0] == '+'))
        s = (vly_str){s.ptr + 1, s.len - 1};
    if (!vly_str_to_u64(s, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool vly_str_to_f64(vly_str s, double *ret)
{
    char text[64];
    char *end;
    double v;

    if (s.len == 0 || s.len >= sizeof(text) || is_blank(s.ptr[0]))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    errno = 0;
    v = strtod(text, &end); /* the process never calls setlocale: always the "C" locale */
    if (end != text + s.len || strpbrk(text, "xX(") != NULL || (errno == ERANGE && isinf(v)))
        return false; /* strtod also takes 0x1p3 and nan(...) */
    *ret = v;
    return true;
}

/* SPDX-License-Identifier: MIT */
/* W3C Trace Context, level 1, section 3.2: version "-" trace-id "-" parent-id "-" flags. */
#include "codec/traceparent.h"

#define TRACE_AT  VLY_TRACEPARENT_ID_BEGIN
#define PARENT_AT 36
#define FLAGS_AT  53

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vly_hex_parse(const char *digits, unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(digits[2 * i]), low = digit(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Of version 00 nothing follows; of others "-", or nothing. ff is none. */
static bool is_whole(vly_str s, unsigned version)
{
    if (s.len == VLY_TRACEPARENT_BYTES)
        return version != 0xff;
    return version != 0 && version != 0xff && s.ptr[VLY_TRACEPARENT_BYTES] == '-';
}

bool vly_traceparent_parse(vly_str s, vly_traceparent *ret)
{
    unsigned char version, flags;
    vly_traceparent t;

    if (s.len < VLY_TRACEPARENT_BYTES || s.ptr[2] != '-' || s.ptr[PARENT_AT - 1] != '-' ||
        s.ptr[FLAGS_AT - 1] != '-')
        return false;
    if (!vly_hex_parse(s.ptr, &version, 1) || !is_whole(s, version) ||
        !vly_hex_parse(s.ptr + TRACE_AT, t.trace, sizeof(t.trace)) ||
        !vly_hex_parse(s.ptr + PARENT_AT, t.parent, sizeof(t.parent)) ||
        !vly_hex_parse(s.ptr + FLAGS_AT, &flags, 1))
        return false;
    if (is_zero(t.trace, sizeof(t.trace)) || is_zero(t.parent, sizeof(t.parent)))
        return false;
    t.flags = flags;
    *ret = t;
    return true;
}

static void put_hex(char *to, const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        to[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
}

void vly_traceparent_format(const vly_traceparent *t, char text[VLY_TRACEPARENT_BYTES + 1])
{
    const unsigned char flags = (unsigned char)t->flags;

    memcpy(text, "00-", 3);
    put_hex(text + TRACE_AT, t->trace, sizeof(t->trace));
    text[PARENT_AT - 1] = '-';
    put_hex(text + PARENT_AT, t->parent, sizeof(t->parent));
    text[FLAGS_AT - 1] = '-';
    put_hex(text + FLAGS_AT, &flags, 1);
    text[VLY_TRACEPARENT_BYTES] = '\0';
}

/* SPDX-License-Identifier: MIT */
#include "codec/exif.h"

#include <stdbool.h>
#include <string.h>

enum {
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3,
    TYPE_LONG = 4,
    ENTRY_BYTES = 12,
};

/* The block and its byte order: "II" little, "MM" big. */
typedef struct tiff {
    const uint8_t *ptr;
    size_t len;
    bool is_big;
} tiff;

/* The caller has checked that at + 2 (or 4) <= len. */
static uint32_t load16(const tiff *t, size_t at)
{
    const uint8_t *p = t->ptr + at;
    return t->is_big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t load32(const tiff *t, size_t at)
{
    uint32_t first = load16(t, at), second = load16(t, at + 2);
    return t->is_big ? first << 16 | second : second << 16 | first;
}

static int entry_orientation(const tiff *t, size_t at)
{
    uint32_t type = load16(t, at + 2), value = 0;

    if (type == TYPE_SHORT)
        value = load16(t, at + 8);
    else if (type == TYPE_LONG)
        value = load32(t, at + 8);
    return value >= 1 && value <= 8 ? (int)value : 1;
}

int vly_exif_orientation(const uint8_t *bytes, size_t len)
{
    if (len >= 6 && memcmp(bytes, "Exif\0", 6) == 0) {
        bytes += 6;
        len -= 6;
    }
    if (len < 8 || (memcmp(bytes, "II", 2) != 0 && memcmp(bytes, "MM", 2) != 0))
        return 1;

    tiff t = {.ptr = bytes, .len = len, .is_big = bytes[0] == 'M'};
    size_t dir = load32(&t, 4);
    if (load16(&t, 2) != 42 || dir > len || len - dir < 2)
        return 1;
    size_t n_entries = load16(&t, dir), room = (len - dir - 2) / ENTRY_BYTES;
    for (size_t i = 0; i < n_entries && i < room; i++) {
        size_t at = dir + 2 + i * ENTRY_BYTES;
        if (load16(&t, at) == TAG_ORIENTATION)
            return entry_orientation(&t, at);
    }
    return 1;
}

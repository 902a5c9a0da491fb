/* SPDX-License-Identifier: MIT */
#include "load/load_body.h"

#include <endian.h>
#include <string.h>
#include <zlib.h>

#define DIGITS     16
#define WEBP_BYTES 24 /* of a chunk with them */

/* ---- pictures ------------------------------------------------------------------------------ */

/* NULL: the arena is full. */
static char *insert(vly_str picture, size_t at, vly_str piece, vly_arena *arena)
{
    char *copy = vly_arena_alloc(arena, picture.len + piece.len);

    if (copy == NULL)
        return NULL;
    memcpy(copy, picture.ptr, at);
    memcpy(copy + at, piece.ptr, piece.len);
    memcpy(copy + at + piece.len, picture.ptr + at, picture.len - at);
    return copy;
}

/* A piece that decoders pass over, where it goes, and where its mark is in it. */
typedef struct comment {
    vly_str piece;
    size_t at, mark_at;
    vly_load_mark mark;
} comment;

/* Past the last chunk; 0: it has no place for another. */
static size_t end_of_webp(vly_str picture)
{
    uint32_t n;

    if (picture.len < 12 || memcmp(picture.ptr + 8, "WEBP", 4) != 0)
        return 0;
    memcpy(&n, picture.ptr + 4, sizeof(n));
    n = le32toh(n);
    return n % 2 == 0 && n <= UINT32_MAX - WEBP_BYTES && n <= picture.len - 8 ? n + (size_t)8 : 0;
}

static bool choose_comment(vly_str picture, comment *ret)
{
    /* SOI; then a COM segment of 18 bytes, its length included */
    static const char jpeg[] = "\xFF\xFE\0\x12"
                               "0000000000000000";
    /* signature and IHDR are 33 bytes; then a tEXt chunk: length, type, keyword, text, checksum */
    static const char png[] = "\0\0\0\x12tEXtn\0"
                              "0000000000000000\0\0\0\0";
    /* behind all others, a chunk of our own: type, length, content */
    static const char webp[] = "vlyn\x10\0\0\0"
                               "0000000000000000";
    static const char signature[] = "\x89PNG\r\n\x1a\n";

    _Static_assert(sizeof(webp) - 1 == WEBP_BYTES, "its length is added to that of the file");
    if (vly_str_starts(picture, VLY_STR("\xFF\xD8\xFF")))
        *ret = (comment){{jpeg, sizeof(jpeg) - 1}, 2, 4, VLY_LOAD_MARK_HEX};
    else if (vly_str_starts(picture, (vly_str){signature, 8}) && picture.len > 33)
        *ret = (comment){{png, sizeof(png) - 1}, 33, 10, VLY_LOAD_MARK_PNG};
    else if (vly_str_starts(picture, VLY_STR("RIFF")) && end_of_webp(picture) > 0)
        *ret = (comment){{webp, sizeof(webp) - 1}, end_of_webp(picture), 8, VLY_LOAD_MARK_HEX};
    else
        return false;
    return true;
}

static void lengthen_webp(char *bytes)
{
    uint32_t n;

    memcpy(&n, bytes + 4, sizeof(n));
    n = htole32(le32toh(n) + WEBP_BYTES);
    memcpy(bytes + 4, &n, sizeof(n));
}

vly_status vly_load_body_picture(vly_str picture, vly_arena *arena, vly_load_body *ret,
                                 vly_err *err)
{
    comment c = {0};

    if (!choose_comment(picture, &c))
        return vly_fail(err, VLY_EUNSUPPORTED,
                        "expected a JPEG, a PNG or a WebP, to be made distinct");
    char *bytes = insert(picture, c.at, c.piece, arena);
    if (bytes == NULL)
        return vly_arena_fail(arena, err);
    if (bytes[0] == 'R')
        lengthen_webp(bytes);
    *ret = (vly_load_body){
        .bytes = {bytes, picture.len + c.piece.len}, .mark = c.mark, .at = c.at + c.mark_at};
    (void)vly_load_body_mark(ret, 0, bytes + ret->at);
    return VLY_OK;
}

/* ---- marks --------------------------------------------------------------------------------- */

static void put_digits(char *to, uint64_t number, unsigned base)
{
    for (size_t i = DIGITS; i > 0; i--, number /= base)
        to[i - 1] = "0123456789abcdef"[number % base];
}

/* The checksum covers type and content. */
static void put_png_checksum(char *digits)
{
    static const Bytef begin[6] = "tEXtn";
    const uint32_t crc = (uint32_t)crc32(crc32(0, begin, 6), (const Bytef *)digits, DIGITS);

    for (size_t i = 0; i < 4; i++)
        digits[DIGITS + i] = (char)(crc >> (24 - 8 * i));
}

size_t vly_load_body_mark(const vly_load_body *body, uint64_t number, char mark[VLY_LOAD_MARK_MAX])
{
    const uint32_t low = (uint32_t)number, bits = UINT32_C(0x3f000000) | (low & 0x7fffff);

    switch (body->mark) {
    case VLY_LOAD_MARK_NONE:
        break;
    case VLY_LOAD_MARK_HEX:
        put_digits(mark, number, 16);
        return DIGITS;
    case VLY_LOAD_MARK_PNG:
        put_digits(mark, number, 16);
        put_png_checksum(mark);
        return DIGITS + 4;
    case VLY_LOAD_MARK_DECIMAL:
        put_digits(mark, number, 10);
        return DIGITS;
    case VLY_LOAD_MARK_FLOAT:
        memcpy(mark, &bits, sizeof(bits));
        return sizeof(bits);
    case VLY_LOAD_MARK_BYTES:
        memcpy(mark, &low, sizeof(low));
        return sizeof(low);
    }
    return 0;
}

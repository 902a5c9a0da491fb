/* SPDX-License-Identifier: MIT */
#include "load/load_body.h"

#include <string.h>
#include <zlib.h>

#define DIGITS 16

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

vly_status vly_load_body_picture(vly_str picture, vly_arena *arena, vly_load_body *ret,
                                 vly_err *err)
{
    /* SOI; then a COM segment of 18 bytes, its length included */
    static const char jpeg[] = "\xFF\xFE\0\x12"
                               "0000000000000000";
    /* signature and IHDR are 33 bytes; then a tEXt chunk: length, type, keyword, text, checksum */
    static const char png[] = "\0\0\0\x12tEXtn\0"
                              "0000000000000000\0\0\0\0";
    static const char signature[] = "\x89PNG\r\n\x1a\n";
    const bool is_png = vly_str_starts(picture, (vly_str){signature, 8}) && picture.len > 33;

    if (!is_png && !vly_str_starts(picture, VLY_STR("\xFF\xD8\xFF")))
        return vly_fail(err, VLY_EUNSUPPORTED, "expected a JPEG or a PNG, to be made distinct");
    const vly_str piece =
        is_png ? (vly_str){png, sizeof(png) - 1} : (vly_str){jpeg, sizeof(jpeg) - 1};
    const size_t at = is_png ? 33 : 2;
    char *bytes = insert(picture, at, piece, arena);
    if (bytes == NULL)
        return vly_arena_fail(arena, err);
    *ret = (vly_load_body){.bytes = {bytes, picture.len + piece.len},
                           .mark = is_png ? VLY_LOAD_MARK_PNG : VLY_LOAD_MARK_HEX,
                           .at = at + (is_png ? 10 : 4)};
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

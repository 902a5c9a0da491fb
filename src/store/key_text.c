/* SPDX-License-Identifier: MIT */
/* Keys as their owners have them, and the words for what they may do. */
#include "base/assert.h"
#include "store/key_file.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#define PREFIX     "vly_"
#define KEY_BYTES  32
#define KEY_DIGITS 43
#define DIGIT_BITS 6
#define SPARE_BITS 2 /* of the last digit: 43 * 6 = 256 + 2 */

_Static_assert(sizeof(PREFIX) - 1 + KEY_DIGITS == VLY_KEY_TEXT_BYTES, "the length of a key");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const char *vly_key_scope_name(vly_key_scope s)
{
    static const char *const names[] = {
#define NAME(id, name) name,
        VLY_KEY_SCOPE_MAP(NAME)
#undef NAME
    };
    VLY_ASSERT((size_t)s < VLY_COUNT(names));
    return names[s];
}

vly_status vly_key_scope_parse(vly_str name, vly_key_scope *ret, vly_err *err)
{
    for (vly_key_scope s = VLY_SCOPE_READ; s <= VLY_SCOPE_ADMIN; s++) {
        if (!vly_str_is(name, vly_key_scope_name(s)))
            continue;
        *ret = s;
        return VLY_OK;
    }
    return vly_fail(err, VLY_EINVAL, "scope: expected read, infer or admin, got '%.*s'",
                    VLY_STR_ARG(name));
}

/* RFC 4648 5, without padding. */
static void put_base64url(const unsigned char bytes[KEY_BYTES], char *to)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;

    for (size_t i = 0; i < KEY_BYTES; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= DIGIT_BITS; n_bits -= DIGIT_BITS)
            *to++ = digits[bits >> (n_bits - DIGIT_BITS) & 63];
    }
    *to++ = digits[bits << SPARE_BITS & 63];
    *to = '\0';
}

vly_status vly_key_make(char text[VLY_KEY_TEXT_BYTES + 1], unsigned char hash[VLY_KEY_HASH_BYTES],
                        vly_err *err)
{
    unsigned char bytes[KEY_BYTES];

    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return vly_fail(err, VLY_EIO, "no random bytes for a key");
    memcpy(text, PREFIX, sizeof(PREFIX));
    put_base64url(bytes, text + sizeof(PREFIX) - 1);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    bool is_key = vly_key_hash(vly_str_from(text), hash);
    VLY_ASSERT(is_key);
    return VLY_OK;
}

static bool is_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool vly_key_hash(vly_str text, unsigned char hash[VLY_KEY_HASH_BYTES])
{
    if (text.len != VLY_KEY_TEXT_BYTES || !vly_str_starts(text, VLY_STR(PREFIX)))
        return false;
    for (size_t i = sizeof(PREFIX) - 1; i < text.len; i++)
        if (!is_digit(text.ptr[i]))
            return false;
    SHA256((const unsigned char *)text.ptr, text.len, hash);
    return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * Names are read in two passes over the text by one scanner: the first validates and counts, the
 * second fills the array that the first has sized. So a dictionary may come in any order, and a
 * malformed text allocates nothing.
 */
#include "tasks/metadata.h"

#include <stdbool.h>
#include <string.h>

typedef struct cursor {
    vly_str text;
    size_t at;
    vly_err *err;
} cursor;

/* Where names go: arena NULL in the counting pass. */
typedef struct name_sink {
    vly_arena *arena;
    vly_str *names;
    size_t count; /* greatest class + 1 */
} name_sink;

static vly_status malformed(const cursor *c, const char *expected)
{
    return vly_fail(c->err, VLY_EFORMAT, "metadata: expected %s at offset %zu", expected, c->at);
}

/* The byte at the cursor, 0 at the end (and for a NUL, which no caller accepts). */
static char byte_at(const cursor *c)
{
    return c->at < c->text.len ? c->text.ptr[c->at] : '\0';
}

/* The next byte that is not blank; does not consume it. */
static char peek(cursor *c)
{
    while (byte_at(c) == ' ' || byte_at(c) == '\t' || byte_at(c) == '\r' || byte_at(c) == '\n')
        c->at++;
    return byte_at(c);
}

static bool take(cursor *c, char expected)
{
    if (peek(c) != expected)
        return false;
    c->at++;
    return true;
}

static vly_status expect(cursor *c, char expected, const char *what)
{
    return take(c, expected) ? VLY_OK : malformed(c, what);
}

static vly_status expect_end(cursor *c)
{
    (void)peek(c);
    return c->at == c->text.len ? VLY_OK : malformed(c, "the end");
}

static vly_status read_int(cursor *c, int64_t *ret)
{
    char first = peek(c);
    size_t begin = c->at;

    if (first == '-' || first == '+')
        c->at++;
    while (byte_at(c) >= '0' && byte_at(c) <= '9')
        c->at++;
    if (vly_str_to_i64((vly_str){c->text.ptr + begin, c->at - begin}, ret))
        return VLY_OK;
    c->at = begin;
    return malformed(c, "an integer");
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static vly_status read_hex(cursor *c, unsigned n_digits, uint32_t *ret)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < n_digits; i++) {
        int digit = hex_value(byte_at(c));
        if (digit < 0)
            return malformed(c, "a hexadecimal digit");
        v = v << 4 | (uint32_t)digit;
        c->at++;
    }
    *ret = v;
    return VLY_OK;
}

/* A second \uDC00..DFFF makes one character with the first; anything else stays where it is. */
static uint32_t join_surrogates(cursor *c, uint32_t high)
{
    cursor ahead = {.text = c->text, .at = c->at};
    uint32_t low;

    if (high < 0xd800 || high > 0xdbff || byte_at(&ahead) != '\\')
        return high;
    ahead.at++;
    if (byte_at(&ahead) != 'u')
        return high;
    ahead.at++;
    if (read_hex(&ahead, 4, &low) != VLY_OK || low < 0xdc00 || low > 0xdfff)
        return high;
    c->at = ahead.at;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Writes a code point as UTF-8, never longer than its escape was; returns the number of bytes. */
static size_t put_utf8(uint32_t cp, char *dst)
{
    char bytes[4];
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

    if (n == 1) {
        bytes[0] = (char)cp;
    } else {
        for (size_t i = n - 1; i > 0; i--, cp >>= 6)
            bytes[i] = (char)(0x80 | (cp & 0x3f));
        bytes[0] = (char)(((0xf00u >> n) & 0xf0u) | cp);
    }
    if (dst != NULL)
        memcpy(dst, bytes, n);
    return n;
}

/* The cursor stands behind the backslash. dst NULL: count only. */
static vly_status read_escape(cursor *c, char *dst, size_t *ret_len)
{
    static const char names[] = "nrt\\'\"/";
    static const char values[] = "\n\r\t\\'\"/";
    char kind = byte_at(c);
    const char *simple = kind != '\0' ? strchr(names, kind) : NULL;
    unsigned n_digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    uint32_t cp;

    if (simple == NULL && n_digits == 0)
        return malformed(c, "an escape");
    c->at++;
    if (simple != NULL) {
        *ret_len = put_utf8((uint8_t)values[simple - names], dst);
        return VLY_OK;
    }
    vly_status st = read_hex(c, n_digits, &cp);
    if (st != VLY_OK)
        return st;
    cp = n_digits == 4 ? join_surrogates(c, cp) : cp;
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    *ret_len = put_utf8(cp, dst);
    return VLY_OK;
}

/* A quoted string up to its closing quote. dst NULL: count only. */
static vly_status read_quoted(cursor *c, char *dst, size_t *ret_len)
{
    char quote = peek(c);
    size_t len = 0;

    if (quote != '\'' && quote != '"')
        return malformed(c, "a quoted string");
    c->at++;
    while (byte_at(c) != quote) {
        size_t step = 1;
        char byte = byte_at(c);
        if (byte == '\0')
            return malformed(c, "a closing quote");
        c->at++;
        if (byte == '\\') {
            vly_status st = read_escape(c, dst != NULL ? dst + len : NULL, &step);
            if (st != VLY_OK)
                return st;
        } else if (dst != NULL) {
            dst[len] = byte;
        }
        len += step;
    }
    c->at++;
    *ret_len = len;
    return VLY_OK;
}

static vly_status read_name(cursor *c, name_sink *sink, int64_t class_id)
{
    cursor begin = *c;
    size_t len;

    if (class_id < 0 || class_id >= VLY_METADATA_NAMES_MAX)
        return vly_fail(c->err, VLY_ELIMIT, "metadata: class %lld is outside 0..%d",
                        (long long)class_id, VLY_METADATA_NAMES_MAX - 1);
    vly_status st = read_quoted(c, NULL, &len);
    if (st != VLY_OK)
        return st;
    if ((size_t)class_id >= sink->count)
        sink->count = (size_t)class_id + 1;
    if (sink->arena == NULL)
        return VLY_OK;
    char *copy = vly_arena_alloc(sink->arena, len + 1);
    if (copy == NULL)
        return vly_fail(c->err, VLY_ENOMEM, "metadata: no memory for class names");
    st = read_quoted(&begin, copy, &len);
    copy[len] = '\0';
    sink->names[class_id] = (vly_str){copy, len};
    return st;
}

/* A dictionary's key, quoted as JSON has it or not. */
static vly_status read_key(cursor *c, int64_t *ret)
{
    char quote = peek(c);
    vly_status st;

    if (quote != '"' && quote != '\'')
        return read_int(c, ret);
    c->at++;
    st = read_int(c, ret);
    if (st != VLY_OK)
        return st;
    return expect(c, quote, "a closing quote");
}

static vly_status scan_names(cursor *c, name_sink *sink)
{
    bool is_dict = take(c, '{');
    char close = is_dict ? '}' : ']';
    vly_status st = is_dict ? VLY_OK : expect(c, '[', "'{' or '['");

    for (int64_t next = 0; st == VLY_OK && !take(c, close); next++) {
        int64_t class_id = next;
        if (next > 0)
            st = expect(c, ',', "',' or the closing bracket");
        if (st == VLY_OK && next > 0 && take(c, close))
            break; /* a comma behind the last item, as Python allows */
        if (st == VLY_OK && is_dict)
            st = read_key(c, &class_id);
        if (st == VLY_OK && is_dict)
            st = expect(c, ':', "':'");
        if (st == VLY_OK)
            st = read_name(c, sink, class_id);
    }
    return st == VLY_OK ? expect_end(c) : st;
}

vly_status vly_metadata_names(vly_str text, vly_arena *arena, const vly_str **ret_names,
                              size_t *ret_count, vly_err *err)
{
    cursor first = {.text = text, .err = err};
    cursor second = first;
    name_sink sink = {0};

    vly_status st = scan_names(&first, &sink);
    if (st != VLY_OK)
        return st;
    sink.arena = arena;
    sink.names = vly_arena_calloc(arena, sink.count, sizeof(*sink.names));
    if (sink.names == NULL)
        return vly_fail(err, VLY_ENOMEM, "metadata: no memory for %zu class names", sink.count);
    st = scan_names(&second, &sink);
    if (st != VLY_OK)
        return st;
    *ret_names = sink.names;
    *ret_count = sink.count;
    return VLY_OK;
}

static vly_status read_ints(cursor *c, char close, int64_t *values, size_t max, size_t *ret_count)
{
    size_t n = 0;

    while (!take(c, close)) {
        int64_t value;
        if (n > 0 && !take(c, ','))
            return malformed(c, "',' or the closing bracket");
        if (n > 0 && take(c, close))
            break;
        vly_status st = read_int(c, &value);
        if (st != VLY_OK)
            return st;
        if (n == max)
            return malformed(c, "fewer integers");
        values[n++] = value;
    }
    *ret_count = n;
    return expect_end(c);
}

vly_status vly_metadata_ints(vly_str text, int64_t *ret_values, size_t max, size_t *ret_count,
                             vly_err *err)
{
    cursor c = {.text = text, .err = err};
    int64_t value;

    if (take(&c, '['))
        return read_ints(&c, ']', ret_values, max, ret_count);
    if (take(&c, '('))
        return read_ints(&c, ')', ret_values, max, ret_count);
    vly_status st = read_int(&c, &value);
    if (st == VLY_OK)
        st = expect_end(&c);
    if (st != VLY_OK)
        return st;
    if (max == 0)
        return malformed(&c, "fewer integers");
    ret_values[0] = value;
    *ret_count = 1;
    return VLY_OK;
}

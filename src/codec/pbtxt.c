/* SPDX-License-Identifier: MIT */
/*
 * One step reads one field, one element of a list, or one closing bracket. Messages that are open
 * stand on an explicit stack.
 */
#include "codec/pbtxt.h"

#include "base/assert.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

typedef enum list_state {
    LIST_NONE,
    LIST_BEGIN, /* behind "[": an element or "]" */
    LIST_NEXT,  /* behind an element: "," or "]" */
} list_state;

typedef struct frame {
    vly_pbtxt *message;
    vly_pbtxt *last; /* of its fields */
    char close;      /* '}', '>', or 0 for the root */
    list_state list; /* inside the list of a repeated field of this message */
    bool has_colon;  /* ... which began with ": [" */
    vly_pbtxt head;  /* ... and each element's name, line and column */
} frame;

typedef struct place {
    const char *at;
    const char *line_start;
    uint32_t line;
} place;

typedef struct parser {
    place pos;
    const char *end;
    vly_arena *arena;
    vly_err *err;
    size_t n_frames;
    frame frames[VLY_PBTXT_DEPTH_MAX + 1];
} parser;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_ident_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_ident(char c)
{
    return is_ident_start(c) || is_digit(c);
}

static char peek(const parser *p)
{
    return p->pos.at < p->end ? *p->pos.at : '\0';
}

static uint32_t column(const parser *p)
{
    return (uint32_t)(p->pos.at - p->pos.line_start) + 1;
}

/* "3:7: expected a field name, got '}'" */
static vly_status fail_expected(parser *p, const char *what)
{
    char got[16];
    unsigned char c = (unsigned char)peek(p);

    if (p->pos.at == p->end)
        snprintf(got, sizeof(got), "the end");
    else if (c > 0x20 && c < 0x7f)
        snprintf(got, sizeof(got), "'%c'", c);
    else
        snprintf(got, sizeof(got), "byte 0x%02x", c);
    return vly_fail(p->err, VLY_EFORMAT, "%u:%u: expected %s, got %s", p->pos.line, column(p), what,
                    got);
}

static void skip_blanks(parser *p)
{
    bool in_comment = false;

    for (; p->pos.at < p->end; p->pos.at++) {
        char c = *p->pos.at;
        if (c == '\n') {
            in_comment = false;
            p->pos.line++;
            p->pos.line_start = p->pos.at + 1;
        } else if (c == '#') {
            in_comment = true;
        } else if (!in_comment && c != ' ' && c != '\t' && c != '\r' && c != '\v' && c != '\f') {
            return;
        }
    }
}

/* Takes c if it comes next, blanks and comments aside. */
static bool take(parser *p, char c)
{
    skip_blanks(p);
    if (p->pos.at == p->end || *p->pos.at != c)
        return false;
    p->pos.at++;
    return true;
}

/* ---- scalars ---- */

static vly_str take_ident(parser *p)
{
    const char *start = p->pos.at;

    while (p->pos.at < p->end && is_ident(*p->pos.at))
        p->pos.at++;
    return (vly_str){start, (size_t)(p->pos.at - start)};
}

static size_t count_digits(vly_str s)
{
    size_t n = 0;

    while (n < s.len && is_digit(s.ptr[n]))
        n++;
    return n;
}

static vly_str skip(vly_str s, size_t n)
{
    return (vly_str){s.ptr + n, s.len - n};
}

/* Hexadecimal digits over all of s, at least one. */
static bool is_hex(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]) && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f') &&
            !(s.ptr[i] >= 'A' && s.ptr[i] <= 'F'))
            return false;
    return s.len > 0;
}

static bool has_hex_prefix(vly_str s)
{
    return s.len > 2 && s.ptr[0] == '0' && (s.ptr[1] == 'x' || s.ptr[1] == 'X');
}

static bool has_octal_prefix(vly_str s)
{
    return s.len > 1 && s.ptr[0] == '0' && is_digit(s.ptr[1]);
}

static bool is_octal(vly_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '7')
            return false;
    return true;
}

/* 0x1f, 017; or 12, 12.5, .5, 5., 1e-3, each perhaps with an f behind. */
static bool is_number(vly_str s)
{
    if (has_hex_prefix(s))
        return is_hex(skip(s, 2));
    if (has_octal_prefix(s))
        return is_octal(s);
    size_t n_digits = count_digits(s);
    s = skip(s, n_digits);
    if (s.len > 0 && s.ptr[0] == '.') {
        size_t n = count_digits(skip(s, 1));
        n_digits += n;
        s = skip(s, n + 1);
    }
    if (n_digits == 0)
        return false;
    if (s.len > 0 && (s.ptr[0] == 'e' || s.ptr[0] == 'E')) {
        bool has_sign = s.len > 1 && (s.ptr[1] == '-' || s.ptr[1] == '+');
        s = skip(s, has_sign ? 2 : 1);
        size_t n = count_digits(s);
        if (n == 0)
            return false;
        s = skip(s, n);
    }
    return s.len == 0 || (s.len == 1 && (s.ptr[0] == 'f' || s.ptr[0] == 'F'));
}

static vly_status take_number(parser *p, vly_pbtxt *field)
{
    const char *start = p->pos.at;
    const char *at = start;

    while (at < p->end && (is_ident(*at) || *at == '.' ||
                           ((*at == '-' || *at == '+') && (at[-1] == 'e' || at[-1] == 'E') &&
                            !has_hex_prefix((vly_str){start, (size_t)(at - start)}))))
        at++;
    field->kind = VLY_PBTXT_NUMBER;
    field->text = (vly_str){start, (size_t)(at - start)};
    if (!is_number(field->text))
        return vly_fail(p->err, VLY_EFORMAT, "%u:%u: malformed number '%.*s'", p->pos.line,
                        column(p), (int)(field->text.len < 32 ? field->text.len : 32), start);
    p->pos.at = at;
    return VLY_OK;
}

/* ---- strings ---- */

static unsigned hex_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    return (unsigned)((c | 0x20) - 'a') + 10;
}

/* Takes up to max hexadecimal digits. */
static uint32_t take_hex(parser *p, size_t max, size_t *ret_n)
{
    uint32_t v = 0;
    size_t n = 0;

    while (n < max && p->pos.at < p->end && is_hex((vly_str){p->pos.at, 1})) {
        v = v << 4 | hex_value(*p->pos.at++);
        n++;
    }
    *ret_n = n;
    return v;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(0xf00 >> n | c); /* 110x, 1110 or 1111 0xxx */
    return n;
}

static vly_status take_unicode(parser *p, size_t n_digits, char *out, size_t *len)
{
    size_t n;
    uint32_t c = take_hex(p, n_digits, &n);

    if (n != n_digits)
        return fail_expected(p, "a hexadecimal digit");
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return vly_fail(p->err, VLY_EFORMAT, "%u:%u: U+%04X is no character", p->pos.line,
                        column(p), c);
    *len += put_utf8(out + *len, c);
    return VLY_OK;
}

/* Behind a backslash. What it stands for is never longer than how it is written. */
static vly_status take_escape(parser *p, char *out, size_t *len)
{
    static const char plain[][2] = {{'n', '\n'}, {'t', '\t'},  {'r', '\r'}, {'a', '\a'},
                                    {'b', '\b'}, {'f', '\f'},  {'v', '\v'}, {'?', '?'},
                                    {'"', '"'},  {'\'', '\''}, {'\\', '\\'}};
    char c = peek(p);
    size_t n = 0;
    uint32_t v = 0;

    for (size_t i = 0; i < VLY_COUNT(plain); i++) {
        if (c == plain[i][0]) {
            p->pos.at++;
            out[(*len)++] = plain[i][1];
            return VLY_OK;
        }
    }
    if (c == 'u' || c == 'U') {
        p->pos.at++;
        return take_unicode(p, c == 'u' ? 4 : 8, out, len);
    }
    if (c == 'x' || c == 'X') {
        p->pos.at++;
        v = take_hex(p, 2, &n);
    } else {
        for (; n < 3 && peek(p) >= '0' && peek(p) <= '7'; n++)
            v = v << 3 | (uint32_t)(*p->pos.at++ - '0');
    }
    if (n == 0 || v > 0xff)
        return fail_expected(p, "an escape sequence");
    out[(*len)++] = (char)v;
    return VLY_OK;
}

/* Takes one literal, from quote to quote; out has room for its bytes. */
static vly_status take_literal(parser *p, char *out, size_t *len)
{
    char quote = *p->pos.at++;

    while (peek(p) != quote || p->pos.at == p->end) {
        if (p->pos.at == p->end || *p->pos.at == '\n')
            return fail_expected(p, "a quote that ends the string");
        char c = *p->pos.at++;
        if (c != '\\') {
            out[(*len)++] = c;
            continue;
        }
        vly_status st = take_escape(p, out, len);
        if (st != VLY_OK)
            return st;
    }
    p->pos.at++;
    return VLY_OK;
}

static bool at_quote(parser *p)
{
    skip_blanks(p);
    return peek(p) == '"' || peek(p) == '\'';
}

/* Length of the literal at the quote, quotes included, without looking into escapes; up to the end
 * of the text when it is not closed. */
static size_t literal_len(const parser *p, bool *ret_has_escape)
{
    const char *at = p->pos.at + 1;
    bool has_escape = false;

    while (at < p->end && *at != *p->pos.at) {
        has_escape = has_escape || *at == '\\' || *at == '\n';
        at += *at == '\\' && p->end - at > 1 ? 2 : 1;
    }
    *ret_has_escape = has_escape || at >= p->end;
    return (size_t)((at < p->end ? at + 1 : p->end) - p->pos.at);
}

/* One or more literals. A single one without escapes is a view; others are copied. */
static vly_status take_string(parser *p, vly_pbtxt *field)
{
    bool has_escape;
    size_t total = 0;
    place start = p->pos;

    field->kind = VLY_PBTXT_STRING;
    for (size_t n = 0; at_quote(p); n++) {
        size_t len = literal_len(p, &has_escape);
        const char *content = p->pos.at + 1;
        p->pos.at += len;
        total += len;
        if (n == 0 && !has_escape && !at_quote(p)) {
            field->text = (vly_str){content, len - 2};
            return VLY_OK;
        }
    }
    p->pos = start;
    char *out = vly_arena_alloc(p->arena, total);
    size_t len = 0;
    if (out == NULL)
        return vly_arena_fail(p->arena, p->err);
    while (at_quote(p)) {
        vly_status st = take_literal(p, out, &len);
        if (st != VLY_OK)
            return st;
    }
    field->text = (vly_str){out, len};
    return VLY_OK;
}

/* ---- fields ---- */

static vly_status take_scalar(parser *p, vly_pbtxt *field)
{
    if (at_quote(p))
        return take_string(p, field);
    field->is_negative = take(p, '-');
    skip_blanks(p);
    if (is_ident_start(peek(p))) {
        field->kind = VLY_PBTXT_IDENT;
        field->text = take_ident(p);
        return VLY_OK;
    }
    if (is_digit(peek(p)) || peek(p) == '.')
        return take_number(p, field);
    return fail_expected(p, "a value");
}

static vly_status push(parser *p, vly_pbtxt *message, char close)
{
    if (p->n_frames == VLY_COUNT(p->frames))
        return vly_fail(p->err, VLY_ELIMIT, "%u:%u: messages are nested deeper than %d",
                        p->pos.line, column(p), VLY_PBTXT_DEPTH_MAX);
    p->frames[p->n_frames++] = (frame){.message = message, .close = close};
    return VLY_OK;
}

/* Reads a message's opening bracket, or a whole scalar, and appends it to the top frame's message.
 */
static vly_status take_value(parser *p, frame *f, const vly_pbtxt *head, bool has_colon)
{
    vly_pbtxt *field = vly_arena_alloc(p->arena, sizeof(*field));
    vly_status st;

    if (field == NULL)
        return vly_arena_fail(p->arena, p->err);
    *field = *head;
    skip_blanks(p);
    char open = peek(p);
    bool is_message = open == '{' || open == '<';
    if (is_message) {
        p->pos.at++;
        field->kind = VLY_PBTXT_MESSAGE;
        st = push(p, field, open == '{' ? '}' : '>');
    } else if (!has_colon) {
        st = fail_expected(p, "':', '{' or '<'");
    } else {
        st = take_scalar(p, field);
    }
    if (st != VLY_OK)
        return st;
    if (f->last != NULL)
        f->last->next = field;
    else
        f->message->first = field;
    f->last = field;
    return VLY_OK;
}

/* "name" or "[domain/some.name]" */
static vly_status take_name(parser *p, vly_pbtxt *head)
{
    const char *start = p->pos.at;

    head->line = p->pos.line;
    head->column = column(p);
    if (is_ident_start(peek(p))) {
        head->name = take_ident(p);
        return VLY_OK;
    }
    if (peek(p) != '[')
        return fail_expected(p, "a field name");
    p->pos.at++;
    while (p->pos.at < p->end &&
           (is_ident(*p->pos.at) || *p->pos.at == '.' || *p->pos.at == '/' || *p->pos.at == '-'))
        p->pos.at++;
    if (peek(p) != ']' || p->pos.at - start < 2)
        return fail_expected(p, "a name and ']'");
    p->pos.at++;
    head->name = (vly_str){start, (size_t)(p->pos.at - start)};
    return VLY_OK;
}

static void take_separator(parser *p)
{
    if (!take(p, ','))
        (void)take(p, ';');
}

/* The separator behind a scalar field, or behind a message that has just been closed. */
static void end_field(parser *p)
{
    if (p->frames[p->n_frames - 1].list == LIST_NONE)
        take_separator(p);
}

static vly_status step_field(parser *p, frame *f)
{
    vly_pbtxt head = {0};

    vly_status st = take_name(p, &head);
    if (st != VLY_OK)
        return st;
    bool has_colon = take(p, ':');
    if (take(p, '[')) {
        f->list = LIST_BEGIN;
        f->head = head;
        f->has_colon = has_colon;
        return VLY_OK;
    }
    size_t n_frames = p->n_frames;
    st = take_value(p, f, &head, has_colon);
    if (st == VLY_OK && p->n_frames == n_frames)
        end_field(p);
    return st;
}

static vly_status step_list(parser *p, frame *f)
{
    bool is_first = f->list == LIST_BEGIN;

    if (take(p, ']')) {
        f->list = LIST_NONE;
        take_separator(p);
        return VLY_OK;
    }
    if (!is_first && !take(p, ','))
        return fail_expected(p, "',' or ']'");
    f->list = LIST_NEXT;
    return take_value(p, f, &f->head, f->has_colon);
}

static vly_status step_close(parser *p)
{
    p->pos.at++;
    p->n_frames--;
    end_field(p);
    return VLY_OK;
}

vly_status vly_pbtxt_parse(vly_str text, vly_arena *arena, const vly_pbtxt **ret_root, vly_err *err)
{
    parser p = {.arena = arena, .err = err};
    vly_pbtxt *root = vly_arena_calloc(arena, 1, sizeof(*root));

    if (root == NULL)
        return vly_arena_fail(arena, err);
    if (text.len == 0)
        text = VLY_STR("");
    if (vly_str_starts(text, VLY_STR("\xef\xbb\xbf")))
        text = skip(text, 3);
    p.pos = (place){text.ptr, text.ptr, 1};
    p.end = text.ptr + text.len;
    root->kind = VLY_PBTXT_MESSAGE;
    vly_status st = push(&p, root, '\0');
    while (st == VLY_OK) {
        frame *f = &p.frames[p.n_frames - 1];
        skip_blanks(&p);
        if (p.pos.at == p.end && p.n_frames == 1 && f->list == LIST_NONE)
            break;
        if (f->list != LIST_NONE)
            st = step_list(&p, f);
        else if (f->close != '\0' && peek(&p) == f->close)
            st = step_close(&p);
        else
            st = step_field(&p, f);
    }
    if (st == VLY_OK)
        *ret_root = root;
    return st;
}

/* ---- reading a tree ---- */

static bool parse_hex(vly_str s, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (v >> 60 != 0)
            return false;
        v = v << 4 | hex_value(s.ptr[i]);
    }
    *ret = v;
    return true;
}

static bool parse_octal(vly_str s, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (v >> 61 != 0)
            return false;
        v = v << 3 | (uint64_t)(s.ptr[i] - '0');
    }
    *ret = v;
    return true;
}

/* Digits without their sign. */
static bool parse_magnitude(const vly_pbtxt *field, uint64_t *ret)
{
    vly_str s = field->text;

    if (field->kind != VLY_PBTXT_NUMBER)
        return false;
    if (has_hex_prefix(s))
        return parse_hex(skip(s, 2), ret);
    return has_octal_prefix(s) ? parse_octal(s, ret) : vly_str_to_u64(s, ret);
}

bool vly_pbtxt_i64(const vly_pbtxt *field, int64_t *ret)
{
    uint64_t v;

    if (!parse_magnitude(field, &v) || v > (uint64_t)INT64_MAX + field->is_negative)
        return false;
    *ret = field->is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool vly_pbtxt_u64(const vly_pbtxt *field, uint64_t *ret)
{
    uint64_t v;

    if (!parse_magnitude(field, &v) || (field->is_negative && v != 0))
        return false;
    *ret = v;
    return true;
}

bool vly_pbtxt_f64(const vly_pbtxt *field, double *ret)
{
    vly_str s = field->text;
    double v;

    if (field->kind == VLY_PBTXT_IDENT) {
        if (vly_str_eq_nocase(s, VLY_STR("inf")) || vly_str_eq_nocase(s, VLY_STR("infinity")))
            v = (double)INFINITY;
        else if (vly_str_eq_nocase(s, VLY_STR("nan")))
            v = (double)NAN;
        else
            return false;
    } else {
        if (field->kind != VLY_PBTXT_NUMBER || has_hex_prefix(s) || has_octal_prefix(s))
            return false;
        if (s.ptr[s.len - 1] == 'f' || s.ptr[s.len - 1] == 'F')
            s.len--;
        if (!vly_str_to_f64(s, &v))
            return false;
    }
    *ret = field->is_negative ? -v : v;
    return true;
}

bool vly_pbtxt_bool(const vly_pbtxt *field, bool *ret)
{
    static const char *const names[2][4] = {{"false", "False", "f", "0"},
                                            {"true", "True", "t", "1"}};

    if (field->is_negative || (field->kind != VLY_PBTXT_IDENT && field->kind != VLY_PBTXT_NUMBER))
        return false;
    for (size_t v = 0; v < 2; v++) {
        for (size_t i = 0; i < VLY_COUNT(names[v]); i++) {
            if (vly_str_is(field->text, names[v][i])) {
                *ret = v == 1;
                return true;
            }
        }
    }
    return false;
}

const vly_pbtxt *vly_pbtxt_find(const vly_pbtxt *message, const char *name)
{
    const vly_pbtxt *found = NULL;

    for (const vly_pbtxt *f = message->first; f != NULL; f = f->next)
        if (vly_str_is(f->name, name))
            found = f;
    return found;
}

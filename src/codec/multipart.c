/* SPDX-License-Identifier: MIT */
#include "codec/multipart.h"

#include <string.h>

/* "\r\n--" and the boundary: what ends the data of each part. */
typedef struct delimiter {
    char text[4 + VLY_MULTIPART_BOUNDARY_MAX];
    size_t len;
} delimiter;

static vly_str skip(vly_str s, size_t n)
{
    return (vly_str){s.ptr + n, s.len - n};
}

static vly_str skip_blanks(vly_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = skip(s, 1);
    return s;
}

static bool starts_nocase(vly_str s, vly_str prefix)
{
    return s.len >= prefix.len && vly_str_eq_nocase((vly_str){s.ptr, prefix.len}, prefix);
}

/* Takes "quoted", in which a backslash protects the next byte, or a token from *s. */
static bool take_value(vly_str *s, vly_str *ret)
{
    bool is_quoted = s->len > 0 && s->ptr[0] == '"';
    size_t i = is_quoted ? 1 : 0;

    if (is_quoted) {
        while (i < s->len && s->ptr[i] != '"')
            i += s->ptr[i] == '\\' ? 2 : 1;
        if (i >= s->len)
            return false;
        *ret = (vly_str){s->ptr + 1, i - 1};
        *s = skip(*s, i + 1);
        return true;
    }
    while (i < s->len && s->ptr[i] != ';' && s->ptr[i] != ' ' && s->ptr[i] != '\t')
        i++;
    *ret = (vly_str){s->ptr, i};
    *s = skip(*s, i);
    return true;
}

/* Takes the next "; name=value" of a header from *s. False: there is none, or it is malformed. */
static bool take_param(vly_str *s, vly_str *ret_name, vly_str *ret_value)
{
    vly_str rest = skip_blanks(*s);

    while (rest.len > 0 && rest.ptr[0] == ';')
        rest = skip_blanks(skip(rest, 1));
    const char *equals = rest.len > 0 ? memchr(rest.ptr, '=', rest.len) : NULL;
    if (equals == NULL)
        return false;
    vly_str name = vly_str_trim((vly_str){rest.ptr, (size_t)(equals - rest.ptr)});
    rest = skip_blanks(skip(rest, (size_t)(equals + 1 - rest.ptr)));
    if (!take_value(&rest, ret_value))
        return false;
    *ret_name = name;
    *s = rest;
    return true;
}

vly_status vly_multipart_boundary(vly_str content_type, vly_str *ret, vly_err *err)
{
    vly_str rest = content_type;
    vly_str type = vly_str_trim(vly_str_split(&rest, ';'));
    vly_str name, value;

    if (!vly_str_eq_nocase(type, VLY_STR("multipart/form-data")))
        return vly_fail(err, VLY_EMEDIA, "expected multipart/form-data, got '%.*s'",
                        VLY_STR_ARG(type));
    while (take_param(&rest, &name, &value)) {
        if (!vly_str_eq_nocase(name, VLY_STR("boundary")))
            continue;
        if (value.len == 0 || value.len > VLY_MULTIPART_BOUNDARY_MAX)
            return vly_fail(err, VLY_EFORMAT,
                            "multipart/form-data: expected a boundary of 1 to %d bytes, got %zu",
                            VLY_MULTIPART_BOUNDARY_MAX, value.len);
        *ret = value;
        return VLY_OK;
    }
    return vly_fail(err, VLY_EFORMAT, "multipart/form-data: no boundary in the Content-Type");
}

static void read_disposition(vly_str value, vly_multipart_part *part)
{
    vly_str rest = value;
    vly_str name, text;

    vly_str_split(&rest, ';');
    while (take_param(&rest, &name, &text)) {
        if (vly_str_eq_nocase(name, VLY_STR("name")))
            part->name = text;
        else if (vly_str_eq_nocase(name, VLY_STR("filename")))
            part->filename = text;
    }
}

/* Reads the header lines up to the empty one and moves *rest behind it. */
static vly_status take_headers(vly_str *rest, vly_multipart_part *part, size_t n, vly_err *err)
{
    const vly_str disposition = VLY_STR("content-disposition:");
    const vly_str type = VLY_STR("content-type:");
    vly_str left = {rest->ptr,
                    rest->len < VLY_MULTIPART_HEADER_MAX ? rest->len : VLY_MULTIPART_HEADER_MAX};

    for (;;) {
        const char *end = memmem(left.ptr, left.len, "\r\n", 2);
        if (end == NULL && rest->len > VLY_MULTIPART_HEADER_MAX)
            return vly_fail(err, VLY_ELIMIT,
                            "multipart/form-data: headers of part %zu take more than %d bytes",
                            n + 1, VLY_MULTIPART_HEADER_MAX);
        if (end == NULL)
            return vly_fail(err, VLY_EFORMAT,
                            "multipart/form-data: body ends in the headers of part %zu", n + 1);
        vly_str line = {left.ptr, (size_t)(end - left.ptr)};
        left = skip(left, line.len + 2);
        if (line.len == 0)
            break;
        if (starts_nocase(line, disposition))
            read_disposition(skip(line, disposition.len), part);
        else if (starts_nocase(line, type))
            part->content_type = vly_str_trim(skip(line, type.len));
    }
    *rest = skip(*rest, (size_t)(left.ptr - rest->ptr));
    return VLY_OK;
}

/* Moves *rest behind the rest of a delimiter's line. True: it was the closing one. */
static vly_status end_delimiter(vly_str *rest, bool *ret_is_last, vly_err *err)
{
    if (vly_str_starts(*rest, VLY_STR("--"))) {
        *ret_is_last = true;
        return VLY_OK;
    }
    vly_str after = skip_blanks(*rest);
    if (!vly_str_starts(after, VLY_STR("\r\n")))
        return vly_fail(err, VLY_EFORMAT,
                        "multipart/form-data: expected a line end or '--' "
                        "behind the boundary");
    *rest = skip(after, 2);
    *ret_is_last = false;
    return VLY_OK;
}

/* Moves *rest behind the next delimiter; what stood before it goes to *ret_before. */
static vly_status take_delimiter(vly_str *rest, const delimiter *d, vly_str *ret_before,
                                 vly_err *err)
{
    const char *at = memmem(rest->ptr, rest->len, d->text, d->len);

    if (at == NULL)
        return vly_fail(err, VLY_EFORMAT,
                        "multipart/form-data: body ends without the boundary '%.*s'",
                        (int)(d->len - 4), d->text + 4);
    *ret_before = (vly_str){rest->ptr, (size_t)(at - rest->ptr)};
    *rest = skip(*rest, ret_before->len + d->len);
    return VLY_OK;
}

/* The first delimiter may open the body, without the line end before it. */
static vly_status take_preamble(vly_str *rest, const delimiter *d, vly_err *err)
{
    vly_str preamble;

    if (vly_str_starts(*rest, (vly_str){d->text + 2, d->len - 2})) {
        *rest = skip(*rest, d->len - 2);
        return VLY_OK;
    }
    return take_delimiter(rest, d, &preamble, err);
}

vly_status vly_multipart_parse(vly_str body, vly_str boundary, vly_multipart_part *parts,
                               size_t max_parts, size_t *ret_n, vly_err *err)
{
    delimiter d = {.text = "\r\n--", .len = 4 + boundary.len};
    vly_str rest = {body.ptr != NULL ? body.ptr : "", body.len};
    bool is_last = false;
    size_t n = 0;

    if (boundary.len == 0 || boundary.len > VLY_MULTIPART_BOUNDARY_MAX)
        return vly_fail(err, VLY_EFORMAT, "multipart/form-data: bad boundary");
    memcpy(d.text + 4, boundary.ptr, boundary.len);

    vly_status st = take_preamble(&rest, &d, err);
    if (st == VLY_OK)
        st = end_delimiter(&rest, &is_last, err);
    while (st == VLY_OK && !is_last) {
        vly_multipart_part part = {.data = {NULL, 0}};

        if (n == max_parts)
            return vly_fail(err, VLY_ELIMIT, "multipart/form-data: more than %zu parts", max_parts);
        st = take_headers(&rest, &part, n, err);
        if (st == VLY_OK)
            st = take_delimiter(&rest, &d, &part.data, err);
        if (st == VLY_OK)
            st = end_delimiter(&rest, &is_last, err);
        if (st == VLY_OK)
            parts[n++] = part;
    }
    if (st == VLY_OK)
        *ret_n = n;
    return st;
}

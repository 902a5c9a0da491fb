/* SPDX-License-Identifier: MIT */
/*
 * Layout: "\x93NUMPY", version major and minor, header length (2 bytes, from version 2 on 4), the
 * header, the data. The header is a Python literal padded with spaces, so that the data begin at a
 * multiple of 64:
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 */
#include "codec/npy.h"

#include "base/assert.h"
#include "base/bits.h"

#include <stdio.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAGIC_LEN  6
#define HEADER_MAX 65536 /* a version 2 header could be 4 GiB of spaces */
#define DATA_ALIGN 64

static const struct {
    char descr[4]; /* without the byte order */
    uint8_t bytes;
    int32_t data_type;
} types[] = {
    {"b1", 1, 9},  {"i1", 1, 3}, {"u1", 1, 2},  {"i2", 2, 5},  {"u2", 2, 4}, {"i4", 4, 6},
    {"u4", 4, 12}, {"i8", 8, 7}, {"u8", 8, 13}, {"f2", 2, 10}, {"f4", 4, 1}, {"f8", 8, 11},
};

static size_t elem_bytes(int32_t data_type)
{
    for (size_t i = 0; i < VLY_COUNT(types); i++)
        if (types[i].data_type == data_type)
            return types[i].bytes;
    return 0;
}

static void skip_blanks(vly_str *s)
{
    while (s->len > 0 && (s->ptr[0] == ' ' || s->ptr[0] == '\t' || s->ptr[0] == '\n')) {
        s->ptr++;
        s->len--;
    }
}

/* Takes c, with blanks before it. */
static bool take(vly_str *s, char c)
{
    skip_blanks(s);
    if (s->len == 0 || s->ptr[0] != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

/* Takes 'text' or "text"; there are no escapes in what is accepted here. */
static bool take_string(vly_str *s, vly_str *ret)
{
    skip_blanks(s);
    if (s->len == 0 || (s->ptr[0] != '\'' && s->ptr[0] != '"'))
        return false;
    const char *end = memchr(s->ptr + 1, s->ptr[0], s->len - 1);
    if (end == NULL)
        return false;
    *ret = (vly_str){s->ptr + 1, (size_t)(end - s->ptr) - 1};
    s->len -= ret->len + 2;
    s->ptr = end + 1;
    return true;
}

static bool take_word(vly_str *s, const char *word)
{
    skip_blanks(s);
    if (!vly_str_starts(*s, vly_str_from(word)))
        return false;
    s->ptr += strlen(word);
    s->len -= strlen(word);
    return true;
}

static bool take_bool(vly_str *s, bool *ret)
{
    *ret = take_word(s, "True");
    return *ret || take_word(s, "False");
}

static bool take_int(vly_str *s, int64_t *ret)
{
    size_t n = 0;

    skip_blanks(s);
    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
        n++;
    if (!vly_str_to_i64((vly_str){s->ptr, n}, ret))
        return false;
    s->ptr += n;
    s->len -= n;
    take(s, 'L'); /* Python 2's long */
    return true;
}

/* (), (3,) or (3, 4) */
static vly_status take_shape(vly_str *s, vly_npy *a, vly_err *err)
{
    bool more = take(s, '(');

    if (!more)
        return vly_fail(err, VLY_EFORMAT, "npy: shape is not a tuple");
    a->n_dims = 0;
    while (!take(s, ')')) {
        if (a->n_dims == VLY_NPY_DIMS_MAX)
            return vly_fail(err, VLY_ELIMIT, "npy: more than %d dimensions", VLY_NPY_DIMS_MAX);
        if (!more || !take_int(s, &a->dims[a->n_dims++]))
            return vly_fail(err, VLY_EFORMAT, "npy: malformed shape");
        more = take(s, ',');
    }
    return VLY_OK;
}

static vly_status take_descr(vly_str *s, vly_npy *a, vly_err *err)
{
    vly_str descr;

    skip_blanks(s);
    if (s->len > 0 && s->ptr[0] == '[')
        return vly_fail(err, VLY_EUNSUPPORTED, "npy: arrays of records are not read");
    if (!take_string(s, &descr) || descr.len < 2)
        return vly_fail(err, VLY_EFORMAT, "npy: malformed descr");
    vly_str kind = {descr.ptr + 1, descr.len - 1};
    for (size_t i = 0; i < VLY_COUNT(types); i++) {
        bool is_known_order = descr.ptr[0] == '<' || descr.ptr[0] == '=' || types[i].bytes == 1;
        if (vly_str_is(kind, types[i].descr) && is_known_order) {
            a->data_type = types[i].data_type;
            return VLY_OK;
        }
    }
    return vly_fail(err, VLY_EUNSUPPORTED, "npy: elements of type '%.*s' are not read",
                    (int)(descr.len < 32 ? descr.len : 32), descr.ptr);
}

enum { HAS_DESCR = 1u << 0, HAS_ORDER = 1u << 1, HAS_SHAPE = 1u << 2, HAS_ALL = 7 };

static vly_status take_entry(vly_str *s, vly_npy *a, unsigned *seen, vly_err *err)
{
    vly_str key;
    vly_status st = VLY_OK;

    if (!take_string(s, &key) || !take(s, ':'))
        return vly_fail(err, VLY_EFORMAT, "npy: malformed header");
    if (vly_str_is(key, "descr")) {
        *seen |= HAS_DESCR;
        st = take_descr(s, a, err);
    } else if (vly_str_is(key, "fortran_order")) {
        *seen |= HAS_ORDER;
        if (!take_bool(s, &a->is_fortran_order))
            st = vly_fail(err, VLY_EFORMAT, "npy: malformed fortran_order");
    } else if (vly_str_is(key, "shape")) {
        *seen |= HAS_SHAPE;
        st = take_shape(s, a, err);
    } else {
        st = vly_fail(err, VLY_EFORMAT, "npy: unknown key in the header");
    }
    return st;
}

static vly_status parse_header(vly_str header, vly_npy *a, vly_err *err)
{
    vly_str s = header;
    unsigned seen = 0;
    bool more = take(&s, '{');

    if (!more)
        return vly_fail(err, VLY_EFORMAT, "npy: malformed header");
    while (!take(&s, '}')) {
        if (!more)
            return vly_fail(err, VLY_EFORMAT, "npy: malformed header");
        vly_status st = take_entry(&s, a, &seen, err);
        if (st != VLY_OK)
            return st;
        more = take(&s, ',');
    }
    skip_blanks(&s);
    if (s.len > 0)
        return vly_fail(err, VLY_EFORMAT, "npy: malformed header");
    if (seen != HAS_ALL)
        return vly_fail(err, VLY_EFORMAT, "npy: header lacks descr, fortran_order or shape");
    return VLY_OK;
}

/* False on overflow. */
static bool count_elems(size_t n_dims, const int64_t *dims, size_t *ret)
{
    size_t n = 1;

    for (size_t i = 0; i < n_dims; i++)
        if (dims[i] == 0)
            n = 0;
    for (size_t i = 0; i < n_dims; i++)
        if (!vly_size_mul(n, (size_t)dims[i], &n))
            return false;
    *ret = n;
    return true;
}

/* Finds the header behind magic and version. */
static vly_status find_header(vly_str file, vly_str *ret, vly_err *err)
{
    const unsigned char *p = (const unsigned char *)file.ptr;
    size_t prefix, n;

    if (!vly_str_starts(file, VLY_STR(MAGIC)) || file.len < MAGIC_LEN + 2)
        return vly_fail(err, VLY_EFORMAT, "npy: not an .npy file");
    if (p[6] < 1 || p[6] > 3 || p[7] != 0)
        return vly_fail(err, VLY_EUNSUPPORTED, "npy: version %d.%d: expected 1.0 to 3.0", p[6],
                        p[7]);
    prefix = p[6] == 1 ? 10 : 12;
    if (file.len < prefix)
        return vly_fail(err, VLY_EFORMAT, "npy: cut off in the header");
    n = p[6] == 1 ? (size_t)(p[8] | p[9] << 8) : vly_load_le32(p + 8);
    if (n > HEADER_MAX)
        return vly_fail(err, VLY_ELIMIT, "npy: header is longer than %d bytes", HEADER_MAX);
    if (n > file.len - prefix)
        return vly_fail(err, VLY_EFORMAT, "npy: cut off in the header");
    *ret = (vly_str){file.ptr + prefix, n};
    return VLY_OK;
}

vly_status vly_npy_parse(const void *bytes, size_t len, vly_npy *ret, vly_err *err)
{
    vly_npy a = {0};
    vly_str header = {NULL, 0};

    vly_status st = find_header((vly_str){bytes, len}, &header, err);
    if (st != VLY_OK)
        return st;
    st = parse_header(header, &a, err);
    if (st != VLY_OK)
        return st;
    if (!count_elems(a.n_dims, a.dims, &a.n_elems) ||
        !vly_size_mul(a.n_elems, elem_bytes(a.data_type), &a.n_bytes))
        return vly_fail(err, VLY_EFORMAT, "npy: the product of the dimensions overflows");
    const char *data = header.ptr + header.len;
    size_t n_data = len - (size_t)(data - (const char *)bytes);
    if (n_data != a.n_bytes)
        return vly_fail(err, VLY_EFORMAT, "npy: expected %zu bytes of data for its shape, got %zu",
                        a.n_bytes, n_data);
    a.data = data;
    *ret = a;
    return VLY_OK;
}

/* Walks the C-order output and finds each element in the Fortran-order input. */
static void copy_transposed(const vly_npy *a, char *dst, size_t width)
{
    size_t strides[VLY_NPY_DIMS_MAX];
    size_t idx[VLY_NPY_DIMS_MAX] = {0};
    size_t stride = width;
    size_t from = 0;

    for (size_t d = 0; d < a->n_dims; d++) {
        strides[d] = stride;
        stride *= (size_t)a->dims[d];
    }
    for (size_t i = 0; i < a->n_elems; i++) {
        memcpy(dst + i * width, (const char *)a->data + from, width);
        for (size_t d = a->n_dims; d-- > 0;) {
            from += strides[d];
            if (++idx[d] < (size_t)a->dims[d])
                break;
            from -= strides[d] * (size_t)a->dims[d];
            idx[d] = 0;
        }
    }
}

void vly_npy_copy(const vly_npy *a, void *dst)
{
    if (a->n_bytes == 0)
        return;
    if (a->is_fortran_order && a->n_dims > 1)
        copy_transposed(a, dst, elem_bytes(a->data_type));
    else
        memcpy(dst, a->data, a->n_bytes);
}

vly_status vly_npy_write(vly_buf *out, int32_t data_type, size_t n_dims, const int64_t *dims,
                         const void *data, size_t n_bytes, vly_err *err)
{
    size_t start = out->len;
    const char *descr = NULL;

    VLY_ASSERT(n_dims <= VLY_NPY_DIMS_MAX);
    for (size_t i = 0; i < VLY_COUNT(types); i++)
        if (types[i].data_type == data_type)
            descr = types[i].descr;
    if (descr == NULL)
        return vly_fail(err, VLY_EUNSUPPORTED, "npy: no such element type: ONNX data type %d",
                        (int)data_type);

    vly_buf_add(out, MAGIC "\x01\x00\x00\x00", MAGIC_LEN + 4);
    vly_buf_printf(out, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                   elem_bytes(data_type) == 1 ? '|' : '<', descr);
    for (size_t i = 0; i < n_dims; i++)
        vly_buf_printf(out, i == 0 ? "%lld," : " %lld,", (long long)dims[i]);
    if (n_dims > 1 && !out->failed)
        out->len--; /* only a tuple of one ends in a comma */
    vly_buf_puts(out, "), }");
    while (!out->failed && (out->len - start + 1) % DATA_ALIGN != 0)
        vly_buf_putc(out, ' ');
    vly_buf_putc(out, '\n');
    if (!out->failed) {
        size_t header_len = out->len - start - MAGIC_LEN - 4;
        out->ptr[start + MAGIC_LEN + 2] = (char)(header_len & 0xff);
        out->ptr[start + MAGIC_LEN + 3] = (char)(header_len >> 8);
    }
    vly_buf_add(out, data, n_bytes);
    return VLY_OK;
}

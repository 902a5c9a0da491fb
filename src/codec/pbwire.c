/* SPDX-License-Identifier: MIT */
#include "codec/pbwire.h"

#include "base/assert.h"

#include <string.h>

#define NUMBER_MAX       ((1u << 29) - 1)
#define VARINT_BYTES_MAX 10

vly_pb vly_pb_begin(vly_str message)
{
    static const unsigned char nothing[1];
    const unsigned char *p = message.len > 0 ? (const unsigned char *)message.ptr : nothing;
    return (vly_pb){.at = p, .end = p + message.len};
}

static bool fail(vly_pb *c)
{
    c->bad = true;
    return false;
}

bool vly_pb_take_varint(vly_pb *c, uint64_t *ret)
{
    uint64_t v = 0;

    if (c->bad || c->at == c->end)
        return false;
    for (unsigned shift = 0;; shift += 7) {
        if (c->at == c->end)
            return fail(c);
        unsigned char byte = *c->at++;
        if (shift == 63 && byte > 1)
            return fail(c); /* more than 64 bits */
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = v;
            return true;
        }
    }
}

static bool take_fixed(vly_pb *c, size_t n, uint64_t *ret)
{
    uint64_t v = 0;

    if ((size_t)(c->end - c->at) < n)
        return fail(c);
    memcpy(&v, c->at, n); /* little-endian hosts only: see meson.build */
    c->at += n;
    *ret = v;
    return true;
}

static bool take_len(vly_pb *c, vly_str *ret)
{
    uint64_t n;

    if (!vly_pb_take_varint(c, &n) || n > (uint64_t)(c->end - c->at))
        return fail(c);
    *ret = (vly_str){(const char *)c->at, (size_t)n};
    c->at += n;
    return true;
}

bool vly_pb_next(vly_pb *c, vly_pb_field *ret)
{
    vly_pb_field f = {0};
    uint64_t tag;

    if (!vly_pb_take_varint(c, &tag))
        return false;
    if (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
        return fail(c);
    f.number = (uint32_t)(tag >> 3);
    f.wire = (vly_pb_wire)(tag & 7);
    bool ok = false;
    switch (f.wire) {
    case VLY_PB_VARINT:
        ok = vly_pb_take_varint(c, &f.value);
        break;
    case VLY_PB_FIXED64:
        ok = take_fixed(c, 8, &f.value);
        break;
    case VLY_PB_LEN:
        ok = take_len(c, &f.bytes);
        break;
    case VLY_PB_FIXED32:
        ok = take_fixed(c, 4, &f.value);
        break;
    default: /* groups, and the two wire types that do not exist */
        break;
    }
    if (!ok)
        return fail(c);
    *ret = f;
    return true;
}

size_t vly_pb_count_varints(vly_str packed)
{
    size_t n = 0;

    for (size_t i = 0; i < packed.len; i++)
        n += (unsigned char)packed.ptr[i] < 0x80;
    return n;
}

float vly_pb_float(uint64_t fixed32)
{
    uint32_t bits = (uint32_t)fixed32;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

double vly_pb_double(uint64_t fixed64)
{
    double d;
    memcpy(&d, &fixed64, sizeof(d));
    return d;
}

static size_t varint_encode(uint64_t value, unsigned char out[VARINT_BYTES_MAX])
{
    size_t n = 0;

    while (value >= 0x80) {
        out[n++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (unsigned char)value;
    return n;
}

void vly_pb_put_raw_varint(vly_buf *b, uint64_t value)
{
    unsigned char bytes[VARINT_BYTES_MAX];
    vly_buf_add(b, bytes, varint_encode(value, bytes));
}

static void put_tag(vly_buf *b, uint32_t number, vly_pb_wire wire)
{
    VLY_ASSERT(number >= 1 && number <= NUMBER_MAX);
    vly_pb_put_raw_varint(b, (uint64_t)number << 3 | wire);
}

void vly_pb_put_varint(vly_buf *b, uint32_t number, uint64_t value)
{
    put_tag(b, number, VLY_PB_VARINT);
    vly_pb_put_raw_varint(b, value);
}

void vly_pb_put_float(vly_buf *b, uint32_t number, float value)
{
    put_tag(b, number, VLY_PB_FIXED32);
    vly_buf_add(b, &value, sizeof(value));
}

void vly_pb_put_fixed32(vly_buf *b, uint32_t number, uint32_t value)
{
    put_tag(b, number, VLY_PB_FIXED32);
    vly_buf_add(b, &value, sizeof(value)); /* all machines it runs on are little-endian */
}

void vly_pb_put_fixed64(vly_buf *b, uint32_t number, uint64_t value)
{
    put_tag(b, number, VLY_PB_FIXED64);
    vly_buf_add(b, &value, sizeof(value));
}

void vly_pb_put_double(vly_buf *b, uint32_t number, double value)
{
    put_tag(b, number, VLY_PB_FIXED64);
    vly_buf_add(b, &value, sizeof(value));
}

void vly_pb_put_bytes(vly_buf *b, uint32_t number, vly_str bytes)
{
    put_tag(b, number, VLY_PB_LEN);
    vly_pb_put_raw_varint(b, bytes.len);
    vly_buf_add_str(b, bytes);
}

size_t vly_pb_open(vly_buf *b, uint32_t number)
{
    put_tag(b, number, VLY_PB_LEN);
    vly_buf_putc(b, 0); /* room for a length below 128; close moves the content when it is longer */
    return b->len;
}

size_t vly_pb_varint_len(uint64_t value)
{
    unsigned char bytes[VARINT_BYTES_MAX];
    return varint_encode(value, bytes);
}

void vly_pb_close(vly_buf *b, size_t mark)
{
    vly_pb_close_ahead(b, mark, 0);
}

void vly_pb_close_ahead(vly_buf *b, size_t mark, size_t n_more)
{
    unsigned char length[VARINT_BYTES_MAX];

    if (b->failed)
        return;
    VLY_ASSERT(mark > 0 && mark <= b->len);
    size_t content = b->len - mark;
    size_t n = varint_encode((uint64_t)content + n_more, length);
    vly_buf_add(b, length, n - 1); /* grows the buffer; the bytes are overwritten below */
    if (b->failed)
        return;
    memmove(b->ptr + mark + n - 1, b->ptr + mark, content);
    memcpy(b->ptr + mark - 1, length, n);
}

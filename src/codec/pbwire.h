/* SPDX-License-Identifier: MIT */
/*
 * Protobuf wire format: a cursor over the fields of one message, and a writer. Neither knows a
 * schema.
 *
 *     vly_pb c = vly_pb_begin(bytes);
 *     vly_pb_field f;
 *     while (vly_pb_next(&c, &f))
 *         if (f.number == 1 && f.wire == VLY_PB_LEN)
 *             name = f.bytes;
 *     if (c.bad)
 *         return VLY_EFORMAT;
 *
 * The cursor allocates nothing, borrows the bytes, and never reads past their end. It rejects
 * truncated fields, varints over 64 bits, field numbers out of 1..2^29-1, and groups (no schema
 * that is read here has any). A nested message is a LEN field: begin another cursor over its bytes.
 * Owner: one thread at a time.
 */
#ifndef VLY_CODEC_PBWIRE_H
#define VLY_CODEC_PBWIRE_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vly_pb_wire {
    VLY_PB_VARINT = 0,
    VLY_PB_FIXED64 = 1,
    VLY_PB_LEN = 2,
    VLY_PB_FIXED32 = 5,
} vly_pb_wire;

typedef struct vly_pb {
    const unsigned char *at;
    const unsigned char *end;
    bool bad; /* the bytes are no protobuf message from `at` on */
} vly_pb;

typedef struct vly_pb_field {
    uint32_t number;
    vly_pb_wire wire;
    uint64_t value; /* VARINT, FIXED32, FIXED64 */
    vly_str bytes;  /* LEN */
} vly_pb_field;

vly_pb vly_pb_begin(vly_str message);
/* The next field; false at the end, or with c->bad set. */
bool vly_pb_next(vly_pb *c, vly_pb_field *ret);

/* Packed repeated fields: begin a cursor over the LEN field's bytes, then take until false. */
bool vly_pb_take_varint(vly_pb *c, uint64_t *ret);
/* How many varints lie there. Does not validate: a caller that takes so many may still see bad. */
size_t vly_pb_count_varints(vly_str packed);

float vly_pb_float(uint64_t fixed32);
double vly_pb_double(uint64_t fixed64);

/* Writer: appends to b, whose `failed` is looked at once at the end. */
void vly_pb_put_varint(vly_buf *b, uint32_t number, uint64_t value);
void vly_pb_put_float(vly_buf *b, uint32_t number, float value);
void vly_pb_put_double(vly_buf *b, uint32_t number, double value);
void vly_pb_put_fixed32(vly_buf *b, uint32_t number, uint32_t value);
void vly_pb_put_fixed64(vly_buf *b, uint32_t number, uint64_t value);
void vly_pb_put_bytes(vly_buf *b, uint32_t number, vly_str bytes);
/* One varint without a tag, for packed fields. */
void vly_pb_put_raw_varint(vly_buf *b, uint64_t value);
/* A nested message or packed field: open, put its content, close with what open returned. */
size_t vly_pb_open(vly_buf *b, uint32_t number);
void vly_pb_close(vly_buf *b, size_t mark);
/* The same for content of which the last n_more bytes are still to be appended. */
void vly_pb_close_ahead(vly_buf *b, size_t mark, size_t n_more);
size_t vly_pb_varint_len(uint64_t value); /* bytes that it takes */

#endif
